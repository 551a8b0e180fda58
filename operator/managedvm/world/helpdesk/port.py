"""What the operator asks of a helpdesk. Every call is one attempt; what became of a lost one is seen by looking again."""

from datetime import datetime
from typing import Protocol

from managedvm.planning.helpdesk import AddNote, OpenTicket, Ticket, TicketLine, TicketRef


class HelpdeskPort(Protocol):
    """A ticket system; errors as in `errors`, those of mutating calls may be `UnknownOutcomeError`."""

    async def changed_since(self, since: datetime, page: int) -> list[TicketLine]:
        """Return tickets that changed at or after an instant of the helpdesk's clock, oldest change first, a page from 1."""

    async def ticket(self, ticket: int) -> Ticket | None:
        """Read a ticket; None where there is none, or none that our user may see."""

    async def numbered(self, number: str) -> TicketRef | None:
        """Find a ticket by its number; one that is new may not be found yet."""

    async def titled(self, title: str) -> TicketRef | None:
        """Find a ticket that our own user opened under this title; one that is new may not be found yet."""

    async def notes(self, ticket: int) -> frozenset[str]:
        """Return the subjects of the notes that our own user has written into a ticket."""

    async def open(self, what: OpenTicket) -> TicketRef:
        """Open a ticket."""

    async def add_note(self, note: AddNote) -> None:
        """Add a note, with its time where it has one."""

    async def close(self) -> None:
        """Close the connections."""
