"""Clause 4: what was sent to vCenter is done and billed, whoever switches or deletes what after; and nothing else is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.api.customer import Requests
from managedvm.planning.actions import EFFECTS, AdvanceRequest, PowerOn, RecordWork
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import PowerState, TaskState, Unknown
from managedvm.planning.orphans import bill_orphan, start_orphan, withdrawn
from managedvm.planning.reasons import Reason
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.retry import RETRY_AFTER
from tests.factories import (
    NOW,
    agreed,
    change_request,
    claim,
    managed_vm,
    observed,
    price_book,
    rate,
    request_name,
    slip,
    task,
    virtual_machine,
)

IN_EFFECT = {"managedvm.change.memory": request_name()}
GROWN = {"memory": "8Gi"}


def decided(*, memory_mib=8192, recent=None, requests=None, vm=None, **read):
    facts = virtual_machine(memory_mib=memory_mib)
    facts = replace(facts, notes={**facts.notes, **IN_EFFECT})
    managed = vm or managed_vm(resources=GROWN, change=slip())
    return plan(managed, observed(facts, requests=requests or [change_request()], task=recent, **read), NOW)


def billed(actions):
    return [type(action) for action in actions if not isinstance(action, EFFECTS)] == [
        RecordWork,
        AdvanceRequest,
    ]


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}], ids=["Observe", "suspended"])
def test_a_switch_thrown_after_the_effect_takes_no_bill_back(spec):
    found = decided(vm=managed_vm(resources=GROWN, change=slip(), **spec), recent=task())

    assert billed(found.actions)
    assert not any(isinstance(action, EFFECTS) for action in found.actions)


@pytest.mark.parametrize("spec", [{"mode": "Observe"}, {"suspend": True}], ids=["Observe", "suspended"])
def test_a_switch_thrown_before_the_effect_records_nothing(spec):
    vm = managed_vm(resources=GROWN, change=slip(), **spec)

    assert plan(vm, observed(virtual_machine(), requests=[change_request()]), NOW).actions == ()


def test_what_may_not_be_recorded_is_told_as_unbilled():
    found = decided(missing_policies=("managedvm-records",), recent=task())

    assert found.actions == ()
    assert Reason.NOT_BILLED in [finding.reason for finding in found.findings]


def test_a_mark_without_the_value_is_not_billed():
    found = decided(memory_mib=4096)

    assert not any(isinstance(action, RecordWork) for action in found.actions)
    assert Reason.NOT_BILLED in [finding.reason for finding in found.findings]


def test_a_value_that_somebody_has_changed_since_is_billed_by_our_task():
    assert any(isinstance(action, RecordWork) for action in decided(memory_mib=4096, recent=task()).actions)


def work(found):
    return next(action for action in found.actions if isinstance(action, RecordWork)).body["spec"]


def test_times_of_a_clock_that_runs_ahead_are_not_believed():
    ahead = NOW + timedelta(days=60)
    dearer = price_book(rate(), rate("2027-01-01T00:00", 20000))

    spec = work(decided(recent=task(end=ahead), prices=dearer))

    assert spec["charge"]["amount"] == "30.00"
    assert spec["end"] == "2026-11-23T12:00:00Z"
    assert "no longer tells when" in spec["activity"]


def test_a_clock_a_little_ahead_is_believed():
    assert work(decided(recent=task(end=NOW + timedelta(seconds=59))))["evidence"] == {"task": "task-7"}


def orphaned(**read):
    fields = {
        "exists": False,
        "identity": None,
        "entitlement": None,
        "requesters": (),
        "policy": Requests(),
        "has_taken_effect": True,
        "prices": agreed(price_book()),
        "task": task(),
    }
    return ObservedRequest(**{**fields, **read})


def test_work_whose_managed_vm_is_gone_is_billed_from_its_request():
    actions = bill_orphan(change_request(), orphaned(), NOW)

    assert billed(actions)
    assert actions[0].body["spec"]["charge"]["amount"] == "30.00"
    assert actions[1].after.state is RequestState.DONE


@pytest.mark.parametrize(
    "read",
    [{"exists": True}, {"has_taken_effect": False}],
    ids=["its ManagedVM bills it", "without an effect"],
)
def test_nothing_is_billed_from_a_request_that(read):
    assert bill_orphan(change_request(), orphaned(**read), NOW) == ()


@pytest.mark.parametrize("state", ["Done", "Withdrawn", "Refused"])
def test_an_ended_request_is_not_billed_again(state):
    assert bill_orphan(change_request(state=state), orphaned(), NOW) == ()


def test_work_that_nobody_can_price_stays_open_and_says_so():
    (action,) = bill_orphan(change_request(), orphaned(prices=agreed(None)), NOW)

    assert isinstance(action, AdvanceRequest)
    assert (action.after.state, action.finding.reason) == (RequestState.ORDERED, Reason.NOT_BILLED)


def in_work(**status):
    slot = {"begin": NOW - timedelta(minutes=2), "end": NOW + timedelta(hours=1)}
    started = {"state": "InWork", "slot": slot, "startedAt": NOW - timedelta(minutes=1)}
    return change_request(**{**started, **status})


OFF = virtual_machine(power=PowerState.OFF)


def test_a_vm_that_we_shut_down_is_started_though_its_managed_vm_is_gone():
    assert started(in_work(), orphan=OFF) == (PowerOn("vm-1"),)


def started(request, **read):
    """Return the effects in vCenter of what is done about a request that no ManagedVM decides about."""
    part = start_orphan(request, orphaned(**read), NOW)
    return tuple(action for action in part.actions if isinstance(action, EFFECTS)) if part else ()


@pytest.mark.parametrize("effect", [False, Unknown("vCenter just was at task-7")], ids=["none", "not known"])
def test_why_it_starts_without_its_change_is_noted_before(effect):
    note, start = start_orphan(in_work(), orphaned(orphan=OFF, has_taken_effect=effect), NOW).actions
    assert isinstance(start, PowerOn)
    assert note.after.interruption.cause == "Stopped"
    assert note.after.state is RequestState.IN_WORK


def test_a_start_that_is_refused_rests_and_is_told_in_the_request():
    refused = replace(OFF, task=task(TaskState.ERROR, method="PowerOnVM_Task", end=NOW, fault="NoHost"))
    part = start_orphan(in_work(), orphaned(orphan=refused), NOW + timedelta(seconds=3))
    (note,) = part.actions
    assert (note.finding.reason, note.after) == (Reason.LEFT_POWERED_OFF, in_work().status)
    assert "NoHost" in note.finding.message
    assert part.next_check == NOW + RETRY_AFTER


def ended(request, *, now=NOW, **read):
    return withdrawn(request, orphaned(has_taken_effect=False, **read), now)


def test_a_request_without_a_managed_vm_stays_open_while_its_guest_may_shut_down():
    waiting = ended(in_work(), orphan=virtual_machine())
    assert waiting.after.state is RequestState.IN_WORK
    assert "is waited for until 2026-11-23T13:00:00Z" in waiting.finding.message
    over = ended(in_work(), orphan=virtual_machine(), now=NOW + timedelta(hours=1))
    assert over.after.state is RequestState.WITHDRAWN
    assert "See whether the VM runs" in over.finding.message


def test_once_its_vm_runs_again_it_is_withdrawn_and_nobody_is_sent_to_look():
    note = {"at": NOW - timedelta(seconds=11), "cause": "Stopped", "message": "its ManagedVM is gone"}
    end = ended(in_work(interruption=note), orphan=virtual_machine())
    assert end.after.state is RequestState.WITHDRAWN
    assert "See whether" not in end.finding.message


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        (in_work(), {"orphan": virtual_machine()}),
        (in_work(), {"orphan": None}),
        (in_work(), {"orphan": replace(OFF, task=task(TaskState.RUNNING, end=None))}),
        (in_work(slot={"begin": NOW - timedelta(hours=2), "end": NOW}), {"orphan": OFF}),
        (in_work(startedAt=NOW - timedelta(hours=3)), {"orphan": OFF}),
        (change_request(state="Scheduled"), {"orphan": OFF}),
        (in_work(state="Done"), {"orphan": OFF}),
    ],
    ids=[
        "it runs",
        "another has claimed it",
        "vCenter is at work",
        "the slot is over",
        "it was asked in an earlier slot",
        "it was never asked",
        "it is done",
    ],
)
def test_no_vm_is_started_when(request_, read):
    assert started(request_, **read) == ()


def test_nothing_is_claimed_in_a_vcenter_that_is_another_now():
    facts = virtual_machine()
    fresh = observed(facts, claims={}, own_claim=None)
    changed = replace(
        fresh, sight=replace(fresh.sight, expected_vcenter="5a1b0000-0000-4000-8000-0000000000bb")
    )

    found = plan(managed_vm(), changed, NOW)

    assert found.actions == ()
    assert Reason.IDENTITY_CHANGED in [finding.reason for finding in found.findings]
    assert claim().metadata.name not in changed.claims
