"""The calendar held against a slow witness: a person who looks at the wall clock every five minutes.

All times drawn are multiples of five minutes, so looking that often misses nothing. Half of the instants lie within
three days of a change of clocks.
"""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from managedvm.planning.calendar import (
    HORIZON,
    Announcement,
    Calendar,
    Exclusion,
    Interval,
    Weekday,
    WeeklyHours,
)
from tests.examples import examples

deterministic = examples(60)

STEP = timedelta(minutes=5)
INSTANT = timedelta(microseconds=1)
CHANGES = {
    "Europe/Berlin": ["2027-03-28T01:00", "2027-10-31T01:00"],
    "America/New_York": ["2027-03-14T07:00", "2027-11-07T06:00"],
    "America/Santiago": ["2027-04-04T03:00", "2027-09-05T04:00"],
    "Australia/Lord_Howe": ["2027-04-03T15:00", "2027-10-02T15:30"],
    "Pacific/Apia": ["2011-12-30T10:00"],
    "Asia/Kolkata": [],
}


NOT_ANNOUNCED = st.none()
ANNOUNCED = st.builds(Announcement, st.integers(0, 10))


@st.composite
def weekly_hours(draw):
    minutes = st.integers(0, 287).map(lambda steps: time(steps // 12, steps % 12 * 5))
    days = draw(st.frozensets(st.sampled_from(Weekday), min_size=1))
    return WeeklyHours(days, draw(minutes), draw(minutes))


@st.composite
def instants(draw, zone):
    anywhere = st.integers(0, 2 * 365 * 288).map(
        lambda steps: datetime(2026, 1, 1, tzinfo=UTC) + steps * STEP
    )
    changes = [datetime.fromisoformat(change).replace(tzinfo=UTC) for change in CHANGES[zone]]
    if not changes:
        return draw(anywhere)
    near = st.builds(
        lambda change, steps: change + steps * STEP, st.sampled_from(changes), st.integers(-864, 864)
    )
    return draw(st.one_of(near, anywhere))


@st.composite
def situations(draw, min_freezes=0, announcement=NOT_ANNOUNCED):
    """Draw a calendar and an instant, with the freezes near that instant."""
    zone = draw(st.sampled_from(sorted(CHANGES)))
    now = draw(instants(zone))
    freeze = st.builds(
        lambda begin, length: Exclusion(now + begin * STEP, now + (begin + length) * STEP, "freeze"),
        st.integers(-300, 300),
        st.integers(1, 300),
    )
    hours = draw(st.lists(weekly_hours(), min_size=1, max_size=3))
    freezes = draw(st.lists(freeze, min_size=min_freezes, max_size=2))
    return Calendar(zone, tuple(hours), tuple(freezes), draw(announcement)), now


def durations(most_steps=600):
    return st.integers(0, most_steps).map(lambda steps: steps * STEP)


def shows_open(calendar: Calendar, instant: datetime) -> bool:
    """Look at the wall clock and at the sheet with the hours; know nothing of changes of clocks."""
    local = instant.astimezone(ZoneInfo(calendar.zone))
    shown = local.time()
    yesterday = (local.weekday() - 1) % 7
    for hours in calendar.hours:
        overnight = hours.end <= hours.start
        if local.weekday() in hours.days and hours.start <= shown and (overnight or shown < hours.end):
            return True
        if yesterday in hours.days and overnight and shown < hours.end:
            return True
    return False


def is_frozen(calendar: Calendar, instant: datetime) -> bool:
    return any(freeze.begin <= instant < freeze.end for freeze in calendar.exclusions)


def shows_an_hour_twice_near(zone: str, instant: datetime) -> bool:
    clock, hour = ZoneInfo(zone), timedelta(hours=1)
    before, after = (instant - hour).astimezone(clock), (instant + hour).astimezone(clock)
    return before.utcoffset() > after.utcoffset()


def steps_from(begin: datetime, count: int) -> list[datetime]:
    return [begin + number * STEP for number in range(count)]


@deterministic
@given(situations())
def test_the_calendar_agrees_with_the_wall_clock(situation):
    calendar, now = situation
    openings = list(calendar.openings(now, now + 288 * STEP))
    for instant in steps_from(now, 288):
        is_open = any(instant in opening for opening in openings)
        expected = shows_open(calendar, instant) and not is_frozen(calendar, instant)
        if shows_an_hour_twice_near(calendar.zone, instant):
            assert is_open >= expected, f"less than promised at {instant}"
        else:
            assert is_open == expected, f"at {instant}"


@deterministic
@given(situations())
def test_openings_are_apart_and_in_order_within_the_span(situation):
    calendar, now = situation
    end = now + timedelta(days=21)
    openings = list(calendar.openings(now, end))
    assert all(one.end < other.begin for one, other in pairwise(openings))
    assert all(now <= opening.begin and opening.end <= end for opening in openings)


@deterministic
@given(situations())
def test_the_current_opening_is_the_same_from_its_first_to_its_last_instant(situation):
    calendar, now = situation
    opening = calendar.current(now)
    assert calendar.is_open(now) == (opening is not None)
    assume(opening is not None)
    assert now in opening
    assert calendar.current(opening.begin) == opening
    assert calendar.current(opening.end - INSTANT) == opening
    assert not calendar.is_open(opening.begin - INSTANT)
    assert not calendar.is_open(opening.end)


@deterministic
@given(situations(), durations(120))
def test_the_next_opening_is_the_first_moment_at_which_the_work_fits(situation, duration):
    calendar, now = situation
    found = calendar.next_opening(now, duration)
    looked_for = 288
    first = next((moment for moment in steps_from(now, looked_for) if calendar.fits(moment, duration)), None)
    if first is None:
        assert found is None or found.begin >= now + looked_for * STEP
    else:
        assert found == Interval(first, first + calendar.remaining(first))


@deterministic
@given(situations(), durations(120), st.integers(0, 2000))
def test_not_before_is_the_same_as_asking_later(situation, duration, steps):
    calendar, now = situation
    later = now + steps * STEP
    found = calendar.next_opening(now, duration, not_before=later)
    assert found is None or found == calendar.next_opening(later, duration)


@deterministic
@given(situations(), durations(120), st.integers(0, 5000))
def test_moving_on_never_finds_an_earlier_opening(situation, duration, steps):
    calendar, now = situation
    sooner, later = calendar.next_opening(now, duration), calendar.next_opening(now + steps * STEP, duration)
    if sooner is not None and later is not None:
        assert sooner.begin <= later.begin


@deterministic
@given(situations(), st.integers(0, 300))
def test_what_remains_shrinks_as_time_passes(situation, steps):
    calendar, now = situation
    remaining, later = calendar.remaining(now), now + steps * STEP
    if later < now + remaining:
        assert calendar.remaining(later) == remaining - steps * STEP
    assert (remaining > timedelta()) == calendar.is_open(now)
    assert calendar.fits(now, remaining) == calendar.is_open(now)
    assert not calendar.fits(now, remaining + INSTANT)


@deterministic
@given(situations(), durations(5000), durations(5000))
def test_open_time_adds_up(situation, first, second):
    calendar, begin = situation
    middle, end = begin + first, begin + first + second
    parts = calendar.open_time_between(begin, middle) + calendar.open_time_between(middle, end)
    assert calendar.open_time_between(begin, end) == parts
    assert parts <= end - begin


@deterministic
@given(situations(), st.timedeltas(min_value=INSTANT, max_value=timedelta(days=5)))
def test_a_deadline_is_the_first_instant_by_which_the_open_time_has_passed(situation, duration):
    calendar, begin = situation
    deadline = calendar.add_open_time(begin, duration)
    if deadline is None:
        assert calendar.open_time_between(begin, begin + HORIZON) < duration
    else:
        assert calendar.open_time_between(begin, deadline) == duration
        assert calendar.open_time_between(begin, deadline - INSTANT) < duration


@deterministic
@given(situations(min_freezes=1))
def test_a_freeze_removes_itself_and_nothing_else(situation):
    calendar, now = situation
    unfrozen = Calendar(calendar.zone, calendar.hours)
    for moment in steps_from(now - 144 * STEP, 288):
        assert calendar.is_open(moment) == (unfrozen.is_open(moment) and not is_frozen(calendar, moment))


@deterministic
@given(situations(announcement=ANNOUNCED), durations(48))
def test_an_announceable_opening_is_the_first_with_time_enough_to_tell_it(situation, duration):
    calendar, now = situation
    found = calendar.first_announceable(now, duration)
    assume(found is not None)
    closes = Calendar(calendar.zone, calendar.hours).remaining(now) < HORIZON
    assume(closes)  # what never closes has no beginning to announce
    assert found == calendar.current(found.begin)
    assert calendar.announce_by(found) >= now
    assert found.length >= duration
    for passed_over in calendar.openings(now, found.begin):
        whole = calendar.current(passed_over.begin)
        assert whole.length < duration or calendar.announce_by(whole) < now


@deterministic
@given(situations(announcement=ANNOUNCED), durations(48), st.integers(0, 5000))
def test_moving_on_never_finds_an_earlier_announceable_opening(situation, duration, steps):
    calendar, now = situation
    sooner = calendar.first_announceable(now, duration)
    later = calendar.first_announceable(now + steps * STEP, duration)
    if sooner is not None and later is not None:
        assert sooner.begin <= later.begin


@deterministic
@given(situations(announcement=ANNOUNCED))
def test_an_announcement_keeps_the_time_of_day_so_many_days_earlier(situation):
    calendar, now = situation
    opening = calendar.next_opening(now)
    assume(opening is not None)
    zone = ZoneInfo(calendar.zone)
    begin = opening.begin.astimezone(zone).replace(tzinfo=None)
    told = calendar.announce_by(opening).astimezone(zone).replace(tzinfo=None)
    promised = begin - timedelta(days=calendar.announcement.days_before)
    is_skipped = (
        promised.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != promised
    )
    assert told > promised if is_skipped else told == promised
