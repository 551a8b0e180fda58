"""The port `guests` over SSH, against the real sshd and sudo of a real guest."""

import asyncio
from dataclasses import replace

import asyncssh
import pytest
from pydantic import SecretStr

from lab.guests import host
from lab.paths import ROOT
from managedvm.errors import BusyError, InvalidCredentialsError, NoPermissionError
from managedvm.planning.guestaccess import fingerprint
from managedvm.planning.jobs import Finished, Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import (
    GuestLogin,
    GuestUnavailableError,
    HostKeyChangedError,
    SshExecutor,
    SshWay,
)
from tests.world.guesthand import CANARY, MINUTE, Hand, a_job, real_machine, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(host.obstacle() is not None, reason=host.obstacle() or ""),
]

SUDOERS = ROOT / "contrib" / "guest" / "sudoers"
USER = "managedvm"


class SshHand(Hand):
    """The same guest, entered over SSH as an account that becomes root by sudo."""

    def __init__(self, lab, path, way, login):
        super().__init__(lab, path)
        self.tools, self.by_tools = self.executor, self.guest
        self.executor = SshExecutor(lambda: True)
        self.guest = replace(self.guest, login=login, ssh=way)

    def as_root(self):
        """The guest entered as root itself, by password."""
        root = GuestLogin("root", SecretStr(CANARY))
        return replace(self.guest, login=root, ssh=replace(self.guest.ssh, sudo=False))


@pytest.fixture(scope="module")
def machine(lab):
    """The path of a VM of this module alone that has a real inside."""
    with real_machine(lab) as path:
        yield path


@pytest.fixture(scope="module")
def key():
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="module")
def way(lab, machine, key):
    """The way into the guest, where the account was set up as contrib/guest/README.md says."""

    async def set_up():
        hand = Hand(lab, machine)
        await hand.tools_answer()
        public = key.export_public_key().decode().strip()
        script = (
            "useradd --system --create-home --shell /bin/sh managedvm && cd ~managedvm && "
            "install -d -m 700 -o managedvm -g managedvm .ssh && "
            'echo "restrict $0" > .ssh/authorized_keys && chown managedvm: .ssh/authorized_keys && '
            "visudo -cf /etc/sudoers.d/managedvm"
        )
        sudoers = SUDOERS.read_bytes()
        await hand.executor.write_file(hand.guest, "/etc/sudoers.d/managedvm", sudoers, mode=0o440)
        found = await hand.run("sh", "-c", script, public)
        assert found.exit_code == 0, found.output
        address = hand.session.read(lambda: hand.vm().guest.ipAddress)
        shown = await until(
            lambda: asked(SshWay(address)), lambda seen: not isinstance(seen, GuestUnavailableError)
        )
        told = await hand.run("ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub")
        assert fingerprint(shown) in told.output
        hand.close()
        return SshWay(address, host_key=shown)

    return asyncio.run(set_up())


async def asked(way):
    try:
        return await SshExecutor(lambda: True).host_key(way)
    except GuestUnavailableError as error:
        return error


@pytest.fixture
async def hand(lab, machine, way, key):
    login = GuestLogin(USER, private_key=SecretStr(key.export_private_key().decode()))
    hand = SshHand(lab, machine, way, login)
    await hand.tools_answer()
    await until(lambda: asked(way), lambda seen: isinstance(seen, str))
    yield hand
    hand.close()


async def test_a_command_is_run_as_root_by_the_sudoers_file_that_ships(hand):
    found = await hand.run("sh", "-c", "id -un; hostname; echo err >&2; exit 3")
    assert found == Finished(3, f"root\n{hand.path.split('/')[1]}\nerr\n")


async def test_the_account_may_do_nothing_else_by_sudo(hand):
    for command in ("sudo -n ls /root", "sudo -n -u daemon /bin/sh -c id", "cat /etc/shadow"):
        found = await hand.run("su", USER, "-c", command)
        assert found.exit_code != 0


async def test_both_ways_know_each_others_commands(hand):
    job_id = a_job()
    await hand.start(job_id, "sh", "-c", "sleep 1; echo shared")
    assert await hand.tools.result(hand.by_tools, job_id) == Running()
    with pytest.raises(BusyError):
        await hand.tools.start(hand.by_tools, a_job(), ["true"], limit=MINUTE)
    await hand.end(job_id)
    assert await hand.tools.result(hand.by_tools, job_id) == Finished(0, "shared\n")


async def test_a_command_survives_a_restart_of_sshd(hand):
    job_id = a_job()
    await hand.start(job_id, "sh", "-c", "sleep 1; systemctl restart ssh; sleep 1; echo survived")
    found = await until(lambda: hand.result(job_id), lambda seen: not isinstance(seen, Running | Unknown))
    assert found == Finished(0, "survived\n")


async def test_a_reset_of_the_vm_loses_the_command_and_never_repeats_it(hand, machine, vcenter):
    job_id, count = a_job(), f"/root/{a_job()}"
    command = ("sh", "-c", 'echo ran >> "$0"; sleep 60', count)
    await hand.executor.write_file(hand.guest, count, b"", mode=0o600)
    await hand.start(job_id, *command)
    await until(lambda: hand.read(count), lambda seen: seen == b"ran\n")
    vcenter.ha_restart(machine, kind="reset")
    await until(lambda: hand.result(job_id), lambda seen: seen == Lost())
    await hand.start(job_id, *command)
    assert await hand.result(job_id) == Lost()
    assert await hand.read(count) == b"ran\n"


async def test_root_enters_by_password_without_sudo(hand):
    job_id, guest = a_job(), hand.as_root()
    await hand.executor.start(guest, job_id, ["true"], limit=MINUTE)
    await hand.end(job_id)
    wrong = replace(guest, login=GuestLogin("root", SecretStr("wrong-password")))
    with pytest.raises(InvalidCredentialsError):
        await hand.executor.start(wrong, job_id, ["true"], limit=MINUTE)


async def test_files_are_put_and_fetched_as_root(hand):
    path, content = f"/root/{a_job()}", bytes(range(256)) * 4000
    await hand.executor.write_file(hand.guest, path, content, mode=0o600)
    assert await hand.executor.read_file(hand.guest, path, most_bytes=len(content)) == content


async def test_without_the_sudoers_file_it_says_what_to_install(hand):
    await hand.tools.start(
        hand.by_tools, hide := a_job(), ["mv", "/etc/sudoers.d/managedvm", "/root/sudoers"], limit=MINUTE
    )
    await until(lambda: hand.tools.result(hand.by_tools, hide), lambda seen: isinstance(seen, Finished))
    with pytest.raises(NoPermissionError, match="contrib/guest/sudoers"):
        await hand.start(a_job(), "true")
    await hand.tools.start(
        hand.by_tools, back := a_job(), ["mv", "/root/sudoers", "/etc/sudoers.d/managedvm"], limit=MINUTE
    )
    await until(lambda: hand.tools.result(hand.by_tools, back), lambda seen: isinstance(seen, Finished))


async def test_a_guest_that_was_set_up_anew_is_refused_until_its_key_is_given(hand):
    renew = "rm /etc/ssh/ssh_host_*; ssh-keygen -qt ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key"
    await hand.tools.start(
        hand.by_tools, a_job(), ["sh", "-c", f"{renew}; systemctl restart ssh"], limit=MINUTE
    )
    job_id = a_job()
    found = await until(
        lambda: hand.result(job_id), lambda seen: isinstance(seen, Unknown) and "trusted" in seen.reason
    )
    assert "Nothing was sent" in found.reason
    with pytest.raises(HostKeyChangedError) as caught:
        await hand.start(job_id, "true")
    hand.guest = replace(hand.guest, ssh=replace(hand.guest.ssh, host_key=caught.value.seen))
    assert await hand.result(job_id) == NotStarted()
