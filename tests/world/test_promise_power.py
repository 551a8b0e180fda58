"""Decision 0025: what we have shut down runs again, whatever vCenter refuses and whatever becomes of the permission."""

import pytest

from lab import wait_until
from managedvm.clock import utc_now
from managedvm.reconcile import SETTLE
from tests.world.stage import COLD, OPEN_FOR_AN_HOUR, PATIENCE, condition, window

pytestmark = pytest.mark.lab

MORE = {"memory": "8Gi"}
POWER_CYCLE = ["ShutdownGuest", "ReconfigVM_Task", "PowerOnVM_Task"]


def ready(party, **spec):
    """Return a VM that takes no change while it runs, in an open window."""
    return party.vm(
        machine=COLD, maintenance=window(OPEN_FOR_AN_HOUR), restartPolicy="InWindow", **spec
    ).settled()


def is_in(vm, power):
    wait_until(lambda: vm.facts["power"] == power, f"{vm.path} {power}", seconds=PATIENCE, every=0.02)


def shut_down(vm, **fault):
    """Order more memory with a fault in vCenter, and return once the guest has shut down for it."""
    vm.party.stage.vcenter.fault(path=vm.path, **fault)
    vm.order("more", resources=MORE)
    is_in(vm, "poweredOff")


@pytest.fixture(autouse=True)
def _mended(stage):
    yield
    stage.vcenter.clear_faults()


@pytest.mark.parametrize("kind", ["reject", "fail-task"], ids=["at once", "in its task"])
def test_a_change_that_vcenter_refuses_costs_one_power_cycle_and_says_why(party, kind):
    vm = ready(party)
    done = len(vm.done_to_vm())
    shut_down(vm, kind=kind, method="ReconfigVM_Task", fault="NoPermission")
    is_in(vm, "poweredOn")
    refused = vm.request("Memory", "Refused")
    assert "NoPermission" in condition(refused, "Succeeded")["message"]
    said = vm.until("ResourcesAsAgreed", status="False", reason="OrderUsedUp")
    assert "NoPermission" in said["message"]
    vm.until("Ready", status="False", reason="OrderUsedUp")
    vm.assert_left_alone()
    assert vm.done_to_vm()[done:] == POWER_CYCLE
    assert vm.work() == []


def test_a_vm_that_does_not_start_with_its_change_gets_its_former_size_and_starts(party):
    vm, stage = ready(party), party.stage.vcenter
    shut_down(
        vm, kind="fail-task", method="PowerOnVM_Task", fault="InsufficientMemoryResourcesFault", count=1
    )
    is_in(vm, "poweredOn")
    refused = vm.request("Memory", "Refused")
    assert "does not start with it" in condition(refused, "Succeeded")["message"]
    assert vm.facts["memoryMiB"] == 4096
    assert vm.work() == []
    stage.clear_faults()
    vm.order("once-more", resources=MORE)
    vm.request("Memory", "Done")
    assert vm.facts["memoryMiB"] == 8192


def test_a_guest_that_we_may_not_ask_is_not_said_to_shut_down(party):
    vm = ready(party)
    party.stage.vcenter.fault("reject", method="ShutdownGuest", path=vm.path, fault="NoPermission")
    vm.order("more", resources=MORE)
    said = vm.until("ResourcesAsAgreed", status="False", reason="ChangeFailed")
    assert "cannot be asked to shut down" in said["message"]
    vm.until("Ready", status="False", reason="ChangeFailed")
    vm.assert_left_alone()


LOST = {
    "suspended": lambda vm: vm.patch(suspend=True),
    "set to Observe": lambda vm: vm.patch(mode="Observe"),
    "held by a finalizer": lambda vm: (held_by_a_finalizer(vm, ["example.org/y"]), vm.delete()),
}


def held_by_a_finalizer(vm, finalizers):
    vm.api.patch(vm.named, {"metadata": {"finalizers": finalizers}})


@pytest.mark.parametrize("case", LOST)
def test_a_vm_is_started_again_though_its_managed_vm_was(party, case):
    vm = ready(party)
    shut_down(vm, kind="slow-task", method="ReconfigVM_Task", seconds=3)
    LOST[case](vm)
    is_in(vm, "poweredOn")
    assert vm.facts["memoryMiB"] == 8192, "what was sent is done"
    vm.request("Memory", "Done")
    assert len(vm.work()) == 1
    held_by_a_finalizer(vm, None)


def test_a_refusal_for_vsphere_ha_holds_up_neither_order_nor_start_nor_bill(party):
    vm, stage = ready(party), party.stage.vcenter
    shut_down(vm, kind="slow-task", method="ReconfigVM_Task", seconds=3)
    stage.fault("reject", method="ReconfigureComputeResource_Task", fault="NoPermission")
    stage.ha_override(vm.path, remove=True)
    vm.request("Memory", "Done")
    is_in(vm, "poweredOn")
    vm.until("HighAvailabilityConfigured", status="False", reason="HighAvailabilityDrift")
    vm.until("ChangesPermitted", status="False", reason="NoPermission")
    stage.clear_faults()
    vm.settled()


def test_a_start_that_is_refused_is_no_storm_once_the_managed_vm_is_gone(party):
    vm = ready(party)
    party.stage.vcenter.fault("fail-task", method="PowerOnVM_Task", path=vm.path, fault="InvalidState")
    shut_down(vm, kind="slow-task", method="ReconfigVM_Task", seconds=2)
    vm.delete()

    def said():
        found = [condition(request, "Succeeded") for request in vm.requests()]
        return next((one for one in found if one and one["reason"] == "LeftPoweredOff"), None)

    assert "tried again at" in wait_until(said, "a word in the request", seconds=PATIENCE)["message"]
    other, end = party.vm("other").settled(), utc_now() + 2 * SETTLE
    while utc_now() < end:
        other.look_again()
    assert vm.done_to_vm().count("PowerOnVM_Task") == 1
