"""Reading everything that a decision needs, from what is held in memory; a read that failed is Unknown, never nothing."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, RecordOrigin, RequestedVM
from managedvm.api.customer import Requests
from managedvm.api.helpdesk import SINGLETON, Helpdesk
from managedvm.api.managedvm import ManagedVM
from managedvm.api.vcenter import VCenter, VCenterSpec
from managedvm.api.vmclaim import VMClaim
from managedvm.api.workentry import WorkEntry
from managedvm.engine.store import Store
from managedvm.errors import UnreachableError
from managedvm.planning import managedvm, vcenter
from managedvm.planning.entitlement import entitle
from managedvm.planning.helpdesk import awaits_ticket
from managedvm.planning.identity import Sight, own_claim, sighted_vm, sticky_identity
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.names import claim_name
from managedvm.planning.observed import (
    RECONFIGURE,
    ClusterFacts,
    TaskFacts,
    TaskState,
    Unknown,
    VirtualMachine,
)
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.targets import carried_by
from managedvm.planning.vcenter import ManagedCluster
from managedvm.planning.work import ObservedWork
from managedvm.world.catalogue import Catalogue
from managedvm.world.managed import ManagedClusters
from managedvm.world.outages import Watch, may_end, outages_of, planned_for, unseen
from managedvm.world.policies import PoliciesInForce
from managedvm.world.records import (
    decisions_about,
    decisions_about_open,
    declared_vm,
    is_ledger,
    work_on,
)
from managedvm.world.work import observed_work, request_of

SEEN_AFTER = timedelta(seconds=10)
"""How long after a task was seen to have ended its effect may still be missing in the inventory."""


class Inventory(Protocol):
    """What the stream of one vCenter holds."""

    def vm_by_uuid(self, uuid: str) -> VirtualMachine | None:
        """Return the VM of this instance UUID."""

    def vm_by_path(self, path: str) -> VirtualMachine | None:
        """Return the VM at this path; None also where several are."""

    def is_ambiguous(self, path: str) -> bool:
        """Return whether several VMs are at this path."""

    def cluster(self, moref: str) -> ClusterFacts | None:
        """Return a cluster."""

    @property
    def unidentified(self) -> int:
        """How many VMs have no readable configuration; one that is missed may be among them."""


class View(Protocol):
    """One vCenter as it can be seen now."""

    @property
    def connection(self) -> vcenter.Connection | vcenter.Connecting | vcenter.Trouble | Unknown:
        """Whether it can be seen, and who it is."""

    @property
    def is_changing(self) -> bool:
        """Whether this is the connection before, and the one that is wanted now is being made."""

    @property
    def is_filling(self) -> bool:
        """Whether the inventory is just being compared with the server."""

    @property
    def inventory(self) -> Inventory:
        """What it holds; meaningful only with a connection."""

    async def recent_task(self, vm: str, method: str) -> TaskFacts | Unknown | None:
        """Read the VM's latest task of ours of this method from the server."""


HostKeyOf = Callable[[ManagedVM, VirtualMachine | None, VCenterSpec], Awaitable[str | Unknown | None]]
"""Returns the host key that a guest shows over SSH that is to be met now; None for all others, which are not asked."""


class Observer:
    """Reads for each kind of pass. `view_of` returns the view of a VCenter by name, None where there is none."""

    def __init__(
        self,
        store: Store,
        view_of: Callable[[str], View | None],
        host_key_of: HostKeyOf,
        watch: Watch | None = None,
    ) -> None:
        self._store = store
        self._view_of = view_of
        self._policies = PoliciesInForce(store)
        self._host_key_of = host_key_of
        self._catalogue = Catalogue(store)
        self.managed = ManagedClusters()
        self.watch = watch or Watch()

    async def managed_vm(self, vm: ManagedVM) -> managedvm.Observed:
        """Read what decides about one ManagedVM."""
        namespace, name = vm.metadata.namespace, vm.metadata.name
        link = self._view_of(vm.spec.vm.v_center_ref.name)
        held = self._held_claims(namespace, name)
        own = own_claim(held, vm)
        sight = self._sight(vm, link, own)
        facts = sighted_vm(sight)
        customer = self._catalogue.customer(vm.spec.customer_ref.name)
        spec = self._catalogue.one(VCenter, vm.spec.vm.v_center_ref.name)
        requests = self._operator_requests(vm)
        outages = outages_of(self._store, namespace, sight, facts)
        return managedvm.Observed(
            levels=self._catalogue.levels(),
            customer=customer,
            requesters=self._catalogue.requesters(namespace),
            elsewhere_since=self._catalogue.elsewhere_since(namespace, customer),
            prices=self._catalogue.prices(customer),
            vcenter=spec.spec if spec else None,
            sight=sight if spec else None,
            claims=self._claim_to(sight, facts),
            own_claim=own,
            cluster=link.inventory.cluster(facts.cluster) if link and facts and facts.cluster else None,
            requests=requests,
            task=await self._task(link, facts, requests),
            missing_policies=self._policies.missing(),
            is_ledger=is_ledger(self._store, namespace),
            held=held,
            decisions=decisions_about_open(self._store, requests),
            outages=outages,
            plans=planned_for(self._store, namespace, name) if may_end(facts, outages) else (),
            host_key=await self._host_key_of(vm, facts, spec.spec) if own and spec else None,
        )

    def vcenter(self, name: str) -> vcenter.ObservedVCenter:
        """Read what decides about one VCenter."""
        link = self._view_of(name)
        if link is not None:
            _refuse_half_a_view(link)
        return vcenter.ObservedVCenter(
            connection=link.connection if link else vcenter.Connecting("the connection is being set up"),
            clusters=tuple(self._managed_clusters(link)) if link else (),
            levels=self._catalogue.levels(),
            missing_policies=self._policies.missing(),
            is_changing=link is not None and link.is_changing,
            unseen=unseen(self._store, name, self.watch),
        )

    async def request(self, request: ChangeRequest, now: datetime) -> ObservedRequest:
        """Read what decides about one ChangeRequest outside of its ManagedVM's pass."""
        namespace, name = request.metadata.namespace, request.spec.managed_vm_ref.name
        body = declared_vm(self._store, namespace, name)
        vm = ManagedVM.of(body) if body else None
        identity = entitlement = None
        party = (
            self._catalogue.customer_of(namespace)
            if vm is None
            else self._catalogue.customer(vm.spec.customer_ref.name)
        )
        policy = party.requests if party else Requests()
        asked_at = request.asked_at
        if vm is not None and asked_at is not None:
            claim = own_claim(self._held_claims(namespace, name), vm)
            sticky = sticky_identity(vm, claim)
            if sticky is not None:
                identity = RequestedVM(v_center_uuid=sticky.vcenter_uuid, instance_uuid=sticky.instance_uuid)
            entitlement = entitle(vm.spec.orders, self._catalogue.levels().get, asked_at)
        effect = await self._has_taken_effect(request, now)
        is_orphan = vm is None and effect is True
        level = entitlement.level if entitlement else None
        return ObservedRequest(
            exists=vm is not None,
            identity=identity,
            entitlement=entitlement,
            requesters=self._catalogue.requesters(namespace),
            elsewhere_since=self._catalogue.elsewhere_since(namespace, party),
            policy=policy,
            has_taken_effect=effect,
            prices=self._catalogue.prices(party if is_orphan else None),
            task=await self._task_of(request) if is_orphan else None,
            carrier=self._carrier(request) if is_orphan else None,
            orphan=self._orphan(request) if vm is None or identity != request.spec.vm else None,
            work=work_on(self._store, request),
            decisions=decisions_about(self._store, request),
            windows=maintenance_calendar(level.maintenance, vm.spec.maintenance) if vm and level else None,
            missing_policies=self._policies.missing(),
        )

    def work(self, entry: WorkEntry) -> ObservedWork:
        """Read what decides about one WorkEntry of a person."""
        namespace, request = entry.metadata.namespace, request_of(self._store, entry)
        vm = self._store.get("ManagedVM", namespace, request.spec.managed_vm_ref.name) if request else None
        party = (
            self._catalogue.customer(vm["spec"]["customerRef"]["name"])
            if vm
            else self._catalogue.customer_of(namespace)
        )
        people, missing = self._catalogue.requesters(namespace), self._policies.missing()
        book = self._catalogue.prices(party).at(entry.spec.begin)
        awaits = request is not None and awaits_ticket(self._catalogue.one(Helpdesk, SINGLETON), request)
        return observed_work(
            self._store, entry, request, people, book, missing_policies=missing, awaits_ticket=awaits
        )

    def claim_owner_exists(self, claim: VMClaim) -> bool:
        """Return whether the ManagedVM that holds the claim is there, and not about to go."""
        owner = claim.spec.owner
        return declared_vm(self._store, owner.namespace, owner.name) is not None

    def _sight(self, vm: ManagedVM, link: View | None, own: VMClaim | None) -> Sight | Unknown | None:
        if link is None:
            return Unknown("the connection is being set up")
        _refuse_half_a_view(link)
        state = link.connection
        if not isinstance(state, vcenter.Connection):
            return vcenter.told_to_users(state)
        sticky = sticky_identity(vm, own)
        uuid = sticky.instance_uuid if sticky else vm.spec.vm.instance_uuid
        path = vm.spec.vm.inventory_path
        known = self._catalogue.one(VCenter, vm.spec.vm.v_center_ref.name)
        return Sight(
            vcenter_uuid=state.vcenter_uuid,
            by_uuid=link.inventory.vm_by_uuid(uuid) if uuid else None,
            at_path=link.inventory.vm_by_path(path) if path else None,
            path_is_ambiguous=bool(path) and link.inventory.is_ambiguous(path or ""),
            expected_vcenter=known.status.instance_uuid if known is not None else None,
            unidentified=link.inventory.unidentified,
        )

    async def _task(
        self, link: View | None, facts: VirtualMachine | None, requested: dict[str, ChangeRequest]
    ) -> TaskFacts | Unknown | None:
        """Return the latest reconfiguration, read from the server where our own memory may lack one.

        An earlier process may have started it, or the answer to our own call was lost: then a request that shows no
        effect yet may still have one, and must not be closed; and one that shows it owes it to a task we never heard of.
        """
        open_requests = [r for r in requested.values() if r.status.state not in FINAL_STATES]
        if link is None or facts is None or not open_requests:
            return None
        own = facts.task if facts.task is not None and facts.task.method == RECONFIGURE else None
        if own is not None and (own.is_running or _did_all(own, open_requests, facts)):
            return own
        return await link.recent_task(facts.moref, RECONFIGURE)

    def _claim_to(self, sight: Sight | Unknown | None, facts: VirtualMachine | None) -> dict[str, VMClaim]:
        if facts is None or not isinstance(sight, Sight):
            return {}
        name = claim_name(sight.vcenter_uuid, facts.instance_uuid)
        body = self._store.get("VMClaim", "", name)
        return {name: VMClaim.of(body)} if body else {}

    def _held_claims(self, namespace: str, name: str) -> tuple[VMClaim, ...]:
        return tuple(VMClaim.of(body) for body in self._store.by_index("VMClaim", "owner", (namespace, name)))

    def _operator_requests(self, vm: ManagedVM) -> dict[str, ChangeRequest]:
        """Return what is open, and what the order slip in force was made into; of the others there are ever more."""
        place, slip = (vm.metadata.namespace, vm.metadata.name), vm.spec.change
        bodies = list(self._store.by_index("ChangeRequest", "open", place))
        if slip is not None:
            bodies += self._store.by_index("ChangeRequest", "slip", (*place, slip.id))
        found = (ChangeRequest.of(body) for body in bodies)
        return {r.metadata.name: r for r in found if r.spec.origin is RecordOrigin.OPERATOR}

    async def _has_taken_effect(self, request: ChangeRequest, now: datetime) -> bool | Unknown:
        """Return whether the VM carries the mark of an open request of the operator's.

        Who sent the change may be gone with its memory, so vCenter itself is asked whether one is on its way.
        """
        meant = request.spec.vm
        is_open = request.spec.origin is RecordOrigin.OPERATOR and request.status.state not in FINAL_STATES
        if meant is None or not is_open:
            return False
        link = self._connected(meant.v_center_uuid)
        if link is None:
            return Unknown("its vCenter cannot be seen")
        facts = link.inventory.vm_by_uuid(meant.instance_uuid)
        if facts is None or request.metadata.name in facts.notes.values():
            return facts is not None
        task = await link.recent_task(facts.moref, RECONFIGURE)
        if isinstance(task, Unknown):
            return task
        if task is not None and (task.is_running or now < task.seen_at + SEEN_AFTER):
            return Unknown(f"vCenter is, or just was, at {task.moref}")
        return False

    async def _task_of(self, request: ChangeRequest) -> TaskFacts | Unknown | None:
        """Return the latest reconfiguration of the VM that a request names."""
        meant = request.spec.vm
        link = self._connected(meant.v_center_uuid) if meant else None
        facts = link.inventory.vm_by_uuid(meant.instance_uuid) if link and meant else None
        return await link.recent_task(facts.moref, RECONFIGURE) if link and facts else None

    def _carrier(self, request: ChangeRequest) -> str | None:
        """Return the request whose record has the time of the task that made the change of this one, None: its own."""
        meant, change = request.spec.vm, request.spec.change
        link = self._connected(meant.v_center_uuid) if meant else None
        facts = link.inventory.vm_by_uuid(meant.instance_uuid) if link and meant else None
        return carried_by(facts, change.aspect, request.metadata.name) if facts and change else None

    def _orphan(self, request: ChangeRequest) -> VirtualMachine | None:
        """Return the VM that a request of the operator names, unless a ManagedVM has claimed it meanwhile."""
        meant = request.spec.vm
        link = self._connected(meant.v_center_uuid) if meant else None
        if link is None or meant is None or request.spec.origin is not RecordOrigin.OPERATOR:
            return None
        name = claim_name(meant.v_center_uuid, meant.instance_uuid)
        body = self._store.get("VMClaim", "", name)
        owner = VMClaim.of(body).spec.owner if body else None
        of_request = (request.metadata.namespace, request.spec.managed_vm_ref.name)
        is_free = owner is None or (owner.namespace, owner.name) == of_request
        return link.inventory.vm_by_uuid(meant.instance_uuid) if is_free else None

    def vcenter_of(self, request: ChangeRequest) -> str | None:
        """Return the name of the connected VCenter that holds the VM of a request."""
        meant = request.spec.vm
        for key in self._store.keys("VCenter"):
            link = self._view_of(key.name)
            if meant is not None and link is not None and link is self._connected(meant.v_center_uuid):
                return key.name
        return None

    def _connected(self, vcenter_uuid: str) -> View | None:
        """Return the view of the vCenter of this identity, None while it cannot be seen."""
        for key in self._store.keys("VCenter"):
            link = self._view_of(key.name)
            state = link.connection if link is not None else None
            if isinstance(state, vcenter.Connection) and state.vcenter_uuid == vcenter_uuid:
                return link
        return None

    def _managed_clusters(self, link: View) -> Iterator[ManagedCluster]:
        """Yield the clusters that hold managed VMs, while the vCenter can be seen."""
        state = link.connection
        if not isinstance(state, vcenter.Connection):
            return
        acting = self.managed.of(state.vcenter_uuid, acting_only=True)
        for moref, levels in self.managed.of(state.vcenter_uuid).items():
            cluster = link.inventory.cluster(moref)
            if cluster is not None:
                yield ManagedCluster(cluster, levels, acting[moref])


def _refuse_half_a_view(link: View) -> None:
    """Raise while an inventory is being compared: it takes moments, and whoever waits for it is asked again after."""
    if link.is_filling:
        raise UnreachableError("the inventory is being read")


def _did_all(task: TaskFacts, asked: Iterable[ChangeRequest], facts: VirtualMachine) -> bool:
    """Return whether a task has made each of these changes: the VM shows them, and all were asked for before its end."""
    if task.state is not TaskState.SUCCESS or task.end is None:
        return False
    seen = set(facts.notes.values())
    return all(
        r.metadata.name in seen and (r.metadata.creation_timestamp or task.end) <= task.end for r in asked
    )
