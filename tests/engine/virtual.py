"""Virtual time: an event loop that never waits, because it moves its own clock to whatever is due next."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class _Skipping(selectors.SelectSelector):
    """Instead of waiting for the time to pass, lets it have passed."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None):
        if timeout is None:
            raise RuntimeError(
                "nothing is scheduled any more: the test waits for something that never happens"
            )
        self._loop.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers in order at once; `now` is its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Skipping(self))

    def time(self) -> float:
        return self.now


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


def clock() -> float:
    return loop().time()


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on a virtual loop."""

    @functools.wraps(test)
    def in_virtual_time(*args, **kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(_unchanged(test(*args, **kwargs)))

    return in_virtual_time


async def _unchanged(awaitable: Awaitable[None]) -> None:
    await awaitable


async def until(condition: Callable[[], bool], seconds: float = 3600.0, every: float = 0.01) -> None:
    """Let the loop run until the condition holds; fails when it does not within so much virtual time."""
    deadline = clock() + seconds
    while not condition():
        assert clock() < deadline, "the condition never held"
        await asyncio.sleep(every)
