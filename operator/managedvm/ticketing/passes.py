"""The passes by their key: the Helpdesk itself, and `Correspondence` with namespace and name of a request, which is no object."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from managedvm.api.helpdesk import MOST_HELD, SINGLETON, Helpdesk, HelpdeskStatus
from managedvm.engine.objects import ObjectKey
from managedvm.engine.passes import Verdict
from managedvm.engine.store import Store
from managedvm.errors import UnknownOutcomeError
from managedvm.planning import helpdesk
from managedvm.planning.findings import Aspect, Finding, some, unknown
from managedvm.planning.reasons import Reason
from managedvm.report import notices, reported, status_patch
from managedvm.telling import Teller
from managedvm.ticketing.correspondent import Correspondent
from managedvm.ticketing.intake import Intake
from managedvm.world import tickets
from managedvm.world.helpdesk.link import HelpdeskAwayError, Link
from managedvm.world.helpdesk.port import HelpdeskPort
from managedvm.world.kube import Kube, Object
from managedvm.world.policies import PoliciesInForce
from managedvm.world.tickets import HELPDESK

logger = logging.getLogger(__name__)

CORRESPONDENCE = "Correspondence"
KINDS = (HELPDESK, CORRESPONDENCE)
"""The kinds of keys that have passes here."""

KNOCKS_AGAIN_AFTER = timedelta(seconds=10)
"""How often it is tried whether a helpdesk that is away is back."""

SEEN_IS_WRITTEN_AFTER = timedelta(minutes=10)
"""How far what was seen may be ahead of what the status says: a ticket that is looked at twice is no harm, a write is one."""

_DESK = ObjectKey(HELPDESK, "", SINGLETON)


class Ticketing:
    """The passes. `changed` is told of each object that we have written, `wanted` of passes that another one asks for."""

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
        self._asked_at: datetime | None = None
        self._policies = PoliciesInForce(store)
        self._is_writing = False
        self._waiting: OrderedDict[ObjectKey, None] = OrderedDict()
        self._forget()

    def _forget(self) -> None:
        self._asked_at = None
        self._intake = Intake(self._store, self._link, self._kube, self._clock, self._changed)
        self._correspondent = Correspondent(self._store, self._link, self._kube, self._changed)

    def told_of(self, ticket: int) -> None:
        """Look at a ticket soon, since the helpdesk says that it has changed."""
        self._intake.told_of(ticket)
        self._wanted(_DESK)

    @property
    def held(self) -> int:
        """How many tickets wait for what they lack."""
        return len(self._intake.held)

    async def reconcile(self, key: ObjectKey) -> Verdict:
        """Bring the helpdesk and the records one step nearer to each other."""
        now = self._clock().replace(microsecond=0)
        desk = tickets.helpdesk(self._store)
        if desk is not None and desk.metadata.deletion_timestamp is None:
            return await (self._helpdesk(desk, now) if key == _DESK else self._correspond(desk, key, now))
        if key == _DESK:
            # The provider has taken it away: it is left alone.
            self._teller.found(key, ())
            self._forget()
            await self._link.close()
        return Verdict()

    async def _correspond(self, desk: Helpdesk, key: ObjectKey, now: datetime) -> Verdict:
        """Write into one ticket; who comes meanwhile is asked for again afterwards."""
        if self._policies.missing():
            # What was written without them may be of anybody; the Helpdesk says so.
            raise HelpdeskAwayError("nothing is told while policies are missing")
        if self._is_writing:
            self._waiting[key] = None
            return Verdict()
        self._is_writing, was_refused = True, key in self._correspondent.refused
        try:
            return await self._correspondent.write(desk, key, now)
        finally:
            self._is_writing = False
            if self._waiting:
                self._wanted(self._waiting.popitem(last=False)[0])
            if was_refused is not (key in self._correspondent.refused):
                self._wanted(_DESK)

    async def _helpdesk(self, desk: Helpdesk, now: datetime) -> Verdict:
        self._intake.begin(desk)
        missing = self._policies.missing()
        again = now + desk.spec.poll_interval
        try:
            port = await self._link.connect(desk.spec)
            if not missing:
                again = await self._take_in(desk, port, now)
        except (HelpdeskAwayError, UnknownOutcomeError):
            again = now + min(KNOCKS_AGAIN_AFTER, desk.spec.poll_interval)
        await self._tell(desk, self._findings(desk, missing, now), now)
        return Verdict(next_check=again)

    async def _take_in(self, desk: Helpdesk, port: HelpdeskPort, now: datetime) -> datetime:
        """Look at tickets, and return when to look again."""
        due = self._asked_at + desk.spec.poll_interval if self._asked_at and self._link.is_up else now
        if not await self._intake.look_at_what_was_told(desk, port):
            return now
        if due <= now:
            if not await self._intake.look_at_what_changed(desk, port):
                return now
            self._asked_at, due = now, now + desk.spec.poll_interval
        if self._link.is_back():
            logger.info("The helpdesk answers")
            for request in tickets.untold(self._store):
                self._wanted(ObjectKey(CORRESPONDENCE, request.namespace, request.name))
        return due

    def _findings(self, desk: Helpdesk, missing: tuple[str, ...], now: datetime) -> tuple[Finding, ...]:
        if missing:
            words = f"Nothing is asked and nothing taken in: policy {some(missing)}. Apply manifests/base/policies"
            aspects = (Aspect.REACHABLE, Aspect.TICKETS_DOCUMENTED)
            return tuple(unknown(aspect, Reason.POLICY_BINDING_MISSING, words) for aspect in aspects)
        refused = [f"{key.namespace}/{key.name}: {why}" for key, why in self._correspondent.refused.items()]
        documented = helpdesk.documented(self._intake.held.values(), refused)
        trouble = self._link.trouble
        if trouble is not None:
            return helpdesk.refused(trouble.reason, trouble.message), documented
        return (*helpdesk.reached(desk, self._link.down_since, self._link.why, now), documented)

    async def _tell(self, desk: Helpdesk, findings: tuple[Finding, ...], now: datetime) -> None:
        self._teller.found(_DESK, findings)
        if not any(finding.aspect is Aspect.REACHABLE for finding in findings):
            return  # away for a moment: what was said stands
        before, seen = desk.status, self._intake.seen_until
        held = tuple(self._intake.held.values())[:MOST_HELD]
        said = HelpdeskStatus(seen_until=before.seen_until, held_tickets=held)
        after = reported(said, before.conditions, findings, desk.metadata.generation, now)
        if after != before or _is_far_ahead(seen, before.seen_until):
            after = after.model_copy(update={"seen_until": seen})
        body, patch = self._store.get(*_DESK), status_patch(before, after)
        if body is None or patch is None:
            return
        version = body["metadata"]["resourceVersion"]
        self._changed(await self._kube.patch_status(HELPDESK, "", SINGLETON, patch, version))
        await self._teller.tell(body, notices(before, after))


def _is_far_ahead(seen: datetime | None, before: datetime | None) -> bool:
    return seen is not None and (before is None or seen - before > SEEN_IS_WRITTEN_AFTER)
