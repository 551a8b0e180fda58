"""A way back by snapshot against the simulator: whatever answer is lost, each call has its effect once and none is left."""

import asyncio
import contextlib
import json
from collections import Counter
from datetime import timedelta

import pytest
from pydantic import SecretStr
from pyVmomi import vim

from lab.simulator import OPERATOR_ROLE
from managedvm.clock import utc_now
from managedvm.errors import NoPermissionError, StaleError, UnknownOutcomeError
from managedvm.planning.actions import RemoveSnapshot, TakeSnapshot
from managedvm.planning.clauses import Clause
from managedvm.planning.observed import (
    CREATE_SNAPSHOT,
    RECONFIGURE,
    REMOVE_SNAPSHOT,
    REVERT_TO_SNAPSHOT,
    PowerState,
)
from managedvm.planning.reasons import Reason
from managedvm.planning.snapshots import LONGEST_REST, METHODS, SnapshotCase, Transaction, Wish, next_step
from managedvm.world.apply import Hands, apply
from managedvm.world.vsphere.connection import Server, Session
from managedvm.world.vsphere.privileges import METHODS as CALLED
from managedvm.world.vsphere.privileges import SNAPSHOTS
from tests.world import simulated
from tests.world.simulated import ADMINISTRATOR, OPERATOR, READER, following

pytestmark = pytest.mark.lab

RUN = "11111111-2222-4333-8444-555555555555"
NAME = f"managedvm-{RUN}"
PRIVILEGES = {privilege for needed in SNAPSHOTS.values() for privilege in needed}
LOST = {
    CREATE_SNAPSHOT: Wish.KEPT,
    RECONFIGURE: Wish.KEPT,
    REVERT_TO_SNAPSHOT: Wish.REVERTED,
    REMOVE_SNAPSHOT: Wish.GONE,
}
"""The calls of a transaction, and the wish that each belongs to."""


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """A vCenter of this module alone, in which the operator may also take snapshots."""
    role = json.loads(OPERATOR_ROLE.read_bytes())
    directory = tmp_path_factory.mktemp("vcenter")
    rights = {role["name"]: [*role["privileges"], *PRIVILEGES]}
    with simulated.simulator(directory, simulated.SMALL, rights) as made:
        yield made


@pytest.fixture
def vm(sim):
    """The path of a VM of this test alone."""
    path = f"snapshots/{utc_now():%H%M%S%f}"
    sim.admin.create_vm(path=path, cluster="cluster-1", cpus=1, memoryMiB=1024, disks=[{"sizeGiB": 10}])
    sim.admin.vm(path, tools="running", heartbeat="green")
    sim.admin.reset_calls()
    yield path
    sim.admin.clear_faults()
    sim.admin.delete_vm(path)


async def look(follower, path, wish, since, later=timedelta()):
    """Return the next step as a process sees it that remembers nothing."""
    facts = follower.vm(path)
    tasks = await follower.vsphere.recent_tasks(facts.moref, METHODS)
    transaction = Transaction(RUN, "a test", wish, since)
    return next_step(SnapshotCase(transaction, facts, tasks, utc_now() + later))


async def fulfil(sim, path, *wishes, dies=False):
    """Bring wishes to their end, one after the other; one that `dies` begins anew after each call that failed."""
    steps = []
    for wish in wishes:
        since, step = utc_now(), None
        async with asyncio.timeout(60):
            while step is None or not step.is_granted:
                step = await _until_it_ends(sim, path, wish, since, dies=dies)
        steps.append(step)
    return steps


async def _until_it_ends(sim, path, wish, since, *, dies):
    async with following(sim) as follower:
        await follower.until(lambda f: f.vm(path), "the VM")
        while True:
            step = await look(follower, path, wish, since)
            if step.is_granted:
                return step
            hands = Hands(None, follower.vsphere, lambda _: None, lambda _: None)
            try:
                (await apply(step.part.groups, hands)).raise_for(UnknownOutcomeError)
            except UnknownOutcomeError:
                if dies:
                    return step
            await asyncio.sleep(0.05)


def effects(sim):
    return Counter(call["method"] for call in sim.admin.calls()["mutations"])


ONCE = Counter(LOST.keys())


async def test_a_way_back_is_taken_gone_and_removed_with_one_call_each(sim, vm):
    kept, reverted, gone = await fulfil(sim, vm, Wish.KEPT, Wish.REVERTED, Wish.GONE)
    assert kept.snapshot.name == NAME
    assert kept.snapshot.quiesced
    assert "to rest" in kept.part.findings[0].message
    assert reverted.part.findings[0].reason is Reason.SNAPSHOT_REVERTED
    assert gone.snapshot is None
    facts = sim.admin.vm(vm)
    assert (facts["snapshots"], facts["power"]) == ([], "poweredOff")
    assert effects(sim) == ONCE


async def test_it_uses_just_the_privileges_that_are_named_for_it(sim, vm):
    await fulfil(sim, vm, Wish.KEPT, Wish.REVERTED, Wish.GONE)
    calls = sim.admin.calls()
    assert set(calls["privileges"][OPERATOR]) >= PRIVILEGES
    assert set(calls["users"][OPERATOR]) <= set(CALLED) | set(SNAPSHOTS)


async def test_the_role_that_ships_takes_no_snapshot(sim, vm):
    assert not PRIVILEGES & set(json.loads(OPERATOR_ROLE.read_bytes())["privileges"])
    async with following(sim, READER) as follower:
        await follower.until(lambda f: f.vm(vm), "the VM")
        action = TakeSnapshot(follower.vm(vm).moref, NAME, "", quiesce=True, clause=Clause.UPDATE_ON_ORDER)
        with pytest.raises(NoPermissionError, match=r"State\.CreateSnapshot"):
            await follower.vsphere.take_snapshot(action)


@pytest.mark.parametrize("is_slow", [False, True], ids=["done at once", "still at it"])
@pytest.mark.parametrize("method", LOST)
async def test_an_answer_that_was_lost_with_the_process_is_never_asked_for_twice(sim, vm, method, is_slow):
    sim.admin.fault(kind="drop-response", method=method, path=vm, count=1)
    if is_slow:
        sim.admin.fault(kind="slow-task", method=method, path=vm, seconds=1.5, count=1)
    await fulfil(sim, vm, Wish.KEPT, Wish.REVERTED, Wish.GONE, dies=True)
    assert effects(sim) == ONCE
    assert sim.admin.vm(vm)["snapshots"] == []


async def test_a_guest_that_cannot_be_brought_to_rest_is_told_of(sim, vm):
    sim.admin.fault(kind="fail-task", method=CREATE_SNAPSHOT, fault="ApplicationQuiesceFault", count=1)
    (kept,) = await fulfil(sim, vm, Wish.KEPT)
    assert not kept.snapshot.quiesced
    assert "like after a power failure" in kept.part.findings[0].message
    assert effects(sim)[CREATE_SNAPSHOT] == 2
    await fulfil(sim, vm, Wish.GONE)


@pytest.mark.parametrize(
    ("method", "wish"), [(REVERT_TO_SNAPSHOT, Wish.REVERTED), (REMOVE_SNAPSHOT, Wish.GONE)]
)
async def test_what_vcenter_refuses_rests_and_is_tried_again(sim, vm, method, wish):
    await fulfil(sim, vm, Wish.KEPT)
    sim.admin.fault(kind="fail-task", method=method, fault="GenericVmConfigFault", count=1)
    since = utc_now()
    async with following(sim) as follower:
        await follower.until(lambda f: f.vm(vm), "the VM")
        hands = Hands(None, follower.vsphere, lambda _: None, lambda _: None)
        await apply((await look(follower, vm, wish, since)).part.groups, hands)
        await follower.until(lambda f: f.vm(vm).task.end, "the failure")
        resting = await look(follower, vm, wish, since)
        assert resting.part.findings[0].reason is Reason.SNAPSHOT_REFUSED
        assert (resting.part.actions, bool(resting.part.next_check)) == ((), True)
        again = await look(follower, vm, wish, since, later=LONGEST_REST)
        assert len(again.part.actions) == 1
        await apply(again.part.groups, hands)
        await follower.until(lambda f: f.vm(vm).task.end, "the second try")
    await fulfil(sim, vm, Wish.GONE)
    assert sim.admin.vm(vm)["snapshots"] == []


@contextlib.contextmanager
def somebody(sim, path):
    """The VM in the hands of an administrator."""
    server = Server(
        "127.0.0.1", ADMINISTRATOR, SecretStr(simulated.PASSWORDS[ADMINISTRATOR]), sim.port, sim.ca
    )
    session = Session(server, 10)
    search = session.read(lambda: session.content.searchIndex)
    yield session.read(lambda: search.FindByInventoryPath(f"Berlin/vm/{path}"))
    session.close()


async def ended(task):
    async with asyncio.timeout(20):
        while task.info.state not in ("success", "error"):  # noqa: ASYNC110 - pyVmomi sends no events
            await asyncio.sleep(0.05)
    assert task.info.state == "success"
    return task.info.result


async def test_a_foreign_snapshot_is_waited_for_and_never_touched(sim, vm):
    with somebody(sim, vm) as machine:
        foreign = await ended(
            machine.CreateSnapshot_Task("managedvm-backup", "", memory=False, quiesce=False)
        )
        async with following(sim) as follower:
            await follower.until(lambda f: f.vm(vm) and f.vm(vm).snapshots, "the foreign snapshot")
            step = await look(follower, vm, Wish.KEPT, utc_now())
            assert step.part.findings[0].reason is Reason.SNAPSHOT_IN_THE_WAY
            assert step.part.actions == ()
        await ended(foreign.RemoveSnapshot_Task(removeChildren=False))
        await fulfil(sim, vm, Wish.KEPT)
        await ended(machine.CreateSnapshot_Task("of the backup", "", memory=False, quiesce=False))
        await fulfil(sim, vm, Wish.REVERTED, Wish.GONE)
        assert sim.admin.vm(vm)["snapshots"] == ["of the backup"]


async def test_what_a_snapshot_holds_is_read_when_somebody_asks_and_else_nothing_is(sim, vm):
    (kept,) = await fulfil(sim, vm, Wish.KEPT)
    sim.admin.vm(vm, snapshotBytes=3 << 30)
    async with following(sim) as follower:
        await follower.until(lambda f: f.vm(vm) and f.vm(vm).snapshots, "the snapshot")
        assert sim.admin.calls()["vmReads"] > 0
        sim.admin.reset_calls()
        await asyncio.sleep(0.5)
        assert sim.admin.calls()["vmReads"] == 0
        facts = follower.vm(vm)
        held = await follower.vsphere.snapshot_bytes(facts.moref, kept.snapshot.moref)
        assert (3 << 30) < held < (3 << 30) + (1 << 20)
        assert await follower.vsphere.snapshot_bytes(facts.moref, "snapshot-0") == 0
        sim.admin.vm(vm, consolidationNeeded=True)
        await follower.until(lambda f: f.vm(vm).consolidation_needed, "the disks that stay behind")
    await fulfil(sim, vm, Wish.GONE)


async def test_a_snapshot_that_is_gone_is_not_gone_back_to(sim, vm):
    (kept,) = await fulfil(sim, vm, Wish.KEPT)
    with somebody(sim, vm) as machine:
        await ended(
            vim.vm.Snapshot(kept.snapshot.moref, machine._stub).RemoveSnapshot_Task(removeChildren=False)
        )
    async with following(sim) as follower:
        await follower.until(lambda f: f.vm(vm) and not f.vm(vm).snapshots, "its end")
        step = await look(follower, vm, Wish.REVERTED, utc_now())
        assert step.part.findings[0].reason is Reason.SNAPSHOT_LOST
        assert follower.vm(vm).power is PowerState.ON
        gone = RemoveSnapshot(follower.vm(vm).moref, kept.snapshot.moref, Clause.UPDATE_ON_ORDER)
        with pytest.raises(StaleError):
            await follower.vsphere.remove_snapshot(gone)
