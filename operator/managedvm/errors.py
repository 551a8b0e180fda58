"""Errors of the world say who must act.

    ManagedVMError
    ├── WaitingError            time helps: look again later
    │   ├── UnreachableError        no answer; a read that failed, or a call that was not sent
    │   ├── BusyError               the other side is working on something else
    │   ├── UnknownOutcomeError     a mutating call was sent and no answer came: look again, then decide
    │   ├── StaleError              what was decided on has changed meanwhile: look again
    │   └── NotActiveError          this replica may not act any more
    └── StalledError            a person must act
        ├── NoPermissionError       a privilege or a right is missing
        ├── InvalidCredentialsError user name or password are wrong or missing
        ├── TlsNotTrustedError      the server's certificate is not trusted
        ├── RefusedError            the values were refused
        └── ConflictError           something else is there under the same name

Anything else that is raised is a bug and is logged with its trace.
"""

from datetime import datetime


class ManagedVMError(Exception):
    """The base of all errors that are not bugs. `str()` is a message for a person, without any secret."""

    @property
    def reason(self) -> str:
        """The kind of error as one word for a condition, such as `Unreachable`."""
        return type(self).__name__.removesuffix("Error")


class WaitingError(ManagedVMError):
    """Time helps. `until` is when to look again, or None for the usual growing pause."""

    def __init__(self, message: str, until: datetime | None = None) -> None:
        super().__init__(message)
        self.until = until


class UnreachableError(WaitingError):
    """No answer came to a read, or a call could not be sent."""


class BusyError(WaitingError):
    """The other side is working on something else on the same object."""


class UnknownOutcomeError(WaitingError):
    """A mutating call was sent and no answer came; it may or may not have had its effect."""


class StaleError(WaitingError):
    """The object changed after it was decided on; nothing was done."""


class NotActiveError(WaitingError):
    """The lease is not held, or not for long enough; nothing was sent."""


class StalledError(ManagedVMError):
    """A person must act."""


class NoPermissionError(StalledError):
    """A privilege in vCenter or a right in Kubernetes is missing; the message names it.

    `privilege` is its id and `target` the object that it is missing on, where the server says so.
    """

    def __init__(self, message: str, privilege: str = "", target: str = "") -> None:
        super().__init__(message)
        self.privilege = privilege
        self.target = target


class InvalidCredentialsError(StalledError):
    """User name or password are wrong, or the Secret that should hold them is missing or incomplete."""


class TlsNotTrustedError(StalledError):
    """The server's certificate is not signed by an authority that we trust, or is for another name."""


class RefusedError(StalledError):
    """The values that were sent were refused."""


class ConflictError(StalledError):
    """Something else is there already under a name that was to be made."""
