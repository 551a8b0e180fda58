"""Who may act: one holder of a Kubernetes Lease, which stops by its own clock before another may start.

Why two never act at once, as long as their clocks run at the same rate: a holder counts its time from the
moment *before* it sent the renewal that succeeded, so no later than the API server stored it. A candidate
counts from the moment *after* it first saw the record in its present form, and only takes a record that
nobody has changed since (resourceVersion). It waits for the whole lease; the holder stops `margin_seconds`
before the shorter renewal deadline. Wall clocks are written for people to read, and never compared.

A Lease does not fence: a call sent by the holder in its last moment may arrive after another took over. The
margin makes that unlikely; only deterministic names and preconditions make it harmless.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from managedvm.engine.jitter import fraction

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.05
"""Seconds: a timer may fire a little early, and must then not spin."""


class LeaseError(Exception):
    """The API server did not do what was asked."""


class LeaseConflictError(LeaseError):
    """Somebody else was first: the Lease exists already, or it is no longer of the given resourceVersion."""


class LeaseNotFoundError(LeaseError):
    """There is no such Lease."""


class LeaseUnavailableError(LeaseError):
    """No usable answer came. What was asked may or may not have been done."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The spec of a coordination.k8s.io Lease, with its resourceVersion; an empty holder is nobody.

    `unheld_since` is when its last holder was last heard of, kept until the present one has made up for that time.
    """

    holder: str
    lease_seconds: int
    acquired: datetime | None
    renewed: datetime | None
    transitions: int
    resource_version: str = ""
    unheld_since: datetime | None = None


class LeaseClient(Protocol):
    """One Lease in the API server. Each method raises a LeaseError when it did not happen for certain."""

    async def get(self) -> LeaseRecord:
        """Read the Lease; LeaseNotFoundError if there is none."""

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Create it and return it as stored; LeaseConflictError if it exists."""

    async def update(self, record: LeaseRecord) -> LeaseRecord:
        """Replace it if it still has the record's resourceVersion, and return it as stored."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How the election counts, in seconds; the same for all replicas.

    Who holds the lease writes every `retry_seconds`; who does not reads every `look_seconds`, so that a lease that was
    given back is soon taken.
    """

    lease_seconds: float = 15.0
    renew_seconds: float = 10.0
    retry_seconds: float = 2.0
    look_seconds: float = 0.5
    margin_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_seconds + self.margin_seconds < self.renew_seconds < self.lease_seconds:
            raise ValueError(f"needs retry + margin < renew < lease, got {self}")


def boottime() -> float:
    """Return seconds since the machine started, counting the time it was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Elector:
    """Takes the Lease, renews it, and tells at each moment whether this process may act.

    `identity` must be unique for each process that ever ran: a restarted one is another. `clock` must go on
    while the machine sleeps, and `wall` is only written. `acquired` is set when the Lease is first held;
    `on_lost` is called once, with the reason, when a held Lease is lost: the process must end then.
    """

    def __init__(
        self,
        client: LeaseClient,
        identity: str,
        *,
        wall: Callable[[], datetime],
        on_lost: Callable[[str], None],
        clock: Callable[[], float] = boottime,
        timing: LeaseTiming | None = None,
    ) -> None:
        if not identity:
            raise ValueError("an empty holder is nobody: the identity must not be empty")
        self._client = client
        self._identity = identity
        self._wall = wall
        self._on_lost = on_lost
        self._clock = clock
        self._timing = timing or LeaseTiming()
        self._record: LeaseRecord | None = None
        self._record_seen = 0.0
        self._deadline: float | None = None
        self._over = False
        self._has_caught_up = False
        self.acquired = asyncio.Event()

    @property
    def holder(self) -> str:
        """The holder this process last saw, empty for nobody."""
        return self._record.holder if self._record else ""

    @property
    def unheld_since(self) -> datetime | None:
        """Since when nobody held the Lease before this process, by its last holder's wall clock; None once made up for."""
        return None if self._record is None or self._has_caught_up else self._record.unheld_since

    def catch_up(self) -> None:
        """Note that what was missed while nobody held the Lease is made up for; the next renewal stores that."""
        self._has_caught_up = True

    def may_act(self) -> bool:
        """Return whether a mutating call may be sent now; ask again before each one."""
        return self._deadline is not None and self._clock() < self._deadline - self._timing.margin_seconds

    async def run(self) -> None:
        """Strive for the Lease, then renew it; returns after it was lost or released.

        An error of the client that is no LeaseError is a bug and is raised: `may_act` then ends by itself,
        and the process has to end too.
        """
        while not self._over:
            started = self._clock()
            try:
                async with asyncio.timeout(self._patience(started)):
                    await self._attempt(started)
            except (LeaseError, TimeoutError) as error:
                self._failed(error)
            if self._deadline is not None and self._clock() >= self._deadline:
                self._lose(f"not renewed for {self._timing.renew_seconds} s")
            if not self._over:
                await asyncio.sleep(self._pause(started))

    async def release(self) -> None:
        """Stop acting at once and empty the holder, so that another takes over without waiting.

        A release that fails is only logged: the others then wait for the lease to run out.
        """
        held, self._deadline, self._over = self._deadline is not None, None, True
        if not held or self._record is None:
            return
        try:
            async with asyncio.timeout(self._timing.retry_seconds):
                await self._empty(self._record)
        except (LeaseError, TimeoutError) as error:
            logger.warning("The lease was not released, another replica waits until it runs out: %r", error)

    async def _empty(self, record: LeaseRecord) -> None:
        """Write that nobody holds it; a renewal that was on its way may have changed the record meanwhile."""
        while record.holder == self._identity:
            try:
                record = await self._client.update(replace(record, holder="", renewed=self._wall()))
            except LeaseConflictError:
                record = await self._client.get()

    async def _attempt(self, started: float) -> None:
        """Do one step towards holding: renew, or look and take what is free."""
        if self._deadline is not None and self._record is not None:
            await self._renew(self._record, started)
            return
        try:
            self._see(await self._client.get())
        except LeaseNotFoundError:
            # Somebody deleted it, and its holder has not noticed yet: its time runs all the same.
            if self._record is None or self._is_free(self._record):
                await self._create(started)
            return
        if self._record is not None and self._is_free(self._record):
            asked = self._clock()
            self._hold(await self._client.update(self._ours(self._record)), asked)

    async def _create(self, started: float) -> None:
        try:
            self._hold(await self._client.create(self._ours(None)), started)
        except LeaseConflictError:
            self._see(await self._client.get())  # from now on its holder's time is known

    async def _renew(self, record: LeaseRecord, started: float) -> None:
        try:
            self._hold(await self._client.update(self._ours(record)), started)
        except LeaseConflictError:
            # Usually our own renewal, whose answer was lost. Its record is adopted, its time is not counted.
            self._see(await self._client.get())
            if self.holder != self._identity:
                self._lose(f"another took it: {self.holder!r}")
            else:
                asked = self._clock()
                self._hold(await self._client.update(self._ours(self._record)), asked)
        except LeaseNotFoundError:
            self._lose("deleted")

    def _hold(self, record: LeaseRecord, asked: float) -> None:
        if self._over:
            return
        self._see(record)
        acquired, deadline = self._deadline is None, asked + self._timing.renew_seconds
        if acquired and self._clock() >= deadline:
            return  # the answer took longer than what it grants, as after a suspend
        self._deadline = deadline
        if acquired:
            logger.info("This replica acts now", extra={"identity": self._identity})
            self.acquired.set()

    def _lose(self, why: str) -> None:
        if self._over:
            return
        self._deadline, self._over = None, True
        logger.error("The lease is lost (%s): this process must not act any more", why)
        self._on_lost(why)

    def _see(self, record: LeaseRecord) -> None:
        if self._record is None or record.resource_version != self._record.resource_version:
            self._record = record
            self._record_seen = self._clock()

    def _is_free(self, record: LeaseRecord) -> bool:
        return record.holder in ("", self._identity) or self._clock() >= self._runs_out(record)

    def _runs_out(self, record: LeaseRecord) -> float:
        """Return when the record is free if nobody changes it; its holder's own promise counts."""
        return self._record_seen + max(self._timing.lease_seconds, record.lease_seconds)

    def _ours(self, before: LeaseRecord | None) -> LeaseRecord:
        now = self._wall()
        renewed = LeaseRecord(self._identity, round(self._timing.lease_seconds), now, now, 0)
        if before is None:
            return renewed
        if before.holder == self._identity:
            since = None if self._has_caught_up else before.unheld_since
            return replace(before, renewed=now, unheld_since=since)
        return replace(
            renewed,
            transitions=before.transitions + 1,
            resource_version=before.resource_version,
            unheld_since=before.unheld_since or before.renewed,
        )

    def _patience(self, started: float) -> float:
        """Return how long one attempt may take: a third of the renewal time, and never beyond the deadline."""
        third = self._timing.renew_seconds / 3
        return third if self._deadline is None else min(third, max(0.0, self._deadline - started))

    def _pause(self, started: float) -> float:
        """Return how long to sleep after an attempt, so that attempts start as far apart as the timing says.

        It is never longer than until our own deadline or until another's lease runs out.
        """
        now, retry = self._clock(), self._timing.retry_seconds
        until = self._deadline
        if until is None:
            # Candidates that started together must not always collide.
            retry = self._timing.look_seconds * (1 + fraction(self._identity) / 5)
            if self._record is not None and not self._is_free(self._record):
                until = self._runs_out(self._record)
        following = started + retry if until is None else min(started + retry, until)
        return max(_SHORTEST_PAUSE, following - now)

    def _failed(self, error: Exception) -> None:
        level = logging.DEBUG if isinstance(error, LeaseConflictError) else logging.WARNING
        logger.log(level, "The lease could not be read or written, trying again: %r", error)
