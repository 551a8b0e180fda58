"""Clause 1: the guest that the operator enters is the one of the VM that was ordered, and proves it by one key."""

import asyncio

import pytest

from lab.guests import host
from managedvm.world.guests import GuestUnavailableError, SshExecutor, SshWay
from tests.world.guesthand import CANARY, Hand, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(host.obstacle() is not None, reason=host.obstacle() or ""),
]

REAL = {"image": "debian", "memoryMiB": 256, "diskMiB": 768, "password": CANARY}
OTHER_PORT = 2222
SECOND_SSHD = (
    "ssh-keygen -qt ed25519 -N '' -f /root/other && "
    f"systemd-run --quiet /usr/sbin/sshd -D -p {OTHER_PORT} -h /root/other && cut -d' ' -f1,2 /root/other.pub"
)


async def _shown(way):
    try:
        return await SshExecutor(lambda: True).host_key(way)
    except GuestUnavailableError:
        return None


async def _two_keys(lab, path):
    """Return the guest's address, and the keys of its sshd and of another one in it."""
    hand = Hand(lab, path)
    await hand.tools_answer()
    other = (await hand.run("sh", "-c", SECOND_SSHD)).output.strip()
    address = hand.session.read(lambda: hand.vm().guest.ipAddress)
    hand.close()
    first = await until(lambda: _shown(SshWay(address)), bool)
    await until(lambda: _shown(SshWay(address, OTHER_PORT)), lambda seen: seen == other)
    return address, first, other


def over_ssh(**ssh):
    return {"access": "SSH", "credentialsSecretRef": {"name": "not-needed"}, "ssh": ssh}


def test_a_guest_is_known_by_the_key_of_the_first_contact_or_the_specs(lab, party):
    path = party.machine(guest=REAL)
    address, first, other = asyncio.run(_two_keys(lab, path))
    party.stage.allow(guestNetworks=[])
    vm = party.declare(guest=over_ssh(address=address))
    said = vm.until("GuestIdentified", status="False", reason="GuestNetworkNotGranted")
    assert "spec.guestNetworks" in said["message"]
    assert "guest" not in vm.status

    party.stage.allow(guestNetworks=["10.128.0.0/10"])
    vm.until("GuestIdentified", status="True", reason="HostKeyPinned")
    met = vm.status["guest"]
    assert (met["hostKey"], met["address"]) == (first, f"{address} port 22")

    vm.patch(guest={"ssh": {"port": OTHER_PORT}})
    said = vm.until("GuestIdentified", status="False", reason="HostKeyChanged")
    assert met["fingerprint"] in said["message"]
    assert vm.status["guest"] == met

    vm.patch(guest={"ssh": {"hostKey": other}})
    vm.until("GuestIdentified", status="True", reason="HostKeyGiven")
    assert vm.status["guest"]["hostKey"] == other
    vm.settled()


def test_in_observe_mode_no_guest_is_met(lab, party):
    path = party.machine(guest=REAL)
    address, _, _ = asyncio.run(_two_keys(lab, path))
    party.stage.allow(guestNetworks=["10.128.0.0/10"])
    vm = party.declare(guest=over_ssh(address=address), mode="Observe")
    vm.until("GuestIdentified", status="Unknown", reason="HostKeyAwaited")
    assert "guest" not in vm.status
