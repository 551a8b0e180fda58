"""A command as it travels into a guest and its result as it comes back.

The scripts are fixed. What a person wrote is only ever data to them: each word is encoded, and no shell sees it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING

from managedvm.errors import BusyError, ConflictError, UnknownOutcomeError
from managedvm.planning.jobs import Finished
from managedvm.world.guests.port import GuestDiskFullError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

SHELL = "/bin/sh"
HOMES = ("/var/lib/managedvm/jobs", "/run/managedvm/jobs")
"""Where records of jobs lie in a guest; the second holds those for which the disk had no room."""

RESULT, RUNNER = "result", "runner"
"""The files of a record that say how far the job is."""

FIRST_BYTES, LAST_BYTES = 16 * 1024, 48 * 1024
"""How much of a job's output is kept of its beginning and of its end; the end says what went wrong."""

MOST_RESULT_BYTES = FIRST_BYTES + LAST_BYTES + 1024
BUSY, CONFLICT, NO_RECORD, NOT_BEGUN = 75, 76, 77, 78
"""What start.sh answers besides 0."""

_MOST_ARGUMENT_BYTES = 100 * 1024
"""Linux takes 128 KiB in one argument, and the whole line is one to VMware Tools."""

_JOB_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HEAD = re.compile(rb"exit (\d+)\nfirst (\d+)\nlast (\d+)\n\n")
_LEFT_OUT = "\n[... left out ...]\n"


def start_arguments(job_id: str, command: Sequence[str], limit: timedelta) -> str:
    """Return the arguments of SHELL that start a job; every byte of them is safe in any POSIX shell.

    Raises:
        ValueError: the id or the command cannot be a job; a bug of the caller.
    """
    seconds = int(limit.total_seconds())
    if not command or any("\0" in word for word in command):
        raise ValueError("a command is at least one word, and no word holds a NUL")
    if seconds < 1:
        raise ValueError(f"{limit} is no time to run a command in")
    words = [
        checked_id(job_id),
        str(seconds),
        str(FIRST_BYTES),
        str(LAST_BYTES),
        encoded(_script("run.sh")),
        *(f"x{encoded(word)}" for word in command),
    ]
    start = script_arguments("start", words)
    if len(start) > _MOST_ARGUMENT_BYTES:
        raise ValueError(f"the command is too long: {len(start)} bytes of {_MOST_ARGUMENT_BYTES}")
    return start


def script_arguments(name: str, words: Sequence[str]) -> str:
    """Return the arguments of SHELL that run one of our scripts in the guest.

    `words` are its arguments; whatever a person wrote is encoded in them, see `encoded`.
    """
    script = encoded(_script(f"{name}.sh"))
    return f'-c "$(printf %s {script} | base64 -d)" managedvm-{name} {" ".join(words)}'


def raise_unless_started(code: int, guest: str, job_id: str) -> None:
    """Raise the error that says what start.sh answered; 0 is none.

    Raises:
        BusyError, ConflictError, GuestDiskFullError, UnknownOutcomeError: see `GuestExecutor.start`.
    """
    if code == BUSY:
        raise BusyError(f"another command runs in the guest of {guest}")
    if code == CONFLICT:
        raise ConflictError(f"in the guest of {guest}, {job_id} is the id of another command")
    if code == NO_RECORD:
        raise GuestDiskFullError(f"the guest of {guest} cannot record {job_id}: no room, or no right")
    if code != 0:
        raise UnknownOutcomeError(f"the guest of {guest} did not say whether {job_id} began ({code})")


def checked_id(job_id: str) -> str:
    """Return the id, which becomes a part of paths.

    Raises:
        ValueError: it is not made of lower-case letters, digits and hyphens, or is too long.
    """
    if not _JOB_ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} is no job id")
    return job_id


def parse_result(content: bytes) -> Finished | None:
    """Return what run.sh left, None when it is not a result of ours."""
    head = _HEAD.match(content)
    if head is None:
        return None
    code, first, last = (int(number) for number in head.groups())
    body = content[head.end() :]
    if len(body) != first + last:
        return None
    beginning, end = body[:first], body[first:]
    truncated = last > LAST_BYTES
    if truncated:
        end = end[last - LAST_BYTES :]
    between = _LEFT_OUT if truncated else ""
    return Finished(code, f"{_text(beginning)}{between}{_text(end)}", truncated)


def runs(job_id: str, command_line: str) -> bool:
    """Return whether a process of the guest is the runner of a job."""
    return any(f"{home}/{job_id}/run" in command_line.split() for home in HOMES)


def _script(name: str) -> str:
    return files("managedvm.world.guests").joinpath(name).read_text()


def encoded(text: str) -> str:
    """Return a text in letters that no shell takes for anything else."""
    return b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
