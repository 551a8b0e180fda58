package vcenter

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/property"
)

// VM is a virtual machine and how its guest behaves.
type VM struct {
	mo.VirtualMachine
	memoryIncrement int64 // what hot-add offers while the VM runs
	memoryLimit     int64
	shutdownSeconds float64
	ignoreShutdown  bool
	epoch           int // moves with every power change, so that a late shutdown hits nothing else
	backing         Backing
}

func (vm *VM) on() bool { return vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn }

func (vm *VM) toolsRunning() bool {
	return vm.on() && vm.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
}

// newRef numbers objects as vCenter does: vm-101, group-v102, task-103. The caller holds the lock.
func (v *VCenter) newRef(kind, prefix string) ref {
	v.counter++
	return ref{Type: kind, Value: fmt.Sprintf("%s-%d", prefix, v.counter+100)}
}

// object finds anything that lives in the inventory, nil when it is gone. The caller holds the lock.
func (v *VCenter) object(r ref) any {
	switch r.Type {
	case "VirtualMachine":
		if vm, ok := v.vms[r]; ok {
			return vm
		}
		return nil
	case "VirtualMachineSnapshot":
		if s := v.snapshot(r); s != nil {
			return s
		}
		return nil
	case "Task":
		if t := v.tasks.find(r); t != nil {
			return t
		}
		return nil
	}
	if obj := v.reg.Get(r); obj != nil {
		return obj
	}
	return nil
}

// lookup finds an object of a type of package mo, nil when it is not there or is something else.
func lookup[T any](v *VCenter, r ref) *T {
	obj := v.object(r)
	if obj == nil {
		return nil
	}
	value, ok := property.Managed(obj)
	if !ok {
		return nil
	}
	found, _ := value.Addr().Interface().(*T)
	return found
}

func (v *VCenter) entity(r ref) *mo.ManagedEntity {
	obj, ok := v.object(r).(mo.Entity)
	if !ok {
		return nil
	}
	return obj.Entity()
}

func (v *VCenter) name(r ref) string {
	if e := v.entity(r); e != nil {
		return e.Name
	}
	return ""
}

// touch tells every property collector that an object changed. The caller holds the lock.
func (v *VCenter) touch(refs ...ref) { v.watchers.notify(refs) }

// restructure says that the tree changed: entities appeared, moved or went.
func (v *VCenter) restructure(refs ...ref) {
	v.structure++
	v.watchers.notify(refs)
}

// children in the order that a ContainerView walks them.
func (v *VCenter) children(r ref) []ref {
	obj := v.object(r)
	if obj == nil {
		return nil
	}
	value, ok := property.Managed(obj)
	if !ok {
		return nil
	}
	switch e := value.Addr().Interface().(type) {
	case *mo.Datacenter:
		return []ref{e.VmFolder, e.HostFolder, e.DatastoreFolder, e.NetworkFolder}
	case *mo.Folder:
		return e.ChildEntity
	case *mo.ComputeResource:
		return append(append([]ref{}, e.Host...), *e.ResourcePool)
	case *mo.ClusterComputeResource:
		return append(append([]ref{}, e.Host...), *e.ResourcePool)
	case *mo.ResourcePool:
		return append(append([]ref{}, e.ResourcePool...), e.Vm...)
	default:
		return nil
	}
}

// pathOf is "kunde-a/web-01": the inventory path below the datacenter's VM folder, or the whole
// path from the root for anything else.
func (v *VCenter) pathOf(r ref) string {
	var names []string
	for r != v.vmFolder {
		e := v.entity(r)
		if e == nil {
			return strings.Join(names, "/")
		}
		if e.Parent == nil {
			break
		}
		names = append([]string{v.name(r)}, names...)
		r = *e.Parent
	}
	return strings.Join(names, "/")
}

// vmAt finds a VM by its path below the VM folder, nil when there is none.
func (v *VCenter) vmAt(path string) *VM {
	at := v.vmFolder
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		next, found := v.child(at, name)
		if !found {
			return nil
		}
		at = next
	}
	return v.vms[at]
}

// child finds a child by name. Below the VM folder, where folders grow large, there is an index.
func (v *VCenter) child(parent ref, name string) (ref, bool) {
	if names, indexed := v.names[parent]; indexed {
		found, ok := names[name]
		return found, ok
	}
	for _, c := range v.children(parent) {
		if v.name(c) == name {
			return c, true
		}
	}
	return ref{}, false
}

// adopt puts a child below a folder of the VM tree; abandon takes it away again.
func (v *VCenter) adopt(folder *mo.Folder, child *mo.ManagedEntity) {
	names := v.names[folder.Self]
	if names == nil {
		names = map[string]ref{}
		v.names[folder.Self] = names
	}
	names[child.Name] = child.Self
	child.Parent = &folder.Self
	folder.ChildEntity = append(folder.ChildEntity, child.Self)
	v.restructure(folder.Self, child.Self)
}

func (v *VCenter) abandon(child *mo.ManagedEntity) {
	folder := lookup[mo.Folder](v, *child.Parent)
	delete(v.names[folder.Self], child.Name)
	folder.ChildEntity = without(folder.ChildEntity, child.Self)
	v.restructure(folder.Self, child.Self)
}

func without(list []ref, gone ref) []ref {
	kept := make([]ref, 0, len(list))
	for _, r := range list {
		if r != gone {
			kept = append(kept, r)
		}
	}
	return kept
}

// kinds are the managed object types whose property paths are checked; others are taken as given.
var kinds = map[string]reflect.Type{
	"ClusterComputeResource": reflect.TypeFor[mo.ClusterComputeResource](),
	"ComputeResource":        reflect.TypeFor[mo.ComputeResource](),
	"ContainerView":          reflect.TypeFor[mo.ContainerView](),
	"Datacenter":             reflect.TypeFor[mo.Datacenter](),
	"Datastore":              reflect.TypeFor[mo.Datastore](),
	"EventHistoryCollector":  reflect.TypeFor[mo.EventHistoryCollector](),
	"EventManager":           reflect.TypeFor[mo.EventManager](),
	"Folder":                 reflect.TypeFor[mo.Folder](),
	"HostSystem":             reflect.TypeFor[mo.HostSystem](),
	"ListView":               reflect.TypeFor[mo.ListView](),
	"ManagedEntity":          reflect.TypeFor[mo.ManagedEntity](),
	"Network":                reflect.TypeFor[mo.Network](),
	"ResourcePool":           reflect.TypeFor[mo.ResourcePool](),
	"ServiceInstance":        reflect.TypeFor[mo.ServiceInstance](),
	"SessionManager":         reflect.TypeFor[mo.SessionManager](),
	"Task":                   reflect.TypeFor[mo.Task](),
	"TaskManager":            reflect.TypeFor[mo.TaskManager](),
	"VirtualMachine":         reflect.TypeFor[mo.VirtualMachine](),
	"VirtualMachineSnapshot": reflect.TypeFor[mo.VirtualMachineSnapshot](),
}
