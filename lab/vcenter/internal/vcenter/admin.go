package vcenter

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Errors of the administrative methods, which play the person or the failure behind our back.
var (
	ErrNoVM      = errors.New("there is no such VM")
	ErrNoCluster = errors.New("there is no such cluster")
)

// behind is the user under which changes behind our back appear in events.
const behind = "VSPHERE.LOCAL\\lab-admin"

// VMFacts describe a VM to tests.
type VMFacts struct {
	Path            string            `json:"path"`
	MoID            string            `json:"moid"`
	InstanceUUID    string            `json:"instanceUuid"`
	Power           string            `json:"power"`
	Connection      string            `json:"connection"`
	Host            string            `json:"host"`
	Cluster         string            `json:"cluster"`
	CPUs            int32             `json:"cpus"`
	MemoryMiB       int32             `json:"memoryMiB"`
	CPUHotAdd       bool              `json:"cpuHotAdd"`
	MemoryHotAdd    bool              `json:"memoryHotAdd"`
	Disks           []DiskFacts       `json:"disks"`
	ExtraConfig     map[string]string `json:"extraConfig"`
	ChangeVersion   string            `json:"changeVersion"`
	Heartbeat       string            `json:"heartbeat"`
	Tools           string            `json:"tools"`
	Protected       bool              `json:"dasProtected"`
	BootTime        *time.Time        `json:"bootTime"`
	HAOverride      *OverrideFacts    `json:"haOverride"`
	GuestCPUMHz     int32             `json:"cpuMHz"`
	GuestMemory     int32             `json:"guestMemoryMiB"`
	GuestDisks      []GuestDisk       `json:"guestDisks"`
	ShutdownSeconds float64           `json:"shutdownSeconds"`
	IgnoreShutdown  bool              `json:"ignoreShutdown"`
	Snapshots       []string          `json:"snapshots"`
}

// DiskFacts describe one disk.
type DiskFacts struct {
	Key     int32 `json:"key"`
	Unit    int32 `json:"unit"`
	SizeGiB int64 `json:"sizeGiB"`
	Bytes   int64 `json:"bytes"`
}

// Paths of all VMs, sorted.
func (v *VCenter) Paths() []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	paths := make([]string, 0, len(v.vms))
	for r := range v.vms {
		paths = append(paths, v.pathOf(r))
	}
	sort.Strings(paths)
	return paths
}

// Facts of one VM, ErrNoVM when there is none at the path.
func (v *VCenter) Facts(path string) (VMFacts, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	vm := v.vmAt(path)
	if vm == nil {
		return VMFacts{}, fmt.Errorf("%w: %s", ErrNoVM, path)
	}
	return v.facts(vm), nil
}

func (v *VCenter) facts(vm *VM) VMFacts {
	config, quick := vm.Config, vm.Summary.QuickStats
	facts := VMFacts{
		Path: v.pathOf(vm.Self), MoID: vm.Self.Value, InstanceUUID: config.InstanceUuid,
		Power: string(vm.Runtime.PowerState), Connection: string(vm.Runtime.ConnectionState),
		CPUs: config.Hardware.NumCPU, MemoryMiB: config.Hardware.MemoryMB,
		CPUHotAdd: *config.CpuHotAddEnabled, MemoryHotAdd: *config.MemoryHotAddEnabled,
		Disks: []DiskFacts{}, ExtraConfig: map[string]string{}, ChangeVersion: config.ChangeVersion,
		Heartbeat: string(vm.GuestHeartbeatStatus), Tools: vm.Guest.ToolsRunningStatus,
		BootTime:    vm.Runtime.BootTime,
		GuestCPUMHz: quick.OverallCpuUsage, GuestMemory: quick.GuestMemoryUsage, GuestDisks: []GuestDisk{},
		ShutdownSeconds: vm.shutdownSeconds, IgnoreShutdown: vm.ignoreShutdown, Snapshots: []string{},
	}
	facts.Host = v.name(*vm.Runtime.Host)
	facts.Protected = vm.Runtime.DasVmProtection != nil && vm.Runtime.DasVmProtection.DasProtected
	for _, disk := range vm.disks() {
		facts.Disks = append(facts.Disks,
			DiskFacts{disk.Key, *disk.UnitNumber, disk.CapacityInBytes / gib, disk.CapacityInBytes})
	}
	for _, option := range config.ExtraConfig {
		facts.ExtraConfig[option.GetOptionValue().Key] = fmt.Sprint(option.GetOptionValue().Value)
	}
	for _, disk := range vm.Guest.Disk {
		facts.GuestDisks = append(facts.GuestDisks, GuestDisk{disk.DiskPath, disk.Capacity, disk.FreeSpace})
	}
	for _, s := range v.snapshots {
		if s.Vm == vm.Self {
			facts.Snapshots = append(facts.Snapshots, s.tree.Name)
		}
	}
	sort.Strings(facts.Snapshots)
	if cluster := v.clusterOf(vm); cluster != nil {
		facts.Cluster = cluster.Name
		facts.HAOverride = overrideFacts(clusterConfig(cluster), vm.Self)
	}
	return facts
}

// Create adds a VM that the inventory file could have described.
func (v *VCenter) Create(spec VMSpec) (VMFacts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	vm, err := v.addVM(spec)
	if err != nil {
		return VMFacts{}, err
	}
	v.post(behind, "Created "+vm.Name, &types.VmCreatedEvent{VmEvent: v.vmEvent(vm)})
	return v.facts(vm), nil
}

// Delete removes a VM whatever its power state.
func (v *VCenter) Delete(path string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	vm := v.vmAt(path)
	if vm == nil {
		return fmt.Errorf("%w: %s", ErrNoVM, path)
	}
	v.setPower(vm, types.VirtualMachinePowerStatePoweredOff)
	if fault := v.removeVM(behind, vm, true); fault != nil {
		return errors.New(message(fault))
	}
	return nil
}

func (v *VCenter) hostNamed(name string) *mo.HostSystem {
	dc := lookup[mo.Datacenter](v, v.dc)
	for _, c := range v.children(dc.HostFolder) {
		for _, r := range v.children(c) {
			if host := lookup[mo.HostSystem](v, r); host != nil && host.Name == name {
				return host
			}
		}
	}
	return nil
}
