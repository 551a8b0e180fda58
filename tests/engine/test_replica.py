"""One replica's life: it knows the world before it strives, works only when elected, and hands over on its way out."""

from __future__ import annotations

import asyncio

import pytest

from managedvm.engine.agenda import Agenda
from managedvm.engine.lease import Elector
from managedvm.engine.passes import Bug, Passes, Verdict
from managedvm.engine.queue import KeyedQueue, Lane
from managedvm.engine.replica import Replica
from tests.engine.election import EPOCH, Server
from tests.engine.virtual import clock, until, virtual


class Client:
    """A Lease that answers after 20 ms."""

    def __init__(self, server):
        self.server = server
        self.broken = None

    async def get(self):
        return await self._call(self.server.get)

    async def create(self, record):
        return await self._call(lambda: self.server.create(record))

    async def update(self, record):
        return await self._call(lambda: self.server.update(record))

    async def _call(self, effect):
        await asyncio.sleep(0.02)
        if self.broken:
            raise self.broken
        return effect()


class Process:
    """A replica with a pass that takes a second and notes who ran it."""

    def __init__(self, server, name, log):
        self.name, self.log, self.lost = name, log, []
        self.client, self.ended = Client(server), 0
        self.synced = asyncio.Event()
        self.elector = Elector(self.client, name, wall=lambda: EPOCH, on_lost=self.lost.append, clock=clock)
        self.passes = Passes(
            KeyedQueue(clock),
            Agenda(),
            run=self._run,
            classify=lambda _: Bug(),
            may_act=self.elector.may_act,
            clock=clock,
        )
        self.replica = Replica(self.elector, self.passes, synced=self.synced, keys=lambda: ["web", "db"])
        self.running = asyncio.create_task(self.replica.run())

    async def _run(self, key):
        self.log.append((self.name, key))
        await asyncio.sleep(1)
        self.ended += 1
        return Verdict()


@virtual
async def test_a_replica_that_does_not_know_the_world_yet_does_not_strive():
    server, log = Server(), []
    process = Process(server, "a", log)
    await asyncio.sleep(60)
    assert server.record is None

    process.synced.set()
    await until(lambda: len(log) == 2)
    assert log == [("a", "db"), ("a", "web")]
    await process.replica.stop(limit_seconds=5)
    await process.running


@virtual
async def test_one_replica_works_and_the_other_looks_at_everything_when_it_takes_over():
    server, log = Server(), []
    first, second = Process(server, "a", log), Process(server, "b", log)
    first.synced.set()
    await until(first.elector.may_act)
    second.synced.set()
    await until(lambda: len(log) == 2)
    await asyncio.sleep(60)
    assert log == [("a", "db"), ("a", "web")]
    assert first.ended == 2

    first.passes.offer("web", Lane.PERSON)
    await asyncio.sleep(0.1)
    stopping_since = clock()
    assert await first.replica.stop(limit_seconds=5)
    assert first.ended == 3, "the pass that ran was not let end"
    released = clock()
    await until(second.elector.may_act)

    assert clock() - released <= 3
    assert released - stopping_since <= 2
    await until(lambda: len(log) == 5)
    assert log[3:] == [("b", "db"), ("b", "web")]
    await asyncio.gather(first.running, second.replica.stop(limit_seconds=5), second.running)
    assert first.lost == []


@virtual
async def test_the_lease_is_renewed_while_running_passes_are_let_end():
    server, log = Server(), []
    process = Process(server, "a", log)

    async def slow(_):
        await asyncio.sleep(40)
        assert process.elector.may_act()
        log.append("ended")
        return Verdict()

    process.passes._run = slow
    process.synced.set()
    await until(process.elector.may_act)
    await asyncio.sleep(0.1)

    assert await process.replica.stop(limit_seconds=60)
    assert log == ["ended", "ended"]
    assert server.record.holder == ""
    await process.running


@virtual
async def test_a_replica_that_lost_the_lease_ends_its_work():
    server, log = Server(), []
    process = Process(server, "a", log)
    process.synced.set()
    await until(process.elector.may_act)
    server.record = None
    await process.running

    assert process.lost == ["deleted"]
    assert not process.passes.active


@virtual
async def test_a_standby_stops_at_once():
    process = Process(Server(), "a", [])
    await asyncio.sleep(1)

    assert await process.replica.stop(limit_seconds=5)
    await process.running


@virtual
async def test_a_bug_in_the_lease_client_ends_the_replica_loudly():
    process = Process(Server(), "a", [])
    process.synced.set()
    await until(process.elector.may_act)
    process.client.broken = ZeroDivisionError("bug")

    with pytest.raises(ExceptionGroup) as raised:
        await process.running
    assert raised.group_contains(ZeroDivisionError)
    await asyncio.sleep(10)
    assert not process.elector.may_act()
