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
from managedvm.planning.authority import entry_of
from managedvm.planning.findings import shortened


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
) -> Decisions:
    """Return what counts of the decisions about a request of this kind by `requested_by`.

    `reacted_at` is when the provider's staff first decided something: that is a reaction, a customer's word is none.
    """
    ordered = sorted(decisions, key=lambda d: (made_at(d) is None, made_at(d), d.metadata.name))
    valid: dict[Decision, RequestDecision] = {}
    void: list[str] = []
    for one in ordered:
        objection = _objection(one, kind, requested_by, requesters)
        if objection is None:
            valid.setdefault(one.spec.decision, one)
        else:
            void.append(f"{one.spec.decision} by {one.spec.decided_by} does not count: {objection}")
    staff = (made_at(one) for one in ordered if one.spec.decided_as is Capacity.STAFF)
    return Decisions(
        release=valid.get(Decision.RELEASE),
        withdrawal=valid.get(Decision.WITHDRAW),
        completion=valid.get(Decision.COMPLETE),
        reacted_at=next(staff, None),
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
