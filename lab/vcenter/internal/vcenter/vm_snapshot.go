package vcenter

import (
	"context"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// snapshot keeps the configuration as it was. No change ever modifies a device or an option in
// place, so a copy of the struct is a copy of the configuration.
type snapshot struct {
	mo.VirtualMachineSnapshot
	tree   types.VirtualMachineSnapshotTree
	parent *ref
	memory bool
	// bytes that were written to the disks since
	written int64
}

func (v *VCenter) snapshot(r ref) *snapshot { return v.snapshots[r] }

func (v *VCenter) createSnapshot(c *Call, req *types.CreateSnapshot_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	if req.Name == "" {
		return job{}, &types.InvalidName{Name: req.Name, Entity: &c.This}
	}
	var id ref
	j := job{entity: vm.Self}
	if vm.backing != nil {
		j.slow = func() error {
			v.locked(writing, func() { id = v.newRef("VirtualMachineSnapshot", "snapshot") })
			return vm.backing.CreateSnapshot(v.closing, id.Value)
		}
	}
	j.apply = func() (any, Fault) {
		if v.vms[vm.Self] != vm {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		if id.Value == "" {
			id = v.newRef("VirtualMachineSnapshot", "snapshot")
		}
		s := &snapshot{memory: req.Memory && vm.on()}
		s.Self, s.Vm, s.Config = id, vm.Self, *vm.Config
		if vm.Snapshot != nil {
			s.parent = vm.Snapshot.CurrentSnapshot
		}
		s.tree = types.VirtualMachineSnapshotTree{
			Snapshot: id, Vm: vm.Self, Name: req.Name, Description: req.Description,
			Id: v.nextSnapshot(), CreateTime: time.Now().UTC(), State: vm.Runtime.PowerState,
			Quiesced: req.Quiesce && vm.on(),
		}
		if !s.memory {
			s.tree.State = types.VirtualMachinePowerStatePoweredOff
		}
		v.snapshots[id] = s
		v.drawTree(vm, &id)
		return id, nil
	}
	return j, nil
}

// nextSnapshot numbers snapshots in the order in which they are taken.
func (v *VCenter) nextSnapshot() int32 {
	v.snapshotID++
	return v.snapshotID
}

// drawTree rebuilds what clients see of the snapshots. The caller holds the write lock.
func (v *VCenter) drawTree(vm *VM, current *ref) {
	roots := v.branch(vm.Self, nil)
	vm.Snapshot, vm.RootSnapshot, vm.LayoutEx = nil, []ref{}, v.layout(vm, current)
	if len(roots) > 0 {
		vm.Snapshot = &types.VirtualMachineSnapshotInfo{CurrentSnapshot: current, RootSnapshotList: roots}
		for _, root := range roots {
			vm.RootSnapshot = append(vm.RootSnapshot, root.Snapshot)
		}
	}
	v.touch(vm.Self)
}

func (v *VCenter) branch(vm ref, parent *ref) []types.VirtualMachineSnapshotTree {
	var list []types.VirtualMachineSnapshotTree
	for _, s := range v.snapshots {
		if s.Vm != vm || (parent == nil) != (s.parent == nil) || parent != nil && *parent != *s.parent {
			continue
		}
		at := 0
		for at < len(list) && list[at].Id < s.tree.Id {
			at++
		}
		tree := s.tree
		tree.ChildSnapshotList = v.branch(vm, &s.Self)
		list = append(list[:at], append([]types.VirtualMachineSnapshotTree{tree}, list[at:]...)...)
	}
	return list
}

func (v *VCenter) removeSnapshot(c *Call, req *types.RemoveSnapshot_Task) (job, Fault) {
	s := v.snapshot(c.This)
	if s == nil {
		return job{}, &types.ManagedObjectNotFound{Obj: c.This}
	}
	vm := v.vms[s.Vm]
	j := job{entity: s.Vm}
	j.slow = v.forget(vm, []ref{s.Self})
	j.apply = func() (any, Fault) {
		if v.snapshot(s.Self) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: s.Self}
		}
		v.cut(vm, s, req.RemoveChildren)
		return nil, nil
	}
	return j, nil
}

// cut removes a snapshot; its children either go with it or move up to its parent.
func (v *VCenter) cut(vm *VM, s *snapshot, withChildren bool) {
	current := vm.Snapshot.CurrentSnapshot
	if current != nil && *current == s.Self {
		current = s.parent
	}
	for _, child := range v.snapshots {
		if child.parent == nil || *child.parent != s.Self {
			continue
		}
		if withChildren {
			v.cut(vm, child, true)
			continue
		}
		child.parent = s.parent
	}
	delete(v.snapshots, s.Self)
	if current != nil && v.snapshots[*current] == nil {
		current = s.parent
	}
	v.drawTree(vm, current)
}

// forget lets the real machine drop its copies; nil when there is none.
func (v *VCenter) forget(vm *VM, ids []ref) func() error {
	if vm == nil || vm.backing == nil {
		return nil
	}
	return func() error {
		for _, id := range ids {
			if err := vm.backing.RemoveSnapshot(v.closing, id.Value); err != nil {
				return err
			}
		}
		return nil
	}
}

func (v *VCenter) removeAllSnapshots(c *Call, _ *types.RemoveAllSnapshots_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	var ids []ref
	for id, s := range v.snapshots {
		if s.Vm == vm.Self {
			ids = append(ids, id)
		}
	}
	return job{entity: vm.Self, slow: v.forget(vm, ids), apply: func() (any, Fault) {
		for _, id := range ids {
			delete(v.snapshots, id)
		}
		v.drawTree(vm, nil)
		return nil, nil
	}}, nil
}

func (v *VCenter) revertToSnapshot(c *Call, _ *types.RevertToSnapshot_Task) (job, Fault) {
	s := v.snapshot(c.This)
	if s == nil {
		return job{}, &types.ManagedObjectNotFound{Obj: c.This}
	}
	return v.revertJob(s), nil
}

func (v *VCenter) revertToCurrent(c *Call, _ *types.RevertToCurrentSnapshot_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	if vm.Snapshot == nil || vm.Snapshot.CurrentSnapshot == nil {
		return job{}, &types.NotFound{}
	}
	return v.revertJob(v.snapshot(*vm.Snapshot.CurrentSnapshot)), nil
}

// revertJob restores the configuration; without memory in the snapshot the VM is off afterwards.
func (v *VCenter) revertJob(s *snapshot) job {
	vm := v.vms[s.Vm]
	j := job{entity: s.Vm}
	if vm.backing != nil {
		j.slow = func() error { return vm.backing.RevertToSnapshot(context.WithoutCancel(v.closing), s.Self.Value) }
	}
	j.apply = func() (any, Fault) {
		if v.snapshot(s.Self) == nil || v.vms[vm.Self] != vm {
			return nil, &types.ManagedObjectNotFound{Obj: s.Self}
		}
		config := s.Config
		config.Name = vm.Name
		vm.Config = &config
		state := types.VirtualMachinePowerStatePoweredOff
		if s.memory {
			state = types.VirtualMachinePowerStatePoweredOn
		}
		v.setPower(vm, state)
		v.configured(vm)
		v.drawTree(vm, &s.Self)
		return nil, nil
	}
	return j
}

func (v *VCenter) renameSnapshot(c *Call, req *types.RenameSnapshot) (any, Fault) {
	s := v.snapshot(c.This)
	if s == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.This}
	}
	setText(&s.tree.Name, req.Name)
	setText(&s.tree.Description, req.Description)
	vm := v.vms[s.Vm]
	v.drawTree(vm, vm.Snapshot.CurrentSnapshot)
	return nil, nil
}
