"""Faults for the proxy: what a request may meet on its way, and the crash that strikes several callers at once."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from lab.faultproxy import Answer, CutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.calls import Call
    from lab.faultproxy import Exchange, Fault, FaultProxy, Rule


class Moment(StrEnum):
    """Where on its way a request is."""

    BEFORE = "before"
    """The caller has sent it, and nobody has got it."""
    AFTER_EFFECT = "after-effect"
    """It has had its effect, and the caller does not know."""
    AFTER_RESPONSE = "after-response"
    """The caller has its answer, and has done nothing with it yet."""


async def lost_before(_: Exchange) -> None:
    """Lose the request: it has no effect, and the connection breaks."""
    raise CutError


async def lost_after(exchange: Exchange) -> None:
    """Lose the answer: the request has its effect, and the connection breaks."""
    await exchange.forward()
    raise CutError


async def doubled(exchange: Exchange) -> Answer:
    """Deliver the request twice; the caller is given the second answer."""
    await exchange.forward()
    return await exchange.forward()


async def doubled_unseen(exchange: Exchange) -> Answer:
    """Deliver the request twice; the caller is given the first answer."""
    answer = await exchange.forward()
    await exchange.forward()
    return answer


def refused_before(status: int) -> Fault:
    """Return the fault by which a request is answered with an error and has no effect."""

    async def fault(exchange: Exchange) -> Answer:
        return exchange.refusal(status)

    return fault


def refused_after(status: int) -> Fault:
    """Return the fault by which a request has its effect and is answered with an error all the same."""

    async def fault(exchange: Exchange) -> Answer:
        await exchange.forward()
        return exchange.refusal(status)

    return fault


def late(seconds: float, moment: Moment) -> Fault:
    """Return the fault by which a request, or its answer, takes so much longer."""

    async def fault(exchange: Exchange) -> Answer:
        if moment is Moment.BEFORE:
            await asyncio.sleep(seconds)
            return await exchange.forward()
        answer = await exchange.forward()
        await asyncio.sleep(seconds)
        return answer

    return fault


async def too_old(_: Exchange) -> Answer:
    """Tell a watch, as the API server does, that what it wants to go on from is forgotten (410)."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410}
    gone = {**status, "reason": "Expired", "message": "too old resource version"}
    event = orjson.dumps({"type": "ERROR", "object": gone}) + b"\n"
    return Answer(200, (("Content-Type", "application/json"),), event)


class Crash:
    """One power cut that several requests meet, each at a moment of its own.

    Each request is held at its moment until `strike`; then the answers that are to arrive are relayed, `kill` is
    called, and the rest is lost. So each of them meets the cut exactly where it was meant to, and one restart serves
    them all.
    """

    def __init__(self, proxy: FaultProxy, kill: Callable[[], object]) -> None:
        self._proxy = proxy
        self._kill = kill
        self._rules: list[Rule] = []
        self._relays: list[asyncio.Future[None]] = []
        self._falls = asyncio.Event()
        self._over = asyncio.Event()
        self.held: list[Call | None] = []
        """For each point, in the order in which they joined: the request that is held at it, None while there is none."""

    def join(self, which: Callable[[Call], bool], nth: int, moment: Moment) -> None:
        """Add a point: the `nth` request that `which` wants, at this moment of its way."""
        point = len(self.held)
        self.held.append(None)

        async def fault(exchange: Exchange) -> None:
            answer = None if moment is Moment.BEFORE else await exchange.forward()
            relayed = asyncio.get_running_loop().create_future()
            if moment is Moment.AFTER_RESPONSE:
                self._relays.append(relayed)
            self.held[point] = exchange.call
            await self._falls.wait()
            if answer is not None and moment is Moment.AFTER_RESPONSE:
                try:
                    await exchange.relay(answer)
                finally:
                    relayed.set_result(None)
                return
            await self._over.wait()
            raise CutError

        self._rules.append(self._proxy.inject(which, fault, nth=nth))

    def strike(self) -> None:
        """Let the cut fall on the requests that are held by now; points that nobody has come to are given up."""
        self._proxy.run(self._strike())

    async def _strike(self) -> None:
        self._proxy.remove(*self._rules)
        self._falls.set()
        await asyncio.gather(*self._relays)
        await asyncio.to_thread(self._kill)
        self._over.set()
