"""The port `guests`: four verbs, whatever way leads into the guest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from managedvm.errors import StalledError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pydantic import SecretStr

    from managedvm.planning.jobs import Job


@dataclass(frozen=True, slots=True)
class GuestLogin:
    """An account of the guest: root, or over SSH one that may become root by sudo.

    VMware Tools take the password only; over SSH `private_key`, as a PEM or OpenSSH file holds it, is tried first.
    """

    username: str
    password: SecretStr | None = None
    private_key: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class JumpHost:
    """A host that SSH leads through. `host_key` is the only key that it may show, as `ssh-ed25519 AAAA...`."""

    address: str
    port: int
    host_key: str
    login: GuestLogin


@dataclass(frozen=True, slots=True)
class SshWay:
    """Where the sshd of a guest is, and how it proves that it is the guest's.

    `host_key` is the only key that it may show; without one nothing is sent but the question which it has. `sudo` says
    that the account becomes root by sudo.
    """

    address: str
    port: int = 22
    host_key: str | None = None
    sudo: bool = True
    jump: JumpHost | None = None


@dataclass(frozen=True, slots=True)
class Guest:
    """The inside of one VM, and who we are there.

    `moref` is the VM's reference in its vCenter, as "vm-12". With `ssh` it is reached that way, else by VMware Tools.
    """

    moref: str
    login: GuestLogin
    ssh: SshWay | None = None


class GuestUnavailableError(UnreachableError):
    """The VM is off, or neither its VMware Tools nor its sshd answer; nothing was done."""


class HostKeyChangedError(StalledError):
    """The sshd shows another key than the one that we trust, so nothing was sent to it, no credentials either.

    `seen` is the key that it shows, empty where it has none of the kind that we trust.
    """

    def __init__(self, message: str, seen: str = "") -> None:
        super().__init__(message)
        self.seen = seen


class GuestDiskFullError(StalledError):
    """The guest has no room for what was to be written."""


class GuestFileMissingError(StalledError):
    """The file is not there."""


class GuestExecutor(Protocol):
    """Runs commands in guests, one at a time in each, and moves files."""

    async def start(self, guest: Guest, job_id: str, command: Sequence[str], *, limit: timedelta) -> None:
        """Begin a command, at most once for a `job_id`, and return when it is recorded in the guest.

        It survives the loss of our connection, a restart of VMware Tools and our own; `limit` of it ends it. What
        becomes of it is asked with `result`. After any WaitingError the same call may simply be repeated.

        Args:
            guest: Where it runs.
            job_id: Lower-case letters, digits and hyphens, at most 63. Kept in the guest for 30 days.
            command: A program and its arguments, which no shell looks at.
            limit: How long it may run.

        Raises:
            BusyError: another command runs in this guest; nothing was done.
            ConflictError: this id belongs to another command.
            GuestUnavailableError: the guest cannot be asked; nothing was done.
            InvalidCredentialsError: the guest refuses the login; nothing was done.
            HostKeyChangedError: the guest does not prove that it is itself; nothing was done.
            NoPermissionError: the account may not run commands as root; nothing was done.
            GuestDiskFullError: the command cannot be recorded; nothing was done.
            UnknownOutcomeError: no answer came; it may run.
            ManagedVMError: as errors of the vCenter say.
        """

    async def result(self, guest: Guest, job_id: str) -> Job:
        """Return what became of a command. It raises nothing: a guest that cannot be asked is Unknown."""

    async def read_file(self, guest: Guest, path: str, *, most_bytes: int) -> bytes:
        """Return the content of a file.

        Raises:
            GuestFileMissingError: there is none.
            RefusedError: it is larger than `most_bytes`.
            ManagedVMError: as for `start`.
        """

    async def write_file(self, guest: Guest, path: str, content: bytes, *, mode: int) -> None:
        """Put a file in the place of what is there, at once or not at all, with the permissions `mode`.

        Raises:
            GuestFileMissingError: its directory is not there.
            GuestDiskFullError: it does not fit.
            UnknownOutcomeError: no answer came; the old or the new file is there.
            ManagedVMError: as for `start`.
        """
