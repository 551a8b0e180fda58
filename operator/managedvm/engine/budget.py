"""How much at once: so many slots for each resource, whoever asks, first come first served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Slots:
    semaphore: asyncio.Semaphore
    users: int = 0
    holding: int = 0


class Budget(Generic[K]):
    """At most `limit` holders of a slot for each key, such as calls in flight for each vCenter.

    Keys that nobody uses take no memory.
    """

    def __init__(self, limit: int) -> None:
        """Take the number of slots of each key, at least 1."""
        if limit < 1:
            raise ValueError(f"a budget of {limit} would let nobody through for ever")
        self._limit = limit
        self._slots: dict[K, _Slots] = {}

    def resize(self, limit: int) -> None:
        """Allow another number of slots from now on; a key in use keeps its number until nobody uses it."""
        if limit < 1:
            raise ValueError(f"a budget of {limit} would let nobody through for ever")
        self._limit = limit

    @asynccontextmanager
    async def slot(self, key: K) -> AsyncIterator[None]:
        """Hold one slot of the key within the block, waiting in order until one is free."""
        slots = self._slots.setdefault(key, _Slots(asyncio.Semaphore(self._limit)))
        slots.users += 1
        try:
            async with slots.semaphore:
                slots.holding += 1
                try:
                    yield
                finally:
                    slots.holding -= 1
        finally:
            slots.users -= 1
            if not slots.users:
                del self._slots[key]

    def is_full(self, key: K) -> bool:
        """Return whether who wants a slot of the key now must wait for it."""
        return key in self._slots and self._slots[key].semaphore.locked()

    def holding(self, key: K) -> int:
        """Return how many slots of the key are held."""
        return self._slots[key].holding if key in self._slots else 0

    def waiting(self, key: K) -> int:
        """Return how many wait for a slot of the key."""
        return self._slots[key].users - self._slots[key].holding if key in self._slots else 0
