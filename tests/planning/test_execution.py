"""Clauses 5.1 and 6.3: what a running VM takes hot, what is done together, and what a refusal of vCenter means."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    AdvanceRequest,
    ConfirmUnchanged,
    Reconfigure,
    RecordRequest,
    ShutDownGuest,
)
from managedvm.planning.execution import is_hot
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import PowerState, TaskState
from managedvm.planning.powercycle import SHUTDOWN_LIMIT
from managedvm.planning.reasons import Reason
from managedvm.planning.records import later
from managedvm.planning.retry import RETRY_AFTER
from managedvm.planning.targets import Target, Unit
from tests import laws
from tests.factories import (
    GIB,
    NOW,
    at,
    change_request,
    managed_vm,
    minutes,
    observed,
    slip,
    task,
    virtual_machine,
)

BEGIN, END = at("2026-11-24T04:00"), at("2026-11-24T06:00")
"""The next window of level Standard."""
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


# What can be done hot


@pytest.mark.parametrize(
    ("wanted", "facts", "hot"),
    [
        (8192, {"memory_hot_add": True}, True),
        (8192, {}, False),
        (2048, {"memory_hot_add": True}, False),
        (8192, {"memory_hot_add": True, "hot_add_limit_mib": 8192}, True),
        (8196, {"memory_hot_add": True, "hot_add_limit_mib": 8192}, False),
        (4224, {"memory_hot_add": True, "hot_add_increment_mib": 128}, True),
        (4228, {"memory_hot_add": True, "hot_add_increment_mib": 128}, False),
    ],
    ids=["flag", "no flag", "less", "at the limit", "one step over it", "one increment", "a part of one"],
)
def test_memory_is_added_hot_as_far_as_the_vm_takes_it(wanted, facts, hot):
    assert is_hot(Target(Unit.MEMORY, wanted, 4096), virtual_machine(**facts)) is hot


@pytest.mark.parametrize(
    ("wanted", "facts", "hot"),
    [(4, {"cpu_hot_add": True}, True), (4, {}, False), (1, {"cpu_hot_add": True}, False)],
    ids=["flag", "no flag", "less"],
)
def test_cpus_are_added_hot_and_never_taken_away(wanted, facts, hot):
    assert is_hot(Target(Unit.CPUS, wanted, 2), virtual_machine(**facts)) is hot


@pytest.mark.parametrize(("node", "hot"), [("SCSI(0:0)", True), ("NVME(0:0)", True), ("IDE(0:0)", False)])
def test_a_disk_grows_hot_unless_it_is_an_ide_disk(node, hot):
    disk = managed_vm(
        resources={"disks": [{"name": "a", "deviceNode": node, "size": "50Gi"}]}
    ).spec.resources.disks[0]
    assert is_hot(Target(Unit.DISK, 50 * GIB, 40 * GIB, disk, 2000), virtual_machine()) is hot


# Hot and cold together

TWO = managed_vm(resources={"memory": "8Gi", "cpus": 4}, change=slip(), restartPolicy="InWindow")
HALF = virtual_machine(cpu_hot_add=True)


def test_what_can_be_done_hot_does_not_wait_for_the_window():
    decided = planned(TWO, observed(HALF))
    change = decided.actions[-1]
    assert isinstance(change, Reconfigure)
    assert (change.cpus, change.memory_mib) == (4, None)
    assert only_advance(decided).after.state is RequestState.SCHEDULED


def test_in_the_window_all_is_done_in_one_power_cycle():
    ask = planned(TWO, observed(HALF), BEGIN)
    assert kinds(ask).count(RecordRequest) == 2
    assert kinds(ask)[-1] is ShutDownGuest
    assert Reconfigure not in kinds(ask)
    off = replace(HALF, power=PowerState.OFF)
    both = [asked(), change_request("CPUs", "4", before="2")]
    change = planned(TWO, observed(off, requests=both), BEGIN + minutes(1)).actions[-1]
    assert (change.cpus, change.memory_mib) == (4, 8192)


def test_nothing_is_changed_while_the_guest_is_shutting_down():
    both = [asked(), change_request("CPUs", "4", before="2")]
    assert Reconfigure not in kinds(planned(TWO, observed(HALF, requests=both), BEGIN + SECOND))


def test_when_the_guest_does_not_shut_down_the_hot_part_goes_on():
    both = [asked(), change_request("CPUs", "4", before="2")]
    decided = planned(TWO, observed(HALF, requests=both), BEGIN + SHUTDOWN_LIMIT)
    assert kinds(decided) == [ConfirmUnchanged, Reconfigure]


# Refused by vCenter


def test_a_refused_change_rests_and_is_tried_again():
    hot = virtual_machine(
        memory_hot_add=True, task=task(TaskState.ERROR, end=NOW, fault="Busy", message="x" * 2000)
    )
    soon = planned(wants(), observed(hot, requests=[change_request()]), NOW + RETRY_AFTER - SECOND)
    assert (reasons(soon), soon.actions) == ([Reason.CHANGE_FAILED], ())
    assert soon.next_check == NOW + RETRY_AFTER
    assert Reconfigure in kinds(
        planned(wants(), observed(hot, requests=[change_request()]), NOW + RETRY_AFTER)
    )


def test_no_guest_is_shut_down_shortly_after_a_refusal():
    refused = virtual_machine(task=task(TaskState.ERROR, end=BEGIN))
    assert ShutDownGuest not in kinds(
        planned(wants(), observed(refused, requests=[scheduled()]), BEGIN + minutes(1))
    )


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.RUNNING])
def test_while_vcenter_is_at_work_nothing_is_begun(state):
    busy = virtual_machine(memory_hot_add=True, task=task(state, end=None))
    decided = planned(wants(), observed(busy, requests=[change_request()]))
    assert (reasons(decided), decided.actions) == ([Reason.CHANGE_IN_PROGRESS], ())


def test_a_task_on_a_vm_that_is_as_agreed_is_not_worth_a_word():
    busy = virtual_machine(task=task(TaskState.RUNNING, end=None))
    assert reasons(planned(wants("4Gi"), observed(busy))) == [Reason.RESOURCES_AS_AGREED]


@pytest.mark.parametrize(
    ("first", "second", "last"),
    [
        (RequestState.ORDERED, RequestState.SCHEDULED, RequestState.SCHEDULED),
        (RequestState.IN_WORK, RequestState.SCHEDULED, RequestState.IN_WORK),
        (RequestState.HELD, RequestState.SCHEDULED, RequestState.SCHEDULED),
    ],
)
def test_a_request_only_advances(first, second, last):
    assert later(first, second) is last
