"""Clause 5.1: a change that needs the VM off waits for its window; what we have shut down we start again."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    AdvanceRequest,
    ConfirmUnchanged,
    PowerOn,
    Reconfigure,
    RecordRequest,
    RecordWork,
    ReserveSlot,
    ShutDownGuest,
)
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import PowerState, TaskState
from managedvm.planning.powercycle import SHUTDOWN_LIMIT
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import RETRY_AFTER
from tests import laws
from tests.factories import (
    NOW,
    PREMIUM,
    PROFESSIONAL,
    at,
    change_request,
    managed_vm,
    minutes,
    observed,
    order,
    requester,
    slip,
    task,
    virtual_machine,
)

BEGIN, END = at("2026-11-24T04:00"), at("2026-11-24T06:00")
"""The next window of level Standard."""
TOMORROW = at("2026-11-25T04:00")
SECOND = minutes(1 / 60)
OFF = virtual_machine(power=PowerState.OFF)
WINDOW = {"begin": BEGIN, "end": END}


def wants(memory="8Gi", change="c-1", **spec):
    return managed_vm(
        resources={"memory": memory}, change=slip(change), **{"restartPolicy": "InWindow", **spec}
    )


def planned(vm, found, now=NOW):
    """Return a plan that keeps every law."""
    decided = plan(vm, found, now)
    laws.check(vm, found, now, decided)
    return decided


def kinds(decided) -> list[type]:
    return [type(action) for action in decided.actions]


def reasons(decided) -> list[Reason]:
    return [finding.reason for finding in decided.findings if finding.aspect is Aspect.RESOURCES_AS_AGREED]


def only_advance(decided) -> AdvanceRequest:
    (action,) = (a for a in decided.actions if isinstance(a, AdvanceRequest))
    return action


def scheduled(aspect="Memory", after="8Gi", **status):
    return change_request(aspect, after, **{"state": "Scheduled", "slot": WINDOW, **status})


def asked(since=BEGIN, **status):
    return change_request(**{"state": "InWork", "slot": WINDOW, "startedAt": since, **status})


# Waiting for a window


def test_what_needs_a_power_cycle_is_recorded_at_once_and_planned_for_the_next_window():
    decided = planned(wants(), observed())
    assert kinds(decided) == [RecordRequest, AdvanceRequest]
    after = only_advance(decided).after
    assert after.slot is not None
    assert (after.state, after.slot.begin, after.slot.end) == (RequestState.SCHEDULED, BEGIN, END)
    assert (reasons(decided), decided.next_check) == ([Reason.WAITING_FOR_WINDOW], BEGIN)
    assert "2026-11-24T04:00:00Z" in decided.findings[-1].message


def test_a_planned_change_waits_without_being_written_again():
    decided = planned(wants(), observed(requests=[scheduled()]), BEGIN - SECOND)
    assert (decided.actions, decided.next_check) == ((), BEGIN)


def test_it_is_done_from_the_first_instant_of_its_window():
    decided = planned(wants(), observed(requests=[scheduled()]), BEGIN)
    assert kinds(decided) == [ConfirmUnchanged, ReserveSlot, AdvanceRequest, ShutDownGuest]
    after = only_advance(decided).after
    assert (after.state, after.started_at) == (RequestState.IN_WORK, BEGIN)
    assert decided.next_check is not None


@pytest.mark.parametrize(
    ("now", "asks"),
    [(END - minutes(10), True), (END - minutes(10) + SECOND, False), (END - SECOND, False)],
    ids=["just enough is left", "a second too little is left", "the last second"],
)
def test_the_guest_is_asked_only_while_enough_of_the_window_is_left(now, asks):
    decided = planned(wants(), observed(requests=[scheduled()]), now)
    assert (ShutDownGuest in kinds(decided)) is asks
    if not asks:
        after = only_advance(decided).after
        assert after.slot is not None
        assert after.slot.begin == TOMORROW, "it is planned anew"


def test_a_change_that_is_ordered_in_an_open_window_is_recorded_and_begun_at_once():
    decided = planned(wants(), observed(), BEGIN + minutes(30))
    assert kinds(decided) == [RecordRequest, ConfirmUnchanged, ReserveSlot, AdvanceRequest, ShutDownGuest]


def test_without_permission_to_restart_it_waits_for_somebody():
    decided = planned(wants(restartPolicy="Never"), observed(requests=[scheduled()]), BEGIN)
    assert (reasons(decided), decided.actions) == ([Reason.RESTART_NOT_ALLOWED], ())
    assert kinds(planned(wants(restartPolicy="Never"), observed())) == [RecordRequest]


def test_a_level_without_windows_of_its_own_needs_some_agreed():
    decided = planned(wants(level=PREMIUM), observed(virtual_machine(level=PREMIUM)))
    assert (reasons(decided), kinds(decided)) == ([Reason.NO_WINDOW], [RecordRequest])


def test_a_window_that_is_shorter_than_the_work_is_none():
    short = {"timeZone": "Europe/Berlin", "windows": [{"days": ["Tue"], "start": "05:00", "end": "05:09"}]}
    agreed = {**short, "agreedBy": "A", "agreedAt": "2026-01-01T00:00:00Z"}
    assert reasons(planned(wants(maintenance={"agreed": agreed}), observed())) == [Reason.NO_WINDOW]


def freeze(begin, end):
    return {"freezes": [{"from": begin, "until": end, "reason": "sale"}]}


def test_a_freeze_over_the_promised_window_moves_the_work():
    vm = wants(maintenance=freeze("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"))
    decided = planned(vm, observed(requests=[scheduled()]), BEGIN)
    assert kinds(decided) == [AdvanceRequest]
    slot = only_advance(decided).after.slot
    assert slot is not None
    assert slot.begin == TOMORROW


def test_a_freeze_over_a_part_of_the_promised_window_moves_the_work_too():
    vm = wants(maintenance=freeze("2026-11-24T05:00:00Z", "2026-11-24T05:30:00Z"))
    slot = only_advance(planned(vm, observed(requests=[scheduled()]))).after.slot
    assert slot is not None
    assert (slot.begin, slot.end) == (BEGIN, at("2026-11-24T05:00"))


def test_an_announced_window_is_announced_five_days_ahead():
    # Professional: Saturday and Sunday. On Monday noon the one on Saturday can be announced by Monday 05:00 no more.
    vm = wants(level=PROFESSIONAL)
    decided = planned(vm, observed(virtual_machine(level=PROFESSIONAL)))
    slot = only_advance(decided).after.slot
    assert slot is not None
    assert slot.begin == at("2026-11-29T04:00")
    assert "tell the customer" in decided.findings[-1].message


def test_a_missed_announced_window_is_followed_by_one_that_can_be_announced():
    slot = {"begin": at("2026-11-28T04:00"), "end": at("2026-11-28T06:00")}
    found = observed(virtual_machine(level=PROFESSIONAL), requests=[scheduled(slot=slot)])
    moved = only_advance(planned(wants(level=PROFESSIONAL), found, at("2026-11-28T06:00"))).after.slot
    assert moved is not None
    assert moved.begin == at("2026-12-05T04:00"), "not on the Sunday that nobody was told of"


def test_what_is_ordered_later_joins_the_power_cycle_that_was_promised():
    vm = managed_vm(resources={"memory": "8Gi", "cpus": 4}, change=slip("c-2"), restartPolicy="InWindow")
    early = {"begin": TOMORROW, "end": at("2026-11-25T06:00")}
    decided = planned(vm, observed(requests=[scheduled(slot=early)]))
    slot = only_advance(decided).after.slot
    assert slot is not None
    assert slot.begin == TOMORROW


def test_without_tools_the_guest_cannot_be_asked_and_no_plug_is_pulled():
    mute = virtual_machine(tools_running=False)
    decided = planned(wants(), observed(mute, requests=[scheduled()]), BEGIN)
    assert (reasons(decided), decided.actions) == ([Reason.TOOLS_NOT_RUNNING], ())
    assert RecordRequest in kinds(planned(wants(), observed(mute), BEGIN)), "documented all the same"


# After the guest was asked


def test_an_asked_guest_is_waited_for():
    decided = planned(wants(), observed(requests=[asked()]), BEGIN + SECOND)
    assert (reasons(decided), decided.actions) == ([Reason.CHANGE_IN_PROGRESS], ())


def test_a_guest_that_does_not_shut_down_is_left_running():
    decided = planned(wants(), observed(requests=[asked()]), BEGIN + SHUTDOWN_LIMIT)
    assert (reasons(decided), decided.actions) == ([Reason.SHUTDOWN_TIMED_OUT], ())
    assert decided.next_check == END


def test_at_the_end_of_its_slot_it_is_given_up_and_planned_anew():
    given_up = planned(wants(), observed(requests=[asked()]), END)
    after = only_advance(given_up).after
    assert (after.state, after.slot) == (RequestState.IN_WORK, None)
    anew = asked(slot=None)
    slot = only_advance(planned(wants(), observed(requests=[anew]), END)).after.slot
    assert slot is not None
    assert slot.begin == TOMORROW


def test_in_the_next_window_the_guest_is_asked_again():
    again = asked(slot={"begin": TOMORROW, "end": at("2026-11-25T06:00")})
    decided = planned(wants(), observed(requests=[again]), TOMORROW)
    assert ShutDownGuest in kinds(decided)
    assert only_advance(decided).after.started_at == TOMORROW


def test_a_vm_that_has_shut_down_is_changed_and_not_yet_started():
    decided = planned(wants(), observed(OFF, requests=[asked()]), BEGIN + minutes(1))
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]


CHANGED = replace(OFF, memory_mib=8192, notes={**OFF.notes, "managedvm.change.memory": asked().metadata.name})


def test_a_vm_that_was_changed_is_started_before_its_record_is_closed():
    decided = planned(wants(), observed(CHANGED, requests=[asked()], task=task()), BEGIN + minutes(2))
    assert kinds(decided) == [PowerOn]


def test_a_vm_that_runs_again_has_its_record_closed():
    running = replace(CHANGED, power=PowerState.ON)
    decided = planned(wants(), observed(running, requests=[asked()], task=task()), BEGIN + minutes(3))
    assert kinds(decided) == [RecordWork, AdvanceRequest]


STOPPED = {
    "reverted": (wants("4Gi", change="c-2"), {}),
    "named no more": (managed_vm(change=slip("c-2")), {}),
    "held": (wants(), {"requesters": (requester("other@kunde-a.example"),)}),
    "no price": (wants(), {"prices": None}),
    "no package": (wants(package=None), {}),
    "the order has ended": (wants(orders=[order(until=BEGIN.isoformat())]), {}),
    "the level is gone": (wants(), {"levels": {}}),
    "no restarts any more": (wants("4Gi", change="c-2", restartPolicy="Never"), {}),
    "frozen": (
        wants("4Gi", change="c-2", maintenance=freeze("2026-11-24T00:00:00Z", "2026-12-01T00:00:00Z")),
        {},
    ),
    "refused by vCenter": (
        wants(),
        {"facts": replace(OFF, task=task(TaskState.ERROR, end=BEGIN + minutes(1)))},
    ),
}


@pytest.mark.parametrize("case", STOPPED)
def test_a_vm_that_we_have_shut_down_is_started_again_whatever_has_happened(case):
    vm, read = STOPPED[case]
    found = observed(**{"facts": OFF, **read}, requests=[asked()])
    decided = planned(vm, found, BEGIN + minutes(2))
    assert kinds(decided) == [AdvanceRequest, PowerOn], "why it starts without the change is noted before"
    assert len(decided.groups) == 2, "a note that cannot be written keeps no VM off"


@pytest.mark.parametrize("case", ["reverted", "named no more", "no package", "the order has ended"])
def test_no_request_is_closed_while_its_guest_may_be_shutting_down(case):
    vm, read = STOPPED[case]
    decided = planned(vm, observed(**read, requests=[asked()]), BEGIN + minutes(6))
    assert decided.actions == ()
    assert decided.next_check == END


def test_also_a_vm_that_shut_down_late_is_started_again():
    vm = wants("4Gi", change="c-2")
    assert PowerOn in kinds(planned(vm, observed(OFF, requests=[asked()]), END + minutes(90)))


def test_a_vm_that_does_not_start_is_tried_again_after_a_while_and_said_to_be_off():
    refused = replace(OFF, task=task(TaskState.ERROR, method="PowerOnVM_Task", end=BEGIN, fault="NoHost"))
    vm = wants("4Gi", change="c-2")
    decided = planned(vm, observed(refused, requests=[asked()]), BEGIN + minutes(1))
    assert (reasons(decided), PowerOn in kinds(decided)) == ([Reason.LEFT_POWERED_OFF], False)
    assert "NoHost" in next(f.message for f in decided.findings if f.reason is Reason.LEFT_POWERED_OFF)
    assert decided.next_check == BEGIN + RETRY_AFTER
    assert PowerOn in kinds(planned(vm, observed(refused, requests=[asked()]), BEGIN + RETRY_AFTER))


# What the customer has switched off stays off


def test_a_vm_that_the_customer_has_switched_off_is_changed_and_stays_off():
    decided = planned(wants(), observed(OFF))
    assert kinds(decided) == [RecordRequest, ConfirmUnchanged, Reconfigure]
    noted = replace(
        OFF, memory_mib=8192, notes={**OFF.notes, "managedvm.change.memory": asked().metadata.name}
    )
    closed = planned(wants(), observed(noted, requests=[change_request()], task=task()))
    assert kinds(closed) == [RecordWork, AdvanceRequest]


@pytest.mark.parametrize("request_", [scheduled(), asked(slot=None)], ids=["planned", "given up in its slot"])
def test_also_when_a_request_waits_for_a_window(request_):
    noted = replace(
        OFF, memory_mib=8192, notes={**OFF.notes, "managedvm.change.memory": request_.metadata.name}
    )
    decided = planned(wants(), observed(noted, requests=[request_], task=task()), END + minutes(60))
    assert kinds(decided) == [RecordWork, AdvanceRequest]


@pytest.mark.parametrize("state", ["Ordered", "Scheduled", "Done", "Withdrawn"])
def test_without_having_asked_nothing_is_ever_started(state):
    request = change_request(state=state, slot=WINDOW)
    assert PowerOn not in kinds(planned(wants("4Gi", change="c-2"), observed(OFF, requests=[request]), BEGIN))


def test_a_suspended_vm_takes_no_change():
    decided = planned(wants(), observed(virtual_machine(power=PowerState.SUSPENDED)))
    assert (reasons(decided), kinds(decided)) == ([Reason.VM_SUSPENDED], [RecordRequest])
