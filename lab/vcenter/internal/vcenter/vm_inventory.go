package vcenter

import (
	"log"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// renameVM changes the name under the folder's index. The caller checked that it is free.
func (v *VCenter) renameVM(vm *VM, name string) {
	v.rename(&vm.ManagedEntity, name)
	vm.Config.Name = name
	v.configured(vm)
}

func (v *VCenter) rename(e *mo.ManagedEntity, name string) {
	if names := v.names[*e.Parent]; names != nil {
		delete(names, e.Name)
		names[name] = e.Self
	}
	e.Name = name
	v.touch(e.Self)
}

func (v *VCenter) renameTask(c *Call, req *types.Rename_Task) (job, Fault) {
	user := c.User()
	return job{entity: c.This, apply: func() (any, Fault) {
		e := v.entity(c.This)
		if e == nil || e.Parent == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.This}
		}
		if req.NewName == "" {
			return nil, &types.InvalidName{Name: req.NewName, Entity: &c.This}
		}
		if fault := v.nameTaken(*e.Parent, req.NewName); fault != nil {
			return nil, fault
		}
		vm := v.vms[c.This]
		if vm == nil {
			v.rename(e, req.NewName)
			return nil, nil
		}
		event := &types.VmRenamedEvent{VmEvent: v.vmEvent(vm), OldName: vm.Name, NewName: req.NewName}
		v.renameVM(vm, req.NewName)
		v.post(user, "Renamed to "+req.NewName, event)
		return nil, nil
	}}, nil
}

func (v *VCenter) destroy(c *Call, _ *types.Destroy_Task) (job, Fault) {
	if c.This.Type == "Folder" {
		return job{entity: c.This, apply: func() (any, Fault) { return nil, v.removeFolder(c.This) }}, nil
	}
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	user := c.User()
	return job{entity: vm.Self, apply: func() (any, Fault) { return nil, v.removeVM(user, vm, true) }}, nil
}

func (v *VCenter) unregister(c *Call, _ *types.UnregisterVM) (any, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return nil, fault
	}
	return nil, v.removeVM(c.User(), vm, false)
}

// removeVM takes a VM out of the inventory, with its override in the cluster, as vCenter does.
func (v *VCenter) removeVM(user string, vm *VM, destroy bool) Fault {
	if v.vms[vm.Self] != vm {
		return &types.ManagedObjectNotFound{Obj: vm.Self}
	}
	if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
		return wrongPower(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	event := &types.VmRemovedEvent{VmEvent: v.vmEvent(vm)}
	if cluster := v.clusterOf(vm); cluster != nil {
		v.dropOverride(cluster, vm.Self)
	}
	v.unplace(vm)
	v.abandon(&vm.ManagedEntity)
	delete(v.vms, vm.Self)
	delete(v.byUUID, vm.Config.InstanceUuid)
	v.restructure(vm.Self)
	v.post(user, "Removed "+vm.Name, event)
	if destroy && vm.backing != nil {
		go func() {
			if err := vm.backing.Destroy(v.closing); err != nil {
				log.Printf("the guest of %s was not destroyed: %v", vm.Name, err)
			}
		}()
	}
	return nil
}

func (v *VCenter) removeFolder(r ref) Fault {
	folder := lookup[mo.Folder](v, r)
	if folder == nil || folder.Parent == nil || r == v.vmFolder {
		return &types.NotSupported{}
	}
	if len(folder.ChildEntity) > 0 {
		return &types.ResourceInUse{Type: "Folder", Name: folder.Name}
	}
	v.abandon(&folder.ManagedEntity)
	v.reg.Remove(v.sim, r)
	v.restructure(r)
	return nil
}

func (v *VCenter) createFolder(c *Call, req *types.CreateFolder) (any, Fault) {
	parent := lookup[mo.Folder](v, c.This)
	if parent == nil || parent.Self != v.vmFolder && !v.isBelow(parent.Self, v.vmFolder) {
		return nil, &types.NotSupported{}
	}
	if fault := v.nameTaken(parent.Self, req.Name); fault != nil {
		return nil, fault
	}
	return v.addFolder(parent, req.Name).Self, nil
}

// moveIntoFolder moves all or nothing.
func (v *VCenter) moveIntoFolder(c *Call, req *types.MoveIntoFolder_Task) (job, Fault) {
	return job{entity: c.This, apply: func() (any, Fault) {
		folder := lookup[mo.Folder](v, c.This)
		if folder == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.This}
		}
		for _, r := range req.List {
			if fault := v.checkMove(folder, r); fault != nil {
				return nil, fault
			}
		}
		for _, r := range req.List {
			e := v.entity(r)
			v.abandon(e)
			v.adopt(folder, e)
		}
		return nil, nil
	}}, nil
}

func (v *VCenter) checkMove(folder *mo.Folder, r ref) Fault {
	e := v.entity(r)
	if e == nil {
		return &types.ManagedObjectNotFound{Obj: r}
	}
	if r.Type != "VirtualMachine" && r.Type != "Folder" || r == v.vmFolder {
		return &types.NotSupported{}
	}
	if r == folder.Self || v.isBelow(folder.Self, r) {
		return &types.InvalidFolder{Target: folder.Self}
	}
	return v.nameTaken(folder.Self, e.Name)
}

func (v *VCenter) migrate(c *Call, req *types.MigrateVM_Task) (job, Fault) {
	return v.moveJob(c, req.Host)
}

func (v *VCenter) relocate(c *Call, req *types.RelocateVM_Task) (job, Fault) {
	return v.moveJob(c, req.Spec.Host)
}

func (v *VCenter) moveJob(c *Call, host *ref) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	user := c.User()
	return job{entity: vm.Self, apply: func() (any, Fault) {
		if v.vms[vm.Self] != vm {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		if host == nil {
			return nil, nil // storage only: there is one datastore
		}
		return nil, v.moveToHost(user, vm, *host)
	}}, nil
}

// moveToHost is vMotion: the VM keeps running, and its history stays its history.
func (v *VCenter) moveToHost(user string, vm *VM, target ref) Fault {
	host := lookup[mo.HostSystem](v, target)
	if host == nil || host.Parent == nil {
		return invalidArgument("host")
	}
	cluster := lookup[mo.ClusterComputeResource](v, *host.Parent)
	if cluster == nil {
		return invalidArgument("host")
	}
	source := *vm.Runtime.Host
	if source == target {
		return nil
	}
	if old := v.clusterOf(vm); old != nil && old.Self != cluster.Self {
		v.dropOverride(old, vm.Self)
	}
	v.place(vm, target, cluster)
	v.protect(vm)
	vm.summarise()
	v.touch(vm.Self)
	event := &types.VmMigratedEvent{VmEvent: v.vmEvent(vm), SourceHost: *v.hostArgument(source)}
	event.SourceDatacenter = event.Datacenter
	v.post(user, "Migration of "+vm.Name+" from "+event.SourceHost.Name+" completed", event)
	return nil
}
