"""When something that vCenter has refused is tried again: not at once, so that a refusal is no storm of tasks."""

from datetime import datetime, timedelta

from managedvm.planning.findings import shortened
from managedvm.planning.observed import OUTRUN, TaskFacts, TaskState
from managedvm.planning.wallclock import shown

RETRY_AFTER = timedelta(minutes=5)
"""How long a refused task rests before it is tried again."""


def rests_until(task: TaskFacts | None, now: datetime) -> datetime | None:
    """Return until when a task that ended in an error is not repeated; None when nothing stands in the way."""
    if task is None or task.state is not TaskState.ERROR or task.fault == OUTRUN:
        return None
    again = (task.end or task.queued_at) + RETRY_AFTER
    return again if now < again else None


def refusal(task: TaskFacts, again: datetime) -> str:
    """Return in words why vCenter has refused a task and when it is tried again."""
    why = shortened(f"{task.fault} {task.message}".strip()) or "no reason given"
    return f"vCenter has refused it in {task.moref}: {why}. It is tried again at {shown(again)}"
