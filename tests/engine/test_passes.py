"""The passes: what each verdict and error leads to, who may run beside whom, and how they stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
from datetime import UTC, datetime

import pytest

from managedvm.engine.agenda import Agenda
from managedvm.engine.passes import (
    CHECK,
    Again,
    Bug,
    Passes,
    PassSettings,
    Result,
    Retry,
    Stalled,
    Verdict,
)
from managedvm.engine.queue import KeyedQueue, Lane
from tests.engine.virtual import clock, until, virtual

TOMORROW = datetime(2026, 11, 24, tzinfo=UTC)


class OutageError(Exception):
    """Time helps."""


class RefusalError(Exception):
    """A person must help."""


def judge(error):
    match error:
        case OutageError():
            return Retry()
        case RefusalError():
            return Stalled()
        case TimeoutError():
            return Retry(after_seconds=7)
        case _:
            return Bug()


class Bench:
    """Passes with everything around them; `act` is what a pass does, and may be changed at any time."""

    def __init__(self, settings=None):
        self.queue, self.agenda = KeyedQueue(clock), Agenda()
        self.lease_held = True
        self.ran, self.records = [], []
        self.verdict = Verdict()
        self.passes = Passes(
            self.queue,
            self.agenda,
            run=self._run,
            classify=judge,
            may_act=lambda: self.lease_held,
            clock=clock,
            on_pass=self.records.append,
            settings=settings,
        )
        self.act = self.settle
        self.running = None

    async def _run(self, key):
        self.ran.append((key, clock() - 1000))
        return await self.act(key)

    async def settle(self, _):
        return self.verdict

    def start(self, *keys):
        self.running = asyncio.create_task(self.passes.run(lambda: keys))
        return self

    async def ended(self, count):
        await until(lambda: len(self.records) >= count, every=0.1)

    async def end(self):
        assert await self.passes.stop(limit_seconds=100)
        await self.running

    def results(self):
        return [record.result for record in self.records]


def raising(error):
    async def act(_):
        raise error

    return act


@virtual
async def test_every_key_gets_one_pass_at_the_start_in_the_order_of_their_names():
    bench = Bench(PassSettings(at_once=dict.fromkeys(Lane, 1))).start("c", "a", "b")
    await bench.ended(3)

    assert [key for key, _ in bench.ran] == ["a", "b", "c"]
    assert {record.lane for record in bench.records} == {Lane.RESYNC}
    await bench.end()


@virtual
async def test_a_standby_takes_no_offers_and_an_active_replica_does():
    bench = Bench()
    bench.passes.offer("early", Lane.PERSON)
    assert bench.passes.progress() is None
    bench.start()
    await asyncio.sleep(1)
    bench.passes.offer("web", Lane.PERSON)
    await bench.ended(1)

    assert [key for key, _ in bench.ran] == ["web"]
    await bench.end()
    bench.passes.offer("late", Lane.PERSON)
    assert sum(bench.queue.depth().values()) == 0


@virtual
async def test_the_next_check_of_a_pass_replaces_the_one_before():
    bench = Bench()
    bench.verdict = Verdict(next_check=TOMORROW)
    bench.start("web")
    await bench.ended(1)
    assert bench.agenda.at("web", CHECK) == TOMORROW

    bench.verdict = Verdict()
    bench.passes.offer("web", Lane.DRIFT)
    await bench.ended(2)
    assert bench.agenda.at("web", CHECK) is None
    assert bench.results() == [Result.SETTLED] * 2
    await bench.end()


@virtual
async def test_a_pass_may_ask_for_another_at_once_or_after_a_rest():
    bench = Bench()
    verdicts = [Verdict(again=Again.NOW), Verdict(again=Again.BACKOFF), Verdict()]

    async def act(_):
        return verdicts.pop(0)

    bench.act = act
    bench.start("web")
    await bench.ended(3)

    times = [when for _, when in bench.ran]
    assert times[1] == times[0]
    assert 0.5 <= times[2] - times[1] <= 1
    assert bench.results() == [Result.AGAIN, Result.RETRY, Result.SETTLED]
    assert not bench.queue.failing()
    await bench.end()


@virtual
async def test_while_time_helps_the_rests_grow_and_a_success_ends_them():
    bench = Bench()
    bench.act = raising(OutageError())
    bench.start("web")
    await bench.ended(4)
    times = [when for _, when in bench.ran]
    rests = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert rests == sorted(rests)

    bench.act = bench.settle
    await bench.ended(5)
    assert bench.results() == [Result.RETRY] * 4 + [Result.SETTLED]
    assert not bench.queue.failing()
    await bench.end()


@virtual
async def test_a_wait_that_is_over_already_does_not_make_a_pass_spin():
    bench = Bench()
    bench.passes._classify = lambda _: Retry(after_seconds=-5)
    bench.act = raising(OutageError())
    bench.start("web")
    await asyncio.sleep(60)

    assert 3 <= len(bench.ran) <= 10
    await bench.end()


@virtual
async def test_where_a_person_must_help_it_is_looked_at_again_seldom_or_when_something_changes():
    bench = Bench()
    bench.act = raising(RefusalError())
    bench.start("web")
    await bench.ended(1)
    await asyncio.sleep(600)
    assert bench.results() == [Result.STALLED]

    bench.passes.offer("web", Lane.PERSON)
    await bench.ended(2)
    assert bench.ran[1][1] == pytest.approx(600, abs=1)

    await bench.ended(3)
    assert bench.ran[2][1] == pytest.approx(1500, abs=1)
    await bench.end()


@virtual
async def test_a_bug_is_logged_with_its_trace_once_per_place_and_tried_again(caplog):
    bench = Bench()

    async def act(key):
        if key == "other place":
            return {}["missing"]
        return 1 / 0

    bench.act = act
    bench.start("web", "db", "other place")
    await bench.ended(6)

    assert caplog.text.count("ZeroDivisionError: ") == 1
    assert caplog.text.count("KeyError: ") == 1
    assert set(bench.results()) == {Result.BUG}
    assert sum(bench.passes.bugs.values()) == len(bench.records)
    await bench.end()


@virtual
async def test_a_pass_that_takes_too_long_is_cut_off_and_judged():
    bench = Bench(PassSettings(pass_seconds=10))

    async def hang(_):
        await asyncio.sleep(1000)

    bench.act = hang
    bench.start("web")
    await bench.ended(1)
    bench.act = bench.settle
    await bench.ended(2)

    assert bench.records[0].took_seconds == pytest.approx(10)
    assert bench.ran[1][1] == pytest.approx(17, abs=0.1)
    await bench.end()


@virtual
async def test_a_cancellation_from_within_a_pass_does_not_end_its_worker():
    bench = Bench(PassSettings(at_once=dict.fromkeys(Lane, 1)))
    bench.act = raising(asyncio.CancelledError())
    bench.start("web")
    await bench.ended(1)
    bench.act = bench.settle
    await bench.ended(2)

    assert bench.results() == [Result.BUG, Result.SETTLED]
    await bench.end()


@virtual
async def test_errors_of_the_judge_and_of_the_listener_stop_nobody(caplog):
    caplog.set_level(logging.ERROR)
    bench = Bench()

    def broken(_):
        raise RuntimeError("broken")

    bench.passes._classify = broken
    bench.act = raising(OutageError())
    bench.start("web")
    await bench.ended(1)
    assert bench.results() == [Result.BUG]

    bench.passes._on_pass = broken
    bench.act = bench.settle
    await until(lambda: bench.passes.results[Result.SETTLED] == 1)
    await bench.end()


@virtual
async def test_slow_passes_of_the_last_lane_leave_room_for_a_person():
    settings = PassSettings(at_once={Lane.PERSON: 4, Lane.WINDOW: 3, Lane.DRIFT: 2, Lane.RESYNC: 1})
    bench = Bench(settings)

    async def slow(_):
        await asyncio.sleep(30)
        return Verdict()

    bench.act = slow
    bench.start(*(f"resync-{number}" for number in range(10)))
    await asyncio.sleep(0)
    for number in range(10):
        bench.passes.offer(f"drift-{number}", Lane.DRIFT)
    await asyncio.sleep(5)
    assert bench.queue.working() == 2

    bench.passes.offer("person", Lane.PERSON)
    await asyncio.sleep(1)
    assert bench.ran[-1][0] == "person"
    await bench.end()


@pytest.mark.parametrize(
    "counts", [(1, 2, 1, 1), (4, 3, 2, 0)], ids=["more for a later lane", "nobody for the last lane"]
)
def test_lanes_that_could_starve_are_refused(counts):
    with pytest.raises(ValueError, match="lane"):
        PassSettings(at_once=dict(zip(Lane, counts, strict=True)))


@virtual
async def test_no_pass_starts_while_the_lease_is_in_doubt_and_none_is_lost():
    bench = Bench()
    bench.lease_held = False
    bench.start("web", "db")
    await asyncio.sleep(5)
    assert bench.ran == []

    bench.lease_held = True
    await bench.ended(2)
    bench.lease_held = False
    bench.passes.offer("web", Lane.PERSON)
    await asyncio.sleep(5)
    assert len(bench.ran) == 2

    bench.lease_held = True
    await bench.ended(3)
    assert bench.ran[-1][0] == "web"
    await bench.end()


@virtual
async def test_a_stop_lets_running_passes_end_and_starts_no_other():
    bench = Bench(PassSettings(at_once=dict.fromkeys(Lane, 1)))

    async def slow(_):
        await asyncio.sleep(10)
        return Verdict()

    bench.act = slow
    bench.start("a", "b")
    await asyncio.sleep(4)

    assert await bench.passes.stop(limit_seconds=20)
    assert clock() == pytest.approx(1010)
    assert [record.key for record in bench.records] == ["a"]
    await bench.running


@virtual
async def test_a_stop_cuts_off_what_needs_longer_than_its_limit():
    bench = Bench()

    async def slow(_):
        await asyncio.sleep(50)

    bench.act = slow
    bench.start("a")
    await asyncio.sleep(4)

    assert not await bench.passes.stop(limit_seconds=3)
    assert clock() == pytest.approx(1007)
    assert bench.records == []
    await bench.running


@virtual
async def test_a_stop_before_the_start_starts_nothing():
    bench = Bench()
    assert await bench.passes.stop(limit_seconds=1)
    bench.start("web")
    await bench.running

    assert bench.ran == []


@virtual
async def test_progress_tells_of_work_that_stands_still():
    bench = Bench(PassSettings(at_once=dict.fromkeys(Lane, 1), pass_seconds=1000))

    async def hang(_):
        await asyncio.sleep(500)
        return Verdict()

    bench.act = hang
    bench.start("a", "b")
    await asyncio.sleep(100)

    assert bench.passes.progress().oldest_seconds == pytest.approx(100)
    assert bench.passes.progress().idle_seconds == pytest.approx(100)
    await bench.passes.stop(limit_seconds=0)
    await bench.running
