"""The availability of one VM against its orders (clause 1): each order is an account of its own, with its level and its time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from managedvm.api.order import Order
from managedvm.api.outage import Outage
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.planning.calendar import END, Interval
from managedvm.planning.uptime import Spans, Uptime, allowed, of_records, promised
from managedvm.planning.wallclock import first_instant, zone_named

LevelNamed = Callable[[str], ServiceLevelSpec | None]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one order's part of a period up to now, and how much of the whole part may be down."""

    order: Order
    level: ServiceLevelSpec
    uptime: Uptime
    allowed: timedelta

    @property
    def is_spent(self) -> bool:
        """Whether more downtime has counted than the whole part allows, whatever is still to come."""
        return self.uptime.counted > self.allowed

    @property
    def is_missed(self) -> bool:
        """Whether what was measured until now is less available than promised."""
        return self.uptime.is_missed(promised(self.level.availability_percent))


def accounts(
    orders: Iterable[Order],
    level_named: LevelNamed,
    measured_from: datetime | None,
    outages: Iterable[Outage],
    *,
    period: Interval,
    now: datetime,
) -> tuple[Account, ...]:
    """Return the account of each order in the period, by begin; one whose ServiceLevel is gone promises nothing now."""
    listed, found = tuple(outages), []
    for order in sorted(orders, key=lambda one: one.from_):
        level = level_named(order.service_level)
        part = Spans((period,)) & Spans.between(order.from_, order.until or END)
        if level is None or not part.intervals or now <= part.intervals[0].begin:
            continue
        uptime = of_records(part, measured_from, listed, now)
        found.append(Account(order, level, uptime, allowed(part.length, level.availability_percent)))
    return tuple(found)


def outages_in(outages: Iterable[Outage], period: Interval) -> tuple[Outage, ...]:
    """Return the outages that reach into a period, by begin."""
    found = (one for one in outages if one.spec.begin < period.end and period.begin < (one.status.end or END))
    return tuple(sorted(found, key=lambda one: (one.spec.begin, one.metadata.name)))


def zone_of(level: ServiceLevelSpec | None) -> str:
    """Return the zone in which the months and years of a level begin."""
    return level.fault_intake.time_zone if level is not None else "UTC"


def month_at(now: datetime, zone: str) -> Interval:
    """Return the calendar month that `now` is in, in an IANA zone."""
    wall = now.astimezone(zone_named(zone))
    after = (wall.year + 1, 1) if wall.month == 12 else (wall.year, wall.month + 1)  # noqa: PLR2004 - December
    return _between((wall.year, wall.month), after, zone)


def year_at(now: datetime, zone: str) -> Interval:
    """Return the calendar year that `now` is in, in an IANA zone."""
    year = now.astimezone(zone_named(zone)).year
    return _between((year, 1), (year + 1, 1), zone)


def _between(first: tuple[int, int], after: tuple[int, int], zone: str) -> Interval:
    begin, end = (
        first_instant(datetime(*start, 1, tzinfo=UTC).replace(tzinfo=None), zone_named(zone))
        for start in (first, after)
    )
    return Interval(begin, end)
