"""When work may be done: weekly hours of a zone's wall clock, less exclusions, seen as half-open UTC intervals.

Nothing here reads a clock: ``now`` is an argument, aware, and every answer is in UTC.

When clocks change, a window never shrinks below its wall-clock promise. A begin or end at a time that the clock skips
moves to the instant when the skipped stretch is over; of a time that comes twice, a begin takes the first occurrence
and an end the last one. A window that lies in the skipped stretch altogether does not take place.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum
from itertools import count, takewhile
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from managedvm.planning.wallclock import as_utc, first_instant, last_instant, wall_clock, zone_named

HORIZON: Final = timedelta(days=400)
"""How far ahead an opening is looked for: a year, and a margin for a freeze over its end."""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Where an opening begins that has no beginning (24x7)."""

END: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Where an opening ends that has no end (24x7), and where every calendar ends: the API's times stop at that year."""

_DAY: Final = 24 * 60
_WEEK: Final = 7 * _DAY
_ALL_WEEK: Final = ((0, _WEEK),)
_A_MONDAY: Final = datetime.combine(date(1970, 1, 5), time())
_NOTHING: Final = timedelta()


class Weekday(IntEnum):
    """A day of the week, numbered as ``date.weekday`` does."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


EVERY_DAY: Final = frozenset(Weekday)


@dataclass(frozen=True, slots=True)
class Interval:
    """The instants from ``begin`` up to, not including, ``end``; both are kept in UTC.

    Raises:
        ValueError: a time is naive, or the interval holds no instant.
    """

    begin: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "begin", as_utc(self.begin))
        object.__setattr__(self, "end", as_utc(self.end))
        if self.begin >= self.end:
            raise ValueError(f"an interval from {self.begin.isoformat()} to {self.end.isoformat()} is empty")

    def __contains__(self, instant: datetime) -> bool:
        return self.begin <= as_utc(instant) < self.end

    @property
    def length(self) -> timedelta:
        """The time from begin to end."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class WeeklyHours:
    """Hours that come back every week, told in local wall-clock time and whole minutes.

    An ``end`` not after ``start`` is on the next day: 21:00-08:00 is a night, 00:00-00:00 a whole day. ``days`` are
    the days on which the hours begin.

    Raises:
        ValueError: no day is named, or a time has a zone or is no whole minute.
    """

    days: frozenset[Weekday]
    start: time
    end: time

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("weekly hours need at least one day")
        for moment in (self.start, self.end):
            if moment.tzinfo is not None or moment.second or moment.microsecond:
                raise ValueError(f"{moment.isoformat()} is not a local time in whole minutes")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A freeze: nothing is open from ``begin`` up to ``end``, for a reason that is shown to people.

    Raises:
        ValueError: a time is naive, or the exclusion holds no instant.
    """

    begin: datetime
    end: datetime
    reason: str

    def __post_init__(self) -> None:
        interval = Interval(self.begin, self.end)
        object.__setattr__(self, "begin", interval.begin)
        object.__setattr__(self, "end", interval.end)


@dataclass(frozen=True, slots=True)
class Announcement:
    """An opening is announced at least this many local calendar days before it begins."""

    days_before: int

    def __post_init__(self) -> None:
        if self.days_before < 0:
            raise ValueError(f"an announcement {self.days_before} days before an opening comes after it")


@dataclass(frozen=True, slots=True)
class Calendar:
    """The hours of one zone, less the exclusions: maintenance windows, or service hours.

    Hours that touch or overlap are one opening; an exclusion inside of an opening makes two of it. A calendar
    without hours never opens. One that is open all week long opens at ``BEGINNING`` and closes at ``END``.

    Raises:
        UnknownZoneError: the zone is not in the IANA database.
    """

    zone: str
    hours: tuple[WeeklyHours, ...]
    exclusions: tuple[Exclusion, ...] = ()
    announcement: Announcement | None = None

    # What every question needs is derived once, here, from the fields above.
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _runs: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    _freezes: tuple[Interval, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        freezes = _merged(sorted((freeze.begin, freeze.end) for freeze in self.exclusions))
        object.__setattr__(self, "_zone", zone_named(self.zone))
        object.__setattr__(self, "_runs", _runs_of_a_week(self.hours))
        object.__setattr__(self, "_freezes", tuple(Interval(begin, end) for begin, end in freezes))

    def is_open(self, now: datetime) -> bool:
        """Return whether ``now`` is within an opening."""
        return self.current(now) is not None

    def current(self, now: datetime) -> Interval | None:
        """Return the opening that ``now`` is in, whole, or None while closed."""
        now = as_utc(now)
        return next(self._openings(now, now + datetime.resolution), None)

    def remaining(self, now: datetime) -> timedelta:
        """Return how long the opening at ``now`` still lasts, zero while closed."""
        opening = self.current(now)
        return opening.end - as_utc(now) if opening else _NOTHING

    def fits(self, now: datetime, duration: timedelta) -> bool:
        """Return whether work that takes ``duration`` can begin ``now`` and end in the same opening."""
        _refuse_negative(duration)
        opening = self.current(now)
        return opening is not None and duration <= opening.end - as_utc(now)

    def exclusion_at(self, now: datetime) -> Exclusion | None:
        """Return the first of the exclusions that ``now`` is in, or None."""
        now = as_utc(now)
        return next((freeze for freeze in self.exclusions if freeze.begin <= now < freeze.end), None)

    def next_opening(
        self, after: datetime, duration: timedelta = _NOTHING, not_before: datetime | None = None
    ) -> Interval | None:
        """Return where work that takes ``duration`` can be done soonest.

        It is the first opening, or the rest of the running one, that has ``duration`` left; it begins neither before
        ``after`` nor before ``not_before``. None if there is none within ``HORIZON`` of ``after``.

        Raises:
            ValueError: the duration is negative, or a time is naive.
        """
        _refuse_negative(duration)
        after = as_utc(after)
        earliest = after if not_before is None else max(after, as_utc(not_before))
        for opening in self._openings(earliest, after + HORIZON):
            begin = max(opening.begin, earliest)
            if duration <= opening.end - begin:
                return Interval(begin, opening.end)
        return None

    def openings(self, begin: datetime, end: datetime) -> Iterator[Interval]:
        """Yield the openings between ``begin`` and ``end`` in order, cut to that span; none if it is empty."""
        begin, end = as_utc(begin), as_utc(end)
        for opening in self._openings(begin, end):
            yield Interval(max(opening.begin, begin), min(opening.end, end))

    def open_time_between(self, begin: datetime, end: datetime) -> timedelta:
        """Return how much of the time between two instants is open.

        Raises:
            ValueError: ``end`` is before ``begin``, or a time is naive.
        """
        if as_utc(end) < as_utc(begin):
            raise ValueError(f"{end.isoformat()} is before {begin.isoformat()}")
        return sum((opening.length for opening in self.openings(begin, end)), _NOTHING)

    def add_open_time(self, begin: datetime, duration: timedelta) -> datetime | None:
        """Return the first instant by which ``duration`` of open time has passed since ``begin``: a deadline in UTC.

        None if so much open time does not pass within ``HORIZON``.

        Raises:
            ValueError: the duration is negative, or the time is naive.
        """
        _refuse_negative(duration)
        begin = as_utc(begin)
        if not duration:
            return begin
        missing = duration
        for opening in self.openings(begin, begin + HORIZON):
            if missing <= opening.length:
                return opening.begin + missing
            missing -= opening.length
        return None

    def announce_by(self, opening: Interval) -> datetime | None:
        """Return the last instant (UTC) at which the opening can still be announced in time.

        It is the same wall-clock time, so many calendar days earlier. None if this calendar announces nothing.
        """
        if self.announcement is None:
            return None
        ahead = timedelta(days=self.announcement.days_before)
        return first_instant(wall_clock(opening.begin, self._zone) - ahead, self._zone)

    def first_announceable(self, after: datetime, duration: timedelta = _NOTHING) -> Interval | None:
        """Return the first opening that ``duration`` fits in and that can still be announced in time at ``after``.

        Without an announcement this is the next opening. A calendar that never closes has no beginning to announce:
        there the work itself is announced, for the same wall-clock time so many days later. None if there is no
        such opening within ``HORIZON``.

        Raises:
            ValueError: the duration is negative, or the time is naive.
        """
        _refuse_negative(duration)
        after = as_utc(after)
        if self.announcement is None:
            return self.next_opening(after, duration)
        if self._runs == _ALL_WEEK:
            ahead = timedelta(days=self.announcement.days_before)
            announced = last_instant(wall_clock(after, self._zone) + ahead, self._zone)
            return self.next_opening(after, duration, not_before=announced)
        for opening in self._openings(after, after + HORIZON):
            deadline = self.announce_by(opening)
            if deadline is not None and after <= deadline and duration <= opening.length:
                return opening
        return None

    def _openings(self, after: datetime, until: datetime) -> Iterator[Interval]:
        """Yield whole openings that end after ``after`` and begin before ``until``, in order."""
        until = min(until, END)
        if after >= until:
            return
        for scheduled in takewhile(lambda opening: opening.begin < until, self._scheduled(after)):
            for opening in self._without_freezes(scheduled):
                if opening.end > after and opening.begin < until:
                    yield opening

    def _without_freezes(self, scheduled: Interval) -> Iterator[Interval]:
        begin = scheduled.begin
        for freeze in self._freezes:
            if freeze.begin >= scheduled.end:
                break
            if freeze.begin > begin:
                yield Interval(begin, freeze.begin)
            begin = max(begin, freeze.end)
        if begin < scheduled.end:
            yield Interval(begin, scheduled.end)

    def _scheduled(self, instant: datetime) -> Iterator[Interval]:
        """Yield what the hours alone say, without end, from the opening that began last at ``instant``."""
        if not self._runs:
            return
        if self._runs == _ALL_WEEK:
            yield Interval(BEGINNING, END)
            return
        for begin, end in _merged(map(self._run, count(self._run_begun_last(instant)))):
            if begin < end:
                yield Interval(begin, end)

    def _run_begun_last(self, instant: datetime) -> int:
        minute = int((wall_clock(instant, self._zone) - _A_MONDAY) / timedelta(minutes=1))
        week, minute_of_week = divmod(minute, _WEEK)
        place = bisect_right(self._runs, minute_of_week, key=lambda run: run[0]) - 1
        number = week * len(self._runs) + place
        # Runs apart on the wall clock can meet when it changes: then the opening began with an earlier one.
        while self._run(number - 1)[1] >= self._run(number)[0]:
            number -= 1
        return number

    def _run(self, number: int) -> tuple[datetime, datetime]:
        """Return begin and end of one run; runs are numbered through all weeks, ascending in time."""
        week, place = divmod(number, len(self._runs))
        begin, end = self._runs[place]
        monday = _A_MONDAY + timedelta(weeks=week)
        return (
            first_instant(monday + timedelta(minutes=begin), self._zone),
            last_instant(monday + timedelta(minutes=end), self._zone),
        )


def _runs_of_a_week(hours: Iterable[WeeklyHours]) -> tuple[tuple[int, int], ...]:
    """Return the unbroken runs of hours that begin in a week, in wall-clock minutes since its Monday 00:00.

    Merging the wall-clock times once spares merging instants later: what touches on the wall clock touches in time.
    """
    one_week = [_minutes(one, day) for one in hours for day in one.days]
    # The week is laid out three times, so that a run over its border is seen whole in the middle.
    spans = sorted((begin + week, end + week) for begin, end in one_week for week in (0, _WEEK, 2 * _WEEK))
    runs = tuple(_merged(spans))
    if any(end - begin >= _WEEK for begin, end in runs):
        return _ALL_WEEK
    return tuple((begin - _WEEK, end - _WEEK) for begin, end in runs if _WEEK <= begin < 2 * _WEEK)


def _minutes(hours: WeeklyHours, day: Weekday) -> tuple[int, int]:
    """Return begin and end of the hours of one day, in minutes since the Monday of its week."""
    start = hours.start.hour * 60 + hours.start.minute
    end = hours.end.hour * 60 + hours.end.minute
    begin = day * _DAY + start
    return begin, begin + ((end - start) % _DAY or _DAY)


_Point = TypeVar("_Point", int, datetime)


def _merged(spans: Iterable[tuple[_Point, _Point]]) -> Iterator[tuple[_Point, _Point]]:
    """Yield the spans, ascending by begin, with those that touch or overlap made one; the input may be endless."""
    run: tuple[_Point, _Point] | None = None
    for span in spans:
        if run is None:
            run = span
        elif span[0] <= run[1]:
            run = (run[0], max(run[1], span[1]))
        else:
            yield run
            run = span
    if run is not None:
        yield run


def _refuse_negative(duration: timedelta) -> None:
    if duration < _NOTHING:
        raise ValueError(f"a duration of {duration.total_seconds():g} seconds is negative")
