package vcenter

import (
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const defaultShutdown = 0.2 // seconds

// changeVersion is what ReconfigVM compares; it grows with every change, whatever the clock does.
func (v *VCenter) changeVersion() string {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(v.lastChange) {
		now = v.lastChange.Add(time.Microsecond)
	}
	v.lastChange = now
	return v.lastChange.Format("2006-01-02T15:04:05.000000Z")
}

// configured marks a change of the configuration. The caller holds the write lock.
func (v *VCenter) configured(vm *VM) {
	vm.Config.ChangeVersion = v.changeVersion()
	vm.Config.Modified = time.Now().UTC()
	vm.summarise()
	v.touch(vm.Self)
}

// summarise keeps the summary, a second view of the same facts, from contradicting the first.
func (vm *VM) summarise() {
	config, quick := vm.Config, vm.Summary.QuickStats
	quick.GuestHeartbeatStatus = vm.GuestHeartbeatStatus
	vm.Summary = types.VirtualMachineSummary{
		Vm: &vm.Self, Runtime: vm.Runtime, QuickStats: quick, OverallStatus: vm.OverallStatus,
		Guest: &types.VirtualMachineGuestSummary{
			GuestId: config.GuestId, GuestFullName: config.GuestFullName, HostName: vm.Guest.HostName,
			IpAddress: vm.Guest.IpAddress, ToolsRunningStatus: vm.Guest.ToolsRunningStatus,
			ToolsStatus: vm.Guest.ToolsStatus,
		},
		Config: types.VirtualMachineConfigSummary{
			Name: vm.Name, VmPathName: config.Files.VmPathName, Template: config.Template,
			MemorySizeMB: config.Hardware.MemoryMB, NumCpu: config.Hardware.NumCPU, NumEthernetCards: 1,
			NumVirtualDisks: int32(len(vm.disks())), Uuid: config.Uuid, InstanceUuid: config.InstanceUuid,
			GuestId: config.GuestId, GuestFullName: config.GuestFullName, Annotation: config.Annotation,
		},
	}
}

func (vm *VM) disks() []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range vm.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

func (vm *VM) disk(key int32) *types.VirtualDisk {
	for _, disk := range vm.disks() {
		if disk.Key == key {
			return disk
		}
	}
	return nil
}

// offerHotAdd says what memory hot-add allows: only a running VM with hot-add offers anything.
func (v *VCenter) offerHotAdd(vm *VM) {
	vm.Config.HotPlugMemoryIncrementSize, vm.Config.HotPlugMemoryLimit = 0, 0
	if vm.on() && *vm.Config.MemoryHotAddEnabled {
		vm.Config.HotPlugMemoryIncrementSize = vm.memoryIncrement
		vm.Config.HotPlugMemoryLimit = vm.memoryLimit
		if vm.memoryLimit == 0 {
			vm.Config.HotPlugMemoryLimit = hotAddFactor * int64(vm.Config.Hardware.MemoryMB)
		}
	}
}

// setPower changes the power state with all that follows from it. The caller holds the lock.
func (v *VCenter) setPower(vm *VM, state types.VirtualMachinePowerState) {
	vm.epoch++
	vm.Runtime.PowerState = state
	vm.Runtime.BootTime = nil
	if vm.on() {
		now := time.Now().UTC()
		vm.Runtime.BootTime = &now
	}
	v.offerHotAdd(vm)
	v.setTools(vm, vm.on() && vm.backing == nil)
	v.showGuest(vm)
	v.protect(vm)
	vm.summarise()
	v.touch(vm.Self)
}

// setTools starts or stops VMware Tools; the heartbeat is theirs.
func (v *VCenter) setTools(vm *VM, running bool) {
	status, tools, state := types.VirtualMachineToolsRunningStatusGuestToolsNotRunning,
		types.VirtualMachineToolsStatusToolsNotRunning, "notRunning"
	vm.GuestHeartbeatStatus = types.ManagedEntityStatusGray
	if running {
		status, tools, state = types.VirtualMachineToolsRunningStatusGuestToolsRunning,
			types.VirtualMachineToolsStatusToolsOk, "running"
		vm.GuestHeartbeatStatus = types.ManagedEntityStatusGreen
		if vm.Guest.HostName == "" {
			vm.Guest.HostName = vm.Name
		}
	}
	vm.Guest.ToolsRunningStatus, vm.Guest.ToolsStatus, vm.Guest.GuestState = string(status), tools, state
	vm.Guest.GuestOperationsReady = &running
	vm.summarise()
	v.touch(vm.Self)
}

// protect derives HA protection. It is unset where HA is off, and else true for a VM that is on.
func (v *VCenter) protect(vm *VM) {
	vm.Runtime.DasVmProtection = nil
	config := v.haConfig(vm)
	if config != nil && config.DasConfig.Enabled != nil && *config.DasConfig.Enabled {
		vm.Runtime.DasVmProtection = &types.VirtualMachineRuntimeInfoDasProtectionState{DasProtected: vm.on()}
	}
}

func (v *VCenter) clusterOf(vm *VM) *mo.ClusterComputeResource {
	if vm.Runtime.Host == nil {
		return nil
	}
	host := lookup[mo.HostSystem](v, *vm.Runtime.Host)
	if host == nil || host.Parent == nil {
		return nil
	}
	return lookup[mo.ClusterComputeResource](v, *host.Parent)
}

func (v *VCenter) haConfig(vm *VM) *types.ClusterConfigInfoEx {
	cluster := v.clusterOf(vm)
	if cluster == nil {
		return nil
	}
	return clusterConfig(cluster)
}

// place puts the VM on a host and into the resource pool of the host's cluster.
func (v *VCenter) place(vm *VM, host ref, cluster *mo.ClusterComputeResource) {
	v.unplace(vm)
	vm.Runtime.Host, vm.ResourcePool = &host, cluster.ResourcePool
	if h := lookup[mo.HostSystem](v, host); h != nil {
		h.Vm = append(h.Vm, vm.Self)
	}
	if pool := lookup[mo.ResourcePool](v, *cluster.ResourcePool); pool != nil {
		pool.Vm = append(pool.Vm, vm.Self)
	}
	v.touch(host, *cluster.ResourcePool, vm.Self)
}

func (v *VCenter) unplace(vm *VM) {
	if vm.Runtime.Host != nil {
		if h := lookup[mo.HostSystem](v, *vm.Runtime.Host); h != nil {
			h.Vm = slices.DeleteFunc(h.Vm, func(r ref) bool { return r == vm.Self })
			v.touch(h.Self)
		}
	}
	if vm.ResourcePool != nil {
		if pool := lookup[mo.ResourcePool](v, *vm.ResourcePool); pool != nil {
			pool.Vm = slices.DeleteFunc(pool.Vm, func(r ref) bool { return r == vm.Self })
			v.touch(pool.Self)
		}
	}
}
