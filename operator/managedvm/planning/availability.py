"""vSphere HA as the service level promises it (clause 5.2): settings, their drift, and restarts in a row.

The operator sets what vSphere HA needs and counts what it does. It never restarts a VM for its health.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from managedvm.api.managedvm import RestartStatus
from managedvm.api.servicelevel import HighAvailability, RestartPriority, ServiceLevelSpec
from managedvm.planning.actions import ConfigureClusterHighAvailability, OverrideHighAvailability
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, unknown
from managedvm.planning.observed import (
    ClusterFacts,
    HaSettings,
    Heartbeat,
    PowerState,
    TaskFacts,
    VirtualMachine,
)
from managedvm.planning.plan import Part, joined
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import refusal, rests_until
from managedvm.planning.wallclock import shown

IO_QUIET_OPTION = "das.iostatsInterval"
VM_MONITORING_ONLY = "vmMonitoringOnly"
ENABLED = "enabled"
NO_WINDOW = -1
"""`maxFailureWindow` without a limit of time: the contract says three in a row, not three a day."""

BEING_REPAIRED = "; it is being repaired"
"""What is said of settings while their repair is on its way."""

_PRIORITY = {
    RestartPriority.LOWEST: "lowest",
    RestartPriority.LOW: "low",
    RestartPriority.MEDIUM: "medium",
    RestartPriority.HIGH: "high",
    RestartPriority.HIGHEST: "highest",
}

_WORDS = {
    "restart_priority": "restart priority",
    "vm_monitoring": "VM monitoring",
    "failure_interval": "heartbeat failure interval",
    "min_up_time": "minimum uptime",
    "max_failures": "maximum restarts",
    "max_failure_window": "restart window",
    "cluster_settings": "use of cluster settings",
}


def promised(level: HighAvailability) -> HaSettings:
    """Return the per-VM settings that a service level asks for."""
    return HaSettings(
        restart_priority=_PRIORITY[level.restart_priority],
        vm_monitoring=VM_MONITORING_ONLY,
        failure_interval=_seconds(level.heartbeat_failure_interval),
        min_up_time=_seconds(level.minimum_uptime),
        max_failures=level.maximum_restarts,
        max_failure_window=NO_WINDOW,
        cluster_settings=False,
    )


def differences(wanted: HaSettings, found: HaSettings | None) -> tuple[str, ...]:
    """Return what differs, in words: `restart priority medium instead of highest`."""
    actual = found or HaSettings()
    return tuple(
        f"{_WORDS[field.name]} {_shown(getattr(actual, field.name))} instead of {_shown(getattr(wanted, field.name))}"
        for field in fields(HaSettings)
        if getattr(actual, field.name) != getattr(wanted, field.name)
    )


def plan_vm(
    vm: VirtualMachine,
    cluster: ClusterFacts | None,
    level: ServiceLevelSpec,
    *,
    may_act: bool,
    now: datetime,
) -> Part:
    """Return what must be said and done about the HA settings of one VM."""
    if vm.cluster is None or cluster is None:
        finding = fails(
            Aspect.HIGH_AVAILABILITY_CONFIGURED,
            Reason.NOT_IN_CLUSTER,
            "The VM's host is in no cluster, so vSphere HA cannot restart it. Move the VM into a cluster",
            Clause.HIGH_AVAILABILITY,
        )
        return Part(findings=(finding, _tools(vm)))
    wanted = promised(level.high_availability)
    drift = differences(wanted, vm.ha_override)
    if drift and may_act:
        action = OverrideHighAvailability(cluster.moref, vm.moref, wanted, exists=vm.ha_override is not None)
        return joined((_repair(drift, action, vm.ha_task, now), Part(findings=(_tools(vm),))))
    return Part(findings=(_settings(drift, cluster, level), _tools(vm)))


def _repair(
    drift: tuple[str, ...], action: OverrideHighAvailability, task: TaskFacts | None, now: datetime
) -> Part:
    """Return the repair, unless it is under way, or was refused a short while ago."""
    words = f"vSphere HA for this VM has {'; '.join(drift)}"
    again = rests_until(task, now)
    if task is not None and again is not None:
        finding = fails(
            Aspect.HIGH_AVAILABILITY_CONFIGURED,
            Reason.CHANGE_FAILED,
            f"{words}; {refusal(task, again)}",
            Clause.HIGH_AVAILABILITY,
        )
        return Part(findings=(finding,), next_check=again)
    finding = fails(
        Aspect.HIGH_AVAILABILITY_CONFIGURED,
        Reason.HA_REPAIRING,
        f"{words}{BEING_REPAIRED}",
        Clause.HIGH_AVAILABILITY,
    )
    is_under_way = task is not None and task.is_running
    return Part(findings=(finding,), actions=() if is_under_way else (action,))


def _settings(drift: tuple[str, ...], cluster: ClusterFacts, level: ServiceLevelSpec) -> Finding:
    if drift:
        return fails(
            Aspect.HIGH_AVAILABILITY_CONFIGURED,
            Reason.HA_DRIFT,
            f"vSphere HA for this VM has {'; '.join(drift)}. Nothing is changed here now; see ChangesPermitted",
            Clause.HIGH_AVAILABILITY,
        )
    wide = cluster_drift(cluster, level.high_availability.io_quiet_interval)
    if wide:
        return fails(
            Aspect.HIGH_AVAILABILITY_CONFIGURED,
            Reason.CLUSTER_DRIFT,
            f"Cluster {cluster.name} has {'; '.join(wide)}. Repair it there, or set clusterSettings of the VCenter to "
            "Enforce",
            Clause.HIGH_AVAILABILITY,
        )
    return holds(
        Aspect.HIGH_AVAILABILITY_CONFIGURED,
        Reason.HA_AS_PROMISED,
        f"vSphere HA is set as service level {level.display_name} promises: restart priority "
        f"{level.high_availability.restart_priority}, at most {level.high_availability.maximum_restarts} restarts",
        Clause.HIGH_AVAILABILITY,
    )


def _tools(vm: VirtualMachine) -> Finding:
    if vm.power is not PowerState.ON:
        return unknown(
            Aspect.TOOLS_RUNNING,
            Reason.POWERED_OFF,
            f"The VM is {vm.power}; vSphere HA watches it again when it runs",
            Clause.HIGH_AVAILABILITY,
        )
    if vm.tools_running:
        return holds(Aspect.TOOLS_RUNNING, Reason.TOOLS_RUNNING, "VMware Tools run", Clause.HIGH_AVAILABILITY)
    return fails(
        Aspect.TOOLS_RUNNING,
        Reason.TOOLS_NOT_RUNNING,
        "VMware Tools do not run, so vSphere HA cannot notice that the guest fails. Start or install open-vm-tools",
        Clause.HIGH_AVAILABILITY,
    )


def cluster_drift(cluster: ClusterFacts, io_quiet: timedelta) -> tuple[str, ...]:
    """Return what differs at the cluster, in words; empty when it is set as clause 5.2 needs it."""
    quiet = str(_seconds(io_quiet))
    checks = (
        (cluster.ha_enabled, "vSphere HA off instead of on"),
        (
            cluster.host_monitoring == ENABLED,
            f"host monitoring {_shown(cluster.host_monitoring or None)} instead of {ENABLED}",
        ),
        (
            cluster.vm_monitoring != "vmMonitoringDisabled" and bool(cluster.vm_monitoring),
            f"VM monitoring {_shown(cluster.vm_monitoring or None)} instead of {VM_MONITORING_ONLY}",
        ),
        (
            cluster.options.get(IO_QUIET_OPTION) == quiet,
            f"{IO_QUIET_OPTION} {_shown(cluster.options.get(IO_QUIET_OPTION))} instead of {quiet}",
        ),
    )
    return tuple(words for is_right, words in checks if not is_right)


def repair_cluster(cluster: ClusterFacts, io_quiet: timedelta) -> ConfigureClusterHighAvailability | None:
    """Return the action that sets the cluster right, touching only what differs; None when nothing does."""
    if not cluster_drift(cluster, io_quiet):
        return None
    quiet = str(_seconds(io_quiet))
    monitors = bool(cluster.vm_monitoring) and cluster.vm_monitoring != "vmMonitoringDisabled"
    return ConfigureClusterHighAvailability(
        cluster=cluster.moref,
        enable=not cluster.ha_enabled,
        host_monitoring=None if cluster.host_monitoring == ENABLED else ENABLED,
        vm_monitoring=None if monitors else VM_MONITORING_ONLY,
        options={} if cluster.options.get(IO_QUIET_OPTION) == quiet else {IO_QUIET_OPTION: quiet},
    )


@dataclass(frozen=True, slots=True)
class Streak:
    """Restarts in a row as status shows them, and when the streak will be over if nothing else happens."""

    status: RestartStatus | None
    ends_at: datetime | None


def streak(
    before: RestartStatus | None, vm: VirtualMachine, level: HighAvailability, now: datetime
) -> Streak:
    """Return the restarts in a row.

    `before` is what status says: it remembers what events cannot tell, that the heartbeat never was green for long
    enough in between. Without it, two restarts belong together when they are nearer than the level's green time.
    """
    counted = before
    for event in sorted(vm.restarts, key=lambda e: (e.at, e.key)):
        if counted is not None and event.at <= counted.last_at:
            continue
        goes_on = counted is not None and (
            counted is before or event.at - counted.last_at < level.streak_ends_after
        )
        counted = RestartStatus(
            consecutive=(counted.consecutive if counted and goes_on else 0) + 1, last_at=event.at
        )
    if counted is None:
        return Streak(None, None)
    if before is None and counted.last_at + level.streak_ends_after <= now:
        # Status remembers no streak, so this one was over, or was never seen: it is not counted anew.
        return Streak(None, None)
    if vm.heartbeat is not Heartbeat.GREEN or vm.power is not PowerState.ON:
        return Streak(counted, None)
    ends_at = max(vm.heartbeat_since, counted.last_at) + level.streak_ends_after
    return Streak(None, None) if ends_at <= now else Streak(counted, ends_at)


def plan_restarts(found: Streak, level: HighAvailability) -> Part:
    """Return what must be said about restarts in a row; there is nothing to be done about them here."""
    if found.status is None:
        finding = holds(
            Aspect.RESTARTS_WITHIN_LIMIT,
            Reason.NO_RESTARTS,
            "No restart by vSphere HA is being counted",
            Clause.HIGH_AVAILABILITY,
        )
        return Part(findings=(finding,))
    count, limit = found.status.consecutive, level.maximum_restarts
    facts = f"vSphere HA has restarted this VM {count} times in a row, the last time at {shown(found.status.last_at)}"
    if count >= limit:
        finding = fails(
            Aspect.RESTARTS_WITHIN_LIMIT,
            Reason.RESTART_LIMIT,
            f"{facts}; {limit} is the limit, so a person must find out why. The operator restarts nothing itself",
            Clause.HIGH_AVAILABILITY,
        )
    else:
        finding = holds(
            Aspect.RESTARTS_WITHIN_LIMIT,
            Reason.RESTARTED,
            f"{facts}; the limit is {limit}",
            Clause.HIGH_AVAILABILITY,
        )
    return Part(findings=(finding,), next_check=found.ends_at)


def _seconds(interval: timedelta) -> int:
    return int(interval.total_seconds())


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)
