"""Two replicas of ours: how long nobody acts after the leader was killed, and after it was asked to stop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bench import contestants, usage, world
from bench.reactions import received
from bench.usage import wall
from lab import vcenter_admin
from lab.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.phases import Bench, Figures

_PATIENCE = 60.0
_READY_SECONDS = 300.0
_POLL_SECONDS = 0.1


async def takeover(bench: Bench) -> Figures:
    """Kill the leader, then stop the next one; each time a drift waits to be repaired by whoever acts next."""
    leader, standby = contestants.replica(bench.lab, 1), contestants.replica(bench.lab, 2)
    standby.start()
    await _until(standby.is_ready, "the standby to know the world", _READY_SECONDS)
    figures: Figures = {"takeover.standby.rss": usage.memory(standby.pid).now}
    figures["takeover.killed"] = await _handed_over(bench, leader.kill, standby, 5)
    leader.start()
    await _until(leader.is_ready, "the other one to stand by", _READY_SECONDS)
    figures["takeover.stopped"] = await _handed_over(bench, standby.stop, leader, 6)
    return figures


async def _handed_over(
    bench: Bench, end: Callable[[], None], successor: contestants.Ours, number: int
) -> float:
    """Return the seconds from the end of the leader until its successor acts, and has repaired a drift of meanwhile.

    The leader may still repair it on its way out; so the successor's own word counts too.
    """
    admin = vcenter_admin.of(bench.lab)
    await asyncio.to_thread(admin.reset_calls)
    begin = wall()
    ending = asyncio.create_task(asyncio.to_thread(end))
    await asyncio.sleep(_POLL_SECONDS)
    await asyncio.to_thread(lambda: admin.ha_override(world.vm_of(number), restartPriority="low"))
    await _until(successor.is_active, "the successor to act", _PATIENCE)
    active = wall()
    repaired = await received(admin, _PATIENCE)
    await ending
    return max(repaired, active) - begin


async def _until(check: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(check):
        if time.monotonic() > deadline:
            raise DeadlineError(f"waited {seconds:g} s in vain for {what}")
        await asyncio.sleep(_POLL_SECONDS)
