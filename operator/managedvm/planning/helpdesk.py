"""What of the helpdesk decisions are made on, and what they ask of it: values, and what is said of the Helpdesk object."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from managedvm.api.changerequest import ChangeRequest, RequestTicket
from managedvm.api.helpdesk import HeldTicket, Helpdesk
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, some, unknown
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import shown

OUTAGE_IS_TOLD_AFTER = timedelta(minutes=1)
"""How long the helpdesk may be away before a person is told: it is restarted now and then."""


@dataclass(frozen=True, slots=True)
class TicketLine:
    """One line of a list of tickets: which, and as of when."""

    id: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as the helpdesk holds it.

    `customer` is the e-mail address of its customer, or the login of one who has none; `channel` the type of its first
    article as the helpdesk names it; `text` what that article says, without mark-up; `attributes` what was asked for of
    the attributes of its own, by their names there, without empty ones. `is_ours` tells that our own user opened it, and
    `notes` are the subjects of what our own user has written into it.
    """

    id: int
    number: str
    title: str
    state: str
    customer: str
    channel: str
    text: str
    created_at: datetime
    is_ours: bool = False
    notes: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TicketRef:
    """Which ticket: the helpdesk's own id, and the number that people know; `customer` as above."""

    id: int
    number: str
    customer: str = ""


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """Create the ChangeRequest of a ticket; the same record already there is success."""

    body: Mapping[str, Any]
    clause: Clause = Clause.DOCUMENTED


@dataclass(frozen=True, slots=True)
class AddNote:
    """Add an internal note to a ticket unless it has one of ours with this subject; `minutes` are accounted with it."""

    ticket: int
    subject: str
    text: str
    minutes: Decimal | None = None
    clause: Clause = Clause.DOCUMENTED


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """Open a ticket for a request that has none; who does not get an answer finds it by its title later."""

    title: str
    customer: str
    subject: str
    text: str
    clause: Clause = Clause.DOCUMENTED


def concerns(desk: Helpdesk | None, request: ChangeRequest) -> bool:
    """Return whether a request is to have a ticket: all that were made since there is a helpdesk, and who has one."""
    if desk is None:
        return False
    since, made = desk.metadata.creation_timestamp, request.metadata.creation_timestamp
    return request.status.ticket is not None or (since is not None and made is not None and since <= made)


def awaits_ticket(desk: Helpdesk | None, request: ChangeRequest) -> bool:
    """Return whether nothing of a request may be billed yet, since its ticket is not there (clause 4)."""
    return concerns(desk, request) and not has_ticket(request.status.ticket)


def has_ticket(ticket: RequestTicket | None) -> bool:
    """Return whether a ticket is there, and known."""
    return ticket is not None and ticket.number is not None


def number_of(request: ChangeRequest) -> str | None:
    """Return the number of the ticket of a request: the helpdesk's own, or the one that the request names."""
    ticket = request.status.ticket
    return (ticket.number if ticket else None) or request.spec.ticket


def reached(desk: Helpdesk, down_since: datetime | None, why: str, now: datetime) -> tuple[Finding, ...]:
    """Return whether the helpdesk is reached; nothing while it is away for a moment only."""
    if down_since is None:
        words = f"{desk.spec.url} answers"
        return (holds(Aspect.REACHABLE, Reason.HELPDESK_REACHABLE, words, Clause.DOCUMENTED),)
    if now - down_since < OUTAGE_IS_TOLD_AFTER:
        return ()
    words = (
        f"{desk.spec.url} does not answer since {shown(down_since)}: {why}. Nothing is lost: what it has to know waits, "
        "and tickets are taken in when it is back"
    )
    return (unknown(Aspect.REACHABLE, Reason.HELPDESK_UNREACHABLE, words, Clause.DOCUMENTED),)


def refused(reason: Reason, why: str) -> Finding:
    """Return that the helpdesk refuses us, which a person must mend."""
    return fails(Aspect.REACHABLE, reason, why, Clause.DOCUMENTED)


def documented(held: Iterable[HeldTicket], refused: Iterable[str]) -> Finding:
    """Return whether every ticket is documented as a request, and every request in a ticket; `refused` says why one is not."""
    tickets, requests = [f"{ticket.number}: {ticket.reason}" for ticket in held], list(refused)
    if not tickets and not requests:
        words = "Every ticket is documented as a ChangeRequest, and every ChangeRequest in a ticket"
        return holds(Aspect.TICKETS_DOCUMENTED, Reason.TICKETS_DOCUMENTED, words, Clause.DOCUMENTED)
    if not tickets:
        words = f"The helpdesk refuses what it has to know of requests ({some(requests, most=2)})"
        return fails(Aspect.TICKETS_DOCUMENTED, Reason.REFUSED, words, Clause.DOCUMENTED)
    words = (
        f"Tickets wait for what they lack ({some(tickets, most=3)}). A note in each says how it is put right"
    )
    if requests:
        words += f". The helpdesk refuses what it has to know of requests ({some(requests, most=1)})"
    return fails(Aspect.TICKETS_DOCUMENTED, Reason.TICKETS_HELD, words, Clause.DOCUMENTED)
