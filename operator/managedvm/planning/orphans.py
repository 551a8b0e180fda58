"""What becomes of the operator's own requests that no pass of a ManagedVM decides about any more (clauses 1 and 4)."""

from datetime import datetime

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, RecordOrigin
from managedvm.planning.actions import AdvanceRequest, PowerOn, RecordWork
from managedvm.planning.case import moved_on, was_asked
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import closing, is_task_of, withdrawal
from managedvm.planning.findings import Aspect, Reason, unknown
from managedvm.planning.observed import PowerState, TaskFacts
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.standing import asked_of, standing
from managedvm.planning.wallclock import shown


def start_orphan(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> PowerOn | None:
    """Return the act that starts a VM which we have shut down for a request whose ManagedVM is gone since.

    What was begun is brought to its end, also where nothing new may be done; after the slot a person decides.
    """
    vm, status = observed.orphan, request.status
    is_ours = vm is not None and was_asked(status) and status.slot is not None and now < status.slot.end
    if observed.exists or vm is None or not is_ours or status.state in FINAL_STATES:
        return None
    is_busy = vm.task is not None and vm.task.is_running
    return PowerOn(vm.moref) if vm.power is PowerState.OFF and not is_busy else None


def bill_orphan(
    request: ChangeRequest, observed: ObservedRequest, now: datetime
) -> tuple[RecordWork | AdvanceRequest, ...]:
    """Return how the work on a request is billed whose ManagedVM is gone: what was sent is done and billed."""
    is_open = request.status.state not in FINAL_STATES and request.spec.origin is RecordOrigin.OPERATOR
    if not is_open or observed.exists or observed.has_taken_effect is not True:
        return ()
    task = observed.task
    own = task if isinstance(task, TaskFacts) and is_task_of(task, request, now) else None
    stands = standing(
        asked_of(request, now),
        request.status,
        requesters=observed.requesters,
        policy=observed.policy,
        decisions=observed.decisions,
        now=now,
        elsewhere_since=observed.elsewhere_since,
    )
    billed = closing(request, stands, own, observed.prices, now)
    if not isinstance(billed, str):
        return billed
    words = f"The change has taken effect, its ManagedVM is gone, and it cannot be billed: {billed}"
    finding = unknown(Aspect.SUCCEEDED, Reason.NOT_BILLED, words, Clause.OPTIONAL_SERVICES)
    return (moved_on(request, request.status, finding, Clause.OPTIONAL_SERVICES),)


def withdrawn(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    """Return the withdrawal of a request that no pass of a ManagedVM decides about; an effect is never withdrawn."""
    if observed.has_taken_effect is not False:
        return None
    if not observed.exists:
        return withdrawal(request, Reason.TARGET_GONE, _gone(request, "its ManagedVM is gone"), now)
    if is_another_vm(request, observed):
        why = _gone(request, "its ManagedVM has another VM now")
        return withdrawal(request, Reason.TARGET_GONE, why, now)
    return None


def _gone(request: ChangeRequest, why: str) -> str:
    """Return why a request ends, and what it may leave behind: a guest that was asked to shut down starts no more."""
    if not was_asked(request.status) or request.status.started_at is None:
        return why
    return (
        f"{why}, after the guest was asked to shut down at {shown(request.status.started_at)}. See whether the VM runs "
        "and start it: nobody else will"
    )


def is_another_vm(request: ChangeRequest, observed: ObservedRequest) -> bool:
    """Return whether a request names another VM than its ManagedVM has."""
    named = request.spec.vm
    return named is not None and observed.identity is not None and named != observed.identity
