"""One ManagedVM as a whole: when anything is done at all, in what order, and what status remembers."""

from dataclasses import replace

import pytest

from managedvm.api.vcenter import Mode
from managedvm.planning.actions import (
    ClaimVM,
    ConfirmUnchanged,
    OverrideHighAvailability,
    Reconfigure,
    RecordRequest,
    ReleaseClaim,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import HaSettings, PowerState, TaskState, Unknown
from managedvm.planning.permission import effective_mode
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import RETRY_AFTER
from managedvm.planning.targets import BASELINE_NOTE
from tests import laws
from tests.factories import (
    NOW,
    OTHER_UUID,
    PATH,
    PREMIUM,
    claim,
    customer,
    managed_vm,
    minutes,
    observed,
    order,
    restarts,
    slip,
    task,
    vcenter_spec,
    virtual_machine,
)

GROWN = {"resources": {"memory": "8Gi"}, "change": slip(), "restartPolicy": "InWindow"}
NEEDY = virtual_machine(ha_override=None, has_baseline=False, memory_hot_add=True)
"""A VM on which everything would have to be done."""


def planned(vm, found, now=NOW):
    """Return a plan that keeps every law."""
    decided = plan(vm, found, now)
    laws.check(vm, found, now, decided)
    return decided


def kinds(decided) -> list[type]:
    return [type(action) for action in decided.actions]


def reason(decided, aspect) -> Reason:
    return next(finding.reason for finding in decided.findings if finding.aspect is aspect)


def provisioned(**spec):
    identity = {"vCenterRef": {"name": "berlin"}, "inventoryPath": PATH, "origin": "Provisioned"}
    return managed_vm(vm=identity, **spec)


def test_a_vm_that_is_as_agreed_needs_nothing():
    decided = planned(managed_vm(resources={"cpus": 2}), observed())
    assert (decided.actions, decided.next_check) == ((), None)
    assert reason(decided, Aspect.RESOURCES_AS_AGREED) is Reason.RESOURCES_AS_AGREED


def test_a_vm_without_an_agreed_size_says_so():
    assert reason(planned(managed_vm(), observed()), Aspect.RESOURCES_AS_AGREED) is Reason.NO_SIZE_AGREED


@pytest.mark.parametrize(
    ("wished", "allowed", "origin", "mode"),
    [
        ("Enforce", "Enforce", "Adopted", Mode.ENFORCE),
        ("Enforce", "Observe", "Adopted", Mode.OBSERVE),
        ("Observe", "Enforce", "Provisioned", Mode.OBSERVE),
        (None, "Enforce", "Adopted", Mode.OBSERVE),
        (None, "Enforce", "Provisioned", Mode.ENFORCE),
        (None, "Observe", "Provisioned", Mode.OBSERVE),
    ],
)
def test_the_mode_is_the_wish_or_the_origins_default_capped_by_the_vcenter(wished, allowed, origin, mode):
    vm = managed_vm(
        mode=wished, vm={"vCenterRef": {"name": "berlin"}, "inventoryPath": PATH, "origin": origin}
    )
    assert effective_mode(vm, vcenter_spec(maximumMode=allowed)) is mode
    assert effective_mode(vm, None) is Mode.OBSERVE


FORBIDDEN = {
    "observe": (managed_vm(mode="Observe", **GROWN), observed(NEEDY), Reason.OBSERVE_ONLY),
    "capped": (
        managed_vm(**GROWN),
        observed(NEEDY, vcenter=vcenter_spec(maximumMode="Observe")),
        Reason.OBSERVE_ONLY,
    ),
    "suspended": (managed_vm(suspend=True, **GROWN), observed(NEEDY), Reason.SUSPENDED),
    "unknown customer": (managed_vm(**GROWN), observed(NEEDY, customer=None), Reason.CUSTOMER_UNKNOWN),
    "another's namespace": (
        managed_vm(**GROWN),
        observed(NEEDY, customer=customer(["kunde-b"])),
        Reason.CUSTOMER_UNKNOWN,
    ),
    "missing policy": (
        managed_vm(**GROWN),
        observed(NEEDY, missing_policies=("managedvm-records",)),
        Reason.POLICY_BINDING_MISSING,
    ),
    "no ledger": (managed_vm(**GROWN), observed(NEEDY, is_ledger=False), Reason.LEDGER_UNPROTECTED),
}


@pytest.mark.parametrize("case", FORBIDDEN)
@pytest.mark.parametrize("claims", [True, False], ids=["claimed", "not claimed"])
def test_without_permission_there_is_no_action_at_all(case, claims):
    vm, found, why = FORBIDDEN[case]
    if not claims:
        found = replace(found, claims={}, own_claim=None)
    decided = planned(vm, found)
    assert (decided.actions, decided.may_act) == ((), False)
    assert reason(decided, Aspect.CHANGES_PERMITTED) is why


def test_observe_decides_everything_and_says_what_it_would_do():
    decided = planned(managed_vm(mode="Observe", **GROWN), observed(NEEDY))
    assert reason(decided, Aspect.HIGH_AVAILABILITY_CONFIGURED) is Reason.HA_DRIFT
    assert reason(decided, Aspect.RESOURCES_AS_AGREED) is Reason.ADOPTION_PENDING
    size = next(f for f in decided.findings if f.aspect is Aspect.RESOURCES_AS_AGREED)
    assert "Memory 4Gi to 8Gi" in size.message
    assert "billed by effort" in size.message


def test_suspended_decides_nothing_and_keeps_its_status():
    vm = managed_vm(suspend=True, status={"mode": "Enforce"})
    assert planned(vm, observed(NEEDY)).status == vm.status


@pytest.mark.parametrize(
    ("read", "aspect", "why"),
    [
        ({"sight": Unknown("timeout")}, Aspect.VM_FOUND, Reason.VCENTER_UNREACHABLE),
        ({"sight": None}, Aspect.VM_FOUND, Reason.VCENTER_UNKNOWN),
        ({"vcenter": vcenter_spec(grants=[])}, Aspect.CLAIMED, Reason.NOT_GRANTED),
        (
            {"claims": {claim().metadata.name: claim(namespace="kunde-b")}, "own_claim": None},
            Aspect.CLAIMED,
            Reason.CONFLICT,
        ),
    ],
    ids=["vCenter away", "no such VCenter", "not granted", "somebody else's claim"],
)
def test_a_vm_that_cannot_be_seen_or_is_not_ours_is_left_alone(read, aspect, why):
    decided = planned(managed_vm(**GROWN), observed(NEEDY, **read))
    assert decided.actions == ()
    assert reason(decided, aspect) is why


def test_what_was_known_of_the_vm_stays_in_status_while_its_vcenter_is_away():
    seen = planned(managed_vm(), observed()).status
    vm = managed_vm().model_copy(update={"status": seen})
    assert planned(vm, observed(Unknown("timeout"))).status == seen


def test_nothing_else_is_done_before_the_vm_is_claimed():
    assert kinds(planned(managed_vm(**GROWN), observed(NEEDY, claims={}, own_claim=None))) == [ClaimVM]


def test_what_an_earlier_object_of_the_name_held_is_released_before_anything_else():
    earlier = claim(OTHER_UUID, uid="uid-of-an-earlier-object")
    found = observed(NEEDY, claims={}, own_claim=earlier, held=(earlier,))
    decided = planned(managed_vm(**GROWN), found)
    assert decided.actions == (ReleaseClaim(earlier.metadata.name, "uid-claim"),)
    assert planned(managed_vm(suspend=True), found).actions == ()


def test_an_object_that_was_made_again_for_the_same_vm_keeps_its_claim():
    same = claim(uid="uid-of-an-earlier-object")
    decided = planned(managed_vm(), observed(own_claim=same, held=(same,), claims={same.metadata.name: same}))
    assert decided.actions == ()
    assert reason(decided, Aspect.CLAIMED) is Reason.CLAIM_HELD


def test_everything_is_done_in_the_order_in_which_it_depends():
    decided = planned(managed_vm(**GROWN), observed(NEEDY))
    assert kinds(decided) == [RecordRequest, ConfirmUnchanged, Reconfigure, OverrideHighAvailability]


def test_what_one_promise_needs_does_not_wait_for_another():
    size, availability = planned(managed_vm(**GROWN), observed(NEEDY)).groups
    assert [type(action) for action in availability] == [OverrideHighAvailability]
    assert OverrideHighAvailability not in {type(action) for action in size}


NO_PACKAGE = managed_vm(package=None, **GROWN)


def test_a_vm_without_a_package_gets_high_availability_and_nothing_else():
    found = observed(NEEDY, requests=())
    decided = planned(managed_vm(package=None), found)
    assert kinds(decided) == [OverrideHighAvailability]


def test_a_change_that_is_ordered_without_a_package_is_documented_and_refused():
    decided = planned(NO_PACKAGE, observed())
    assert reason(decided, Aspect.RESOURCES_AS_AGREED) is Reason.NO_ACTIVE_PACKAGE
    created, refused = decided.actions
    assert isinstance(created, RecordRequest)
    assert refused.after.state == "Refused"
    assert refused.finding.clause is Clause.OPTIONAL_SERVICES


def test_a_premium_vm_without_its_package_keeps_high_availability_of_its_level():
    vm = managed_vm(level=PREMIUM, package=None)
    decided = planned(vm, observed(virtual_machine(ha_override=HaSettings())))
    assert reason(decided, Aspect.SERVICE_PACKAGE_ACTIVE) is Reason.PACKAGE_MISSING
    (action,) = decided.actions
    assert action.settings.restart_priority == "highest"


@pytest.mark.parametrize(
    "orders",
    [
        [order(from_="2026-11-23T12:00:01Z")],
        [order(until="2026-11-23T12:00:00Z")],
        [order(level="unheard-of")],
    ],
    ids=["a second before it starts", "from its end on", "of an unknown level"],
)
def test_without_an_order_in_force_nothing_is_done_not_even_claimed(orders):
    vm = managed_vm(orders=orders, **GROWN)
    assert planned(vm, observed(NEEDY)).actions == ()
    assert planned(vm, observed(NEEDY, claims={}, own_claim=None)).actions == ()


@pytest.mark.parametrize(
    "orders",
    [[order(from_="2026-11-23T12:00:00Z")], [order(until="2026-11-23T12:00:01Z")]],
    ids=["from its first instant", "until a second before its end"],
)
def test_with_an_order_in_force_all_of_it_is_done(orders):
    assert Reconfigure in kinds(planned(managed_vm(orders=orders, **GROWN), observed(NEEDY)))


def test_status_prints_the_order_in_force_the_next_one_and_what_is_included():
    vm = managed_vm(
        orders=[order(until="2026-12-01T00:00:00Z"), order("A-2", PREMIUM, from_="2026-12-01T00:00:00Z")]
    )
    decided = planned(vm, observed())
    assert decided.status.order is not None
    assert decided.status.next_order is not None
    assert (decided.status.order.reference, decided.status.next_order.reference) == ("A-1", "A-2")
    assert {s.name for s in decided.status.services if not s.included} == {"PatchManagement"}
    assert decided.next_check is not None


def test_the_baseline_is_noted_with_the_vm_in_the_same_task_as_a_change():
    decided = planned(managed_vm(**GROWN), observed(virtual_machine(has_baseline=False, memory_hot_add=True)))
    (change,) = (a for a in decided.actions if isinstance(a, Reconfigure))
    assert change.memory_mib == 8192
    assert set(change.notes) == {BASELINE_NOTE, "managedvm.change.memory"}
    assert '"memory":"4Gi"' in change.notes[BASELINE_NOTE]


def test_the_baseline_is_noted_alone_where_there_is_no_change_and_only_once():
    bare = virtual_machine(has_baseline=False)
    (noting,) = planned(managed_vm(), observed(bare)).actions
    assert isinstance(noting, Reconfigure)
    assert set(noting.notes) == {BASELINE_NOTE}
    assert planned(managed_vm(), observed(replace(bare, notes=noting.notes))).actions == ()


def test_a_refused_noting_of_the_baseline_rests():
    refused = virtual_machine(has_baseline=False, task=task(TaskState.ERROR, end=NOW))
    decided = planned(managed_vm(), observed(refused), NOW + minutes(1))
    assert (decided.actions, decided.next_check) == ((), NOW + RETRY_AFTER)
    assert kinds(planned(managed_vm(), observed(refused), NOW + RETRY_AFTER)) == [Reconfigure]


@pytest.mark.parametrize(
    "facts",
    [{"power": PowerState.SUSPENDED}, {"task": task(TaskState.RUNNING, end=None)}],
    ids=["suspended", "busy"],
)
def test_the_baseline_waits_for_a_vm_that_can_take_it(facts):
    assert planned(managed_vm(), observed(virtual_machine(has_baseline=False, **facts))).actions == ()


def test_a_found_size_is_the_baseline_of_an_adopted_vm():
    configuration = planned(managed_vm(), observed(virtual_machine(has_baseline=False))).status.configuration
    assert configuration is not None
    assert (configuration.baseline.memory, configuration.baseline_at) == ("4Gi", NOW)
    assert configuration.current == configuration.baseline


def test_a_baseline_that_status_remembers_is_noted_as_it_was():
    status = planned(managed_vm(), observed(virtual_machine(has_baseline=False))).status
    vm = managed_vm().model_copy(update={"status": status})
    later = virtual_machine(has_baseline=False, cpus=4)
    (noting,) = planned(vm, observed(later), NOW + minutes(60)).actions
    assert '"cpus":2' in noting.notes[BASELINE_NOTE]
    assert noting.notes[BASELINE_NOTE].startswith("2026-11-23T12:00:00Z")


def test_the_first_configuration_of_a_provisioned_vm_is_included_and_without_a_record():
    vm = provisioned(resources={"memory": "8Gi", "cpus": 4}, change=slip())
    new = virtual_machine(has_baseline=False, power=PowerState.OFF)
    decided = planned(vm, observed(new))
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]
    change = decided.actions[-1]
    assert (change.clause, change.memory_mib, change.cpus, change.notes) == (
        Clause.INITIAL_CONFIGURATION,
        8192,
        4,
        {},
    )
    assert decided.status.configuration is None, "it has no baseline before it is as ordered"


def test_once_it_was_as_ordered_the_first_configuration_is_over():
    vm = provisioned(resources={"memory": "8Gi"}, change=slip())
    ready = virtual_machine(has_baseline=False, memory_mib=8192)
    decided = planned(vm, observed(ready))
    assert kinds(decided) == [Reconfigure]
    remembered = vm.model_copy(update={"status": decided.status})
    shrunk = replace(ready, memory_mib=4096)
    assert reason(planned(remembered, observed(shrunk)), Aspect.RESOURCES_AS_AGREED) is Reason.BELOW_SPEC
    noted = replace(shrunk, notes=decided.actions[0].notes)
    made_anew = provisioned(resources={"memory": "8Gi"})
    assert reason(planned(made_anew, observed(noted)), Aspect.RESOURCES_AS_AGREED) is Reason.BELOW_SPEC


@pytest.mark.parametrize(
    ("vm", "facts", "why"),
    [
        (provisioned(resources={"cpus": 4}, package=None), {}, Reason.NO_ACTIVE_PACKAGE),
        (provisioned(resources={"cpus": 4}, mode="Observe"), {}, Reason.ADOPTION_PENDING),
        (provisioned(resources={"cpus": 4}), {}, Reason.RESTART_NOT_ALLOWED),
        (provisioned(resources={"cpus": 4}), {"power": PowerState.SUSPENDED}, Reason.RESTART_NOT_ALLOWED),
        (
            provisioned(resources={"cpus": 4}),
            {"task": task(TaskState.RUNNING, end=None)},
            Reason.CHANGE_IN_PROGRESS,
        ),
        (provisioned(resources={"cpus": 4}), {"task": task(TaskState.ERROR)}, Reason.CHANGE_FAILED),
        (
            provisioned(resources={"disks": [{"name": "a", "deviceNode": "SCSI(0:0)", "size": "20Gi"}]}),
            {},
            Reason.DISK_CANNOT_SHRINK,
        ),
    ],
    ids=["no package", "observe", "runs", "suspended", "busy", "refused lately", "disk too large"],
)
def test_what_stands_in_the_way_of_the_first_configuration_is_said(vm, facts, why):
    decided = planned(vm, observed(virtual_machine(has_baseline=False, **facts)))
    assert reason(decided, Aspect.RESOURCES_AS_AGREED) is why
    assert decided.actions == ()


def test_of_the_first_configuration_what_can_be_done_hot_is_done():
    vm = provisioned(resources={"cpus": 4, "memory": "8Gi"})
    decided = planned(vm, observed(virtual_machine(has_baseline=False, cpu_hot_add=True)))
    change = decided.actions[-1]
    assert (change.cpus, change.memory_mib) == (4, None)


def test_status_stays_the_same_while_nothing_changes():
    first = planned(managed_vm(), observed()).status
    vm = managed_vm().model_copy(update={"status": first})
    assert planned(vm, observed(), NOW + minutes(90)).status == first


def test_a_path_that_is_longer_than_status_has_room_for_does_no_harm():
    deep = virtual_machine(path=f"{PATH}/{'folder/' * 100}web-01")
    found = planned(managed_vm(), observed(deep)).status.vm
    assert found is not None
    assert len(found.inventory_path) == 512


def test_restarts_in_a_row_are_remembered_in_status():
    sick = virtual_machine(restarts=restarts(*(NOW - minutes(n) for n in (10, 20, 30))), heartbeat_since=NOW)
    decided = planned(managed_vm(), observed(sick))
    assert decided.status.high_availability is not None
    assert decided.status.high_availability.consecutive == 3
    assert reason(decided, Aspect.RESTARTS_WITHIN_LIMIT) is Reason.RESTART_LIMIT
    assert decided.actions == (), "the operator restarts nothing itself"
