package vcenter

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const keptEvents = 20000

// eventLog is the server's event history; keys only ever grow. Guarded by the inventory's lock.
type eventLog struct {
	key        int32
	all        []types.BaseEvent
	collectors map[ref]*eventCollector
	self       mo.EventManager
}

func (l *eventLog) init() {
	l.collectors = map[ref]*eventCollector{}
	l.self.MaxCollector = 1000
}

func (l *eventLog) manager(r ref) *mo.EventManager {
	copied := l.self
	copied.Self = r
	return &copied
}

func (l *eventLog) remove(r ref) { delete(l.collectors, r) }

// post adds an event and streams it to every collector whose filter it matches. An event that
// brings a time of its own keeps it. The caller holds the write lock.
func (v *VCenter) post(user, text string, event types.BaseEvent) {
	l := &v.events
	l.key++
	base := event.GetEvent()
	base.Key, base.ChainId, base.UserName, base.FullFormattedMessage = l.key, l.key, user, text
	if base.CreatedTime.IsZero() {
		base.CreatedTime = time.Now().UTC()
	}
	l.all = append(l.all, event)
	if len(l.all) > keptEvents {
		l.all = append([]types.BaseEvent{}, l.all[len(l.all)-keptEvents:]...)
	}
	l.self.LatestEvent = event
	v.touch(*v.content.EventManager)
	for r, c := range l.collectors {
		if v.eventMatches(event, &c.filter) {
			c.matched = append(c.matched, event)
			v.touch(r)
		}
	}
}

// eventMatches applies the parts of the filter that a client of ours uses; all must hold.
func (v *VCenter) eventMatches(event types.BaseEvent, spec *types.EventFilterSpec) bool {
	base := event.GetEvent()
	if spec.EventChainId != 0 && spec.EventChainId != base.ChainId {
		return false
	}
	if t := spec.Time; t != nil {
		if t.BeginTime != nil && base.CreatedTime.Before(*t.BeginTime) ||
			t.EndTime != nil && base.CreatedTime.After(*t.EndTime) {
			return false
		}
	}
	if u := spec.UserName; u != nil && len(u.UserList) > 0 && !slices.Contains(u.UserList, base.UserName) {
		return false
	}
	return typeMatches(event, append(append([]string{}, spec.EventTypeId...), spec.Type...)) &&
		v.entityMatches(event, spec.Entity)
}

// typeMatches: an id is the class of the event or one it inherits from, with or without prefix.
func typeMatches(event types.BaseEvent, ids []string) bool {
	if len(ids) == 0 {
		return true
	}
	kind := reflect.TypeOf(event).Elem()
	for _, id := range ids {
		if isEvent(kind, strings.TrimPrefix(id, "vim.event.")) {
			return true
		}
	}
	return false
}

func isEvent(kind reflect.Type, name string) bool {
	if kind.Name() == name {
		return true
	}
	for i := range kind.NumField() {
		if field := kind.Field(i); field.Anonymous && isEvent(field.Type, name) {
			return true
		}
	}
	return false
}

func (v *VCenter) entityMatches(event types.BaseEvent, by *types.EventFilterSpecByEntity) bool {
	if by == nil || by.Entity == v.content.RootFolder && by.Recursion != types.EventFilterSpecRecursionOptionSelf {
		return true
	}
	self := by.Recursion != types.EventFilterSpecRecursionOptionChildren
	below := by.Recursion != types.EventFilterSpecRecursionOptionSelf
	for _, r := range eventEntities(event.GetEvent()) {
		if r == by.Entity && self {
			return true
		}
		if r != by.Entity && below && v.isBelow(r, by.Entity) {
			return true
		}
	}
	return false
}

func eventEntities(e *types.Event) []ref {
	var refs []ref
	if e.Vm != nil {
		refs = append(refs, e.Vm.Vm)
	}
	if e.Host != nil {
		refs = append(refs, e.Host.Host)
	}
	if e.ComputeResource != nil {
		refs = append(refs, e.ComputeResource.ComputeResource)
	}
	if e.Datacenter != nil {
		refs = append(refs, e.Datacenter.Datacenter)
	}
	return refs
}

func (v *VCenter) isBelow(r, ancestor ref) bool {
	for e := v.entity(r); e != nil && e.Parent != nil; e = v.entity(*e.Parent) {
		if *e.Parent == ancestor {
			return true
		}
	}
	return false
}

// vmEvent fills in where the VM is right now, as every VM event carries it.
func (v *VCenter) vmEvent(vm *VM) types.VmEvent {
	event := types.VmEvent{Template: vm.Config.Template}
	event.Vm = &types.VmEventArgument{Vm: vm.Self}
	event.Vm.Name = vm.Name
	event.Datacenter = &types.DatacenterEventArgument{Datacenter: v.dc}
	event.Datacenter.Name = v.name(v.dc)
	if vm.Runtime.Host != nil {
		event.Host = v.hostArgument(*vm.Runtime.Host)
		if host := lookup[mo.HostSystem](v, *vm.Runtime.Host); host != nil {
			event.ComputeResource = &types.ComputeResourceEventArgument{ComputeResource: *host.Parent}
			event.ComputeResource.Name = v.name(*host.Parent)
		}
	}
	return event
}

func (v *VCenter) hostArgument(host ref) *types.HostEventArgument {
	argument := &types.HostEventArgument{Host: host}
	argument.Name = v.name(host)
	return argument
}
