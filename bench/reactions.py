"""How fast changes are answered, one after the other: of a spec, of what is billed, and of a VM behind our back."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bench import world
from bench.meters import Counts, median, quantile
from bench.phases import quiet
from bench.soap import BareClient
from bench.usage import wall
from lab import vcenter_admin
from lab.errors import DeadlineError

if TYPE_CHECKING:
    from bench.phases import Bench, Figures

COUNT = 50
_PATIENCE = 60.0
_PAUSE = 0.3
"""Seconds between two changes, so that the one does not wait for what the other still causes."""

_LOOK_SECONDS, _JOURNAL_SECONDS = 0.5, 0.02
_REPAIR, _RIGHT = "ReconfigureComputeResource_Task", "medium"
_REQUESTER = "a.beispiel@kunde.example"


async def changes(bench: Bench, count: int = COUNT) -> Figures:
    """Change a free field of the spec and wait until status says that it was looked at."""
    numbers = world.spread(count, bench.size, offset=1)
    mark = await asyncio.to_thread(bench.meters.mark, bench.who.pid)
    delays = []
    for number in numbers:
        delays.append(await _answered(bench, number, {"restartPolicy": "InWindow"}))
        await asyncio.sleep(_PAUSE)
    await quiet(bench)
    counts = await asyncio.to_thread(bench.meters.since, mark, bench.who.pid)
    # What it does meanwhile for all the others is not caused by the changes.
    own_cpu = counts.cpu - bench.idle_cpu * counts.seconds
    return {
        "change.median": median(delays),
        "change.p99": quantile(delays, 0.99),
        "change.cpu": max(0.0, own_cpu) / count,
        "change.writes": counts.object_writes / count,
        "change.events": counts.events / count,
        "change.kinds": dict(counts.writes),
    }


async def billed(bench: Bench, count: int = COUNT) -> Figures:
    """Order more memory and wait until the work is recorded: creates and status writes per change."""
    numbers = world.spread(count, bench.size, offset=2)
    mark = await asyncio.to_thread(bench.meters.mark, bench.who.pid)
    delays = []
    for number in numbers:
        change = {
            "resources": {"memory": "6Gi"},
            "change": {"id": "more-memory", "requestedBy": _REQUESTER},
        }
        delays.append(await _answered(bench, number, change))
        await asyncio.sleep(_PAUSE)
    await quiet(bench)
    counts: Counts = await asyncio.to_thread(bench.meters.since, mark, bench.who.pid)
    kinds = counts.writes
    creates = sum(n for kind, n in kinds.items() if kind.startswith("create ") and kind != "create events")
    patches = sum(n for kind, n in kinds.items() if kind.endswith("/status"))
    return {
        "billed.median": median(delays),
        "billed.creates": creates / count,
        "billed.status": patches / count,
        "billed.events": counts.events / count,
        "billed.kinds": dict(kinds),
    }


async def drift(bench: Bench, count: int = COUNT) -> Figures:
    """Change overrides behind its back, one after the other, until the simulator has received each repair.

    A bare client notes when the simulator tells of the change: what lies between that and the repair is the operator.
    """
    admin = vcenter_admin.of(bench.lab)
    delays, own, reactions = [], [], []
    with BareClient(bench.lab) as bare:
        for number in world.spread(count, bench.size, offset=3):
            await asyncio.to_thread(admin.reset_calls)
            asked = await _inject(admin, world.vm_of(number))
            repaired = await received(admin, _PATIENCE)
            await asyncio.sleep(_PAUSE)
            told = bare.after(asked)
            delays.append(repaired - asked)
            if told is not None:
                own.append(told - asked)
                reactions.append(repaired - told)
    return {
        "drift.median": median(delays),
        "drift.p99": quantile(delays, 0.99),
        "drift.simulator.median": median(own),
        "drift.simulator.p99": quantile(own, 0.99),
        "drift.reaction.median": median(reactions),
        "drift.reaction.p99": quantile(reactions, 0.99),
    }


async def polled_drift(bench: Bench, count: int = COUNT) -> Figures:
    """Change overrides behind the back of one who polls, all at once: its delay does not depend on how many wait."""
    admin = vcenter_admin.of(bench.lab)
    waiting = {}
    for number in world.spread(count, bench.size, offset=3):
        path = world.vm_of(number)
        waiting[path] = await _inject(admin, path)
    delays: list[float] = []
    deadline = time.monotonic() + bench.patience
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        for path, asked in list(waiting.items()):
            facts = await asyncio.to_thread(admin.vm, path)
            if facts["haOverride"]["restartPriority"] == _RIGHT:
                delays.append(wall() - asked)
                del waiting[path]
    figures: Figures = {"drift.unfinished": f"{len(waiting)} of {count} not repaired"} if waiting else {}
    if delays:
        figures |= {"drift.median": median(delays), "drift.p99": quantile(delays, 0.99)}
    return figures


async def _answered(bench: Bench, number: int, spec: dict[str, Any]) -> float:
    """Return the seconds from the API server's answer to a change until its generation was seen observed."""
    name = world.name_of(number)
    changed = await bench.api.patch(world.path_of(number), {"spec": spec})
    answered, generation = time.monotonic(), changed["metadata"]["generation"]

    def is_observed() -> bool:
        seen = bench.watch.seen.get(name)
        return seen is not None and seen.observed >= generation

    await bench.watch.until(is_observed, f"{name} to be looked at", _PATIENCE)
    return max(0.0, bench.watch.seen[name].at - answered)


async def _inject(admin: vcenter_admin.VCenterAdmin, path: str) -> float:
    """Set a wrong override and return when that was asked for, in wall time."""
    asked = wall()
    await asyncio.to_thread(lambda: admin.ha_override(path, restartPriority="low"))
    return asked


async def received(admin: vcenter_admin.VCenterAdmin, seconds: float) -> float:
    """Return when the vCenter received the first repair since its calls were reset, in wall time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for call in (await asyncio.to_thread(admin.calls))["mutations"]:
            if call["method"] == _REPAIR:
                return datetime.fromisoformat(call["at"]).timestamp()
        await asyncio.sleep(_JOURNAL_SECONDS)
    raise DeadlineError(f"no repair was received within {seconds:g} s")
