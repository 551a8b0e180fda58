"""HA overrides of one cluster: those asked for during a call go together, and one that is refused takes no other along."""

import asyncio
import json

import pytest

from lab.simulator import OPERATOR_ROLE
from managedvm.errors import BusyError
from managedvm.planning.actions import OverrideHighAvailability
from managedvm.planning.observed import HaSettings, TaskState
from tests.world import simulated
from tests.world.simulated import following

pytestmark = pytest.mark.lab

VMS = tuple(f"kunde-a/vm-{number}" for number in range(4))
METHOD = "ReconfigureComputeResource_Task"


@pytest.fixture
def sim(tmp_path):
    """A vCenter with four VMs in one cluster."""
    role = json.loads(OPERATOR_ROLE.read_bytes())
    inventory = {
        "datacenter": "Berlin",
        "clusters": [{"name": "cluster-1", "hosts": 1}],
        "vms": [{"path": path, "cluster": "cluster-1"} for path in VMS],
    }
    with simulated.simulator(tmp_path, inventory, {role["name"]: role["privileges"]}) as made:
        yield made


def override(vm, *, exists=False):
    return OverrideHighAvailability(vm.cluster, vm.moref, HaSettings(restart_priority="high"), exists=exists)


def sent(sim):
    return [entry for entry in sim.admin.calls()["mutations"] if entry["method"] == METHOD]


async def set_all(follower, *actions):
    orders = (follower.vsphere.override_high_availability(action) for action in actions)
    return await asyncio.gather(*orders, return_exceptions=True)


async def test_overrides_asked_for_during_a_call_go_together_in_the_next(sim):
    async with following(sim) as follower:
        actions = [override(follower.vm(path)) for path in VMS]
        assert await set_all(follower, *actions) == [None] * 4
        await follower.until(
            lambda f: (
                all(f.vm(path).ha_override for path in VMS)
                and all(f.vm(path).ha_task.state is TaskState.SUCCESS for path in VMS)
            ),
            "all overrides, each with its task",
        )
        assert len(sent(sim)) == 2


async def test_a_task_that_fails_for_one_is_repeated_for_each_alone(sim):
    async with following(sim) as follower:
        vms = [follower.vm(path) for path in VMS]
        # To edit what is not there is refused, and with it all that came along.
        actions = [override(vms[0]), override(vms[1]), override(vms[2]), override(vms[3], exists=True)]
        await set_all(follower, *actions)
        await follower.until(lambda f: f.inventory.tasks.suspects, "the failure")
        assert follower.vm(VMS[1]).ha_task is None
        await set_all(follower, *actions[1:])
        await follower.until(
            lambda f: f.vm(VMS[1]).ha_override and f.vm(VMS[2]).ha_override, "the overrides of the others"
        )
        await follower.until(
            lambda f: f.vm(VMS[3]).ha_task and f.vm(VMS[3]).ha_task.fault, "the refusal of one"
        )
        assert len(sent(sim)) == 5


async def test_a_refusal_on_the_spot_is_an_answer_only_to_who_asked_alone(sim):
    async with following(sim) as follower:
        actions = [override(follower.vm(path)) for path in VMS]
        sim.admin.fault("reject", method=METHOD, fault="InvalidArgument", count=2)
        results = await set_all(follower, *actions)
        assert [type(result) for result in results[1:]] == [BusyError] * 3
        assert await set_all(follower, *actions[1:]) == [None] * 3
        assert len(sent(sim)) == 5
