"""Orders to a vCenter: each is sent at most once, is seen in the inventory, and fails with who must act."""

import asyncio
from dataclasses import replace

import pytest

from managedvm.errors import (
    BusyError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.actions import (
    ConfigureClusterHighAvailability,
    OverrideHighAvailability,
    Reconfigure,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.observed import RECONFIGURE, HaSettings, PowerState, TaskState, Unknown
from tests.world.simulated import APP, DB, WEB, eventually, following

pytestmark = pytest.mark.lab

GIB = 1 << 30
PROMISED = HaSettings(
    restart_priority="highest",
    vm_monitoring="vmMonitoringOnly",
    failure_interval=30,
    min_up_time=120,
    max_failures=3,
    max_failure_window=-1,
    cluster_settings=False,
)


def reconfiguration(vm, **changes):
    return Reconfigure(vm.moref, vm.change_version, Clause.CHANGE_BY_EFFORT, **changes)


def mutations(sim, method):
    return [entry for entry in sim.admin.calls()["mutations"] if entry["method"] == method]


async def test_size_and_notes_are_changed_in_one_task(sim):
    async with following(sim) as follower:
        before = follower.vm(WEB)
        disk = before.disks["SCSI(0:1)"]
        await follower.vsphere.reconfigure(
            reconfiguration(
                before,
                cpus=before.cpus + 1,
                memory_mib=before.memory_mib + 1024,
                disks={disk.device_key: disk.capacity_bytes + GIB},
                notes={"managedvm.change.cpus": "op-7", "managedvm.change.memory": "op-8"},
            )
        )
        assert follower.vm(WEB).task.is_running or follower.vm(WEB).task.state is TaskState.SUCCESS
        after = await follower.until(lambda f: f.vm(WEB).task.end and f.vm(WEB), "the end of the task")
        assert (after.task.method, after.task.state) == (RECONFIGURE, TaskState.SUCCESS)
        assert (after.cpus, after.memory_mib) == (before.cpus + 1, before.memory_mib + 1024)
        assert after.disks["SCSI(0:1)"].capacity_bytes == disk.capacity_bytes + GIB
        assert after.disks["SCSI(0:0)"] == before.disks["SCSI(0:0)"]
        assert after.notes == {"managedvm.change.cpus": "op-7", "managedvm.change.memory": "op-8"}
        assert after.change_version != before.change_version
        assert len(mutations(sim, RECONFIGURE)) == 1


async def test_an_override_is_added_and_then_edited(sim):
    async with following(sim) as follower:
        vm = follower.vm(APP)
        assert vm.ha_override is None
        for settings, exists in ((PROMISED, False), (HaSettings(restart_priority="low"), True)):
            await follower.vsphere.override_high_availability(
                OverrideHighAvailability(vm.cluster, vm.moref, settings, exists=exists)
            )
            await follower.until(lambda f: not f.vm(APP).ha_task.is_running, "the end of the task")
            assert follower.vm(APP).ha_task.state is TaskState.SUCCESS
        edited = follower.vm(APP).ha_override
        assert edited.restart_priority == "low"
        assert (edited.failure_interval, edited.max_failures, edited.max_failure_window) == (30, 3, -1)
    sim.admin.ha_override(APP, remove=True)


async def test_an_override_that_is_there_already_cannot_be_added(sim):
    sim.admin.ha_override(APP, restartPriority="low")
    async with following(sim) as follower:
        vm = follower.vm(APP)
        await follower.vsphere.override_high_availability(
            OverrideHighAvailability(vm.cluster, vm.moref, PROMISED, exists=False)
        )
        await follower.until(lambda f: not f.vm(APP).ha_task.is_running, "the end of the task")
        assert (follower.vm(APP).ha_task.state, follower.vm(APP).ha_task.fault) == (
            TaskState.ERROR,
            "InvalidArgument",
        )
    sim.admin.ha_override(APP, remove=True)


async def test_only_the_named_cluster_options_change(sim):
    sim.admin.cluster("cluster-2", options={"das.other": "7"})
    async with following(sim) as follower:
        cluster = follower.cluster("cluster-2")
        await follower.vsphere.configure_cluster(
            ConfigureClusterHighAvailability(
                cluster.moref, vm_monitoring="vmMonitoringOnly", options={"das.iostatsInterval": "120"}
            )
        )
        done = await follower.until(
            lambda f: f.cluster("cluster-2").task.end and f.cluster("cluster-2"), "the end of the task"
        )
        assert done.task.state is TaskState.SUCCESS
        assert done.options == {"das.other": "7", "das.iostatsInterval": "120"}
        assert (done.vm_monitoring, done.host_monitoring, done.ha_enabled) == (
            "vmMonitoringOnly",
            cluster.host_monitoring,
            cluster.ha_enabled,
        )
        sim.admin.cluster("cluster-2", enabled=False)
        await follower.until(lambda f: not f.cluster("cluster-2").ha_enabled, "HA off")
        await follower.vsphere.configure_cluster(ConfigureClusterHighAvailability(cluster.moref, enable=True))
        await follower.until(lambda f: f.cluster("cluster-2").ha_enabled, "HA on")


async def test_a_guest_is_asked_to_shut_down_and_the_vm_is_powered_on_again(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB).moref
        await follower.vsphere.shut_down_guest(vm)
        await follower.until(lambda f: f.vm(DB).power is PowerState.OFF, "power off")
        await follower.vsphere.power_on(vm)
        await follower.until(lambda f: f.vm(DB).power is PowerState.ON and f.vm(DB).task.end, "power on")


async def test_a_guest_without_tools_cannot_be_asked_to_shut_down(sim):
    async with following(sim) as follower:
        sim.admin.vm(DB, tools="notRunning")
        with pytest.raises(StaleError, match="ToolsUnavailable"):
            await follower.vsphere.shut_down_guest(follower.vm(DB).moref)
        sim.admin.vm(DB, tools="running")


async def test_a_lost_answer_is_an_unknown_outcome_and_the_order_was_carried_out_once(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        sim.admin.fault("drop-response", method=RECONFIGURE, count=1)
        with pytest.raises(UnknownOutcomeError):
            await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.lost": "1"}))
        await follower.until(lambda f: f.vm(DB).notes.get("managedvm.lost") == "1", "its effect")
        assert len(mutations(sim, RECONFIGURE)) == 1
        found = await follower.vsphere.recent_task(vm.moref, RECONFIGURE)
        assert (found.method, found.state) == (RECONFIGURE, TaskState.SUCCESS)


async def test_a_silent_vcenter_leaves_an_order_unknown_after_a_limit(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        await follower.vsphere.recent_task(vm.moref, RECONFIGURE)
        sim.admin.fault("silence")
        with pytest.raises(UnknownOutcomeError):
            await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.silent": "1"}))
        sim.admin.clear_faults()
        await follower.until(lambda f: f.is_healthy, "the return")
        assert len(mutations(sim, RECONFIGURE)) <= 1


async def test_an_order_that_was_never_sent_is_known_to_be_without_effect(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        sim.admin.fault("refuse")
        with pytest.raises(UnreachableError):
            await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.never": "1"}))
        sim.admin.clear_faults()
        await follower.until(lambda f: f.is_healthy, "the return")
        assert mutations(sim, RECONFIGURE) == []


async def test_a_lost_session_is_not_repaired_by_sending_an_order_twice(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        await follower.vsphere.recent_task(vm.moref, RECONFIGURE)
        sim.admin.fault("reject", method=RECONFIGURE, fault="NotAuthenticated", count=1)
        with pytest.raises(UnreachableError):
            await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.again": "1"}))
        assert sim.admin.calls()["methods"][RECONFIGURE] == 1
        await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.again": "1"}))
        await follower.until(lambda f: f.vm(DB).notes.get("managedvm.again") == "1", "its effect")


async def test_a_vm_changed_meanwhile_is_not_reconfigured(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        sim.admin.vm(DB, cpus=vm.cpus + 1)
        await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.stale": "1"}))
        await follower.until(lambda f: not f.vm(DB).task.is_running, "the end of the task")
        assert (follower.vm(DB).task.state, follower.vm(DB).task.fault) == (
            TaskState.ERROR,
            "ConcurrentAccess",
        )
        assert "managedvm.stale" not in follower.vm(DB).notes


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("ConcurrentAccess", StaleError),
        ("TaskInProgress", BusyError),
        ("CpuHotPlugNotSupported", RefusedError),
    ],
)
async def test_a_refusal_on_the_spot_says_who_must_act(sim, fault, error):
    async with following(sim) as follower:
        sim.admin.fault("reject", method=RECONFIGURE, fault=fault, count=1)
        with pytest.raises(error, match=fault):
            await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), cpus=6))
        assert follower.vm(DB).task is None


async def test_a_failing_task_is_seen_with_its_fault(sim):
    async with following(sim) as follower:
        sim.admin.fault("fail-task", method=RECONFIGURE, fault="InsufficientResourcesFault", count=1)
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), notes={"managedvm.fails": "1"}))
        task = (await follower.until(lambda f: f.vm(DB).task.end and f.vm(DB), "its end")).task
        assert (task.state, task.fault) == (TaskState.ERROR, "InsufficientResourcesFault")
        assert task.message


async def test_a_slow_task_is_seen_running_and_no_second_one_is_started(sim):
    async with following(sim) as follower:
        sim.admin.fault("slow-task", method=RECONFIGURE, seconds=2)
        vm = follower.vm(DB)
        await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.slow": "1"}))
        await follower.until(lambda f: f.vm(DB).task.state is TaskState.RUNNING, "the running task")
        with pytest.raises(BusyError):
            await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.slow": "2"}))
        await follower.until(lambda f: f.vm(DB).task.state is TaskState.SUCCESS, "its end")
        assert follower.vm(DB).notes["managedvm.slow"] == "1"
        assert len(mutations(sim, RECONFIGURE)) == 1


async def test_a_task_is_followed_to_its_end_over_a_lost_session(sim):
    async with following(sim) as follower:
        sim.admin.fault("slow-task", method=RECONFIGURE, seconds=2)
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), notes={"managedvm.kept": "1"}))
        sim.admin.fault("expire-sessions")
        await follower.until(lambda f: f.vm(DB).task.state is TaskState.SUCCESS, "its end")


async def test_tasks_beyond_the_budget_wait_for_a_slot_and_are_busy_after_a_limit(sim):
    async with following(sim, limit=1) as follower:
        sim.admin.fault("slow-task", method=RECONFIGURE, seconds=2)
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), notes={"managedvm.first": "1"}))
        with pytest.raises(BusyError):
            await follower.vsphere.reconfigure(
                reconfiguration(follower.vm(APP), notes={"managedvm.second": "1"})
            )
        await follower.until(lambda f: f.vm(DB).task.end, "the end of the first")
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(APP), notes={"managedvm.second": "1"}))
        await follower.until(lambda f: f.vm(APP).task.end, "the end of the second")


async def test_a_vm_that_is_shut_down_has_its_slot_before_and_is_started_without_one(sim):
    async with following(sim, limit=1) as follower:
        vm = follower.vm(DB)
        await follower.vsphere.reserve(vm.moref)
        with pytest.raises(BusyError):
            await follower.vsphere.reserve(follower.vm(APP).moref)
        await follower.vsphere.shut_down_guest(vm.moref)
        off = await follower.until(lambda f: f.vm(DB).power is PowerState.OFF and f.vm(DB), "the end")
        await follower.vsphere.reconfigure(reconfiguration(off, notes={"managedvm.down": "1"}))
        await follower.until(lambda f: f.vm(DB).task.end, "the change")
        sim.admin.fault("slow-task", method=RECONFIGURE, seconds=2)
        await follower.vsphere.power_on(vm.moref)
        await follower.until(lambda f: f.vm(DB).power is PowerState.ON and f.vm(DB).task.end, "the start")
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(APP), notes={"managedvm.up": "1"}))
        await follower.vsphere.power_on(vm.moref)


async def test_what_is_refused_at_once_is_remembered_until_it_is_done(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        sim.admin.fault("reject", method=RECONFIGURE, fault="NoPermission", count=2)
        for many in (1, 2):
            with pytest.raises(NoPermissionError):
                await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.no": "1"}))
            refused = follower.vm(DB).refusal_of(RECONFIGURE)
            assert (refused.fault, refused.refusals, refused.moref) == ("NoPermission", many, "")
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), notes={"managedvm.yes": "1"}))
        await follower.until(lambda f: f.vm(DB).task.end, "its end")
        assert follower.vm(DB).refusal_of(RECONFIGURE) is None


async def test_a_note_is_taken_away_by_an_empty_one(sim):
    async with following(sim) as follower:
        for value in ("1", ""):
            await follower.vsphere.reconfigure(
                reconfiguration(follower.vm(DB), notes={"managedvm.gone": value})
            )
            await follower.until(lambda f: f.vm(DB).task.end, "its end")
            await follower.until(
                lambda f, value=value: f.vm(DB).notes.get("managedvm.gone", "") == value, "the note"
            )


async def test_nothing_is_sent_by_a_replica_that_may_not_act(sim):
    allowed = True
    async with following(sim, may_act=lambda: allowed) as follower:
        vm = follower.vm(DB)
        await follower.vsphere.recent_task(vm.moref, RECONFIGURE)
        allowed = False
        orders = (
            follower.vsphere.reconfigure(reconfiguration(vm, cpus=5)),
            follower.vsphere.power_on(vm.moref),
            follower.vsphere.shut_down_guest(vm.moref),
            follower.vsphere.configure_cluster(ConfigureClusterHighAvailability(vm.cluster, enable=True)),
            follower.vsphere.override_high_availability(
                OverrideHighAvailability(vm.cluster, vm.moref, PROMISED, exists=False)
            ),
        )
        for result in await asyncio.gather(*orders, return_exceptions=True):
            assert isinstance(result, NotActiveError)
        assert sim.admin.calls()["mutations"] == []


async def test_a_disk_never_shrinks_and_a_missing_one_is_stale(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        with pytest.raises(RefusedError):
            await follower.vsphere.reconfigure(reconfiguration(vm, disks={2000: GIB}))
        with pytest.raises(StaleError):
            await follower.vsphere.reconfigure(reconfiguration(vm, disks={2015: 900 * GIB}))
        assert mutations(sim, RECONFIGURE) == []


async def test_a_vm_that_is_gone_is_stale(sim):
    sim.admin.create_vm(path="kunde-b/vanished", cluster="cluster-2", disks=[{"sizeGiB": 1}])
    async with following(sim) as follower:
        vm = follower.vm("kunde-b/vanished")
        sim.admin.delete_vm("kunde-b/vanished")
        with pytest.raises(StaleError):
            await follower.vsphere.reconfigure(reconfiguration(vm, cpus=2))


async def test_after_a_restart_of_ours_the_latest_task_can_be_read(sim):
    async with following(sim) as follower:
        await follower.vsphere.reconfigure(reconfiguration(follower.vm(DB), notes={"managedvm.known": "1"}))
        ended = (await follower.until(lambda f: f.vm(DB).task.end and f.vm(DB), "its end")).task
    async with following(sim) as again:
        vm = again.vm(DB)
        assert vm.task is None
        found = await again.vsphere.recent_task(vm.moref, RECONFIGURE)
        assert found == replace(ended, seen_at=found.seen_at)
        assert await again.vsphere.recent_task(vm.moref, RECONFIGURE) == found
        assert await again.vsphere.recent_task(vm.moref, "PowerOffVM_Task") is None
        sim.admin.fault("refuse")
        assert isinstance(await again.vsphere.recent_task(vm.moref, RECONFIGURE), Unknown)


async def test_an_order_that_was_delivered_twice_is_told_by_the_delivery_that_was_carried_out(sim):
    async with following(sim) as follower:
        vm = follower.vm(DB)
        await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.twice": "1"}))
        done = (await follower.until(lambda f: f.vm(DB).task.end and f.vm(DB), "its end")).task
        await follower.vsphere.reconfigure(reconfiguration(vm, notes={"managedvm.twice": "1"}))
        late = (await follower.until(lambda f: f.vm(DB).task.fault and f.vm(DB), "the second's end")).task
        assert late.moref != done.moref
        found = await follower.vsphere.recent_task(vm.moref, RECONFIGURE)
        assert found == replace(done, seen_at=found.seen_at)


async def test_a_busy_vcenter_is_told_apart_from_one_that_has_finished(sim):
    async with following(sim) as follower:
        sim.admin.fault("slow-task", method="ReconfigureComputeResource_Task", seconds=0.5)
        vm = follower.vm(WEB)
        order = OverrideHighAvailability(vm.cluster, vm.moref, PROMISED, exists=False)
        await follower.vsphere.override_high_availability(order)
        with pytest.raises(BusyError):
            await follower.vsphere.override_high_availability(order)
        await eventually(lambda: follower.vm(WEB).ha_override == PROMISED, "the override")
    sim.admin.ha_override(WEB, remove=True)
