"""Commands and files in a guest. Nothing that is asked for is ever run anywhere but inside that guest."""

from managedvm.world.guests.port import (
    Guest,
    GuestDiskFullError,
    GuestExecutor,
    GuestFileMissingError,
    GuestLogin,
    GuestUnavailableError,
    HostKeyChangedError,
    JumpHost,
    SshWay,
)
from managedvm.world.guests.ssh import SshExecutor
from managedvm.world.guests.tools import VMwareToolsExecutor

__all__ = [
    "Guest",
    "GuestDiskFullError",
    "GuestExecutor",
    "GuestFileMissingError",
    "GuestLogin",
    "GuestUnavailableError",
    "HostKeyChangedError",
    "JumpHost",
    "SshExecutor",
    "SshWay",
    "VMwareToolsExecutor",
]
