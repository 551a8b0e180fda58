"""What the ticket of a request has to know (clause 4): that there is the request, its news, and the work on it, each once.

What a ticket has been told is read from the ticket itself: the subject of each of our notes is made of what it is about.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from managedvm.api.changerequest import ChangeRequest, RecordOrigin, RequestState
from managedvm.api.helpdesk import Helpdesk
from managedvm.api.workentry import WorkEntry
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, shortened
from managedvm.planning.helpdesk import AddNote, OpenTicket, TicketRef
from managedvm.planning.names import ticket_marker, ticket_request_name
from managedvm.planning.wallclock import shown

_PREFIX = "ManagedVM "
"""How the subjects of our notes begin."""

_LONGEST_TITLE = 240
"""A little less than what Zammad takes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is done before this instant: a ticket may be there and not be found yet."""

    until: datetime


def news(state: RequestState, slot_begin: datetime | None) -> str:
    """Return what is new of a request, as its note is headed: its state, and a planned one with its time."""
    if state is RequestState.SCHEDULED and slot_begin is not None:
        return f"{state} {shown(slot_begin)}"
    return state.value


def news_of(request: ChangeRequest) -> str | None:
    """Return what is new of a request; None before it was looked at for the first time."""
    status = request.status
    if not status.conditions:
        return None
    return news(status.state, status.slot.begin if status.slot else None)


def title(request: ChangeRequest) -> str:
    """Return the title of the ticket of a request; the marker in it is by what the ticket is found again."""
    words = f"{request.spec.kind} {request.spec.managed_vm_ref.name}"
    return f"[{_marker(request)}] {words}"[:_LONGEST_TITLE]


def opening(
    desk: Helpdesk, request: ChangeRequest, *, is_first: bool, named: bool, now: datetime
) -> OpenTicket | Wait:
    """Return the ticket to open for a request for which none was found, or until when one may still come to light.

    `is_first` tells that nobody can have opened one yet, `named` that the request's own number was found (and is of no
    use): a number that is not found may be that of a ticket which the search does not know yet.
    """
    asked_at = request.status.ticket.asked_at if request.status.ticket else now
    until = asked_at + desk.spec.search_lag
    has_number = request.spec.ticket is not None
    if not (is_first and (named or not has_number)) and now < until:
        return Wait(until)
    who = request.spec.requested_by
    return OpenTicket(
        title=title(request),
        customer=who if _is_address(who) else desk.spec.new_tickets.customer,
        # A ticket that says so from the beginning needs no note of what is new.
        subject=_subject(request, news_of(request) or request.status.state.value),
        text=_described(request),
    )


def is_believed(request: ChangeRequest, ticket: TicketRef, addresses: Iterable[str]) -> bool:
    """Return whether a request belongs to the ticket whose number it gives.

    A request that was made of the ticket does. A number that a person wrote counts only where the ticket's customer is
    one of those who order in that namespace: nobody writes into the tickets of another customer (clause 1).
    """
    if request.spec.origin is RecordOrigin.HELPDESK:
        return True
    return ticket.customer.casefold() in {address.casefold() for address in addresses}


def was_documented(number: str, told: Iterable[str]) -> bool:
    """Return whether notes of a ticket are about the request that was made of it, in whatever namespace."""
    of_request = f"/{ticket_request_name(number)}: "
    return any(subject.startswith(_PREFIX) and of_request in subject for subject in told)


def missing_news(request: ChangeRequest, ticket: int, told: Iterable[str]) -> AddNote | None:
    """Return the note with what is new of a request, None where the ticket has it."""
    new = news_of(request)
    if new is None or _subject(request, new) in told:
        return None
    return AddNote(ticket, _subject(request, new), f"{request.key}: {_said(request)}")


def missing_work(
    request: ChangeRequest, entry: WorkEntry, ticket: int, told: Iterable[str]
) -> AddNote | None:
    """Return the note with a piece of accepted work and its time, None where the ticket has it.

    A helpdesk takes no time back: the note of a counter-entry has none, and says what is to be corrected by hand.
    """
    subject = _subject(request, f"work {entry.metadata.name}")
    if subject in told or entry.charge is None:
        return None
    spec, charge = entry.spec, entry.charge
    cost = f"{charge.billing}, {charge.amount} {charge.currency} (clause {charge.clause})"
    if spec.reverses is not None:
        text = (
            f"{spec.performed_by} takes {spec.reverses.name} back: {spec.activity}. {cost}. A time that was accounted for "
            "it here stays until somebody corrects it in the helpdesk"
        )
        return AddNote(ticket, subject, text)
    text = f"{spec.performed_by}, {shown(spec.begin)} to {shown(spec.until)}: {spec.activity}. {cost}"
    return AddNote(ticket, subject, text, minutes=_minutes(spec.until - spec.begin))


def _minutes(spent: timedelta) -> Decimal | None:
    """Return a length of time in minutes with two digits, as a helpdesk takes it; None for none."""
    minutes = (Decimal(int(spent.total_seconds())) / 60).quantize(Decimal("0.01"))
    return minutes or None


def _is_address(who: str) -> bool:
    """Return whether a helpdesk would take this for an e-mail address: a user of the cluster may have any name."""
    return re.fullmatch(r"[^@\s:]+@[^@\s:]+\.[^@\s:.]+", who) is not None


def _marker(request: ChangeRequest) -> str:
    return ticket_marker(request.metadata.namespace, request.metadata.name)


def _subject(request: ChangeRequest, what: str) -> str:
    return f"{_PREFIX}{_marker(request)}: {what}"


def _said(request: ChangeRequest) -> str:
    """Return what the request's own condition says."""
    said = (c.message for c in request.status.conditions if c.type == Aspect.SUCCEEDED)
    return next(said, request.status.state.value)


def _described(request: ChangeRequest) -> str:
    """Return what a ticket says first that is opened for a request: who asked for what, through what, and how it stands."""
    spec = request.spec
    change = spec.change
    what = f"{change.aspect} {change.before} to {change.after}" if change else spec.description or ""
    lines = (
        f"{spec.requested_by} asked through {spec.channel} for {spec.managed_vm_ref.name}: {spec.kind}",
        shortened(what, 2048),
        f"Entered by {spec.applied_by}" if spec.applied_by else "",
        f"Ticket {spec.ticket} was named, and is not used" if spec.ticket else "",
        _said(request),
        f"Documented as ChangeRequest {request.key} ({Clause.DOCUMENTED})",
    )
    return "\n\n".join(filter(None, lines))
