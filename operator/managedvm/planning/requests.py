"""What becomes of a ChangeRequest that a person wrote (clauses 4 to 6.5): documented, held, planned, worked on, ended.

This version carries out by itself only changes of size that the YAML of a ManagedVM orders. Every other request is
worked on by a technician, who records WorkEntries; the words of its condition say so.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from managedvm.api.changerequest import (
    FINAL_STATES,
    ChangeRequest,
    ChangeRequestStatus,
    Reaction,
    RecordOrigin,
    Recovery,
    RequestKind,
    RequestState,
    Slot,
)
from managedvm.api.requestdecision import RequestDecision
from managedvm.planning import orphans, reaction, software
from managedvm.planning.actions import AdvanceRequest
from managedvm.planning.case import moved_on
from managedvm.planning.clauses import Clause
from managedvm.planning.decisions import made_at, told, with_void
from managedvm.planning.findings import Aspect, Finding, fails, holds, shortened, unknown
from managedvm.planning.orphans import is_another_vm
from managedvm.planning.plan import earliest
from managedvm.planning.reasons import Reason
from managedvm.planning.records import advanced, later
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.standing import Standing, asked_of, orders, standing, way_out
from managedvm.planning.wallclock import shown

MAY_COME_WITHIN = timedelta(minutes=5)
"""How long a request waits for its ManagedVM before it is refused."""

UPDATE = timedelta(hours=1)
"""What must be left of a maintenance window for an update to begin in it, and what is set aside for an appointment."""

LONGEST_SLOT = timedelta(days=1)
"""How much is taken of a window that is open for longer, or always."""

_NEEDS_NO_PACKAGE = frozenset({RequestKind.FAULT_REPORT})
"""Faults are taken in as the service level says, with or without a package (clause 4.1)."""


def plan(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    """Return how the request moves on, or None when there is nothing to say."""
    if request.status.state in FINAL_STATES:
        return None
    if request.spec.origin is RecordOrigin.OPERATOR:
        return orphans.withdrawn(request, observed, now)
    if observed.missing_policies:
        return None  # nobody has asked who really wrote what; ChangesPermitted of the ManagedVM says so
    return _of_person(request, observed, now)


def _of_person(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    stands = standing(
        asked_of(request, now),
        request.status,
        requesters=observed.requesters,
        policy=observed.policy,
        decisions=observed.decisions,
        now=now,
        elsewhere_since=observed.elsewhere_since,
    )
    is_new = request.status.assessment is None
    if is_new and observed.exists and _is_too_early(request, observed):
        return None
    until = may_come_until(request, now) if is_new and not observed.exists else None
    if until is not None:
        return _waits(request, until)
    # Coverage comes first, also for what was withdrawn meanwhile: a withdrawal ends an order, and what no clause covers
    # never was one; work on it would be billed for having been withdrawn.
    refusal = _refusal(request, observed, now) if is_new else None
    if refusal is not None:
        return refusal
    if stands.decisions.withdrawal is not None:
        return _withdrawn(request, observed, stands, now)
    # What was an order once stays one, whatever becomes of the ManagedVM: Git replaces objects.
    moved = _documented(request, observed, stands, now)
    return moved if is_new or observed.exists or moved.after != request.status else None


def next_check(status: ChangeRequestStatus, now: datetime) -> datetime | None:
    """Return when a request of a person is worth another look though nothing changed: a clock or a slot runs out."""
    if status.state in FINAL_STATES:
        return None
    due = status.reaction.due_at if status.reaction and status.reaction.reacted_at is None else None
    mended = status.recovery.due_at if status.recovery else None
    over = status.slot.end if status.slot and status.state is RequestState.SCHEDULED else None
    return earliest(instant for instant in (due, mended, over) if instant is not None and now < instant)


def findings(status: ChangeRequestStatus, outcome: Finding | None) -> tuple[Finding, ...]:
    """Return what is counted of a request, once for each: its outcome while it is open, and what was missed always."""
    counted = [] if outcome is None else [outcome]
    if status.reaction is not None and status.reaction.is_missed:
        words = f"Nobody has reacted until {shown(status.reaction.due_at)}"
        counted.append(fails(Aspect.REACTED_IN_TIME, Reason.REACTION_MISSED, words, Clause.FAULT_INTAKE))
    if status.recovery is not None and status.recovery.is_missed:
        words = f"The fault was not mended until {shown(status.recovery.due_at)}"
        counted.append(fails(Aspect.RECOVERED_IN_TIME, Reason.RECOVERY_MISSED, words, Clause.FAULT_INTAKE))
    return tuple(counted)


def may_come_until(request: ChangeRequest, now: datetime) -> datetime | None:
    """Return until when the ManagedVM that a request names may still be applied; None when that time is over."""
    until = (request.metadata.creation_timestamp or now) + MAY_COME_WITHIN
    return until if now < until else None


def _is_too_early(request: ChangeRequest, observed: ObservedRequest) -> bool:
    """Return whether nothing can be concluded yet: which VM it is, or what was ordered for it, cannot be told."""
    entitlement = observed.entitlement
    is_unread = entitlement is not None and entitlement.order is not None and entitlement.level is None
    return is_unread or (request.spec.vm is not None and observed.identity is None)


def _waits(request: ChangeRequest, until: datetime) -> AdvanceRequest:
    """Return what is said of a request whose ManagedVM is not there yet: Git applies in any order."""
    name = request.spec.managed_vm_ref.name
    words = f"There is no ManagedVM {name} in this namespace. Unless it comes, the request is refused at {shown(until)}"
    finding = unknown(Aspect.SUCCEEDED, Reason.OUT_OF_SCOPE_VM, words, Clause.DIRECTLY_ATTACHED_VM)
    return moved_on(request, request.status, finding, Clause.DIRECTLY_ATTACHED_VM)


def _refusal(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> AdvanceRequest | None:
    """Return the end of a request that the contract does not cover, documented all the same; None where it does."""
    found = _uncovered(request, observed)
    if found is None:
        return None
    reason, words, clause = found
    after = advanced(request.status, RequestState.REFUSED, completed_at=now)
    return moved_on(request, after, fails(Aspect.SUCCEEDED, reason, f"Refused: {words}", clause), clause)


def _uncovered(request: ChangeRequest, observed: ObservedRequest) -> tuple[Reason, str, Clause] | None:
    """Return why the contract does not cover a request, in words with the way out, and by which clause."""
    name, entitlement = request.spec.managed_vm_ref.name, observed.entitlement
    if not observed.exists:
        words = f"there is no ManagedVM {name} in this namespace. Name the ManagedVM that the request is for"
        return Reason.OUT_OF_SCOPE_VM, words, Clause.DIRECTLY_ATTACHED_VM
    if is_another_vm(request, observed):
        words = f"the VM that is meant is not the one of ManagedVM {name}; a package serves its own VM only"
        return Reason.OUT_OF_SCOPE_VM, words, Clause.DIRECTLY_ATTACHED_VM
    if entitlement is None or entitlement.order is None:
        words = "no order was in force for this VM when it was asked for. Order the VM, then ask again"
        return Reason.NO_ACTIVE_PACKAGE, words, Clause.OPTIONAL_SERVICES
    if entitlement.package is None and request.spec.kind not in _NEEDS_NO_PACKAGE:
        words = "services on request need an active managed service package. Book one, then ask again"
        return Reason.NO_ACTIVE_PACKAGE, words, Clause.OPTIONAL_SERVICES
    why = software.objection(request.spec.software) if request.spec.software else None
    if why is not None:
        words = (
            f"{why}. Only .deb and .rpm packages of freely accessible repositories are installed and nothing is "
            "compiled; name such a package in a new request"
        )
        return Reason.NOT_FROM_STANDARD_SOURCE, words, Clause.STANDARD_SOURCES
    return None


def _withdrawn(
    request: ChangeRequest, observed: ObservedRequest, stands: Standing, now: datetime
) -> AdvanceRequest:
    """Return the end of a request that is not wanted any more: work that was done until then stays billed, if ordered."""
    decision = stands.decisions.withdrawal
    words = f"Withdrawn by {told(decision)}" if decision else "Withdrawn"
    if stands.is_held:
        words += ". It was held until then, so it never was an order and no work on it is billed"
    # When it was decided, however late that is seen.
    ended_at = min(now, (made_at(decision) if decision else None) or now)
    after = advanced(
        request.status,
        RequestState.WITHDRAWN,
        **stands.fields,
        reaction=_reaction(request, observed, stands, ended_at),
        recovery=_recovery(request, observed, stands, ended_at),
        completed_at=ended_at,
    )
    told_all = with_void(words, stands.decisions)
    finding = fails(Aspect.SUCCEEDED, Reason.WITHDRAWN, told_all, Clause.DOCUMENTED)
    return moved_on(request, after, finding, Clause.DOCUMENTED)


def _documented(
    request: ChangeRequest, observed: ObservedRequest, stands: Standing, now: datetime
) -> AdvanceRequest:
    """Return how far a request is that is covered: held, done, in work, planned, or waiting for a technician."""
    before = request.status
    fields = {
        **stands.fields,
        "reaction": _reaction(request, observed, stands, now),
        "recovery": _recovery(request, observed, stands, now),
    }
    begun = earliest(one.begin for one in observed.work)
    slot = before.slot if begun or not observed.exists else _slot(request, observed, now)
    completion = stands.decisions.completion
    if stands.is_held:
        after = advanced(before, later(before.state, RequestState.HELD), **fields)
        finding = _held(request, observed, stands, now)
    elif completion is not None:
        ended_at = _done_at(completion, stands, now)
        after = advanced(before, RequestState.DONE, **fields, completed_at=ended_at)
        words = f"Done, says {told(completion)}"
        finding = holds(Aspect.SUCCEEDED, Reason.DONE, words, Clause.DOCUMENTED)
    elif begun is not None:
        after = advanced(before, RequestState.IN_WORK, **fields, started_at=before.started_at or begun)
        words = (
            f"In work since {shown(before.started_at or begun)}; each piece of work is a WorkEntry. The provider's "
            f"staff closes it with `managedvm request complete {request.key}`"
        )
        finding = unknown(Aspect.SUCCEEDED, Reason.IN_WORK, words, Clause.DOCUMENTED)
    elif slot is not None:
        after = advanced(before, later(before.state, RequestState.SCHEDULED), **fields, slot=slot)
        finding = _scheduled(slot, now)
    else:
        is_released = stands.release is not None
        state = RequestState.RELEASED if is_released else before.state
        after = advanced(before, later(before.state, state), **fields, slot=None)
        finding = _ordered(request, stands)
    told_all = replace(finding, message=with_void(finding.message, stands.decisions))
    return moved_on(request, after, told_all, Clause.DOCUMENTED)


def _done_at(completion: RequestDecision, stands: Standing, now: datetime) -> datetime:
    """Return when a request was done: when that was decided, or once nothing held it any more."""
    release = stands.release if not stands.authority.may_proceed else None
    released_at = release.released_at if release is not None else None
    known = (at for at in (made_at(completion), released_at) if at is not None)
    return min(now, max(known, default=now))


def _reaction(
    request: ChangeRequest, observed: ObservedRequest, stands: Standing, now: datetime
) -> Reaction | None:
    """Return the reaction clock: its deadline stands from intake on, and all of it once somebody has reacted."""
    known, asked_at = request.status.reaction, request.asked_at or now
    if known is not None and known.reacted_at is not None:
        return known
    level = observed.entitlement.level if observed.entitlement else None
    due = known.due_at if known else (reaction.due_at(level, asked_at) if level else None)
    if due is None:
        return None
    return reaction.reaction(
        due, reaction.reacted_at(asked_at, observed.work, stands.decisions.reacted_at), now
    )


def _recovery(
    request: ChangeRequest, observed: ObservedRequest, stands: Standing, now: datetime
) -> Recovery | None:
    """Return the recovery clock of a fault: its deadline stands from intake on."""
    if request.spec.kind is not RequestKind.FAULT_REPORT:
        return None
    known, asked_at = request.status.recovery, request.asked_at or now
    level = observed.entitlement.level if observed.entitlement else None
    due = known.due_at if known else (reaction.recovery_due_at(level, asked_at) if level else None)
    done = None if stands.is_held else stands.decisions.completion
    return (
        reaction.recovery(due, (done.metadata.creation_timestamp or now) if done else None, now)
        if due
        else None
    )


def _slot(request: ChangeRequest, observed: ObservedRequest, now: datetime) -> Slot | None:
    """Return when the work is planned: the appointment, or the next possible window for an update on order."""
    wanted, planned = request.spec.wanted_at, request.status.slot
    if request.spec.kind is RequestKind.UPDATE_APPOINTMENT and wanted is not None:
        return Slot(begin=wanted, end=wanted + UPDATE)
    if request.spec.kind is not RequestKind.UPDATE_ORDER:
        return None
    if planned is not None and now < planned.end:
        return planned
    after = now if wanted is None else max(now, wanted)
    opening = observed.windows.first_announceable(after, UPDATE) if observed.windows is not None else None
    if opening is None:
        return None
    begin = max(opening.begin, after)
    return Slot(begin=begin, end=min(opening.end, begin + LONGEST_SLOT))


def _held(request: ChangeRequest, observed: ObservedRequest, stands: Standing, now: datetime) -> Finding:
    way = way_out(asked_of(request, now), observed.requesters, now)
    words = f"Documented and held: {shortened(stands.authority.explanation)}. {way}"
    return unknown(Aspect.SUCCEEDED, Reason.REQUEST_HELD, words, Clause.AUTHORISED_REQUESTERS)


def _scheduled(slot: Slot, now: datetime) -> Finding:
    words = (
        f"Planned for {shown(slot.begin)} to {shown(slot.end)}. A technician installs the updates then and records a "
        "WorkEntry: this version installs none by itself"
    )
    if slot.end <= now:
        words += ". That time is over: record the work, or agree on another time with a new request"
    return unknown(Aspect.SUCCEEDED, Reason.SCHEDULED, words, Clause.UPDATE_ON_ORDER)


def _ordered(request: ChangeRequest, stands: Standing) -> Finding:
    what = "A technician works on it and records a WorkEntry"
    if request.spec.kind is RequestKind.UPDATE_ORDER:
        what += (
            ". No maintenance window is agreed: agree on windows in spec.maintenance.agreed, or order an "
            "UpdateAppointment"
        )
    release, known = stands.release, stands.authority
    if release is None:
        how = "Documented as an order" if orders(known) else "Documented"
        words = f"{how}: {shortened(known.explanation)}. {what}"
        return unknown(Aspect.SUCCEEDED, Reason.DOCUMENTED, words, Clause.DOCUMENTED)
    by = f" by {release.released_by}" if release.released_by else ""
    how = "Released" if known.may_proceed else "Held, and released"
    words = f"{how}{by}: {shortened(release.explanation)}. {what}"
    return unknown(Aspect.SUCCEEDED, Reason.RELEASED, words, Clause.AUTHORISED_REQUESTERS)
