"""What vCenter answers instead of a result, as errors that say who must act. No pyVmomi fault leaves this package."""

import ssl

from pyVmomi import vim, vmodl

from managedvm.errors import (
    BusyError,
    ManagedVMError,
    NoPermissionError,
    RefusedError,
    StaleError,
    TlsNotTrustedError,
    UnknownOutcomeError,
    UnreachableError,
)

Fault = vmodl.MethodFault
"""An answer of the server that is a fault; all of pyVmomi's checked and runtime faults are one."""

_BUSY = (
    vim.fault.TaskInProgress,
    vim.fault.ResourceInUse,
    vim.fault.Timedout,
)
_STALE = (
    vim.fault.ConcurrentAccess,
    vim.fault.InvalidState,
    vim.fault.ToolsUnavailable,
    vmodl.fault.ManagedObjectNotFound,
)
_REFUSED = (
    vmodl.fault.InvalidArgument,
    vmodl.fault.InvalidRequest,
    vmodl.fault.NotSupported,
    vmodl.fault.MethodNotFound,
    vmodl.fault.NotImplemented,
)
_TABLE: tuple[tuple[tuple[type[Fault], ...], type[ManagedVMError], str], ...] = (
    (_BUSY, BusyError, "vCenter is at something else there"),
    (_STALE, StaleError, "it is no longer as it was seen"),
    (_REFUSED, RefusedError, "vCenter refuses"),
    ((vim.fault.VimFault,), RefusedError, "vCenter refuses"),
)
"""The first line that a fault fits says what it means. What fits none is a failure inside the server."""


def is_session_lost(fault: Fault) -> bool:
    """Return whether the server no longer knows our session. What was asked was then not done."""
    return isinstance(fault, vim.fault.NotAuthenticated)


def error_of_fault(fault: Fault, *, ordered: bool) -> ManagedVMError:
    """Return the error that says who must act on a fault.

    `ordered` is whether the call was to change something: a server that failed inside then may have done so.
    """
    said = text_of(fault)
    if is_session_lost(fault):  # asked first: vSphere derives this fault from NoPermission
        return UnreachableError("vCenter has ended our session; nothing was done")
    if isinstance(fault, vim.fault.NoPermission):
        return _no_permission(fault)
    for kinds, error, fact in _TABLE:
        if isinstance(fault, kinds):
            return error(f"{fact}: {said}")
    if ordered:
        return UnknownOutcomeError(f"vCenter failed inside, with or without effect: {said}")
    return UnreachableError(f"vCenter failed inside: {said}")


def error_of_connection(error: Exception) -> ManagedVMError:
    """Return the error of a connection that did not come about: nothing was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsNotTrustedError(f"the certificate of vCenter is not trusted: {error.verify_message}")
    return UnreachableError(f"no connection to vCenter: {_plain(error)}")


def error_of_lost_answer(error: Exception, *, ordered: bool) -> ManagedVMError:
    """Return the error of a request that was sent, or partly sent, and got no usable answer."""
    if ordered:
        return UnknownOutcomeError(
            f"vCenter did not answer; it may have done what was asked: {_plain(error)}"
        )
    return UnreachableError(f"vCenter did not answer: {_plain(error)}")


def text_of(fault: Fault) -> str:
    """Return a fault as its type and the server's own words."""
    kind = type(fault).__name__.rsplit(".", 1)[-1]
    words = str(getattr(fault, "msg", "") or "")
    return f"{kind}: {words}" if words and words != kind else kind


def _no_permission(fault: vim.fault.NoPermission) -> NoPermissionError:
    """Return the error that names privilege and object; newer servers may list several, the first is named."""
    privilege, target = str(fault.privilegeId or ""), fault.object
    for missing in getattr(fault, "missingPrivileges", None) or ():
        if not privilege and missing.privilegeIds:
            privilege, target = str(missing.privilegeIds[0]), missing.entity
    kind, moref = named(target)
    return NoPermissionError(
        f"the account of the operator lacks the privilege {privilege or '(not named)'} on {kind} {moref}",
        privilege=privilege,
        target=moref,
    )


def named(target: object) -> tuple[str, str]:
    """Return type and reference of a managed object, as ("VirtualMachine", "vm-12")."""
    kind, _, moref = str(target).strip("'").partition(":")
    return kind.rsplit(".", 1)[-1], moref


def _plain(error: Exception) -> str:
    """Return what the system says of an error; nothing of what was sent is in it."""
    words = getattr(error, "strerror", None) or (str(error) if isinstance(error, OSError) else "")
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
