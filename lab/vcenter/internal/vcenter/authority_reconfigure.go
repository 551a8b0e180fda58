package vcenter

import (
	"reflect"
	"slices"

	"github.com/vmware/govmomi/vim25/types"
)

// reconfigureNeeds reads the privileges off the fields that the spec sets.
func (a *authority) reconfigureNeeds(vm *VM, spec *types.VirtualMachineConfigSpec) []string {
	table := &a.table.Reconfigure
	needed := map[string]bool{}
	value := reflect.ValueOf(*spec)
	for i := range value.NumField() {
		name := value.Type().Field(i).Name
		if value.Field(i).IsZero() || slices.Contains(table.Free, name) {
			continue
		}
		privilege, ok := table.Fields[name]
		if !ok {
			privilege = table.Other
		}
		needed[privilege] = true
	}
	for _, change := range spec.DeviceChange {
		needed[table.Devices[deviceChangeKind(vm, change.GetVirtualDeviceConfigSpec())]] = true
	}
	ids := make([]string, 0, len(needed))
	for id := range needed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// deviceChangeKind names the change as the privilege table does.
func deviceChangeKind(vm *VM, change *types.VirtualDeviceConfigSpec) string {
	disk, isDisk := change.Device.(*types.VirtualDisk)
	switch {
	case change.Operation == types.VirtualDeviceConfigSpecOperationEdit && isDisk:
		if vm != nil && sizeChanges(vm, disk) {
			return "extendDisk"
		}
		return "editDevice"
	case change.Operation == types.VirtualDeviceConfigSpecOperationEdit:
		return "editDevice"
	case change.Operation == types.VirtualDeviceConfigSpecOperationRemove && isDisk:
		return "removeDisk"
	case isDisk && change.FileOperation == "":
		return "addExistingDisk"
	case isDisk:
		return "addNewDisk"
	default:
		return "addRemoveDevice"
	}
}

func sizeChanges(vm *VM, wanted *types.VirtualDisk) bool {
	disk := vm.disk(wanted.Key)
	return disk == nil || wantedBytes(disk, wanted) != disk.CapacityInBytes
}
