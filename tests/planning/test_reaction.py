"""Clause 4.1: the reaction that the service level promises, on a clock that runs in the hours of intake only."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.reaction import Worked, due_at, reacted_at, reaction
from tests.examples import examples
from tests.factories import NOW, at, edited, minutes, service_level

ZONE = ZoneInfo("Europe/Berlin")
OFFICE = [{"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "start": "08:00", "end": "17:00"}]
NIGHT = [{"days": ["Sat", "Sun"], "start": "20:00", "end": "06:00"}]
ALWAYS = [{"days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "end": "00:00"}]


def level(hours=OFFICE, time="2h"):
    intake = {"timeZone": "Europe/Berlin", "hours": hours}
    return edited(service_level(), faultIntake=intake, reactionTime=time)


def berlin(text):
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-11-23T09:00", "2026-11-23T11:00"),
        ("2026-11-23T16:00", "2026-11-24T09:00"),
        ("2026-11-23T20:00", "2026-11-24T10:00"),
        ("2026-11-27T16:30", "2026-11-30T09:30"),
        ("2026-11-28T12:00", "2026-11-30T10:00"),
        ("2026-11-23T15:00", "2026-11-23T17:00"),
    ],
    ids=[
        "within the hours",
        "over the evening",
        "at night",
        "over the weekend",
        "on a Saturday",
        "to the minute",
    ],
)
def test_the_clock_runs_in_the_hours_of_intake_only(asked, due):
    assert due_at(level(), berlin(asked)) == berlin(due)


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        # The night of 2026-03-29 lacks the hour from two to three, that of 2026-10-25 has it twice.
        ("2026-03-29T01:30+01:00", "2026-03-29T04:30+02:00"),
        ("2026-10-25T01:30+02:00", "2026-10-25T02:30+01:00"),
    ],
    ids=["an hour is skipped", "an hour comes twice"],
)
def test_two_hours_are_two_hours_whatever_the_wall_clock_does(asked, due):
    found = due_at(level(NIGHT), datetime.fromisoformat(asked))
    assert found == datetime.fromisoformat(due)


def test_hours_that_never_open_promise_nothing():
    assert due_at(level([]), NOW) is None


@pytest.mark.parametrize("name", ["basic", "standard", "professional", "premium"])
def test_the_shipped_levels_take_faults_in_round_the_clock(name):
    assert due_at(service_level(name), NOW) == NOW + service_level(name).reaction_time


INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
TIMES = st.integers(1, 60 * 24).map(lambda n: f"{n}m")
HOURS = st.sampled_from([OFFICE, NIGHT, ALWAYS])


@examples(60)
@given(INSTANTS, TIMES, HOURS)
def test_no_reaction_is_due_before_its_time_has_passed(asked, time, hours):
    promised = level(hours, time)
    due = due_at(promised, asked)
    assert due is not None
    assert due - asked >= promised.reaction_time


@examples(60)
@given(INSTANTS, st.integers(1, 10_000), TIMES, HOURS)
def test_who_asks_later_is_never_served_earlier(asked, later, time, hours):
    promised = level(hours, time)
    first, second = due_at(promised, asked), due_at(promised, asked + minutes(later))
    assert first is not None
    assert second is not None
    assert first <= second


@examples(60)
@given(INSTANTS, TIMES, HOURS)
def test_minute_by_minute_a_witness_counts_the_same(asked, time, hours):
    promised = level(hours, time)
    asked = asked.replace(second=0, microsecond=0)
    due = due_at(promised, asked)
    assert due is not None
    opened = sum(is_open(hours, asked + minutes(n)) for n in range((due - asked) // minutes(1)))
    assert minutes(opened) == promised.reaction_time


def is_open(hours, instant):
    """Return whether a person with a wall clock and the list of hours would say that it is open."""
    wall = instant.astimezone(ZONE)
    for one in hours:
        start, end = one["start"], one["end"]
        now, day, before = f"{wall:%H:%M}", f"{wall:%a}", f"{wall - timedelta(days=1):%a}"
        if start < end and day in one["days"] and start <= now < end:
            return True
        if start >= end and ((day in one["days"] and start <= now) or (before in one["days"] and now < end)):
            return True
    return False


def worked(begin, recorded="2026-11-23T15:00"):
    return Worked(at(begin), at(recorded))


def test_the_first_work_is_the_reaction():
    work = (worked("2026-11-23T13:30"), worked("2026-11-23T12:40"))
    assert reacted_at(NOW, work, None) == at("2026-11-23T12:40")


def test_work_that_began_before_the_request_is_a_reaction_when_it_is_recorded():
    assert reacted_at(NOW, (worked("2026-11-23T11:59", "2026-11-23T12:10"),), None) == at("2026-11-23T12:10")


def test_a_decision_is_a_reaction_too():
    work = (worked("2026-11-23T12:40"),)
    assert reacted_at(NOW, work, NOW + minutes(5)) == NOW + minutes(5)
    assert reacted_at(NOW, (), NOW + minutes(5)) == NOW + minutes(5)
    assert reacted_at(NOW, (), None) is None


DUE = NOW + minutes(120)


@pytest.mark.parametrize(
    ("reacted", "now", "is_missed"),
    [
        (None, DUE - minutes(1), False),
        (None, DUE, True),
        (DUE, DUE + minutes(60), False),
        (DUE + timedelta(seconds=1), DUE + minutes(60), True),
    ],
    ids=["still time", "nobody came", "at the last instant", "too late"],
)
def test_a_reaction_is_missed_once_its_time_is_over(reacted, now, is_missed):
    found = reaction(DUE, reacted, now)
    assert (found.due_at, found.reacted_at, found.is_missed) == (DUE, reacted, is_missed)
