"""When to look again: one heap of wall-clock instants, one per key and purpose, so that no object needs a timer."""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from managedvm.engine.jitter import fraction

K = TypeVar("K", bound=Hashable)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def jittered(key: Hashable, interval: timedelta) -> timedelta:
    """Return the key's own share of the interval, from zero up to the interval: its hash modulo the interval."""
    return interval * fraction(key)


def next_tick(key: Hashable, interval: timedelta, now: datetime) -> datetime:
    """Return the first instant after `now` of the key's own rhythm, which survives restarts.

    The rhythm is anchored at the epoch and shifted by `jittered`, so that keys of one interval are spread
    over it and a restart moves none of them.
    """
    offset = jittered(key, interval)
    return _EPOCH + offset + ((now - _EPOCH - offset) // interval + 1) * interval


@dataclass(frozen=True, slots=True)
class Due(Generic[K]):
    """A key whose instant has come, with the purpose it was scheduled for."""

    key: K
    what: str


class Agenda(Generic[K]):
    """The due instants of many keys: schedule, cancel and the next due one each cost O(log n).

    A moved or cancelled instant stays in the heap until it comes to the top or until such dead entries are
    the majority; then the heap is rebuilt, which costs O(1) for each call when spread over them.
    """

    _SMALL = 64

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K, str]] = []
        self._alive: dict[K, dict[str, tuple[float, int, K, str]]] = {}
        self._count = 0
        self._made = 0
        self.on_new_head: Callable[[], None] = lambda: None
        """Called when an instant became the earliest of all, so that the waker does not sleep past it."""

    def __len__(self) -> int:
        """Return how many instants are scheduled."""
        return self._count

    def schedule(self, key: K, what: str, at: datetime) -> None:
        """Note that the key is due at this instant, instead of any noted before for the same purpose.

        Raises:
            ValueError: the instant has no time zone.
        """
        due = _timestamp(at)
        named = self._alive.setdefault(key, {})
        if what in named and named[what][0] == due:
            return
        self._count += what not in named
        self._made += 1
        named[what] = (due, self._made, key, what)
        heapq.heappush(self._heap, named[what])
        if self._heap[0] is named[what]:
            self.on_new_head()
        self._sweep()

    def cancel(self, key: K, what: str | None = None) -> None:
        """Forget the instant of this purpose, or all of the key; unknown ones are forgotten already."""
        named = self._alive.get(key, {})
        for each in [what] if what is not None else list(named):
            if named.pop(each, None) is not None:
                self._count -= 1
        if not named:
            self._alive.pop(key, None)
        self._sweep()

    def at(self, key: K, what: str) -> datetime | None:
        """Return the instant noted for this purpose in UTC, or None."""
        entry = self._alive.get(key, {}).get(what)
        return None if entry is None else datetime.fromtimestamp(entry[0], UTC)

    def due(self, now: datetime, limit: int | None = None) -> list[Due[K]]:
        """Take out the instants that are not after `now`, earliest first, at most `limit` of them.

        Raises:
            ValueError: `now` has no time zone.
        """
        until = _timestamp(now)
        taken: list[Due[K]] = []
        while (limit is None or len(taken) < limit) and (entry := self._head()) and entry[0] <= until:
            heapq.heappop(self._heap)
            _, _, key, what = entry
            del self._alive[key][what]
            if not self._alive[key]:
                del self._alive[key]
            self._count -= 1
            taken.append(Due(key, what))
        return taken

    def next(self) -> datetime | None:
        """Return the earliest instant in UTC, or None when nothing is scheduled."""
        head = self._head()
        return None if head is None else datetime.fromtimestamp(head[0], UTC)

    def _is_alive(self, entry: tuple[float, int, K, str]) -> bool:
        _, _, key, what = entry
        named = self._alive.get(key)
        return named is not None and named.get(what) is entry

    def _head(self) -> tuple[float, int, K, str] | None:
        while self._heap and not self._is_alive(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def _sweep(self) -> None:
        if len(self._heap) > max(self._SMALL, 2 * self._count):
            self._heap = [entry for entry in self._heap if self._is_alive(entry)]
            heapq.heapify(self._heap)


class Waker(Generic[K]):
    """Hands over what has come due; never sleeps longer than `doze_seconds`.

    It sleeps on the loop's monotonic clock, which neither sees the wall clock being set nor counts a
    suspended machine. Reading the wall clock again after each doze bounds how late either is noticed.
    """

    BATCH = 500
    """So many are handed over before others get the loop: 100,000 due at once must not stop it."""

    GAP_SECONDS = 1.0
    """An instant that was handed over is not handed over again sooner, however far in the past it is noted.

    Who is asked for the next instant and answers with one that has passed would otherwise be asked at once
    again, for ever and as fast as the machine can.
    """

    def __init__(
        self,
        agenda: Agenda[K],
        wall: Callable[[], datetime],
        on_due: Callable[[Due[K]], None],
        doze_seconds: float = 10.0,
    ) -> None:
        self._agenda = agenda
        self._wall = wall
        self._on_due = on_due
        self._doze_seconds = doze_seconds
        self._sooner = asyncio.Event()
        self._told: OrderedDict[Due[K], float] = OrderedDict()
        agenda.on_new_head = self._sooner.set

    async def run(self) -> None:
        """Hand over due entries until cancelled."""
        while True:
            self._sooner.clear()
            batch = self._agenda.due(self._wall(), self.BATCH)
            self._hand_over(batch)
            if len(batch) == self.BATCH:
                await asyncio.sleep(0)
            else:
                await self._doze()

    def _hand_over(self, batch: list[Due[K]]) -> None:
        now = asyncio.get_running_loop().time()
        while self._told and now - next(iter(self._told.values())) >= self.GAP_SECONDS:
            self._told.popitem(last=False)
        for due in batch:
            if due in self._told:
                self._agenda.schedule(due.key, due.what, self._wall() + timedelta(seconds=self.GAP_SECONDS))
            else:
                self._told[due] = now
                self._on_due(due)

    async def _doze(self) -> None:
        head = self._agenda.next()
        seconds = self._doze_seconds
        if head is not None:
            seconds = min(seconds, max(0.0, (head - self._wall()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self._sooner.wait()
        except TimeoutError:
            return


def _timestamp(at: datetime) -> float:
    if at.tzinfo is None:
        raise ValueError(f"an instant needs a time zone: {at.isoformat()}")
    return at.timestamp()
