"""What to do for a ChangeRequest of a person, and for one of the operator whose ManagedVM is gone (clauses 1 and 4)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from managedvm.api.changerequest import (
    FINAL_STATES,
    ChangeRequest,
    RecordOrigin,
    RequestedVM,
    RequestState,
)
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.planning.actions import AdvanceRequest, PowerOn, RecordWork
from managedvm.planning.authority import authority
from managedvm.planning.case import moved_on, was_asked
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import closing, is_task_of, withdrawal
from managedvm.planning.entitlement import Entitlement
from managedvm.planning.findings import Aspect, Reason, fails, unknown
from managedvm.planning.money import PriceBook
from managedvm.planning.observed import PowerState, TaskFacts, Unknown, VirtualMachine
from managedvm.planning.records import advanced, assess
from managedvm.planning.wallclock import shown

MAY_COME_WITHIN = timedelta(minutes=5)
"""How long a request waits for its ManagedVM before it is refused."""


@dataclass(frozen=True, slots=True)
class ObservedRequest:
    """All that was read for one request.

    `identity` is the VM that its ManagedVM holds the claim to, `entitlement` what that ManagedVM's orders gave when
    the request was made; both are None when there is no such ManagedVM. `has_taken_effect` tells that the VM carries
    the mark of this request, whatever became of its ManagedVM; Unknown while nobody can see that, or it may still come.
    `prices` and `task` are read only where there is work to bill without a ManagedVM; `orphan` is the VM of a request
    without a ManagedVM, unless another one has claimed it.
    """

    exists: bool
    identity: RequestedVM | None
    entitlement: Entitlement | None
    requesters: tuple[Requester, ...]
    policy: Requests
    has_taken_effect: bool | Unknown
    prices: PriceBook | None = None
    task: TaskFacts | Unknown | None = None
    orphan: VirtualMachine | None = None


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
    billed = closing(request, own, observed.prices, now)
    if not isinstance(billed, str):
        return billed
    words = f"The change has taken effect, its ManagedVM is gone, and it cannot be billed: {billed}"
    finding = unknown(Aspect.SUCCEEDED, Reason.NOT_BILLED, words, Clause.OPTIONAL_SERVICES)
    return (moved_on(request, request.status, finding, Clause.OPTIONAL_SERVICES),)


def plan(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    """Return how the request moves on, or None when there is nothing to say."""
    if request.status.state in FINAL_STATES:
        return None
    if request.spec.origin is RecordOrigin.OPERATOR:
        return _of_operator(request, observed, now)
    if _is_too_early(request, observed):
        return None
    until = may_come_until(request, now)
    if not observed.exists and until is not None:
        return _waits(request, until)
    return _judged(request, observed, now)


def _judged(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest:
    """Return whether the contract covers a request of a person, and then whether that person may order."""
    if not observed.exists or _is_another_vm(request, observed):
        return _refuse(request, Reason.OUT_OF_SCOPE_VM, _out_of_scope(request, observed), now)
    entitlement = observed.entitlement
    if entitlement is None or entitlement.package is None:
        return _refuse(
            request,
            Reason.NO_ACTIVE_PACKAGE,
            "Refused: services on request need an active managed service package. Book one, then ask again",
            now,
        )
    return _documented(request, observed, now)


def _is_too_early(request: ChangeRequest, observed: ObservedRequest) -> bool:
    """Return whether nothing can be concluded yet: which VM it is, or what was ordered for it, cannot be told."""
    if not observed.exists:
        return request.status.assessment is not None  # Git replaces objects: what was an order once stays one
    entitlement = observed.entitlement
    is_unread = entitlement is not None and entitlement.order is not None and entitlement.level is None
    return is_unread or (request.spec.vm is not None and observed.identity is None)


def _waits(request: ChangeRequest, until: datetime) -> AdvanceRequest:
    """Return what is said of a request whose ManagedVM is not there yet: Git applies in any order."""
    name = request.spec.managed_vm_ref.name
    words = f"There is no ManagedVM {name} in this namespace. Unless it comes, the request is refused at {shown(until)}"
    finding = unknown(Aspect.SUCCEEDED, Reason.OUT_OF_SCOPE_VM, words, Clause.DIRECTLY_ATTACHED_VM)
    return moved_on(request, request.status, finding, Clause.DIRECTLY_ATTACHED_VM)


def may_come_until(request: ChangeRequest, now: datetime) -> datetime | None:
    """Return until when the ManagedVM that a request names may still be applied; None when that time is over."""
    until = (request.metadata.creation_timestamp or now) + MAY_COME_WITHIN
    return until if now < until else None


def _of_operator(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    """Return the withdrawal of a request that no pass of a ManagedVM decides about; an effect is never withdrawn."""
    if observed.has_taken_effect is not False:
        return None
    if not observed.exists:
        return withdrawal(request, Reason.TARGET_GONE, _gone(request, "its ManagedVM is gone"), now)
    if _is_another_vm(request, observed):
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


def _is_another_vm(request: ChangeRequest, observed: ObservedRequest) -> bool:
    named = request.spec.vm
    return named is not None and observed.identity is not None and named != observed.identity


def _out_of_scope(request: ChangeRequest, observed: ObservedRequest) -> str:
    name = request.spec.managed_vm_ref.name
    if not observed.exists:
        return f"Refused: there is no ManagedVM {name} in this namespace. Name the ManagedVM that the request is for"
    return (
        f"Refused: the VM that is meant is not the one of ManagedVM {name}; a package serves its own VM only"
    )


def _refuse(request: ChangeRequest, reason: Reason, message: str, now: datetime) -> AdvanceRequest:
    clause = Clause.DIRECTLY_ATTACHED_VM if reason is Reason.OUT_OF_SCOPE_VM else Clause.OPTIONAL_SERVICES
    after = advanced(request.status, RequestState.REFUSED, completed_at=now)
    return moved_on(request, after, fails(Aspect.SUCCEEDED, reason, message, clause), clause)


def _documented(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest:
    """Return the assessment of a request that a technician will work on, or that is held for want of authority."""
    asked_at = request.metadata.creation_timestamp or now
    decision = authority(observed.requesters, observed.policy, request.spec.requested_by, asked_at)
    assessment = request.status.assessment or assess(request.spec.kind, now)
    if decision.may_proceed:
        after = advanced(request.status, request.status.state, assessment=assessment)
        words = f"Documented as an order: {decision.explanation}. A technician works on it and records a WorkEntry"
        finding = unknown(Aspect.SUCCEEDED, Reason.DOCUMENTED, words, Clause.DOCUMENTED)
    else:
        after = advanced(request.status, RequestState.HELD, assessment=assessment)
        words = f"Documented and held: {decision.explanation}"
        finding = unknown(Aspect.SUCCEEDED, Reason.REQUEST_HELD, words, Clause.AUTHORISED_REQUESTERS)
    return moved_on(request, after, finding, Clause.DOCUMENTED)
