"""When something that vCenter has refused is tried again: not at once, so that a refusal is no storm of tasks.

The rest goes by our own clock: one of vCenter's that is wrong neither blocks for hours nor makes us hammer.
"""

from datetime import datetime, timedelta

from managedvm.planning.findings import shortened
from managedvm.planning.observed import OUTRUN, TaskFacts, TaskState
from managedvm.planning.wallclock import shown

RETRY_AFTER = timedelta(minutes=5)
"""How long a refused task rests before it is tried again."""

_A_PASS = timedelta(minutes=1)
"""How much later than the time that a pass is given it may see something, at most."""


def rests_until(task: TaskFacts | None, now: datetime) -> datetime | None:
    """Return until when a task that ended in an error is not repeated; None when nothing stands in the way.

    A time of ours that lies ahead tells that our clock was set back: that rest is not waited for.
    """
    if task is None or task.state is not TaskState.ERROR or task.fault == OUTRUN:
        return None
    again = task.seen_at.replace(microsecond=0) + RETRY_AFTER
    return again if now < again <= now + RETRY_AFTER + _A_PASS else None


def refusal(task: TaskFacts, again: datetime) -> str:
    """Return in words why vCenter has refused a task and when it is tried again."""
    why = shortened(f"{task.fault} {task.message}".strip()) or "no reason given"
    return f"vCenter has refused it in {task.moref}: {why}. It is tried again at {shown(again)}"
