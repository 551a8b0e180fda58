"""Whether the engine is alive, which is more than that the process is up: events come, work goes on, the loop turns."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from managedvm.engine.passes import Progress


@dataclass(frozen=True, slots=True)
class LivenessLimits:
    """Beyond these, a restart is the better hope; in seconds where nothing else is said.

    `silence_seconds` must be longer than an outage of the API server that one wants to sit out, and longer
    than two relists. `missed_relists` counts relists in a row that found what the watch had not told.
    """

    silence_seconds: float = 900.0
    missed_relists: int = 2
    standstill_seconds: float = 180.0
    lag_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Health:
    """The answer to a liveness probe: the reasons say what is wrong and are empty when it is ok."""

    ok: bool
    reasons: tuple[str, ...]


class LoopLag:
    """Measures how late the event loop runs what is due: anything that blocks the loop shows here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, interval_seconds: float = 0.5) -> None:
        self._clock = clock
        self._interval_seconds = interval_seconds
        self.last_seconds = 0.0
        """The latest measurement."""
        self.worst_seconds = 0.0
        """The worst since `take_worst`."""

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = self._clock() + self._interval_seconds
            await asyncio.sleep(self._interval_seconds)
            self.last_seconds = max(0.0, self._clock() - due)
            self.worst_seconds = max(self.worst_seconds, self.last_seconds)

    def take_worst(self) -> float:
        """Return the worst lag in seconds since this was last asked, and start anew."""
        worst, self.worst_seconds = self.worst_seconds, 0.0
        return worst


class Liveness:
    """Collects signs of life and judges them.

    `progress` tells of the passes, None while this replica stands by; `lag_seconds` is the loop's latest lag.
    """

    def __init__(
        self,
        kinds: Iterable[str],
        *,
        progress: Callable[[], Progress | None],
        lag_seconds: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        limits: LivenessLimits | None = None,
    ) -> None:
        self._clock = clock
        self._progress = progress
        self._lag_seconds = lag_seconds
        self._limits = limits or LivenessLimits()
        self._heard: dict[str, float] = dict.fromkeys(kinds, clock())
        self._missed: dict[str, int] = dict.fromkeys(self._heard, 0)
        self.failed_relists: dict[str, int] = dict.fromkeys(self._heard, 0)
        """How many relists of each kind failed since the process started."""

    def heard(self, kind: str) -> None:
        """Note an event or a bookmark of this kind."""
        self._heard[kind] = self._clock()

    def relisted(self, kind: str, missed: int) -> None:
        """Note a relist that succeeded and how many objects it had to fetch because the watch had not told."""
        self.heard(kind)
        self._missed[kind] = self._missed[kind] + 1 if missed else 0

    def relist_failed(self, kind: str) -> None:
        """Note a relist that failed: no sign of life."""
        self.failed_relists[kind] += 1

    def silence_seconds(self, kind: str, now: float) -> float:
        """Return how long ago the last sign of life of this kind was."""
        return now - self._heard[kind]

    def report(self, now: float) -> Health:
        """Judge all signs at this reading of the monotonic clock."""
        reasons = (*self._watches(now), *self._work(), *self._loop())
        return Health(not reasons, reasons)

    def _watches(self, now: float) -> Iterable[str]:
        for kind in self._heard:
            silence = self.silence_seconds(kind, now)
            if silence > self._limits.silence_seconds:
                yield f"{kind}: no event and no relist for {silence:.0f} s"
            if self._missed[kind] >= self._limits.missed_relists:
                yield f"{kind}: {self._missed[kind]} relists in a row found what the watch did not tell"

    def _work(self) -> Iterable[str]:
        progress = self._progress()
        limit = self._limits.standstill_seconds
        if progress and min(progress.oldest_seconds, progress.idle_seconds) > limit:
            yield f"work stands still: a key waits for {progress.oldest_seconds:.0f} s, no pass ended since {progress.idle_seconds:.0f} s"

    def _loop(self) -> Iterable[str]:
        lag = self._lag_seconds()
        if lag > self._limits.lag_seconds:
            yield f"the event loop runs {lag:.1f} s late"
