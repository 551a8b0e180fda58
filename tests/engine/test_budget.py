"""The budget: how many at once for each resource."""

from __future__ import annotations

import asyncio

import pytest

from managedvm.engine.budget import Budget
from tests.engine.virtual import clock, virtual


async def use(budget, key, seconds, log):
    async with budget.slot(key):
        log.append((key, clock() - 1000))
        await asyncio.sleep(seconds)


@virtual
async def test_no_more_than_the_limit_hold_a_slot_and_the_others_come_in_order():
    budget, log = Budget(2), []
    users = [asyncio.create_task(use(budget, "berlin", seconds, log)) for seconds in (10, 3, 1, 1)]
    await asyncio.sleep(1)
    assert (budget.holding("berlin"), budget.waiting("berlin")) == (2, 2)

    await asyncio.wait(users)
    assert [when for _, when in log] == [0, 0, 3, 4]


@virtual
async def test_who_does_not_want_to_wait_asks_whether_it_is_full():
    budget = Budget(2)
    async with budget.slot("berlin"):
        assert not budget.is_full("berlin")
        async with budget.slot("berlin"):
            assert budget.is_full("berlin")
            assert not budget.is_full("hamburg")
    assert not budget.is_full("berlin")


@virtual
async def test_one_busy_resource_does_not_hinder_another():
    budget, log = Budget(1), []
    users = [asyncio.create_task(use(budget, key, 10, log)) for key in ("berlin", "berlin", "hamburg")]
    await asyncio.wait(users)

    assert sorted(log) == [("berlin", 0), ("berlin", 10), ("hamburg", 0)]


@virtual
async def test_a_slot_comes_back_from_who_fails_and_from_who_gives_up_waiting():
    budget, log = Budget(1), []
    holder = asyncio.create_task(use(budget, "berlin", 10, log))
    await asyncio.sleep(1)
    waiter = asyncio.create_task(use(budget, "berlin", 10, log))
    await asyncio.sleep(1)
    waiter.cancel()
    holder.cancel()
    await asyncio.wait([holder, waiter])

    async with asyncio.timeout(1), budget.slot("berlin"):
        assert budget.holding("berlin") == 1
    with pytest.raises(ZeroDivisionError):
        async with budget.slot("berlin"):
            raise ZeroDivisionError
    assert (budget.holding("berlin"), budget.waiting("berlin")) == (0, 0)


@virtual
async def test_resources_that_nobody_uses_take_no_memory():
    budget = Budget(1)
    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(use(budget, number, 1, []))
            group.create_task(use(budget, number, 1, []))
    assert not budget._slots


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0"):
        Budget(0)
