"""The reaction that a service level promises, and the recovery it aims at (clause 4.1): clocks of its hours of intake.

Both start when somebody asked. The reaction ends with the first work, a decision of the provider's staff, or the request's
own end; the recovery of a fault when the provider's staff says that it is done. When the request is asked for does not change
them, and what is recorded late may still show a timely reaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from managedvm.api.changerequest import Reaction, Recovery
from managedvm.api.servicelevel import ServiceHours, ServiceLevelSpec
from managedvm.planning.calendar import Calendar
from managedvm.planning.maintenance import weekly_hours
from managedvm.planning.plan import earliest


@dataclass(frozen=True, slots=True)
class Worked:
    """When a piece of work on a request began, and when it was recorded."""

    begin: datetime
    recorded_at: datetime


def due_at(level: ServiceLevelSpec, asked_at: datetime) -> datetime | None:
    """Return until when somebody must react, in UTC; None where the level's hours never open."""
    return _intake(level.fault_intake).add_open_time(asked_at, level.reaction_time)


def recovery_due_at(level: ServiceLevelSpec, asked_at: datetime) -> datetime | None:
    """Return until when a fault is to be mended, in UTC; None where the level's hours never open."""
    return _intake(level.fault_intake).add_open_time(asked_at, level.recovery_time)


@lru_cache(maxsize=64)  # a provider has a few levels, and thousands of requests
def _intake(hours: ServiceHours) -> Calendar:
    return Calendar(hours.time_zone, tuple(weekly_hours(one) for one in hours.hours))


def reacted_at(asked_at: datetime, work: Iterable[Worked], decided_at: datetime | None) -> datetime | None:
    """Return when somebody first reacted, None while nobody has.

    Work that began before anybody had asked is no reaction to it; recording it is.
    """
    began = (one.begin if asked_at <= one.begin else one.recorded_at for one in work)
    return earliest((*began, decided_at))


def reaction(due: datetime, reacted: datetime | None, now: datetime) -> Reaction:
    """Return what the status says; `now` counts only while nobody has reacted."""
    return Reaction(
        due_at=due, reacted_at=reacted, is_missed=due <= now if reacted is None else due < reacted
    )


def recovery(due: datetime, recovered: datetime | None, now: datetime) -> Recovery:
    """Return what the status says of a fault; `now` counts only while it is not mended."""
    return Recovery(
        due_at=due, recovered_at=recovered, is_missed=due <= now if recovered is None else due < recovered
    )
