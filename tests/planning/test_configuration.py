"""Clauses 4, 4.2, 6.3: what an order slip orders, what it waits for, and how a request comes to its end."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    AdvanceRequest,
    ConfirmUnchanged,
    Reconfigure,
    RecordRequest,
    RecordWork,
)
from managedvm.planning.case import STREAM_LAG
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Effect, Reason, Truth
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import TaskState, Unknown
from tests import laws
from tests.factories import (
    GIB,
    NOW,
    OTHER_UUID,
    REQUESTER,
    at,
    change_request,
    customer,
    disk,
    managed_vm,
    minutes,
    observed,
    order,
    price_book,
    rate,
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
    assert set(change.notes.values()) == {request_name("c-1", a) for a in ("CPUs", "Memory", "Disk/system")}


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


# How a request ends


def test_what_took_effect_is_billed_with_the_times_of_its_task_and_then_done():
    done_at = NOW - minutes(1)
    found = observed(NOTED, requests=[change_request(asked_at=NOW - minutes(5))], task=task(end=done_at))
    decided = planned(wants(), found)
    assert kinds(decided) == [RecordWork, AdvanceRequest]
    work, done = decided.actions
    assert work.body["spec"]["end"] == "2026-11-23T11:59:00Z"
    assert work.body["spec"]["evidence"] == {"task": "task-7"}
    assert work.body["spec"]["charge"]["amount"] == "30.00"
    assert (done.after.state, done.after.completed_at) == (RequestState.DONE, NOW)
    assert "30.00 EUR for 15m" in done.finding.message


@pytest.mark.parametrize(
    "other",
    [None, task(end=NOW - minutes(60)), task(TaskState.ERROR)],
    ids=["forgotten", "over before the request was made", "refused"],
)
def test_where_vcenter_does_not_tell_the_times_the_record_says_so(other):
    decided = planned(wants(), observed(NOTED, requests=[change_request()], task=other))
    work = decided.actions[0]
    assert (work.body["spec"]["begin"], work.body["spec"]["end"]) == ("2026-11-23T12:00:00Z",) * 2
    assert "evidence" not in work.body["spec"]
    assert "no longer tells" in work.body["spec"]["activity"]


@pytest.mark.parametrize(
    "vm",
    [
        wants("4Gi"),
        wants("16Gi"),
        managed_vm(),
        wants(orders=[order(package=None)]),
        wants(change=slip("c-9")),
    ],
    ids=["reverted", "changed again", "named no more", "no package any more", "another slip"],
)
def test_what_was_sent_already_is_done_and_billed_whatever_the_yaml_says(vm):
    decided = planned(vm, observed(NOTED, requests=[change_request()], task=task()))
    assert [a.after.state for a in advances(decided)][:1] == [RequestState.DONE]
    assert kinds(decided)[:2] == [RecordWork, AdvanceRequest]


@pytest.mark.parametrize(
    "orders",
    [[order(until="2026-11-23T12:00:00Z")], [order(level="unheard-of")]],
    ids=["the order has ended", "the level cannot be read"],
)
def test_it_is_billed_also_when_nothing_new_may_be_done(orders):
    decided = planned(wants(orders=orders), observed(NOTED, requests=[change_request()], task=task()))
    assert kinds(decided) == [RecordWork, AdvanceRequest]


def test_the_rate_is_the_one_of_the_time_of_the_work():
    prices = price_book(rate(hourly=12000), rate("2026-11-23T11:30", hourly=24000))
    found = observed(NOTED, requests=[change_request(asked_at=at("2026-11-23T11:00"))], prices=prices)
    early = replace(found, task=task(end=at("2026-11-23T11:20")))
    assert planned(wants(), early).actions[0].body["spec"]["charge"]["amount"] == "30.00"
    late = replace(found, task=task(end=at("2026-11-23T11:40")))
    assert planned(wants(), late).actions[0].body["spec"]["charge"]["amount"] == "60.00"


@pytest.mark.parametrize("prices", [None, price_book(rate("2026-12-01T00:00"))], ids=["gone", "begins later"])
def test_what_took_effect_and_has_no_price_waits_for_one_and_is_not_lost(prices):
    decided = planned(wants(), observed(NOTED, requests=[change_request()], task=task(), prices=prices))
    assert decided.actions == ()
    assert [reason.effect for reason in reasons(decided)] == [Effect.STALLED], "a person must restore the price"


WITHDRAWN = {
    "reverted": (wants("4Gi", change=slip("c-2")), HOT, Reason.TARGET_CHANGED),
    "changed": (wants("6Gi", change=slip("c-2")), HOT, Reason.TARGET_CHANGED),
    "named no more": (managed_vm(resources={"cpus": 2}, change=slip("c-2")), HOT, Reason.TARGET_CHANGED),
    "no size agreed any more": (managed_vm(change=slip("c-2")), HOT, Reason.TARGET_CHANGED),
    "there already": (wants(), virtual_machine(memory_mib=8192), Reason.ALREADY_IN_PLACE),
}


@pytest.mark.parametrize("case", WITHDRAWN)
@pytest.mark.parametrize("state", ["Ordered", "Held", "Scheduled"])
def test_what_is_not_wanted_any_more_before_it_was_done_is_withdrawn_and_not_billed(case, state):
    vm, facts, why = WITHDRAWN[case]
    decided = planned(vm, observed(facts, requests=[change_request(state=state)]))
    (end,) = advances(decided)
    assert (end.after.state, end.after.completed_at, end.finding.reason) == (RequestState.WITHDRAWN, NOW, why)
    assert not any(isinstance(action, RecordWork | Reconfigure) for action in decided.actions)


def test_a_request_for_a_disk_that_is_gone_is_withdrawn():
    vm = managed_vm(
        resources={"disks": [{"name": "data", "deviceNode": "SCSI(0:1)", "size": "50Gi"}]}, change=slip()
    )
    request = change_request("Disk/data", "50Gi", before="40Gi")
    decided = planned(vm, observed(requests=[request]))
    assert [a.after.state for a in advances(decided)] == [RequestState.WITHDRAWN]
    assert Reason.DISK_MISSING in reasons(decided)


def test_an_open_request_is_refused_when_the_package_has_ended():
    (end,) = advances(planned(wants(package=None), observed(HOT, requests=[change_request()])))
    assert (end.after.state, end.finding.reason) == (RequestState.REFUSED, Reason.NO_ACTIVE_PACKAGE)


def test_an_open_request_is_refused_when_the_order_has_ended():
    ended = wants(orders=[order(until="2026-11-23T12:00:00Z")])
    (end,) = advances(planned(ended, observed(HOT, requests=[change_request()])))
    assert (end.after.state, end.finding.clause) == (RequestState.REFUSED, Clause.OPTIONAL_SERVICES)


def test_an_open_request_waits_while_the_level_cannot_be_read():
    decided = planned(wants(orders=[order(level="unheard-of")]), observed(HOT, requests=[change_request()]))
    assert decided.actions == ()


def test_the_request_of_another_vm_is_none_of_ours():
    other = change_request(uuid=OTHER_UUID)
    decided = planned(wants("4Gi"), observed(HOT, requests=[other]))
    assert decided.actions == ()


BUSY = {
    "our task runs": {"facts": replace(HOT, task=task(TaskState.RUNNING, end=None))},
    "a task of an earlier process runs": {"task": task(TaskState.QUEUED, end=None)},
    "nobody can tell": {"task": Unknown("timeout")},
    "it was over a moment ago": {"task": task(end=NOW - STREAM_LAG + minutes(1 / 60))},
}


@pytest.mark.parametrize("case", BUSY)
@pytest.mark.parametrize(
    "vm",
    [wants("4Gi", change=slip("c-2")), wants(package=None), managed_vm()],
    ids=["reverted", "no package", "unnamed"],
)
def test_a_request_is_not_closed_while_its_change_may_be_on_its_way(case, vm):
    found = observed(**{"facts": HOT, **BUSY[case]}, requests=[change_request()])
    assert planned(vm, found).actions == ()


def test_a_moment_later_it_is_closed():
    found = observed(HOT, task=task(end=NOW - STREAM_LAG), requests=[change_request()])
    assert [a.after.state for a in advances(planned(wants("4Gi", change=slip("c-2")), found))] == [
        RequestState.WITHDRAWN
    ]


def test_our_own_task_and_its_effect_are_seen_together():
    own = task(end=NOW)
    found = observed(replace(HOT, task=own), task=own, requests=[change_request()])
    assert [a.after.state for a in advances(planned(wants("4Gi", change=slip("c-2")), found))] == [
        RequestState.WITHDRAWN
    ]


def test_a_vm_is_never_said_to_be_as_agreed_while_it_is_not():
    frozen = wants("16Gi", mode="Observe")
    decided = planned(frozen, observed(HOT, requests=[change_request()]))
    assert Reason.RESOURCES_AS_AGREED not in reasons(decided)


def test_requesters_are_named_in_the_record_as_they_ordered():
    decided = planned(wants(change=slip(ticket="4711")), observed(HOT))
    spec = decided.actions[0].body["spec"]
    assert (spec["requestedBy"], spec["ticket"]) == (REQUESTER, "4711")
