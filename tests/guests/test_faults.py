"""What a guest says becomes an error that says who must act."""

from types import SimpleNamespace

import pytest
from pydantic import SecretStr
from pyVmomi import vim, vmodl

from managedvm.errors import InvalidCredentialsError, NoPermissionError, StalledError, WaitingError
from managedvm.world.guests import (
    Guest,
    GuestDiskFullError,
    GuestFileMissingError,
    GuestLogin,
    GuestUnavailableError,
    tools,
)

GUEST = Guest("vm-7", GuestLogin("root", SecretStr("canary-password")))


def failing(fault):
    def call():
        raise fault

    return call


@pytest.mark.parametrize(
    ("fault", "error", "who"),
    [
        (vim.fault.InvalidGuestLogin(), InvalidCredentialsError, StalledError),
        (vim.fault.GuestPermissionDenied(), NoPermissionError, StalledError),
        (vim.fault.GuestOperationsUnavailable(), GuestUnavailableError, WaitingError),
        (vim.fault.InvalidPowerState(), GuestUnavailableError, WaitingError),
        (vim.fault.FileNotFound(file="/etc/x"), GuestFileMissingError, StalledError),
        (vim.fault.NoDiskSpace(file="/etc/x"), GuestDiskFullError, StalledError),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, vmodl.MethodFault) else None,
)
def test_a_guests_fault_is_an_error_of_ours(fault, error, who):
    with pytest.raises(error) as caught:
        tools._said(failing(fault), GUEST)
    assert isinstance(caught.value, who)
    assert "vm-7" in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_fault_of_the_vcenter_itself_passes():
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        tools._said(failing(vmodl.fault.ManagedObjectNotFound()), GUEST)


def test_the_password_is_in_no_text_of_a_guest():
    assert "canary-password" not in f"{GUEST} {GUEST!r} {GUEST.login} {GUEST.login!r}"


def test_the_managers_are_read_once_per_login():
    class Content:
        reads = 0

        @property
        def guestOperationsManager(self):  # noqa: N802 - pyVmomi's name
            Content.reads += 1
            return SimpleNamespace(processManager="processes", fileManager="files")

    session = SimpleNamespace(content=Content())
    executor = tools.VMwareToolsExecutor(session, None, None, lambda: True)
    assert [executor._processes(), executor._files(), executor._processes()] == [
        "processes",
        "files",
        "processes",
    ]
    assert Content.reads == 1
    session.content = Content()
    executor._processes()
    assert Content.reads == 2
