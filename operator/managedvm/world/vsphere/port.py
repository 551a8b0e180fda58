"""The `vsphere` port: what may be asked of a vCenter, and the hand that asks it. Nothing here waits for a task.

A task that was started is seen running, and ended, in the inventory.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pyVmomi import vim

from managedvm.engine.budget import Budget
from managedvm.engine.together import AbandonedError, Together
from managedvm.errors import (
    BusyError,
    ManagedVMError,
    NoPermissionError,
    StalledError,
    UnknownOutcomeError,
    UnreachableError,
)
from managedvm.planning.actions import (
    ConfigureClusterHighAvailability,
    OverrideHighAvailability,
    Reconfigure,
    RemoveSnapshot,
    RevertToSnapshot,
    TakeSnapshot,
)
from managedvm.planning.observed import (
    CREATE_SNAPSHOT,
    NO_PERMISSION,
    POWER_ON,
    RECONFIGURE,
    REMOVE_SNAPSHOT,
    REVERT_TO_SNAPSHOT,
    SHUT_DOWN,
    TaskFacts,
    TaskState,
    Unknown,
)
from managedvm.world.vsphere.connection import Server, Session
from managedvm.world.vsphere.faults import named
from managedvm.world.vsphere.inventory import Inventory, OnChange
from managedvm.world.vsphere.reads import devices_of, held_bytes, latest_task
from managedvm.world.vsphere.specs import cluster_spec, override_spec, reconfigure_spec
from managedvm.world.vsphere.stream import Stream, StreamTiming
from managedvm.world.vsphere.tasks import Owner, Recent

T = TypeVar("T")

RECONFIGURE_CLUSTER = "ReconfigureComputeResource_Task"

_THREADS = 4
"""Calls on their way at one time. Each takes milliseconds: tasks run in vCenter, not here."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the port waits, in seconds."""

    request_seconds: float = 30.0
    """One call, until its outcome counts as unknown."""
    slot_seconds: float = 10.0
    """For a slot of the budget, until vCenter counts as busy."""
    reserved_seconds: float = 600.0
    """For a VM that is asked to shut down to be reconfigured, until its slot is given to others."""
    close_seconds: float = 3.0
    """For the sessions to end. What takes longer is left to expire."""
    stream: StreamTiming = field(default_factory=StreamTiming)


class PyVmomiVSphere:
    """One vCenter: an inventory that follows it, and orders to it. All methods belong to the loop's thread.

    `budget` limits the tasks of ours that run in it at one time, by its name. `may_act` is asked, in another thread,
    right before each order leaves. Orders raise errors of `managedvm.errors`; UnknownOutcomeError means: sent, but no
    answer came.

    A VM that is asked to shut down has its slot of the budget before, and starting one needs none: no VM is off because
    others are at work. What vCenter refuses at once is remembered like a task that has failed.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        *,
        may_act: Callable[[], bool],
        on_change: OnChange,
        now: Callable[[], datetime],
        budget: Budget[str],
        timing: Timing | None = None,
    ) -> None:
        self._name = name
        self._may_act = may_act
        self._now = now
        self._budget = budget
        self._timing = timing or Timing()
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"vsphere-{name}")
        self._closing: set[asyncio.Task[None]] = set()
        self._overrides: Together[str, OverrideHighAvailability] = Together(self._override)
        self._recent = Recent()
        self._reserved: dict[str, AsyncExitStack] = {}
        self._closed = False
        self.inventory = Inventory(now, on_change)
        stream = self._timing.stream
        self._calls = Session(server, self._timing.request_seconds)
        self._stream = Stream(
            name,
            Session(server, stream.wait_seconds + stream.grace_seconds),
            self.inventory,
            self._loop,
            stream,
        )

    def start(self) -> None:
        """Start following the vCenter."""
        self._stream.start()

    async def close(self) -> None:
        """Stop following it and end both sessions, as far as it can be reached in time."""
        seconds = self._timing.close_seconds
        self._stream.stop()
        ending = asyncio.gather(
            self._in_thread(self._stream.join, seconds),
            self._in_thread(self._calls.close),
            return_exceptions=True,
        )
        await asyncio.wait((ending,), timeout=seconds)
        self._closed = True
        self._executor.shutdown(wait=False, cancel_futures=True)
        self.inventory.tasks.forget_all()
        for vm in tuple(self._reserved):
            self._free(vm)
        await asyncio.gather(*self._closing)

    async def override_high_availability(self, action: OverrideHighAvailability) -> None:
        """Start setting the HA override of one VM; `VirtualMachine.ha_task` shows the task.

        What is asked for VMs of one cluster during a call goes together in the next: vCenter reconfigures a cluster
        one task after the other, and tells all of its configuration after each.
        """
        owner = Owner(action.vm, is_override=True)
        self._refuse_while_running(owner)
        if owner in self.inventory.tasks.suspects:
            await self._override(action.cluster, (action,))
        else:
            try:
                await self._overrides.add(action.cluster, action)
            except AbandonedError as error:
                raise UnknownOutcomeError(str(error)) from error

    async def _override(self, cluster: str, actions: tuple[OverrideHighAvailability, ...]) -> None:
        """Set overrides in one task. Where one of several is refused, each is asked for alone the next time."""
        owners = tuple(Owner(action.vm, is_override=True) for action in actions)

        def call() -> Any:
            target = vim.ClusterComputeResource(cluster, self._calls.stub)
            spec = override_spec(actions, self._calls.stub)
            return target.ReconfigureComputeResource_Task(spec=spec, modify=True)

        self.inventory.tasks.suspects.difference_update(owners)
        try:
            await self._start(RECONFIGURE_CLUSTER, owners, lambda: self._order(call))
        except StalledError as error:
            if len(actions) == 1:
                raise
            self.inventory.tasks.suspects.update(owners)
            raise BusyError(f"one of {len(actions)} overrides is refused: {error}") from error

    async def configure_cluster(self, action: ConfigureClusterHighAvailability) -> None:
        """Start setting cluster-wide HA options; `ClusterFacts.task` shows the task."""

        def call() -> Any:
            cluster = vim.ClusterComputeResource(action.cluster, self._calls.stub)
            return cluster.ReconfigureComputeResource_Task(spec=cluster_spec(action), modify=True)

        await self._start(RECONFIGURE_CLUSTER, (Owner(action.cluster),), lambda: self._order(call))

    async def reconfigure(self, action: Reconfigure) -> None:
        """Start reconfiguring a VM, unless it changed meanwhile; `VirtualMachine.task` shows the task."""

        def send() -> Any:
            devices = devices_of(self._calls, action.vm) if action.disks else []
            spec = reconfigure_spec(action, devices)
            return self._order(lambda: vim.VirtualMachine(action.vm, self._calls.stub).ReconfigVM_Task(spec))

        with self._remembering(RECONFIGURE, action.vm):
            await self._start(
                RECONFIGURE, (Owner(action.vm),), send, needs_slot=action.vm not in self._reserved
            )

    async def power_on(self, vm: str) -> None:
        """Start powering a VM on; `VirtualMachine.task` shows the task."""

        def call() -> Any:
            return vim.VirtualMachine(vm, self._calls.stub).PowerOnVM_Task(None)

        with self._remembering(POWER_ON, vm):
            await self._start(POWER_ON, (Owner(vm),), lambda: self._order(call), needs_slot=False)
        self._free(vm)

    async def reserve(self, vm: str) -> None:
        """Keep a slot of the budget for what is done to a VM that is about to be shut down.

        It is free again when the VM is started, or after a while in which that did not come.
        """
        if vm not in self._reserved:
            slot = self._reserved[vm] = await self._slot()
            self._loop.call_later(self._timing.reserved_seconds, self._free, vm, slot)

    async def shut_down_guest(self, vm: str) -> None:
        """Ask the guest to shut down; its power state shows whether it does."""

        def call() -> None:
            vim.VirtualMachine(vm, self._calls.stub).ShutdownGuest()

        with self._remembering(SHUT_DOWN, vm):
            await self._in_thread(lambda: self._order(call))

    async def take_snapshot(self, action: TakeSnapshot) -> None:
        """Start taking a snapshot; `VirtualMachine.task` shows the task, `VirtualMachine.snapshots` the snapshot."""

        def call() -> Any:
            vm = vim.VirtualMachine(action.vm, self._calls.stub)
            return vm.CreateSnapshot_Task(
                name=action.name, description=action.description, memory=False, quiesce=action.quiesce
            )

        await self._start(CREATE_SNAPSHOT, (Owner(action.vm),), lambda: self._order(call))

    async def revert_to_snapshot(self, action: RevertToSnapshot) -> None:
        """Start going back to a snapshot; `VirtualMachine.task` shows the task, and the VM is off after it."""

        def call() -> Any:
            snapshot = vim.vm.Snapshot(action.snapshot, self._calls.stub)
            return snapshot.RevertToSnapshot_Task(host=None, suppressPowerOn=True)

        await self._start(REVERT_TO_SNAPSHOT, (Owner(action.vm),), lambda: self._order(call))

    async def remove_snapshot(self, action: RemoveSnapshot) -> None:
        """Start removing one snapshot and no other; `VirtualMachine.task` shows the task."""

        def call() -> Any:
            snapshot = vim.vm.Snapshot(action.snapshot, self._calls.stub)
            return snapshot.RemoveSnapshot_Task(removeChildren=False, consolidate=True)

        await self._start(REMOVE_SNAPSHOT, (Owner(action.vm),), lambda: self._order(call))

    async def snapshot_bytes(self, vm: str, snapshot: str) -> int | Unknown:
        """Read how much of the datastore a snapshot holds: its own files, and what was written since it was taken."""
        try:
            return await self._in_thread(lambda: held_bytes(self._calls, vm, snapshot))
        except ManagedVMError as error:
            return Unknown(str(error))

    async def recent_tasks(self, vm: str, methods: Iterable[str]) -> dict[str, TaskFacts | Unknown | None]:
        """Read the VM's latest task of ours of each of these methods from the server."""
        return {method: await self.recent_task(vm, method) for method in methods}

    async def recent_task(self, vm: str, method: str) -> TaskFacts | Unknown | None:
        """Read the VM's latest task of ours of this method from the server; None where it remembers none."""
        try:
            found = await self._in_thread(lambda: latest_task(self._calls, vm, method, self._now()))
        except ManagedVMError as error:
            return Unknown(str(error))
        return self._recent.seen((vm, method), found, self.inventory.tasks.latest(Owner(vm)))

    async def _start(
        self,
        method: str,
        owners: tuple[Owner, ...],
        send: Callable[[], Any],
        *,
        needs_slot: bool = True,
    ) -> None:
        """Start a task with one slot of the budget, unless it needs none, which it holds until it has ended."""
        for owner in owners:
            self._refuse_while_running(owner)
        async with await self._slot() if needs_slot else AsyncExitStack() as slot:
            task: Any = await self._in_thread(send)
            _, moref = named(task)
            kept = slot.pop_all()
            now = self._now()
            facts = TaskFacts(moref, method, TaskState.QUEUED, queued_at=now, seen_at=now)
            self.inventory.tasks.start(facts, owners, lambda: self._release(kept))
            await self._in_thread(lambda: self._stream.follow(moref))

    async def _slot(self) -> AsyncExitStack:
        """Return a slot of the budget as something to be closed, as soon as one is free."""
        async with AsyncExitStack() as slot:
            try:
                async with asyncio.timeout(self._timing.slot_seconds):
                    await slot.enter_async_context(self._budget.slot(self._name))
            except TimeoutError:
                raise BusyError(
                    f"as many tasks of ours as may run in vCenter {self._name} are running"
                ) from None
            return slot.pop_all()

    def _free(self, vm: str, only: AsyncExitStack | None = None) -> None:
        """Give the slot that is kept for a VM to others, where there is one; with `only`, if it is that one."""
        slot = self._reserved.get(vm)
        if slot is not None and only in (None, slot):
            del self._reserved[vm]
            self._release(slot)

    @contextmanager
    def _remembering(self, method: str, vm: str) -> Iterator[None]:
        """Remember what vCenter refuses at once: else nothing would tell the next pass, and it would ask again."""
        try:
            yield
        except StalledError as error:
            fault = NO_PERMISSION if isinstance(error, NoPermissionError) else ""
            now = self._now()
            refused = TaskFacts("", method, TaskState.ERROR, now, now, fault=fault, message=str(error))
            self.inventory.note_refusal(vm, refused)
            raise
        if method == SHUT_DOWN:
            self.inventory.tasks.forgive(method, Owner(vm))

    def _refuse_while_running(self, owner: Owner) -> None:
        running = self.inventory.tasks.latest(owner)
        if running is not None and running.is_running:
            raise BusyError(f"vCenter is still at {running.moref}, which we started before")

    def _release(self, slot: AsyncExitStack) -> None:
        closing = self._loop.create_task(slot.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _order(self, call: Callable[[], T]) -> T:
        return self._calls.order(call, self._may_act)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise UnreachableError(f"the connection with vCenter {self._name} was closed")
        return await self._loop.run_in_executor(self._executor, call, *args)
