"""What to do for one VCenter: say whether it is connected, and keep its clusters as clause 5.2 needs them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.vcenter import Mode, VCenter, VCenterStatus
from managedvm.planning.actions import Action
from managedvm.planning.availability import cluster_drift, repair_cluster
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, Reason, fails, holds, unknown
from managedvm.planning.observed import ClusterFacts, Unknown


@dataclass(frozen=True, slots=True)
class Connection:
    """A healthy connection: who the server says it is."""

    vcenter_uuid: str
    product: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no connection, where a person must act."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ObservedVCenter:
    """All that was read for one VCenter: its connection, the clusters that hold managed VMs, and the levels."""

    connection: Connection | Trouble | Unknown
    clusters: tuple[ClusterFacts, ...]
    levels: Mapping[str, ServiceLevelSpec]
    missing_policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VCenterPlan:
    """Actions, findings, and the status without its conditions."""

    actions: tuple[Action, ...]
    findings: tuple[Finding, ...]
    status: VCenterStatus


def plan(vcenter: VCenter, observed: ObservedVCenter) -> VCenterPlan:
    """Return what to do for one VCenter."""
    link = observed.connection
    if isinstance(link, Trouble):
        finding = fails(Aspect.CONNECTED, link.reason, link.message, Clause.AS_ORDERED)
        return VCenterPlan((), (finding,), vcenter.status)
    if isinstance(link, Unknown):
        finding = unknown(Aspect.CONNECTED, Reason.VCENTER_UNREACHABLE, link.reason, Clause.AS_ORDERED)
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
    finding, actions = _clusters(vcenter, observed)
    return VCenterPlan(actions, (connected, finding), status)


def _clusters(vcenter: VCenter, observed: ObservedVCenter) -> tuple[Finding, tuple[Action, ...]]:
    quiet = {level.high_availability.io_quiet_interval for level in observed.levels.values()}
    if len(quiet) > 1:
        values = ", ".join(sorted(str(int(q.total_seconds())) for q in quiet))
        words = (
            f"Service levels ask for ioQuietInterval {values} s, and a cluster has one value. Make them equal"
        )
        return fails(Aspect.CLUSTERS_CONFIGURED, Reason.LEVELS_DISAGREE, words, Clause.HIGH_AVAILABILITY), ()
    wanted = next(iter(quiet), None)
    if wanted is None:
        words = "There is no ServiceLevel yet, so nothing is promised for clusters"
        return holds(
            Aspect.CLUSTERS_CONFIGURED, Reason.CLUSTERS_AS_PROMISED, words, Clause.HIGH_AVAILABILITY
        ), ()
    wrong = [cluster for cluster in observed.clusters if cluster_drift(cluster, wanted)]
    if not wrong:
        words = "All clusters with managed VMs are set so that vSphere HA keeps the promise"
        return holds(
            Aspect.CLUSTERS_CONFIGURED, Reason.CLUSTERS_AS_PROMISED, words, Clause.HIGH_AVAILABILITY
        ), ()
    return _drifted(vcenter, observed, wrong, wanted)


def _drifted(
    vcenter: VCenter, observed: ObservedVCenter, wrong: list[ClusterFacts], wanted: timedelta
) -> tuple[Finding, tuple[Action, ...]]:
    facts = ". ".join(f"Cluster {c.name} has {'; '.join(cluster_drift(c, wanted))}" for c in wrong)
    allowed = vcenter.spec.cluster_settings is vcenter.spec.maximum_mode is Mode.ENFORCE
    if not allowed or observed.missing_policies:
        words = f"{facts}. Repair it there, or set clusterSettings and maximumMode to Enforce"
        return fails(Aspect.CLUSTERS_CONFIGURED, Reason.CLUSTER_DRIFT, words, Clause.HIGH_AVAILABILITY), ()
    repairs = tuple(action for c in wrong if (action := repair_cluster(c, wanted)) is not None)
    words = f"{facts}; it is being repaired"
    return fails(Aspect.CLUSTERS_CONFIGURED, Reason.HA_REPAIRING, words, Clause.HIGH_AVAILABILITY), repairs
