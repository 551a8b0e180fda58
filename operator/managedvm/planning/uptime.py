"""How long a VM was up, down, excused and not measured (clause 1): exact sums over half-open intervals of UTC.

Every instant of the agreed time is just one of the four, so their sum is the agreed time, whatever overlaps. Nothing is
rounded before it is shown, and then never towards the promise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction
from functools import reduce

from managedvm.api.outage import Outage, OutageCause, OutageExclusion
from managedvm.planning.calendar import BEGINNING, Interval

_NOTHING = timedelta()
_DIGITS = Decimal("0.0001")
"""To what availability is shown, in percent: targets have two digits, and 9 seconds of a month must be seen."""

_OF_HISTORY = frozenset({OutageCause.POWERED_OFF, OutageCause.SUSPENDED})
"""Causes that vCenter's own history tells, also of times in which nobody looked."""


@dataclass(frozen=True, slots=True)
class Spans:
    """A set of instants as disjoint intervals, ascending, none touching the next."""

    intervals: tuple[Interval, ...] = ()

    @classmethod
    def of(cls, intervals: Iterable[Interval]) -> "Spans":
        """Return the union of intervals that may overlap, in any order."""
        merged: list[Interval] = []
        for one in sorted(intervals, key=lambda interval: (interval.begin, interval.end)):
            if merged and one.begin <= merged[-1].end:
                merged[-1] = Interval(merged[-1].begin, max(merged[-1].end, one.end))
            else:
                merged.append(one)
        return cls(tuple(merged))

    @classmethod
    def between(cls, begin: datetime, end: datetime) -> "Spans":
        """Return the instants from `begin` up to `end`; none where that is empty."""
        return cls((Interval(begin, end),) if begin < end else ())

    @property
    def length(self) -> timedelta:
        """How long they are together."""
        return sum((interval.length for interval in self.intervals), _NOTHING)

    def __or__(self, other: "Spans") -> "Spans":
        return Spans.of((*self.intervals, *other.intervals))

    def __and__(self, other: "Spans") -> "Spans":
        found, mine, theirs = [], list(self.intervals), list(other.intervals)
        while mine and theirs:
            begin, end = max(mine[0].begin, theirs[0].begin), min(mine[0].end, theirs[0].end)
            if begin < end:
                found.append(Interval(begin, end))
            (mine if mine[0].end <= theirs[0].end else theirs).pop(0)
        return Spans(tuple(found))

    def __sub__(self, other: "Spans") -> "Spans":
        return reduce(_without, other.intervals, self)


def _without(spans: Spans, hole: Interval) -> Spans:
    rest = []
    for one in spans.intervals:
        if hole.end <= one.begin or one.end <= hole.begin:
            rest.append(one)
            continue
        rest += Spans.between(one.begin, hole.begin).intervals
        rest += Spans.between(hole.end, one.end).intervals
    return Spans(tuple(rest))


@dataclass(frozen=True, slots=True)
class Downtime:
    """One time in which a VM was down. `excuse` says why it does not count; `is_told` that vCenter's history tells it."""

    interval: Interval
    excuse: OutageExclusion | None = None
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Uptime:
    """What became of the agreed time: `counted`, `excused` and `unmeasured` of it; the rest the VM was up."""

    agreed: timedelta
    counted: timedelta
    excused: Mapping[OutageExclusion, timedelta]
    unmeasured: timedelta

    @property
    def excluded(self) -> timedelta:
        """Downtime that does not count, for whatever reason."""
        return sum(self.excused.values(), _NOTHING)

    @property
    def measured(self) -> timedelta:
        """The time about which something can be said."""
        return self.agreed - self.unmeasured

    @property
    def up(self) -> timedelta:
        """The time in which the VM was up."""
        return self.measured - self.counted - self.excluded

    @property
    def availability(self) -> Fraction | None:
        """1 less the share of the measured time that counts as down; None where nothing was measured."""
        if not self.measured:
            return None
        return 1 - Fraction(_microseconds(self.counted), _microseconds(self.measured))

    def is_missed(self, promised: Fraction) -> bool:
        """Return whether what was measured is less available than promised."""
        return self.availability is not None and self.availability < promised


Excuses = Mapping[OutageExclusion, Spans]
"""Stretches of time in which no downtime counts, by reason."""


def account(
    agreed: Spans, downtimes: Iterable[Downtime], excuses: Excuses | None = None, unseen: Spans = Spans()
) -> Uptime:
    """Return what became of the agreed time.

    Of what was not seen only vCenter's own history is believed. Where two causes overlap and one counts, the time counts.
    """
    listed = tuple(downtimes)

    def down(which: Sequence[Downtime]) -> Spans:
        told, seen = ([one.interval for one in which if one.is_told is told] for told in (True, False))
        return (Spans.of(told) | (Spans.of(seen) - unseen)) & agreed

    rest, excused = down(listed), {}
    for reason, spans in sorted((excuses or {}).items()):
        excused[reason] = (rest & spans).length
        rest -= spans
    counted = down([one for one in listed if one.excuse is None]) & rest
    rest -= counted
    for reason in sorted({one.excuse for one in listed if one.excuse is not None}):
        of_reason = down([one for one in listed if one.excuse is reason]) & rest
        excused[reason] = excused.get(reason, _NOTHING) + of_reason.length
        rest -= of_reason
    return Uptime(
        agreed=agreed.length,
        counted=counted.length,
        excused={reason: length for reason, length in excused.items() if length},
        unmeasured=((unseen & agreed) - down(listed)).length,
    )


def of_records(
    agreed: Spans, measured_from: datetime | None, outages: Iterable[Outage], now: datetime
) -> Uptime:
    """Return what became of the agreed time by the records of one VM; what lasts is counted up to `now`.

    Before `measured_from` nothing was measured but what a record tells. What was agreed for after `now` is left out.
    """
    listed = tuple(outages)
    down = tuple(
        Downtime(span, one.spec.exclusion, one.spec.cause in _OF_HISTORY)
        for one in listed
        if not _is_gap(one)
        for span in _span(one, now)
    )
    excuses = {
        reason: Spans.of(
            Interval(part.begin, part.end)
            for one in listed
            for part in one.status.excluded
            if part.reason is reason and part.begin < part.end
        )
        for reason in OutageExclusion
    }
    unseen = Spans.of(span for one in listed if _is_gap(one) for span in _span(one, now))
    before = Spans.between(BEGINNING, min(measured_from or now, now)) - Spans.of(one.interval for one in down)
    return account(agreed & Spans.between(BEGINNING, now), down, excuses, unseen | before)


def _is_gap(outage: Outage) -> bool:
    return outage.spec.cause is OutageCause.NOT_MEASURED or outage.status.ran_on


def _span(outage: Outage, now: datetime) -> tuple[Interval, ...]:
    return Spans.between(outage.spec.begin, outage.status.end or now).intervals


def promised(percent: str) -> Fraction:
    """Return a promised availability, such as `99.98` percent, as a fraction of one."""
    return Fraction(Decimal(percent)) / 100


def allowed(agreed: timedelta, percent: str) -> timedelta:
    """Return how much of the agreed time may be down at the promised availability, rounded down to whole seconds."""
    return timedelta(seconds=_microseconds(agreed) * (1 - promised(percent)) // 1_000_000)


def shown_percent(availability: Fraction) -> str:
    """Return an availability for people, rounded down: `99.9799`; 100 only where nothing was down."""
    exact = Decimal(100) * Decimal(availability.numerator) / Decimal(availability.denominator)
    return f"{exact.quantize(_DIGITS, ROUND_FLOOR)}"


def _microseconds(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
