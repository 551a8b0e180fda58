"""What vCenter has refused rests; what came too late was not refused, and is decided anew at once."""

import pytest

from managedvm.planning.observed import OUTRUN, TaskState
from managedvm.planning.retry import RETRY_AFTER, rests_until
from tests.factories import NOW, task


def test_a_refused_task_rests_until_its_time_is_over():
    refused = task(TaskState.ERROR, fault="InsufficientResourcesFault")
    assert rests_until(refused, NOW) == NOW + RETRY_AFTER
    assert rests_until(refused, NOW + RETRY_AFTER) is None


@pytest.mark.parametrize(
    "ended", [None, task(), task(TaskState.RUNNING, end=None), task(TaskState.ERROR, fault=OUTRUN)]
)
def test_nothing_rests_that_was_not_refused(ended):
    assert rests_until(ended, NOW) is None
