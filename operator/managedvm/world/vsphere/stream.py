"""The thread of one vCenter: it waits for updates, makes them small, and hands them to the loop. It decides nothing.

When anything breaks it begins again with a new session and compares; until that is complete nothing counts as gone.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from managedvm.engine.jitter import fraction
from managedvm.errors import ManagedVMError, StalledError
from managedvm.planning.observed import TaskState
from managedvm.world.vsphere.changes import Change, TaskChange, changes_of
from managedvm.world.vsphere.collector import Collector
from managedvm.world.vsphere.connection import Session, SessionLostError
from managedvm.world.vsphere.inventory import Inventory

logger = logging.getLogger(__name__)

_ENDED = (TaskState.SUCCESS, TaskState.ERROR)


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """How the stream waits, in seconds."""

    wait_seconds: int = 30
    """One waiting call; it also keeps the session alive."""
    grace_seconds: float = 15.0
    """How much later an answer may come before the server counts as silent."""
    first_retry_seconds: float = 0.5
    longest_retry_seconds: float = 30.0
    stalled_retry_seconds: float = 300.0
    """After a refusal that only a person can end; wrong passwords tried more often lock the account."""
    look_back: timedelta = timedelta(hours=24)
    """How far back HA restarts are read at the start."""

    busy_share: float = 0.25
    """How much of one processor the stream may take, so that a storm of changes leaves the rest to others."""
    longest_rest_seconds: float = 0.25

    def rest(self, busy_seconds: float) -> float:
        """Return the seconds to wait after so many of work; after an ordinary change they are a few hundredths."""
        return min(self.longest_rest_seconds, busy_seconds * (1 / self.busy_share - 1))

    def pause(self, error: ManagedVMError, failures: int, name: str) -> float:
        """Return the seconds to wait after so many failures in a row, spread so that replicas do not knock together."""
        if isinstance(error, StalledError):
            return self.stalled_retry_seconds
        longest = min(self.longest_retry_seconds, self.first_retry_seconds * 2.0 ** min(failures, 16))
        return longest * (0.5 + 0.5 * fraction(name, failures))


class Stream:
    """Keeps `inventory` current from a daemon thread. `name` is the vCenter's, for thread and log."""

    def __init__(
        self,
        name: str,
        session: Session,
        inventory: Inventory,
        loop: asyncio.AbstractEventLoop,
        timing: StreamTiming,
    ) -> None:
        self._name = name
        self._session = session
        self._inventory = inventory
        self._loop = loop
        self._timing = timing
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"vsphere-{name}", daemon=True)
        self._lock = threading.Lock()
        self._calling = threading.Lock()
        self._collector: Collector | None = None
        self._followed: set[str] = set()
        self._new: set[str] = set()
        self._ended: set[str] = set()
        self._is_late = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let thread and session end, without waiting for it."""
        self._stopping.set()
        self._session.abort_wait()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end. What a silent server holds up longer is left alone: the thread is a daemon."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def follow(self, task: str) -> None:
        """Let a task come with the stream until it ends. Never fails: what cannot be done now is done later."""
        with self._lock:
            self._followed.add(task)
            self._new.add(task)
        self._follow_new()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            was_filled = False
            try:
                self._session.renew()
                collector = Collector(self._session, self._timing.look_back)
                version = self._fill(collector)
                was_filled, failures = True, 0
                self._attach(collector)
                self._keep_current(collector, version)
            except SessionLostError as lost:
                self._detach(lost.error, failures, retry_now=failures == 0)
            except ManagedVMError as error:
                self._detach(error, failures)
            except Exception as bug:
                logger.exception("the update stream of vCenter %s broke", self._name)
                self._detach(
                    ManagedVMError(f"{type(bug).__name__} in the update stream, see the log"), failures
                )
            failures = 0 if was_filled else failures + 1
        self._end_session()

    def _fill(self, collector: Collector) -> str:
        """Take in everything that there is; returns the version that it stands at."""
        about = collector.about
        self._call(self._inventory.begin_fill, about.vcenter_uuid, about.root)
        version, truncated = "", True
        while truncated and not self._stopping.is_set():
            page = collector.next_page(version, self._timing.wait_seconds)
            if page is None:
                break
            version, truncated = page.version, page.truncated
            self._call(self._inventory.apply, changes_of(page))
        if not self._stopping.is_set():
            self._call(self._inventory.end_fill, about.product)
            logger.info("inventory of vCenter %s is complete: %s", self._name, about.product)
        return version

    def _keep_current(self, collector: Collector, version: str) -> None:
        """Hand over updates until something breaks. What the server tells in several pages is told as one."""
        pending: list[Change] = []
        while not self._stopping.is_set():
            began = time.thread_time()
            page = collector.next_page(version, self._timing.wait_seconds)
            if page is not None:
                version = page.version
                pending.extend(changes_of(page))
            if page is None or not page.truncated:
                if pending:
                    self._call(self._inventory.apply, tuple(pending))
                self._release(pending)
                pending = []
                # In a storm the server puts more into each answer when it is asked less often.
                self._stopping.wait(self._timing.rest(time.thread_time() - began))

    def _attach(self, collector: Collector) -> None:
        """Follow again, through a new collector, the tasks that have not ended."""
        with self._lock:
            self._collector = collector
            self._new, self._ended = set(self._followed), set()
        self._follow_new()

    def _detach(self, error: ManagedVMError, failures: int, *, retry_now: bool = False) -> None:
        """Note that the stream is broken, and wait before the next try."""
        with self._lock:
            self._collector = None
        if self._stopping.is_set() or retry_now:
            return
        logger.warning("vCenter %s: %s: %s", self._name, error.reason, error)
        self._call(self._inventory.lose, error.reason, str(error))
        self._stopping.wait(self._timing.pause(error, failures, self._name))

    def _follow_new(self) -> None:
        """Hand the new tasks to the collector, if there is one: those that came during a call go together in the next."""
        with self._calling:
            with self._lock:
                collector, new, ended = self._collector, set(self._new), set(self._ended)
            if collector is None or not new:
                return
            try:
                forgotten = collector.follow(new, ended)
            except ManagedVMError as error:
                self._is_late = True
                logger.info("%d tasks of vCenter %s are followed later: %s", len(new), self._name, error)
                return
            self._is_late = False
            with self._lock:
                self._new -= new
                self._ended -= ended
                self._followed.difference_update(forgotten)
        if forgotten:
            # An end without an outcome.
            self._call(self._inventory.apply, tuple(TaskChange(task, {}) for task in forgotten))

    def _release(self, changes: list[Change]) -> None:
        """Follow tasks no longer that have ended, and those that could not be followed before."""
        ended = {
            c.moref
            for c in changes
            if isinstance(c, TaskChange) and c.values.get("state", _ENDED[0]) in _ENDED
        }
        with self._lock:
            # The server is told with the next new task, not for its own sake.
            self._ended |= ended & self._followed
            self._followed -= ended
        if self._is_late:
            self._follow_new()

    def _end_session(self) -> None:
        try:
            self._session.close()
        except ManagedVMError as error:
            logger.info("the session with vCenter %s was left to expire: %s", self._name, error)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        if not self._stopping.is_set():
            self._loop.call_soon_threadsafe(function, *args)
