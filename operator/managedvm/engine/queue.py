"""Who is looked at next: each key waits once, is worked on by one worker, and no lane starves another."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from managedvm.engine.jitter import fraction

K = TypeVar("K", bound=Hashable)


class Lane(IntEnum):
    """Why somebody waits; the smaller one goes first."""

    PERSON = 0
    """A person changed something and looks at the screen."""
    WINDOW = 1
    """An agreed instant has come: a window opens, a backup is due."""
    DRIFT = 2
    """The world differs from what it was."""
    RESYNC = 3
    """Nothing is known to have changed."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failing key rests: doubling from `first_seconds`, never longer than `cap_seconds`.

    Half of each rest is spread by the key, so that keys which failed together do not return together.
    """

    first_seconds: float = 1.0
    cap_seconds: float = 300.0

    def rest_seconds(self, key: Hashable, failures: int) -> float:
        """Return the rest after this many failures in a row (1 or more): half to all of the doubled time."""
        doublings = min(
            failures - 1, 32
        )  # beyond that any cap is reached, and a float would overflow one day
        return min(self.cap_seconds, self.first_seconds * 2.0**doublings) * (
            0.5 + fraction(key, failures) / 2
        )


@dataclass(frozen=True, slots=True)
class Work(Generic[K]):
    """A key handed to one worker, which must call `done` with it."""

    key: K
    lane: Lane
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class _Wait:
    lane: Lane
    since: float


@dataclass(frozen=True, slots=True)
class _Rest:
    """A key that may not wait before `due`; the heap may hold older ones of it, which then count for nothing."""

    due: float
    lane: Lane


class KeyedQueue(Generic[K]):
    """A queue of keys in lanes, for many workers on one event loop.

    Fairness: each worker names the worst lane it serves. Of every `FAIR_TURN` keys that the workers of
    one such group take, one is the key that has waited longest at the head of any lane they serve. So a key
    of a lane is taken after at most `FAIR_TURN` turns for each key that is older or ahead of it in its lane,
    however busy people are, and seven of eight turns are theirs.
    """

    FAIR_TURN = 8

    def __init__(self, clock: Callable[[], float] = time.monotonic, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._waiting: dict[K, _Wait] = {}
        self._lanes: dict[Lane, OrderedDict[K, None]] = {lane: OrderedDict() for lane in Lane}
        self._working: dict[K, _Wait | None] = {}
        self._resting: dict[K, _Rest] = {}
        self._wakings: list[tuple[float, int, K]] = []
        self._wakings_made = 0
        self._failures: dict[K, int] = {}
        self._turns: dict[Lane, int] = defaultdict(int)
        self._getters: OrderedDict[asyncio.Future[None], Lane] = OrderedDict()
        self._alarm: asyncio.TimerHandle | None = None

    def add(self, key: K, lane: Lane) -> None:
        """Let the key wait in this lane; one that waits already keeps its age and the better lane.

        A key that is worked on waits again only after `done`, so that no two workers ever share it.
        """
        self._admit(key, _Wait(lane, self._clock()))

    def add_after(self, key: K, seconds: float, lane: Lane) -> None:
        """Add the key so many seconds from now; of two such wishes the earlier time and the better lane hold."""
        rest = _Rest(self._clock() + max(0.0, seconds), lane)
        earlier = self._resting.get(key)
        if earlier is not None:
            rest = _Rest(min(rest.due, earlier.due), min(rest.lane, earlier.lane))
        self._resting[key] = rest
        if earlier is None or rest.due < earlier.due:
            self._wakings_made += 1
            heapq.heappush(self._wakings, (rest.due, self._wakings_made, key))
        if self._getters:
            self._set_alarm()

    def retry(self, key: K, lane: Lane) -> float:
        """Count one more failure of the key and add it after its rest, which is returned in seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        seconds = self._backoff.rest_seconds(key, self._failures[key])
        self.add_after(key, seconds, lane)
        return seconds

    def forget(self, key: K) -> None:
        """Forget the key's failures and its rest: it went well, so nothing has to be tried again."""
        self._failures.pop(key, None)
        self._resting.pop(key, None)

    def take(self, worst: Lane = Lane.RESYNC) -> Work[K] | None:
        """Return the next key of the lanes up to `worst`, or None when none of them waits."""
        self._end_rests()
        lane = self._next_lane(worst)
        if lane is None:
            return None
        key, _ = self._lanes[lane].popitem(last=False)
        wait = self._waiting.pop(key)
        self._working[key] = None
        return Work(key, lane, self._clock() - wait.since)

    async def get(self, worst: Lane = Lane.RESYNC) -> Work[K]:
        """Wait for the next key of the lanes up to `worst` and return it."""
        while (work := self.take(worst)) is None:
            turn = asyncio.get_running_loop().create_future()
            self._getters[turn] = worst
            self._set_alarm()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake_for_waiting()  # woken, but it takes nothing: somebody else must
                raise
            finally:
                del self._getters[turn]
        self._wake_for_waiting()  # the key taken may not be the one this worker was woken for
        return work

    def done(self, key: K) -> None:
        """Say that the worker is finished with the key.

        Raises:
            KeyError: nobody was working on it.
        """
        again = self._working.pop(key)
        if again is not None:
            self._admit(key, again)

    def depth(self) -> dict[Lane, int]:
        """Return how many keys wait in each lane; those that are worked on or resting are not counted."""
        return {lane: len(keys) for lane, keys in self._lanes.items()}

    def resting(self) -> int:
        """Return how many keys rest until a time of their own."""
        return len(self._resting)

    def working(self) -> int:
        """Return how many keys are worked on."""
        return len(self._working)

    def failing(self) -> Counter[int]:
        """Return how many keys have failed how often in a row."""
        return Counter(self._failures.values())

    def oldest_seconds(self) -> float:
        """Return how long the key that waits longest has waited, 0 when none waits."""
        self._end_rests()
        now = self._clock()
        return max((now - wait.since for wait in self._waiting.values()), default=0.0)

    def _admit(self, key: K, wait: _Wait) -> None:
        if key in self._working:
            self._working[key] = _better(self._working[key], wait)
            return
        before = self._waiting.get(key)
        after = _better(before, wait)
        if after == before:
            return
        if before is not None:
            del self._lanes[before.lane][key]
        self._waiting[key] = after
        self._lanes[after.lane][key] = None
        self._wake(after.lane)

    def _end_rests(self) -> None:
        now = self._clock()
        while self._wakings and self._wakings[0][0] <= now:
            due, _, key = heapq.heappop(self._wakings)
            rest = self._resting.get(key)
            if rest is not None and rest.due == due:
                del self._resting[key]
                self._admit(key, _Wait(rest.lane, due))

    def _next_lane(self, worst: Lane) -> Lane | None:
        heads = [lane for lane in Lane if lane <= worst and self._lanes[lane]]
        if not heads:
            return None
        self._turns[worst] += 1
        if self._turns[worst] % self.FAIR_TURN:
            return heads[0]
        # Of equal ages the worse lane is meant: with a coarse clock it would otherwise never be the oldest.
        return min(reversed(heads), key=lambda lane: self._waiting[next(iter(self._lanes[lane]))].since)

    def _wake(self, lane: Lane) -> None:
        """Wake the most narrow of the getters that serve this lane: the others stay free for any lane."""
        serving = [getter for getter, worst in self._getters.items() if worst >= lane and not getter.done()]
        if serving:
            min(serving, key=lambda getter: self._getters[getter]).set_result(None)

    def _wake_for_waiting(self) -> None:
        for lane in Lane:
            if self._lanes[lane]:
                self._wake(lane)

    def _set_alarm(self) -> None:
        """Wake a getter when the earliest rest ends."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._wakings:
            seconds = self._wakings[0][0] - self._clock()
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, seconds), self._ring)

    def _ring(self) -> None:
        self._end_rests()
        self._set_alarm()


def _better(before: _Wait | None, after: _Wait) -> _Wait:
    return after if before is None else _Wait(min(before.lane, after.lane), min(before.since, after.since))
