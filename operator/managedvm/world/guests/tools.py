"""The port `guests` over VMware Tools: vSphere's guest operations, each one call, and files over HTTPS.

Passwords leave this module only inside the request that needs them.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pyVmomi import vim, vmodl

from managedvm.errors import (
    InvalidCredentialsError,
    ManagedVMError,
    NoPermissionError,
    UnknownOutcomeError,
    WaitingError,
)
from managedvm.planning.jobs import Finished, Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import job
from managedvm.world.guests.port import GuestDiskFullError, GuestFileMissingError, GuestUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from datetime import timedelta

    from managedvm.planning.jobs import Job
    from managedvm.world.guests.port import Guest
    from managedvm.world.guests.transfer import Transfer
    from managedvm.world.vsphere.connection import Session

T = TypeVar("T")

_LOOK_EVERY_SECONDS = 0.2
_STARTED_WITHIN_SECONDS = 40.0
"""start.sh itself waits for 10 s for a lock and for 10 s for the job, and a guest may be slow."""

_MOST_FILES = 50


class VMwareToolsExecutor:
    """A GuestExecutor for the guests of one vCenter. Its methods are to be awaited on one event loop."""

    def __init__(
        self, session: Session, transfer: Transfer, threads: Executor, may_act: Callable[[], bool]
    ) -> None:
        """Keep what is needed; nothing is sent.

        Args:
            session: The session for calls, shared with the port `vsphere`.
            transfer: How files move.
            threads: Where the calls block; its size bounds how many guests are asked at a time.
            may_act: Asked right before anything is sent that changes a guest.
        """
        self._session = session
        self._transfer = transfer
        self._threads = threads
        self._may_act = may_act
        self._managers: tuple[object, Any, Any] | None = None

    async def start(self, guest: Guest, job_id: str, command: Sequence[str], *, limit: timedelta) -> None:
        """Begin a command; see GuestExecutor."""
        spec = vim.vm.guest.ProcessManager.ProgramSpec(
            programPath=job.SHELL, arguments=job.start_arguments(job_id, command, limit)
        )
        pid = await self._order(
            lambda: self._processes().StartProgramInGuest(self._vm(guest), _login(guest), spec), guest
        )
        code = await self._exit_code(guest, pid)
        job.raise_unless_started(code, guest.moref, job_id)

    async def result(self, guest: Guest, job_id: str) -> Job:
        """Return what became of a command; see GuestExecutor."""
        job.checked_id(job_id)
        try:
            found = await self._record(guest, job_id)
            if not isinstance(found, Running):
                return found
            lines = await self._read(
                lambda: [
                    process.cmdLine
                    for process in self._processes().ListProcessesInGuest(
                        self._vm(guest), _login(guest), None
                    )
                ],
                guest,
            )
            if any(job.runs(job_id, line) for line in lines):
                return found
            # It may have ended between the two looks.
            again = await self._record(guest, job_id)
            return Lost() if isinstance(again, Running) else again
        except ManagedVMError as error:
            return Unknown(str(error))

    async def read_file(self, guest: Guest, path: str, *, most_bytes: int) -> bytes:
        """Return the content of a file; see GuestExecutor."""

        def fetch() -> bytes:
            found = self._files().InitiateFileTransferFromGuest(self._vm(guest), _login(guest), path)
            return self._transfer.get(found.url, most_bytes)

        return await self._read(fetch, guest)

    async def write_file(self, guest: Guest, path: str, content: bytes, *, mode: int) -> None:
        """Put a file; see GuestExecutor."""
        attributes = vim.vm.guest.FileManager.PosixFileAttributes(permissions=mode)

        def put() -> None:
            url = self._files().InitiateFileTransferToGuest(
                self._vm(guest), _login(guest), path, attributes, len(content), overwrite=True
            )
            self._transfer.put(url, content)

        await self._order(put, guest)

    async def _record(self, guest: Guest, job_id: str) -> Job:
        """Return how far the guest's record of a job is; Running where it was begun and has no result."""
        begun = False
        for home in job.HOMES:
            names = await self._read(partial(self._names, guest, f"{home}/{job_id}"), guest)
            if job.RESULT in names:
                path = f"{home}/{job_id}/{job.RESULT}"
                content = await self.read_file(guest, path, most_bytes=job.MOST_RESULT_BYTES)
                finished: Finished | None = job.parse_result(content)
                return finished or Unknown(f"{path} in the guest of {guest.moref} is not as we left it")
            begun = begun or job.RUNNER in names
        return Running() if begun else NotStarted()

    def _names(self, guest: Guest, directory: str) -> frozenset[str]:
        """Return the names in a directory; none where there is no directory."""
        try:
            found = self._files().ListFilesInGuest(
                self._vm(guest), _login(guest), directory, 0, _MOST_FILES, None
            )
        except vim.fault.FileNotFound:
            return frozenset()
        return frozenset(file.path for file in found.files)

    async def _exit_code(self, guest: Guest, pid: int) -> int:
        """Wait for the end of start.sh, which is short, and return its exit code.

        Raises:
            UnknownOutcomeError: it cannot be learned.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STARTED_WITHIN_SECONDS
        while loop.time() < deadline:
            try:
                found = await self._read(
                    lambda: self._processes().ListProcessesInGuest(self._vm(guest), _login(guest), [pid]),
                    guest,
                )
            except WaitingError as error:
                raise UnknownOutcomeError(f"whether the command began is not known: {error}") from None
            if not found:
                raise UnknownOutcomeError(
                    f"VMware Tools in the guest of {guest.moref} forgot what they started"
                )
            if found[0].endTime is not None:
                return found[0].exitCode or 0  # pyVmomi reads a missing 0 as None
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        raise UnknownOutcomeError(f"the guest of {guest.moref} takes too long to begin a command")

    async def _read(self, call: Callable[[], T], guest: Guest) -> T:
        return await self._blocking(lambda: self._session.read(lambda: _said(call, guest)))

    async def _order(self, call: Callable[[], T], guest: Guest) -> T:
        return await self._blocking(lambda: self._session.order(lambda: _said(call, guest), self._may_act))

    async def _blocking(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _vm(self, guest: Guest) -> vim.VirtualMachine:
        return vim.VirtualMachine(guest.moref, self._session.stub)

    def _processes(self) -> Any:
        return self._known_managers()[1]

    def _files(self) -> Any:
        return self._known_managers()[2]

    def _known_managers(self) -> tuple[object, Any, Any]:
        """Return the managers of processes and files, read once per login: each look at one is a call."""
        content = self._session.content
        if self._managers is None or self._managers[0] is not content:
            manager = content.guestOperationsManager
            self._managers = (content, manager.processManager, manager.fileManager)
        return self._managers


def _login(guest: Guest) -> vim.vm.guest.NamePasswordAuthentication:
    if guest.login.password is None:
        raise InvalidCredentialsError(
            "VMware Tools take a user name and a password; the Secret has no password"
        )
    return vim.vm.guest.NamePasswordAuthentication(
        username=guest.login.username,
        password=guest.login.password.get_secret_value(),
        interactiveSession=False,
    )


def _said(call: Callable[[], T], guest: Guest) -> T:
    """Return what a guest operation returns, or raise our error for what the guest said; vCenter's own pass."""
    try:
        return call()
    except vmodl.MethodFault as fault:
        _raise_for(fault, guest)


def _raise_for(fault: vmodl.MethodFault, guest: Guest) -> NoReturn:
    """Raise our error for a fault of the guest, and any other fault as it is.

    The fault does not travel on as the cause: what was sent to provoke it held the password.
    """
    if isinstance(fault, vim.fault.InvalidGuestLogin):
        raise InvalidCredentialsError(
            f"the guest of {guest.moref} refuses the user {guest.login.username} or the password"
        ) from None
    if isinstance(fault, vim.fault.GuestOperationsUnavailable | vim.fault.InvalidPowerState):
        raise GuestUnavailableError(f"VMware Tools in the guest of {guest.moref} do not answer") from None
    if isinstance(fault, vim.fault.GuestPermissionDenied):
        raise NoPermissionError(
            f"{guest.login.username} may not do this in the guest of {guest.moref}"
        ) from None
    if isinstance(fault, vim.fault.FileNotFound):
        raise GuestFileMissingError(f"there is no {fault.file} in the guest of {guest.moref}") from None
    if isinstance(fault, vim.fault.NoDiskSpace):
        raise GuestDiskFullError(f"{fault.file} does not fit into the guest of {guest.moref}") from None
    raise fault
