"""One replica's life: know the world first, then strive for the lease, then work; hand over on the way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from managedvm.engine.lease import Elector
    from managedvm.engine.passes import Passes

K = TypeVar("K", bound=Hashable)


class Replica(Generic[K]):
    """Ties the election to the passes: a warm standby until the lease is held.

    `synced` is set once the store is complete. A replica that does not know the world yet must not hold the
    lease: it would act on half of it, and keep away one that knows better. `keys` returns all keys to look at.
    """

    def __init__(
        self,
        elector: Elector,
        passes: Passes[K],
        *,
        synced: asyncio.Event,
        keys: Callable[[], Iterable[K]],
    ) -> None:
        self._elector = elector
        self._passes = passes
        self._synced = synced
        self._keys = keys
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Stand by, then act; returns after `stop` or after the lease was lost.

        Raises:
            ExceptionGroup: the election or a worker met a bug; the process must end.
        """
        async with asyncio.TaskGroup() as group:
            self._tasks = [group.create_task(self._strive()), group.create_task(self._work())]

    async def stop(self, limit_seconds: float) -> bool:
        """Let running passes end within the limit, then release the lease; returns whether all ended in time.

        The lease is renewed meanwhile: nobody may take over while passes still run.
        """
        ended = await self._passes.stop(limit_seconds)
        await self._elector.release()
        self._end()
        return ended

    async def _strive(self) -> None:
        await self._synced.wait()
        await self._elector.run()
        self._end()

    async def _work(self) -> None:
        await self._elector.acquired.wait()
        await self._passes.run(self._keys)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
