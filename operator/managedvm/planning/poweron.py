"""What we have shut down we start again (clause 5.1), whatever was refused, and whatever became of the permission.

A VM is off because of us when it is off and an open request says that its guest was asked to shut down. That request
stays open until the VM runs again, or its end says that it does not. See docs/decisions/0025.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import ChangeRequest, Interruption, InterruptionCause
from managedvm.planning.actions import AdvanceRequest, PowerOn
from managedvm.planning.case import STREAM_LAG, moved_on, was_asked
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, shortened, unknown
from managedvm.planning.observed import POWER_ON, RECONFIGURE, PowerState, TaskState, VirtualMachine
from managedvm.planning.plan import Part
from managedvm.planning.reasons import Reason
from managedvm.planning.records import advanced
from managedvm.planning.retry import refusal, rests_until

_OFF_BY_US = "The VM is off because we have shut it down for a change"


@dataclass(frozen=True, slots=True)
class ShutDown:
    """A VM that is off because of us, and the requests that say so."""

    facts: VirtualMachine
    asked: tuple[ChangeRequest, ...]

    def is_slot_over(self, now: datetime) -> bool:
        """Return whether the time is over that was set aside for the power cycle."""
        return all(r.status.slot is None or r.status.slot.end <= now for r in self.asked)


def shut_down(facts: VirtualMachine, open_requests: Iterable[ChangeRequest]) -> ShutDown | None:
    """Return the VM if it is off because of us, None where it runs or somebody else has switched it off."""
    asked = tuple(r for r in open_requests if was_asked(r.status))
    return ShutDown(facts, asked) if asked and facts.power is PowerState.OFF else None


def start_again(down: ShutDown, now: datetime, *, may_act: bool) -> Part:
    """Return the start of a VM that we have shut down, or why it stays off.

    Without permission it is started all the same while its slot lasts: it is brought to its end what was begun, and
    nothing is begun. After the slot a person decides.
    """
    task = down.facts.task
    if task is not None and task.is_running:
        return Part(
            findings=(_progress(f"{_OFF_BY_US}; vCenter is working on {task.moref} ({task.method})"),)
        )
    refused, again = down.facts.refusal_of(POWER_ON), _rests_until(down.facts, now)
    if refused is not None and again is not None:
        return Part(
            findings=(left_off(f"and it does not start: {refusal(refused, again)}"),), next_check=again
        )
    if not may_act and down.is_slot_over(now):
        return Part(
            findings=(left_off("its slot is over and nothing may be done here now. Start it yourself"),)
        )
    finding = _progress(f"{_OFF_BY_US}, and it is started again")
    return Part(findings=(finding,), actions=(PowerOn(down.facts.moref),))


def left_off(why: str) -> Finding:
    """Return the finding that a VM is off because of us, and why it stays so for now."""
    words = f"{_OFF_BY_US}, {why}"
    return fails(Aspect.RESOURCES_AS_AGREED, Reason.LEFT_POWERED_OFF, words, Clause.MAINTENANCE_WINDOW)


def interrupted(request: ChangeRequest, cause: InterruptionCause, why: str, now: datetime) -> AdvanceRequest:
    """Return the note in a request that its VM is started again without the change: else it would be tried for ever."""
    note = Interruption(at=now, cause=cause, message=shortened(why, 512))
    is_refused = cause is InterruptionCause.REFUSED
    reason = Reason.CHANGE_FAILED if is_refused else Reason.IN_WORK
    words = f"The VM is started again without the change: {shortened(why, 512)}"
    outcome = unknown(Aspect.SUCCEEDED, reason, words, Clause.MAINTENANCE_WINDOW)
    after = advanced(request.status, request.status.state, interruption=note)
    return moved_on(request, after, outcome, Clause.MAINTENANCE_WINDOW)


def runs_since(request: ChangeRequest, facts: VirtualMachine) -> datetime | None:
    """Return from when on it is known that the VM was started again after the change was interrupted; None if it was not.

    The note is written while the VM is off: once the inventory has caught up with it, a VM that runs was started since.
    """
    note = request.status.interruption
    return note.at + STREAM_LAG if note is not None and facts.power is not PowerState.OFF else None


def _rests_until(facts: VirtualMachine, now: datetime) -> datetime | None:
    """Return until when a start that was refused rests: no longer once the VM was changed since."""
    refused, task = facts.refusal_of(POWER_ON), facts.task
    is_changed = (
        refused is not None
        and task is not None
        and (task.method, task.state) == (RECONFIGURE, TaskState.SUCCESS)
        and task.seen_at >= refused.seen_at
    )
    return None if is_changed else rests_until(refused, now)


def _progress(words: str) -> Finding:
    return fails(Aspect.RESOURCES_AS_AGREED, Reason.CHANGE_IN_PROGRESS, words, Clause.CHANGE_BY_EFFORT)
