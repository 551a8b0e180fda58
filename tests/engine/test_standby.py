"""What a standby remembers of the offers it could not act on, and what it begins with when it takes over."""

from __future__ import annotations

import asyncio

from managedvm.engine.agenda import Agenda
from managedvm.engine.passes import Bug, Passes, PassSettings, Verdict
from managedvm.engine.queue import KeyedQueue, Lane
from tests.engine.virtual import clock, until, virtual


class Standby:
    """A replica with one worker, which notes each pass."""

    def __init__(self):
        self.records = []
        self.passes = Passes(
            KeyedQueue(clock),
            Agenda(),
            run=self._run,
            classify=lambda _: Bug(),
            may_act=lambda: True,
            clock=clock,
            on_pass=self.records.append,
            settings=PassSettings(at_once=dict.fromkeys(Lane, 1)),
        )

    async def _run(self, _):
        return Verdict()

    async def take_over(self, *keys):
        """Run one pass for each key, and end."""
        running = asyncio.create_task(self.passes.run(lambda: keys))
        await until(lambda: len(self.records) == len(keys))
        await self.passes.stop(limit_seconds=1)
        await running


@virtual
async def test_what_was_offered_lately_comes_first():
    standby = Standby()
    standby.passes.offer("d", Lane.PERSON)
    await standby.take_over("a", "b", "c", "d")

    assert [record.key for record in standby.records] == ["d", "a", "b", "c"]


@virtual
async def test_looking_at_everybody_does_not_displace_what_has_changed():
    standby = Standby()
    standby.passes.offer("d", Lane.DRIFT)
    for number in range(1000):
        standby.passes.offer(number, Lane.RESYNC)
    standby.passes.offer("d", Lane.RESYNC)
    await standby.take_over("a", "b", "c", "d")

    assert [record.key for record in standby.records] == ["d", "a", "b", "c"]


@virtual
async def test_what_is_gone_by_then_is_not_looked_at():
    standby = Standby()
    standby.passes.offer("gone", Lane.DRIFT)
    await standby.take_over("a")

    assert [record.key for record in standby.records] == ["a"]


@virtual
async def test_only_the_latest_offers_are_remembered():
    standby = Standby()
    for number in range(1000):
        standby.passes.offer(number, Lane.DRIFT)
    await standby.take_over(*range(1000))

    early = [record.key for record in standby.records if record.lane is Lane.DRIFT]
    assert set(early) == set(range(744, 1000))


@virtual
async def test_while_everything_is_looked_at_the_loop_goes_on_and_a_change_comes_next():
    standby = Standby()
    running = asyncio.create_task(standby.passes.run(lambda: range(1000)))
    for _ in range(10):
        await asyncio.sleep(0)
    standby.passes.offer("changed", Lane.DRIFT)
    await until(lambda: len(standby.records) == 1001)

    assert [record.key for record in standby.records].index("changed") <= 10
    await standby.passes.stop(limit_seconds=1)
    await running
