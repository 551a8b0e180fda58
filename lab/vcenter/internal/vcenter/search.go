package vcenter

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

func (v *VCenter) findByUUID(_ *Call, req *types.FindByUuid) (any, Fault) {
	if found := v.allByUUID(req.Uuid, req.VmSearch, req.InstanceUuid); len(found) > 0 {
		return found[0], nil
	}
	return nil, nil
}

func (v *VCenter) findAllByUUID(_ *Call, req *types.FindAllByUuid) (any, Fault) {
	return v.allByUUID(req.Uuid, req.VmSearch, req.InstanceUuid), nil
}

func (v *VCenter) allByUUID(id string, vms bool, instance *bool) []ref {
	if !vms {
		return nil
	}
	id = strings.ToLower(id)
	if instance != nil && *instance {
		if vm := v.byUUID[id]; vm != nil {
			return []ref{vm.Self}
		}
		return nil
	}
	var found []ref
	for r, vm := range v.vms {
		if vm.Config.Uuid == id {
			found = append(found, r)
		}
	}
	return found
}

func (v *VCenter) findByInventoryPath(_ *Call, req *types.FindByInventoryPath) (any, Fault) {
	at := v.content.RootFolder
	for _, name := range strings.FieldsFunc(req.InventoryPath, func(r rune) bool { return r == '/' }) {
		next, found := v.child(at, name)
		if !found {
			return nil, nil
		}
		at = next
	}
	return at, nil
}

func (v *VCenter) findChild(_ *Call, req *types.FindChild) (any, Fault) {
	if v.object(req.Entity) == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.Entity}
	}
	if found, ok := v.child(req.Entity, req.Name); ok {
		return found, nil
	}
	return nil, nil
}

func (v *VCenter) findByDNSName(_ *Call, req *types.FindByDnsName) (any, Fault) {
	for r, vm := range v.vms {
		if req.VmSearch && vm.Guest.HostName == req.DnsName {
			return r, nil
		}
	}
	return nil, nil
}

// The answers about privileges are the same decisions that refuse calls.

func (v *VCenter) hasPrivileges(c *Call, req *types.HasPrivilegeOnEntities) (any, Fault) {
	var list []types.EntityPrivilege
	for _, entity := range req.Entity {
		one := types.EntityPrivilege{Entity: entity}
		for _, id := range req.PrivId {
			one.PrivAvailability = append(one.PrivAvailability,
				types.PrivilegeAvailability{PrivId: id, IsGranted: v.authority.allows(c.User(), id)})
		}
		list = append(list, one)
	}
	return list, nil
}

func (v *VCenter) hasPrivilege(c *Call, req *types.HasPrivilegeOnEntity) (any, Fault) {
	var granted []bool
	for _, id := range req.PrivId {
		granted = append(granted, v.authority.allows(c.User(), id))
	}
	return granted, nil
}

func (v *VCenter) hasUserPrivileges(_ *Call, req *types.HasUserPrivilegeOnEntities) (any, Fault) {
	var list []types.EntityPrivilege
	for _, entity := range req.Entities {
		one := types.EntityPrivilege{Entity: entity}
		for _, id := range req.PrivId {
			one.PrivAvailability = append(one.PrivAvailability,
				types.PrivilegeAvailability{PrivId: id, IsGranted: v.authority.allows(req.UserName, id)})
		}
		list = append(list, one)
	}
	return list, nil
}

func (v *VCenter) userPrivileges(_ *Call, req *types.FetchUserPrivilegeOnEntities) (any, Fault) {
	var list []types.UserPrivilegeResult
	for _, entity := range req.Entities {
		list = append(list, types.UserPrivilegeResult{Entity: entity, Privileges: v.authority.privileges(req.UserName)})
	}
	return list, nil
}

func (v *VCenter) queryOptions(_ *Call, req *types.QueryOptions) (any, Fault) {
	return nil, &types.InvalidName{Name: req.Name}
}

func (v *VCenter) readableByAnyone(c *Call) bool {
	open := []ref{{Type: "ServiceInstance", Value: "ServiceInstance"}, *v.content.SessionManager}
	switch c.Method {
	case "Fetch", "RetrieveProperties", "RetrievePropertiesEx":
	default:
		return false
	}
	targets := targetsOf(c)
	return len(targets) > 0 && !slices.ContainsFunc(targets, func(r ref) bool { return !slices.Contains(open, r) })
}
