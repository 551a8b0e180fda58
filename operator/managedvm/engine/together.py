"""Doing together what is asked while the same is being done already: no waiting when nobody is at it, few calls when many are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class AbandonedError(Exception):
    """Who did it for all was cut off: whether anything was done is unknown."""


@dataclass(slots=True)
class _Batch(Generic[T]):
    items: list[T] = field(default_factory=list)
    is_begun: bool = False
    error: BaseException | None = None


class Together(Generic[K, T]):
    """Calls `do` with all items that were added for a key while the call before was under way, one call at a time.

    For few keys that stay, such as clusters: each keeps a lock. Belongs to one event loop.
    """

    def __init__(self, do: Callable[[K, tuple[T, ...]], Awaitable[None]]) -> None:
        self._do = do
        self._gathering: dict[K, _Batch[T]] = {}
        self._locks: defaultdict[K, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def add(self, key: K, item: T) -> None:
        """Return when a call with this item has ended.

        Raises:
            AbandonedError: the call was cut off, together with the caller that made it for all.
            Exception: what `do` raised; everybody whose item was in that call is told.
        """
        batch = self._gathering.setdefault(key, _Batch())
        batch.items.append(item)
        async with self._locks[key]:
            if not batch.is_begun:
                batch.is_begun = True
                del self._gathering[key]
                await self._begin(key, batch)
        if batch.error is not None:
            raise batch.error

    async def _begin(self, key: K, batch: _Batch[T]) -> None:
        try:
            await self._do(key, tuple(batch.items))
        except Exception as error:  # noqa: BLE001 - told to everybody, this caller included
            batch.error = error
        except BaseException as error:
            batch.error = AbandonedError(f"the call for {key!r} was cut off")
            raise error from None
