"""What to do for one VCenter: say whether it is connected, and keep its clusters as clause 5.2 needs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.vcenter import Mode, VCenter, VCenterStatus
from managedvm.planning.actions import Action
from managedvm.planning.availability import BEING_REPAIRED, cluster_drift, repair_cluster
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, Truth, fails, holds, some, unknown
from managedvm.planning.gaps import Unseen, plan_gaps
from managedvm.planning.observed import ClusterFacts, Unknown
from managedvm.planning.plan import Group, Part, earliest, flat, joined
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import refusal, rests_until


@dataclass(frozen=True, slots=True)
class Connection:
    """A healthy connection: who the server says it is."""

    vcenter_uuid: str
    product: str


@dataclass(frozen=True, slots=True)
class Connecting:
    """The first look at the vCenter is under way."""

    message: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no connection, where a person must act."""

    reason: Reason
    message: str


def told_to_users(state: Connecting | Trouble | Unknown) -> Unknown:
    """Return why a vCenter cannot be seen, for the VMs in it: its accounts, Secrets and addresses are its provider's."""
    match state:
        case Connecting(message=message):
            return Unknown(message)
        case Trouble():
            return Unknown(
                "the operator cannot use it; its provider reads why in the conditions of the VCenter"
            )
        case Unknown(reason=reason):
            return Unknown(reason)


@dataclass(frozen=True, slots=True)
class ManagedCluster:
    """A cluster that holds managed VMs, and the names of the levels that they have.

    `acting` are the levels of those VMs that may be changed: for them alone the cluster is repaired. Where there is none,
    its drift is only told.
    """

    facts: ClusterFacts
    levels: frozenset[str]
    acting: frozenset[str]

    @property
    def asking(self) -> frozenset[str]:
        """The levels that have a say in how the cluster is set."""
        return self.acting or self.levels


@dataclass(frozen=True, slots=True)
class ObservedVCenter:
    """All that was read for one VCenter: its connection, the clusters that hold managed VMs, and all levels.

    `is_changing`: this connection is the one before, and the one that the spec asks for now is being made.
    """

    connection: Connection | Connecting | Trouble | Unknown
    clusters: tuple[ManagedCluster, ...]
    levels: Mapping[str, ServiceLevelSpec]
    missing_policies: tuple[str, ...]
    is_changing: bool = False
    unseen: Unseen = field(default_factory=Unseen)


@dataclass(frozen=True, slots=True)
class VCenterPlan:
    """Groups of actions, findings, the status without its conditions, and when to look again.

    `has_caught_up`: each time in which its VMs could not be seen is on record.
    """

    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]
    status: VCenterStatus
    next_check: datetime | None = None
    has_caught_up: bool = False

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions in order."""
        return flat(self.groups)


def plan(vcenter: VCenter, observed: ObservedVCenter, now: datetime) -> VCenterPlan:
    """Return what to do for one VCenter at `now`."""
    decided = _plan(vcenter, observed, now)
    if observed.missing_policies:
        return decided
    if vcenter.status.instance_uuid is None:
        return replace(decided, has_caught_up=True)  # it was never seen, so nothing of it was missed
    gaps = plan_gaps(
        observed.unseen, vcenter.status.instance_uuid, _unseen_since(vcenter, observed, now), now
    )
    return replace(
        decided,
        groups=(*decided.groups, *gaps.groups),
        next_check=earliest((decided.next_check, gaps.next_check)),
        has_caught_up=not gaps.actions and gaps.next_check is None,
    )


def _unseen_since(vcenter: VCenter, observed: ObservedVCenter, now: datetime) -> datetime | None:
    """Return since when the vCenter is known not to be seen, None while it is; its condition remembers that."""
    if isinstance(observed.connection, Connection):
        return None
    told = next((one for one in vcenter.status.conditions if one.type == Aspect.CONNECTED.value), None)
    is_told = told is not None and told.status != Truth.TRUE.value
    return told.last_transition_time if told is not None and is_told else now


def _plan(vcenter: VCenter, observed: ObservedVCenter, now: datetime) -> VCenterPlan:
    link = observed.connection
    if observed.is_changing:
        return VCenterPlan((), (_changing(vcenter, link),), vcenter.status)
    if isinstance(link, Connecting):
        finding = unknown(Aspect.CONNECTED, Reason.CONNECTING, link.message, Clause.AS_ORDERED)
        return VCenterPlan((), (finding,), vcenter.status)
    if isinstance(link, Trouble):
        finding = fails(Aspect.CONNECTED, link.reason, link.message, Clause.AS_ORDERED)
        return VCenterPlan((), (finding,), vcenter.status)
    if isinstance(link, Unknown):
        words = f"{link.reason}: {link.detail}" if link.detail else link.reason
        finding = unknown(Aspect.CONNECTED, Reason.VCENTER_UNREACHABLE, words, Clause.AS_ORDERED)
        return VCenterPlan((), (finding,), vcenter.status)
    known = vcenter.status.instance_uuid
    if known is not None and known != link.vcenter_uuid and vcenter.spec.maximum_mode is Mode.ENFORCE:
        finding = fails(
            Aspect.CONNECTED,
            Reason.IDENTITY_CHANGED,
            f"{vcenter.spec.server} is vCenter {link.vcenter_uuid} now instead of {known}; all is frozen. Set "
            "maximumMode to Observe to accept the other one",
            Clause.DIRECTLY_ATTACHED_VM,
        )
        return VCenterPlan((), (finding,), vcenter.status)
    connected = holds(Aspect.CONNECTED, Reason.CONNECTED, f"Connected to {link.product}", Clause.AS_ORDERED)
    status = VCenterStatus(instance_uuid=link.vcenter_uuid, product=link.product)
    clusters = _clusters(vcenter, observed, now)
    return VCenterPlan(clusters.groups, (connected, *clusters.findings), status, clusters.next_check)


def _changing(vcenter: VCenter, link: Connection | Connecting | Trouble | Unknown) -> Finding:
    """Return what is said while a new connection is made: until then the one before serves, where there is one."""
    words = f"{vcenter.spec.server} is being connected as spec says now"
    if isinstance(link, Connection):
        words += "; until that is done, the connection before serves"
        return holds(Aspect.CONNECTED, Reason.CONNECTING, words, Clause.AS_ORDERED)
    return unknown(Aspect.CONNECTED, Reason.CONNECTING, words, Clause.AS_ORDERED)


def _clusters(vcenter: VCenter, observed: ObservedVCenter, now: datetime) -> Part:
    wanted = {cluster.facts.moref: _wanted(cluster, observed.levels) for cluster in observed.clusters}
    torn = [c for c in observed.clusters if len(wanted[c.facts.moref]) > 1]
    parts = [_disagreement(cluster, wanted[cluster.facts.moref]) for cluster in torn]
    drifts = [
        (cluster, quiet)
        for cluster in observed.clusters
        if len(wanted[cluster.facts.moref]) == 1
        for quiet in wanted[cluster.facts.moref]
        if cluster_drift(cluster.facts, quiet)
    ]
    if not drifts:
        return (
            joined(parts) if parts else _right("All clusters with managed VMs keep the promise of vSphere HA")
        )
    is_enforced = vcenter.spec.cluster_settings is vcenter.spec.maximum_mode is Mode.ENFORCE
    allowed = is_enforced and not observed.missing_policies
    parts += [_repair(c.facts, quiet, now) for c, quiet in drifts if allowed and c.acting]
    told = [(c.facts, quiet) for c, quiet in drifts if not (allowed and c.acting)]
    if told:
        facts = some(
            [f"Cluster {c.name} has {'; '.join(cluster_drift(c, quiet))}" for c, quiet in told], most=3
        )
        words = (
            f"{facts}. Repair it there, or set clusterSettings and maximumMode here, and spec.mode of a ManagedVM in "
            "that cluster, to Enforce"
        )
        parts.append(_wrong(Reason.CLUSTER_DRIFT, words))
    return joined(parts)


def _wanted(cluster: ManagedCluster, levels: Mapping[str, ServiceLevelSpec]) -> frozenset[timedelta]:
    """Return what the levels in use there ask for; one that nobody uses there has no say, nor one of VMs left alone."""
    used = (levels[name] for name in cluster.asking if name in levels)
    return frozenset(level.high_availability.io_quiet_interval for level in used)


def _disagreement(cluster: ManagedCluster, quiet: frozenset[timedelta]) -> Part:
    values = ", ".join(str(int(q.total_seconds())) for q in sorted(quiet))
    words = (
        f"Service levels {some(sorted(cluster.asking))} of VMs in cluster {cluster.facts.name} ask for ioQuietInterval "
        f"{values} s, and a cluster has one value. Make them equal, or move the VMs apart"
    )
    return _wrong(Reason.LEVELS_DISAGREE, words)


def _repair(cluster: ClusterFacts, wanted: timedelta, now: datetime) -> Part:
    """Return the repair of one cluster, unless it is under way, or was refused a short while ago."""
    words = f"Cluster {cluster.name} has {'; '.join(cluster_drift(cluster, wanted))}"
    again = rests_until(cluster.task, now)
    if cluster.task is not None and again is not None:
        return _wrong(Reason.CHANGE_FAILED, f"{words}; {refusal(cluster.task, again)}", next_check=again)
    repair = repair_cluster(cluster, wanted)
    is_under_way = cluster.task is not None and cluster.task.is_running
    actions = () if repair is None or is_under_way else (repair,)
    return _wrong(Reason.HA_REPAIRING, f"{words}{BEING_REPAIRED}", actions)


def _right(words: str) -> Part:
    finding = holds(Aspect.CLUSTERS_CONFIGURED, Reason.CLUSTERS_AS_PROMISED, words, Clause.HIGH_AVAILABILITY)
    return Part(findings=(finding,))


def _wrong(
    reason: Reason, words: str, actions: tuple[Action, ...] = (), next_check: datetime | None = None
) -> Part:
    finding = fails(Aspect.CLUSTERS_CONFIGURED, reason, words, Clause.HIGH_AVAILABILITY)
    return Part((finding,), actions, next_check)
