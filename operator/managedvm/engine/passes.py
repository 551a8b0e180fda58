"""The loop of passes: one pass per key at a time, only while this replica may act, and no error stops a worker."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar, assert_never

from managedvm.engine.queue import KeyedQueue, Lane, Work

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from managedvm.engine.agenda import Agenda

K = TypeVar("K", bound=Hashable)

logger = logging.getLogger(__name__)

_NOTED = 256
"""How many of the latest offers a standby remembers: more than happen while a lease runs out, and no burden."""

CHECK = "check"
"""The purpose under which a pass's own `next_check` stands in the agenda."""


class Again(Enum):
    """Whether a pass wants another soon, for a reason that no event will announce."""

    NO = "no"
    NOW = "now"
    BACKOFF = "backoff"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pass says about its next one; the default: only when something changes."""

    next_check: datetime | None = None
    again: Again = Again.NO


@dataclass(frozen=True, slots=True)
class Retry:
    """Time helps: try again after so many seconds, or after the key's growing rest if they are over or not known."""

    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Stalled:
    """Only a person can help: look again when something changes, and seldom otherwise."""


@dataclass(frozen=True, slots=True)
class Bug:
    """Nobody foresaw it: it is logged with its trace and tried again after the key's growing rest."""


Judgement = Retry | Stalled | Bug


class Result(StrEnum):
    """How a pass ended."""

    SETTLED = "Settled"
    AGAIN = "Again"
    RETRY = "Retry"
    STALLED = "Stalled"
    BUG = "Bug"


@dataclass(frozen=True, slots=True)
class PassRecord(Generic[K]):
    """One finished pass, for metrics."""

    key: K
    lane: Lane
    result: Result
    waited_seconds: float
    took_seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Whether the work goes on: how long the oldest key waits, and how long ago a pass last ended."""

    oldest_seconds: float
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class PassSettings:
    """How many passes run at once and how long one may take.

    `at_once` says for each lane how many passes of it *and of the lanes behind it* may run at once. So slow
    passes of the last lane never hold more than its own number, and the rest is free for a person.
    """

    at_once: Mapping[Lane, int] = field(
        default_factory=lambda: {Lane.PERSON: 16, Lane.WINDOW: 12, Lane.DRIFT: 8, Lane.RESYNC: 4}
    )
    pass_seconds: float = 60.0
    stalled_seconds: float = 900.0
    standstill_seconds: float = 0.25

    def __post_init__(self) -> None:
        counts = [self.at_once[lane] for lane in Lane]
        if counts[-1] < 1 or counts != sorted(counts, reverse=True):
            raise ValueError(f"each lane needs at least 1 and no more than the lane before it, got {counts}")

    def worst_lanes(self) -> list[Lane]:
        """Return one entry for each worker: the worst lane it serves."""
        return [
            max(lane for lane in Lane if self.at_once[lane] > worker)
            for worker in range(self.at_once[Lane.PERSON])
        ]


class Passes(Generic[K]):
    """Workers that take keys from the queue and run a pass for each.

    `run` does one pass and returns its verdict; `classify` judges what it raised. Both may be wrong in any
    way without harm to other keys. `may_act` is asked before each pass; `run` must ask it again before each
    mutating call. `on_pass` is told of each finished pass.
    """

    def __init__(
        self,
        queue: KeyedQueue[K],
        agenda: Agenda[K],
        *,
        run: Callable[[K], Awaitable[Verdict]],
        classify: Callable[[Exception], Judgement],
        may_act: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        on_pass: Callable[[PassRecord[K]], None] = lambda _: None,
        settings: PassSettings | None = None,
    ) -> None:
        self._queue = queue
        self._agenda = agenda
        self._run = run
        self._classify = classify
        self._may_act = may_act
        self._clock = clock
        self._on_pass = on_pass
        self._settings = settings or PassSettings()
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        self._noted: OrderedDict[K, None] = OrderedDict()
        self._stopping = False
        self._last_end = clock()
        self.active = False
        self.results: Counter[Result] = Counter()
        self.bugs: Counter[tuple[object, ...]] = Counter()

    def offer(self, key: K, lane: Lane) -> None:
        """Queue the key if this replica is active; a standby only notes the latest, for `run` to begin with them.

        Where nothing is known to have changed there is nothing to note: `run` looks at every key anyhow.
        """
        if self.active:
            self._queue.add(key, lane)
            return
        if lane is Lane.RESYNC:
            return
        self._noted.pop(key, None)
        self._noted[key] = None
        if len(self._noted) > _NOTED:
            self._noted.popitem(last=False)

    async def run(self, keys: Callable[[], Iterable[K]]) -> None:
        """Queue every key once, ordered by its `repr`, and work until `stop`; called once, with the lease held.

        Keys that were offered lately go first: what happened while nobody acted must not wait behind all the others.
        `keys` is called in the moment in which offers begin to count, so that none falls between. An error
        that ends a worker all the same is raised, so that it cannot go unnoticed.
        """
        self.active = True
        self._last_end = self._clock()
        for key in sorted(keys(), key=repr):
            self._queue.add(key, Lane.DRIFT if key in self._noted else Lane.RESYNC)
        self._noted.clear()
        try:
            async with asyncio.TaskGroup() as group:
                for worst in self._settings.worst_lanes():
                    self._workers.add(group.create_task(self._work(worst)))
        finally:
            self.active = False

    async def stop(self, limit_seconds: float) -> bool:
        """Take no new key, let running passes end, and cut off those that need longer than the limit.

        Returns whether all ended by themselves. What a pass that was cut off had sent is unknown, as after
        a crash.
        """
        self._stopping, self.active = True, False
        for worker in self._idle:
            worker.cancel()
        if not self._workers:
            return True
        _, late = await asyncio.wait(self._workers, timeout=limit_seconds)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    def progress(self) -> Progress | None:
        """Return whether the work goes on, or None while this replica is not active."""
        if not self.active:
            return None
        return Progress(self._queue.oldest_seconds(), self._clock() - self._last_end)

    async def _work(self, worst: Lane) -> None:
        while not self._stopping:
            work = await self._next(worst)
            try:
                if self._may_act():
                    await self._pass(work)
                else:
                    self._queue.add(work.key, work.lane)
            finally:
                self._queue.done(work.key)
            # A pass that finds nothing to do waits for nothing: without this, the whole world would be looked at before
            # the loop hears of anything else, be it a change of somebody's or its own Lease.
            await asyncio.sleep(0)

    async def _next(self, worst: Lane) -> Work[K]:
        """Wait for a key; while the lease is in doubt, take none and look again a little later."""
        worker = asyncio.current_task()
        assert worker is not None  # noqa: S101 - a coroutine of ours always runs in a task
        self._idle.add(worker)
        try:
            while not self._may_act():  # noqa: ASYNC110 - a lease comes back by the clock, which sends no event
                await asyncio.sleep(self._settings.standstill_seconds)
            return await self._queue.get(worst)
        finally:
            self._idle.discard(worker)

    async def _pass(self, work: Work[K]) -> None:
        started = self._clock()
        try:
            async with asyncio.timeout(self._settings.pass_seconds):
                verdict = await self._run(work.key)
            result = self._settle(work, verdict)
        except asyncio.CancelledError as error:
            worker = asyncio.current_task()
            if worker is not None and worker.cancelling():
                raise
            # Something inside the pass was cancelled, not the worker: to pass it on would end the worker.
            result = self._failed(work, error, Bug())
        except Exception as error:  # noqa: BLE001 - one key's error must never stop the others
            result = self._failed(work, error, self._judge(error))
        self._last_end = self._clock()
        self.results[result] += 1
        record = PassRecord(work.key, work.lane, result, work.waited_seconds, self._last_end - started)
        try:
            self._on_pass(record)
        except Exception:
            logger.exception("Telling about a finished pass failed")

    def _settle(self, work: Work[K], verdict: Verdict) -> Result:
        if verdict.next_check is None:
            self._agenda.cancel(work.key, CHECK)
        else:
            self._agenda.schedule(work.key, CHECK, verdict.next_check)
        match verdict.again:
            case Again.NO:
                self._queue.forget(work.key)
                return Result.SETTLED
            case Again.NOW:
                self._queue.forget(work.key)
                self._queue.add(work.key, work.lane)
                return Result.AGAIN
            case Again.BACKOFF:
                self._queue.retry(work.key, work.lane)
                return Result.RETRY
            case _:
                assert_never(verdict.again)

    def _judge(self, error: Exception) -> Judgement:
        try:
            return self._classify(error)
        except Exception:
            logger.exception("Judging an error of a pass failed")
            return Bug()

    def _failed(self, work: Work[K], error: BaseException, judgement: Judgement) -> Result:
        match judgement:
            case Retry(seconds):
                if seconds is None or seconds <= 0:
                    self._queue.retry(work.key, work.lane)
                else:
                    self._queue.add_after(work.key, seconds, work.lane)
                return Result.RETRY
            case Stalled():
                self._queue.forget(work.key)
                self._queue.add_after(work.key, self._settings.stalled_seconds, Lane.RESYNC)
                return Result.STALLED
            case Bug():
                self._tell_bug(work.key, error)
                self._queue.retry(work.key, work.lane)
                return Result.BUG
            case _:
                assert_never(judgement)

    def _tell_bug(self, key: K, error: BaseException) -> None:
        """Log the trace when this bug is met first; 10,000 keys that all meet it must not write it 10,000 times."""
        place = (type(error), *_frames(error.__traceback__))
        self.bugs[place] += 1
        if self.bugs[place] == 1:
            logger.error("A pass met a bug, first at %r", key, exc_info=error)


def _frames(trace: TracebackType | None) -> Iterable[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
