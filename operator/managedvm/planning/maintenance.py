"""Maintenance windows of one VM (clause 5.1): the service level's, or those agreed for the VM alone."""

from datetime import time
from functools import lru_cache

from managedvm.api.base import WeeklyHours as ApiWeeklyHours
from managedvm.api.managedvm import MaintenanceAgreement
from managedvm.api.servicelevel import Maintenance
from managedvm.planning.calendar import Announcement, Calendar, Exclusion, Weekday, WeeklyHours

_WEEKDAYS = dict(zip(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), Weekday, strict=True))


def weekly_hours(hours: ApiWeeklyHours) -> WeeklyHours:
    """Return hours as they stand in YAML as hours to calculate with."""
    days = frozenset(_WEEKDAYS[day.value] for day in hours.days)
    return WeeklyHours(days=days, start=time.fromisoformat(hours.start), end=time.fromisoformat(hours.end))


@lru_cache(maxsize=256)  # most VMs have the windows of their service level
def maintenance_calendar(level: Maintenance, agreement: MaintenanceAgreement) -> Calendar | None:
    """Return the maintenance windows that apply to a VM, or None when none are agreed.

    What was agreed for the VM takes the place of the level's windows; freezes always apply.
    """
    own = agreement.agreed
    windows = own.windows if own is not None else level.windows
    if not windows:
        return None
    return Calendar(
        zone=own.time_zone if own is not None else level.time_zone,
        hours=tuple(weekly_hours(window) for window in windows),
        exclusions=tuple(
            Exclusion(freeze.from_, freeze.until, freeze.reason) for freeze in agreement.freezes
        ),
        announcement=Announcement(level.announce_days_before) if level.announce_to_customer else None,
    )
