"""Who may order and decide, and what every piece of work that is billed keeps, whatever people did in whatever order.

The laws are written from the contract (clauses 4 and 6), not from the code of `planning`.
"""

from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import ChangeRequest, RequestState
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.workentry import WorkEntry
from managedvm.planning.requestcase import ObservedRequest


@dataclass(frozen=True, slots=True)
class People:
    """Whom the customer lists: for the namespace of a request, since when for another one, and what else it says."""

    requesters: tuple[Requester, ...]
    elsewhere_since: datetime | None
    policy: Requests

    def lists(self, who: str, at: datetime, request: ChangeRequest) -> bool:
        """Return whether an entry names somebody for this kind of request at that time."""
        mine = (
            r for r in self.requesters if r.email == who and (not r.scope or request.spec.kind in r.scope)
        )
        return any(r.from_ <= at and (r.until is None or at < r.until) for r in mine)

    def let_order(self, request: ChangeRequest) -> bool:
        """Return whether the requester may order this, by a list or by the policy where no list says so."""
        at = asked_at(request)
        named = [r.from_ for r in self.requesters] + ([self.elsewhere_since] if self.elsewhere_since else [])
        is_listing = any(since <= at for since in named)
        policy = self.policy.unlisted_requester if is_listing else self.policy.no_requester_listed
        return self.lists(request.spec.requested_by, at, request) or policy == "Proceed"

    def let_decide(self, one: RequestDecision, request: ChangeRequest) -> bool:
        """Return whether a decision is by somebody who may, and about a request that was there."""
        created = request.metadata.creation_timestamp
        own = one.spec.decision == "Withdraw" and one.spec.decided_by == request.spec.requested_by
        may = own or one.spec.decided_as == "Staff" or self.lists(one.spec.decided_by, when(one), request)
        return may and created is not None and created <= when(one)


def covers(observed: ObservedRequest, request: ChangeRequest) -> bool:
    """Return whether the contract covers a request as things are: services need a package, the intake of a fault does not."""
    ordered = observed.entitlement
    return ordered is not None and (ordered.package is not None or request.spec.kind == "FaultReport")


def people_of(observed: ObservedRequest) -> People:
    """Return whom the customer of a request lists."""
    return People(observed.requesters, observed.elsewhere_since, observed.policy)


def what_is_billed_was_ordered(
    entry: WorkEntry,
    request: ChangeRequest,
    observed: ObservedRequest,
    *,
    could_order: bool,
    is_covered: bool,
) -> None:
    """Assert of an entry that was just given a price: the work is covered, within the order, and ordered by who may.

    `could_order` tells whether the requester could, by lists and policy as they were at any time until now, and
    `is_covered` whether there was a package, or a VM with a fault.
    """
    assert entry.charge is not None
    if entry.charge.amount == "0.00":
        return
    status, people = request.status, people_of(observed)
    said = [one for one in observed.decisions if people.let_decide(one, request)]
    assert is_covered, "billed, and no clause covers it"
    assert status.state is not RequestState.REFUSED, "billed although it was refused"
    assert asked_at(request) <= entry.spec.begin, "worked before anybody had asked"
    ends = [when(one) for one in said if one.spec.decision == "Withdraw"]
    # A list that is extended later may make an earlier withdrawal count, but what has come to its end has.
    end = status.completed_at or (min(ends) if ends else None)
    assert status.state is not RequestState.WITHDRAWN or status.completed_at in ends
    if status.state is RequestState.DONE:
        end = None
    assert end is None or entry.spec.until <= end, "worked on what nobody wanted any more"
    until = None if request.spec.kind == "FaultReport" else end  # a fault is argued about after its end
    is_released = any(
        one.spec.decision == "Release" and (until is None or when(one) <= until) for one in said
    )
    assert could_order or is_released, "billed, and nobody who may had ordered it"


def when(decision: RequestDecision) -> datetime:
    """Return when a decision was made."""
    made = decision.metadata.creation_timestamp
    assert made is not None
    return made


def asked_at(request: ChangeRequest) -> datetime:
    """Return when the request was asked: as it says itself, else when it was written."""
    at = request.spec.asked_at or request.metadata.creation_timestamp
    assert at is not None
    return at
