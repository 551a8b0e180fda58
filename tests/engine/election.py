"""A world of machines that elect: each has a loop of its own, so that one can freeze while the others go on.

Time, network and the Lease in the API server are simulated; the electors are the real ones. Nothing is random:
the same script gives the same run.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from managedvm.engine.lease import (
    Elector,
    LeaseConflictError,
    LeaseNotFoundError,
    LeaseRecord,
    LeaseUnavailableError,
)

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)
NETWORK_SECONDS = 0.02
SLOW_SECONDS = 4.0
LATE_SECONDS = 12.0


class Fault(StrEnum):
    """What may happen to one call."""

    NONE = "none"
    REFUSED = "refused at once"
    REQUEST_LOST = "never arrives, never answered"
    ANSWER_LOST = "done, never answered"
    ANSWER_BROKEN = "done, answered with an error"
    SLOW = "done, answered seconds later"
    LATE = "done long after the caller gave up"


class Server:
    """The one Lease, with the preconditions of a real API server."""

    def __init__(self):
        self.record: LeaseRecord | None = None
        self.version = 0
        self.writes = 0

    def get(self):
        if self.record is None:
            raise LeaseNotFoundError
        return self.record

    def create(self, record):
        if self.record is not None:
            raise LeaseConflictError
        return self._store(record)

    def update(self, record):
        if self.get().resource_version != record.resource_version:
            raise LeaseConflictError
        return self._store(record)

    def _store(self, record):
        self.version += 1
        self.writes += 1
        self.record = replace(record, resource_version=str(self.version))
        return self.record


class MachineLoop(asyncio.SelectorEventLoop):
    def __init__(self, world):
        self.world = world
        self.suspended_seconds = 0.0
        super().__init__()

    def time(self):
        """Return what CLOCK_MONOTONIC shows, which stands still while the machine is suspended."""
        return self.world.now - self.suspended_seconds

    def next_at(self):
        if self._ready:
            return self.world.now
        return self._scheduled[0]._when + self.suspended_seconds if self._scheduled else float("inf")

    def step(self):
        self.call_soon(self.stop)
        self.run_forever()


class Machine:
    """One process with an elector; it can freeze, die, have its wall clock set and its calls disturbed."""

    def __init__(self, world, name, rate=1.0):
        self.world, self.name, self.rate = world, name, rate
        self.faults: list[Fault] = []
        self.update_faults: list[Fault] = []
        self.cut_off = self.dead = False
        self.frozen_until = 0.0
        self.wall_shift = timedelta()
        self.lost: list[str] = []
        self.loop = MachineLoop(world)
        # Each machine started at another time, so its clock shows something else, and runs a little unlike others.
        self.elector = Elector(
            self,
            name,
            wall=lambda: EPOCH + timedelta(seconds=world.now) + self.wall_shift,
            on_lost=self._on_lost,
            clock=lambda: 1000 * len(name) + world.now * rate,
        )
        self.running = self.loop.create_task(self.elector.run())

    def may_act(self):
        return not self.dead and self.elector.may_act()

    def next_at(self):
        return float("inf") if self.dead else max(self.loop.next_at(), self.frozen_until)

    def freeze(self, seconds):
        """Run no code for so long, as after SIGSTOP: clocks and timers go on."""
        self.frozen_until = max(self.frozen_until, self.world.now) + seconds

    def suspend(self, seconds):
        """Send the machine to sleep: its timers stand still too, only CLOCK_BOOTTIME goes on."""
        self.freeze(seconds)
        self.loop.suspended_seconds += seconds

    def release(self):
        return self.loop.create_task(self.elector.release())

    def _on_lost(self, why):
        self.lost.append(why)
        self.dead = True  # as os._exit would

    async def get(self):
        return await self._call(self.world.server.get)

    async def create(self, record):
        return await self._call(lambda: self.world.server.create(record))

    async def update(self, record):
        if self.update_faults:
            self.faults.insert(0, self.update_faults.pop(0))
        return await self._call(lambda: self.world.server.update(record))

    async def _call(self, effect):
        answer = self.loop.create_future()
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        if self.cut_off:
            fault = Fault.REQUEST_LOST
        if fault == Fault.REFUSED:
            raise LeaseUnavailableError("connection refused")
        if fault != Fault.REQUEST_LOST:
            travels = LATE_SECONDS if fault == Fault.LATE else NETWORK_SECONDS
            self.world.after(travels, lambda: self._arrives(effect, answer, fault))
        return await answer

    def _arrives(self, effect, answer, fault):
        try:
            result = effect()
        except (LeaseConflictError, LeaseNotFoundError) as error:
            result = error
        if fault == Fault.ANSWER_BROKEN:
            result = LeaseUnavailableError("connection reset")
        if fault != Fault.ANSWER_LOST:
            travels = SLOW_SECONDS if fault == Fault.SLOW else NETWORK_SECONDS
            self.world.after(travels, lambda: self._answered(answer, result))

    def _answered(self, answer, result):
        if self.dead or answer.done():
            return
        if isinstance(result, Exception):
            self.loop.call_soon(lambda: answer.done() or answer.set_exception(result))
        else:
            self.loop.call_soon(lambda: answer.done() or answer.set_result(result))

    def close(self):
        """End what still runs, so that no test leaves a task behind."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        for _ in range(10):
            self.loop.step()
        self.loop.close()


class World:
    """Moves time from one event to the next and checks after each that no two machines may act."""

    def __init__(self):
        self.now = 100.0
        self.server = Server()
        self.machines: list[Machine] = []
        self._events: list = []
        self._made = itertools.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for machine in self.machines:
            machine.close()

    def machine(self, name, rate=1.0):
        self.machines.append(Machine(self, name, rate))
        return self.machines[-1]

    def after(self, seconds, event):
        heapq.heappush(self._events, (self.now + seconds, next(self._made), event))

    def acting(self):
        return [machine.name for machine in self.machines if machine.may_act()]

    def run(self, seconds, until=lambda: False):
        """Let so many seconds pass, or fewer if the condition comes true; return how many passed."""
        start = self.now
        while not until():
            machine = min(self.machines, key=lambda each: each.next_at())
            next_event = self._events[0][0] if self._events else float("inf")
            following = min(machine.next_at(), next_event)
            if following > start + seconds:
                self.now = start + seconds
                break
            self.now = max(self.now, following)
            if next_event <= following:
                heapq.heappop(self._events)[2]()
            else:
                machine.loop.step()
            assert len(self.acting()) <= 1, f"two may act: {self.acting()}"
        return self.now - start
