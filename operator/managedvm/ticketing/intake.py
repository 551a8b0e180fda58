"""Which tickets there are, and what becomes of each: a request, or a note that says what it lacks."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from managedvm.api.helpdesk import HeldTicket, Helpdesk
from managedvm.engine.store import Store
from managedvm.errors import ConflictError, ManagedVMError, RefusedError
from managedvm.planning import intake
from managedvm.planning.findings import shortened
from managedvm.planning.helpdesk import DocumentRequest, Ticket
from managedvm.planning.intake import Lacking
from managedvm.world import tickets
from managedvm.world.apply import create_once
from managedvm.world.helpdesk.link import Link
from managedvm.world.helpdesk.port import HelpdeskPort
from managedvm.world.helpdesk.zammad import PAGE
from managedvm.world.kube import Kube, NotFoundError, Object

logger = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=5)
"""How far before the latest change that was seen it is asked for changes again: the search learns of them out of order."""

WORKS_FOR = timedelta(seconds=20)
"""How long one pass reads tickets, before others have their turn; the next goes on there."""

MOST_TOLD_OF = 1000
"""Tickets that webhooks have told of and that wait to be looked at."""


class Intake:
    """What is known of the tickets. `changed` is told of each object that we have written."""

    def __init__(
        self,
        store: Store,
        link: Link,
        kube: Kube,
        clock: Callable[[], datetime],
        changed: Callable[[Object], object],
    ) -> None:
        self._store = store
        self._link = link
        self._kube = kube
        self._clock = clock
        self._changed = changed
        self._told_of: OrderedDict[int, None] = OrderedDict()
        self._looked_at: dict[int, datetime] = {}
        self._lacking: dict[int, tuple[Ticket, Lacking]] = {}
        self._is_begun = False
        self.seen_until: datetime | None = None
        self.held: dict[int, HeldTicket] = {}

    def begin(self, desk: Helpdesk) -> None:
        """Know what the status of the Helpdesk has kept of an earlier process; the first call counts."""
        if not self._is_begun:
            self.held = {ticket.id: ticket for ticket in desk.status.held_tickets}
            self.seen_until, self._is_begun = desk.status.seen_until, True

    def told_of(self, ticket: int) -> None:
        """Know that a ticket is to be looked at."""
        self._told_of[ticket] = None
        while len(self._told_of) > MOST_TOLD_OF:
            self._told_of.popitem(last=False)  # it is found when changes are asked for

    async def look_at_what_was_told(self, desk: Helpdesk, port: HelpdeskPort) -> bool:
        """Look at the tickets that were told of; returns whether that were all."""
        until = self._clock() + WORKS_FOR
        while self._told_of and self._clock() < until:
            id_ = next(iter(self._told_of))
            await self._look_at(desk, port, id_)
            self._told_of.pop(id_, None)
        return not self._told_of

    async def look_at_what_changed(self, desk: Helpdesk, port: HelpdeskPort) -> bool:
        """Look at each ticket that has changed, and at those that lack something where that may be there by now.

        Tickets move to the end of the list while it is read, so each page begins at the latest change seen, and only
        where a whole page changed at one instant the next page is asked for. Returns whether that were all.
        """
        until = self._clock() + WORKS_FOR
        since, page = (self.seen_until or desk.metadata.creation_timestamp or self._clock()) - OVERLAP, 1
        oldest, is_last = since, False
        while not is_last:
            lines = await self._link.ask(port.changed_since(since, page), is_vital=True)
            for line in lines:
                if self._clock() >= until:
                    return False
                if self._looked_at.get(line.id) != line.updated_at:
                    await self._look_at(desk, port, line.id)
                    self._looked_at[line.id] = line.updated_at
                self.seen_until = max(line.updated_at, self.seen_until or line.updated_at)
            is_last = len(lines) < PAGE
            latest = lines[-1].updated_at.replace(microsecond=0) if lines else since
            since, page = (latest, 1) if latest > since else (since, page + 1)
        self._looked_at = {id_: at for id_, at in self._looked_at.items() if at >= oldest}
        for id_ in tuple(self.held):
            if self._may_be_better(desk, id_):
                await self._look_at(desk, port, id_)
        return True

    async def _look_at(self, desk: Helpdesk, port: HelpdeskPort, id_: int) -> None:
        """Take a ticket in; one that is refused, or that nobody foresaw, must not keep all others out."""
        try:
            await self._take_in(desk, port, id_)
        except RefusedError as error:
            self._hold(id_, str(id_), shortened(str(error)))
        except ManagedVMError:
            raise
        except Exception:
            logger.exception("Ticket %d of the helpdesk met a bug", id_)
            self._hold(id_, str(id_), "the operator meets a bug with it, and its log has the trace")

    def _may_be_better(self, desk: Helpdesk, id_: int) -> bool:
        """Return whether a ticket that lacks something may be judged otherwise now; after a restart that is not known."""
        if id_ not in self._lacking:
            return id_ not in self._looked_at
        ticket, before = self._lacking[id_]
        return self._plan(desk, ticket) != before

    async def _take_in(self, desk: Helpdesk, port: HelpdeskPort, id_: int) -> None:
        ticket = await self._link.ask(port.ticket(id_))
        planned = self._plan(desk, ticket) if ticket is not None else None
        if ticket is not None and isinstance(planned, DocumentRequest):
            planned = await self._document(ticket, planned)
        match planned:
            case Lacking(reason=reason, note=note) if ticket is not None:
                if note.subject not in ticket.notes:
                    await self._link.ask(port.add_note(note))
                    logger.info("Ticket %s waits: %s", ticket.number, reason)
                self._lacking[id_] = ticket, planned
                self._hold(id_, ticket.number, reason)
            case _:
                self._lacking.pop(id_, None)
                self.held.pop(id_, None)

    def _plan(self, desk: Helpdesk, ticket: Ticket) -> DocumentRequest | Lacking | None:
        names = desk.spec.attributes
        return intake.plan(ticket, names, tickets.known(self._store, ticket, names), self._clock())

    async def _document(self, ticket: Ticket, planned: DocumentRequest) -> Lacking | None:
        try:
            self._changed(await create_once(self._kube, dict(planned.body)))
        except (RefusedError, ConflictError, NotFoundError) as error:
            return intake.cannot_record(ticket, str(error))
        logger.info("Ticket %s is documented (%s)", ticket.number, planned.clause)
        return None

    def _hold(self, id_: int, number: str, reason: str) -> None:
        self.held[id_] = HeldTicket(id=id_, number=number, reason=reason)
