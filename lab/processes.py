"""Daemons that outlive the shell that started them; a signal goes only to a process proven to be ours.

A pid file holds the pid together with the boot and the tick at which that process started, so a pid that
the kernel has handed to somebody else since is never mistaken for ours. Linux only.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_KILL_SECONDS = 30
_STATE_FIELD = 0
_START_FIELD = 19  # starttime, counted from the field after the command's closing parenthesis


@dataclass(frozen=True, slots=True)
class Identity:
    """One process for as long as this machine remembers it."""

    pid: int
    started: str  # boot id and start tick


def identify(pid: int) -> Identity | None:
    """Return the identity of a living process, None when there is none (a zombie does not live)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - a file of /proc, read whole
            fields = stat.read().rpartition(b")")[2].split()
        with open(_BOOT_ID) as boot:  # noqa: PTH123 - as above
            boot_id = boot.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE_FIELD] in (b"Z", b"X"):
        return None
    return Identity(pid, f"{boot_id}/{int(fields[_START_FIELD])}")


def start(argv: Sequence[str], *, env: Mapping[str, str], log: Path, pid_file: Path) -> Identity:
    """Start a program in its own session, its output appended to `log`, and record it in `pid_file`.

    Raises:
        LabError: the program could not be started, or was gone at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    try:
        pid = os.posix_spawn(
            argv[0], list(argv), dict(env), file_actions=actions, setsid=True, setsigdef=[signal.SIGPIPE]
        )
    except OSError as error:
        raise LabError(f"cannot start {argv[0]}: {error.strerror}") from error
    identity = identify(pid)
    if identity is None:
        _reap(pid)
        raise LabError(f"{argv[0]} ended at once:\n{tail(log)}")
    _write(pid_file, identity)
    return identity


def running(pid_file: Path) -> Identity | None:
    """Return the process that `pid_file` names while that very process lives, else None."""
    recorded = _read(pid_file)
    return recorded if recorded is not None and identify(recorded.pid) == recorded else None


def send(pid_file: Path, signal_number: signal.Signals) -> bool:
    """Send a signal to the process of `pid_file`; return whether it was alive to get it."""
    with _handle(pid_file) as handle:
        return handle is not None and _signal(handle, signal_number)


def stop(pid_file: Path, *, grace: float) -> bool:
    """End the process of `pid_file` (SIGTERM, after `grace` seconds SIGKILL); return whether it was alive.

    Raises:
        LabError: it lives on after SIGKILL, which only a process stuck in the kernel does.
    """
    with _handle(pid_file) as handle:
        if handle is not None:
            _signal(handle, signal.SIGTERM)
            if not _ended(handle, grace):
                _kill(handle, pid_file)
    _forget(pid_file)
    return handle is not None


def kill(pid_file: Path) -> bool:
    """End the process of `pid_file` by SIGKILL and wait until it is gone; return whether it was alive."""
    with _handle(pid_file) as handle:
        if handle is not None:
            _kill(handle, pid_file)
    _forget(pid_file)
    return handle is not None


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented, for an error message."""
    text = log.read_text(errors="replace").splitlines() if log.exists() else ["(no log)"]
    return "\n".join(f"    {line}" for line in text[-lines:])


@contextmanager
def _handle(pid_file: Path) -> Iterator[int | None]:
    """Open a kernel handle on the process of `pid_file`, or None: the handle cannot be reused, a pid can."""
    recorded = _read(pid_file)
    handle = None
    if recorded is not None:
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(recorded.pid)
    try:
        # Only now, with the handle held, does the comparison prove whom a signal will reach.
        ours = recorded is not None and identify(recorded.pid) == recorded
        yield handle if ours else None
    finally:
        if handle is not None:
            os.close(handle)


def _kill(handle: int, pid_file: Path) -> None:
    _signal(handle, signal.SIGKILL)
    if not _ended(handle, _KILL_SECONDS):
        raise LabError(f"the process of {pid_file} does not end on SIGKILL")


def _signal(handle: int, signal_number: signal.Signals) -> bool:
    """Send a signal; return False when the process ended before it could arrive."""
    try:
        signal.pidfd_send_signal(handle, signal_number)
    except ProcessLookupError:
        return False
    return True


def _ended(handle: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _forget(pid_file: Path) -> None:
    recorded = _read(pid_file)
    pid_file.unlink(missing_ok=True)
    if recorded is not None:
        _reap(recorded.pid)


def _reap(pid: int) -> None:
    """Collect the exit status if the process was our own child; another's is not ours to collect."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _read(pid_file: Path) -> Identity | None:
    try:
        pid, started = pid_file.read_text().split()
        return Identity(int(pid), started)
    except (FileNotFoundError, ValueError):
        return None


def _write(pid_file: Path, identity: Identity) -> None:
    """Write the pid file in one step: half a pid is worse than none."""
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    draft = pid_file.with_suffix(".new")
    draft.write_text(f"{identity.pid} {identity.started}\n")
    draft.replace(pid_file)
