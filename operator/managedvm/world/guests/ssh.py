"""The port `guests` over SSH: one connection for each call, to the one key that we trust, running fixed scripts.

Nothing but the question for its key is ever sent to a host whose key is not trusted. No file of ~/.ssh and no agent of
the machine that we run on has a say.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncssh

from managedvm.errors import (
    InvalidCredentialsError,
    ManagedVMError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.guestaccess import fingerprint
from managedvm.planning.jobs import Lost, NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import job
from managedvm.world.guests.port import (
    GuestDiskFullError,
    GuestFileMissingError,
    GuestUnavailableError,
    HostKeyChangedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import timedelta

    from managedvm.planning.jobs import Job
    from managedvm.world.guests.port import Guest, GuestLogin, JumpHost, SshWay

_CONNECT_SECONDS = 15.0
_ASK_SECONDS = 5.0
"""For the key of a host; a pass waits for it."""

_CALL_SECONDS = 60.0
"""start.sh itself waits for 10 s for a lock and for 10 s for the job, and a guest may be slow."""

_READ_AT_ONCE = 64 * 1024

_MOST_CONNECTIONS = 16
"""Connections at one time, whatever the number of guests."""

_SUDO_REFUSES = 1
"""What sudo answers when it would have to ask for a password; none of our scripts ends so."""

_NO_FILE, _NO_RIGHT, _NOT_WHOLE, _NO_ROOM = 66, 73, 74, 28
_STATES: dict[int, Job] = {79: NotStarted(), 80: Running(), 81: Lost()}
"""What look.sh answers besides 0."""

_SILENT: dict[str, Any] = {
    "config": None,
    "known_hosts": ([], [], []),
    "agent_path": None,
    "x509_trusted_certs": None,
    "gss_kex": False,
    "gss_auth": False,
    "connect_timeout": _CONNECT_SECONDS,
    "login_timeout": _CONNECT_SECONDS,
    "keepalive_interval": 15,
}
"""Options of every connection: nothing of the machine that we run on is read."""


class SshExecutor:
    """A GuestExecutor over SSH. Its methods are to be awaited on one event loop."""

    def __init__(self, may_act: Callable[[], bool]) -> None:
        """Keep what is needed; nothing is sent. `may_act` is asked right before anything is sent that changes a guest."""
        self._may_act = may_act
        self._connections = asyncio.Semaphore(_MOST_CONNECTIONS)

    async def start(self, guest: Guest, job_id: str, command: Sequence[str], *, limit: timedelta) -> None:
        """Begin a command; see GuestExecutor."""
        arguments = job.start_arguments(job_id, command, limit)
        code, _ = await self._run(guest, arguments, is_order=True)
        job.raise_unless_started(code, guest.moref, job_id)

    async def result(self, guest: Guest, job_id: str) -> Job:
        """Return what became of a command; see GuestExecutor."""
        most = job.MOST_RESULT_BYTES
        arguments = job.script_arguments("look", (job.checked_id(job_id), str(most)))
        try:
            code, content = await self._run(guest, arguments, most_bytes=most)
        except ManagedVMError as error:
            return Unknown(str(error))
        if code == 0:
            strange = f"the result of {job_id} in the guest of {guest.moref} is not as we left it"
            return job.parse_result(content) or Unknown(strange)
        return _STATES.get(
            code, Unknown(f"the guest of {guest.moref} cannot say how far {job_id} is ({code})")
        )

    async def read_file(self, guest: Guest, path: str, *, most_bytes: int) -> bytes:
        """Return the content of a file; see GuestExecutor."""
        arguments = job.script_arguments("read", (job.encoded(path), str(most_bytes + 1)))
        code, content = await self._run(guest, arguments, most_bytes=most_bytes + 1)
        _raise_for_file(code, guest, path)
        if len(content) > most_bytes:
            raise RefusedError(f"a file is larger than {most_bytes} bytes")
        return content

    async def write_file(self, guest: Guest, path: str, content: bytes, *, mode: int) -> None:
        """Put a file; see GuestExecutor."""
        words = (job.encoded(path), f"{mode:o}", str(len(content)))
        arguments = job.script_arguments("write", words)
        code, _ = await self._run(guest, arguments, content=content, is_order=True)
        _raise_for_file(code, guest, path)

    async def host_key(self, way: SshWay) -> str:
        """Return the key that an sshd shows, as `ssh-ed25519 AAAA...`; only the jump host is logged in to.

        Raises:
            GuestUnavailableError: it cannot be asked.
            HostKeyChangedError, InvalidCredentialsError: as the jump host says.
        """
        async with self._connections, _tunnel(way) as tunnel:
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    key = await asyncssh.get_server_host_key(
                        way.address, way.port, tunnel=tunnel, config=None
                    )
            except (OSError, asyncssh.Error, TimeoutError) as error:
                raise _unavailable(way.address, error) from None
        if key is None:
            raise GuestUnavailableError(f"the sshd at {way.address} shows no key")
        return _text_of(key)

    async def _run(
        self,
        guest: Guest,
        arguments: str,
        *,
        content: bytes = b"",
        most_bytes: int = 0,
        is_order: bool = False,
    ) -> tuple[int, bytes]:
        """Run a script as root and return its exit code and its output, of which `most_bytes` are read.

        Raises:
            NoPermissionError: the account cannot become root.
            ManagedVMError: as for the verbs of GuestExecutor.
        """
        way = _way_of(guest)
        line = f"exec sudo -n {job.SHELL} {arguments}" if way.sudo else f"exec {job.SHELL} {arguments}"
        async with self._connections, self._connected(guest, way) as connection:
            if is_order and not self._may_act():
                raise NotActiveError("this replica may not act; nothing was sent to the guest")
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    code, output = await _answer(connection, line, content, most_bytes)
            except asyncssh.ChannelOpenError:
                raise GuestUnavailableError(f"the sshd at {way.address} opens no session") from None
            except (OSError, asyncssh.Error, TimeoutError) as error:
                lost = f"the guest of {guest.moref} did not answer over SSH: {type(error).__name__}"
                raise (UnknownOutcomeError(lost) if is_order else UnreachableError(lost)) from None
        if code is None:
            lost = f"the connection to the guest of {guest.moref} was lost"
            raise UnknownOutcomeError(lost) if is_order else UnreachableError(lost)
        if way.sudo and code == _SUDO_REFUSES:
            raise NoPermissionError(
                f"{guest.login.username} may not run {job.SHELL} as root without a password in the guest of "
                f"{guest.moref}. Install contrib/guest/sudoers there"
            )
        return code, output

    @asynccontextmanager
    async def _connected(self, guest: Guest, way: SshWay) -> AsyncIterator[asyncssh.SSHClientConnection]:
        if way.host_key is None:
            raise GuestUnavailableError(f"no host key of the guest of {guest.moref} is trusted yet")
        async with _tunnel(way) as tunnel, _connection(way, way.host_key, guest.login, tunnel) as connection:
            yield connection


class _Gate(asyncssh.SSHClient):
    """Lets through the one key that is trusted, and remembers which was shown."""

    def __init__(self, trusted: asyncssh.SSHKey) -> None:
        self._trusted = trusted
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Return whether the connection may go on; asked before any credentials are sent."""
        del host, addr, port
        self.shown = _text_of(key)
        return key.public_data == self._trusted.public_data


@asynccontextmanager
async def _tunnel(way: SshWay) -> AsyncIterator[asyncssh.SSHClientConnection | None]:
    """Yield the connection to the jump host, None where the way has none."""
    if way.jump is None:
        yield None
        return
    jump = way.jump
    async with _connection(jump, jump.host_key, jump.login, None) as connection:
        yield connection


@asynccontextmanager
async def _connection(
    way: SshWay | JumpHost,
    trusted: str,
    login: GuestLogin,
    tunnel: asyncssh.SSHClientConnection | None,
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Yield a connection to a host that has shown the trusted key and has let us in; no secret is in any error."""
    key = _public_key(trusted)
    gate = _Gate(key)
    options = {
        **_SILENT,
        **_credentials(login),
        "server_host_key_algs": _algorithms(key),
    }
    try:
        async with asyncio.timeout(2 * _CONNECT_SECONDS):
            connection, _ = await asyncssh.create_connection(
                lambda: gate, way.address, way.port, tunnel=tunnel, **options
            )
    except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed):
        raise HostKeyChangedError(
            f"{way.address} shows {fingerprint(gate.shown) if gate.shown else 'no key of the kind that is trusted'}, "
            f"and {fingerprint(trusted)} is trusted. Nothing was sent to it",
            gate.shown,
        ) from None
    except asyncssh.PermissionDenied:
        raise InvalidCredentialsError(
            f"{way.address} refuses the user {login.username}, the key or the password"
        ) from None
    except (OSError, asyncssh.Error, TimeoutError) as error:
        raise _unavailable(way.address, error) from None
    try:
        yield connection
    finally:
        connection.abort()
        await connection.wait_closed()


async def _answer(
    connection: asyncssh.SSHClientConnection, line: str, content: bytes, most_bytes: int
) -> tuple[int | None, bytes]:
    """Return how a command ended, None where nobody said, and the first bytes of what it wrote."""
    process = await connection.create_process(line, encoding=None, stderr=asyncssh.DEVNULL)
    try:
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has ended without reading all, and its exit code says why
    output = b""
    while part := await process.stdout.read(_READ_AT_ONCE):
        # The rest is read and thrown away: only the end of the command tells how it ended.
        output = (output + part)[:most_bytes]
    await process.wait_closed()
    return process.returncode if process.exit_signal is None else None, output


def _way_of(guest: Guest) -> SshWay:
    if guest.ssh is None:
        raise ValueError(f"the guest of {guest.moref} is not reached over SSH")
    return guest.ssh


def _credentials(login: GuestLogin) -> dict[str, Any]:
    """Return the options that log in; the key is tried before the password.

    Raises:
        InvalidCredentialsError: there is neither, or the key is none.
    """
    found: dict[str, Any] = {"username": login.username, "client_keys": None}
    if login.private_key is not None:
        try:
            found["client_keys"] = [asyncssh.import_private_key(login.private_key.get_secret_value())]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
            raise InvalidCredentialsError(
                f"the private key of {login.username} is no OpenSSH or PEM key without a passphrase"
            ) from None
    if login.password is not None:
        found["password"] = login.password.get_secret_value()
    if login.private_key is None and login.password is None:
        raise InvalidCredentialsError(f"there is neither a key nor a password for {login.username}")
    return found


def _algorithms(key: asyncssh.SSHKey) -> list[str]:
    """Return how the sshd may prove that it has this key: as OpenSSH does today, never with SHA-1."""
    names = [name.decode() for name in key.sig_algorithms]
    return [name for name in names if name != "ssh-rsa" and not name.endswith("@ssh.com")]


def _public_key(text: str) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_public_key(text)
    except (asyncssh.KeyImportError, ValueError):
        raise InvalidCredentialsError("the host key that is trusted is no OpenSSH public key") from None


def _text_of(key: asyncssh.SSHKey) -> str:
    """Return a public key as OpenSSH writes it, without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def _unavailable(address: str, error: Exception) -> GuestUnavailableError:
    words = getattr(error, "strerror", None) or type(error).__name__
    return GuestUnavailableError(f"the sshd at {address} cannot be reached: {words}")


def _raise_for_file(code: int, guest: Guest, path: str) -> None:
    """Raise our error for what read.sh or write.sh answered; 0 is none."""
    match code:
        case 0:
            return
        case _ if code == _NO_FILE:
            raise GuestFileMissingError(f"there is no {path} in the guest of {guest.moref}")
        case _ if code == _NO_RIGHT:
            raise NoPermissionError(f"{path} in the guest of {guest.moref} may not be touched")
        case _ if code == _NO_ROOM:
            raise GuestDiskFullError(f"{path} does not fit into the guest of {guest.moref}")
        case _ if code == _NOT_WHOLE:
            raise UnreachableError(
                f"{path} did not arrive whole in the guest of {guest.moref}; it is as it was"
            )
    raise UnknownOutcomeError(f"the guest of {guest.moref} did not say what became of {path} ({code})")
