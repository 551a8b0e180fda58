"""How a request comes to its end (clauses 4 and 6.3): done and billed, withdrawn, or refused; nothing half-way.

What was sent to vCenter is done and billed, whatever the YAML says by now. What was not sent is never billed.
"""

from datetime import datetime, timedelta

from managedvm.api.changerequest import ChangeRequest, RequestState
from managedvm.planning.actions import AdvanceRequest, RecordWork
from managedvm.planning.case import (
    Case,
    Job,
    advance,
    aspect_of,
    moved_on,
    recorded,
    standing_of_request,
    was_asked,
)
from managedvm.planning.charges import automated_charge, time_elsewhere
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds
from managedvm.planning.money import NoRateError, Prices
from managedvm.planning.observed import TaskFacts, TaskState, Unknown
from managedvm.planning.plan import Part
from managedvm.planning.reasons import Reason
from managedvm.planning.records import advanced, work_entry
from managedvm.planning.standing import Standing
from managedvm.planning.targets import carried_by, found_value, note_key

_EFFORT = Clause.CHANGE_BY_EFFORT

CLOCKS_DIFFER = timedelta(minutes=1)
"""How far vCenter's clock may be ahead of ours before its times are not believed."""


def has_taken_effect(case: Case, request: ChangeRequest) -> bool:
    """Return whether the VM carries the note of this request: change and note are one reconfiguration."""
    aspect = aspect_of(request)
    return aspect is not None and case.facts.notes.get(note_key(aspect)) == request.metadata.name


def complete(case: Case, request: ChangeRequest) -> Part:
    """Return how a change that has taken effect is recorded: the work with its price, then the request as done.

    That is recorded in Observe mode and while suspended too: what was sent is done, and no switch takes a bill back.
    """
    if not case.may_record:
        return _not_billed(
            case, request, "nothing may be recorded here now; see ChangesPermitted and Claimed"
        )
    if not _is_plausible(case, request):
        return _not_billed(
            case, request, "the VM has another value, and no task of ours is known. Somebody must look"
        )
    stands = standing_of_request(case, request)
    aspect = aspect_of(request) or ""
    carrier = carried_by(case.facts, aspect, request.metadata.name)
    billed = closing(request, stands, _own_task(case, request), case.prices, case.now, carrier=carrier)
    if isinstance(billed, str):
        return _not_billed(case, request, billed)
    progress = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.CHANGE_IN_PROGRESS,
        f"{_activity(request)}; the record is being closed",
        _EFFORT,
    )
    return Part(findings=(progress,), actions=billed)


def closing(
    request: ChangeRequest,
    stands: Standing,
    task: TaskFacts | None,
    prices: Prices,
    now: datetime,
    *,
    carrier: str | None = None,
) -> tuple[RecordWork, AdvanceRequest] | str:
    """Return the actions that bill and close a request that has taken effect, or in words why that cannot be done.

    Where one task made the changes of several requests, `carrier` is the one whose record has the time; see 0026.
    """
    activity = _activity(request)
    begin, end = (task.begin or task.queued_at, task.end or now) if task else (now, now)
    if task is None:
        activity += "; vCenter no longer tells when"
    book = prices.at(begin)
    if book is None:
        return "no price list is valid for its customer at that time, or it is gone. Restore it"
    try:
        charge = automated_charge(book, begin, end) if carrier is None else time_elsewhere(book, carrier)
    except NoRateError as error:
        return f"{error}. Add a rate"
    entry = work_entry(request, activity, begin=begin, end=end, task=task, charge=charge)
    status = advanced(request.status, RequestState.DONE, **stands.fields, completed_at=now)
    message = f"{activity}; {charge.amount} {charge.currency} for {charge.to_json()['counted']}"
    done = moved_on(request, status, holds(Aspect.SUCCEEDED, Reason.DONE, message, _EFFORT), _EFFORT)
    return RecordWork(entry, _EFFORT), done


def _activity(request: ChangeRequest) -> str:
    change = request.spec.change
    return f"{change.aspect} set to {change.after}" if change else "Configuration changed"


def is_task_of(task: TaskFacts | Unknown | None, request: ChangeRequest, now: datetime) -> bool:
    """Return whether a task can be the one that made the change: it succeeded, and not before it was asked for.

    Its times are vCenter's: a clock that runs ahead would bill at a rate that is not valid yet.
    """
    asked_at = request.metadata.creation_timestamp
    if not isinstance(task, TaskFacts) or task.state is not TaskState.SUCCESS or task.end is None:
        return False
    return (asked_at is None or asked_at <= task.end) and task.end <= now + CLOCKS_DIFFER


def _own_task(case: Case, request: ChangeRequest) -> TaskFacts | None:
    task = case.task
    return task if isinstance(task, TaskFacts) and is_task_of(task, request, case.now) else None


def _is_plausible(case: Case, request: ChangeRequest) -> bool:
    """Return whether the mark at the VM can be ours: who may edit a VM could write it without any change."""
    change = request.spec.change
    found = found_value(case.vm.spec.resources, case.facts, change.aspect) if change else None
    return found is None or change is None or found == change.after or _own_task(case, request) is not None


def _not_billed(case: Case, request: ChangeRequest, why: str) -> Part:
    words = f"{_activity(request)} by request {request.metadata.name}, and it cannot be billed: {why}"
    finding = fails(Aspect.RESOURCES_AS_AGREED, Reason.NOT_BILLED, words, Clause.OPTIONAL_SERVICES)
    return Part(findings=(finding,), next_check=next_price(case))


def next_price(case: Case) -> datetime | None:
    """Return when the next rate or price list begins, or None."""
    return case.prices.next_change(case.now)


def frozen(words: str) -> Part:
    """Return the finding for what would be done if changes were permitted."""
    finding = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.ADOPTION_PENDING,
        f"{words}, but nothing is done here now; see ChangesPermitted",
        _EFFORT,
    )
    return Part(findings=(finding,))


def withdraw(case: Case, request: ChangeRequest, reason: Reason, why: str) -> Part:
    """Return the end of a request that is not wanted any more."""
    words = f"Request {request.metadata.name} is withdrawn: {why}"
    if not case.may_act:
        return frozen(words)
    finding = fails(Aspect.RESOURCES_AS_AGREED, reason, words, Clause.DOCUMENTED)
    return _ended(case, request, finding, withdrawal(request, reason, why, case.now))


def _ended(case: Case, request: ChangeRequest | None, finding: Finding, end: AdvanceRequest) -> Part:
    """Return the end of a request, but not while the guest may still shut down for it, nor while it may have taken effect.

    The open request is what remembers that we have asked the guest: without it nobody would start the VM again.
    """
    if request is None:
        return Part(findings=(finding,), actions=(end,))
    slot = request.status.slot
    asked_in = slot.end if slot is not None and was_asked(request.status) else None
    wait = asked_in or case.seen_by
    if wait is None:
        return Part(findings=(finding,), actions=(end,))
    what = "the guest, which was asked to shut down," if asked_in else "what vCenter has just done"
    words = f"{finding.message}; first {what} is waited for"
    waiting = fails(Aspect.RESOURCES_AS_AGREED, Reason.CHANGE_IN_PROGRESS, words, finding.clause)
    return Part(findings=(waiting,), next_check=wait)


def withdrawal(request: ChangeRequest, reason: Reason, why: str, now: datetime) -> AdvanceRequest:
    """Return the action that ends a request without work and without a charge."""
    message = f"Withdrawn: {why}; nothing was changed or billed"
    return moved_on(
        request,
        advanced(request.status, RequestState.WITHDRAWN, completed_at=now),
        fails(Aspect.SUCCEEDED, reason, message, Clause.DOCUMENTED),
        Clause.DOCUMENTED,
    )


def refuse(case: Case, job: Job, reason: Reason, message: str, clause: Clause) -> Part:
    """Return the end of a request that the contract does not cover; it is documented all the same."""
    finding = fails(Aspect.RESOURCES_AS_AGREED, reason, message, clause)
    after = advanced(job.status, RequestState.REFUSED, completed_at=case.now)
    outcome = fails(Aspect.SUCCEEDED, reason, message, clause)
    end = _ended(case, job.request, finding, advance(case, job, after, outcome, clause))
    return Part(end.findings, (*recorded(job), *end.actions), end.next_check)


def abandoned(case: Case, request: ChangeRequest) -> Part:
    """Return what becomes of an open request whose aspect nobody asks for any more."""
    if has_taken_effect(case, request):
        return complete(case, request)
    if case.entitlement.order is not None and case.entitlement.level is None:
        return Part()  # what was ordered cannot be read: nothing is concluded
    if case.entitlement.order is not None:
        why = "spec.resources asks for it no more, or the VM has no such disk"
        return withdraw(case, request, Reason.TARGET_CHANGED, why)
    message = f"Request {request.metadata.name} is refused: no order is in force any more"
    if not case.may_act:
        return frozen(message)
    finding = fails(Aspect.RESOURCES_AS_AGREED, Reason.NO_ACTIVE_PACKAGE, message, Clause.OPTIONAL_SERVICES)
    outcome = fails(Aspect.SUCCEEDED, Reason.NO_ACTIVE_PACKAGE, message, Clause.OPTIONAL_SERVICES)
    after = advanced(request.status, RequestState.REFUSED, completed_at=case.now)
    return _ended(case, request, finding, moved_on(request, after, outcome, Clause.OPTIONAL_SERVICES))
