"""What people have decided about a request, as far as it counts (clause 4): the customer controls who orders.

The API server has refused what it can see (manifests/base/policies/records.yaml). It sees neither the kind of the request
nor who asked, so that is judged here, by the list as it was when the decision was made.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import RequestKind
from managedvm.api.customercontacts import Requester
from managedvm.api.requestdecision import Capacity, Decision, RequestDecision
from managedvm.planning.authority import TAKEN_IN_FROM_ANYBODY, entry_of
from managedvm.planning.findings import shortened
from managedvm.planning.wallclock import shown


@dataclass(frozen=True, slots=True)
class Decisions:
    """The first decision of each sort that counts; `void` says of the others why they do not."""

    release: RequestDecision | None = None
    withdrawal: RequestDecision | None = None
    completion: RequestDecision | None = None
    reacted_at: datetime | None = None
    void: tuple[str, ...] = ()


def counted(
    decisions: Iterable[RequestDecision],
    kind: RequestKind,
    requested_by: str,
    requesters: tuple[Requester, ...],
    *,
    recorded_at: datetime | None,
) -> Decisions:
    """Return what counts of the decisions about a request of this kind by `requested_by`, on record since `recorded_at`.

    `reacted_at` is when the provider's staff first decided something: that is a reaction, a customer's word is none.
    """
    ordered = sorted(decisions, key=lambda d: (made_at(d) is None, made_at(d), d.metadata.name))
    valid: dict[Decision, RequestDecision] = {}
    void: list[str] = []
    staff: list[datetime | None] = []
    for one in ordered:
        objection = _too_early(one, recorded_at) or _objection(one, kind, requested_by, requesters)
        if objection is None and Decision.WITHDRAW in valid:
            objection = _too_late(one, kind)
        if objection is None:
            valid.setdefault(one.spec.decision, one)
            staff += [made_at(one)] if one.spec.decided_as is Capacity.STAFF else []
        else:
            void.append(f"{one.spec.decision} by {one.spec.decided_by} does not count: {objection}")
    return Decisions(
        release=valid.get(Decision.RELEASE),
        withdrawal=valid.get(Decision.WITHDRAW),
        completion=valid.get(Decision.COMPLETE),
        reacted_at=next(iter(staff), None),
        void=tuple(void),
    )


def made_at(decision: RequestDecision) -> datetime | None:
    """Return when a decision was made: when the API server stored it."""
    return decision.metadata.creation_timestamp


def told(decision: RequestDecision) -> str:
    """Return who decided and why, in words."""
    spec = decision.spec
    role = " of the provider" if spec.decided_as is Capacity.STAFF else ""
    return f"{spec.decided_by}{role}: {shortened(spec.reason)}"


def with_void(words: str, decisions: Decisions) -> str:
    """Return the words with what does not count and why: whoever decided it reads it here."""
    return ". ".join((words, *(shortened(one, 160) for one in decisions.void[:2])))


def _too_early(decision: RequestDecision, recorded_at: datetime | None) -> str | None:
    """Return that a decision was made before anybody could know what it is about.

    The API server tells times to the second, so of two in the same second nobody can say which came first: that counts.
    """
    at = made_at(decision)
    if at is None or recorded_at is None or recorded_at <= at:
        return None
    return f"it was made at {shown(at)}, before the request was there"


def _too_late(decision: RequestDecision, kind: RequestKind) -> str | None:
    """Return that a decision was made after the withdrawal; what is billed of a fault may be released then, too."""
    what = decision.spec.decision
    is_open = what is Decision.WITHDRAW or (what is Decision.RELEASE and kind in TAKEN_IN_FROM_ANYBODY)
    return None if is_open else "the request was withdrawn before"


def _objection(
    decision: RequestDecision, kind: RequestKind, requested_by: str, requesters: tuple[Requester, ...]
) -> str | None:
    spec, at = decision.spec, made_at(decision)
    if spec.decided_as is Capacity.STAFF:
        return None  # the API server has asked for the verb `attest`
    if spec.decision is Decision.COMPLETE:
        return "only the provider's staff says that work is done"
    if spec.decision is Decision.WITHDRAW and spec.decided_by == requested_by:
        return None
    if at is not None and entry_of(requesters, spec.decided_by, at, kind) is not None:
        return None
    return f"no authorised requester for {kind} then"
