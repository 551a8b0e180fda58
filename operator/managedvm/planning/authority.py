"""Who may order for a customer (clause 4): the customer's own list, and the policy where the list does not answer."""

from dataclasses import dataclass
from datetime import datetime

from managedvm.api.customer import RequestPolicy, Requests
from managedvm.api.customercontacts import Requester
from managedvm.planning.findings import some


@dataclass(frozen=True, slots=True)
class Authority:
    """Whether a request may be worked on, and why."""

    may_proceed: bool
    explanation: str


def authority(requesters: tuple[Requester, ...], policy: Requests, who: str, asked_at: datetime) -> Authority:
    """Return whether `who` could order at `asked_at`: validity is that of the day of the request, not of today."""
    named = tuple(r for r in requesters if r.from_ <= asked_at)
    if not named:
        proceeds = policy.no_requester_listed is RequestPolicy.PROCEED
        words = "the request is the order" if proceeds else "requests wait until somebody is listed"
        return Authority(
            may_proceed=proceeds, explanation=f"the customer has named nobody who may order, so {words}"
        )
    listed = next((r for r in named if r.email == who and (r.until is None or asked_at < r.until)), None)
    if listed is not None:
        return Authority(
            may_proceed=True,
            explanation=f"{listed.name} is an authorised requester since {listed.from_:%Y-%m-%d}",
        )
    if policy.unlisted_requester is RequestPolicy.PROCEED:
        return Authority(
            may_proceed=True,
            explanation=f"{who} is not on the customer's list; the customer's policy lets the request proceed",
        )
    listed_then = [r.email for r in named if r.until is None or asked_at < r.until]
    names = some(listed_then, most=2) or "nobody any more"
    return Authority(
        may_proceed=False,
        explanation=f"{who} was not an authorised requester on that day; authorised: {names}",
    )
