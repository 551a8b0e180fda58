"""Clause 5.1: the guest is asked to shut down in a slot of a window, until it does; nobody pulls the plug."""

from datetime import timedelta

from managedvm.planning.actions import AdvanceRequest, ShutDownGuest
from managedvm.planning.managedvm import Plan, plan
from managedvm.planning.powercycle import ASK_AGAIN, LONGEST_SLOT, POWER_CYCLE
from tests.factories import NOW, at, change_request, managed_vm, minutes, observed, slip, virtual_machine

ALWAYS = {
    "agreed": {
        "timeZone": "Etc/UTC",
        "windows": [
            {"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "end": "00:00"}
        ],
        "agreedBy": "Anna Beispiel",
        "agreedAt": "2026-01-01T09:00:00Z",
    }
}
WINDOW_ENDS = at("2026-11-24T06:00")  # level Standard: 05:00 to 07:00 in Berlin


def grown(**spec):
    return managed_vm(resources={"memory": "8Gi"}, change=slip(), restartPolicy="InWindow", **spec)


def asked(since, end=None):
    begin = since - minutes(1)
    return change_request(
        state="InWork", startedAt=since, slot={"begin": begin, "end": end or since + minutes(60)}
    )


def asks(decided: Plan) -> bool:
    return any(isinstance(action, ShutDownGuest) for action in decided.actions)


def test_a_slot_in_a_window_that_is_always_open_ends_after_a_day():
    decided = plan(grown(maintenance=ALWAYS), observed(requests=[change_request()]), NOW)
    assert asks(decided)
    (begun,) = [action for action in decided.actions if isinstance(action, AdvanceRequest)]
    assert begun.after.slot is not None
    assert (begun.after.slot.begin, begun.after.slot.end) == (NOW, NOW + LONGEST_SLOT)


def test_a_guest_that_was_just_asked_is_left_to_shut_down():
    now = NOW + ASK_AGAIN - timedelta(seconds=1)
    decided = plan(grown(maintenance=ALWAYS), observed(requests=[asked(NOW)]), now)
    assert not asks(decided)
    assert decided.next_check == NOW + ASK_AGAIN


def test_a_guest_that_still_runs_is_asked_again_because_the_first_time_may_not_have_arrived():
    decided = plan(grown(maintenance=ALWAYS), observed(requests=[asked(NOW)]), NOW + ASK_AGAIN)
    assert asks(decided)
    assert not any(isinstance(action, AdvanceRequest) for action in decided.actions)


def test_a_guest_is_not_asked_again_when_a_power_cycle_no_longer_fits_the_window():
    since = WINDOW_ENDS - POWER_CYCLE
    in_time = plan(grown(), observed(requests=[asked(since - ASK_AGAIN, WINDOW_ENDS)]), since)
    too_late = plan(grown(), observed(requests=[asked(since, WINDOW_ENDS)]), since + ASK_AGAIN)
    assert asks(in_time)
    assert not asks(too_late)


def test_a_guest_whose_tools_have_stopped_is_shutting_down_and_not_asked_again():
    facts = virtual_machine(tools_running=False)
    decided = plan(grown(maintenance=ALWAYS), observed(facts, requests=[asked(NOW)]), NOW + ASK_AGAIN)
    assert not asks(decided)
