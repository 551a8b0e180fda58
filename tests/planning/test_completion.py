"""Clauses 4 and 6.3: how a request comes to its end: done and billed, withdrawn or refused, and nothing half-way."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    AdvanceRequest,
    Reconfigure,
    RecordWork,
)
from managedvm.planning.case import STREAM_LAG
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.money import Prices
from managedvm.planning.observed import TaskState, Unknown
from managedvm.planning.reasons import Effect, Reason
from tests import laws
from tests.factories import (
    NOW,
    OTHER_UUID,
    REQUESTER,
    at,
    change_request,
    managed_vm,
    minutes,
    observed,
    order,
    price_book,
    rate,
    request_name,
    slip,
    task,
    virtual_machine,
)

HOT = virtual_machine(memory_hot_add=True)
NOTED = virtual_machine(memory_mib=8192, notes={"managedvm.change.memory": request_name()})
"""The VM after its memory was grown by the request of slip c-1."""


def wants(memory="8Gi", change=None, **spec):
    """Return web-01 with this memory ordered by slip c-1."""
    return managed_vm(resources={"memory": memory}, change=change or slip(), **spec)


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


def test_the_price_list_is_the_one_of_the_time_at_which_the_work_began():
    dearer = replace(price_book(rate(hourly=24000)), name="dear")
    prices = Prices(((at("2026-01-01T00:00"), price_book()), (at("2026-11-23T11:30"), dearer)))
    found = observed(NOTED, requests=[change_request(asked_at=at("2026-11-23T11:00"))], prices=prices)
    for end, amount, name in (
        ("11:20", "30.00", "standard"),
        ("11:30", "30.00", "standard"),
        ("11:40", "60.00", "dear"),
    ):
        done = replace(found, task=task(end=at(f"2026-11-23T{end}")))
        charge = planned(wants(), done).actions[0].body["spec"]["charge"]
        assert (charge["amount"], charge["priceListRef"]) == (amount, {"name": name})


@pytest.mark.parametrize("prices", [None, price_book(rate("2026-12-01T00:00"))], ids=["gone", "begins later"])
def test_what_took_effect_and_has_no_price_waits_for_one_and_is_not_lost(prices):
    decided = planned(wants(), observed(NOTED, requests=[change_request()], task=task(), prices=prices))
    assert decided.actions == ()
    assert [reason.effect for reason in reasons(decided)] == [Effect.STALLED], (
        "a person must restore the price"
    )


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
