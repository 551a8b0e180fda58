"""A signal reaches only a process that is proven to be ours."""

import os
import signal
import sys

import pytest

from lab import processes
from lab.errors import LabError
from lab.polling import wait_until
from lab.processes import Identity

_IDLE = "import signal; print('up', flush=True); signal.pause()"
_STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause(); signal.pause()"


@pytest.fixture
def pid_file(tmp_path):
    path = tmp_path / "pids" / "daemon.pid"
    yield path
    processes.kill(path)


def start(pid_file, program):
    log = pid_file.parent.parent / "daemon.log"
    identity = processes.start([sys.executable, "-c", program], env={}, log=log, pid_file=pid_file)
    wait_until(lambda: "up" in log.read_text(), "the program", seconds=20)
    return identity


def test_a_daemon_runs_in_a_session_of_its_own(pid_file):
    identity = start(pid_file, _IDLE)
    assert os.getsid(identity.pid) == identity.pid
    assert processes.running(pid_file) == identity


def test_a_stopped_daemon_is_gone_and_forgotten(pid_file):
    identity = start(pid_file, _IDLE)
    assert processes.stop(pid_file, grace=20)
    assert processes.identify(identity.pid) is None
    assert not pid_file.exists()


def test_a_daemon_that_ignores_sigterm_is_killed_after_its_grace(pid_file):
    identity = start(pid_file, _STUBBORN)
    assert processes.stop(pid_file, grace=0.1)
    assert processes.identify(identity.pid) is None


def test_stopping_what_does_not_run_says_so(pid_file):
    assert not processes.stop(pid_file, grace=1)
    assert not processes.kill(pid_file)
    assert not processes.send(pid_file, signal.SIGTERM)


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param(
            lambda ours: f"{ours.pid} {ours.started.partition('/')[0]}/1", id="an older process of this boot"
        ),
        pytest.param(
            lambda ours: f"{ours.pid} other-boot/{ours.started.partition('/')[2]}", id="one of another boot"
        ),
    ],
)
def test_a_pid_that_another_process_has_now_is_not_signalled(pid_file, recorded):
    ours = start(pid_file, _IDLE)
    other = pid_file.with_name("other.pid")
    other.write_text(recorded(ours))
    assert processes.running(other) is None
    assert not processes.stop(other, grace=1)
    assert processes.running(pid_file) == ours


def test_a_zombie_does_not_live(pid_file):
    identity = start(pid_file, _IDLE)
    os.kill(identity.pid, signal.SIGKILL)
    os.waitid(os.P_PID, identity.pid, os.WEXITED | os.WNOWAIT)
    assert processes.identify(identity.pid) is None
    assert processes.running(pid_file) is None


@pytest.mark.parametrize("content", ["", "12", "twelve boot/3"], ids=["empty", "cut short", "not a number"])
def test_a_damaged_pid_file_names_nobody(pid_file, content):
    pid_file.parent.mkdir()
    pid_file.write_text(content)
    assert processes.running(pid_file) is None
    assert not processes.stop(pid_file, grace=1)


def test_the_tests_own_process_has_a_stable_identity():
    mine = processes.identify(os.getpid())
    assert isinstance(mine, Identity)
    assert mine == processes.identify(os.getpid())


def test_a_program_that_does_not_exist_is_a_clear_error(pid_file, tmp_path):
    with pytest.raises(LabError, match="cannot start"):
        processes.start([str(tmp_path / "no-such")], env={}, log=tmp_path / "log", pid_file=pid_file)


def test_the_end_of_a_log_is_shown_indented(tmp_path):
    log = tmp_path / "log"
    log.write_text("\n".join(str(number) for number in range(100)))
    assert processes.tail(log, lines=2) == "    98\n    99"
    assert processes.tail(tmp_path / "none") == "    (no log)"
