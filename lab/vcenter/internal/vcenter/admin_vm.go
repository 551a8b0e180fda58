package vcenter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// VMChange is what a test changes about a VM behind everybody's back; nil leaves it as it is.
type VMChange struct {
	Heartbeat       *string      `json:"heartbeat"`
	Tools           *string      `json:"tools"`
	CPUMHz          *int32       `json:"cpuMHz"`
	MemoryMiB       *int32       `json:"memoryMiB"` // what the guest uses
	GuestDisks      *[]GuestDisk `json:"guestDisks"`
	Power           *string      `json:"power"`
	By              *string      `json:"by"` // who switches the power, as the event names them
	Host            *string      `json:"host"`
	CPUs            *int32       `json:"cpus"`
	Memory          *int32       `json:"memory"` // what the VM has, in MiB
	CPUHotAdd       *bool        `json:"cpuHotAdd"`
	MemoryHotAdd    *bool        `json:"memoryHotAdd"`
	Rename          *string      `json:"rename"`
	MoveTo          *string      `json:"moveTo"`
	ShutdownSeconds *float64     `json:"shutdownSeconds"`
	IgnoreShutdown  *bool        `json:"ignoreShutdown"`
	Connection      *string      `json:"connection"`
	Template        *bool        `json:"template"`
	SnapshotBytes   *int64       `json:"snapshotBytes"` // written since the current snapshot
	Consolidation   *bool        `json:"consolidationNeeded"`
}

// Change applies all of it or nothing. Errors name the value that is wrong.
func (v *VCenter) Change(path string, change VMChange) (VMFacts, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	vm := v.vmAt(path)
	if vm == nil {
		return VMFacts{}, fmt.Errorf("%w: %s", ErrNoVM, path)
	}
	if err := v.checkChange(vm, &change); err != nil {
		return VMFacts{}, err
	}
	v.changeGuest(vm, &change)
	v.changeConfig(vm, &change)
	if change.Template != nil {
		vm.Config.Template = *change.Template
	}
	if change.SnapshotBytes != nil {
		v.snapshots[*vm.Snapshot.CurrentSnapshot].written = *change.SnapshotBytes
		v.drawTree(vm, vm.Snapshot.CurrentSnapshot)
	}
	if change.Consolidation != nil {
		vm.Runtime.ConsolidationNeeded = *change.Consolidation
	}
	if change.Host != nil {
		if fault := v.moveToHost(behind, vm, v.hostNamed(*change.Host).Self); fault != nil {
			return VMFacts{}, errors.New(message(fault))
		}
	}
	if change.Rename != nil && *change.Rename != vm.Name {
		v.renameVM(vm, *change.Rename)
	}
	if change.MoveTo != nil {
		folder, _, err := v.folderFor(strings.Trim(*change.MoveTo, "/") + "/" + vm.Name)
		if err != nil {
			return VMFacts{}, err
		}
		v.abandon(&vm.ManagedEntity)
		v.adopt(folder, &vm.ManagedEntity)
	}
	vm.summarise()
	v.touch(vm.Self)
	return v.facts(vm), nil
}

func (v *VCenter) checkChange(vm *VM, change *VMChange) error {
	for _, check := range []struct {
		name  string
		value *string
		known []string
	}{
		{"heartbeat", change.Heartbeat, []string{"red", "yellow", "green", "gray"}},
		{"tools", change.Tools, []string{"running", "notRunning"}},
		{"power", change.Power, []string{"on", "off"}},
		{"connection", change.Connection, []string{"connected", "disconnected", "orphaned", "inaccessible", "invalid"}},
	} {
		if check.value != nil && !slices.Contains(check.known, *check.value) {
			return fmt.Errorf("%s is %q, known are %v", check.name, *check.value, check.known)
		}
	}
	if change.CPUs != nil && *change.CPUs < 1 || change.Memory != nil && *change.Memory < memoryStep {
		return errors.New("cpus and memory must be positive")
	}
	if change.ShutdownSeconds != nil && *change.ShutdownSeconds < 0 {
		return errors.New("shutdownSeconds cannot be negative")
	}
	if change.Template != nil && *change.Template && vm.on() {
		return errors.New("a VM that is on cannot be a template")
	}
	if change.Host != nil && v.hostNamed(*change.Host) == nil {
		return fmt.Errorf("there is no host %q", *change.Host)
	}
	if change.SnapshotBytes != nil && (*change.SnapshotBytes < 0 || vm.Snapshot == nil || vm.Snapshot.CurrentSnapshot == nil) {
		return errors.New("snapshotBytes cannot be negative, and need a snapshot")
	}
	return v.checkPlace(vm, change)
}

func (v *VCenter) checkPlace(vm *VM, change *VMChange) error {
	name, at := vm.Name, *vm.Parent
	if change.Rename != nil {
		name = *change.Rename
	}
	if name == "" {
		return errors.New("a VM cannot be renamed to nothing")
	}
	if change.MoveTo != nil {
		folder, _, err := v.folderFor(strings.Trim(*change.MoveTo, "/") + "/" + name)
		if err != nil {
			return err
		}
		at = folder.Self
	}
	if other, taken := v.child(at, name); taken && other != vm.Self {
		return fmt.Errorf("%s exists already", v.pathOf(other))
	}
	return nil
}

func (v *VCenter) changeGuest(vm *VM, change *VMChange) {
	if change.Power != nil {
		state := types.VirtualMachinePowerStatePoweredOff
		if *change.Power == "on" {
			state = types.VirtualMachinePowerStatePoweredOn
		}
		if vm.Runtime.PowerState != state {
			v.setPower(vm, state)
			v.driveBacking(vm)
			v.postPower(vm, change.By)
		}
	}
	if change.Tools != nil {
		v.setTools(vm, *change.Tools == "running" && vm.on())
	}
	if change.Heartbeat != nil {
		vm.GuestHeartbeatStatus = types.ManagedEntityStatus(*change.Heartbeat)
	}
	if change.CPUMHz != nil {
		vm.Summary.QuickStats.OverallCpuUsage = *change.CPUMHz
	}
	if change.MemoryMiB != nil {
		vm.Summary.QuickStats.GuestMemoryUsage = *change.MemoryMiB
	}
	if change.GuestDisks != nil {
		vm.Guest.Disk = guestDisks(*change.GuestDisks)
	}
	if change.ShutdownSeconds != nil {
		vm.shutdownSeconds = *change.ShutdownSeconds
	}
	if change.IgnoreShutdown != nil {
		vm.ignoreShutdown = *change.IgnoreShutdown
	}
	if change.Connection != nil {
		vm.Runtime.ConnectionState = types.VirtualMachineConnectionState(*change.Connection)
	}
}

func (v *VCenter) changeConfig(vm *VM, change *VMChange) {
	if change.CPUs == nil && change.Memory == nil && change.CPUHotAdd == nil && change.MemoryHotAdd == nil {
		return
	}
	if change.CPUs != nil {
		vm.Config.Hardware.NumCPU = *change.CPUs
	}
	if change.Memory != nil {
		vm.Config.Hardware.MemoryMB = *change.Memory
	}
	setIf(&vm.Config.CpuHotAddEnabled, change.CPUHotAdd)
	setIf(&vm.Config.MemoryHotAddEnabled, change.MemoryHotAdd)
	v.offerHotAdd(vm)
	v.configured(vm)
	v.post(behind, "Reconfigured "+vm.Name, &types.VmReconfiguredEvent{VmEvent: v.vmEvent(vm)})
}

// otherHost is the next host of the VM's cluster, its own when there is no other.
func (v *VCenter) otherHost(vm *VM) (ref, *mo.ClusterComputeResource) {
	cluster := v.clusterOf(vm)
	at := slices.Index(cluster.Host, *vm.Runtime.Host)
	return cluster.Host[(at+1)%len(cluster.Host)], cluster
}

// postPower says in the history that somebody has switched a VM on or off: the hand behind our
// back, or whoever is named; nobody at all where the name is empty.
func (v *VCenter) postPower(vm *VM, by *string) {
	user := behind
	if by != nil {
		user = *by
	}
	if vm.on() {
		v.post(user, vm.Name+" is powered on", &types.VmPoweredOnEvent{VmEvent: v.vmEvent(vm)})
		return
	}
	v.post(user, vm.Name+" is powered off", &types.VmPoweredOffEvent{VmEvent: v.vmEvent(vm)})
}

// ChangeHost says whether a host responds; vCenter then loses sight of its VMs, or sees them again.
func (v *VCenter) ChangeHost(name, connection string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	host := v.hostNamed(name)
	if host == nil {
		return fmt.Errorf("there is no host %q", name)
	}
	if !slices.Contains([]string{"connected", "disconnected", "notResponding"}, connection) {
		return fmt.Errorf("connection is %q, known are connected, disconnected and notResponding", connection)
	}
	host.Runtime.ConnectionState = types.HostSystemConnectionState(connection)
	v.touch(host.Self)
	seen := types.VirtualMachineConnectionStateConnected
	if connection != "connected" {
		seen = types.VirtualMachineConnectionStateDisconnected
	}
	for _, vm := range v.vms {
		if *vm.Runtime.Host == host.Self {
			vm.Runtime.ConnectionState = seen
			vm.summarise()
			v.touch(vm.Self)
		}
	}
	return nil
}
