"""The port `guests` over SSH, against an sshd on loopback: who is trusted, what is sent, what becomes of a command."""

import asyncio
import logging
import os
import traceback
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncssh
import pytest
from pydantic import SecretStr

from managedvm.errors import (
    BusyError,
    ConflictError,
    InvalidCredentialsError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    UnknownOutcomeError,
    WaitingError,
)
from managedvm.planning.jobs import Finished, Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import (
    Guest,
    GuestFileMissingError,
    GuestLogin,
    GuestUnavailableError,
    HostKeyChangedError,
    JumpHost,
    SshExecutor,
    SshWay,
    job,
)
from tests.guests import scripts
from tests.guests.sshd import Sshd, public

MINUTE = timedelta(minutes=1)


class Hand:
    """An executor and its guest."""

    def __init__(self, sshd, may_act=lambda: True):
        self.executor = SshExecutor(may_act)
        way = SshWay("127.0.0.1", sshd.port, sshd.host_key, sudo=False)
        self.guest = Guest("vm-7", GuestLogin("root", SecretStr(sshd.password)), way)

    def changed(self, **way):
        self.guest = replace(self.guest, ssh=replace(self.guest.ssh, **way))
        return self

    async def start(self, job_id, *command, limit=MINUTE):
        await self.executor.start(self.guest, job_id, command, limit=limit)

    async def result(self, job_id):
        return await self.executor.result(self.guest, job_id)

    async def end(self, job_id):
        async with asyncio.timeout(20):
            while isinstance(found := await self.result(job_id), Running):  # noqa: ASYNC110 - a guest sends no events
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def running(**settings):
    sshd = await Sshd(**settings).start()
    try:
        yield sshd
    finally:
        await sshd.stop()


@pytest.fixture(autouse=True)
def on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_script", lambda name: scripts.on_this_machine(name, tmp_path))


@pytest.fixture
async def sshd():
    async with running() as one:
        yield one


@pytest.fixture
def hand(sshd):
    return Hand(sshd)


async def test_a_command_leaves_its_exit_code_and_both_of_its_outputs(hand):
    await hand.start(
        "one", "sh", "-c", 'printf "[%s]" "$@"; echo err >&2; exit 3', "sh", "it's", "$(id)", "a\nb"
    )
    assert await hand.end("one") == Finished(3, "[it's][$(id)][a\nb]err\n")


async def test_no_word_of_a_command_is_seen_by_the_login_shell(hand, sshd):
    await hand.start("words", "echo", "$(touch trap)")
    assert "trap" not in sshd.ran[0]


async def test_what_was_never_started_is_told_from_what_runs_and_from_what_was_lost(hand, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    assert await hand.result("gated") == NotStarted()
    await hand.start("gated", "cat", str(gate))
    assert await hand.result("gated") == Running()
    gate.write_text("done")
    assert await hand.end("gated") == Finished(0, "done")
    (tmp_path / "state" / "jobs" / "gated" / "result").unlink()
    assert await hand.result("gated") == Lost()


async def test_one_command_runs_at_a_time(hand, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    await hand.start("first", "cat", str(gate))
    with pytest.raises(BusyError, match="vm-7"):
        await hand.start("second", "true")
    assert await hand.result("second") == NotStarted()
    gate.write_text("")
    await hand.end("first")


async def test_an_id_belongs_to_its_first_command(hand):
    await hand.start("mine", "true")
    await hand.end("mine")
    with pytest.raises(ConflictError):
        await hand.start("mine", "false")


async def test_a_long_output_is_bounded(hand):
    await hand.start("long", "seq", "1", "200000")
    found = await hand.end("long")
    assert found.truncated
    assert len(found.output) < 70_000


async def test_a_command_whose_time_is_up_is_ended(hand):
    await hand.start("late", "sleep", "60", limit=timedelta(seconds=1))
    assert await hand.end("late") == Finished(124, "")


async def test_an_answer_that_was_lost_is_asked_for_again_and_runs_once(hand, sshd, tmp_path):
    count = tmp_path / "count"
    command = ("sh", "-c", f"echo ran >> {count}")
    sshd.loses_answers = True
    with pytest.raises(UnknownOutcomeError):
        await hand.start("once", *command)
    assert isinstance(await hand.result("once"), Unknown)
    sshd.loses_answers = False
    await hand.start("once", *command)
    assert await hand.end("once") == Finished(0, "")
    assert count.read_text() == "ran\n"


async def test_a_command_survives_the_end_of_the_connection_and_of_the_operator(sshd, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    await Hand(sshd).start("survivor", "cat", str(gate))
    port = sshd.port
    await sshd.stop()
    assert isinstance(await Hand(await sshd.start(port)).result("survivor"), Running)
    gate.write_text("survived")
    assert await Hand(sshd).end("survivor") == Finished(0, "survived")


async def test_a_changed_key_is_refused_before_anything_is_sent(hand, sshd):
    async with running() as other:
        hand.changed(port=other.port)
        with pytest.raises(HostKeyChangedError, match="Nothing was sent") as caught:
            await hand.start("never", "true")
        assert caught.value.seen == other.host_key
        assert str(asyncssh.import_public_key(sshd.host_key).get_fingerprint()) in str(caught.value)
        assert (other.asked, other.ran) == ([], [])


async def test_a_host_that_has_no_key_of_the_trusted_kind_is_refused(hand):
    async with running(kind="ecdsa-sha2-nistp256") as other:
        with pytest.raises(HostKeyChangedError, match="no key of the kind"):
            await hand.changed(port=other.port).start("never", "true")
        assert other.asked == []


async def test_without_a_trusted_key_no_connection_is_made(hand, sshd):
    with pytest.raises(GuestUnavailableError, match="no host key"):
        await hand.changed(host_key=None).start("never", "true")
    assert sshd.asked == []


async def test_asking_for_the_key_sends_nothing_else(hand, sshd):
    way = replace(hand.guest.ssh, host_key=None)
    assert await hand.executor.host_key(way) == sshd.host_key
    assert (sshd.asked, sshd.ran) == ([], [])


async def test_a_host_that_does_not_answer_is_unavailable(hand, sshd):
    await sshd.stop()
    with pytest.raises(GuestUnavailableError, match=r"127\.0\.0\.1"):
        await hand.start("never", "true")
    with pytest.raises(WaitingError):
        await hand.executor.host_key(hand.guest.ssh)


async def test_a_private_key_logs_in(sshd):
    key = asyncssh.generate_private_key("ssh-ed25519")
    sshd.user_key = public(key)
    hand = Hand(sshd)
    hand.guest = replace(
        hand.guest, login=GuestLogin("root", None, SecretStr(key.export_private_key().decode()))
    )
    await hand.start("keyed", "true")
    assert await hand.end("keyed") == Finished(0, "")


@pytest.mark.parametrize(
    "login",
    [
        GuestLogin("root", SecretStr("wrong-canary")),
        GuestLogin("root", None, SecretStr("canary, no key")),
        GuestLogin("root"),
    ],
    ids=["a wrong password", "what is no key", "neither"],
)
async def test_credentials_that_do_not_serve_are_said_and_never_told(hand, login, caplog):
    hand.guest = replace(hand.guest, login=login)
    with caplog.at_level(logging.DEBUG), pytest.raises(InvalidCredentialsError) as caught:
        await hand.start("never", "true")
    assert "canary" not in "".join(traceback.format_exception(caught.value)) + caplog.text


async def test_a_jump_host_leads_to_the_guest_and_has_a_key_of_its_own(hand, sshd):
    async with running(password="secret-of-jump") as jump:
        login = GuestLogin("root", SecretStr("secret-of-jump"))
        led = JumpHost("127.0.0.1", jump.port, jump.host_key, login)
        hand.changed(jump=led)
        await hand.start("led", "echo", "there")
        assert await hand.end("led") == Finished(0, "there\n")
        assert await hand.executor.host_key(hand.guest.ssh) == sshd.host_key
        assert set(jump.led_to) == {sshd.port}
        assert sshd.password not in jump.asked
        jump.asked.clear()
        with pytest.raises(HostKeyChangedError):
            await hand.changed(jump=replace(led, host_key=sshd.host_key)).start("never", "true")
        assert jump.asked == []


def sudo_that(does, directory):
    directory.mkdir()
    program = directory / "sudo"
    program.write_text(f'#!/bin/sh\n[ "$1" = -n ] && shift\n{does}\n')
    program.chmod(0o700)
    return f"{directory}:{os.environ['PATH']}"


async def test_an_account_that_is_not_root_becomes_it_by_sudo(tmp_path):
    async with running(path=sudo_that('SUDO=yes exec "$@"', tmp_path / "bin")) as sshd:
        hand = Hand(sshd).changed(sudo=True)
        await hand.start("as-root", "sh", "-c", "echo $SUDO")
        assert await hand.end("as-root") == Finished(0, "yes\n")


async def test_a_login_that_chatters_hides_neither_how_a_command_began_nor_that_it_did_not(tmp_path):
    async with running(path=sudo_that('seq 1 100000; exec "$@"', tmp_path / "bin")) as sshd:
        hand = Hand(sshd).changed(sudo=True)
        await hand.start("mine", "true")
        with pytest.raises(ConflictError):
            await hand.start("mine", "false")
        assert isinstance(await hand.result("mine"), Unknown)
        assert await hand.changed(sudo=False).end("mine") == Finished(0, "")


async def test_sudo_that_asks_for_a_password_is_said(tmp_path):
    async with running(path=sudo_that("exit 1", tmp_path / "bin")) as sshd:
        hand = Hand(sshd).changed(sudo=True)
        with pytest.raises(NoPermissionError, match="sudoers"):
            await hand.start("never", "true")


async def test_a_file_is_put_and_fetched(hand, tmp_path):
    path, content = tmp_path / "it's a file\n", bytes(range(256)) * 1000
    await hand.executor.write_file(hand.guest, str(path), content, mode=0o640)
    assert await hand.executor.read_file(hand.guest, str(path), most_bytes=len(content)) == content
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(RefusedError, match="larger"):
        await hand.executor.read_file(hand.guest, str(path), most_bytes=len(content) - 1)
    with pytest.raises(GuestFileMissingError):
        await hand.executor.read_file(hand.guest, f"{path}-not", most_bytes=10)
    with pytest.raises(GuestFileMissingError):
        await hand.executor.write_file(hand.guest, str(tmp_path / "no" / "file"), b"", mode=0o600)


async def test_half_a_file_takes_nobodys_place(hand, tmp_path):
    path = tmp_path / "file"
    path.write_text("as it was")
    words = (job.encoded(str(path)), "600", "1000")
    code, _ = await hand.executor._run(hand.guest, job.script_arguments("write", words), content=b"half")
    assert code == 74
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "as it was"


async def test_a_replica_that_may_not_act_sends_no_order(sshd):
    standby = Hand(sshd, may_act=lambda: False)
    with pytest.raises(NotActiveError):
        await standby.start("never", "true")
    assert await standby.result("never") == NotStarted()
