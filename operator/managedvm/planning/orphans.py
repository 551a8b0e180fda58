"""What becomes of the operator's own requests that no pass of a ManagedVM decides about any more (clauses 1 and 4)."""

from datetime import datetime

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, InterruptionCause, RecordOrigin
from managedvm.planning.actions import AdvanceRequest, RecordWork
from managedvm.planning.case import moved_on, was_asked
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import closing, is_task_of, withdrawal
from managedvm.planning.findings import Aspect, unknown
from managedvm.planning.observed import TaskFacts
from managedvm.planning.plan import Part, joined
from managedvm.planning.poweron import interrupted, runs_since, shut_down, start_again
from managedvm.planning.reasons import Reason
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.standing import asked_of, standing
from managedvm.planning.wallclock import shown


def start_orphan(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> Part | None:
    """Return how a VM is started that we have shut down for a request which no ManagedVM decides about any more.

    What was begun is brought to its end, also where nothing new may be done; after the slot a person decides.
    """
    vm = observed.orphan
    down = shut_down(vm, (request,)) if vm is not None and request.status.state not in FINAL_STATES else None
    if down is None or down.is_slot_over(now):
        return None
    start = start_again(down, now, may_act=False)
    note: AdvanceRequest | None = None
    if start.next_check is not None:
        (finding,) = start.findings
        said = unknown(Aspect.SUCCEEDED, finding.reason, finding.message, Clause.MAINTENANCE_WINDOW)
        note = moved_on(request, request.status, said, Clause.MAINTENANCE_WINDOW)
    elif start.actions and request.status.interruption is None and observed.has_taken_effect is not True:
        note = interrupted(request, InterruptionCause.STOPPED, "its ManagedVM is gone", now)
    return joined((Part(actions=(note,) if note is not None else ()), start))


def may_go_down(request: ChangeRequest, observed: ObservedRequest) -> bool:
    """Return whether the guest of such a request may still shut down for it: nothing but a look tells when it does."""
    return observed.orphan is not None and was_asked(request.status)


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
    billed = closing(request, stands, own, observed.prices, now, carrier=observed.carrier)
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
        why = "its ManagedVM is gone"
    elif is_another_vm(request, observed):
        why = "its ManagedVM has another VM now"
    else:
        return None
    slot = request.status.slot
    is_back = _is_back(request, observed, now)
    if slot is not None and was_asked(request.status) and now < slot.end and not is_back:
        words = f"{why[0].upper()}{why[1:]}; the guest, which was asked to shut down, is waited for until {shown(slot.end)}"
        finding = unknown(Aspect.SUCCEEDED, Reason.TARGET_GONE, words, Clause.DOCUMENTED)
        return moved_on(request, request.status, finding, Clause.DOCUMENTED)
    return withdrawal(request, Reason.TARGET_GONE, why if is_back else _gone(request, why), now)


def _is_back(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> bool:
    """Return whether the VM is known to run again after we have started it."""
    since = runs_since(request, observed.orphan) if observed.orphan is not None else None
    return since is not None and since <= now


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
