"""The inventory follows a vCenter: what is there, what changes, and what is gone only when that is certain."""

from datetime import UTC, datetime, timedelta

import pytest

from managedvm.planning.observed import DiskFacts, HaSettings, Heartbeat, PowerState
from tests.world.simulated import APP, DB, SMALL, WEB, following, path_of

pytestmark = pytest.mark.lab

GIB = 1 << 30


def new_vm(sim, path, **facts):
    sim.admin.create_vm(
        path=path, cluster="cluster-1", cpus=1, memoryMiB=1024, disks=[{"sizeGiB": 10}], **facts
    )


async def test_the_first_fill_holds_every_vm_with_its_facts(sim):
    async with following(sim) as follower:
        vm = follower.vm(WEB)
        assert (vm.cpus, vm.memory_mib, vm.power) == (2, 4096, PowerState.ON)
        assert vm.disks == {"SCSI(0:0)": DiskFacts(2000, 40 * GIB), "SCSI(0:1)": DiskFacts(2001, 100 * GIB)}
        assert (vm.cpu_hot_add, vm.memory_hot_add) == (True, True)
        assert (vm.hot_add_increment_mib, vm.hot_add_limit_mib) == (1024, 65536)
        assert vm.notes == {"managedvm.change.memory": "op-1"}
        assert (vm.connected, vm.is_template, vm.tools_running) == (True, False, True)
        assert vm.heartbeat is Heartbeat.GREEN
        assert follower.inventory.cluster(vm.cluster).name == "cluster-1"
        assert follower.inventory.vm_by_uuid(vm.instance_uuid) == vm
        assert len(follower.inventory) == len(SMALL["vms"])
        assert follower.inventory.unidentified == 0


async def test_the_first_fill_is_told_once_and_whole(sim):
    async with following(sim) as follower:
        uuids, clusters, _ = follower.told[0]
        assert uuids == {vm.instance_uuid for vm in follower.inventory}
        assert clusters == {cluster.moref for cluster in follower.inventory.clusters()}
        assert len(follower.told) == 1


async def test_a_changed_size_arrives_and_names_the_vm(sim):
    async with following(sim) as follower:
        uuid = follower.vm(WEB).instance_uuid
        sim.admin.vm(WEB, cpus=6, memory=12288)
        await follower.until(lambda f: (f.vm(WEB).cpus, f.vm(WEB).memory_mib) == (6, 12288), "the new size")
        assert {uuid} == set().union(*(vms for vms, _, _ in follower.told[1:]))
        sim.admin.vm(WEB, cpus=2, memory=4096)
        await follower.until(lambda f: f.vm(WEB).cpus == 2, "the old size")


async def test_power_tools_and_heartbeat_arrive(sim):
    async with following(sim) as follower:
        sim.admin.vm(DB, power="off")
        await follower.until(lambda f: f.vm(DB).power is PowerState.OFF, "power off")
        await follower.until(lambda f: not f.vm(DB).tools_running, "Tools stopped")
        sim.admin.vm(DB, power="on")
        await follower.until(lambda f: f.vm(DB).tools_running, "Tools running")
        before = follower.vm(DB).heartbeat_since
        sim.admin.vm(DB, heartbeat="red")
        await follower.until(lambda f: f.vm(DB).heartbeat is Heartbeat.RED, "a red heartbeat")
        assert follower.vm(DB).heartbeat_since > before
        sim.admin.vm(DB, heartbeat="green")
        await follower.until(lambda f: f.vm(DB).heartbeat is Heartbeat.GREEN, "a green heartbeat")


async def test_a_disconnected_vm_is_seen_as_such(sim):
    async with following(sim) as follower:
        sim.admin.vm(APP, connection="disconnected")
        await follower.until(lambda f: not f.vm(APP).connected, "the disconnection")
        sim.admin.vm(APP, connection="connected")
        await follower.until(lambda f: f.vm(APP).connected, "the connection")


async def test_a_renamed_vm_has_a_new_path_and_keeps_its_identity(sim):
    async with following(sim) as follower:
        uuid = follower.vm(DB).instance_uuid
        sim.admin.vm(DB, rename="db-renamed")
        renamed = await follower.until(lambda f: f.vm("kunde-a/db-renamed"), "the new name")
        assert renamed.instance_uuid == uuid
        assert follower.vm(DB) is None
        sim.admin.vm("kunde-a/db-renamed", rename="db-01")
        await follower.until(lambda f: f.vm(DB), "the old name")


async def test_a_moved_vm_has_the_path_of_its_new_folder(sim):
    new_vm(sim, "kunde-a/nomad")
    async with following(sim) as follower:
        uuid = follower.vm("kunde-a/nomad").instance_uuid
        sim.admin.vm("kunde-a/nomad", moveTo="kunde-b")
        moved = await follower.until(lambda f: f.vm("kunde-b/nomad"), "the new folder")
        assert moved.instance_uuid == uuid
        assert moved.path == path_of("kunde-b/nomad")
        assert follower.vm("kunde-a/nomad") is None
    sim.admin.delete_vm("kunde-b/nomad")


async def test_a_vm_that_is_made_or_destroyed_meanwhile_comes_and_goes(sim):
    async with following(sim) as follower:
        new_vm(sim, "kunde-a/short-lived")
        made = await follower.until(lambda f: f.vm("kunde-a/short-lived"), "the new VM")
        sim.admin.delete_vm("kunde-a/short-lived")
        await follower.until(lambda f: f.inventory.vm_by_uuid(made.instance_uuid) is None, "its end")
        assert follower.is_healthy
        assert made.instance_uuid in follower.told[-1][0]


async def test_a_vmotion_within_the_cluster_is_no_news_and_one_to_another_cluster_is(sim):
    new_vm(sim, "kunde-a/traveller")
    async with following(sim) as follower:
        start = follower.vm("kunde-a/traveller")
        home = sim.admin.vm("kunde-a/traveller")["host"]
        other = "esx-cluster-1-2" if home.endswith("1") else "esx-cluster-1-1"
        told = len(follower.told)
        sim.admin.vm("kunde-a/traveller", host=other)
        sim.admin.vm("kunde-a/traveller", host="esx-cluster-2-1")
        moved = await follower.until(
            lambda f: f.vm("kunde-a/traveller").cluster != start.cluster and f.vm("kunde-a/traveller"),
            "the move",
        )
        assert follower.inventory.cluster(moved.cluster).name == "cluster-2"
        assert [vms for vms, _, _ in follower.told[told:]] == [{start.instance_uuid}]
    sim.admin.delete_vm("kunde-a/traveller")


async def test_an_override_changed_behind_our_back_arrives(sim):
    async with following(sim) as follower:
        uuid = follower.vm(WEB).instance_uuid
        assert follower.vm(WEB).ha_override is None
        sim.admin.ha_override(
            WEB, restartPriority="high", failureInterval=60, maxFailures=5, clusterSettings=False
        )
        found = await follower.until(lambda f: f.vm(WEB).ha_override, "the override")
        assert found == HaSettings(
            restart_priority="high", failure_interval=60, max_failures=5, cluster_settings=False
        )
        assert follower.told[-1][0] == {uuid}
        sim.admin.ha_override(WEB, remove=True)
        await follower.until(lambda f: f.vm(WEB).ha_override is None, "its end")


async def test_a_cluster_option_changed_behind_our_back_arrives(sim):
    async with following(sim) as follower:
        sim.admin.cluster(
            "cluster-2", options={"das.iostatsInterval": "300"}, vmMonitoring="vmMonitoringOnly"
        )
        await follower.until(
            lambda f: f.cluster("cluster-2").options.get("das.iostatsInterval") == "300", "the option"
        )
        assert follower.cluster("cluster-2").vm_monitoring == "vmMonitoringOnly"
        assert follower.told[-1][1] == {follower.cluster("cluster-2").moref}
        sim.admin.cluster("cluster-2", enabled=False, options={"das.iostatsInterval": ""})
        await follower.until(lambda f: not f.cluster("cluster-2").ha_enabled, "HA off")
        assert "das.iostatsInterval" not in follower.cluster("cluster-2").options
        sim.admin.cluster("cluster-2", enabled=True, vmMonitoring="vmMonitoringDisabled")


async def test_ha_restarts_are_counted_over_vmotion_and_over_a_restart_of_our_process(sim):
    new_vm(sim, "kunde-a/shaky")
    async with following(sim) as follower:
        sim.admin.ha_restart("kunde-a/shaky", kind="reset")
        sim.admin.ha_restart("kunde-a/shaky", kind="screenshot")
        await follower.until(lambda f: len(f.vm("kunde-a/shaky").restarts) == 2, "two restarts")
        sim.admin.vm("kunde-a/shaky", host="esx-cluster-1-2")
        sim.admin.ha_restart("kunde-a/shaky", kind="reset")
        seen = await follower.until(
            lambda f: len(f.vm("kunde-a/shaky").restarts) == 3 and f.vm("kunde-a/shaky"), "3"
        )
        keys = [event.key for event in seen.restarts]
        assert keys == sorted(set(keys))
        assert datetime.now(UTC) - seen.restarts[-1].at < timedelta(minutes=1)  # noqa: TID251 - the server's own clock
    async with following(sim) as again:
        assert again.vm("kunde-a/shaky").restarts == seen.restarts
    sim.admin.delete_vm("kunde-a/shaky")


async def test_other_events_are_not_restarts(sim):
    async with following(sim) as follower:
        sim.admin.ha_restart(APP, kind="alternateHost")
        sim.admin.ha_restart(APP, kind="failed")
        sim.admin.ha_restart(APP, kind="reset")
        await follower.until(lambda f: f.vm(APP).restarts, "the reset")
        assert len(follower.vm(APP).restarts) == 1


async def test_an_idle_inventory_sends_nothing_but_the_waiting_call(sim):
    async with following(sim) as follower:
        sim.admin.reset_calls()
        before = len(follower.told)
        await follower.until(
            lambda _: sim.admin.calls()["methods"].get("WaitForUpdatesEx", 0) >= 3, "three waits"
        )
        calls = sim.admin.calls()
        assert set(calls["methods"]) == {"WaitForUpdatesEx"}
        assert calls["vmReads"] == 0
        assert len(follower.told) == before
