package vcenter

import (
	"bytes"

	"github.com/vmware/govmomi/vim25/types"
)

// memory is assigned in steps of 4 MiB.
const memoryStep = 4

// reconfigure checks the whole spec before it changes anything: a refused call has no effect.
func (v *VCenter) reconfigure(c *Call, req *types.ReconfigVM_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	// The decoder drops a zero, which is a wrong number of CPUs and not "leave it as it is".
	zero := bytes.Contains(c.Raw, []byte("<numCPUs>0</")) || bytes.Contains(c.Raw, []byte("<memoryMB>0</"))
	user, spec := c.User(), req.Spec
	return job{entity: vm.Self, apply: func() (any, Fault) {
		if v.vms[vm.Self] != vm {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		if zero {
			return nil, invalidArgument("configSpec")
		}
		if fault := v.checkSpec(vm, &spec); fault != nil {
			return nil, fault
		}
		devices, fault := v.changedDevices(vm, spec.DeviceChange)
		if fault != nil {
			return nil, fault
		}
		vm.Config.Hardware.Device = devices
		v.applySpec(vm, &spec)
		v.post(user, "Reconfigured "+vm.Name,
			&types.VmReconfiguredEvent{VmEvent: v.vmEvent(vm), ConfigSpec: spec})
		return nil, nil
	}}, nil
}

func (v *VCenter) checkSpec(vm *VM, spec *types.VirtualMachineConfigSpec) Fault {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return &types.ConcurrentAccess{}
	}
	if fault := checkCPU(vm, spec); fault != nil {
		return fault
	}
	if fault := checkMemory(vm, spec); fault != nil {
		return fault
	}
	if spec.CpuHotAddEnabled != nil || spec.CpuHotRemoveEnabled != nil || spec.MemoryHotAddEnabled != nil {
		if vm.on() {
			return wrongPower(vm, types.VirtualMachinePowerStatePoweredOff)
		}
	}
	if spec.Name != "" && spec.Name != vm.Name {
		return v.nameTaken(*vm.Parent, spec.Name)
	}
	return nil
}

func checkCPU(vm *VM, spec *types.VirtualMachineConfigSpec) Fault {
	have := vm.Config.Hardware.NumCPU
	switch {
	case spec.NumCPUs == 0 || spec.NumCPUs == have:
		return nil
	case spec.NumCPUs < 0:
		return invalidArgument("configSpec.numCPUs")
	case !vm.on():
		return nil
	case spec.NumCPUs > have && *vm.Config.CpuHotAddEnabled:
		return nil
	case spec.NumCPUs < have && *vm.Config.CpuHotRemoveEnabled:
		return nil
	default:
		return &types.CpuHotPlugNotSupported{}
	}
}

func checkMemory(vm *VM, spec *types.VirtualMachineConfigSpec) Fault {
	have := int64(vm.Config.Hardware.MemoryMB)
	switch {
	case spec.MemoryMB == 0 || spec.MemoryMB == have:
		return nil
	case spec.MemoryMB < 0 || spec.MemoryMB%memoryStep != 0 || spec.MemoryMB > 1<<30:
		return invalidArgument("configSpec.memoryMB")
	case !vm.on():
		return nil
	case spec.MemoryMB < have || !*vm.Config.MemoryHotAddEnabled:
		return &types.MemoryHotPlugNotSupported{}
	case spec.MemoryMB > vm.Config.HotPlugMemoryLimit:
		return &types.MemorySizeNotSupported{
			MemorySizeMB: int32(spec.MemoryMB), MinMemorySizeMB: memoryStep,
			MaxMemorySizeMB: int32(vm.Config.HotPlugMemoryLimit),
		}
	case (spec.MemoryMB-have)%vm.Config.HotPlugMemoryIncrementSize != 0:
		return invalidArgument("configSpec.memoryMB")
	default:
		return nil
	}
}

func (v *VCenter) nameTaken(folder ref, name string) Fault {
	if other, taken := v.child(folder, name); taken {
		return &types.DuplicateName{Name: name, Object: other}
	}
	return nil
}

func (v *VCenter) applySpec(vm *VM, spec *types.VirtualMachineConfigSpec) {
	config := vm.Config
	if spec.NumCPUs > 0 {
		config.Hardware.NumCPU = spec.NumCPUs
	}
	if spec.NumCoresPerSocket != nil {
		config.Hardware.NumCoresPerSocket = spec.NumCoresPerSocket
	}
	if spec.MemoryMB > 0 {
		config.Hardware.MemoryMB = int32(spec.MemoryMB)
	}
	setIf(&config.CpuHotAddEnabled, spec.CpuHotAddEnabled)
	setIf(&config.CpuHotRemoveEnabled, spec.CpuHotRemoveEnabled)
	setIf(&config.MemoryHotAddEnabled, spec.MemoryHotAddEnabled)
	setIf(&config.CpuAllocation, spec.CpuAllocation)
	setIf(&config.MemoryAllocation, spec.MemoryAllocation)
	setIf(&config.ManagedBy, spec.ManagedBy)
	setIf(&config.Tools, spec.Tools)
	setIf(&config.BootOptions, spec.BootOptions)
	setIf(&config.ChangeTrackingEnabled, spec.ChangeTrackingEnabled)
	if spec.Annotation != "" {
		config.Annotation = spec.Annotation
	}
	if spec.Name != "" && spec.Name != vm.Name {
		v.renameVM(vm, spec.Name)
	}
	config.ExtraConfig = mergeOptions(config.ExtraConfig, spec.ExtraConfig)
	v.configured(vm)
}

func setIf[T any](target **T, wanted *T) {
	if wanted != nil {
		*target = wanted
	}
}

// mergeOptions: a key that is there is replaced, an empty value removes it, the rest stays. The
// list is a new one, because what was sent to clients must not change under them.
func mergeOptions(have, wanted []types.BaseOptionValue) []types.BaseOptionValue {
	if len(wanted) == 0 {
		return have
	}
	merged := append([]types.BaseOptionValue{}, have...)
	for _, option := range wanted {
		value := option.GetOptionValue()
		at := -1
		for i := range merged {
			if merged[i].GetOptionValue().Key == value.Key {
				at = i
			}
		}
		text, isText := value.Value.(string)
		removal := value.Value == nil || isText && text == ""
		switch {
		case removal && at >= 0:
			merged = append(merged[:at], merged[at+1:]...)
		case removal:
		case at >= 0:
			merged[at] = value
		default:
			merged = append(merged, value)
		}
	}
	return merged
}
