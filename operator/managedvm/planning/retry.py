"""When something that vCenter has refused is tried again: not at once, so that a refusal is no storm of tasks.

The rest goes by our own clock: one of vCenter's that is wrong neither blocks for hours nor makes us hammer.
"""

from datetime import datetime, timedelta

from managedvm.planning.findings import shortened
from managedvm.planning.observed import OUTRUN, POWER_ON, TaskFacts, TaskState
from managedvm.planning.wallclock import shown

RETRY_AFTER = timedelta(minutes=5)
"""How long a refused task rests before it is tried again; each refusal in a row doubles it."""

LONGEST_REST = timedelta(hours=1)
"""How long it rests at most."""

_A_PASS = timedelta(minutes=1)
"""How much later than the time that a pass is given it may see something, at most."""


def rests_until(task: TaskFacts | None, now: datetime) -> datetime | None:
    """Return until when a task that ended in an error is not repeated; None when nothing stands in the way.

    A start that is refused is tried steadily: the VM is off meanwhile, and what it lacks may be there any moment. A time of ours that lies ahead tells that our clock was set back: that rest is not waited for.
    """
    if task is None or task.state is not TaskState.ERROR or task.fault == OUTRUN:
        return None
    many = 0 if task.method == POWER_ON else min(max(task.refusals - 1, 0), 8)
    rest = min(RETRY_AFTER * 2**many, LONGEST_REST)
    again = task.seen_at.replace(microsecond=0) + rest
    return again if now < again <= now + rest + _A_PASS else None


def refusal(task: TaskFacts, again: datetime) -> str:
    """Return in words why vCenter has refused a task and when it is tried again."""
    return f"{refused(task)}. It is tried again at {shown(again)}"


def refused(task: TaskFacts) -> str:
    """Return in words what vCenter has refused, and why."""
    why = shortened(f"{task.fault} {task.message}".strip()) or "no reason given"
    where = f" in {task.moref}" if task.moref else ""
    return f"vCenter has refused it{where}: {why}"
