"""The calendar by example: the windows of the service levels, freezes, announcements, and the nights clocks change."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from managedvm.planning.calendar import (
    BEGINNING,
    END,
    EVERY_DAY,
    HORIZON,
    Announcement,
    Calendar,
    Exclusion,
    Interval,
    Weekday,
    WeeklyHours,
)
from managedvm.planning.wallclock import UnknownZoneError

WEEKEND = frozenset({Weekday.SATURDAY, Weekday.SUNDAY})
NIGHT = WeeklyHours(EVERY_DAY, time(21), time(8))
MORNING = WeeklyHours(EVERY_DAY, time(5), time(7))
WEEKEND_MORNING = WeeklyHours(WEEKEND, time(5), time(7))
AROUND_THE_CLOCK = WeeklyHours(EVERY_DAY, time(0), time(0))


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(begin: str, end: str) -> Interval:
    return Interval(utc(begin), utc(end))


def calendar(*weekly: WeeklyHours, zone: str = "Europe/Berlin", freezes=(), days_before=None) -> Calendar:
    announcement = None if days_before is None else Announcement(days_before)
    return Calendar(zone, weekly, tuple(freezes), announcement)


def daily(start: time, end: time, zone: str = "Europe/Berlin") -> Calendar:
    return calendar(WeeklyHours(EVERY_DAY, start, end), zone=zone)


def test_a_window_over_midnight_belongs_to_the_day_it_begins():
    friday_night = calendar(WeeklyHours(frozenset({Weekday.FRIDAY}), time(21), time(8)))
    assert friday_night.current(utc("2027-01-09T06:59")) == span("2027-01-08T20:00", "2027-01-09T07:00")
    assert not friday_night.is_open(utc("2027-01-08T06:59"))


def test_an_opening_holds_its_first_instant_and_not_its_last():
    morning = calendar(MORNING)
    assert morning.is_open(utc("2027-01-08T04:00"))
    assert not morning.is_open(utc("2027-01-08T06:00"))
    assert not morning.is_open(utc("2027-01-08T03:59:59.999999"))


def test_hours_that_touch_or_overlap_are_one_opening():
    touching = calendar(
        WeeklyHours(frozenset({Weekday.SUNDAY}), time(22), time(0)),
        WeeklyHours(frozenset({Weekday.MONDAY}), time(0), time(3)),
        WeeklyHours(frozenset({Weekday.MONDAY}), time(2), time(4)),
    )
    assert touching.current(utc("2027-01-03T22:30")) == span("2027-01-03T21:00", "2027-01-04T03:00")


def test_a_calendar_without_hours_never_opens():
    never = calendar(freezes=[Exclusion(utc("2027-01-01T00:00"), utc("2028-01-01T00:00"), "year end")])
    now = utc("2027-01-08T12:00")
    assert never.next_opening(now) is None
    assert never.add_open_time(now, hours(1)) is None
    assert never.first_announceable(now) is None
    assert never.open_time_between(now, now + HORIZON) == timedelta()
    assert list(never.openings(now, now + HORIZON)) == []


def test_a_calendar_that_never_closes_is_one_opening_without_end():
    always = calendar(AROUND_THE_CLOCK)
    now = utc("2027-03-28T01:00")
    assert always.current(now) == Interval(BEGINNING, END)
    assert always.next_opening(now, hours(5_000)) == Interval(now, END)
    assert always.add_open_time(now, hours(4)) == now + hours(4)


def test_two_halves_of_every_day_make_a_calendar_that_never_closes():
    halves = calendar(
        WeeklyHours(EVERY_DAY, time(7, 30), time(19, 30)), WeeklyHours(EVERY_DAY, time(19, 30), time(7, 30))
    )
    assert halves.current(utc("2027-10-31T01:00")) == Interval(BEGINNING, END)


def test_the_running_window_counts_while_the_work_still_fits():
    morning = calendar(MORNING)
    half_way = utc("2027-01-08T05:00")
    assert morning.next_opening(half_way, hours(1)) == span("2027-01-08T05:00", "2027-01-08T06:00")
    assert morning.next_opening(half_way, hours(1.5)) == span("2027-01-09T04:00", "2027-01-09T06:00")


def test_work_longer_than_every_window_has_no_opening():
    assert calendar(MORNING).next_opening(utc("2027-01-08T12:00"), hours(2.5)) is None


def test_an_opening_can_be_asked_for_not_before_a_day():
    next_month = calendar(WEEKEND_MORNING).next_opening(
        utc("2027-01-08T12:00"), hours(2), not_before=utc("2027-02-06T05:00")
    )
    assert next_month == span("2027-02-07T04:00", "2027-02-07T06:00")


def test_a_day_beyond_the_horizon_has_no_opening():
    now = utc("2027-01-08T12:00")
    assert calendar(MORNING).next_opening(now, not_before=utc("9999-12-31T23:59")) is None


def test_remaining_and_fits_tell_the_time_left():
    morning = calendar(MORNING)
    assert morning.remaining(utc("2027-01-08T05:15")) == hours(0.75)
    assert morning.remaining(utc("2027-01-08T06:00")) == timedelta()
    assert morning.fits(utc("2027-01-08T05:15"), hours(0.75))
    assert not morning.fits(utc("2027-01-08T05:15"), hours(0.76))
    assert not morning.fits(utc("2027-01-08T06:00"), timedelta())


def test_no_opening_begins_after_the_last_time_that_can_be_written():
    last_days = calendar(MORNING).openings(utc("9998-12-31T00:00"), utc("9999-12-31T23:59"))
    assert list(last_days) == [span("9998-12-31T04:00", "9998-12-31T06:00")]


def test_a_freeze_cuts_the_window_it_touches_and_tells_its_reason():
    freeze = Exclusion(utc("2027-01-08T04:30"), utc("2027-01-08T05:00"), "quarterly closing")
    morning = calendar(MORNING, freezes=[freeze])
    around = [span("2027-01-08T04:00", "2027-01-08T04:30"), span("2027-01-08T05:00", "2027-01-08T06:00")]
    assert list(morning.openings(utc("2027-01-08T00:00"), utc("2027-01-09T00:00"))) == around
    assert morning.exclusion_at(utc("2027-01-08T04:30")) == freeze
    assert morning.exclusion_at(utc("2027-01-08T05:00")) is None


def test_a_freeze_longer_than_the_horizon_leaves_no_opening():
    freeze = Exclusion(utc("2027-01-01T00:00"), utc("2029-01-01T00:00"), "moving house")
    assert calendar(MORNING, freezes=[freeze]).next_opening(utc("2027-01-08T12:00")) is None


def test_a_reaction_clock_runs_in_service_hours_only():
    office = calendar(WeeklyHours(frozenset(Weekday) - WEEKEND, time(8), time(17)))
    friday_late = utc("2027-01-08T15:30")
    assert office.add_open_time(friday_late, hours(1)) == utc("2027-01-11T07:30")
    assert office.add_open_time(friday_late, hours(0.5)) == utc("2027-01-08T16:00")
    assert office.open_time_between(friday_late, utc("2027-01-11T07:30")) == hours(1)


def test_an_announcement_is_due_at_the_same_wall_clock_time_some_days_earlier():
    sunday = calendar(WEEKEND_MORNING, days_before=5)
    after_the_change = span("2027-03-28T03:00", "2027-03-28T05:00")
    assert sunday.announce_by(after_the_change) == utc("2027-03-23T04:00")
    assert calendar(WEEKEND_MORNING).announce_by(after_the_change) is None


def test_a_window_too_near_to_be_announced_is_passed_over():
    weekend = calendar(WEEKEND_MORNING, days_before=5)
    assert weekend.first_announceable(utc("2027-01-04T04:00")) == span("2027-01-09T04:00", "2027-01-09T06:00")
    assert weekend.first_announceable(utc("2027-01-04T04:01")) == span("2027-01-10T04:00", "2027-01-10T06:00")
    assert weekend.first_announceable(utc("2027-01-04T04:00"), hours(3)) is None


def test_without_an_announcement_the_running_window_will_do():
    rest = calendar(MORNING).first_announceable(utc("2027-01-08T05:00"), hours(1))
    assert rest == span("2027-01-08T05:00", "2027-01-08T06:00")


def test_where_it_is_always_open_the_work_itself_is_announced():
    always = calendar(AROUND_THE_CLOCK, days_before=3)
    assert always.first_announceable(utc("2027-03-26T12:00"), hours(2)) == Interval(
        utc("2027-03-29T11:00"), END
    )


@pytest.mark.parametrize(
    ("start", "end", "opening"),
    [
        pytest.param(
            time(21), time(8), ("2027-03-27T20:00", "2027-03-28T06:00"), id="the night is an hour shorter"
        ),
        pytest.param(time(1), time(2, 30), ("2027-03-28T00:00", "2027-03-28T01:00"), id="the end is skipped"),
        pytest.param(
            time(2, 15), time(4), ("2027-03-28T01:00", "2027-03-28T02:00"), id="the begin is skipped"
        ),
        pytest.param(time(2), time(3), None, id="all of it is skipped"),
    ],
)
def test_the_night_berlin_skips_an_hour(start, end, opening):
    found = list(daily(start, end).openings(utc("2027-03-27T12:00"), utc("2027-03-28T12:00")))
    assert found == ([span(*opening)] if opening else [])


@pytest.mark.parametrize(
    ("start", "end", "opening"),
    [
        pytest.param(
            time(21), time(8), ("2027-10-30T19:00", "2027-10-31T07:00"), id="the night is an hour longer"
        ),
        pytest.param(
            time(2, 30), time(4), ("2027-10-31T00:30", "2027-10-31T03:00"), id="begins at the first 02:30"
        ),
        pytest.param(
            time(1), time(2, 30), ("2027-10-30T23:00", "2027-10-31T01:30"), id="ends at the second 02:30"
        ),
        pytest.param(
            time(2, 15), time(2, 45), ("2027-10-31T00:15", "2027-10-31T01:45"), id="holds both occurrences"
        ),
    ],
)
def test_the_night_berlin_repeats_an_hour(start, end, opening):
    found = list(daily(start, end).openings(utc("2027-10-30T12:00"), utc("2027-10-31T12:00")))
    assert found == [span(*opening)]


def test_lord_howe_changes_by_half_an_hour():
    night = daily(time(1, 45), time(3), "Australia/Lord_Howe")
    assert night.current(utc("2027-10-02T15:30")) == span("2027-10-02T15:15", "2027-10-02T16:00")
    assert night.current(utc("2027-04-03T15:20")) == span("2027-04-03T14:45", "2027-04-03T16:30")


def test_in_the_south_summer_time_is_in_january():
    morning = daily(time(5), time(7), "Australia/Sydney")
    assert morning.next_opening(utc("2027-01-14T12:00")) == span("2027-01-14T18:00", "2027-01-14T20:00")
    assert morning.next_opening(utc("2027-07-14T12:00")) == span("2027-07-14T19:00", "2027-07-14T21:00")


def test_clocks_that_change_at_midnight_stretch_and_shrink_a_night():
    night = daily(time(23), time(1), "America/Santiago")
    assert night.current(utc("2027-09-05T03:30")) == span("2027-09-05T03:00", "2027-09-05T04:00")
    assert night.current(utc("2027-04-04T04:30")) == span("2027-04-04T02:00", "2027-04-04T05:00")


def test_an_evening_that_comes_back_after_midnight_is_one_opening():
    evening = daily(time(22), time(23, 30), "America/St_Johns")
    past_midnight_for_the_first_time = utc("2010-11-07T02:30:30")
    assert evening.current(past_midnight_for_the_first_time) == span("2010-11-07T00:30", "2010-11-07T03:00")


def test_the_nights_around_a_skipped_day_are_one_opening():
    night = calendar(NIGHT, zone="Pacific/Apia")
    assert night.current(utc("2011-12-30T10:00")) == span("2011-12-30T07:00", "2011-12-30T18:00")


def test_a_window_of_the_skipped_day_keeps_only_what_the_clock_shows():
    friday = frozenset({Weekday.FRIDAY})
    noon = calendar(WeeklyHours(friday, time(12), time(14)), zone="Pacific/Apia")
    into_saturday = calendar(WeeklyHours(friday, time(21), time(8)), zone="Pacific/Apia")
    week = utc("2011-12-28T00:00"), utc("2012-01-04T00:00")
    assert list(noon.openings(*week)) == []
    assert list(into_saturday.openings(*week)) == [span("2011-12-30T10:00", "2011-12-30T18:00")]


def test_a_pause_that_the_clock_skips_joins_the_openings_around_it():
    almost_always = daily(time(2, 30), time(2))
    skipped = almost_always.current(utc("2027-03-28T01:00"))
    assert skipped == span("2027-03-27T01:30", "2027-03-29T00:00")
    assert almost_always.current(skipped.begin) == skipped
    assert almost_always.current(skipped.end) is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(lambda: calendar(MORNING, zone="Mars/Base"), "'Mars/Base' is not an IANA", id="zone"),
        pytest.param(lambda: WeeklyHours(frozenset(), time(5), time(7)), "at least one day", id="no day"),
        pytest.param(lambda: WeeklyHours(EVERY_DAY, time(5, 0, 1), time(7)), "05:00:01", id="seconds"),
        pytest.param(
            lambda: WeeklyHours(EVERY_DAY, time(5), time(7, tzinfo=UTC)), "07:00:00", id="time with a zone"
        ),
        pytest.param(lambda: Announcement(-1), "-1 days", id="announced afterwards"),
        pytest.param(lambda: span("2027-01-02", "2027-01-02"), "is empty", id="empty interval"),
        pytest.param(
            lambda: Exclusion(utc("2027-01-02"), utc("2027-01-01"), "mixed up"),
            "is empty",
            id="freeze backwards",
        ),
    ],
)
def test_what_makes_no_calendar_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda now: calendar(MORNING).next_opening(now, hours(-1)), id="next_opening"),
        pytest.param(
            lambda now: calendar(MORNING).first_announceable(now, hours(-1)), id="first_announceable"
        ),
        pytest.param(lambda now: calendar(MORNING).fits(now, hours(-1)), id="fits"),
        pytest.param(lambda now: calendar(MORNING).add_open_time(now, hours(-1)), id="add_open_time"),
    ],
)
def test_a_negative_duration_is_refused(ask):
    with pytest.raises(ValueError, match="-3600 seconds is negative"):
        ask(utc("2027-01-01"))


def test_time_between_two_instants_does_not_run_backwards():
    with pytest.raises(ValueError, match="is before"):
        calendar(MORNING).open_time_between(utc("2027-01-02"), utc("2027-01-01"))


def test_an_unknown_zone_has_an_error_of_its_own():
    with pytest.raises(UnknownZoneError):
        calendar(MORNING, zone="Europe/Berlin2")


def test_a_local_time_is_compared_as_an_instant():
    second_half_past_two = datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    found = daily(time(2), time(4)).next_opening(second_half_past_two)
    assert found == span("2027-10-31T01:30", "2027-10-31T03:00")
