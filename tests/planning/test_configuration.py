"""Clauses 4, 4.2, 6.3: what an order slip orders, what it waits for, and how a request comes to its end."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    AdvanceRequest,
    ConfirmUnchanged,
    Reconfigure,
    RecordRequest,
)
from managedvm.planning.findings import Aspect, Truth
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import TaskState, Unknown
from managedvm.planning.reasons import Reason
from tests import laws
from tests.factories import (
    GIB,
    NOW,
    at,
    change_request,
    customer,
    disk,
    managed_vm,
    minutes,
    observed,
    price_book,
    rate,
    request_decision,
    request_name,
    requester,
    slip,
    task,
    virtual_machine,
)

STRANGER = "somebody@else.example"
HOT = virtual_machine(memory_hot_add=True)
NOTED = virtual_machine(memory_mib=8192, notes={"managedvm.change.memory": request_name()})
"""The VM after its memory was grown by the request of slip c-1."""


def wants(memory="8Gi", change=None, **spec):
    """Return web-01 with this memory ordered by slip c-1."""
    return managed_vm(resources={"memory": memory}, change=change or slip(), **spec)


def settled(vm, slip_id="c-1"):
    """Return the ManagedVM as it looks once the operator has seen that this slip has nothing left to order."""
    size = {"cpus": 2, "memory": "4Gi", "disks": {}}
    known = {
        "origin": "Adopted",
        "baseline": size,
        "baselineAt": NOW,
        "current": size,
        "settledChange": slip_id,
    }
    return type(vm).of({**vm.to_json(), "status": {"configuration": known}})


def planned(vm, found, now=NOW):
    """Return a plan that keeps every law."""
    decided = plan(vm, found, now)
    laws.check(vm, found, now, decided)
    return decided


def kinds(decided) -> list[type]:
    return [type(action) for action in decided.actions]


def reasons(decided) -> list[Reason]:
    return [finding.reason for finding in decided.findings if finding.aspect is Aspect.RESOURCES_AS_AGREED]


def advances(decided) -> list[AdvanceRequest]:
    return [action for action in decided.actions if isinstance(action, AdvanceRequest)]


def test_a_difference_without_an_order_slip_is_pending_and_nothing_is_done():
    decided = planned(managed_vm(resources={"memory": "8Gi"}), observed(HOT))
    assert (reasons(decided), decided.actions) == ([Reason.ADOPTION_PENDING], ())


def test_an_order_slip_is_recorded_then_confirmed_then_carried_out():
    decided = planned(wants(), observed(HOT))
    assert kinds(decided) == [RecordRequest, ConfirmUnchanged, Reconfigure]
    record, _, change = decided.actions
    assert record.body["metadata"]["name"] == request_name()
    assert record.body["spec"]["change"] == {"id": "c-1", "aspect": "Memory", "before": "4Gi", "after": "8Gi"}
    assert (change.memory_mib, change.cpus, change.disks) == (8192, None, {})
    assert change.notes == {"managedvm.change.memory": request_name()}
    assert change.change_version == HOT.change_version


def test_one_slip_for_several_aspects_is_a_request_for_each_and_one_reconfiguration():
    size = {
        "cpus": 4,
        "memory": "8Gi",
        "disks": [{"name": "system", "deviceNode": "SCSI(0:0)", "size": "50Gi"}],
    }
    vm = managed_vm(resources=size, change=slip())
    decided = planned(vm, observed(virtual_machine(cpu_hot_add=True, memory_hot_add=True)))
    assert kinds(decided) == [RecordRequest] * 3 + [ConfirmUnchanged, Reconfigure]
    change = decided.actions[-1]
    assert (change.cpus, change.memory_mib, change.disks) == (4, 8192, {2000: 50 * GIB})
    names = {request_name("c-1", a) for a in ("CPUs", "Memory", "Disk/system")}
    marks = {value for key, value in change.notes.items() if key.startswith("managedvm.change.")}
    assert marks == names
    assert len(change.notes) == 6, "each tells whose record has the time as well"


def test_a_request_that_is_recorded_is_not_recorded_again():
    decided = planned(wants(), observed(HOT, requests=[change_request()]))
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]


def test_in_observe_mode_a_slip_is_told_and_not_recorded():
    decided = planned(wants(mode="Observe"), observed(HOT))
    assert (reasons(decided), decided.actions) == ([Reason.ADOPTION_PENDING], ())


# Who may order


def test_an_unlisted_requester_is_documented_and_held():
    decided = planned(wants(change=slip(by=STRANGER)), observed(HOT))
    assert reasons(decided) == [Reason.REQUEST_HELD]
    assert kinds(decided) == [RecordRequest, AdvanceRequest]
    (held,) = advances(decided)
    assert (held.after.state, held.finding.truth) == (RequestState.HELD, Truth.UNKNOWN)
    assert held.after.assessment is not None


def test_a_held_request_stays_held_without_being_written_again():
    held = change_request(by=STRANGER, state="Held")
    decided = planned(wants(change=slip(by=STRANGER)), observed(HOT, requests=[held]))
    assert (reasons(decided), decided.actions) == ([Reason.REQUEST_HELD], ())


def test_a_held_request_goes_on_once_the_customer_lists_the_person_from_that_day_on():
    held = change_request(by=STRANGER, state="Held")
    listed = (requester(), requester(STRANGER))
    decided = planned(wants(change=slip(by=STRANGER)), observed(HOT, requests=[held], requesters=listed))
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]


def test_a_person_who_is_listed_later_than_the_request_was_made_changes_nothing():
    held = change_request(by=STRANGER, state="Held", asked_at=NOW - minutes(60))
    late = (requester(), requester(STRANGER, since="2026-11-23T11:30"))
    decided = planned(wants(change=slip(by=STRANGER)), observed(HOT, requests=[held], requesters=late))
    assert decided.actions == ()


def test_a_new_slip_takes_the_place_of_a_held_request():
    held = change_request(by=STRANGER, state="Held")
    vm = wants(change=slip("c-2"))
    (end,) = advances(planned(vm, observed(HOT, requests=[held])))
    assert (end.name, end.after.state) == (request_name("c-1"), RequestState.WITHDRAWN)
    closed = change_request(by=STRANGER, state="Withdrawn")
    decided = planned(vm, observed(HOT, requests=[closed]))
    assert kinds(decided) == [RecordRequest, ConfirmUnchanged, Reconfigure]
    assert decided.actions[0].body["metadata"]["name"] == request_name("c-2")


def test_a_new_slip_that_asks_the_same_of_a_request_under_way_orders_it_no_second_time():
    decided = planned(wants(change=slip("c-2")), observed(HOT, requests=[change_request()]))
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]
    assert decided.actions[-1].notes == {"managedvm.change.memory": request_name("c-1")}


@pytest.mark.parametrize("state", ["Scheduled", "InWork"])
def test_a_request_on_its_way_waits_when_the_list_changes_and_never_goes_back(state):
    under_way = change_request(by=STRANGER, state=state)
    decided = planned(wants(change=slip(by=STRANGER)), observed(HOT, requests=[under_way]))
    assert (reasons(decided), decided.actions) == ([Reason.REQUEST_HELD], ())


def test_the_customers_policy_may_let_everybody_order():
    proceed = customer(requests={"unlistedRequester": "Proceed"})
    assert Reconfigure in kinds(planned(wants(change=slip(by=STRANGER)), observed(HOT, customer=proceed)))


def test_what_is_decided_once_is_on_the_held_request_with_the_way_out():
    (held,) = advances(planned(wants(change=slip(by=STRANGER)), observed(HOT)))
    assert held.after.authority is not None
    assert (held.after.authority.may_proceed, held.after.authority.decided_at) == (False, NOW)
    assert f"`managedvm request release kunde-a/{held.name}`" in held.finding.message


@pytest.mark.parametrize("decided_as", ["Requester", "Staff"])
def test_a_held_request_that_was_released_is_carried_out(decided_as):
    held = change_request(by=STRANGER, state="Held")
    release = request_decision("Release", of=held.metadata.name, decided_as=decided_as)
    read = observed(HOT, requests=[held], decisions={held.metadata.name: (release,)})
    assert kinds(planned(wants(change=slip(by=STRANGER)), read)) == [ConfirmUnchanged, Reconfigure]


def test_a_release_by_who_may_not_order_is_told_and_nothing_is_done():
    held = change_request(by=STRANGER, state="Held")
    release = request_decision("Release", STRANGER, of=held.metadata.name)
    read = observed(HOT, requests=[held], decisions={held.metadata.name: (release,)})
    decided = planned(wants(change=slip(by=STRANGER)), read)
    assert decided.actions == ()
    (finding,) = (f for f in decided.findings if f.reason is Reason.REQUEST_HELD)
    assert f"Release by {STRANGER} does not count" in finding.message


@pytest.mark.parametrize("state", ["Ordered", "Held", "Scheduled"])
def test_a_request_that_was_withdrawn_is_not_carried_out_and_its_slip_is_used_up(state):
    asked = change_request(state=state)
    withdrawal = request_decision("Withdraw", of=asked.metadata.name)
    read = observed(HOT, requests=[asked], decisions={asked.metadata.name: (withdrawal,)})
    (end,) = advances(planned(wants(), read))
    assert (end.after.state, end.finding.reason) == (RequestState.WITHDRAWN, Reason.WITHDRAWN)
    decided = planned(wants(), observed(HOT, requests=[change_request(state="Withdrawn")]))
    assert (reasons(decided), decided.actions) == ([Reason.ORDER_USED_UP], ())


def test_what_took_effect_before_it_was_withdrawn_is_billed():
    asked = change_request()
    withdrawal = request_decision("Withdraw", of=asked.metadata.name)
    grown = virtual_machine(memory_mib=8192, notes={"managedvm.change.memory": asked.metadata.name})
    read = observed(grown, requests=[asked], decisions={asked.metadata.name: (withdrawal,)}, task=task())
    (end,) = advances(planned(wants(), read))
    assert end.after.state is RequestState.DONE
    assert end.after.authority is not None
    assert end.after.authority.entry is not None


# What it costs


def test_without_a_price_list_it_is_documented_and_not_done():
    decided = planned(wants(), observed(HOT, prices=None))
    assert reasons(decided) == [Reason.PRICE_UNKNOWN]
    assert kinds(decided) == [RecordRequest]


def test_before_the_first_rate_it_waits_until_that_rate_begins():
    later = price_book(rate("2026-12-01T00:00"))
    decided = planned(wants(), observed(HOT, prices=later))
    assert (reasons(decided), kinds(decided)) == ([Reason.PRICE_UNKNOWN], [RecordRequest])
    assert decided.next_check == at("2026-12-01T00:00")
    assert Reconfigure in kinds(planned(wants(), observed(HOT, prices=later), at("2026-12-01T00:00")))


# What is refused


def resized_disk(size, found=40.0):
    wanted = {"disks": [{"name": "system", "deviceNode": "SCSI(0:0)", "size": size}]}
    vm = managed_vm(resources=wanted, change=slip())
    return planned(vm, observed(virtual_machine(disks={"SCSI(0:0)": disk(found)})))


def test_a_disk_never_shrinks():
    decided = resized_disk("30Gi")
    assert reasons(decided) == [Reason.DISK_CANNOT_SHRINK]
    assert kinds(decided) == [RecordRequest, AdvanceRequest]
    assert advances(decided)[0].after.state is RequestState.REFUSED


def test_not_by_a_single_byte():
    decided = resized_disk("40Gi", found=40 + 1 / GIB)
    assert reasons(decided) == [Reason.DISK_CANNOT_SHRINK]


def test_a_disk_grows_while_the_vm_runs():
    assert Reconfigure in kinds(resized_disk("41Gi"))


@pytest.mark.parametrize("state", ["Refused", "Withdrawn"])
def test_a_slip_that_was_refused_or_withdrawn_is_used_up(state):
    decided = planned(wants(), observed(HOT, requests=[change_request(state=state)]))
    assert (reasons(decided), decided.actions) == ([Reason.ORDER_USED_UP], ())


def test_the_id_of_a_slip_cannot_be_used_for_another_change():
    done = change_request(after="6Gi", state="Done")
    decided = planned(
        wants(), observed(virtual_machine(memory_mib=6144, memory_hot_add=True), requests=[done])
    )
    assert (reasons(decided), decided.actions) == ([Reason.CHANGE_ID_REUSED], ())


# What nobody has ordered


@pytest.mark.parametrize(
    ("found", "why"),
    [(16384, Reason.EXCEEDS_SPEC), (2048, Reason.BELOW_SPEC)],
    ids=["larger", "smaller"],
)
def test_what_was_changed_by_somebodys_hand_is_told_and_neither_undone_nor_billed(found, why):
    changed = virtual_machine(memory_mib=found, memory_hot_add=True)
    done = change_request(state="Done")
    decided = planned(wants(), observed(changed, requests=[done]))
    assert (reasons(decided), decided.actions) == ([why], ())


def test_an_old_slip_does_not_order_what_differs_later():
    vm = settled(managed_vm(resources={"cpus": 2, "memory": "8Gi"}, change=slip()))
    grown = virtual_machine(cpus=4, memory_mib=8192)
    decided = planned(vm, observed(grown, requests=[change_request(state="Done")]))
    assert (reasons(decided), decided.actions) == ([Reason.EXCEEDS_SPEC], ())


def test_nor_does_a_slip_that_never_had_to_do_with_the_size():
    vm = settled(managed_vm(resources={"cpus": 2}, change=slip()))
    assert planned(vm, observed(virtual_machine(cpus=4))).actions == ()


def test_a_new_slip_orders_the_difference():
    vm = settled(managed_vm(resources={"cpus": 2}, change=slip("c-2")))
    assert RecordRequest in kinds(planned(vm, observed(virtual_machine(cpus=4))))


def test_a_vm_larger_than_its_yaml_is_left_alone_without_a_slip():
    decided = planned(managed_vm(resources={"cpus": 1}), observed())
    assert (reasons(decided), decided.actions) == ([Reason.EXCEEDS_SPEC], ())


def test_the_note_at_the_vm_remembers_an_order_whose_record_was_pruned():
    shrunk = replace(NOTED, memory_mib=4096, memory_hot_add=True)
    decided = planned(wants(), observed(shrunk))
    assert (reasons(decided), decided.actions) == ([Reason.BELOW_SPEC], ())


def settled_change(vm, found):
    configuration = planned(vm, found).status.configuration
    assert configuration is not None
    return configuration.settled_change


def test_a_slip_is_settled_when_each_difference_is_recorded_or_gone():
    assert settled_change(wants(), observed(HOT)) is None
    assert settled_change(wants(), observed(HOT, requests=[change_request()])) == "c-1"
    assert settled_change(wants("4Gi"), observed(HOT)) == "c-1"
    assert settled_change(wants(mode="Observe"), observed(HOT)) is None


def test_a_slip_of_two_aspects_is_not_settled_by_one_record():
    vm = managed_vm(resources={"cpus": 4, "memory": "8Gi"}, change=slip())
    assert settled_change(vm, observed(requests=[change_request()])) is None


@pytest.mark.parametrize(
    "read",
    [
        {"facts": replace(HOT, task=task(TaskState.RUNNING, end=None))},
        {"task": task(TaskState.RUNNING, end=None), "requests": [change_request(change_id="c-0")]},
        {"task": Unknown("timeout"), "requests": [change_request(change_id="c-0")]},
        {"requests": [change_request(change_id="c-0")]},
    ],
    ids=["our task runs", "an earlier task runs", "nobody can tell", "an earlier request is open"],
)
def test_a_slip_that_takes_an_order_back_is_not_settled_while_that_may_still_be_done(read):
    taken_back = wants("4Gi")
    assert settled_change(taken_back, observed(**{"facts": HOT, **read})) is None
