"""The way into the guest of one ManagedVM: its address and key from the object, its credentials from Secrets beside it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from managedvm.api.vcenter import Mode
from managedvm.errors import InvalidCredentialsError, ManagedVMError
from managedvm.planning.guestaccess import contact_is_due, trusted_key
from managedvm.planning.observed import Unknown
from managedvm.planning.permission import effective_mode
from managedvm.world.guests.port import Guest, GuestLogin, JumpHost, SshWay
from managedvm.world.kube import NotFoundError
from managedvm.world.secrets import hidden, plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from managedvm.api.guest import SshAccess
    from managedvm.api.managedvm import ManagedVM
    from managedvm.api.vcenter import VCenterSpec
    from managedvm.planning.jobs import Job
    from managedvm.planning.observed import VirtualMachine
    from managedvm.world.guests.port import GuestExecutor
    from managedvm.world.guests.ssh import SshExecutor
    from managedvm.world.kube import Kube

_REST_SECONDS = 60.0
"""How long a guest that could not be asked for its key is not asked again, however many passes there are."""


@dataclass(frozen=True, slots=True)
class EitherWay:
    """A GuestExecutor that takes for each guest the way that leads there: SSH where it has an address, else VMware Tools."""

    tools: GuestExecutor
    ssh: GuestExecutor

    async def start(self, guest: Guest, job_id: str, command: Sequence[str], *, limit: timedelta) -> None:
        """Begin a command; see GuestExecutor."""
        await self._of(guest).start(guest, job_id, command, limit=limit)

    async def result(self, guest: Guest, job_id: str) -> Job:
        """Return what became of a command; see GuestExecutor."""
        return await self._of(guest).result(guest, job_id)

    async def read_file(self, guest: Guest, path: str, *, most_bytes: int) -> bytes:
        """Return the content of a file; see GuestExecutor."""
        return await self._of(guest).read_file(guest, path, most_bytes=most_bytes)

    async def write_file(self, guest: Guest, path: str, content: bytes, *, mode: int) -> None:
        """Put a file; see GuestExecutor."""
        await self._of(guest).write_file(guest, path, content, mode=mode)

    def _of(self, guest: Guest) -> GuestExecutor:
        return self.ssh if guest.ssh is not None else self.tools


class Access:
    """Finds the way into guests. Secrets are read when they are needed, and kept nowhere."""

    def __init__(self, kube: Kube, ssh: SshExecutor) -> None:
        self._kube = kube
        self._ssh = ssh
        self._resting: dict[str, tuple[float, Unknown]] = {}

    async def guest(self, vm: ManagedVM, moref: str) -> Guest:
        """Return the guest of a ManagedVM with all that is needed to enter it.

        Raises:
            InvalidCredentialsError: spec.guest or a Secret is missing or incomplete; the message names it.
            ManagedVMError: as the API server says.
        """
        wanted = vm.spec.guest
        if wanted is None:
            raise InvalidCredentialsError(
                "spec.guest is missing: it says how the guest is reached, and as whom"
            )
        login = await self._login(vm, wanted.credentials_secret_ref.name)
        return Guest(moref, login, await self._way(vm, wanted.ssh) if wanted.ssh else None)

    async def host_key(
        self, vm: ManagedVM, facts: VirtualMachine | None, vcenter: VCenterSpec
    ) -> str | Unknown | None:
        """Return the host key that a guest shows over SSH that is to be met now; None for all others."""
        ssh, loop = vm.spec.guest.ssh if vm.spec.guest else None, asyncio.get_running_loop()
        may_be_met = effective_mode(vm, vcenter) is Mode.ENFORCE and contact_is_due(vm, facts, vcenter)
        if ssh is None or not may_be_met:
            return None
        asked = f"{vm.metadata.uid}/{vm.metadata.generation}"
        until, why = self._resting.get(asked, (0.0, None))
        if why is not None and loop.time() < until:
            return why
        self._resting = {key: rest for key, rest in self._resting.items() if loop.time() < rest[0]}
        try:
            return await self._ssh.host_key(await self._way(vm, ssh))
        except ManagedVMError as error:
            self._resting[asked] = (loop.time() + _REST_SECONDS, Unknown(str(error)))
            return Unknown(str(error))

    async def _way(self, vm: ManagedVM, ssh: SshAccess) -> SshWay:
        jump = None
        if ssh.jump_host is not None:
            login = await self._login(vm, ssh.jump_host.credentials_secret_ref.name)
            jump = JumpHost(ssh.jump_host.address, ssh.jump_host.port, ssh.jump_host.host_key, login)
        return SshWay(ssh.address, ssh.port, trusted_key(vm), ssh.sudo, jump)

    async def _login(self, vm: ManagedVM, name: str) -> GuestLogin:
        where = f"Secret {vm.metadata.namespace}/{name}"
        try:
            secret = await self._kube.get("Secret", vm.metadata.namespace, name)
        except NotFoundError:
            raise InvalidCredentialsError(
                f"{where} is missing. Create it with username, and password or ssh-privatekey"
            ) from None
        username, password = plain(secret, "username"), hidden(secret, "password")
        key = hidden(secret, "ssh-privatekey")
        if not username or not (password or key):
            raise InvalidCredentialsError(f"{where} needs username, and password or ssh-privatekey")
        return GuestLogin(
            username, SecretStr(password) if password else None, SecretStr(f"{key}\n") if key else None
        )
