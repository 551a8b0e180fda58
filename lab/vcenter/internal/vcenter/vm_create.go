package vcenter

import (
	"fmt"
	"sort"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	pciKey     int32 = 100
	scsiKey    int32 = 1000
	firstDisk  int32 = 2000
	nicKey     int32 = 4000
	gib              = int64(1) << 30
	defaultMem int32 = 1024
	// vCenter lets a Linux guest grow to 16 times what it was started with, and to at least 3 GiB.
	hotAddFactor = 16
)

// addVM creates a VM as the inventory file describes it. The caller holds the write lock.
func (v *VCenter) addVM(spec VMSpec) (*VM, error) {
	folder, name, err := v.folderFor(spec.Path)
	if err != nil {
		return nil, err
	}
	if _, taken := v.child(folder.Self, name); taken {
		return nil, fmt.Errorf("%s exists already", spec.Path)
	}
	cluster := v.cluster(spec.Cluster)
	if cluster == nil {
		return nil, fmt.Errorf("%s: there is no cluster %q", spec.Path, spec.Cluster)
	}
	if spec.CPUs < 0 || spec.MemoryMiB < 0 {
		return nil, fmt.Errorf("%s: CPUs and memory cannot be negative", spec.Path)
	}
	vm := v.newVM(name, spec)
	host := cluster.Host[len(v.vms)%len(cluster.Host)]
	v.place(vm, host, cluster)
	v.protect(vm)
	v.vms[vm.Self] = vm
	v.byUUID[vm.Config.InstanceUuid] = vm
	v.adopt(folder, &vm.ManagedEntity)
	if err := v.attachBacking(vm, spec); err != nil {
		return nil, err
	}
	if spec.PoweredOn == nil || *spec.PoweredOn {
		v.setPower(vm, types.VirtualMachinePowerStatePoweredOn)
		v.driveBacking(vm)
	}
	return vm, nil
}

func (v *VCenter) cluster(name string) *mo.ClusterComputeResource {
	dc := lookup[mo.Datacenter](v, v.dc)
	for _, r := range v.children(dc.HostFolder) {
		if cluster := lookup[mo.ClusterComputeResource](v, r); cluster != nil && cluster.Name == name {
			return cluster
		}
	}
	return nil
}

func (v *VCenter) newVM(name string, spec VMSpec) *VM {
	vm := &VM{
		memoryIncrement: spec.MemoryHotAddIncrementMiB, memoryLimit: spec.MemoryHotAddLimitMiB,
		shutdownSeconds: defaultShutdown,
	}
	vm.Self = v.newRef("VirtualMachine", "vm")
	vm.Name = name
	vm.OverallStatus, vm.ConfigStatus = types.ManagedEntityStatusGreen, types.ManagedEntityStatusGreen
	vm.EffectiveRole, vm.GuestHeartbeatStatus = []int32{-1}, types.ManagedEntityStatusGray
	cpus, memory := max(1, spec.CPUs), spec.MemoryMiB
	if memory == 0 {
		memory = defaultMem
	}
	if vm.memoryIncrement == 0 {
		vm.memoryIncrement = 128
	}
	cores := int32(1)
	instance := stableUUID("vm", spec.Path)
	now := time.Now().UTC()
	vm.Config = &types.VirtualMachineConfigInfo{
		Name: name, GuestFullName: "Debian GNU/Linux 12 (64-bit)", Version: "vmx-21",
		Uuid: stableUUID("bios", spec.Path), InstanceUuid: instance, GuestId: "debian12_64Guest",
		Files:    types.VirtualMachineFileInfo{VmPathName: "[datastore-1] " + instance + "/" + name + ".vmx"},
		Modified: now, CreateDate: &now, ChangeVersion: v.changeVersion(), Firmware: "efi",
		CpuHotAddEnabled: &spec.CPUHotAdd, CpuHotRemoveEnabled: types.NewBool(false),
		MemoryHotAddEnabled: &spec.MemoryHotAdd,
		Hardware: types.VirtualHardware{
			NumCPU: cpus, NumCoresPerSocket: &cores, MemoryMB: memory, Device: v.devices(spec.Disks),
		},
		Flags: types.VirtualMachineFlagInfo{}, DefaultPowerOps: types.VirtualMachineDefaultPowerOpInfo{},
	}
	for _, key := range sortedKeys(spec.ExtraConfig) {
		value := &types.OptionValue{Key: key, Value: spec.ExtraConfig[key]}
		vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, value)
	}
	vm.Guest = &types.GuestInfo{
		ToolsStatus: types.VirtualMachineToolsStatusToolsNotRunning, GuestState: "notRunning",
		ToolsRunningStatus:  string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning),
		ToolsVersionStatus2: "guestToolsUnmanaged", GuestFamily: "linuxGuest", GuestId: "debian12_64Guest",
	}
	vm.Runtime = types.VirtualMachineRuntimeInfo{
		ConnectionState: types.VirtualMachineConnectionStateConnected,
		PowerState:      types.VirtualMachinePowerStatePoweredOff,
		// pyVmomi cannot read an empty enum, and these two are not optional.
		FaultToleranceState: types.VirtualMachineFaultToleranceStateNotConfigured,
		RecordReplayState:   types.VirtualMachineRecordReplayStateInactive,
	}
	vm.Datastore, vm.Network = []ref{v.store}, []ref{v.network}
	v.offerHotAdd(vm)
	vm.summarise()
	return vm
}

// devices is a controller with its disks at units 0, 1, ... (7 is the controller itself) and a card.
func (v *VCenter) devices(disks []DiskSpec) []types.BaseVirtualDevice {
	pci := &types.VirtualPCIController{}
	pci.Key, pci.DeviceInfo = pciKey, label("PCI controller 0", "PCI controller 0")
	scsi := &types.ParaVirtualSCSIController{}
	scsi.Key, scsi.ControllerKey, scsi.UnitNumber = scsiKey, pciKey, types.NewInt32(3)
	scsi.DeviceInfo = label("SCSI controller 0", "VMware paravirtual SCSI")
	scsi.ScsiCtlrUnitNumber, scsi.SharedBus = 7, types.VirtualSCSISharingNoSharing
	card := &types.VirtualVmxnet3{}
	card.Key, card.ControllerKey, card.UnitNumber = nicKey, pciKey, types.NewInt32(7)
	card.DeviceInfo = label("Network adapter 1", "VM Network")
	card.MacAddress = fmt.Sprintf("00:50:56:%02x:%02x:%02x", v.counter>>16&0x3f, v.counter>>8&0xff, v.counter&0xff)
	pci.Device = []int32{scsiKey, nicKey}
	list := []types.BaseVirtualDevice{pci, scsi}
	for i, spec := range disks {
		disk := v.newDisk(firstDisk+int32(i), freeUnit(int32(i)), spec.SizeGiB*gib)
		scsi.Device = append(scsi.Device, disk.Key)
		list = append(list, disk)
	}
	return append(list, card)
}

func freeUnit(i int32) int32 {
	if i >= 7 {
		return i + 1
	}
	return i
}

func (v *VCenter) newDisk(key, unit int32, bytes int64) *types.VirtualDisk {
	disk := &types.VirtualDisk{CapacityInBytes: bytes, CapacityInKB: bytes / 1024}
	disk.Key, disk.ControllerKey, disk.UnitNumber = key, scsiKey, &unit
	disk.DeviceInfo = label(fmt.Sprintf("Hard disk %d", key-firstDisk+1), fmt.Sprintf("%d KB", bytes/1024))
	disk.DiskObjectId = fmt.Sprintf("%d-%d", v.counter, key)
	backing := &types.VirtualDiskFlatVer2BackingInfo{DiskMode: "persistent", ThinProvisioned: types.NewBool(true)}
	backing.FileName = fmt.Sprintf("[datastore-1] vm-%d/disk-%d.vmdk", v.counter+100, key-firstDisk)
	backing.Datastore = &v.store
	disk.Backing = backing
	return disk
}

func label(name, summary string) *types.Description {
	return &types.Description{Label: name, Summary: summary}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
