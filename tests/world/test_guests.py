"""Commands in a real guest: systemd, accounts, a disk and a memory of its own, behind vSphere's guest operations."""

import asyncio
import logging
import traceback
from datetime import timedelta

import pytest

from lab.guests import host
from managedvm.errors import (
    BusyError,
    ConflictError,
    InvalidCredentialsError,
    NotActiveError,
    RefusedError,
    UnknownOutcomeError,
)
from managedvm.planning.jobs import Finished, Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import GuestFileMissingError, GuestUnavailableError
from tests.world.guesthand import CANARY, MINUTE, Hand, a_job, real_machine, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(host.obstacle() is not None, reason=host.obstacle() or ""),
]


@pytest.fixture(scope="module")
def machine(lab):
    """The path of a VM of this module alone that has a real inside."""
    with real_machine(lab) as path:
        yield path


@pytest.fixture
async def hand(lab, machine):
    hand = Hand(lab, machine)
    await hand.tools_answer()
    yield hand
    hand.close()


async def test_a_command_is_answered_by_the_guest_itself(hand):
    found = await hand.run("sh", "-c", "cat /proc/1/comm; hostname; echo to-stderr >&2; exit 3")
    assert found == Finished(3, f"systemd\n{hand.path.split('/')[1]}\nto-stderr\n")


async def test_arguments_arrive_as_they_were_given(hand):
    given = [
        "it's",
        '"quoted"',
        "$(touch /root/trap)",
        "`id`",
        "a\nb\n",
        "",
        "ü€",
        "-n",
        "*",
        "\\",
        "; reboot",
    ]
    found = await hand.run("printf", "[%s]", *given)
    assert found == Finished(0, "".join(f"[{word}]" for word in given))
    assert (await hand.run("test", "-e", "/root/trap")).exit_code == 1


async def test_what_was_never_started_is_told_from_what_runs(hand):
    job_id = a_job()
    assert await hand.result(job_id) == NotStarted()
    await hand.start(job_id, "sleep", "1")
    assert await hand.result(job_id) == Running()
    assert await hand.end(job_id) == Finished(0, "")


async def test_the_same_job_started_again_and_at_once_runs_once(hand):
    job_id, count = a_job(), f"/root/{a_job()}"
    command = ("sh", "-c", 'echo ran >> "$0"', count)
    await asyncio.gather(*(hand.start(job_id, *command) for _ in range(3)))
    await hand.end(job_id)
    await hand.start(job_id, *command)
    assert await hand.read(count) == b"ran\n"


async def test_the_id_of_another_command_is_a_conflict(hand):
    job_id = a_job()
    await hand.start(job_id, "true")
    await hand.end(job_id)
    with pytest.raises(ConflictError):
        await hand.start(job_id, "false")


async def test_one_command_runs_at_a_time(hand):
    first, second = a_job(), a_job()
    await hand.start(first, "sleep", "1")
    with pytest.raises(BusyError):
        await hand.start(second, "true")
    assert await hand.result(second) == NotStarted()
    await hand.end(first)
    await hand.start(second, "true")
    assert await hand.end(second) == Finished(0, "")


async def test_a_long_output_is_bounded_and_keeps_its_end(hand):
    found = await hand.run("sh", "-c", "echo begin; seq 1 200000; echo end")
    assert found.exit_code == 0
    assert found.truncated
    assert found.output.startswith("begin\n1\n")
    assert found.output.endswith("\n200000\nend\n")
    assert len(found.output) < 70_000


async def test_a_command_whose_time_is_up_is_ended(hand):
    assert await hand.run("sleep", "60", limit=timedelta(seconds=1)) == Finished(124, "")


async def test_a_command_survives_our_own_restart(lab, hand, machine):
    job_id = a_job()
    await hand.start(job_id, "sh", "-c", "sleep 1; echo survived")
    hand.close()
    successor = Hand(lab, machine)
    assert await successor.end(job_id) == Finished(0, "survived\n")
    successor.close()


async def test_a_command_survives_a_restart_of_vmware_tools(hand):
    job_id = a_job()
    await hand.start(job_id, "sh", "-c", "sleep 1; systemctl restart open-vm-tools; sleep 1; echo survived")
    found = await until(lambda: hand.result(job_id), lambda seen: not isinstance(seen, Running | Unknown))
    assert found == Finished(0, "survived\n")


async def test_an_answer_that_was_lost_is_asked_for_again_and_runs_once(hand, machine, vcenter):
    job_id, count = a_job(), f"/root/{a_job()}"
    command = ("sh", "-c", 'echo ran >> "$0"', count)
    vcenter.fault(kind="drop-response", method="StartProgramInGuest", path=machine, count=1)
    with pytest.raises(UnknownOutcomeError):
        await hand.start(job_id, *command)
    await hand.start(job_id, *command)
    assert await hand.end(job_id) == Finished(0, "")
    assert await hand.read(count) == b"ran\n"


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


async def test_a_revert_gives_back_the_disk_of_the_snapshot(hand):
    path = f"/root/{a_job()}"
    await hand.executor.write_file(hand.guest, path, b"before", mode=0o600)
    snapshot = hand.done(hand.vm().CreateSnapshot_Task("before", "", memory=False, quiesce=False))
    await hand.executor.write_file(hand.guest, path, b"after", mode=0o600)
    hand.done(snapshot.RevertToSnapshot_Task())
    with pytest.raises(GuestUnavailableError):
        await hand.read(path)
    hand.done(hand.vm().PowerOnVM_Task())
    await hand.tools_answer()
    assert await hand.read(path) == b"before"
    hand.done(snapshot.RemoveSnapshot_Task(removeChildren=False))


async def test_a_full_disk_does_not_keep_the_command_that_empties_it(hand):
    await hand.run("sh", "-c", "cat /dev/zero > /fill; sync; cat /dev/zero >> /fill")
    full = await hand.run("sh", "-c", "head -c 1000000 /dev/zero > /etc/more")
    assert "No space left on device" in full.output
    assert await hand.run("rm", "/fill", "/etc/more") == Finished(0, "")
    assert await hand.run("sh", "-c", "head -c 1000000 /dev/zero > /etc/more") == Finished(0, "")


async def test_a_file_is_put_and_fetched(hand):
    path, content = f"/root/{a_job()}", bytes(range(256)) * 1000
    await hand.executor.write_file(hand.guest, path, content, mode=0o640)
    assert await hand.executor.read_file(hand.guest, path, most_bytes=len(content)) == content
    assert await hand.run("stat", "--format=%a", path) == Finished(0, "640\n")
    with pytest.raises(RefusedError):
        await hand.executor.read_file(hand.guest, path, most_bytes=len(content) - 1)
    with pytest.raises(GuestFileMissingError):
        await hand.executor.read_file(hand.guest, f"{path}-not", most_bytes=10)


async def test_a_wrong_password_is_said_and_nothing_is_done(hand):
    job_id = a_job()
    stranger = hand.with_password("wrong-password")
    with pytest.raises(InvalidCredentialsError, match="refuses the user root or the password"):
        await hand.executor.start(stranger, job_id, ["true"], limit=MINUTE)
    assert isinstance(await hand.executor.result(stranger, job_id), Unknown)
    assert await hand.result(job_id) == NotStarted()


async def test_a_vm_without_a_real_inside_is_unavailable(lab):
    other = Hand(lab, "kunde-a/web-02")
    with pytest.raises(GuestUnavailableError):
        await other.start(a_job(), "true")
    assert isinstance(await other.result(a_job()), Unknown)
    other.close()


async def test_a_replica_that_may_not_act_sends_nothing(lab, hand, machine):
    standby = Hand(lab, machine, may_act=lambda: False)
    job_id = a_job()
    with pytest.raises(NotActiveError):
        await standby.start(job_id, "true")
    assert await hand.result(job_id) == NotStarted()
    standby.close()


async def test_no_password_is_in_any_log_or_error(hand, lab, caplog):
    with caplog.at_level(logging.DEBUG):
        await hand.run("true")
        with pytest.raises(InvalidCredentialsError) as caught:
            await hand.executor.start(hand.with_password(f"{CANARY}-no"), a_job(), ["true"], limit=MINUTE)
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + lab.log("vcenter").read_text()
    assert CANARY not in told
