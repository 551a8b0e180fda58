package vcenter

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/netip"

	"github.com/vmware/govmomi/vim25/types"
)

// GuestFacts are what is seen of a real guest, and what its VMware Tools say.
type GuestFacts struct {
	Stopped      bool // by itself, since it was last switched on
	ToolsRunning bool
	Heartbeat    string // a colour of vSphere's
	HostName     string
	System       string
	Disks        []GuestDisk
	Networks     []GuestNetwork
}

// GuestDisk is one file system as Tools see it.
type GuestDisk struct {
	Path          string `json:"path"`
	CapacityBytes int64  `json:"capacityBytes"`
	FreeBytes     int64  `json:"freeBytes"`
}

// GuestNetwork is one network card as Tools see it.
type GuestNetwork struct {
	MAC       string
	Addresses []netip.Prefix
}

// Backing is the real machine behind one VM. Every method but Facts may block, and none but Facts
// is called while the inventory is locked.
type Backing interface {
	Facts() GuestFacts
	PowerOn(ctx context.Context) error
	PowerOff(ctx context.Context) error // pulls the plug
	Shutdown(ctx context.Context) error // asks the guest and returns when it is off
	Reboot(ctx context.Context) error   // asks the guest and returns when it has heard it
	Reset(ctx context.Context) error
	CreateSnapshot(ctx context.Context, id string) error
	RevertToSnapshot(ctx context.Context, id string) error
	RemoveSnapshot(ctx context.Context, id string) error
	Destroy(ctx context.Context) error
}

// BackingFactory makes the machine, switched off, for an inventory entry whose "guest" is set.
// changed is to be called, from a goroutine of the machine's own, after its facts changed.
type BackingFactory func(path string, guest json.RawMessage, changed func()) (Backing, error)

// attachBacking gives a VM its inside. A server that was started without any simulates all VMs.
func (v *VCenter) attachBacking(vm *VM, spec VMSpec) error {
	if len(spec.Guest) == 0 {
		return nil
	}
	if v.backings == nil {
		log.Printf("%s is only simulated: this server was started without guests", spec.Path)
		return nil
	}
	backing, err := v.backings(spec.Path, spec.Guest, func() { v.lookAtGuest(vm) })
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Path, err)
	}
	vm.backing = backing
	return nil
}

// drive makes the real machine follow a change that the inventory shows already. The caller holds
// the lock.
func (v *VCenter) drive(vm *VM, machine hardware) {
	if vm.backing == nil {
		return
	}
	go func() {
		if err := machine(vm.backing, v.closing); err != nil {
			log.Printf("the guest of %s did not follow: %v", vm.Name, err)
		}
	}()
}

// driveBacking switches the real machine as the VM is.
func (v *VCenter) driveBacking(vm *VM) {
	if vm.on() {
		v.drive(vm, Backing.PowerOn)
		return
	}
	v.drive(vm, Backing.PowerOff)
}

// lookAtGuest takes over what changed in a real guest. One that stopped by itself switches its VM
// off, as a guest's own shutdown does.
func (v *VCenter) lookAtGuest(vm *VM) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.vms[vm.Self] != vm || vm.backing == nil {
		return
	}
	if vm.on() && vm.backing.Facts().Stopped {
		v.setPower(vm, types.VirtualMachinePowerStatePoweredOff)
		v.post("", vm.Name+" is now powered off", &types.VmPoweredOffEvent{VmEvent: v.vmEvent(vm)})
		return
	}
	v.showGuest(vm)
}

// showGuest writes a real guest's facts into the VM; a VM without one shows what tests set. The
// caller holds the lock.
func (v *VCenter) showGuest(vm *VM) {
	if vm.backing == nil {
		return
	}
	facts := vm.backing.Facts()
	running := facts.ToolsRunning && vm.on()
	if running != vm.toolsRunning() {
		v.setTools(vm, running)
	}
	if vm.on() {
		vm.GuestHeartbeatStatus = types.ManagedEntityStatus(facts.Heartbeat)
	}
	if running {
		vm.Guest.HostName, vm.Guest.GuestFullName = facts.HostName, facts.System
		vm.Guest.Disk = guestDisks(facts.Disks)
		vm.Guest.Net, vm.Guest.IpAddress = guestNetworks(facts.Networks)
	} else {
		vm.Guest.Net, vm.Guest.IpAddress = nil, ""
	}
	vm.summarise()
	v.touch(vm.Self)
}

func guestDisks(disks []GuestDisk) []types.GuestDiskInfo {
	list := make([]types.GuestDiskInfo, 0, len(disks))
	for _, disk := range disks {
		list = append(list, types.GuestDiskInfo{DiskPath: disk.Path, Capacity: disk.CapacityBytes, FreeSpace: disk.FreeBytes})
	}
	return list
}

// guestNetworks returns the cards and the first IPv4 address, which vCenter shows as the VM's.
func guestNetworks(networks []GuestNetwork) ([]types.GuestNicInfo, string) {
	first := ""
	list := make([]types.GuestNicInfo, 0, len(networks))
	for _, network := range networks {
		card := types.GuestNicInfo{Network: "VM Network", MacAddress: network.MAC, Connected: true, DeviceConfigId: nicKey}
		card.IpConfig = &types.NetIpConfigInfo{}
		for _, address := range network.Addresses {
			text := address.Addr().String()
			card.IpAddress = append(card.IpAddress, text)
			card.IpConfig.IpAddress = append(card.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress: text, PrefixLength: int32(address.Bits()),
				State: string(types.NetIpConfigInfoIpAddressStatusPreferred),
			})
			if first == "" && address.Addr().Is4() {
				first = text
			}
		}
		list = append(list, card)
	}
	return list, first
}
