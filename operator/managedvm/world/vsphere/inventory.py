"""What is in one vCenter, as its update stream tells it. Lives on the loop's thread alone, so it needs no lock.

One small row per VM is kept; paths, clusters and overrides are put together when somebody asks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from managedvm.planning.observed import (
    ClusterFacts,
    HaSettings,
    Heartbeat,
    PowerEvent,
    PowerState,
    RestartEvent,
    SnapshotFacts,
    TaskFacts,
    VirtualMachine,
)
from managedvm.world.vsphere.changes import (
    Change,
    ClusterChange,
    Gone,
    HistorySeen,
    HostChange,
    PlaceChange,
    TaskChange,
    VmChange,
)
from managedvm.world.vsphere.facts import Disks, Notes
from managedvm.world.vsphere.health import Filling, Healthy, InventoryHealth, Unreachable
from managedvm.world.vsphere.history import Log
from managedvm.world.vsphere.places import Index, Places
from managedvm.world.vsphere.tasks import Owner, Tasks

OnChange = Callable[[set[str], set[str], InventoryHealth], None]
"""Told of instance UUIDs and clusters (by reference) that are new, changed or gone, and of the health."""


_TIMED = ("power", "connected", "heartbeat")
"""Facts of which we keep since when they have been so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One VM as it is stored: what its own properties say, with references instead of what they lead to."""

    moref: str
    name: str = ""
    parent: str = ""
    host: str = ""
    instance_uuid: str = ""
    power: PowerState = PowerState.OFF
    power_since: datetime | None = None
    booted_at: datetime | None = None
    connected: bool = False
    connected_since: datetime | None = None
    is_template: bool = False
    tools_running: bool = False
    heartbeat: Heartbeat = Heartbeat.GRAY
    heartbeat_since: datetime | None = None
    cpus: int = 0
    memory_mib: int = 0
    disks: Disks = ()
    change_version: str = ""
    cpu_hot_add: bool = False
    memory_hot_add: bool = False
    hot_add_increment_mib: int = 0
    hot_add_limit_mib: int = 0
    notes: Notes = ()
    snapshots: tuple[SnapshotFacts, ...] = ()
    consolidation_needed: bool = False


@dataclass(frozen=True, slots=True)
class _Cluster:
    facts: ClusterFacts
    overrides: dict[str, HaSettings]


class Inventory:
    """The VMs and clusters of one vCenter. `now` is the wall clock, `on_change` is told after every change."""

    def __init__(self, now: Callable[[], datetime], on_change: OnChange) -> None:
        self._now = now
        self._on_change = on_change
        self._health: InventoryHealth = Filling(now())
        self._lost_since: datetime | None = None
        self._vcenter_uuid = ""
        self._rows: dict[str, Row] = {}
        self._by_uuid: Index[str] = Index()
        self._by_place: Index[tuple[str, str]] = Index()
        self._places = Places()
        self._hosts: dict[str, str] = {}
        self._silent_hosts: set[str] = set()
        self._clusters: dict[str, _Cluster] = {}
        self._restarts: Log[RestartEvent] = Log()
        self._power: Log[PowerEvent] = Log()
        self.tasks = Tasks()
        self._unseen: set[tuple[str, str]] = set()
        self._changed: set[str] = set()
        self._clusters_changed: set[str] = set()
        self._moved: set[str] = set()

    @property
    def health(self) -> InventoryHealth:
        """How far this can be trusted."""
        return self._health

    @property
    def unidentified(self) -> int:
        """How many VMs have no readable configuration and so no UUID; one that is missed may be among them."""
        return len(self._by_uuid.at(""))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[VirtualMachine]:
        return (self._vm(row) for row in self._rows.values() if row.instance_uuid)

    def vm_by_uuid(self, uuid: str) -> VirtualMachine | None:
        """Return the VM of this instance UUID; None also where several have it."""
        found = self._by_uuid.at(uuid)
        return self._vm(self._rows[found[0]]) if uuid and len(found) == 1 else None

    def vm_by_path(self, path: str) -> VirtualMachine | None:
        """Return the VM at `/Datacenter/vm/folder/name`, names written as vCenter does; None also where several are."""
        found = self._at_path(path)
        row = self._rows[found[0]] if len(found) == 1 else None
        return self._vm(row) if row is not None and row.instance_uuid else None

    def is_ambiguous(self, path: str) -> bool:
        """Return whether several VMs are at this path."""
        return len(self._at_path(path)) > 1

    def cluster(self, moref: str) -> ClusterFacts | None:
        """Return a cluster by its reference."""
        found = self._clusters.get(moref)
        return replace(found.facts, task=self.tasks.latest(Owner(moref))) if found else None

    def clusters(self) -> tuple[ClusterFacts, ...]:
        """Return all clusters."""
        return tuple(cluster for moref in self._clusters if (cluster := self.cluster(moref)) is not None)

    def begin_fill(self, vcenter_uuid: str, root: str) -> None:
        """Start comparing with the server. What is known stays until the comparison is complete."""
        if vcenter_uuid != self._vcenter_uuid:
            self._forget_all()
        self._vcenter_uuid, self._places.root = vcenter_uuid, root
        self._unseen = {
            *(("VirtualMachine", moref) for moref in self._rows),
            *(("Folder", moref) for moref in self._places),
            *(("HostSystem", moref) for moref in self._hosts),
            *(("ClusterComputeResource", moref) for moref in self._clusters),
        }
        was_healthy = isinstance(self._health, Healthy)
        self._health = Filling(self._now())
        if was_healthy:
            # After an outage this is no news: only the end of the comparison is.
            self._on_change(set(), set(), self._health)

    def end_fill(self, product: str) -> None:
        """Conclude the comparison: what the server did not show is gone, and only now."""
        for kind, moref in self._unseen:
            self._drop(kind, moref)
        self._unseen = set()
        self._restarts.keep(self._rows)
        self._power.keep(self._rows)
        self._mark_moved()
        self._lost_since = None
        self._health = Healthy(self._vcenter_uuid, product, self._now())
        self._tell()

    def lose(self, reason: str, message: str) -> None:
        """Note that no changes arrive any more. Nothing is forgotten, and what changed is told when all is well again."""
        self._lost_since = self._lost_since or self._now()
        lost = Unreachable(reason, message, self._lost_since)
        if lost != self._health:
            self._health = lost
            self._on_change(set(), set(), lost)

    def apply(self, changes: Iterable[Change]) -> None:
        """Take in changes; they are told at once by a healthy inventory, and after the comparison by one that fills."""
        for change in changes:
            self._apply(change)
        if isinstance(self._health, Healthy):
            self._mark_moved()
            if self._changed or self._clusters_changed:
                self._tell()

    def note_refusal(self, vm: str, refused: TaskFacts) -> None:
        """Show a call about a VM that vCenter has refused at once; this is news about the VM as a failed task is."""
        self.tasks.refuse(refused, Owner(vm))
        self._mark_owner(vm)
        if isinstance(self._health, Healthy):
            self._tell()

    def _apply(self, change: Change) -> None:
        match change:
            case VmChange():
                self._put_vm(change)
            case PlaceChange():
                self._put_place(change)
            case HostChange():
                self._put_host(change)
            case ClusterChange():
                self._put_cluster(change)
            case Gone():
                self._drop(change.type, change.moref)
            case TaskChange():
                for owner in self.tasks.apply(change, self._now()):
                    self._mark_owner(owner)
            case HistorySeen():
                self._put_history(change)
            case _:
                assert_never(change)

    def _put_place(self, change: PlaceChange) -> None:
        self._unseen.discard(("Folder", change.moref))
        if self._places.put(change.moref, change.values):
            self._moved.add(change.moref)

    def _put_host(self, change: HostChange) -> None:
        self._unseen.discard(("HostSystem", change.moref))
        if change.parent is not None and self._hosts.get(change.moref) != change.parent:
            self._hosts[change.moref] = change.parent
            self._moved.add(change.moref)
        if change.responds is not None and change.responds == (change.moref in self._silent_hosts):
            self._silent_hosts.symmetric_difference_update({change.moref})
            self._moved.add(change.moref)

    def _put_vm(self, change: VmChange) -> None:
        self._unseen.discard(("VirtualMachine", change.moref))
        old = self._rows.get(change.moref)
        # An entering VM without a readable configuration keeps what was read of it last.
        is_whole = change.entered and "instance_uuid" in change.values
        base = Row(change.moref) if old is None or is_whole else old
        new = replace(base, **change.values)
        is_as_before = {name: old is not None and getattr(old, name) == getattr(new, name) for name in _TIMED}
        since: dict[str, Any] = {
            f"{name}_since": getattr(old, f"{name}_since") if same else self._now()
            for name, same in is_as_before.items()
        }
        new = replace(new, **since)
        if new == old:
            return
        if old is not None:
            self._unindex(old)
        self._rows[change.moref] = new
        self._by_uuid.add(new.instance_uuid, change.moref)
        self._by_place.add((new.parent, new.name), change.moref)
        # A vMotion within the cluster is nobody's business.
        if (
            old is None
            or replace(old, host=new.host) != new
            or self._cluster_of(old) != self._cluster_of(new)
        ):
            self._mark(new)
            self._mark(old or new)

    def _put_cluster(self, change: ClusterChange) -> None:
        self._unseen.discard(("ClusterComputeResource", change.moref))
        values, old = change.values, self._clusters.get(change.moref)
        unknown = ClusterFacts(change.moref, name="", ha_enabled=False, host_monitoring="", vm_monitoring="")
        before = old.facts if old is not None else unknown
        facts = replace(values.facts or before, name=before.name if values.name is None else values.name)
        known = old.overrides if old is not None else {}
        overrides = known if values.overrides is None else dict(values.overrides)
        self._clusters[change.moref] = _Cluster(facts, overrides)
        if old is None or facts != old.facts:
            self._clusters_changed.add(change.moref)
        if old is None:
            self._moved.update(host for host, parent in self._hosts.items() if parent == change.moref)
        for moref in known.keys() | overrides.keys():
            if known.get(moref) != overrides.get(moref):
                self._mark_owner(moref)

    def _put_history(self, change: HistorySeen) -> None:
        news = {moref for moref, restart in change.restarts if self._restarts.put(moref, restart)}
        news |= {moref for moref, event in change.power if self._power.put(moref, event)}
        for moref in news:
            self._mark_owner(moref)

    def _drop(self, kind: str, moref: str) -> None:
        match kind:
            case "VirtualMachine":
                row = self._rows.pop(moref, None)
                self._restarts.drop(moref)
                self._power.drop(moref)
                self.tasks.forget_owner(moref)
                if row is not None:
                    self._unindex(row)
                    self._mark(row)
            case "Folder" | "Datacenter":
                self._places.drop(moref)
                self._moved.add(moref)
            case "HostSystem":
                self._hosts.pop(moref, None)
                self._silent_hosts.discard(moref)
                self._moved.add(moref)
            case "ClusterComputeResource":
                if self._clusters.pop(moref, None) is not None:
                    self._moved.update(host for host, parent in self._hosts.items() if parent == moref)
                    self._clusters_changed.add(moref)
                self.tasks.forget_owner(moref)
            case _:
                pass

    def _forget_all(self) -> None:
        """Forget another vCenter's inventory: references mean other objects now."""
        for row in self._rows.values():
            self._mark(row)
        self._clusters_changed.update(self._clusters)
        self._rows, self._hosts, self._clusters, self._silent_hosts = {}, {}, {}, set()
        self._restarts, self._power = Log(), Log()
        self._by_uuid, self._by_place, self._places = Index(), Index(), Places()
        self.tasks.forget_all()

    def _unindex(self, row: Row) -> None:
        self._by_uuid.remove(row.instance_uuid, row.moref)
        self._by_place.remove((row.parent, row.name), row.moref)

    def _mark(self, row: Row) -> None:
        if row.instance_uuid:
            self._changed.add(row.instance_uuid)

    def _mark_owner(self, moref: str) -> None:
        row = self._rows.get(moref)
        if row is not None:
            self._mark(row)
        elif moref in self._clusters:
            self._clusters_changed.add(moref)

    def _mark_moved(self) -> None:
        """Mark the VMs whose path or cluster changed because something around them moved: one walk for all of it."""
        moved, self._moved = self._moved, set()
        for row in self._rows.values() if moved else ():
            if row.host in moved or self._places.is_within(row.parent, moved):
                self._mark(row)

    def _tell(self) -> None:
        changed, clusters = self._changed, self._clusters_changed
        self._changed, self._clusters_changed = set(), set()
        self._on_change(changed, clusters, self._health)

    def _at_path(self, path: str) -> tuple[str, ...]:
        parents, name = self._places.parents_of(path)
        return tuple(moref for parent in parents for moref in self._by_place.at((parent, name)))

    def _cluster_of(self, row: Row) -> str | None:
        parent = self._hosts.get(row.host)
        return parent if parent in self._clusters else None

    def _vm(self, row: Row) -> VirtualMachine:
        cluster = self._cluster_of(row)
        return VirtualMachine(
            moref=row.moref,
            instance_uuid=row.instance_uuid,
            path=self._places.path(row.parent, row.name),
            power=row.power,
            power_since=row.power_since or self._health.since,
            connected=row.connected,
            connected_since=row.connected_since or self._health.since,
            is_template=row.is_template,
            tools_running=row.tools_running,
            heartbeat=row.heartbeat,
            heartbeat_since=row.heartbeat_since or self._health.since,
            cpus=row.cpus,
            memory_mib=row.memory_mib,
            disks=dict(row.disks),
            change_version=row.change_version,
            cpu_hot_add=row.cpu_hot_add,
            memory_hot_add=row.memory_hot_add,
            hot_add_increment_mib=row.hot_add_increment_mib,
            hot_add_limit_mib=row.hot_add_limit_mib,
            cluster=cluster,
            ha_override=self._clusters[cluster].overrides.get(row.moref) if cluster else None,
            notes=dict(row.notes),
            task=self.tasks.latest(Owner(row.moref)),
            ha_task=self.tasks.latest(Owner(row.moref, is_override=True)),
            restarts=self._restarts.of(row.moref),
            host_responds=row.host not in self._silent_hosts,
            booted_at=row.booted_at,
            power_events=self._power.of(row.moref),
            snapshots=row.snapshots,
            consolidation_needed=row.consolidation_needed,
            refused=self.tasks.refused(Owner(row.moref)),
        )
