"""What people's work costs more at certain hours: evenings, weekends and dates of a zone's wall clock (clause 4).

When clocks change, hours are read as windows are: a begin at a time that comes twice is the first one and an end the last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Final

from managedvm.api.base import Weekday
from managedvm.api.pricelist import Surcharge as Listed
from managedvm.planning.wallclock import as_utc, first_instant, last_instant, wall_clock, zone_named

_DAY: Final = timedelta(days=1)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
_WEEKDAYS: Final = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class Surcharge:
    """Hours at which work costs more, while the surcharge is valid: from ``valid_from`` up to ``valid_until``.

    ``hundredths`` are hundredths of a percent. The hours begin at ``start`` on each day that is named: by its weekday, as
    a date of each year (month, day), or as a date. An ``end`` not after ``start`` is on the next day.

    Raises:
        UnknownZoneError: the zone is not in the IANA database.
        ValueError: a time of validity is naive.
    """

    name: str
    hundredths: int
    valid_from: datetime
    valid_until: datetime
    zone: str
    start: time
    end: time
    weekdays: frozenset[int] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    dates: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid_from", as_utc(self.valid_from))
        object.__setattr__(self, "valid_until", as_utc(self.valid_until))
        zone_named(self.zone)

    @classmethod
    def of(cls, listed: Listed, zone: str) -> "Surcharge":
        """Return a surcharge as a price list of this zone names it."""
        named = listed.dates or ()
        return cls(
            name=listed.name,
            hundredths=_hundredths(listed.percent),
            valid_from=listed.from_,
            valid_until=listed.until or _END,
            zone=zone,
            start=time.fromisoformat(listed.start),
            end=time.fromisoformat(listed.end),
            weekdays=frozenset(_WEEKDAYS.index(day) for day in listed.days or ()),
            yearly=frozenset((int(text[:2]), int(text[3:])) for text in named if len(text) == len("12-25")),
            dates=frozenset(_dates(named)),
        )

    @property
    def percent(self) -> str:
        """The percentage as people write it: `25`, or `12.5`."""
        whole, part = divmod(self.hundredths, 100)
        return f"{whole}.{part:02}".rstrip("0") if part else str(whole)

    def hours(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield begin and end of its hours that touch the time from ``begin`` to ``end``, each cut to its validity."""
        zone = zone_named(self.zone)
        # Hours over midnight begin the day before, and clocks may be set by a day (Samoa, 2011).
        day = wall_clock(begin, zone).date() - 2 * _DAY
        last = wall_clock(end, zone).date() + _DAY
        while day <= last:
            if self._is_on(day):
                next_day = day + _DAY if self.end <= self.start else day
                first = max(first_instant(datetime.combine(day, self.start), zone), self.valid_from)
                until = min(last_instant(datetime.combine(next_day, self.end), zone), self.valid_until)
                if first < until and first < end and until > begin:
                    yield first, until
            day += _DAY

    def _is_on(self, day: date) -> bool:
        return day.weekday() in self.weekdays or (day.month, day.day) in self.yearly or day in self.dates


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which one surcharge applies, or none."""

    begin: datetime
    end: datetime
    surcharge: Surcharge | None


def stretches(surcharges: Iterable[Surcharge], begin: datetime, end: datetime) -> tuple[Stretch, ...]:
    """Return the time from ``begin`` to ``end`` end to end, divided where the surcharge changes.

    Where several surcharges meet the highest applies alone; of equal ones, the one listed first. There is one stretch at
    least, also of no length.
    """
    spans = [(*span, one) for one in surcharges for span in one.hours(begin, end)]
    edges = sorted({begin, end, *(edge for *span, _ in spans for edge in span if begin < edge < end)})
    parts = [Stretch(*span, _highest(spans, span[0])) for span in pairwise(edges)]
    found: list[Stretch] = []
    for part in parts or [Stretch(begin, end, _highest(spans, begin))]:
        if found and found[-1].surcharge == part.surcharge:
            part = Stretch(found.pop().begin, part.end, part.surcharge)  # noqa: PLW2901 - it goes on
        found.append(part)
    return tuple(found)


def _highest(spans: Iterable[tuple[datetime, datetime, Surcharge]], instant: datetime) -> Surcharge | None:
    """Return the highest of the surcharges that apply at an instant, None if none does."""
    applying = [one for begin, end, one in spans if begin <= instant < end]
    return max(applying, key=lambda one: one.hundredths, default=None)


def _dates(named: Iterable[str]) -> Iterator[date]:
    """Yield the dates that a calendar has; `2027-02-30` never comes."""
    for text in named:
        if len(text) > len("12-25"):
            try:
                yield date.fromisoformat(text)
            except ValueError:
                continue


def _hundredths(percent: str) -> int:
    """Return a percentage such as `12.5` in hundredths of a percent: 1250."""
    whole, _, part = percent.partition(".")
    return int(whole) * 100 + int(part.ljust(2, "0"))
