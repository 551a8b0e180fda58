"""Who may order for a customer (clause 4): the customer's own list, and the policy where the list does not answer."""

from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import AuthorityEntry, RequestAuthority, RequestKind
from managedvm.api.customer import RequestPolicy, Requests
from managedvm.api.customercontacts import Requester
from managedvm.planning.findings import shortened, some

TAKEN_IN_FROM_ANYBODY = frozenset({RequestKind.FAULT_REPORT})
"""A fault is a notice and no instruction (clause 4.1): nobody waits for a signature while a VM is down (decision 14)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Whether a request may be worked on and whether what is billed is ordered by it, and why.

    `entry` is that of the list, None where a policy decides.
    """

    may_proceed: bool
    may_order: bool
    explanation: str
    entry: Requester | None = None

    def recorded(self, now: datetime) -> RequestAuthority:
        """Return the decision as the status of a request keeps it."""
        entry = self.entry
        return RequestAuthority(
            decided_at=now,
            may_proceed=self.may_proceed,
            may_order=self.may_order,
            entry=AuthorityEntry(email=entry.email, from_=entry.from_) if entry else None,
            explanation=shortened(self.explanation, 512),
        )


def authority(  # noqa: PLR0917 - who asked what and when, and by what that is judged
    requesters: tuple[Requester, ...],
    policy: Requests,
    who: str,
    asked_at: datetime,
    kind: RequestKind,
    elsewhere_since: datetime | None = None,
) -> Authority:
    """Return whether `who` could order this at `asked_at`: validity is that of the day of the request, not of today.

    `requesters` are those of the request's namespace. An entry authorises there only; since when the customer names
    anybody for another of its namespaces, `elsewhere_since`, whoever is not listed here is not listed at all.
    """
    named = tuple(r for r in requesters if r.from_ <= asked_at)
    if not named and (elsewhere_since is None or asked_at < elsewhere_since):
        words = "the customer has named nobody who may order, so "
        if policy.no_requester_listed is RequestPolicy.PROCEED:
            return Authority(may_proceed=True, may_order=True, explanation=f"{words}the request is the order")
        return _unauthorised(kind, f"{words}requests wait until somebody is listed")
    listed = entry_of(named, who, asked_at, kind)
    if listed is not None:
        return Authority(
            may_proceed=True,
            may_order=True,
            explanation=f"{listed.name} is an authorised requester since {listed.from_:%Y-%m-%d}",
            entry=listed,
        )
    scopes = [one for r in named if r.email == who and is_valid(r, asked_at) for one in r.scope]
    if policy.unlisted_requester is RequestPolicy.PROCEED:
        what = f"is listed for {some(scopes)} only" if scopes else "is not on the customer's list"
        return Authority(
            may_proceed=True,
            may_order=True,
            explanation=f"{who} {what}; the customer's policy lets the request proceed",
        )
    names = some(who_may(named, asked_at, kind), most=2) or (
        "nobody any more" if named else "nobody for this namespace, the customer lists people for others only"
    )
    if scopes:
        return _unauthorised(
            kind, f"{who} may order {some(scopes)} only, and not {kind}; authorised for that: {names}"
        )
    return _unauthorised(kind, f"{who} was not an authorised requester on that day; authorised: {names}")


def _unauthorised(kind: RequestKind, words: str) -> Authority:
    is_taken_in = kind in TAKEN_IN_FROM_ANYBODY
    more = "; a fault is taken in from anybody, and what is billed of it waits for a release"
    return Authority(
        may_proceed=is_taken_in, may_order=False, explanation=f"{words}{more if is_taken_in else ''}"
    )


def entry_of(
    requesters: tuple[Requester, ...], who: str, at: datetime, kind: RequestKind
) -> Requester | None:
    """Return the entry by which `who` may order requests of this kind at this time, None where there is none."""
    return next((r for r in requesters if r.email == who and is_valid(r, at) and covers(r, kind)), None)


def who_may(requesters: tuple[Requester, ...], at: datetime, kind: RequestKind) -> list[str]:
    """Return the addresses of all who may order requests of this kind at this time."""
    return list(dict.fromkeys(r.email for r in requesters if is_valid(r, at) and covers(r, kind)))


def is_valid(requester: Requester, at: datetime) -> bool:
    """Return whether the entry is valid; `from` belongs to it, `until` does not any more."""
    return requester.from_ <= at and (requester.until is None or at < requester.until)


def covers(requester: Requester, kind: RequestKind) -> bool:
    """Return whether the entry is for requests of this kind; one without a scope is for all."""
    return not requester.scope or kind in requester.scope
