"""Clause 5.2: vSphere HA as the service level promises it, and restarts in a row counted where vSphere forgets them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.managedvm import RestartStatus
from managedvm.planning.actions import OverrideHighAvailability
from managedvm.planning.availability import (
    cluster_drift,
    differences,
    plan_restarts,
    plan_vm,
    promised,
    repair_cluster,
    streak,
)
from managedvm.planning.findings import Aspect, Truth
from managedvm.planning.observed import HaSettings, Heartbeat, PowerState, TaskState
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import RETRY_AFTER
from tests.factories import (
    BASIC,
    NOW,
    PREMIUM,
    PROFESSIONAL,
    STANDARD,
    cluster,
    minutes,
    restarts,
    service_level,
    task,
    virtual_machine,
)

LEVEL = service_level().high_availability
HOUR = LEVEL.streak_ends_after
QUIET = timedelta(seconds=120)
PROMISED = promised(LEVEL)


def planned(vm=None, *, may_act=True, found=None, now=NOW):
    return plan_vm(vm or virtual_machine(), found or cluster(), service_level(), may_act=may_act, now=now)


def settings_finding(part):
    (finding,) = (f for f in part.findings if f.aspect is Aspect.HIGH_AVAILABILITY_CONFIGURED)
    return finding


@pytest.mark.parametrize(
    ("level", "priority"),
    [(BASIC, "lowest"), (STANDARD, "medium"), (PROFESSIONAL, "high"), (PREMIUM, "highest")],
)
def test_each_level_has_its_restart_priority_and_three_restarts_without_a_window(level, priority):
    assert promised(service_level(level).high_availability) == HaSettings(
        restart_priority=priority,
        vm_monitoring="vmMonitoringOnly",
        failure_interval=30,
        min_up_time=120,
        max_failures=3,
        max_failure_window=-1,
        cluster_settings=False,
    )


def test_what_is_as_promised_needs_nothing():
    part = planned()
    assert part.actions == ()
    assert settings_finding(part).reason is Reason.HA_AS_PROMISED


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        ({"restart_priority": "low"}, "restart priority low instead of medium"),
        (
            {"vm_monitoring": "vmMonitoringDisabled"},
            "VM monitoring vmMonitoringDisabled instead of vmMonitoringOnly",
        ),
        ({"failure_interval": 120}, "heartbeat failure interval 120 instead of 30"),
        ({"min_up_time": None}, "minimum uptime not set instead of 120"),
        ({"max_failures": 4}, "maximum restarts 4 instead of 3"),
        ({"max_failure_window": 3600}, "restart window 3600 instead of -1"),
        ({"cluster_settings": True}, "use of cluster settings True instead of False"),
    ],
)
def test_each_setting_that_differs_is_named_and_repaired(drift, words):
    found = replace(PROMISED, **drift)
    assert differences(PROMISED, found) == (words,)
    part = planned(virtual_machine(ha_override=found))
    assert part.actions == (OverrideHighAvailability("domain-c1", "vm-1", PROMISED, exists=True),)
    assert settings_finding(part).reason is Reason.HA_REPAIRING


def test_a_vm_without_an_override_gets_one():
    (action,) = planned(virtual_machine(ha_override=None)).actions
    assert isinstance(action, OverrideHighAvailability)
    assert not action.exists


def test_in_observe_mode_drift_is_told_and_left():
    part = planned(virtual_machine(ha_override=None), may_act=False)
    assert part.actions == ()
    assert settings_finding(part).reason is Reason.HA_DRIFT


def test_a_vm_on_no_cluster_cannot_be_restarted_by_anybody():
    part = plan_vm(virtual_machine(cluster=None), None, service_level(), may_act=True, now=NOW)
    assert part.actions == ()
    assert settings_finding(part).reason is Reason.NOT_IN_CLUSTER


def test_drift_of_the_cluster_is_told_of_each_of_its_vms():
    part = planned(found=cluster(options={}))
    assert part.actions == ()
    assert settings_finding(part).reason is Reason.CLUSTER_DRIFT
    assert "das.iostatsInterval not set instead of 120" in settings_finding(part).message


def test_a_repair_that_is_under_way_is_not_sent_again():
    running = virtual_machine(ha_override=None, ha_task=task(TaskState.RUNNING, end=None))
    assert planned(running).actions == ()
    assert settings_finding(planned(running)).reason is Reason.HA_REPAIRING


def test_a_repair_that_was_refused_rests_and_is_tried_again_to_the_second():
    refused = virtual_machine(ha_override=None, ha_task=task(TaskState.ERROR, fault="NoPermission", end=NOW))
    soon = planned(refused, now=NOW + RETRY_AFTER - minutes(1 / 60))
    assert soon.actions == ()
    assert settings_finding(soon).reason is Reason.CHANGE_FAILED
    assert "NoPermission" in settings_finding(soon).message
    assert soon.next_check == NOW + RETRY_AFTER
    assert planned(refused, now=NOW + RETRY_AFTER).actions != ()


@pytest.mark.parametrize(
    ("facts", "reason", "truth"),
    [
        ({}, Reason.TOOLS_RUNNING, Truth.TRUE),
        ({"tools_running": False}, Reason.TOOLS_NOT_RUNNING, Truth.FALSE),
        ({"power": PowerState.OFF, "tools_running": False}, Reason.POWERED_OFF, Truth.UNKNOWN),
        ({"power": PowerState.SUSPENDED}, Reason.POWERED_OFF, Truth.UNKNOWN),
    ],
)
def test_missing_tools_are_told_of_a_vm_that_runs(facts, reason, truth):
    (finding,) = (f for f in planned(virtual_machine(**facts)).findings if f.aspect is Aspect.TOOLS_RUNNING)
    assert (finding.reason, finding.truth) == (reason, truth)


@pytest.mark.parametrize(
    ("facts", "repair"),
    [
        ({"ha_enabled": False}, {"enable": True}),
        ({"host_monitoring": "disabled"}, {"host_monitoring": "enabled"}),
        ({"host_monitoring": ""}, {"host_monitoring": "enabled"}),
        ({"vm_monitoring": "vmMonitoringDisabled"}, {"vm_monitoring": "vmMonitoringOnly"}),
        ({"vm_monitoring": ""}, {"vm_monitoring": "vmMonitoringOnly"}),
        (
            {"options": {"das.iostatsInterval": "60", "das.other": "1"}},
            {"options": {"das.iostatsInterval": "120"}},
        ),
    ],
    ids=str,
)
def test_at_the_cluster_only_what_differs_is_touched(facts, repair):
    found = cluster(**facts)
    assert len(cluster_drift(found, QUIET)) == 1
    action = repair_cluster(found, QUIET)
    untouched = {"enable": False, "host_monitoring": None, "vm_monitoring": None, "options": {}}
    assert action is not None
    assert {name: getattr(action, name) for name in untouched} == untouched | repair


def test_monitoring_of_applications_as_well_is_no_drift():
    found = cluster(vm_monitoring="vmAndAppMonitoring")
    assert cluster_drift(found, QUIET) == ()
    assert repair_cluster(found, QUIET) is None


def test_the_io_quiet_time_and_the_heartbeat_interval_are_two_things():
    assert PROMISED.failure_interval == 30
    assert repair_cluster(cluster(options={"das.iostatsInterval": "30"}), QUIET) is not None


def memory(consecutive, ago) -> RestartStatus:
    return RestartStatus(consecutive=consecutive, last_at=NOW - ago)


def sick(*ago, **facts):
    """Return a VM that was restarted these times ago and whose heartbeat is not green yet."""
    return virtual_machine(heartbeat=Heartbeat.RED, restarts=restarts(*(NOW - each for each in ago)), **facts)


def count(before, vm, now=NOW) -> int:
    status = streak(before, vm, LEVEL, now).status
    return status.consecutive if status else 0


def test_a_vm_that_was_never_restarted_has_no_streak():
    assert streak(None, virtual_machine(), LEVEL, NOW).status is None


@pytest.mark.parametrize("restarted", [1, 2, 3, 4])
def test_restarts_in_a_row_are_counted(restarted):
    assert count(None, sick(*(minutes(10 * n) for n in range(1, restarted + 1)))) == restarted


def test_an_event_that_was_counted_is_not_counted_again():
    vm = sick(minutes(10))
    before = streak(None, vm, LEVEL, NOW).status
    assert count(before, vm) == 1


def test_a_streak_goes_on_across_a_restart_of_the_operator_and_across_vmotion():
    assert count(memory(2, minutes(50)), sick(minutes(5), moref="vm-after-vmotion")) == 3


def test_a_streak_that_status_remembers_goes_on_although_the_last_restart_was_long_ago():
    assert count(memory(2, 3 * HOUR), sick(minutes(1))) == 3


def test_two_restarts_that_nobody_remembers_belong_together_when_they_are_near():
    assert count(None, sick(minutes(1), HOUR - minutes(1))) == 2
    assert count(None, sick(minutes(1), HOUR + minutes(1))) == 1


@pytest.mark.parametrize(
    ("green_for", "counted"),
    [(HOUR - minutes(1 / 60), 2), (HOUR, 0), (HOUR + minutes(1), 0)],
    ids=["a second too short", "exactly long enough", "longer"],
)
def test_a_streak_ends_when_the_heartbeat_was_green_for_long_enough(green_for, counted):
    vm = virtual_machine(heartbeat_since=NOW - green_for)
    assert count(memory(2, 2 * HOUR), vm) == counted


def test_status_says_when_the_streak_will_be_over():
    vm = virtual_machine(heartbeat_since=NOW - minutes(10))
    assert streak(memory(1, minutes(20)), vm, LEVEL, NOW).ends_at == NOW - minutes(10) + HOUR


def test_a_green_heartbeat_from_before_the_restart_does_not_count():
    vm = virtual_machine(heartbeat_since=NOW - 5 * HOUR)
    assert streak(memory(1, minutes(20)), vm, LEVEL, NOW).ends_at == NOW - minutes(20) + HOUR


@pytest.mark.parametrize("facts", [{"heartbeat": Heartbeat.YELLOW}, {"power": PowerState.OFF}], ids=str)
def test_without_a_green_heartbeat_a_streak_does_not_end(facts):
    vm = virtual_machine(heartbeat_since=NOW - 5 * HOUR, **facts)
    found = streak(memory(3, 5 * HOUR), vm, LEVEL, NOW)
    assert found.status is not None
    assert found.ends_at is None


def test_a_streak_that_was_over_does_not_come_back_when_the_heartbeat_fails_again():
    old = sick(5 * HOUR, 5 * HOUR + minutes(10), 5 * HOUR + minutes(20))
    assert count(None, old) == 0


def test_the_first_restart_after_an_old_streak_is_the_first_again():
    assert count(None, sick(minutes(1), 5 * HOUR, 5 * HOUR + minutes(10))) == 1


@pytest.mark.parametrize(
    ("restarted", "reason", "truth"),
    [
        (1, Reason.RESTARTED, Truth.TRUE),
        (2, Reason.RESTARTED, Truth.TRUE),
        (3, Reason.RESTART_LIMIT, Truth.FALSE),
        (4, Reason.RESTART_LIMIT, Truth.FALSE),
    ],
)
def test_the_third_restart_in_a_row_calls_a_person_and_nothing_is_restarted_by_us(restarted, reason, truth):
    part = plan_restarts(streak(memory(restarted, minutes(1)), sick(), LEVEL, NOW), LEVEL)
    (finding,) = part.findings
    assert (finding.reason, finding.truth) == (reason, truth)
    assert part.actions == ()
