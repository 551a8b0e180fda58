"""A command on its way into a guest: nothing of it is shell, and the fixed scripts keep their word."""

import os
import shlex
import subprocess
import time
from base64 import b64decode, b64encode
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.jobs import Finished
from managedvm.world.guests import job
from tests.examples import examples
from tests.guests import scripts

MINUTE = timedelta(minutes=1)
WORDS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=6
)


@examples(100)
@given(WORDS)
def test_every_word_of_a_command_is_data_to_the_shell(words):
    arguments = job.start_arguments("a-job", words, MINUTE)
    line = shlex.split(arguments)
    sent = [b64decode(word[1:]).decode() for word in line[8:]]
    assert sent == words
    assert not set(arguments.split("managedvm-start", 1)[1]) & set("'\"$`\\;&|<>(){}*?[]~#!\n")


@pytest.mark.parametrize("job_id", ["", "../x", "a/b", "A", "-a", "a-", "a b", "a\n", "ä", "x" * 64])
def test_an_id_that_could_leave_its_directory_is_a_bug(job_id):
    with pytest.raises(ValueError, match="is no job id"):
        job.start_arguments(job_id, ["true"], MINUTE)


@pytest.mark.parametrize(
    ("command", "limit"),
    [([], MINUTE), (["a\0b"], MINUTE), (["true"], timedelta(0)), (["x" * 100_000], MINUTE)],
    ids=["no word", "a NUL", "no time", "too long"],
)
def test_what_cannot_be_a_command_is_a_bug(command, limit):
    with pytest.raises(ValueError, match=r"command|time"):
        job.start_arguments("a-job", command, limit)


def result_of(code, first, last):
    return b"exit %d\nfirst %d\nlast %d\n\n%b%b" % (code, len(first), len(last), first, last)


def test_a_short_output_is_kept_whole():
    assert job.parse_result(result_of(3, b"one\n", b"")) == Finished(3, "one\n")


def test_of_a_long_output_the_beginning_and_the_end_are_kept():
    last = b"x" + b"e" * job.LAST_BYTES
    found = job.parse_result(result_of(0, b"b" * job.FIRST_BYTES, last))
    assert found == Finished(
        0, "b" * job.FIRST_BYTES + "\n[... left out ...]\n" + "e" * job.LAST_BYTES, truncated=True
    )


@pytest.mark.parametrize(
    "content", [b"", b"exit 0\n", b"exit 0\nfirst 3\nlast 0\n\nab", b"exit x\nfirst 0\nlast 0\n\n"]
)
def test_what_we_did_not_leave_is_no_result(content):
    assert job.parse_result(content) is None


def test_bytes_that_are_no_text_do_not_hide_the_rest():
    assert job.parse_result(result_of(0, b"a\xffb", b"")) == Finished(0, "a\N{REPLACEMENT CHARACTER}b")


def test_a_runner_is_known_by_its_own_job_alone():
    line = "/bin/sh /var/lib/managedvm/jobs/patch-1/run /var/lib/managedvm/jobs/patch-1 /run/managedvm 60"
    assert job.runs("patch-1", line)
    assert not job.runs("patch-11", line)
    assert not job.runs("patch", line)


class Machine:
    """The scripts on this machine, with directories of the test in the place of the guest's."""

    def __init__(self, directory):
        self.state, self.volatile = directory / "state", directory / "volatile"
        self.run = scripts.on_this_machine("run.sh", directory)
        self.start_script = scripts.on_this_machine("start.sh", directory)

    def start(self, job_id, *command, seconds=20):
        words = [b64encode(word.encode()).decode() for word in command]
        runner = b64encode(self.run.encode()).decode()
        arguments = [job_id, str(seconds), "16384", "49152", runner, *(f"x{word}" for word in words)]
        done = subprocess.run(["/bin/sh", "-c", self.start_script, "start", *arguments], check=False)  # noqa: S603 - our own script
        return done.returncode

    def result(self, job_id):
        """What the job left; polled, for it runs by itself."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for home in (self.state, self.volatile):
                path = home / "jobs" / job_id / "result"
                if path.exists():
                    return job.parse_result(path.read_bytes())
        raise AssertionError(f"{job_id} left no result")


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_job_leaves_its_exit_code_and_both_of_its_outputs(machine):
    assert machine.start("one", "sh", "-c", "echo out; echo err >&2; exit 7") == 0
    assert machine.result("one") == Finished(7, "out\nerr\n")


def test_a_job_that_is_started_again_runs_once(machine, tmp_path):
    count = tmp_path / "count"
    for _ in range(3):
        assert machine.start("once", "sh", "-c", f"echo ran >> {count}") == 0
        machine.result("once")
    assert count.read_text() == "ran\n"


def test_an_id_belongs_to_its_first_command(machine):
    assert machine.start("mine", "true") == 0
    machine.result("mine")
    assert machine.start("mine", "false") == job.CONFLICT


def test_while_a_job_runs_another_is_refused_and_not_recorded(machine, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    assert machine.start("long", "cat", str(gate)) == 0
    assert machine.start("other", "true") == job.BUSY
    assert not (machine.state / "jobs" / "other").exists()
    gate.write_text("done")
    assert machine.result("long") == Finished(0, "done")


def test_where_the_disk_takes_no_record_memory_does(machine):
    machine.state.parent.mkdir(exist_ok=True)
    machine.state.write_text("a file, where no directory can be made")
    assert machine.start("tight", "echo", "ran") == 0
    assert machine.result("tight") == Finished(0, "ran\n")


def test_a_record_that_was_never_begun_is_begun_by_the_next_call(machine):
    record = machine.state / "jobs" / "cut"
    record.mkdir(parents=True)
    (record / "command").write_text(f"x{b64encode(b'echo').decode()}\nx{b64encode(b'ran').decode()}\n")
    (record / "run").write_text(machine.run)
    assert machine.start("cut", "echo", "ran") == 0
    assert machine.result("cut") == Finished(0, "ran\n")


def test_a_daemon_that_keeps_the_output_open_does_not_keep_the_job(machine):
    assert machine.start("leaves-one", "sh", "-c", "sleep 15 & echo started") == 0
    assert machine.result("leaves-one") == Finished(0, "started\n")
