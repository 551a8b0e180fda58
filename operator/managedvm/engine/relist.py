"""What the watch did not tell: list the metadata of each kind every few minutes and heal the difference."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from managedvm.engine.agenda import jittered
from managedvm.engine.objects import Change, Listed, Object, ObjectKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from managedvm.engine.liveness import Liveness
    from managedvm.engine.store import Store

logger = logging.getLogger(__name__)


class Listing(NamedTuple):
    """A complete metadata-only list, all pages of one snapshot, with the list's own resourceVersion."""

    resource_version: str
    items: Sequence[Listed]


@dataclass(frozen=True, slots=True)
class RelistSettings:
    """When to list: each `interval`, and sooner after a failure.

    The watch usually knows already what a list shows, or is about to: what is missing is only fetched when
    none of it arrived for `grace_seconds`.
    """

    interval: timedelta = timedelta(minutes=5)
    retry_seconds: float = 15.0
    grace_seconds: float = 2.0
    fetches_at_once: int = 8


class Relister:
    """Keeps the store true although watches lose deletions and sometimes die.

    `list_metadata` lists a kind at the newest version (no resourceVersion asked for), in just the namespaces
    that are watched; `fetch` reads one object, None if there is none. Whatever they raise counts as a failure.
    `on_change` is told of each difference that was healed.
    """

    def __init__(
        self,
        store: Store,
        liveness: Liveness,
        *,
        list_metadata: Callable[[str], Awaitable[Listing]],
        fetch: Callable[[ObjectKey], Awaitable[Object | None]],
        on_change: Callable[[Change], None],
        clock: Callable[[], float] = time.monotonic,
        settings: RelistSettings | None = None,
    ) -> None:
        self._store = store
        self._liveness = liveness
        self._list_metadata = list_metadata
        self._fetch = fetch
        self._on_change = on_change
        self._clock = clock
        self._settings = settings or RelistSettings()
        self._fetches = asyncio.Semaphore(self._settings.fetches_at_once)
        self._complete: set[str] = set()
        self.synced = asyncio.Event()
        """Set once every kind was compared with a complete list: the store then knows the world."""
        self.healed = 0
        """How many differences were healed since the process started."""

    async def run(self, kinds: Iterable[str]) -> None:
        """Compare each kind at once and then at its own beat, until cancelled."""
        wanted = tuple(kinds)
        async with asyncio.TaskGroup() as group:
            for kind in wanted:
                group.create_task(self._keep(kind, wanted))

    async def relist(self, kind: str) -> int:
        """Compare one kind with the API server, heal the store, and return how many differences there were.

        Raises:
            Exception: whatever `list_metadata` or `fetch` raised; StaleListError for a list from the past.
        """
        known = self._store.newest(kind)
        listing = await self._list_metadata(kind)
        diff = self._store.replace(kind, listing.items, listing.resource_version, known)
        for change in diff.gone:
            self._on_change(change)
        missed = await self._outwait(kind, diff.missing_or_stale)
        async with asyncio.TaskGroup() as group:
            for line in missed:
                group.create_task(self._heal(kind, line))
        self._liveness.relisted(kind, len(missed))
        self.healed += len(diff.gone) + len(missed)
        return len(diff.gone) + len(missed)

    async def _keep(self, kind: str, wanted: tuple[str, ...]) -> None:
        interval = self._settings.interval
        first = True
        while True:
            if await self._attempt(kind):
                self._complete.add(kind)
                if self._complete.issuperset(wanted):
                    self.synced.set()
                # The first pause is the kind's own share of the interval, so that kinds do not list together.
                pause = jittered(kind, interval) if first else interval
                first = False
                await asyncio.sleep(pause.total_seconds())
            else:
                await asyncio.sleep(self._settings.retry_seconds)

    async def _attempt(self, kind: str) -> bool:
        try:
            differences = await self.relist(kind)
        except Exception as error:  # noqa: BLE001 - whatever failed, the next list comes; liveness counts them
            self._liveness.relist_failed(kind)
            logger.warning("Listing %s failed, trying again: %r", kind, error)
            return False
        if differences:
            logger.info("The list of %s showed what the watch had not told, %d times", kind, differences)
        return True

    async def _outwait(self, kind: str, missing: tuple[Listed, ...]) -> tuple[Listed, ...]:
        """Return what is still missing after the watch told nothing of it for the time of grace."""
        last_arrival = self._clock()
        while missing and self._clock() - last_arrival < self._settings.grace_seconds:
            await asyncio.sleep(self._settings.grace_seconds / 10)
            still = self._store.lacking(kind, missing)
            if len(still) < len(missing):
                missing, last_arrival = still, self._clock()
        return missing

    async def _heal(self, kind: str, line: Listed) -> None:
        async with self._fetches:
            obj = await self._fetch(ObjectKey(kind, line.namespace, line.name))
        if obj is None or obj["metadata"]["uid"] != line.uid:
            gone = self._store.drop(kind, line.uid)
            if gone:
                self._on_change(gone)
        if obj is not None:
            change = self._store.put(obj)
            if change:
                self._on_change(change)
