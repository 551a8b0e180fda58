"""The passes of the helpdesk: which tickets there are and what becomes of each, and what the ticket of a request has to know.

As in `reconcile`, each pass reads, decides by `planning` and acts. The key of the second names no object: it is
`Correspondence` with namespace and name of a request. At most one pass of each sort runs at a time, so that a slow helpdesk
holds two workers and no more.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, assert_never

from managedvm.api.base import Status
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.helpdesk import MOST_HELD, SINGLETON, HeldTicket, Helpdesk, HelpdeskStatus
from managedvm.engine.objects import ObjectKey
from managedvm.engine.passes import Verdict
from managedvm.engine.store import Store
from managedvm.errors import ConflictError, ManagedVMError, RefusedError, UnknownOutcomeError
from managedvm.planning import correspondence, helpdesk, intake
from managedvm.planning.correspondence import Wait
from managedvm.planning.findings import Aspect, Finding, Reason, fails, shortened, some
from managedvm.planning.helpdesk import DocumentRequest, Ticket, TicketRef
from managedvm.planning.intake import Lacking
from managedvm.report import notices, reported, status_patch
from managedvm.telling import Teller
from managedvm.world import tickets
from managedvm.world.apply import create_once
from managedvm.world.helpdesk.link import HelpdeskAwayError, Link
from managedvm.world.helpdesk.port import HelpdeskPort
from managedvm.world.helpdesk.zammad import PAGE
from managedvm.world.kube import Kube, NotFoundError, Object
from managedvm.world.records import missing_policies
from managedvm.world.tickets import HELPDESK

logger = logging.getLogger(__name__)

CORRESPONDENCE = "Correspondence"
KINDS = (HELPDESK, CORRESPONDENCE)
"""The kinds of keys that have passes here."""

OVERLAP = timedelta(minutes=5)
"""How far before the latest change that was seen it is asked for changes again: the search learns of them out of order."""

KNOCKS_AGAIN_AFTER = timedelta(seconds=10)
"""How often it is tried whether a helpdesk that is away is back."""

MOST_TOLD_OF = 1000
"""Tickets that webhooks have told of and that wait to be looked at."""

SEEN_IS_WRITTEN_AFTER = timedelta(minutes=10)
"""How far what was seen may be ahead of what the status says: a ticket that is looked at twice is no harm, a write is one."""


class Ticketing:
    """The passes by the kind of their key. `changed` is told of each object that we have written, `wanted` of other passes."""

    def __init__(  # noqa: PLR0917 - the world has so many parts
        self,
        store: Store,
        link: Link,
        kube: Kube,
        teller: Teller,
        clock: Callable[[], datetime],
        changed: Callable[[Object], object],
        wanted: Callable[[ObjectKey], object],
    ) -> None:
        self._store = store
        self._link = link
        self._kube = kube
        self._teller = teller
        self._clock = clock
        self._changed = changed
        self._wanted = wanted
        self._told_of: OrderedDict[int, None] = OrderedDict()
        self._asked_at: datetime | None = None
        self._looked_at: dict[int, datetime] = {}
        self._seen_until: datetime | None = None
        self._held: dict[int, HeldTicket] | None = None
        self._lacking: dict[int, tuple[Ticket, Lacking]] = {}
        self._unsure: dict[ObjectKey, datetime] = {}
        self._refused: dict[ObjectKey, str] = {}
        self._is_writing = False
        self._waiting: OrderedDict[ObjectKey, None] = OrderedDict()

    def told_of(self, ticket: int) -> None:
        """Look at a ticket soon, since the helpdesk says that it has changed."""
        self._told_of[ticket] = None
        while len(self._told_of) > MOST_TOLD_OF:
            self._told_of.popitem(last=False)  # it is found when changes are asked for
        self._wanted(ObjectKey(HELPDESK, "", SINGLETON))

    @property
    def held(self) -> int:
        """How many tickets wait for what they lack."""
        return len(self._held or ())

    async def reconcile(self, key: ObjectKey) -> Verdict:
        """Bring the helpdesk and the records one step nearer to each other."""
        now = self._clock().replace(microsecond=0)
        desk = tickets.helpdesk(self._store)
        if desk is None or desk.metadata.deletion_timestamp is not None:
            await self._forget(key)
            return Verdict()
        if key.kind == HELPDESK:
            return await self._helpdesk(desk, key, now)
        if missing_policies(self._store):
            return Verdict()  # what was refused without them is not refused; the Helpdesk says so
        if self._is_writing:
            self._waiting[key] = None
            return Verdict()
        self._is_writing = True
        try:
            return await self._correspond(desk, key, now)
        finally:
            self._is_writing = False
            if self._waiting:
                self._wanted(self._waiting.popitem(last=False)[0])

    async def _forget(self, key: ObjectKey) -> None:
        """Leave the helpdesk alone: the provider has taken it away."""
        if key.kind != HELPDESK:
            return
        self._teller.found(key, ())
        self._held = self._seen_until = self._asked_at = None
        for known in (self._told_of, self._looked_at, self._lacking, self._unsure, self._refused):
            known.clear()
        await self._link.close()

    # The Helpdesk: is it there, and what has changed in it.

    async def _helpdesk(self, desk: Helpdesk, key: ObjectKey, now: datetime) -> Verdict:
        self._remember_what_was_held(desk)
        missing = missing_policies(self._store)
        due = self._asked_at + desk.spec.poll_interval if self._asked_at and self._link.is_up else now
        again = max(due, now)
        try:
            port = await self._link.connect(desk.spec)
            if not missing:
                await self._look_at_what_was_told(desk, port)
            if due <= now and not missing:
                await self._take_in_what_changed(desk, port)
                self._asked_at = now
                again = now + desk.spec.poll_interval
            if self._link.is_back():
                logger.info("The helpdesk answers")
                for request in tickets.untold(self._store):
                    self._wanted(ObjectKey(CORRESPONDENCE, request.namespace, request.name))
        except (HelpdeskAwayError, UnknownOutcomeError):
            again = now + min(KNOCKS_AGAIN_AFTER, desk.spec.poll_interval)
        if missing:
            again = now + desk.spec.poll_interval
        await self._tell(desk, key, self._findings(desk, missing, now), now)
        return Verdict(next_check=again)

    def _remember_what_was_held(self, desk: Helpdesk) -> None:
        if self._held is None:
            self._held = {ticket.id: ticket for ticket in desk.status.held_tickets}
            self._seen_until = desk.status.seen_until

    async def _look_at_what_was_told(self, desk: Helpdesk, port: HelpdeskPort) -> None:
        while self._told_of:
            id_ = next(iter(self._told_of))
            await self._look_at(desk, port, id_)
            self._told_of.pop(id_, None)

    async def _take_in_what_changed(self, desk: Helpdesk, port: HelpdeskPort) -> None:
        """Look at each ticket that has changed, and at those that lack something where that may be there by now.

        Tickets move to the end of the list while it is read, so each page begins at the latest change seen, and only
        where a whole page changed at one instant the next page is asked for.
        """
        first = self._seen_until or desk.metadata.creation_timestamp
        since, page = (first or self._clock()) - OVERLAP, 1
        oldest = since
        while True:
            lines = await self._link.ask(port.changed_since(since, page), is_vital=True)
            for line in lines:
                if self._looked_at.get(line.id) != line.updated_at:
                    await self._look_at(desk, port, line.id)
                    self._looked_at[line.id] = line.updated_at
            if lines:
                self._seen_until = max(lines[-1].updated_at, self._seen_until or lines[-1].updated_at)
            if len(lines) < PAGE:
                break
            is_ahead = lines[-1].updated_at.replace(microsecond=0) > since
            since, page = (lines[-1].updated_at.replace(microsecond=0), 1) if is_ahead else (since, page + 1)
        self._looked_at = {id_: at for id_, at in self._looked_at.items() if at >= oldest}
        for id_ in tuple(self._held or ()):
            if self._may_be_better(desk, id_):
                await self._look_at(desk, port, id_)

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
        return intake.plan(ticket, desk.spec.attributes, self._known(desk, ticket)) != before

    # A ticket: one request, or a note that says what it lacks.

    async def _take_in(self, desk: Helpdesk, port: HelpdeskPort, id_: int) -> None:
        ticket = await self._link.ask(port.ticket(id_))
        if ticket is None:
            self._let_go(id_)
            return
        planned = intake.plan(ticket, desk.spec.attributes, self._known(desk, ticket))
        if isinstance(planned, DocumentRequest):
            planned = await self._document(ticket, planned)
        match planned:
            case None:
                self._let_go(id_)
            case Lacking(reason=reason, note=note):
                if note.subject not in ticket.notes:
                    await self._link.ask(port.add_note(note))
                    logger.info("Ticket %s waits: %s", ticket.number, reason)
                self._lacking[id_] = ticket, planned
                self._hold(id_, ticket.number, reason)
            case _:
                assert_never(planned)

    async def _document(self, ticket: Ticket, planned: DocumentRequest) -> Lacking | None:
        try:
            self._changed(await create_once(self._kube, dict(planned.body)))
        except (RefusedError, ConflictError, NotFoundError) as error:
            return intake.cannot_record(ticket, str(error))
        logger.info("Ticket %s is documented (%s)", ticket.number, planned.clause)
        return None

    def _known(self, desk: Helpdesk, ticket: Ticket) -> intake.Known:
        return tickets.known(self._store, ticket, desk.spec.attributes)

    def _hold(self, id_: int, number: str, reason: str) -> None:
        held = self._held if self._held is not None else {}
        self._held = {**held, id_: HeldTicket(id=id_, number=number, reason=reason)}

    def _let_go(self, id_: int) -> None:
        self._lacking.pop(id_, None)
        if self._held:
            self._held.pop(id_, None)

    # The way back: the ticket of a request, what is new, and the work.

    async def _correspond(self, desk: Helpdesk, key: ObjectKey, now: datetime) -> Verdict:
        body = self._store.get("ChangeRequest", key.namespace, key.name)
        if body is None:
            self._refused.pop(key, None)
            return Verdict()
        request = ChangeRequest.of(body)
        work, new = tickets.work_to_tell(self._store, request), correspondence.news_of(request)
        told = request.status.ticket.told if request.status.ticket else None
        if new is None or not helpdesk.concerns(desk, request) or (told == new and not work):
            return Verdict()
        if self._unsure.get(key, now) > now:
            return Verdict(next_check=self._unsure[key])
        try:
            is_first = request.status.ticket is None
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
            self._refused[key] = shortened(str(error))
            self._wanted(ObjectKey(HELPDESK, "", desk.metadata.name))
            raise
        self._unsure.pop(key, None)
        if self._refused.pop(key, None):
            self._wanted(ObjectKey(HELPDESK, "", desk.metadata.name))
        return Verdict()

    async def _ticket_of(
        self, desk: Helpdesk, port: HelpdeskPort, body: Object, *, is_first: bool, now: datetime
    ) -> int | Wait:
        """Return the id of the ticket of a request, which is found or opened, or until when it may still be found."""
        request = ChangeRequest.of(body)
        ticket = request.status.ticket
        if ticket is not None and ticket.id is not None:
            return ticket.id
        number = request.spec.ticket
        found = await self._link.ask(port.numbered(number)) if number else None
        is_found = found is not None
        if found is not None and not self._is_believed(request, found):
            found = None
        if found is None:
            found = await self._link.ask(port.titled(correspondence.title(request)))
        if found is None:
            planned = correspondence.opening(desk, request, is_first=is_first, named=is_found, now=now)
            if isinstance(planned, Wait):
                return planned
            if not is_first:
                body = await self._note_in_status(body, askedAt=_written(now))
            found = await self._link.ask(port.open(planned))
            logger.info("Ticket %s is opened for %s (%s)", found.number, request.key, planned.clause)
        await self._note_in_status(body, id=found.id, number=found.number)
        return found.id

    def _is_believed(self, request: ChangeRequest, found: TicketRef) -> bool:
        return correspondence.is_believed(
            request, found, tickets.addresses(self._store, request.metadata.namespace)
        )

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

    # What is said of all this.

    def _findings(self, desk: Helpdesk, missing: tuple[str, ...], now: datetime) -> tuple[Finding, ...]:
        if missing:
            words = f"Nothing is taken in: {some(missing)} missing. Install the policies"
            documented = fails(Aspect.TICKETS_DOCUMENTED, Reason.POLICY_BINDING_MISSING, words)
        else:
            documented = helpdesk.documented((self._held or {}).values(), self._refusals())
        trouble = self._link.trouble
        if trouble is not None:
            return helpdesk.refused(trouble.reason, trouble.message), documented
        return (*helpdesk.reached(desk, self._link.down_since, self._link.why, now), documented)

    def _refusals(self) -> list[str]:
        return [f"{key.namespace}/{key.name}: {why}" for key, why in self._refused.items()]

    async def _tell(
        self, desk: Helpdesk, key: ObjectKey, findings: tuple[Finding, ...], now: datetime
    ) -> None:
        self._teller.found(key, findings)
        before = desk.status
        if not any(finding.aspect is Aspect.REACHABLE for finding in findings):
            return  # away for a moment: what was said stands
        held = tuple((self._held or {}).values())[:MOST_HELD]
        said = HelpdeskStatus(seen_until=before.seen_until, held_tickets=held)
        after = reported(said, before.conditions, findings, desk.metadata.generation, now)
        if after != before or self._is_far_ahead(before):
            after = after.model_copy(update={"seen_until": self._seen_until})
        await self._write(key, before, after)

    def _is_far_ahead(self, before: HelpdeskStatus) -> bool:
        if self._seen_until is None or self._seen_until == before.seen_until:
            return False
        return before.seen_until is None or self._seen_until - before.seen_until > SEEN_IS_WRITTEN_AFTER

    async def _write(self, key: ObjectKey, before: Status, after: Status) -> None:
        body, patch = self._store.get(*key), status_patch(before, after)
        if body is None or patch is None:
            return
        version = body["metadata"]["resourceVersion"]
        self._changed(await self._kube.patch_status(HELPDESK, "", key.name, patch, version))
        await self._teller.tell(body, notices(before, after))


def _written(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
