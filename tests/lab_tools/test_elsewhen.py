"""A clock of another day, for what happens next month or next year."""

from datetime import UTC, datetime, timedelta

import pytest

from lab.elsewhen import clock_from

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def test_it_begins_when_it_is_told_and_runs_on():
    passed = [100.0]
    clock = clock_from(NEW_YEAR, seconds=lambda: passed[0])
    assert clock() == NEW_YEAR
    passed[0] += 90
    assert clock() == NEW_YEAR + timedelta(seconds=90)


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a time zone"):
        clock_from(NEW_YEAR.replace(tzinfo=None))
