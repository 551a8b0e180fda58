"""The role that ships is the least one: each of its privileges is used, and nothing without it is done."""

import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from lab.simulator import OPERATOR_ROLE
from managedvm.errors import NoPermissionError
from managedvm.planning.actions import (
    ConfigureClusterHighAvailability,
    OverrideHighAvailability,
    Reconfigure,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.observed import POWER_ON, RECONFIGURE, SHUT_DOWN, HaSettings, PowerState
from managedvm.world.vsphere.connection import USER_AGENT, Server, Session
from managedvm.world.vsphere.privileges import METHODS
from tests.world.simulated import ADMINISTRATOR, APP, OPERATOR, PASSWORDS, READER, following

pytestmark = pytest.mark.lab

GIB = 1 << 30


def growth(vm):
    disk = vm.disks["SCSI(0:0)"]
    return Reconfigure(
        vm.moref,
        vm.change_version,
        Clause.CHANGE_BY_EFFORT,
        cpus=vm.cpus + 1,
        memory_mib=vm.memory_mib + 1024,
        disks={disk.device_key: disk.capacity_bytes + GIB},
        notes={"managedvm.role": "1"},
    )


def override(vm):
    return OverrideHighAvailability(vm.cluster, vm.moref, HaSettings(restart_priority="low"), exists=False)


async def test_everything_we_do_uses_exactly_the_privileges_of_the_role(sim):
    async with following(sim) as follower:
        port, vm = follower.vsphere, follower.vm(APP)
        await port.shut_down_guest(vm.moref)
        await follower.until(lambda f: f.vm(APP).power is PowerState.OFF, "power off")
        await port.reconfigure(growth(follower.vm(APP)))
        await follower.until(lambda f: f.vm(APP).task.end, "the growth")
        await port.power_on(vm.moref)
        await follower.until(lambda f: f.vm(APP).power is PowerState.ON, "power on")
        await port.override_high_availability(override(vm))
        await port.configure_cluster(ConfigureClusterHighAvailability(vm.cluster, enable=True))
        await port.recent_task(vm.moref, RECONFIGURE)
        await follower.until(
            lambda f: f.vm(APP).ha_task.end and f.cluster("cluster-2").task.end, "both tasks"
        )
    calls = sim.admin.calls()
    granted = set(json.loads(OPERATOR_ROLE.read_bytes())["privileges"])
    # System.Anonymous is used before the server knows who asks.
    assert set(calls["privileges"][OPERATOR]) == granted - {"System.Anonymous"}
    # Only answers of more than one page are continued, and one VM has none of those.
    assert set(calls["users"][OPERATOR]) | {"Login", "RetrieveServiceContent"} == set(METHODS) - {
        "ContinueRetrievePropertiesEx"
    }
    sim.admin.ha_override(APP, remove=True)


async def test_who_may_only_read_sees_everything_and_changes_nothing(sim):
    async with following(sim, READER) as follower:
        port, vm = follower.vsphere, follower.vm(APP)
        orders = {
            "VirtualMachine.Config.AdvancedConfig": lambda: port.reconfigure(
                Reconfigure(vm.moref, vm.change_version, Clause.AS_ORDERED, notes={"managedvm.role": "2"})
            ),
            "VirtualMachine.Config.CPUCount": lambda: port.reconfigure(
                Reconfigure(vm.moref, vm.change_version, Clause.AS_ORDERED, cpus=vm.cpus + 1)
            ),
            "VirtualMachine.Interact.PowerOff": lambda: port.shut_down_guest(vm.moref),
            "VirtualMachine.Interact.PowerOn": lambda: port.power_on(vm.moref),
        }
        for privilege, order in orders.items():
            with pytest.raises(NoPermissionError, match=privilege) as refusal:
                await order()
            assert (refusal.value.privilege, refusal.value.target) == (privilege, vm.moref)
        with pytest.raises(NoPermissionError, match=r"Host\.Inventory\.EditCluster") as refusal:
            await port.override_high_availability(override(vm))
        assert refusal.value.target == vm.cluster
        assert all(entry["outcome"] == "NoPermission" for entry in sim.admin.calls()["mutations"])
        refused = follower.vm(APP).refused
        assert set(refused) == {RECONFIGURE, SHUT_DOWN, POWER_ON}, "what was refused is remembered"
        assert replace(follower.vm(APP), refused={}) == vm


async def test_our_sessions_are_told_from_others_by_their_user_agent(sim):
    async with following(sim) as follower:
        await follower.vsphere.recent_task(follower.vm(APP).moref, RECONFIGURE)
        secret = SecretStr(PASSWORDS[ADMINISTRATOR])
        admin = Session(Server("127.0.0.1", ADMINISTRATOR, secret, sim.port, sim.ca), request_seconds=5)
        try:
            listed = admin.read(lambda: admin.content.sessionManager.sessionList)
        finally:
            admin.close()
        ours = [session.userAgent for session in listed if session.userName == OPERATOR]
        assert ours == [USER_AGENT, USER_AGENT]
