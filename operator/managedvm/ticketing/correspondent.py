"""What the ticket of a request has to know: it is found or opened, told what is new, and given the work, each once."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from managedvm.api.changerequest import ChangeRequest
from managedvm.api.helpdesk import Helpdesk
from managedvm.engine.objects import ObjectKey
from managedvm.engine.passes import Verdict
from managedvm.engine.store import Store
from managedvm.errors import RefusedError, UnknownOutcomeError
from managedvm.planning import correspondence, helpdesk
from managedvm.planning.correspondence import Wait
from managedvm.planning.findings import shortened
from managedvm.planning.helpdesk import TicketRef
from managedvm.world import tickets
from managedvm.world.helpdesk.link import Link
from managedvm.world.helpdesk.port import HelpdeskPort
from managedvm.world.kube import Kube, Object

logger = logging.getLogger(__name__)


class Correspondent:
    """Writes into tickets. `changed` is told of each object that we have written.

    `refused` says why tickets could not be written, by the key of the request.
    """

    def __init__(self, store: Store, link: Link, kube: Kube, changed: Callable[[Object], object]) -> None:
        self._store = store
        self._link = link
        self._kube = kube
        self._changed = changed
        self._unsure: dict[ObjectKey, datetime] = {}
        self.refused: dict[ObjectKey, str] = {}

    async def write(self, desk: Helpdesk, key: ObjectKey, now: datetime) -> Verdict:
        """Bring the ticket of a request up to date.

        Raises:
            RefusedError: the helpdesk refuses it; `refused` says why.
            ManagedVMError: as the world is; what is missing is written when it is tried again.
        """
        body = self._store.get("ChangeRequest", key.namespace, key.name)
        if body is None or not self._has_news(desk, ChangeRequest.of(body)):
            self.refused.pop(key, None)
            return Verdict()
        if self._unsure.get(key, now) > now:
            return Verdict(next_check=self._unsure[key])
        try:
            is_first = (body.get("status") or {}).get("ticket") is None
            if is_first:
                # Before anything else: from now on nothing of it is billed without a ticket.
                body = await self._note_in_status(body, askedAt=_written(now))
            port = self._link.port
            ticket = await self._ticket_of(desk, port, body, is_first=is_first, now=now)
            if isinstance(ticket, Wait):
                return Verdict(next_check=ticket.until)
            await self._bring_up_to_date(port, ticket, key, now)
        except UnknownOutcomeError:
            # What was sent may still be on its way; it is looked for when it must have arrived.
            self._unsure[key] = now + desk.spec.search_lag
            return Verdict(next_check=self._unsure[key])
        except RefusedError as error:
            self.refused[key] = shortened(str(error))
            raise
        self._unsure.pop(key, None)
        self.refused.pop(key, None)
        return Verdict()

    def _has_news(self, desk: Helpdesk, request: ChangeRequest) -> bool:
        new, ticket = correspondence.news_of(request), request.status.ticket
        if new is None or not helpdesk.concerns(desk, request):
            return False
        return ticket is None or ticket.told != new or bool(tickets.work_to_tell(self._store, request))

    async def _ticket_of(
        self, desk: Helpdesk, port: HelpdeskPort, body: Object, *, is_first: bool, now: datetime
    ) -> int | Wait:
        """Return the id of the ticket of a request, which is found or opened, or until when it may still be found."""
        request = ChangeRequest.of(body)
        ticket = request.status.ticket
        if ticket is not None and ticket.id is not None:
            return ticket.id
        number = request.spec.ticket
        named = await self._link.ask(port.numbered(number)) if number else None
        found = named if named is not None and self._is_believed(request, named) else None
        if found is None:
            found = await self._link.ask(port.titled(correspondence.title(request)))
        if found is None:
            planned = correspondence.opening(
                desk, request, is_first=is_first, named=named is not None, now=now
            )
            if isinstance(planned, Wait):
                return planned
            if not is_first:
                body = await self._note_in_status(body, askedAt=_written(now))
            found = await self._link.ask(port.open(planned))
            logger.info("Ticket %s is opened for %s (%s)", found.number, request.key, planned.clause)
        await self._note_in_status(body, id=found.id, number=found.number)
        return found.id

    def _is_believed(self, request: ChangeRequest, named: TicketRef) -> bool:
        listed = tickets.addresses(self._store, request.metadata.namespace)
        return correspondence.is_believed(request, named, listed)

    async def _bring_up_to_date(self, port: HelpdeskPort, ticket: int, key: ObjectKey, now: datetime) -> None:
        """Add the notes that a ticket lacks, and then note that it has them."""
        body = self._store.get("ChangeRequest", key.namespace, key.name)
        if body is None:
            return
        request = ChangeRequest.of(body)
        told = await self._link.ask(port.notes(ticket))
        note = correspondence.missing_news(request, ticket, told)
        if note is not None:
            await self._link.ask(port.add_note(note))
        await self._note_in_status(body, told=correspondence.news_of(request))
        for work, entry in tickets.work_to_tell(self._store, request):
            note = correspondence.missing_work(request, entry, ticket, told)
            if note is not None:
                await self._link.ask(port.add_note(note))
            await self._patch(work, {"ticketedAt": _written(now)})

    async def _note_in_status(self, body: Object, **fields: Any) -> Object:
        """Write what is known about the ticket of a request, and return the request."""
        known = (body.get("status") or {}).get("ticket") or {}
        new = {name: value for name, value in fields.items() if known.get(name) != value}
        return await self._patch(body, {"ticket": new}) if new else body

    async def _patch(self, body: Object, status: Object) -> Object:
        meta = body["metadata"]
        where = (body["kind"], meta["namespace"], meta["name"])
        written = await self._kube.patch_status(*where, status, meta["resourceVersion"])
        self._changed(written)
        return written


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
