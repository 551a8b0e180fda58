package vcenter

import (
	"fmt"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// sizeOfSnapshotData is what a snapshot's own file takes: the configuration, without memory.
const sizeOfSnapshotData = 28 << 10

// layout tells which files hold the disks. Each disk is one file of its full size, and each snapshot adds one per disk,
// to which all is written from then on: that is how a snapshot grows. All of it goes to the first disk here.
func (v *VCenter) layout(vm *VM, current *ref) *types.VirtualMachineFileLayoutEx {
	layout := &types.VirtualMachineFileLayoutEx{Timestamp: time.Now().UTC()}
	add := func(kind types.VirtualMachineFileLayoutExFileType, size int64) int32 {
		key := int32(len(layout.File))
		layout.File = append(layout.File, types.VirtualMachineFileLayoutExFileInfo{
			Key: key, Name: fmt.Sprintf("[datastore-1] %s/file-%d", vm.Config.InstanceUuid, key), Type: string(kind),
			Size: size, UniqueSize: size,
		})
		return key
	}
	disks := vm.disks()
	base := make([]int32, len(disks))
	for i, disk := range disks {
		base[i] = add(types.VirtualMachineFileLayoutExFileTypeDiskExtent, disk.CapacityInBytes)
	}
	written := map[ref][]int32{}
	chains := func(line []*snapshot) []types.VirtualMachineFileLayoutExDiskLayout {
		var list []types.VirtualMachineFileLayoutExDiskLayout
		for i, disk := range disks {
			keys := []int32{base[i]}
			for _, s := range line {
				if i < len(written[s.Self]) {
					keys = append(keys, written[s.Self][i])
				}
			}
			unit := types.VirtualMachineFileLayoutExDiskUnit{FileKey: keys}
			list = append(list, types.VirtualMachineFileLayoutExDiskLayout{
				Key: disk.Key, Chain: []types.VirtualMachineFileLayoutExDiskUnit{unit},
			})
		}
		return list
	}
	for _, s := range v.inOrder(vm.Self) {
		line := v.lineTo(s.parent)
		layout.Snapshot = append(layout.Snapshot, types.VirtualMachineFileLayoutExSnapshotLayout{
			Key: s.Self, DataKey: add(types.VirtualMachineFileLayoutExFileTypeSnapshotData, sizeOfSnapshotData),
			MemoryKey: -1, Disk: chains(line),
		})
		for i := range disks {
			size := int64(0)
			if i == 0 {
				size = s.written
			}
			written[s.Self] = append(written[s.Self], add(types.VirtualMachineFileLayoutExFileTypeDiskExtent, size))
		}
	}
	layout.Disk = chains(v.lineTo(current))
	return layout
}

// inOrder are the snapshots of a VM, parents before their children.
func (v *VCenter) inOrder(vm ref) []*snapshot {
	var list []*snapshot
	for _, s := range v.snapshots {
		if s.Vm == vm {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b *snapshot) int { return int(a.tree.Id - b.tree.Id) })
	return list
}

// lineTo are the snapshots from the first one down to this one.
func (v *VCenter) lineTo(at *ref) []*snapshot {
	var line []*snapshot
	for at != nil && v.snapshots[*at] != nil {
		s := v.snapshots[*at]
		line = append([]*snapshot{s}, line...)
		at = s.parent
	}
	return line
}
