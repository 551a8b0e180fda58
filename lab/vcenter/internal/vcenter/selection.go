package vcenter

import (
	"reflect"

	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/property"
)

// resolve finds an object as this session sees it: its own views and collectors, the managers
// that look different to everybody, and the inventory. The caller holds the lock.
func (v *VCenter) resolve(s *session, r ref) any {
	if r == *v.content.SessionManager {
		return v.sessionManager(s)
	}
	if r.Type == "EventManager" {
		return v.events.manager(r)
	}
	if s != nil {
		switch own := s.get(r).(type) {
		case nil:
		case *containerView:
			return v.materialize(own)
		case *eventCollector:
			return own.page()
		case *collector:
			return own.view()
		default:
			return own
		}
	}
	return v.object(r)
}

// exists tells whether resolve would find something, without walking a container for it.
func (v *VCenter) exists(s *session, r ref) bool {
	return s != nil && s.get(r) != nil || v.object(r) != nil
}

// selection walks an object set and remembers, besides what was selected, which objects the walk
// went through: when one of them changes, the selection may have changed.
type selection struct {
	v         *VCenter
	session   *session
	named     map[string]*types.TraversalSpec
	selected  []ref
	seen      map[ref]bool
	traversed map[ref]bool
	visited   map[visit]bool
}

type visit struct {
	object ref
	spec   *types.TraversalSpec
}

// selectObjects lists what a filter spec selects, each object once, in the order of the walk.
func (v *VCenter) selectObjects(s *session, spec *types.PropertyFilterSpec) (*selection, Fault) {
	sel := &selection{
		v: v, session: s, named: map[string]*types.TraversalSpec{},
		seen: map[ref]bool{}, traversed: map[ref]bool{}, visited: map[visit]bool{},
	}
	for _, object := range spec.ObjectSet {
		if !v.exists(s, object.Obj) {
			if spec.ReportMissingObjectsInResults != nil && *spec.ReportMissingObjectsInResults {
				continue
			}
			return nil, &types.ManagedObjectNotFound{Obj: object.Obj}
		}
		if object.Skip == nil || !*object.Skip {
			sel.add(object.Obj)
		}
		sel.learn(object.SelectSet)
		if fault := sel.follow(object.Obj, object.SelectSet); fault != nil {
			return nil, fault
		}
	}
	return sel, nil
}

func (s *selection) add(r ref) {
	if !s.seen[r] {
		s.seen[r] = true
		s.selected = append(s.selected, r)
	}
}

func (s *selection) learn(specs []types.BaseSelectionSpec) {
	for _, spec := range specs {
		if traversal, ok := spec.(*types.TraversalSpec); ok {
			if traversal.Name != "" {
				s.named[traversal.Name] = traversal
			}
			s.learn(traversal.SelectSet)
		}
	}
}

func (s *selection) follow(from ref, specs []types.BaseSelectionSpec) Fault {
	for _, spec := range specs {
		traversal, ok := spec.(*types.TraversalSpec)
		if !ok {
			traversal = s.named[spec.GetSelectionSpec().Name]
			if traversal == nil {
				return &types.InvalidArgument{InvalidProperty: "specSet.objectSet.selectSet.name"}
			}
		}
		if fault := s.traverse(from, traversal); fault != nil {
			return fault
		}
	}
	return nil
}

func (s *selection) traverse(from ref, spec *types.TraversalSpec) Fault {
	if s.visited[visit{from, spec}] {
		return nil
	}
	s.visited[visit{from, spec}] = true
	value, ok := property.Managed(s.v.resolve(s.session, from))
	if !ok || !property.Is(value.Type(), spec.Type) {
		return nil
	}
	s.traversed[from] = true
	found, ok := property.Value(value, spec.Path)
	if !ok {
		return nil
	}
	for _, next := range references(found) {
		if !s.v.exists(s.session, next) {
			continue
		}
		if spec.Skip == nil || !*spec.Skip {
			s.add(next)
		}
		if fault := s.follow(next, spec.SelectSet); fault != nil {
			return fault
		}
	}
	return nil
}

func references(value reflect.Value) []ref {
	for value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	switch x := value.Interface().(type) {
	case ref:
		return []ref{x}
	case []ref:
		return x
	default:
		return nil
	}
}

// checkPaths refuses a property that its type does not have, as vCenter does; the stock simulator
// accepts it silently and a typing error in a client stays unseen.
func checkPaths(spec *types.PropertyFilterSpec) Fault {
	for _, set := range spec.PropSet {
		kind := kinds[set.Type]
		if kind == nil {
			continue
		}
		for _, path := range set.PathSet {
			if !property.Valid(kind, path) {
				return &types.InvalidProperty{Name: path}
			}
		}
	}
	return nil
}

// pathsFor merges what the property sets want of an object of this type; all=true means every one.
func pathsFor(kind reflect.Type, spec *types.PropertyFilterSpec) (paths []string, all, matched bool) {
	seen := map[string]bool{}
	for _, set := range spec.PropSet {
		if !property.Is(kind, set.Type) {
			continue
		}
		matched = true
		all = all || (set.All != nil && *set.All)
		for _, path := range set.PathSet {
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	if all {
		paths = everyPath(kind, nil)
	}
	return paths, all, matched
}

func everyPath(kind reflect.Type, paths []string) []string {
	for i := range kind.NumField() {
		field := kind.Field(i)
		switch {
		case field.Name == "Self":
		case field.Anonymous:
			paths = everyPath(field.Type, paths)
		default:
			paths = append(paths, field.Tag.Get("json"))
		}
	}
	return paths
}
