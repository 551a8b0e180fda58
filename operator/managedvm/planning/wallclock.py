"""Between a zone's wall clock and instants: the one place that knows that a clock skips an hour and repeats one."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from managedvm.api.base import NOT_PLACES, NOT_PLACES_BELOW

_REMEMBERED: Final = 4096
"""Ten thousand VMs share a few calendars, so the same begins and ends are asked for again and again."""


_NO_ZONE: Final = "{!r} is not an IANA time zone such as 'Europe/Berlin'"


class UnknownZoneError(ValueError):
    """The name is no time zone of the IANA database."""


@cache
def zone_named(name: str) -> ZoneInfo:
    """Return the IANA zone of this name, for example ``Europe/Berlin``.

    Raises:
        UnknownZoneError: there is no such zone; the message names the value.
    """
    try:
        found = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        # A folder of the database ("Europe") is an OSError, a path that leaves it ("../x") a ValueError.
        raise UnknownZoneError(_NO_ZONE.format(name)) from error
    if name in NOT_PLACES or name.startswith(NOT_PLACES_BELOW):
        raise UnknownZoneError(_NO_ZONE.format(name))
    return found


def as_utc(instant: datetime) -> datetime:
    """Return the same instant in UTC.

    Python compares two times of one zone by their wall clocks, wrong in the hour that comes twice, so everything
    is compared in UTC.

    Raises:
        ValueError: the time is naive and therefore no instant.
    """
    if instant.tzinfo is UTC:
        return instant
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone, so it is not an instant")
    return instant.astimezone(UTC)


def shown(instant: datetime) -> str:
    """Return the instant in UTC as people and records read it, to the second: ``2026-11-01T00:00:00Z``."""
    return f"{as_utc(instant):%Y-%m-%dT%H:%M:%SZ}"


def wall_clock(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock in the zone shows at the instant, as a naive time."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


@lru_cache(_REMEMBERED)
def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant (UTC) at which the zone's clock reads ``wall``, a naive time.

    A time that the clock skips gives the instant at which the skipped stretch ends.
    """
    first, last = _occurrences(wall, zone)
    return first if first <= last else _end_of_gap(last, first, zone)


@lru_cache(_REMEMBERED)
def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the last instant (UTC) at which the zone's clock reads ``wall``, a naive time.

    A time that the clock skips gives the instant at which the skipped stretch ends.
    """
    first, last = _occurrences(wall, zone)
    return last if first <= last else _end_of_gap(last, first, zone)


def _occurrences(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Read the wall time by the offset before the nearest change and by the one after it.

    The two are equal on an ordinary day, ascending where the time comes twice, and descending where it is skipped
    (PEP 495).
    """
    before = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return before, after


def _end_of_gap(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Find the change of offset after ``low`` and not after ``high``; zoneinfo does not tell where it lies."""
    low = low.replace(microsecond=0)  # offsets change on whole seconds
    offset_before = low.astimezone(zone).utcoffset()

    def is_past(seconds: int) -> bool:
        return (low + timedelta(seconds=seconds)).astimezone(zone).utcoffset() != offset_before

    seconds = range((high - low) // timedelta(seconds=1))
    return low + timedelta(seconds=bisect_left(seconds, x=True, key=is_past))
