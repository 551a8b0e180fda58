"""The clock's odd nights: skipped hours, repeated hours, half hours, a skipped day, and names that are no zone."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from managedvm.planning.wallclock import (
    UnknownZoneError,
    as_utc,
    first_instant,
    last_instant,
    wall_clock,
    zone_named,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "skipped", "gap_ends"),
    [
        pytest.param(
            "Europe/Berlin", "2027-03-28T02:00", "2027-03-28T01:00", id="first minute of the Berlin gap"
        ),
        pytest.param(
            "Europe/Berlin", "2027-03-28T02:59", "2027-03-28T01:00", id="last minute of the Berlin gap"
        ),
        pytest.param(
            "Australia/Lord_Howe", "2027-10-03T02:15", "2027-10-02T15:30", id="half an hour at Lord Howe"
        ),
        pytest.param(
            "America/Santiago", "2027-09-05T00:30", "2027-09-05T04:00", id="midnight itself in Chile"
        ),
        pytest.param("Pacific/Apia", "2011-12-30T00:00", "2011-12-30T10:00", id="the day that Samoa skipped"),
        pytest.param("Pacific/Apia", "2011-12-30T12:34", "2011-12-30T10:00", id="noon of that day"),
    ],
)
def test_a_time_that_the_clock_skips_is_the_instant_when_the_gap_ends(zone, skipped, gap_ends):
    assert first_instant(wall(skipped), zone_named(zone)) == utc(gap_ends)
    assert last_instant(wall(skipped), zone_named(zone)) == utc(gap_ends)


def test_the_end_of_a_gap_is_exact_even_for_a_wall_time_between_two_seconds():
    skipped = wall("2027-03-28T02:30:00.250001")
    assert first_instant(skipped, zone_named("Europe/Berlin")) == utc("2027-03-28T01:00")


@pytest.mark.parametrize(
    ("zone", "repeated", "first", "last"),
    [
        pytest.param(
            "Europe/Berlin",
            "2027-10-31T02:30",
            "2027-10-31T00:30",
            "2027-10-31T01:30",
            id="an hour in Berlin",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2027-04-04T01:45",
            "2027-04-03T14:45",
            "2027-04-03T15:15",
            id="half an hour",
        ),
        pytest.param(
            "America/Santiago",
            "2027-04-03T23:30",
            "2027-04-04T02:30",
            "2027-04-04T03:30",
            id="before midnight",
        ),
        pytest.param(
            "America/St_Johns",
            "2010-11-06T23:30",
            "2010-11-07T02:00",
            "2010-11-07T03:00",
            id="back over midnight",
        ),
    ],
)
def test_a_time_that_comes_twice_has_a_first_and_a_last_instant(zone, repeated, first, last):
    assert first_instant(wall(repeated), zone_named(zone)) == utc(first)
    assert last_instant(wall(repeated), zone_named(zone)) == utc(last)


def test_an_ordinary_time_has_one_instant():
    noon = wall("2027-06-01T12:00")
    assert first_instant(noon, zone_named("Europe/Berlin")) == utc("2027-06-01T10:00")
    assert last_instant(noon, zone_named("Europe/Berlin")) == utc("2027-06-01T10:00")


def test_the_wall_clock_reads_the_same_at_both_occurrences():
    berlin = zone_named("Europe/Berlin")
    assert wall_clock(utc("2027-10-31T00:30"), berlin) == wall("2027-10-31T02:30")
    assert wall_clock(utc("2027-10-31T01:30"), berlin) == wall("2027-10-31T02:30")


@pytest.mark.parametrize(
    "name",
    [
        "Europe/Atlantis",
        "MEZ+1",
        "Europe",
        "../Berlin",
        "/etc/passwd",
        "",
        "localtime",
        "posixrules",
        "Factory",
        "Local",
        "posix/Europe/Berlin",
        "right/UTC",
        "Europe//Berlin",
    ],
)
def test_a_name_that_is_no_zone_is_refused_by_name(name):
    with pytest.raises(UnknownZoneError, match="is not an IANA time zone") as refusal:
        zone_named(name)
    assert repr(name) in str(refusal.value)


def test_a_naive_time_is_no_instant():
    with pytest.raises(ValueError, match="2027-01-01T00:00:00 has no time zone"):
        as_utc(wall("2027-01-01T00:00"))


def test_a_time_of_another_zone_is_the_same_instant_in_utc():
    same = as_utc(datetime(2027, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))))
    assert (same, same.tzinfo) == (utc("2027-01-01T00:00"), UTC)
