"""A clock that is wrong is found out by the answers of the API server."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.engine.skew import Skew

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def compared(ahead):
    """Return what is known once an answer has come to a machine whose clock is so far ahead."""
    skew = Skew(lambda: NOW + ahead, timedelta(minutes=1))
    skew.note(format_datetime(NOW, usegmt=True))
    return skew


@given(st.integers(-60, 60))
def test_up_to_the_tolerance_a_clock_is_right(seconds):
    assert compared(timedelta(seconds=seconds)).objection() is None


@given(st.integers(61, 10**6), st.sampled_from([1, -1]))
def test_beyond_it_nothing_is_to_be_done_and_the_words_say_where_the_clock_stands(seconds, sign):
    skew = compared(timedelta(seconds=seconds * sign))
    assert skew.seconds == seconds * sign
    assert f"{seconds} s {'ahead of' if sign > 0 else 'behind'} the API server's" in (skew.objection() or "")


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 23 Nov 2026 12:00:00"])
def test_an_answer_without_a_usable_date_changes_nothing(date):
    skew = compared(timedelta(hours=1))
    skew.note(date)
    assert skew.seconds == 3600


def test_a_clock_that_was_set_right_is_right():
    ahead = [timedelta(hours=1)]
    skew = Skew(lambda: NOW + ahead[0], timedelta(minutes=1))
    skew.note(format_datetime(NOW, usegmt=True))
    assert skew.objection()
    ahead[0] = timedelta(0)
    skew.note(format_datetime(NOW, usegmt=True))
    assert skew.objection() is None
