"""A ledger under fire: kills, lost answers and two leaders at once; at the end it is exactly what was ordered.

`MANAGEDVM_ORDERS=10000 MANAGEDVM_KILLS=200` makes it the soak; `MANAGEDVM_REPORT=FILE` writes what it found.
"""

import os
import platform
import time
from pathlib import Path
from random import Random

import pytest

from lab import faults, wait_until
from tests.faults.faultlab import Relay
from tests.faults.ledger import Driver, audit
from tests.faults.pair import Pair, broken_election
from tests.faults.stories import declare

pytestmark = pytest.mark.lab

ORDERS = int(os.environ.get("MANAGEDVM_ORDERS", "120"))
KILLS = int(os.environ.get("MANAGEDVM_KILLS", "5"))
SEED = 20261123
LOST = 0.1
"""The share of creates whose answer is lost."""
VMS = min(40, max(8, ORDERS // 10))
BY_TWO = 0.15
"""The share of orders during which two replicas act at once."""
_PATIENCE = 300.0
"""Seconds without any progress until the test gives up."""


@pytest.fixture
def driver(fault_lab):
    names = [
        fault_lab.make_vm("ledger", memoryHotAddLimitMiB=1024 * 1024, memoryHotAddIncrementMiB=1024)
        for _ in range(VMS)
    ]
    for name in names:
        declare()(fault_lab, name)
    return Driver(fault_lab, tuple(names))


@pytest.fixture
def loses(fault_lab):
    """The rule by which a tenth of all creates loses its answer."""
    dice = Random(SEED)  # noqa: S311 - the same faults in each run, no secret
    rule = fault_lab.proxy.inject(
        lambda call: call.what in {"POST changerequests", "POST workentries"} and dice.random() < LOST,
        faults.lost_after,
        times=None,
    )
    yield rule
    fault_lab.proxy.remove(rule)


def until(driver, done, most):
    """Go on ordering, up to `most` in all, until so many orders have come to rest; only standing still is too slow."""
    latest = [0, time.monotonic()]

    def is_reached():
        reached = driver.go_on(most)
        if reached > latest[0]:
            latest[:] = [reached, time.monotonic()]
        assert time.monotonic() - latest[1] < _PATIENCE, f"no order came to rest after the first {latest[0]}"
        return reached >= done

    wait_until(is_reached, f"{done} orders", seconds=6 * 3600, every=0.1)


def test_the_ledger_is_exactly_what_was_ordered(fault_lab, driver, loses, say):
    begun, dice = time.monotonic(), Random(SEED)  # noqa: S311 - the same moments in each run, no secret
    alone = round(ORDERS * (1 - BY_TWO))
    relay = Relay(fault_lab)
    relay.begin()
    try:
        for kill in range(1, KILLS + 1):
            until(driver, alone * kill // (KILLS + 1), alone)
            moment = time.monotonic() + dice.random()
            wait_until(lambda m=moment: time.monotonic() >= m, "the moment of the kill", seconds=5)
            relay.now.kill()
            relay.begin()
        until(driver, alone, alone)
    finally:
        relay.end()
    acting = by_two(fault_lab, driver)
    found = audit(fault_lab, driver.orders)
    figures = {
        "orders": len(driver.orders),
        "kills": KILLS,
        "creates whose answer was lost": len(loses.struck),
        "orders while two replicas acted": ORDERS - alone,
        "calls of the two": acting,
        "missing": len(found.missing),
        "doubled": len(found.doubled),
        "altered": len(found.altered),
        "VMs not changed exactly as often as ordered": len(found.not_once),
        "ordered": f"{found.ordered} EUR",
        "billed": f"{found.billed} EUR",
        "minutes": f"{(time.monotonic() - begun) / 60:.1f}",
    }
    say("; ".join(f"{name}: {value}" for name, value in figures.items()))
    report(figures)
    assert found.is_clean, found
    assert loses.struck
    assert all(acting.values())


def by_two(lab, driver):
    """Let two replicas act at once for the rest of the orders; return how often each has changed something."""
    rules = broken_election(lab.proxy)
    since = len(lab.proxy.calls)
    pair = Pair(lab)
    try:
        wait_until(lambda: all(map(pair.active, pair.replicas.values())), "both to act", seconds=60)
        until(driver, ORDERS, ORDERS)
    finally:
        pair.end()
        lab.proxy.remove(*rules)
    return {door: sum(call.door == door for call in lab.proxy.calls[since:]) for door in pair.replicas}


def report(figures):
    """Write the figures to the file that the environment names, if it names one."""
    path = os.environ.get("MANAGEDVM_REPORT")
    if not path:
        return
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    title = "# The ledger under fire\n\nThe last run of `make soak`; `tests/faults/test_ledger.py` says what is done.\n"
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, seed {SEED}"
    Path(path).write_text(f"{title}\n| | |\n|---|---|\n{rows}\n| machine | {machine} |\n")
