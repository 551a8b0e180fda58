package vcenter

import (
	"context"
	"log"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// hardware is what the VM's power methods need from the world behind it.
type hardware func(Backing, context.Context) error

func (v *VCenter) vmOf(c *Call) (*VM, Fault) {
	if vm := v.vms[c.This]; vm != nil {
		return vm, nil
	}
	return nil, &types.ManagedObjectNotFound{Obj: c.This}
}

func wrongPower(vm *VM, wanted types.VirtualMachinePowerState) Fault {
	return &types.InvalidPowerState{RequestedState: wanted, ExistingState: vm.Runtime.PowerState}
}

// powerJob is a change of power state that is allowed while the state is not one of "not".
func (v *VCenter) powerJob(
	c *Call, vm *VM, wanted types.VirtualMachinePowerState, allowed func() bool, machine hardware, event types.BaseEvent,
) job {
	j := job{entity: vm.Self}
	if !allowed() {
		j.check = wrongPower(vm, wanted)
	}
	if vm.backing != nil && machine != nil {
		j.slow = func() error { return machine(vm.backing, v.closing) }
	}
	user := c.User()
	j.apply = func() (any, Fault) {
		if v.vms[vm.Self] != vm {
			return nil, &types.ManagedObjectNotFound{Obj: vm.Self}
		}
		if !allowed() {
			return nil, wrongPower(vm, wanted)
		}
		v.setPower(vm, wanted)
		v.post(user, vm.Name+" is now "+string(wanted), event)
		return nil, nil
	}
	return j
}

func (v *VCenter) powerOn(c *Call, _ *types.PowerOnVM_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	event := &types.VmPoweredOnEvent{VmEvent: v.vmEvent(vm)}
	return v.powerJob(c, vm, types.VirtualMachinePowerStatePoweredOn,
		func() bool { return !vm.on() && !vm.Config.Template }, Backing.PowerOn, event), nil
}

func (v *VCenter) powerOff(c *Call, _ *types.PowerOffVM_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	event := &types.VmPoweredOffEvent{VmEvent: v.vmEvent(vm)}
	return v.powerJob(c, vm, types.VirtualMachinePowerStatePoweredOff,
		func() bool { return vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff },
		Backing.PowerOff, event), nil
}

func (v *VCenter) suspend(c *Call, _ *types.SuspendVM_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	event := &types.VmSuspendedEvent{VmEvent: v.vmEvent(vm)}
	return v.powerJob(c, vm, types.VirtualMachinePowerStateSuspended, vm.on, Backing.PowerOff, event), nil
}

func (v *VCenter) reset(c *Call, _ *types.ResetVM_Task) (job, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return job{}, fault
	}
	event := &types.VmResettingEvent{VmEvent: v.vmEvent(vm)}
	return v.powerJob(c, vm, types.VirtualMachinePowerStatePoweredOn, vm.on, Backing.Reset, event), nil
}

// guestCall checks what every soft power operation needs: a running VM with running Tools.
func (v *VCenter) guestCall(c *Call, wanted types.VirtualMachinePowerState) (*VM, Fault) {
	vm, fault := v.vmOf(c)
	if fault != nil {
		return nil, fault
	}
	if !vm.on() {
		return nil, wrongPower(vm, wanted)
	}
	if !vm.toolsRunning() {
		return nil, &types.ToolsUnavailable{}
	}
	return vm, nil
}

func (v *VCenter) shutdownGuest(c *Call, _ *types.ShutdownGuest) (any, Fault) {
	vm, fault := v.guestCall(c, types.VirtualMachinePowerStatePoweredOff)
	if fault != nil {
		return nil, fault
	}
	user := c.User()
	v.post(user, "Guest OS shut down for "+vm.Name, &types.VmGuestShutdownEvent{VmEvent: v.vmEvent(vm)})
	if vm.ignoreShutdown {
		return nil, nil
	}
	v.later(vm, Backing.Shutdown, func() {
		v.setPower(vm, types.VirtualMachinePowerStatePoweredOff)
		v.post(user, vm.Name+" is now powered off", &types.VmPoweredOffEvent{VmEvent: v.vmEvent(vm)})
	})
	return nil, nil
}

func (v *VCenter) rebootGuest(c *Call, _ *types.RebootGuest) (any, Fault) {
	vm, fault := v.guestCall(c, types.VirtualMachinePowerStatePoweredOn)
	if fault != nil {
		return nil, fault
	}
	v.post(c.User(), "Guest OS reboot for "+vm.Name, &types.VmGuestRebootEvent{VmEvent: v.vmEvent(vm)})
	if vm.ignoreShutdown {
		return nil, nil
	}
	v.later(vm, Backing.Reboot, func() { v.setPower(vm, types.VirtualMachinePowerStatePoweredOn) })
	return nil, nil
}

func (v *VCenter) standbyGuest(c *Call, _ *types.StandbyGuest) (any, Fault) {
	vm, fault := v.guestCall(c, types.VirtualMachinePowerStateSuspended)
	if fault != nil {
		return nil, fault
	}
	v.later(vm, Backing.Shutdown, func() { v.setPower(vm, types.VirtualMachinePowerStateSuspended) })
	return nil, nil
}

// later lets the guest take its time and then does the rest, unless the VM's power changed
// meanwhile. The caller holds the lock.
func (v *VCenter) later(vm *VM, machine hardware, finish func()) {
	epoch, backing := vm.epoch, vm.backing
	wait := time.Duration(vm.shutdownSeconds * float64(time.Second))
	go func() {
		if backing != nil {
			if err := machine(backing, v.closing); err != nil {
				log.Printf("the guest of %s did not follow: %v", vm.Name, err)
				return
			}
		} else {
			pause(v.closing, wait)
		}
		v.locked(writing, func() {
			if v.vms[vm.Self] == vm && vm.epoch == epoch && v.closing.Err() == nil {
				finish()
			}
		})
	}()
}
