"""One process put together: kopf watches, the engine says when to look, `reconcile` looks. No decisions."""

import asyncio
import logging
import os
import secrets
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kubernetes import aio as kubernetes

from managedvm.api.kinds import UNWATCHED
from managedvm.clock import utc_now
from managedvm.engine.agenda import Agenda, Due, Waker, jittered
from managedvm.engine.lease import Elector
from managedvm.engine.liveness import Health, Liveness, LoopLag
from managedvm.engine.objects import Change, ObjectKey
from managedvm.engine.passes import Again, Bug, Judgement, Passes, PassRecord, Retry, Stalled, Verdict
from managedvm.engine.queue import KeyedQueue, Lane
from managedvm.engine.relist import Relister, RelistSettings
from managedvm.engine.replica import Replica
from managedvm.engine.skew import Skew
from managedvm.engine.store import Store
from managedvm.errors import StalledError, WaitingError
from managedvm.metrics import Metrics
from managedvm.reconcile import ACTING, VCENTER, VM, Reconciler
from managedvm.settings import Settings
from managedvm.telling import Telling
from managedvm.wiring import INDEXES, affected, affected_by_inventory, affected_by_vcenter
from managedvm.world import http
from managedvm.world.guests.access import Access
from managedvm.world.guests.ssh import SshExecutor
from managedvm.world.kube import ENDPOINTS, HttpKube, Object
from managedvm.world.leases import KubeLease
from managedvm.world.observe import Observer
from managedvm.world.outages import Watch
from managedvm.world.unchanged import Unchanged
from managedvm.world.vcenters import VCenters

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

logger = logging.getLogger(__name__)

WATCHED_KINDS = tuple(kind for kind in ENDPOINTS if kind not in {"Secret", "Event", "Lease", *UNWATCHED})

_INVENTORY_SECONDS = 300.0
"""How long a start waits for vCenters: a pass without their inventory could only say that nobody knows."""

_CLOCK_SECONDS = 5.0
"""How often the API server is asked for the time by a replica that is not ready since its clock is wrong."""

RESYNCED = (VM, VCENTER)
"""The kinds that are looked at again though nothing changed: what vCenter has refused, it may allow by now."""

_LOST_LEASE, _BUG = 3, 70
"""Exit codes: the Lease was lost, a background task met a bug. Either way a fresh process is the better hope."""


class Operator:
    """One replica of the operator, between kopf's start-up and clean-up."""

    def __init__(self, settings: Settings, api: kubernetes.client.ApiClient) -> None:
        self._settings = settings
        identity = settings.identity or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.metrics = Metrics()
        self.store = Store(INDEXES)
        self._queue: KeyedQueue[ObjectKey] = KeyedQueue()
        self._agenda: Agenda[ObjectKey] = Agenda()
        self._lag = LoopLag()
        self._skew = Skew(utc_now, timedelta(seconds=settings.clock_tolerance_seconds))
        self.kube = HttpKube(api, may_act=self._may_act, written=self._count_write, dated=self._heard_time)
        self.elector = Elector(
            KubeLease(self.kube, settings.namespace), identity, wall=utc_now, on_lost=_end_at_once
        )
        self.vcenters = VCenters(
            self.kube,
            namespace=settings.namespace,
            clock=utc_now,
            may_act=self.elector.may_act,
            on_vms=self._on_inventory,
            on_vcenter=self._on_vcenter,
            on_all_vms=self._on_all_vms,
        )
        self._reconciler = Reconciler(
            store=self.store,
            observer=Observer(self.store, self.vcenters.view, self._access().host_key, self._watch()),
            unchanged=Unchanged(self.store, self.vcenters.view),
            kube=self.kube,
            vsphere_of=self.vcenters.calls,
            teller=Telling(self.kube, self.metrics, utc_now, identity),
            clock=utc_now,
            changed=self._put,
            wanted=lambda key: self.passes.offer(key, Lane.DRIFT),
        )
        self.passes: Passes[ObjectKey] = Passes(
            self._queue,
            self._agenda,
            run=self._pass,
            classify=classify,
            may_act=self.elector.may_act,
            on_pass=self._count_pass,
        )
        self.liveness = Liveness(
            WATCHED_KINDS, progress=self.passes.progress, lag_seconds=lambda: self._lag.last_seconds
        )
        self._relister = Relister(
            self.store,
            self.liveness,
            list_metadata=self.kube.list_metadata,
            fetch=lambda key: self.kube.find(*key),
            on_change=self._on_change,
            settings=RelistSettings(interval=timedelta(seconds=settings.relist_seconds)),
        )
        self._waker = Waker(self._agenda, utc_now, self._on_due)
        self._ready = asyncio.Event()
        self._replica = Replica(self.elector, self.passes, synced=self._ready, keys=self._keys)
        self._tasks: list[asyncio.Task[Any]] = []
        self._server: AppRunner | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.left = asyncio.Event()
        """Set once this replica has handed the Lease over: then kopf may end."""

    def _watch(self) -> Watch:
        return Watch(
            lambda: self.elector.unheld_since,
            names=lambda: (key.name for key in self.store.keys("VCenter")),
            all_done=self.elector.catch_up,
        )

    def _access(self) -> Access:
        return Access(self.kube, SshExecutor(self._may_act))

    def _may_act(self) -> bool:
        return self.elector.may_act()

    async def start(self) -> None:
        """Start everything but the watches, which are kopf's."""
        # kopf would end its watches first, for seconds, and call `stop` after that: for so long nobody would act.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.leave)
        self._server = await http.serve(
            self._settings.health_address,
            self._settings.health_port,
            alive=lambda: self.liveness.report(asyncio.get_running_loop().time()),
            ready=self._readiness,
            metrics=self.metrics,
            refresh=self._refresh,
        )
        loops = (
            self._relister.run(WATCHED_KINDS),
            self._sync(),
            self._replica.run(),
            self._waker.run(),
            self._lag.run(),
        )
        for loop in loops:
            task = asyncio.create_task(loop)
            task.add_done_callback(_end_on_bug)
            self._tasks.append(task)

    def leave(self) -> None:
        """Begin to end: let passes end and hand the Lease over, then let kopf end."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._hand_over())
            self._leaving.add_done_callback(_end_on_bug)

    async def _hand_over(self) -> None:
        await self._replica.stop(self._settings.stop_seconds)
        self.left.set()

    async def stop(self) -> None:
        """End what is still running and log out of every vCenter; called by kopf when it ends, whatever ended it."""
        await self._replica.stop(self._settings.stop_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.vcenters.close()
        if self._server is not None:
            await self._server.cleanup()
        await self.kube.close()

    async def saw(self, body: Object, *, is_gone: bool) -> None:
        """Take notice of an object that the watch tells of."""
        kind = body["kind"]
        self.liveness.heard(kind)
        change = self.store.drop(kind, body["metadata"]["uid"]) if is_gone else self.store.put(body)
        if change is not None:
            self._on_change(change)

    async def _sync(self) -> None:
        """Become ready once the store is complete and each vCenter has been given a chance to be seen."""
        await self._relister.synced.wait()
        for key in self.store.keys("VCenter"):
            self._follow(key)
        await self.vcenters.settled(_INVENTORY_SECONDS)
        while words := self._skew.objection():
            logger.error("Not ready: %s", words)
            await asyncio.sleep(_CLOCK_SECONDS)
            with suppress(WaitingError):
                # Any answer tells the time.
                await self.kube.find("Namespace", "", self._settings.namespace)
        self._ready.set()

    def _readiness(self) -> Health:
        unready = self._skew.objection() or "the store is not complete yet"
        return Health(ok=True, reasons=()) if self._ready.is_set() else Health(ok=False, reasons=(unready,))

    def _heard_time(self, date: str | None) -> None:
        """Leave when the clock has become wrong: a replica on another machine may have a better one."""
        self._skew.note(date)
        words = self._skew.objection()
        if words is not None and self._ready.is_set() and self._leaving is None:
            logger.error("This replica hands over and ends: %s", words)
            self.leave()

    async def _pass(self, key: ObjectKey) -> Verdict:
        verdict = await self._reconciler.reconcile(key)
        if key.kind not in RESYNCED or verdict.again is not Again.NO or self.store.version(*key) is None:
            return verdict
        now, interval = utc_now(), timedelta(seconds=self._settings.resync_seconds)
        # Each object has its own beat, so that a restart does not bring all of them at once, for ever.
        again = now + interval - jittered(key, interval / 2)
        return Verdict(min(verdict.next_check, again) if verdict.next_check else again)

    def _on_change(self, change: Change) -> None:
        if change.key.kind == "VCenter":
            self._follow(change.key)
        for key, lane in affected(change, self.store):
            self.passes.offer(key, lane)

    def _follow(self, key: ObjectKey) -> None:
        self.vcenters.follow(key.name, self.store.get(*key))

    def _put(self, body: Object) -> None:
        change = self.store.put(body)
        if change is not None:
            self._on_change(change)

    def _on_due(self, due: Due[ObjectKey]) -> None:
        self.passes.offer(due.key, Lane.WINDOW)

    def _on_inventory(self, vcenter: str, names: Iterable[str]) -> None:
        for key, lane in affected_by_inventory(self.store, vcenter, names):
            self.passes.offer(key, lane)

    def _on_vcenter(self, name: str) -> None:
        self.passes.offer(ObjectKey(VCENTER, "", name), Lane.DRIFT)

    def _on_all_vms(self, name: str) -> None:
        for key, lane in affected_by_vcenter(self.store, name):
            self.passes.offer(key, lane)

    def _keys(self) -> list[ObjectKey]:
        return [key for kind in ACTING for key in self.store.keys(kind)]

    def _count_pass(self, record: PassRecord[ObjectKey]) -> None:
        self.metrics.passes.labels(record.key.kind, record.result.value).inc()
        self.metrics.pass_seconds.labels(record.key.kind).observe(record.took_seconds)
        self.metrics.queue_seconds.labels(record.lane.name).observe(record.waited_seconds)

    def _count_write(self, kind: str, verb: str) -> None:
        self.metrics.writes.labels(kind, verb).inc()

    def _refresh(self) -> None:
        self.metrics.clock_skew.set(self._skew.seconds)
        self.metrics.active.set(float(self.elector.may_act()))
        self.metrics.loop_lag.set(self._lag.take_worst())
        self.metrics.healed.set(self._relister.healed)
        for lane, depth in self._queue.depth().items():
            self.metrics.queue_depth.labels(lane.name).set(depth)
        for kind in WATCHED_KINDS:
            self.metrics.objects.labels(kind).set(self.store.count(kind))
        self.metrics.vcenter_up.clear()  # one that was let go is neither up nor down
        for name, is_up in self.vcenters.states():
            self.metrics.vcenter_up.labels(name).set(float(is_up))


def classify(error: Exception) -> Judgement:
    """Return who must act on what a pass raised."""
    match error:
        case WaitingError(until=until):
            logger.debug("To be tried again: %s", error)
            return Retry((until - utc_now()).total_seconds() if until else None)
        case StalledError():
            logger.warning("A person must act: %s", error)
            return Stalled()
        case _:
            return Bug()


def _end_at_once(reason: str) -> None:
    logger.error("The Lease is lost, this process ends: %s", reason)
    os._exit(_LOST_LEASE)


def _end_on_bug(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("A background task met a bug, this process ends", exc_info=error)
        os._exit(_BUG)
