"""What vCenter has refused rests; what came too late was not refused, and is decided anew at once."""

from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.observed import OUTRUN, TaskState
from managedvm.planning.retry import RETRY_AFTER, rests_until
from tests.examples import examples
from tests.factories import NOW, task


def test_a_refused_task_rests_until_its_time_is_over():
    refused = task(TaskState.ERROR, fault="InsufficientResourcesFault")
    assert rests_until(refused, NOW) == NOW + RETRY_AFTER
    assert rests_until(refused, NOW + RETRY_AFTER) is None


@pytest.mark.parametrize(
    "skew", [timedelta(hours=-9), timedelta(minutes=-6), timedelta(0), timedelta(hours=9)]
)
def test_a_vcenter_whose_clock_is_wrong_neither_blocks_nor_makes_us_hammer(skew):
    refused = task(TaskState.ERROR, end=NOW + skew, seen_at=NOW)
    assert rests_until(refused, NOW) == NOW + RETRY_AFTER
    assert rests_until(refused, NOW + RETRY_AFTER) is None


@examples(100)
@given(
    seen=st.datetimes(NOW.replace(tzinfo=None) - 9 * RETRY_AFTER, NOW.replace(tzinfo=None) + 9 * RETRY_AFTER)
)
def test_no_rest_is_longer_than_one_rest_and_none_lies_in_the_past(seen):
    until = rests_until(task(TaskState.ERROR, seen_at=seen.replace(tzinfo=UTC)), NOW)
    assert until is None or NOW < until <= NOW + RETRY_AFTER + timedelta(minutes=1)


def test_what_is_seen_a_moment_after_the_pass_began_rests_as_well():
    refused = task(TaskState.ERROR, seen_at=NOW + timedelta(seconds=2, microseconds=3))
    assert rests_until(refused, NOW) == NOW + timedelta(seconds=2) + RETRY_AFTER


def test_a_rest_of_a_clock_that_was_set_back_is_not_waited_for():
    assert rests_until(task(TaskState.ERROR, seen_at=NOW + timedelta(hours=2)), NOW) is None


@pytest.mark.parametrize(
    "ended", [None, task(), task(TaskState.RUNNING, end=None), task(TaskState.ERROR, fault=OUTRUN)]
)
def test_nothing_rests_that_was_not_refused(ended):
    assert rests_until(ended, NOW) is None
