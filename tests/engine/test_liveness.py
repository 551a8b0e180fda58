"""Liveness: what makes the engine not ok, and that what is only busy or on standby is ok."""

from __future__ import annotations

import asyncio

import pytest

from managedvm.engine.liveness import Liveness, LivenessLimits, LoopLag
from managedvm.engine.passes import Progress
from tests.engine.virtual import clock, loop, virtual


class Signs:
    """A liveness with signs that a test sets."""

    def __init__(self):
        self.now, self.progress, self.lag = 1000.0, None, 0.0
        self.liveness = Liveness(
            ["VM", "Customer"],
            progress=lambda: self.progress,
            lag_seconds=lambda: self.lag,
            clock=lambda: self.now,
            limits=LivenessLimits(
                silence_seconds=900, missed_relists=2, standstill_seconds=180, lag_seconds=10
            ),
        )

    def report(self):
        return self.liveness.report(self.now)


@pytest.fixture
def signs():
    return Signs()


def test_a_fresh_engine_is_ok(signs):
    assert signs.report().ok
    assert signs.report().reasons == ()


def test_a_kind_without_any_event_or_relist_is_a_dead_watch(signs):
    signs.now += 600
    signs.liveness.heard("Customer")
    signs.now += 301

    assert signs.report().reasons == ("VM: no event and no relist for 901 s",)
    assert signs.liveness.silence_seconds("Customer", signs.now) == 301


@pytest.mark.parametrize(
    "sign", [lambda it: it.heard("VM"), lambda it: it.relisted("VM", 0)], ids=["event", "relist"]
)
def test_a_quiet_kind_lives_by_an_event_or_by_its_relists(signs, sign):
    for _ in range(10):
        signs.now += 300
        sign(signs.liveness)
        signs.liveness.heard("Customer")

    assert signs.report().ok


def test_a_failed_relist_is_counted_and_is_no_sign_of_life(signs):
    for _ in range(4):
        signs.now += 300
        signs.liveness.relist_failed("VM")
        signs.liveness.heard("Customer")

    assert signs.liveness.failed_relists == {"VM": 4, "Customer": 0}
    assert not signs.report().ok


def test_a_watch_that_tells_nothing_while_relists_go_well_is_dead_too(signs):
    signs.liveness.relisted("VM", missed=3)
    assert signs.report().ok

    signs.liveness.relisted("VM", missed=1)
    assert signs.report().reasons == ("VM: 2 relists in a row found what the watch did not tell",)

    signs.liveness.relisted("VM", missed=0)
    assert signs.report().ok


@pytest.mark.parametrize(
    ("progress", "ok"),
    [
        pytest.param(None, True, id="a standby"),
        pytest.param(Progress(oldest_seconds=1000, idle_seconds=1), True, id="much to do, and passes end"),
        pytest.param(Progress(oldest_seconds=0, idle_seconds=1000), True, id="nothing to do"),
        pytest.param(Progress(oldest_seconds=181, idle_seconds=181), False, id="keys wait and no pass ends"),
    ],
)
def test_work_stands_still_when_keys_wait_and_no_pass_ends(signs, progress, ok):
    signs.progress = progress

    assert signs.report().ok is ok


def test_a_loop_that_runs_late_is_not_ok(signs):
    signs.lag = 10.5

    assert signs.report().reasons == ("the event loop runs 10.5 s late",)


@virtual
async def test_the_lag_is_how_late_the_loop_runs_what_is_due():
    lag = LoopLag(clock, interval_seconds=0.5)
    measuring = asyncio.create_task(lag.run())
    await asyncio.sleep(5.1)
    assert lag.worst_seconds == pytest.approx(0, abs=1e-6)

    loop().now += 3  # something blocked the loop for three seconds
    await asyncio.sleep(0.01)
    assert lag.last_seconds == pytest.approx(2.61, abs=0.02)
    await asyncio.sleep(5)
    assert lag.last_seconds == pytest.approx(0, abs=1e-6)
    assert lag.take_worst() == pytest.approx(2.61, abs=0.02)
    assert lag.take_worst() == 0
    measuring.cancel()
