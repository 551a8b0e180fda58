"""`explain`: what is promised, kept, waited for, refused and charged for one ManagedVM, each with its clause.

Made of what the API server holds, so that whoever may read the objects can ask, without access to a vCenter. In Observe
mode the same conditions are the dry run: they say what would be done.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from managedvm.api.base import APPLIED_BY, Condition, ObjectMeta
from managedvm.api.changerequest import (
    ChangeRequest,
    Reaction,
    RecordOrigin,
    Recovery,
    RequestState,
)
from managedvm.api.managedvm import ManagedVM
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.vcenter import Mode
from managedvm.api.workentry import WorkEntry
from managedvm.planning.findings import Aspect
from managedvm.planning.reasons import Effect, Reason
from managedvm.planning.wallclock import shown


class Topic(StrEnum):
    """The heading that a statement stands under."""

    UNSEEN = "Not looked at yet"
    PROMISED = "Promised"
    KEPT = "Kept"
    WAITING = "Waiting"
    NOT_DONE = "Not done"
    REFUSED = "Refused"
    REQUESTED = "Requested"
    DECIDED = "Decided"
    CHARGED = "Charged"


@dataclass(frozen=True, slots=True)
class Statement:
    """One line: its topic, the clause that it follows from, what it is about, and the fact."""

    topic: Topic
    clause: str
    about: str
    text: str


_CLAUSE = re.compile(r"\(clause ([0-9.]+)\)")
_REASONS = {reason.word: reason for reason in Reason}
_ASPECTS = frozenset(Aspect)
_TOPICS = {Effect.NONE: Topic.NOT_DONE, Effect.RECONCILING: Topic.WAITING, Effect.STALLED: Topic.REFUSED}


def explain(
    vm: ManagedVM,
    requests: Iterable[ChangeRequest],
    work: Iterable[WorkEntry],
    decisions: Iterable[RequestDecision] = (),
) -> tuple[Statement, ...]:
    """Return the statements in the order of their topics; `requests`, `work` and `decisions` are those of this VM."""
    asked = sorted(
        requests, key=lambda r: (r.metadata.creation_timestamp is None, r.metadata.creation_timestamp)
    )
    worked = sorted(work, key=lambda w: w.spec.begin)
    found = [
        *_unseen(vm),
        *_promised(vm),
        *(_said(condition) for condition in vm.status.conditions if condition.type in _ASPECTS),
        *(_requested(request) for request in asked),
        *(line for request in asked for line in _stands(request, request.metadata.name)),
        *(_decided(decision, decision.spec.change_request_ref.name) for decision in _in_time(decisions)),
        *(_charged(entry, asked) for entry in worked),
    ]
    order = list(Topic)
    return tuple(sorted(found, key=lambda s: order.index(s.topic)))


def explain_request(
    request: ChangeRequest, work: Iterable[WorkEntry], decisions: Iterable[RequestDecision]
) -> tuple[Statement, ...]:
    """Return what is to be told of one request: what was asked, what was decided about it, and the work on it."""
    status = request.status
    asked = _requested(request)
    clock = []
    if status.reaction is not None:
        clock.append(Statement(asked.topic, "4.1", "Reaction", _reacted(status.reaction)))
    if status.recovery is not None:
        clock.append(Statement(asked.topic, "4.1", "Recovery", _recovered(status.recovery)))
    return (
        asked,
        *clock,
        *_stands(request, ""),
        *(_decided(decision, decision.metadata.name) for decision in _in_time(decisions)),
        *(_charged(entry, (request,)) for entry in sorted(work, key=lambda w: w.spec.begin)),
    )


def is_looked_at(vm: ManagedVM) -> bool:
    """Return whether the operator has decided about the spec as it is now."""
    return vm.status.observed_generation >= vm.metadata.generation


def _unseen(vm: ManagedVM) -> Iterable[Statement]:
    """Yield that the rest is about an earlier spec, or about none: what is over must not read as the present."""
    if is_looked_at(vm):
        return
    seen, now = vm.status.observed_generation, vm.metadata.generation
    if seen < 0:
        text = "The operator has not looked at this ManagedVM. Ask again in a moment; if it stays so, see that it runs"
    else:
        text = f"What follows is about generation {seen} of the spec; generation {now} is not decided yet. Ask again in a moment"
    yield Statement(Topic.UNSEEN, "", "Spec", text)


def _promised(vm: ManagedVM) -> Iterable[Statement]:
    order, status = vm.status.order, vm.status
    if order is not None:
        package = f"package {order.service_package}" if order.service_package else "no package"
        text = f"Order {order.reference}: service level {order.service_level}, {package}, since {order.from_:%Y-%m-%d}"
        yield Statement(Topic.PROMISED, "1", "Order", text)
    if status.next_order is not None:
        text = f"Order {status.next_order.reference} follows on {status.next_order.from_:%Y-%m-%d}"
        yield Statement(Topic.PROMISED, "1", "Order", text)
    if status.mode is Mode.OBSERVE:
        yield Statement(
            Topic.PROMISED, "1", "Mode", "Observe: what follows is what would be done; nothing is done"
        )
    for service in status.services:
        text = "included" if service.included else "not included"
        yield Statement(Topic.PROMISED, service.clause, service.name, text)


def _said(condition: Condition) -> Statement:
    clauses = _CLAUSE.findall(condition.message)
    reason = _REASONS.get(condition.reason)
    if condition.status == "True":
        topic = Topic.KEPT
    else:
        topic = _TOPICS[reason.effect] if reason is not None else Topic.WAITING
    text = f"{condition.reason}: {_CLAUSE.sub('', condition.message).strip()}"
    return Statement(topic, clauses[0] if clauses else "", condition.type, text)


def _requested(request: ChangeRequest) -> Statement:
    spec, status = request.spec, request.status
    change = (
        f"{spec.change.aspect} {spec.change.before} to {spec.change.after}"
        if spec.change
        else f"{spec.kind} ({spec.description})"
    )
    by = _entered(request.metadata, spec.requested_by) if spec.origin is RecordOrigin.PERSON else ""
    if spec.applied_by and spec.applied_by != spec.requested_by:
        by = f" (applied by {spec.applied_by})"
    when = f" at {shown(spec.asked_at)}" if spec.asked_at is not None else ""
    parts = [f"{change}, asked for by {spec.requested_by}{by} through {spec.channel}{when}: {status.state}"]
    if status.slot is not None and status.state is RequestState.SCHEDULED:
        parts.append(f"planned for {status.slot.begin:%Y-%m-%dT%H:%M:%SZ}")
    if status.assessment is not None:
        parts.append(f"{status.assessment.billing}: {status.assessment.reason.rstrip('.')}")
    outcome = next((c.message for c in status.conditions if c.type == Aspect.SUCCEEDED), "")
    if outcome:
        parts.append(_CLAUSE.sub("", outcome).strip())
    topic = Topic.REFUSED if status.state is RequestState.REFUSED else Topic.REQUESTED
    clause = status.assessment.clause if status.assessment else next(iter(_CLAUSE.findall(outcome)), "4")
    return Statement(topic, clause, request.metadata.name, ". ".join(parts))


def _stands(request: ChangeRequest, name: str) -> Iterable[Statement]:
    """Yield what was decided once and stands; `name` is put before what it is about, where there are several requests."""
    status, prefix = request.status, f"{name} " if name else ""
    if status.authority is not None:
        may = "May be worked on" if status.authority.may_proceed else "May not be worked on"
        if status.authority.may_proceed and not status.authority.may_order:
            may += ", but what is billed was not ordered"
        text = f"{may}: {status.authority.explanation}"
        if status.authority.entry is not None:
            entry = status.authority.entry
            text += f" (entry {entry.email} from {shown(entry.from_)})"
        text += f", decided at {shown(status.authority.decided_at)}"
        yield Statement(Topic.DECIDED, "4", f"{prefix}Authority", text)
    if status.release is not None:
        by = f" by {status.release.released_by}" if status.release.released_by else ""
        text = f"Released{by} at {shown(status.release.released_at)}: {status.release.explanation}"
        yield Statement(Topic.DECIDED, "4", f"{prefix}Release", text)


def _decided(decision: RequestDecision, about: str) -> Statement:
    spec, at = decision.spec, decision.metadata.creation_timestamp
    when = f" at {shown(at)}" if at else ""
    who = f"{spec.decided_by}{_entered(decision.metadata, spec.decided_by)}"
    text = f"{spec.decision} by {who} as {spec.decided_as}{when}: {spec.reason}"
    return Statement(Topic.DECIDED, "4", about, text)


def _entered(meta: ObjectMeta, who: str) -> str:
    """Return who entered a record, where the API server knows that it was somebody else than whom it names."""
    by = meta.annotations.get(APPLIED_BY, who)
    return "" if by == who else f" (entered by {by})"


def _in_time(decisions: Iterable[RequestDecision]) -> list[RequestDecision]:
    return sorted(decisions, key=lambda d: (str(d.metadata.creation_timestamp), d.metadata.name))


def _reacted(reaction: Reaction) -> str:
    """Return how the reaction clock of a request stands."""
    due = f"due by {shown(reaction.due_at)}"
    if reaction.reacted_at is not None:
        how = "too late" if reaction.is_missed else "in time"
        return f"Somebody reacted at {shown(reaction.reacted_at)}, {how}: {due}"
    return f"Missed, {due}" if reaction.is_missed else f"Awaited, {due}"


def _recovered(recovery: Recovery) -> str:
    """Return how the recovery clock of a fault stands."""
    due = f"due by {shown(recovery.due_at)}"
    if recovery.recovered_at is not None:
        how = "too late" if recovery.is_missed else "in time"
        return f"Mended at {shown(recovery.recovered_at)}, {how}: {due}"
    return f"Missed, {due}" if recovery.is_missed else f"Awaited, {due}"


def _charged(entry: WorkEntry, requests: Iterable[ChangeRequest]) -> Statement:
    spec, charge = entry.spec, entry.charge
    name = spec.change_request_ref.name
    request = next((r for r in requests if r.metadata.name == name), None)
    ordered = f", ordered by {request.spec.requested_by}" if request else ""
    done = f"{spec.activity}, by {spec.performed_by} from {spec.begin:%Y-%m-%dT%H:%M:%SZ} to {spec.until:%H:%M:%SZ}{ordered}"
    if charge is None:
        return _not_billed(entry, done)
    price = f"{charge.amount} {charge.currency} ({charge.billing}): {charge.explanation}"
    return Statement(Topic.CHARGED, charge.clause, entry.metadata.name, f"{done}; {price}")


def _not_billed(entry: WorkEntry, done: str) -> Statement:
    """Return why work is not billed, or not yet."""
    said = next((c for c in entry.status.conditions if c.type == Aspect.ACCEPTED), None)
    if said is None:
        return Statement(
            Topic.WAITING, "4", entry.metadata.name, f"{done}; whether it is billed is not decided yet"
        )
    topic = Topic.REFUSED if said.status == "False" else Topic.WAITING
    clause = next(iter(_CLAUSE.findall(said.message)), "4")
    why = f"{said.reason}: {_CLAUSE.sub('', said.message).strip()}"
    return Statement(topic, clause, entry.metadata.name, f"{done}; not billed. {why}")
