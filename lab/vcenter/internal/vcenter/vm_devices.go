package vcenter

import (
	"fmt"

	"github.com/vmware/govmomi/vim25/types"
)

// changedDevices returns the VM's devices with the changes made, or a fault and no change. What is
// in the list is never modified in place: every change is a new device in a new list.
func (v *VCenter) changedDevices(
	vm *VM, changes []types.BaseVirtualDeviceConfigSpec,
) ([]types.BaseVirtualDevice, Fault) {
	devices := append([]types.BaseVirtualDevice{}, vm.Config.Hardware.Device...)
	for i, base := range changes {
		change := base.GetVirtualDeviceConfigSpec()
		if change.Device == nil {
			return nil, invalidArgument("configSpec.deviceChange.device")
		}
		var ok bool
		switch change.Operation {
		case types.VirtualDeviceConfigSpecOperationAdd:
			devices, ok = v.addDevice(devices, change.Device)
		case types.VirtualDeviceConfigSpecOperationEdit:
			devices, ok = editDevice(vm, devices, change.Device)
		case types.VirtualDeviceConfigSpecOperationRemove:
			devices, ok = removeDevice(devices, change.Device)
		default:
			return nil, invalidArgument("configSpec.deviceChange.operation")
		}
		if !ok {
			return nil, badDevice(i, change)
		}
	}
	return devices, nil
}

func badDevice(index int, change *types.VirtualDeviceConfigSpec) Fault {
	fault := &types.InvalidDeviceOperation{BadOp: change.Operation, BadFileOp: change.FileOperation}
	fault.DeviceIndex, fault.Property = int32(index), fmt.Sprintf("virtualDeviceSpec[%d]", index)
	return fault
}

func position(devices []types.BaseVirtualDevice, key int32) int {
	for i, device := range devices {
		if device.GetVirtualDevice().Key == key {
			return i
		}
	}
	return -1
}

// editDevice: a disk only ever grows; a size that is not mentioned stays.
func editDevice(vm *VM, devices []types.BaseVirtualDevice, wanted types.BaseVirtualDevice) ([]types.BaseVirtualDevice, bool) {
	at := position(devices, wanted.GetVirtualDevice().Key)
	if at < 0 {
		return nil, false
	}
	disk, isDisk := devices[at].(*types.VirtualDisk)
	if !isDisk {
		devices[at] = wanted
		return devices, true
	}
	change, ok := wanted.(*types.VirtualDisk)
	if !ok {
		return nil, false
	}
	bytes := wantedBytes(disk, change)
	if bytes < disk.CapacityInBytes || bytes > disk.CapacityInBytes && vm.Snapshot != nil {
		return nil, false
	}
	grown := *disk
	grown.CapacityInBytes, grown.CapacityInKB = bytes, bytes/1024
	grown.DeviceInfo = label(diskLabel(disk), fmt.Sprintf("%d KB", bytes/1024))
	devices[at] = &grown
	return devices, true
}

func diskLabel(disk *types.VirtualDisk) string {
	if disk.DeviceInfo == nil {
		return fmt.Sprintf("Hard disk %d", disk.Key-firstDisk+1)
	}
	return disk.DeviceInfo.GetDescription().Label
}

// wantedBytes is the size a client asks for: it may set bytes, kilobytes or both, and one that it
// merely sends back unchanged is not a wish.
func wantedBytes(disk, change *types.VirtualDisk) int64 {
	if change.CapacityInBytes > 0 && change.CapacityInBytes != disk.CapacityInBytes {
		return change.CapacityInBytes
	}
	if change.CapacityInKB > 0 {
		return change.CapacityInKB * 1024
	}
	if change.CapacityInBytes > 0 {
		return change.CapacityInBytes
	}
	return disk.CapacityInBytes
}

func (v *VCenter) addDevice(devices []types.BaseVirtualDevice, wanted types.BaseVirtualDevice) ([]types.BaseVirtualDevice, bool) {
	v.counter++ // devices and files are numbered with the objects
	device := wanted.GetVirtualDevice()
	change, isDisk := wanted.(*types.VirtualDisk)
	key := firstDisk
	if !isDisk {
		key = 10000
	}
	for position(devices, key) >= 0 {
		key++
	}
	if !isDisk {
		device.Key = key
		return append(devices, wanted), true
	}
	controller, unit := device.ControllerKey, device.UnitNumber
	at := position(devices, controller)
	if at < 0 || change.CapacityInBytes <= 0 && change.CapacityInKB <= 0 {
		return nil, false
	}
	if unit == nil {
		free := int32(0)
		for unitTaken(devices, controller, free) || free == 7 {
			free++
		}
		unit = &free
	} else if *unit < 0 || *unit == 7 || unitTaken(devices, controller, *unit) {
		return nil, false
	}
	disk := v.newDisk(key, *unit, wantedBytes(&types.VirtualDisk{}, change))
	disk.ControllerKey = controller
	return append(devices, disk), true
}

func unitTaken(devices []types.BaseVirtualDevice, controller, unit int32) bool {
	for _, device := range devices {
		d := device.GetVirtualDevice()
		if d.ControllerKey == controller && d.UnitNumber != nil && *d.UnitNumber == unit {
			return true
		}
	}
	return false
}

func removeDevice(devices []types.BaseVirtualDevice, wanted types.BaseVirtualDevice) ([]types.BaseVirtualDevice, bool) {
	at := position(devices, wanted.GetVirtualDevice().Key)
	if at < 0 {
		return nil, false
	}
	return append(devices[:at], devices[at+1:]...), true
}
