package vcenter

import (
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"managedvm.dev/lab/vcenter/internal/property"
)

// containerView has no list of its own: it is walked when somebody looks, so it is never stale.
type containerView struct {
	mo.ContainerView
}

type listView struct {
	mo.ListView
}

// materialize walks the container. The caller holds the lock.
func (v *VCenter) materialize(view *containerView) *mo.ContainerView {
	filled := view.ContainerView
	seen := map[ref]bool{}
	filled.View = []ref{}
	v.walk(view.Container, view.Recursive, seen, func(r ref, obj any) {
		if v.viewIncludes(&view.ContainerView, obj) {
			filled.View = append(filled.View, r)
		}
	})
	return &filled
}

func (v *VCenter) walk(from ref, recursive bool, seen map[ref]bool, found func(ref, any)) {
	for _, child := range v.children(from) {
		if seen[child] {
			continue
		}
		seen[child] = true
		obj := v.object(child)
		if obj == nil {
			continue
		}
		found(child, obj)
		if recursive {
			v.walk(child, true, seen, found)
		}
	}
}

func (v *VCenter) viewIncludes(view *mo.ContainerView, obj any) bool {
	if len(view.Type) == 0 {
		return true
	}
	value, ok := property.Managed(obj)
	if !ok {
		return false
	}
	for _, name := range view.Type {
		if property.Is(value.Type(), name) {
			return true
		}
	}
	return false
}

func (v *VCenter) createContainerView(c *Call, req *types.CreateContainerView) (any, Fault) {
	if v.object(req.Container) == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.Container}
	}
	view := &containerView{}
	view.Self = c.session.newRef("ContainerView")
	view.Container, view.Type, view.Recursive = req.Container, req.Type, req.Recursive
	c.session.put(view.Self, view)
	return view.Self, nil
}

func (v *VCenter) createListView(c *Call, req *types.CreateListView) (any, Fault) {
	view := &listView{}
	view.Self = c.session.newRef("ListView")
	for _, r := range req.Obj {
		if !v.exists(c.session, r) {
			return nil, &types.ManagedObjectNotFound{Obj: r}
		}
	}
	view.View = req.Obj
	c.session.put(view.Self, view)
	return view.Self, nil
}

func (v *VCenter) modifyListView(c *Call, req *types.ModifyListView) (any, Fault) {
	view, ok := c.session.get(c.This).(*listView)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.This}
	}
	list := append([]ref{}, view.View...)
	for _, gone := range req.Remove {
		list = without(list, gone)
	}
	list, unresolved := v.extend(c, list, req.Add)
	view.View = list
	v.touch(view.Self) // only filters that lead through this view have to be walked again
	return unresolved, nil
}

func (v *VCenter) resetListView(c *Call, req *types.ResetListView) (any, Fault) {
	view, ok := c.session.get(c.This).(*listView)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.This}
	}
	list, unresolved := v.extend(c, nil, req.Obj)
	view.View = list
	v.touch(view.Self) // only filters that lead through this view have to be walked again
	return unresolved, nil
}

func (v *VCenter) extend(c *Call, list, more []ref) (extended, unresolved []ref) {
	for _, r := range more {
		if !v.exists(c.session, r) {
			unresolved = append(unresolved, r)
			continue
		}
		list = append(list, r)
	}
	return list, unresolved
}

func (v *VCenter) destroyView(c *Call, _ *types.DestroyView) (any, Fault) {
	c.session.drop(c.This)
	return nil, nil
}
