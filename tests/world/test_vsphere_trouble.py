"""A vCenter that is away, silent, forgetful or not what it says: nothing is concluded, and all heals by itself."""

import logging

import pytest

from lab import pki
from managedvm.world.vsphere.health import Healthy, Unreachable
from tests.world.simulated import (
    APP,
    DB,
    OPERATOR,
    PASSWORDS,
    SMALL,
    WEB,
    Simulator,
    eventually,
    following,
    path_of,
)

pytestmark = pytest.mark.lab


def is_lost(follower):
    return isinstance(follower.inventory.health, Unreachable)


def concluded_while_away(follower, told_before):
    """The VMs that were told changed while the inventory was not healthy."""
    return set().union(
        *(vms for vms, _, health in follower.told[told_before:] if not isinstance(health, Healthy))
    )


@pytest.mark.parametrize("kind", ["refuse", "silence"])
async def test_a_vcenter_that_is_away_is_unreachable_and_comes_back_by_itself(sim, kind):
    async with following(sim) as follower:
        told, held = len(follower.told), len(follower.inventory)
        sim.admin.fault(kind)
        await follower.until(is_lost, "the loss")
        assert follower.inventory.health.reason == "Unreachable"
        assert len(follower.inventory) == held
        assert follower.vm(WEB) is not None
        sim.admin.clear_faults()
        await follower.until(lambda f: f.is_healthy, "the return")
        assert len(follower.inventory) == held
        assert concluded_while_away(follower, told) == set()
        assert follower.told[-1][0] == set()


async def test_the_loss_keeps_its_first_instant_however_often_it_is_noticed(sim):
    async with following(sim) as follower:
        sim.admin.fault("refuse")
        await follower.until(is_lost, "the loss")
        since = follower.inventory.health.since
        sim.admin.clear_faults()
        sim.admin.fault("reject", method="Login", fault="InvalidLogin")
        await follower.until(
            lambda f: is_lost(f) and f.inventory.health.reason == "InvalidCredentials", "another reason"
        )
        assert follower.inventory.health.since == since
        sim.admin.clear_faults()
        await follower.until(lambda f: f.is_healthy, "the return")


async def test_a_vm_destroyed_while_we_were_away_is_gone_only_after_a_complete_look(sim):
    sim.admin.create_vm(path="kunde-b/doomed", cluster="cluster-2", disks=[{"sizeGiB": 1}])
    async with following(sim) as follower:
        doomed = follower.vm("kunde-b/doomed").instance_uuid
        told = len(follower.told)
        sim.admin.fault("refuse")
        await follower.until(is_lost, "the loss")
        sim.admin.delete_vm("kunde-b/doomed")
        sim.admin.vm(DB, cpus=8)
        assert follower.inventory.vm_by_uuid(doomed) is not None
        sim.admin.clear_faults()
        await follower.until(lambda f: f.is_healthy, "the return")
        assert follower.inventory.vm_by_uuid(doomed) is None
        assert follower.vm(DB).cpus == 8
        assert follower.told[-1][0] == {doomed, follower.vm(DB).instance_uuid}
        assert concluded_while_away(follower, told) == set()
    sim.admin.vm(DB, cpus=4)


async def test_ended_sessions_are_renewed_and_no_change_is_lost(sim):
    async with following(sim) as follower:
        for logins, cpus in enumerate((5, 6, 4), start=2):
            sim.admin.fault("expire-sessions")
            sim.admin.vm(DB, cpus=cpus)
            await follower.until(lambda f, cpus=cpus: f.is_healthy and f.vm(DB).cpus == cpus, "the change")
            assert sim.admin.calls()["methods"]["Login"] == logins
        assert not any(isinstance(health, Unreachable) for _, _, health in follower.told)


async def test_ha_restarts_during_a_lost_session_are_counted_once(sim):
    async with following(sim) as follower:
        before = len(follower.vm(APP).restarts)
        sim.admin.ha_restart(APP)
        sim.admin.fault("expire-sessions")
        sim.admin.ha_restart(APP)
        await follower.until(
            lambda f: f.is_healthy and len(f.vm(APP).restarts) == before + 2, "both restarts"
        )


async def test_a_read_outlives_the_end_of_its_session(sim):
    async with following(sim) as follower:
        vm = follower.vm(WEB).moref
        assert await follower.vsphere.recent_task(vm, "PowerOnVM_Task") is None
        sim.admin.fault("expire-sessions")
        assert await follower.vsphere.recent_task(vm, "PowerOnVM_Task") is None


async def test_we_never_have_more_than_two_sessions_and_none_after_the_end(sim):
    async with following(sim) as follower:
        for _ in range(3):
            await follower.vsphere.recent_task(follower.vm(WEB).moref, "ReconfigVM_Task")
            assert sim.admin.calls()["sessions"] <= 2
            sim.admin.fault("expire-sessions")
            sim.admin.fault("refuse")
            await follower.until(is_lost, "the loss")
            sim.admin.clear_faults()
            await follower.until(lambda f: f.is_healthy, "the return")
            assert sim.admin.calls()["sessions"] <= 2
    assert sim.admin.calls()["sessions"] == 0


async def test_a_wrong_password_is_a_persons_matter(sim):
    async with following(sim, password="canary-wrong-77aa", healthy=False) as follower:
        await follower.until(is_lost, "the refusal")
        health = follower.inventory.health
        assert (health.reason, "canary" in health.message) == ("InvalidCredentials", False)
        assert OPERATOR in health.message


async def test_a_server_that_nobody_trusted_vouches_for_gets_no_password(sim, tmp_path):
    stranger = pki.new_authority(tmp_path, "stranger").bundle.read_text()
    sim.admin.reset_calls()
    async with following(sim, ca=stranger, healthy=False) as follower:
        await follower.until(is_lost, "the refusal")
        assert follower.inventory.health.reason == "TlsNotTrusted"
    assert "Login" not in sim.admin.calls()["methods"]


async def test_a_bad_certificate_authority_is_told_as_such(sim):
    async with following(sim, ca="no certificate", healthy=False) as follower:
        await follower.until(is_lost, "the refusal")
        assert follower.inventory.health.reason == "TlsNotTrusted"


async def test_no_password_is_logged_whatever_fails(sim, caplog):
    caplog.set_level(logging.DEBUG)
    async with following(sim) as follower:
        await follower.vsphere.recent_task(follower.vm(WEB).moref, "ReconfigVM_Task")
        for fault in ({"kind": "expire-sessions"}, {"kind": "refuse"}, {"kind": "silence"}):
            sim.admin.fault(**fault)
            if fault["kind"] != "expire-sessions":
                await follower.until(is_lost, "the loss")
            await follower.vsphere.recent_task(follower.vm(WEB).moref, "ReconfigVM_Task")
            sim.admin.clear_faults()
            await follower.until(lambda f: f.is_healthy, "the return")
    async with following(sim, password="canary-wrong-77aa", healthy=False) as follower:
        await follower.until(is_lost, "the refusal")
    for secret in (*PASSWORDS.values(), "canary-wrong-77aa"):
        assert secret not in caplog.text
    assert "berlin" in caplog.text


async def test_a_restarted_vcenter_is_followed_again(tmp_path_factory, simulator):
    directory = tmp_path_factory.mktemp("other")
    for name in ("server.crt", "server.key", "users.json", "inventory.json"):
        (directory / name).write_bytes((simulator.directory / name).read_bytes())
    sim = Simulator(directory, simulator.ca)
    sim.start()
    try:
        async with following(sim) as follower:
            uuid = follower.vm(WEB).instance_uuid
            sim.stop()
            await follower.until(is_lost, "the loss")
            sim.start()
            await follower.until(lambda f: f.is_healthy, "the return")
            assert follower.inventory.vm_by_uuid(uuid).path == path_of(WEB)
            assert len(follower.inventory) == len(SMALL["vms"])
            sim.admin.vm(WEB, cpus=3)
            await eventually(lambda: follower.vm(WEB).cpus == 3, "a change after the restart")
    finally:
        sim.stop()
