"""Doing together what is asked while the same is being done already."""

import asyncio

import pytest

from managedvm.engine.together import AbandonedError, Together


class Doing:
    """Notes each call and lets it end when told to."""

    def __init__(self, error=None):
        self.calls = []
        self.error = error
        self.begun = asyncio.Semaphore(0)
        self.may_end = asyncio.Semaphore(0)

    async def __call__(self, key, items):
        self.calls.append((key, items))
        self.begun.release()
        await self.may_end.acquire()
        if self.error is not None:
            raise self.error


async def added(together, *items, key="c"):
    """Add items in order, each in a task of its own, and let each come as far as it can."""
    tasks = []
    for item in items:
        tasks.append(asyncio.create_task(together.add(key, item)))
        await asyncio.sleep(0)
    return tasks


async def test_what_is_asked_during_a_call_goes_together_in_the_next():
    doing = Doing()
    together = Together(doing)
    tasks = await added(together, 1, 2, 3, 4)
    doing.may_end.release()
    await tasks[0]
    await doing.begun.acquire()
    assert not tasks[1].done()
    doing.may_end.release()
    await asyncio.gather(*tasks)
    assert doing.calls == [("c", (1,)), ("c", (2, 3, 4))]


async def test_other_keys_do_not_wait():
    doing = Doing()
    together = Together(doing)
    first = await added(together, 1, key="a")
    second = await added(together, 2, key="b")
    assert doing.calls == [("a", (1,)), ("b", (2,))]
    doing.may_end.release()
    doing.may_end.release()
    await asyncio.gather(*first, *second)


async def test_an_error_is_told_to_everybody_in_the_call_and_to_nobody_else():
    doing = Doing(ValueError("no"))
    together = Together(doing)
    tasks = await added(together, 1, 2, 3)
    doing.may_end.release()
    doing.may_end.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 3
    doing.error = None
    doing.may_end.release()
    await together.add("c", 4)
    assert doing.calls == [("c", (1,)), ("c", (2, 3)), ("c", (4,))]


async def test_who_waited_for_a_call_that_was_cut_off_is_told_so():
    doing = Doing()
    together = Together(doing)
    first, second, third = await added(together, 1, 2, 3)
    doing.may_end.release()
    await first
    await doing.begun.acquire()
    await doing.begun.acquire()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    with pytest.raises(AbandonedError):
        await third


async def test_who_gives_up_waiting_takes_nobody_along():
    doing = Doing()
    together = Together(doing)
    first, second, third = await added(together, 1, 2, 3)
    third.cancel()
    doing.may_end.release()
    doing.may_end.release()
    await asyncio.gather(first, second)
    assert doing.calls == [("c", (1,)), ("c", (2, 3))]
