"""A vCenter as we log in to it: at most two sessions, one for the update stream and one for calls.

A read is repeated once after a lost session. An order never is: it is sent once, and what became of it is looked up.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, TypeVar
from xml.etree import ElementTree as ET
from xml.parsers.expat import ExpatError

from pydantic import SecretStr
from pyVmomi import vim, vmodl

from managedvm import __version__
from managedvm.errors import InvalidCredentialsError, ManagedVMError, NotActiveError
from managedvm.world.vsphere.faults import error_of_fault, error_of_lost_answer, is_session_lost
from managedvm.world.vsphere.soap import NotSentError, Stub, tls_context

T = TypeVar("T")

USER_AGENT = f"managedvm-operator/{__version__}"
"""How our sessions are told from others in vCenter's list of sessions."""

_FRESH_SECONDS = 300.0
"""A session that was used within this time is taken to be alive; vCenter ends idle ones after 30 minutes."""


_UNREADABLE = (
    OSError,
    HTTPException,
    ExpatError,
    ET.ParseError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
)
"""What pyVmomi raises when the connection broke, or when it cannot make sense of an answer."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a vCenter is and who we are there. `ca` is PEM text; None trusts the system's authorities."""

    host: str
    username: str
    password: SecretStr
    port: int = 443
    ca: str | None = None


class Session:
    """One session with a vCenter, kept across lost connections. Its methods may be called from any thread.

    Every method raises a ManagedVMError when it did not succeed, and nothing of pyVmomi's.
    """

    def __init__(
        self, server: Server, request_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._server = server
        self._seconds = request_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._stub: Stub | None = None
        self._content: Any = None  # pyVmomi declares every field of it optional
        self._user = ""
        self._logins = 0
        self._last_used = 0.0

    @property
    def stub(self) -> Stub:
        """The connection pool that managed objects are called through."""
        with self._lock:
            return self._connected()

    @property
    def content(self) -> Any:
        """The server's service content, known after a login."""
        if self._content is None:
            raise RuntimeError("the session was never logged in")
        return self._content

    @property
    def user(self) -> str:
        """Our name as the server spells it, known after a login."""
        return self._user

    def renew(self) -> None:
        """Begin a new session, ending the former one first, so that there are never two."""
        with self._lock:
            self._logout()
            self._login()

    def read(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, after one new login if the session was lost."""
        logins = self._ensure()
        try:
            return self._used(call)
        except SessionLostError:
            self._login_unless_done(logins)
        try:
            return self._used(call)
        except SessionLostError as lost:
            raise lost.error from None

    def order(self, call: Callable[[], T], may_act: Callable[[], bool]) -> T:
        """Send one mutating call, at most once, if `may_act` says so at the last moment.

        Raises:
            NotActiveError: `may_act` says no; nothing was sent.
            UnknownOutcomeError: it was sent and no answer came.
        """
        self._ensure()
        if self._monotonic() - self._last_used > _FRESH_SECONDS:
            self.read(self._ask_the_time)
        if not may_act():
            raise NotActiveError("this replica may not act; nothing was sent to vCenter")
        try:
            return self._used(call, ordered=True)
        except SessionLostError as lost:
            with self._lock:
                self._content = None
            raise lost.error from None

    def abort_wait(self) -> None:
        """Break a waiting call of the update stream that is under way."""
        stub = self._stub
        if stub is not None:
            stub.abort_wait()

    def close(self) -> None:
        """End the session, as far as the server can be reached, and close all connections."""
        with self._lock:
            try:
                self._logout()
            finally:
                if self._stub is not None:
                    self._stub.drop_connections()

    def _ask_the_time(self) -> None:
        vim.ServiceInstance("ServiceInstance", self.stub).CurrentTime()

    def _ensure(self) -> int:
        """Log in if we are not; return the number of logins so far."""
        with self._lock:
            if self._content is None:
                self._login()
            return self._logins

    def _login_unless_done(self, logins: int) -> None:
        """Log in again, unless another thread did since `logins` were counted."""
        with self._lock:
            if self._logins == logins:
                self._login()

    def _used(self, call: Callable[[], T], *, ordered: bool = False) -> T:
        result = guarded(call, ordered=ordered)
        self._last_used = self._monotonic()
        return result

    def _connected(self) -> Stub:
        if self._stub is None:
            server = self._server
            context = tls_context(server.ca)
            self._stub = Stub(server.host, server.port, context, USER_AGENT, self._seconds)
        return self._stub

    def _login(self) -> None:
        stub = self._connected()
        stub.forget_session()
        root = vim.ServiceInstance("ServiceInstance", stub)
        content: Any = guarded(root.RetrieveContent)
        try:
            session = content.sessionManager.Login(
                self._server.username, self._server.password.get_secret_value(), None
            )
        except vim.fault.InvalidLogin:
            raise InvalidCredentialsError(
                f"vCenter refuses the password of {self._server.username}"
            ) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, the password must not travel on in it
            raise (_error_of(error, ordered=False) or error_of_lost_answer(error, ordered=False)) from None
        self._content, self._user = content, session.userName
        self._logins += 1
        self._last_used = self._monotonic()

    def _logout(self) -> None:
        """End the present session. One that the server has ended already is ended too.

        Raises:
            ManagedVMError: the server gave no answer, so the session may live on; it is kept to be ended later.
        """
        if self._content is None:
            return
        with contextlib.suppress(SessionLostError):
            guarded(self._content.sessionManager.Logout)
        self._content = None


class SessionLostError(ManagedVMError):
    """The server does not know our session any more, so nothing was done. `error` is what others are told."""

    def __init__(self, error: ManagedVMError) -> None:
        super().__init__(str(error))
        self.error = error


def guarded(call: Callable[[], T], *, ordered: bool = False) -> T:
    """Return what a call through pyVmomi returns; what it raises becomes one of our errors, unless it is a bug."""
    try:
        return call()
    except Exception as error:
        translated = _error_of(error, ordered=ordered)
        if translated is None or translated is error:
            raise
        raise translated from error


def _error_of(error: Exception, *, ordered: bool) -> ManagedVMError | None:
    """Return what an exception means to others; None for a bug."""
    match error:
        case NotSentError():
            return error.error
        case ManagedVMError():
            return error
        case vmodl.MethodFault():
            translated = error_of_fault(error, ordered=ordered)
            return SessionLostError(translated) if is_session_lost(error) else translated
    return error_of_lost_answer(error, ordered=ordered) if isinstance(error, _UNREADABLE) else None
