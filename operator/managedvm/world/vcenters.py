"""The vCenters that are followed: one link per VCenter object, with its credentials, its inventory and its calls.

A link lives as long as its VCenter; it reads its Secret when it connects, and again while the credentials are refused,
so that a rotated password needs no restart. Where a VCenter is changed, the link before serves until the new one knows
its inventory or its trouble; only the one that serves may act. An outage is told to people at once for the VCenter, and for its VMs only
when it lasts: it may concern ten thousand of them.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from managedvm.api.vcenter import VCenter, VCenterSpec
from managedvm.engine.budget import Budget
from managedvm.errors import InvalidCredentialsError, ManagedVMError
from managedvm.planning import vcenter as planning
from managedvm.planning.observed import TaskFacts, Unknown
from managedvm.planning.reasons import Reason
from managedvm.world.credentials import server_of
from managedvm.world.kube import Kube, NotFoundError, Object
from managedvm.world.vsphere.connection import Server
from managedvm.world.vsphere.health import Filling, Healthy, InventoryHealth, Unreachable
from managedvm.world.vsphere.inventory import Inventory
from managedvm.world.vsphere.port import PyVmomiVSphere

logger = logging.getLogger(__name__)

OUTAGE_IS_TOLD_AFTER = timedelta(seconds=60)
CLUSTER_SETTLES_AFTER = timedelta(seconds=5)
CREDENTIALS_ARE_READ_AGAIN_AFTER = timedelta(seconds=5)
TASKS_ARE_AWAITED = timedelta(seconds=30)
"""How long a link that is to be replaced may see the tasks through that it has started."""

_LOOK = 0.2
"""Seconds between two looks at whether they have ended."""

_FOR_PEOPLE = {
    reason.word: reason
    for reason in (Reason.NO_PERMISSION, Reason.INVALID_CREDENTIALS, Reason.TLS_NOT_TRUSTED)
}

OnVMs = Callable[[str, Iterable[str]], None]
"""Told of the VCenter's name, and of UUIDs and paths of VMs that have changed."""

OnVCenter = Callable[[str], None]
"""Told of the VCenter's name."""


class Link:
    """One vCenter as passes see it. It tells and acts only while it `serves`, and acts no more once it is `leaving`."""

    def __init__(
        self, name: str, spec: VCenterSpec, owner: "VCenters", budget: Budget[str], *, serves: bool
    ) -> None:
        self._name = name
        self.spec = spec
        self.budget = budget
        self.serves = serves
        self.leaving = False
        self._owner = owner
        self._vsphere: PyVmomiVSphere | None = None
        self._trouble: planning.Trouble | None = None
        self._was: tuple[type, str] | None = None
        self._outage: asyncio.TimerHandle | None = None
        self._used: Server | None = None
        self.settled = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"vcenter-{name}")

    @property
    def connection(self) -> planning.Connection | planning.Connecting | planning.Trouble | Unknown:
        """Whether the vCenter can be seen, and who it is."""
        if self._trouble is not None:
            return self._trouble
        match self._vsphere.inventory.health if self._vsphere else None:
            case Healthy(vcenter_uuid=uuid, product=product):
                return planning.Connection(uuid, product)
            case Unreachable(reason=word, message=message) if word in _FOR_PEOPLE:
                return planning.Trouble(_FOR_PEOPLE[word], message)
            case Unreachable(message=message, since=since):
                return Unknown(f"not reachable since {since:%Y-%m-%dT%H:%M:%SZ}", detail=message)
            case _:
                return planning.Connecting("its inventory is being read")

    @property
    def is_filling(self) -> bool:
        """Whether the inventory is being compared with the server."""
        return self._vsphere is not None and isinstance(self._vsphere.inventory.health, Filling)

    @property
    def inventory(self) -> Inventory:
        """What the vCenter holds, as far as it was seen."""
        if self._vsphere is None:
            raise RuntimeError("asked for an inventory without a connection")
        return self._vsphere.inventory

    @property
    def calls(self) -> PyVmomiVSphere | None:
        """The port to act through, while there is one."""
        return self._vsphere

    @property
    def is_changing(self) -> bool:
        """Whether another link is being made for what the VCenter says now."""
        return self._owner.is_changing(self._name)

    @property
    def is_at_work(self) -> bool:
        """Whether tasks that were started here have not ended yet."""
        return self._vsphere is not None and len(self._vsphere.inventory.tasks) > 0

    async def recent_task(self, vm: str, method: str) -> TaskFacts | Unknown | None:
        """Read the VM's latest task of ours of this method."""
        return await self._vsphere.recent_task(vm, method) if self._vsphere else Unknown("not connected")

    async def close(self) -> None:
        """End the link and its sessions; whoever waits for it to settle waits no longer."""
        self.settled.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._outage is not None:
            self._outage.cancel()
        if self._vsphere is not None:
            await self._vsphere.close()

    async def _run(self) -> None:
        """Connect, and connect anew when other credentials may help."""
        while True:
            try:
                await self._connect()
            except ManagedVMError as error:
                self._be_in_trouble(error)
            except Exception:
                logger.exception("Connecting VCenter %s met a bug; it is tried again", self._name)
            await asyncio.sleep(CREDENTIALS_ARE_READ_AGAIN_AFTER.total_seconds())

    async def _connect(self) -> None:
        if self._vsphere is not None and not isinstance(self.connection, planning.Trouble):
            return
        server = await self._server()
        was_in_trouble, self._trouble = self._trouble is not None, None
        if self._vsphere is not None and server == self._used:
            if was_in_trouble:
                self.tell_everybody()
            return
        if self._vsphere is not None:
            await self._vsphere.close()
        self._used = server
        self._vsphere = PyVmomiVSphere(
            self._name,
            server,
            may_act=self._may_act,
            on_change=self._on_change,
            now=self._owner.clock,
            budget=self.budget,
        )
        self._vsphere.start()

    async def _server(self) -> Server:
        name = self.spec.credentials_secret_ref.name
        try:
            secret = await self._owner.kube.get("Secret", self._owner.namespace, name)
        except NotFoundError:
            raise InvalidCredentialsError(
                f"Secret {self._owner.namespace}/{name} is missing. Create it with server, username, password and ca.crt"
            ) from None
        return server_of(self.spec, secret)

    def _may_act(self) -> bool:
        return self.serves and not self.leaving and self._owner.may_act()

    def tell_everybody(self) -> None:
        """Let the VCenter and all its VMs be looked at."""
        self._tell_vcenter()
        if self.serves:
            self._owner.on_all_vms(self._name)

    def _tell_vcenter(self) -> None:
        if self.serves:
            self._owner.on_vcenter(self._name)

    def _be_in_trouble(self, error: ManagedVMError) -> None:
        is_missing = isinstance(error, InvalidCredentialsError)
        self._trouble = planning.Trouble(
            Reason.CREDENTIALS_MISSING if is_missing else Reason.WAITING, str(error)
        )
        logger.warning("VCenter %s: %s", self._name, error)
        self.settled.set()
        self._tell_vcenter()

    def _on_change(self, vms: set[str], clusters: set[str], health: InventoryHealth) -> None:
        """Take notice of a page of changes; called on the loop."""
        before, self._was = self._was, _in_short(health)
        became = self._was != before
        if became and isinstance(health, Unreachable):
            self.settled.set()
            logger.warning("VCenter %s is not reachable: %s", self._name, health.message)
            self._tell_vcenter()
            if before is None or before[0] is not Unreachable:
                self._tell_outage_later()
        elif became and isinstance(health, Healthy):
            self.settled.set()
            logger.info("VCenter %s is connected: %d VMs", self._name, len(self.inventory))
            self.tell_everybody()
        elif clusters and self.serves:
            # A cluster that is set wrong is usually set right at once; only then its VMs are looked at.
            self._tell_vcenter()
            delay = CLUSTER_SETTLES_AFTER.total_seconds()
            asyncio.get_running_loop().call_later(delay, self._owner.on_all_vms, self._name)
        if vms and self.serves and isinstance(health, Healthy):
            self._owner.on_vms(self._name, self._names(vms))

    def _tell_outage_later(self) -> None:
        def tell() -> None:
            if self.serves and isinstance(self.inventory.health, Unreachable):
                self._owner.on_all_vms(self._name)

        if self._outage is not None:
            self._outage.cancel()
        self._outage = asyncio.get_running_loop().call_later(OUTAGE_IS_TOLD_AFTER.total_seconds(), tell)

    def _names(self, vms: set[str]) -> Iterator[str]:
        for uuid in vms:
            yield uuid
            facts = self.inventory.vm_by_uuid(uuid)
            if facts is not None:
                yield facts.path


class VCenters:
    """The links of this process by the name of their VCenter: the one that serves, and the one that will."""

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        clock: Callable[[], datetime],
        may_act: Callable[[], bool],
        on_vms: OnVMs,
        on_vcenter: OnVCenter,
        on_all_vms: OnVCenter,
    ) -> None:
        self.kube = kube
        self.namespace = namespace
        self.clock = clock
        self.may_act = may_act
        self.on_vms = on_vms
        self.on_vcenter = on_vcenter
        self.on_all_vms = on_all_vms
        self._links: dict[str, Link] = {}
        self._next: dict[str, Link] = {}
        self._work: set[asyncio.Task[None]] = set()

    def follow(self, name: str, body: Object | None) -> None:
        """Follow a VCenter as it stands now: connect it, connect it anew when its address changed, or let it go."""
        spec = VCenter.of(body).spec if body is not None else None
        link, coming = self._links.get(name), self._next.get(name)
        if spec is None:
            self._let_go(self._next.pop(name, None))
            self._let_go(self._links.pop(name, None))
            return
        if link is not None:
            link.budget.resize(spec.budget.concurrent_tasks)
        if coming is not None and _address(coming.spec) == _address(spec):
            return
        if link is not None:
            link.leaving = False
        self._let_go(self._next.pop(name, None))
        if link is None:
            budget: Budget[str] = Budget(spec.budget.concurrent_tasks)
            self._links[name] = Link(name, spec, self, budget, serves=True)
        elif _address(link.spec) != _address(spec):
            self._next[name] = Link(name, spec, self, link.budget, serves=False)
            self._begin(self._replace(name, link, self._next[name]))

    async def _replace(self, name: str, old: Link, new: Link) -> None:
        """Let a new link serve once it knows its inventory or its trouble, and the old one has no task on its way.

        What is on its way is known to whoever sent it: the new link may have another account, whose tasks it knows.
        """
        await new.settled.wait()
        old.leaving = self._next.get(name) is new
        await _until_idle(old)
        if self._next.get(name) is not new:
            return  # the VCenter was changed once more meanwhile, or is gone
        self._links[name] = self._next.pop(name)
        old.serves, new.serves = False, True
        self._let_go(old)
        new.tell_everybody()

    def is_changing(self, name: str) -> bool:
        """Return whether a new link is being made beside the one that serves."""
        return name in self._next

    def _let_go(self, link: Link | None) -> None:
        if link is not None:
            link.serves = False
            self._begin(link.close())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def view(self, name: str) -> Link | None:
        """Return the link of a VCenter, None where there is none."""
        return self._links.get(name)

    def calls(self, name: str) -> PyVmomiVSphere | None:
        """Return the port to act through, None where there is none."""
        link = self._links.get(name)
        return link.calls if link else None

    def states(self) -> Iterator[tuple[str, bool]]:
        """Yield each VCenter and whether it is connected."""
        return (
            (name, isinstance(link.connection, planning.Connection)) for name, link in self._links.items()
        )

    async def settled(self, seconds: float) -> None:
        """Wait until each link knows its inventory or its trouble, but no longer than `seconds`."""
        waits = [asyncio.create_task(link.settled.wait()) for link in self._links.values()]
        if waits:
            _, pending = await asyncio.wait(waits, timeout=seconds)
            for wait in pending:
                wait.cancel()

    async def close(self) -> None:
        """End all links."""
        for name in (*self._next, *self._links):
            self.follow(name, None)
        while self._work:
            await asyncio.gather(*self._work)


async def _until_idle(link: Link) -> None:
    """Wait until a link has no task on its way, but not for long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(TASKS_ARE_AWAITED.total_seconds()):
            while link.is_at_work:  # noqa: ASYNC110 - needed only here, and only when a VCenter is changed
                await asyncio.sleep(_LOOK)


def _in_short(health: InventoryHealth) -> tuple[type, str]:
    """Return what of a health is worth telling: an outage that turns out to have another cause is news."""
    return type(health), health.reason if isinstance(health, Unreachable) else ""


def _address(spec: VCenterSpec) -> tuple[object, ...]:
    return spec.server, spec.credentials_secret_ref, spec.tls
