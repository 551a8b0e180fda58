package vcenter

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/property"
)

type rawChange struct {
	Name string `xml:"name"`
	Op   string `xml:"op"`
	Raw  string `xml:",innerxml"`
}

type rawObjectUpdate struct {
	Kind      string      `xml:"kind"`
	Obj       ref         `xml:"obj"`
	ChangeSet []rawChange `xml:"changeSet,omitempty"`
}

type rawFilterUpdate struct {
	Filter    ref               `xml:"filter"`
	ObjectSet []rawObjectUpdate `xml:"objectSet,omitempty"`
}

// filter remembers, per selected object, a fingerprint of each property it last sent. A changed
// object costs its own properties only; the tree is walked again only when the tree changed.
type filter struct {
	mo.PropertyFilter
	owner     *collector
	fresh     bool
	structure uint64
	traversed map[ref]bool
	members   map[ref]*member
	queue     []ref
	queued    map[ref]bool
	paths     map[reflect.Type][]string
}

type member struct {
	sent   bool // the client knows the object
	gone   bool // and has to be told that it left
	prints []uint64
}

func newFilter(owner *collector, spec types.PropertyFilterSpec) *filter {
	f := &filter{
		owner: owner, fresh: true, members: map[ref]*member{},
		queued: map[ref]bool{}, paths: map[reflect.Type][]string{},
	}
	lenient := true // an object that disappears leaves the filter, it does not break it
	spec.ReportMissingObjectsInResults = &lenient
	f.Spec = spec
	return f
}

// restart makes the next update tell everything again.
func (f *filter) restart() {
	f.fresh, f.queue = true, nil
	f.members, f.queued = map[ref]*member{}, map[ref]bool{}
}

func (f *filter) enqueue(r ref) {
	if !f.queued[r] {
		f.queued[r] = true
		f.queue = append(f.queue, r)
	}
}

// absorb turns "these objects changed" into a queue of objects to look at. The caller holds the
// inventory's lock.
func (f *filter) absorb(v *VCenter, s *session, changed map[ref]bool) {
	if f.fresh || f.structure != v.structure || f.crosses(changed) {
		f.reselect(v, s)
	}
	for r := range changed {
		if f.members[r] != nil {
			f.enqueue(r)
		}
	}
}

func (f *filter) crosses(changed map[ref]bool) bool {
	for r := range changed {
		if f.traversed[r] {
			return true
		}
	}
	return false
}

func (f *filter) reselect(v *VCenter, s *session) {
	sel, fault := v.selectObjects(s, &f.Spec)
	if fault != nil {
		return
	}
	f.fresh, f.structure, f.traversed = false, v.structure, sel.traversed
	for _, r := range sel.selected {
		known := f.members[r]
		if known == nil {
			f.members[r] = &member{}
			f.enqueue(r)
		} else if known.gone {
			known.gone = false
			f.enqueue(r)
		}
	}
	for r, known := range f.members {
		if !sel.seen[r] && !known.gone {
			known.gone = true
			f.enqueue(r)
		}
	}
}

// take looks at up to n queued objects that have something to tell.
func (f *filter) take(v *VCenter, s *session, n int) []rawObjectUpdate {
	var updates []rawObjectUpdate
	for len(f.queue) > 0 && len(updates) < n {
		r := f.queue[0]
		f.queue = f.queue[1:]
		delete(f.queued, r)
		if update, ok := f.look(v, s, r); ok {
			updates = append(updates, update)
		}
	}
	return updates
}

func (f *filter) look(v *VCenter, s *session, r ref) (rawObjectUpdate, bool) {
	known := f.members[r]
	if known == nil {
		return rawObjectUpdate{}, false
	}
	value, ok := property.Managed(v.resolve(s, r))
	if known.gone || !ok {
		delete(f.members, r)
		return rawObjectUpdate{Kind: string(types.ObjectUpdateKindLeave), Obj: r}, known.sent
	}
	paths, matched := f.wanted(value.Type())
	if !matched {
		return rawObjectUpdate{}, false
	}
	changes := f.compare(known, value, paths)
	if !known.sent {
		known.sent = true
		return rawObjectUpdate{Kind: string(types.ObjectUpdateKindEnter), Obj: r, ChangeSet: changes}, true
	}
	return rawObjectUpdate{Kind: string(types.ObjectUpdateKindModify), Obj: r, ChangeSet: changes}, len(changes) > 0
}

func (f *filter) wanted(kind reflect.Type) ([]string, bool) {
	paths, known := f.paths[kind]
	if !known {
		var matched bool
		paths, _, matched = pathsFor(kind, &f.Spec)
		if matched && paths == nil {
			paths = []string{}
		}
		f.paths[kind] = paths
	}
	return paths, paths != nil
}

// compare lists the properties whose value is not what was last sent. One that became unset is
// assigned without a value.
func (f *filter) compare(known *member, value reflect.Value, paths []string) []rawChange {
	if known.prints == nil {
		known.prints = make([]uint64, len(paths))
	}
	var changes []rawChange
	for i, path := range paths {
		raw, ok := encoded(value, path)
		var print uint64
		if ok {
			print = fingerprint(raw)
		}
		if print == known.prints[i] {
			continue
		}
		known.prints[i] = print
		changes = append(changes, rawChange{path, string(types.PropertyChangeOpAssign), raw})
	}
	return changes
}
