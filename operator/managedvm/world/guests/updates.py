"""Asking a guest what there is to update: a job that writes a report, and the report as an inventory."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files
from typing import TYPE_CHECKING

from managedvm.errors import ManagedVMError
from managedvm.planning.jobs import Finished
from managedvm.planning.observed import Unknown
from managedvm.planning.updates import apt, dnf
from managedvm.planning.updates.report import ReportError, sections

if TYPE_CHECKING:
    from collections.abc import Collection

    from managedvm.planning.jobs import Job
    from managedvm.planning.updates.inventory import UpdateInventory
    from managedvm.world.guests.port import Guest, GuestExecutor

LIMIT = timedelta(minutes=10)
"""How long a guest may take; fetching the lists of packages is most of it."""

_UNKNOWN_SYSTEM = 65
"""What updates.sh answers where it knows no package manager."""

MOST_BYTES = 16 << 20
"""The largest report that is read; a guest with 3,000 packages writes about 2 MiB."""


async def ask(executor: GuestExecutor, guest: Guest, job_id: str) -> None:
    """Begin to write the report; raises what `GuestExecutor.start` raises. It installs nothing."""
    script = files("managedvm.world.guests").joinpath("updates.sh").read_text()
    await executor.start(
        guest, job_id, ("/bin/sh", "-c", script, "managedvm-updates", _path(job_id)), limit=LIMIT
    )


async def answer(
    executor: GuestExecutor, guest: Guest, job_id: str, allowed: Collection[str] = apt.ORIGINS | dnf.ORIGINS
) -> UpdateInventory | Job:
    """Return what there is to update; how far the job is while it is not done, and Unknown where its report is no use.

    `allowed` are the origins, or on RHEL the repositories, that packages are updated from.
    """
    found = await executor.result(guest, job_id)
    if not isinstance(found, Finished):
        return found
    if found.exit_code == _UNKNOWN_SYSTEM:
        return Unknown("the guest has neither apt nor dnf")
    if found.exit_code != 0:
        return Unknown(
            f"the guest cannot say what there is to update ({found.exit_code}): {found.output[-200:]}"
        )
    try:
        report = sections(await executor.read_file(guest, _path(job_id), most_bytes=MOST_BYTES))
        if "policy" in report:
            return apt.read(report, allowed)
        return dnf.read(report, allowed)
    except (ManagedVMError, ReportError) as error:
        return Unknown(str(error))


def _path(job_id: str) -> str:
    return f"/run/managedvm/updates/{job_id}"
