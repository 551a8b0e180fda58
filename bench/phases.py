"""The phases that everybody goes through: onboarding, cold start, idle. Each returns its figures by name."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import usage, world
from bench.meters import Counts, Meters
from lab.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.api import Api, Watch
    from bench.contestants import Contestant
    from lab.facts import Lab

Figures = dict[str, object]
"""Figures by name: numbers, or words where there is no number."""

IDLE_SECONDS = 120.0
SETTLE_SECONDS = 20.0
_POLL_SECONDS = 0.1


@dataclass(slots=True)
class Bench:
    """One contestant in one lab of one size. `patience` is the longest any wait may take, in seconds."""

    lab: Lab
    api: Api
    watch: Watch
    who: Contestant
    size: int
    patience: float
    say: Callable[[str], None]
    idle_cpu: float = 0.0
    """CPU seconds per second while nothing happens; known after `idle`."""

    @property
    def meters(self) -> Meters:
        """What counts for this contestant."""
        return Meters(self.lab, self.who.user)


async def onboarding(bench: Bench) -> Figures:
    """Declare N ManagedVMs, start the operator, wait until all are Ready."""
    begin = time.monotonic()
    await bench.api.create_all(world.managed_vms(bench.size))
    bench.say(f"{bench.size} ManagedVMs declared in {time.monotonic() - begin:.0f} s")
    mark = await asyncio.to_thread(bench.meters.mark, None)
    bench.who.start()
    finished: Figures = {}
    try:
        await bench.watch.until(lambda: len(bench.watch.ready) >= bench.size, "Ready", bench.patience)
    except DeadlineError:
        finished = {"onboarding.unfinished": f"{len(bench.watch.ready)} of {bench.size} Ready"}
    end, pid = time.monotonic(), bench.who.pid
    cpu = usage.cpu_seconds(pid)
    await quiet(bench)
    counts = await asyncio.to_thread(lambda: bench.meters.since(mark, pid, until=end))
    memory = usage.memory(pid)
    done = max(1, len(bench.watch.ready))
    return {
        "onboarding.seconds": counts.seconds,
        "onboarding.cpu": cpu,
        "onboarding.writes": counts.object_writes / done,
        "onboarding.events": counts.events / done,
        "onboarding.kinds": dict(counts.writes),
        "onboarding.soap": counts.soap.total() / done,
        "onboarding.rss": memory.now,
        "onboarding.peak": memory.peak,
        **finished,
    }


async def cold_start(bench: Bench) -> Figures:
    """SIGKILL, start again with nothing changed, wait until each VM was evaluated once."""
    bench.who.kill()
    mark = await asyncio.to_thread(bench.meters.mark, None)
    bench.who.start()
    deadline, evaluated, first = time.monotonic() + bench.patience, 0, mark.at
    while evaluated < bench.size and time.monotonic() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
        first = first if evaluated else time.monotonic()
        evaluated = await asyncio.to_thread(bench.who.evaluated)
    end, pid = time.monotonic(), bench.who.pid
    cpu = usage.cpu_seconds(pid)
    await asyncio.sleep(SETTLE_SECONDS)
    counts = await asyncio.to_thread(lambda: bench.meters.since(mark, pid, until=end))
    memory = usage.memory(pid)
    figures: Figures = {
        "cold.seconds": counts.seconds,
        "cold.first": first - mark.at,
        "cold.cpu": cpu,
        "cold.writes": counts.object_writes,
        "cold.events": counts.events,
        "cold.kinds": dict(counts.writes),
        "cold.soap": counts.soap.total(),
        "cold.vmreads": counts.vm_reads,
        "cold.rss": memory.now,
        "cold.peak": memory.peak,
    }
    if evaluated < bench.size:
        figures["cold.unfinished"] = f"{evaluated} of {bench.size} evaluated"
    return figures


async def idle(bench: Bench, seconds: float = IDLE_SECONDS) -> Figures:
    """Let it be, over at least two drift passes; nothing may be written and no object may change."""
    before = await bench.api.versions()
    mark = await asyncio.to_thread(bench.meters.mark, bench.who.pid)
    await asyncio.sleep(seconds)
    counts: Counts = await asyncio.to_thread(bench.meters.since, mark, bench.who.pid)
    after = await bench.api.versions()
    bench.idle_cpu = counts.cpu / counts.seconds
    changed = sum(after.get(key) != version for key, version in before.items())
    return {
        "idle.seconds": counts.seconds,
        "idle.writes": counts.object_writes,
        "idle.events": counts.events,
        "idle.kinds": dict(counts.writes),
        "idle.changed": changed + len(after.keys() - before.keys()),
        "idle.cpu": bench.idle_cpu,
        "idle.soap": counts.soap.total(),
        "idle.vmreads": counts.vm_reads,
    }


async def quiet(bench: Bench, still_seconds: float = 3.0) -> None:
    """Return when the watch has told nothing for a while: late writes belong to what caused them."""
    deadline = time.monotonic() + SETTLE_SECONDS
    latest = -1.0
    while time.monotonic() < deadline:
        newest = bench.watch.newest
        if newest == latest:
            return
        latest = newest
        await asyncio.sleep(still_seconds)
