"""Clause 5.1: what disturbs is done in a maintenance window, by asking the guest, and never by pulling the plug."""

from datetime import datetime, timedelta

import pytest

from lab import operator, wait_until
from lab.facts import OPERATOR_USER
from managedvm.clock import utc_now
from tests.api.bodies import order
from tests.api.server import assert_done
from tests.world.stage import COLD, OPEN_FOR_AN_HOUR, PATIENCE, condition, instant, window

pytestmark = pytest.mark.lab

MORE = {"memory": "8Gi"}
IN_WINDOW = {"restartPolicy": "InWindow"}
PLUGS = {"PowerOffVM_Task", "ResetVM_Task", "SuspendVM_Task", "RebootGuest", "StandbyGuest", "Destroy_Task"}
POWER_CYCLE = ["ShutdownGuest", "ReconfigVM_Task", "PowerOnVM_Task"]


def by_appointment(party):
    """Return orders at a level that has no windows of its own and announces none."""
    level = party.level("premium", maintenance={"announceToCustomer": False, "announceDaysBefore": 0})
    return [order(level=level, servicePackage="Basic")]


def test_a_change_that_needs_a_power_cycle_waits_for_its_window_and_says_when(party):
    later = timedelta(days=3)
    vm = party.vm(machine=COLD, maintenance=window(later), **IN_WINDOW).settled()
    done = vm.done_to_vm()
    begin = f"{utc_now() + later:%Y-%m-%dT%H:%M}:00Z"
    vm.order("more", resources=MORE)
    request = vm.request("Memory", "Scheduled")
    assert request["status"]["slot"]["begin"] in {begin, minute_before(begin)}
    said = vm.until("ResourcesAsAgreed", status="False", reason="WaitingForWindow")
    assert begin[:10] in said["message"]
    assert "clause 5.1" in said["message"]
    assert condition(request, "Succeeded")["status"] == "Unknown"
    vm.settled()
    vm.assert_left_alone()
    assert vm.done_to_vm() == done
    assert vm.work() == []


def minute_before(begin):
    """The window was made a moment earlier, perhaps in the minute before."""
    return f"{datetime.fromisoformat(begin) - timedelta(minutes=1):%Y-%m-%dT%H:%M}:00Z"


def test_a_change_that_is_reverted_before_its_window_is_withdrawn(party):
    vm = party.vm(
        machine=COLD, maintenance=window(timedelta(days=3)), resources={"memory": "4Gi"}, **IN_WINDOW
    )
    vm.settled()
    done = vm.done_to_vm()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Scheduled")
    vm.order("back", resources={"memory": "4Gi"})
    withdrawn = vm.request("Memory", "Withdrawn")
    assert condition(withdrawn, "Succeeded")["reason"] == "TargetChanged"
    vm.settled()
    vm.assert_left_alone()
    assert vm.done_to_vm() == done
    assert vm.work() == []


def test_in_an_open_window_the_guest_is_asked_the_vm_changed_and_started_again(party):
    vm = party.vm(machine=COLD, maintenance=window(OPEN_FOR_AN_HOUR), **IN_WINDOW).settled()
    done = len(vm.done_to_vm())
    vm.order("more", resources={"memory": "8Gi", "cpus": 4})
    for aspect in ("Memory", "CPUs"):
        vm.request(aspect, "Done")
    wait_until(lambda: vm.facts["power"] == "poweredOn", "the start", seconds=PATIENCE)
    vm.settled()
    assert vm.done_to_vm()[done:] == POWER_CYCLE
    assert (vm.facts["memoryMiB"], vm.facts["cpus"]) == (8192, 4)
    first, second = sorted(vm.work(), key=lambda entry: entry["spec"]["charge"]["amount"])
    assert (first["spec"]["charge"]["amount"], second["spec"]["charge"]["amount"]) == ("0.00", "30.00")
    assert first["spec"]["evidence"] == second["spec"]["evidence"], "one task has its time once"
    assert second["spec"]["changeRequestRef"]["name"] in first["spec"]["charge"]["explanation"]


def test_what_can_be_done_while_the_vm_runs_does_not_wait_for_what_cannot(party):
    vm = party.vm(
        machine={"memoryHotAdd": False}, maintenance=window(timedelta(days=3)), **IN_WINDOW
    ).settled()
    vm.order("both", resources={"cpus": 4, "memory": "8Gi"})
    vm.request("CPUs", "Done")
    vm.request("Memory", "Scheduled")
    assert (vm.facts["cpus"], vm.facts["memoryMiB"], vm.facts["power"]) == (4, 4096, "poweredOn")


def test_memory_beyond_what_the_running_vm_takes_waits_too(party):
    vm = party.vm(machine={"memoryHotAddLimitMiB": 6144}, maintenance=window(timedelta(days=3)), **IN_WINDOW)
    vm.settled()
    vm.order("far", resources=MORE)
    vm.request("Memory", "Scheduled")
    vm.order("near", resources={"memory": "6Gi"})
    vm.request("Memory", "Done")
    assert vm.facts["power"] == "poweredOn"


def test_fewer_cpus_and_less_memory_need_a_power_cycle(party):
    vm = party.vm(maintenance=window(timedelta(days=3)), **IN_WINDOW).settled()
    vm.order("less", resources={"cpus": 1, "memory": "2Gi"})
    vm.request("CPUs", "Scheduled")
    vm.request("Memory", "Scheduled")
    vm.assert_left_alone()
    assert (vm.facts["cpus"], vm.facts["memoryMiB"]) == (2, 4096)


def test_without_permission_to_restart_nothing_is_shut_down(party):
    vm = party.vm(machine=COLD, maintenance=window(OPEN_FOR_AN_HOUR), restartPolicy="Never").settled()
    done = vm.done_to_vm()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Ordered")
    vm.until("ResourcesAsAgreed", status="False", reason="RestartNotAllowed")
    vm.assert_left_alone()
    assert vm.done_to_vm() == done
    assert vm.facts["power"] == "poweredOn"


def test_a_vm_that_its_owner_has_switched_off_is_changed_and_stays_off(party):
    vm = party.vm(machine=COLD, restartPolicy="Never").settled()
    done = len(vm.done_to_vm())
    vm.order("more", resources=MORE)
    vm.until("ResourcesAsAgreed", status="False", reason="RestartNotAllowed")
    vm.shake(power="off")
    vm.request("Memory", "Done")
    vm.assert_left_alone()
    assert vm.done_to_vm()[done:] == ["ReconfigVM_Task"]
    assert vm.facts["power"] == "poweredOff"


def test_where_no_window_is_agreed_a_power_cycle_is_not_begun(party):
    vm = party.vm(machine=COLD, orders=by_appointment(party), **IN_WINDOW).settled()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Ordered")
    said = vm.until("ResourcesAsAgreed", status="False", reason="NoWindow")
    assert "clause 5.1" in said["message"]
    vm.assert_left_alone()


def test_a_freeze_keeps_an_open_window_shut(party):
    freeze = {"from": instant(-3600), "until": instant(7 * 86400), "reason": "Christmas sale"}
    frozen = {**window(OPEN_FOR_AN_HOUR), "freezes": [freeze]}
    vm = party.vm(machine=COLD, maintenance=frozen, **IN_WINDOW).settled()
    vm.order("more", resources=MORE)
    request = vm.request("Memory", "Scheduled")
    assert request["status"]["slot"]["begin"] >= freeze["until"]
    vm.assert_left_alone()


def test_a_window_that_is_announced_is_not_used_at_once(party):
    level = party.level("standard", maintenance={"announceToCustomer": True, "announceDaysBefore": 5})
    orders = [order(level=level, servicePackage="Basic")]
    vm = party.vm(machine=COLD, orders=orders, maintenance=window(OPEN_FOR_AN_HOUR), **IN_WINDOW).settled()
    vm.order("more", resources=MORE)
    request = vm.request("Memory", "Scheduled")
    assert request["status"]["slot"]["begin"] > instant(5 * 86400)
    vm.assert_left_alone()


def test_a_guest_that_does_not_shut_down_is_asked_and_left_running(party):
    vm = party.vm(machine=COLD, maintenance=window(OPEN_FOR_AN_HOUR), **IN_WINDOW).settled()
    done = len(vm.done_to_vm())
    vm.shake(ignoreShutdown=True)
    vm.order("more", resources=MORE)
    vm.request("Memory", "InWork")
    vm.until("ResourcesAsAgreed", status="False", reason="ChangeInProgress")
    vm.assert_left_alone()
    assert set(vm.done_to_vm()[done:]) == {"ShutdownGuest"}
    assert vm.facts["power"] == "poweredOn"
    assert vm.work() == []


def test_a_guest_without_tools_is_not_asked(party):
    vm = party.vm(machine=COLD, maintenance=window(OPEN_FOR_AN_HOUR), **IN_WINDOW).settled()
    done = vm.done_to_vm()
    vm.shake(tools="notRunning")
    vm.until("ToolsRunning", status="False")
    vm.order("more", resources=MORE)
    vm.until("ResourcesAsAgreed", status="False", reason="ToolsNotRunning")
    vm.assert_left_alone()
    assert vm.done_to_vm() == done


def asked_before(vm, replica, *, began, ended, asked):
    """Let the operator come back to a request for which it asked the guest `asked` seconds ago.

    Waiting for it would take minutes: the operator is stopped, and its own account writes what it would have written.
    """
    replica.stop()
    status = {
        "state": "InWork",
        "slot": {"begin": instant(began), "end": instant(ended)},
        "startedAt": instant(asked),
    }
    request = vm.requests()[0]
    acting = vm.api.impersonate(operator.USER, "system:serviceaccounts", "system:authenticated")
    assert_done(acting.patch(request, {"status": {**request.get("status", {}), **status}}, "/status"))
    vm.patch(maintenance=window(OPEN_FOR_AN_HOUR))
    replica.start()


def test_a_guest_that_has_not_shut_down_in_time_keeps_running_and_is_told(party, replica):
    vm = party.vm(machine=COLD, orders=by_appointment(party), **IN_WINDOW).settled()
    done = vm.done_to_vm()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Ordered")
    asked_before(vm, replica, began=-3600, ended=1800, asked=-360)
    said = vm.until("ResourcesAsAgreed", status="False", reason="GuestShutdownTimedOut")
    assert "we pull no plug" in said["message"]
    vm.assert_left_alone()
    assert vm.done_to_vm() == done
    assert vm.facts["power"] == "poweredOn"


def test_a_guest_that_ignored_one_window_is_asked_again_in_the_next(party, replica):
    vm = party.vm(machine=COLD, orders=by_appointment(party), **IN_WINDOW).settled()
    done = len(vm.done_to_vm())
    vm.order("more", resources=MORE)
    vm.request("Memory", "Ordered")
    asked_before(vm, replica, began=-7 * 86400, ended=-7 * 86400 + 7200, asked=-7 * 86400 + 60)
    vm.request("Memory", "Done")
    vm.settled()
    assert vm.done_to_vm()[done:] == POWER_CYCLE
    assert len(vm.work()) == 1


def test_in_all_of_this_the_operator_has_never_pulled_a_plug(stage):
    asked = set(stage.vcenter.calls()["users"][OPERATOR_USER])
    assert "ShutdownGuest" in asked
    assert asked & PLUGS == set()
