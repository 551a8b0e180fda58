"""The operator that a good kopf user writes from kopf's documentation: handlers, a timer, an index, patch.status.

It keeps one promise of ours, vSphere HA as the service level says (clause 5.2), by pyvmomi as its samples use it. It
makes no claims, records nothing and bills nothing. Started by `kopf run`; its settings are BENCH_* variables.
"""

from __future__ import annotations

import os
import random
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import kopf
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

if TYPE_CHECKING:
    import logging

DRIFT_SECONDS = float(os.environ.get("BENCH_DRIFT_SECONDS", "60"))
PREFIX = "idiomatic.managedvm.dev"
IO_QUIET_OPTION = "das.iostatsInterval"
CLUSTER_IS_FRESH_SECONDS = 5.0
TASK_POLL_SECONDS = 0.05
PRIORITIES = {"Lowest": "lowest", "Low": "low", "Medium": "medium", "High": "high", "Highest": "highest"}


@dataclass(frozen=True, slots=True)
class Override:
    """What one VM's HA override must be."""

    priority: str
    failure_interval: int
    min_up_time: int
    max_failures: int

    @classmethod
    def promised(cls, level: dict[str, Any]) -> Override:
        """Return what a ServiceLevel's spec asks for."""
        wanted = level["highAvailability"]
        return cls(
            PRIORITIES[wanted["restartPriority"]],
            seconds(wanted["heartbeatFailureInterval"]),
            seconds(wanted["minimumUptime"]),
            int(wanted["maximumRestarts"]),
        )

    @classmethod
    def found(cls, settings: Any) -> Override | None:
        """Return what vSphere has, None where it is of another shape than any level asks for."""
        tools = settings.vmToolsMonitoringSettings
        if tools is None or (tools.vmMonitoring, tools.clusterSettings, tools.maxFailureWindow) != (
            "vmMonitoringOnly",
            False,
            -1,
        ):
            return None
        return cls(settings.restartPriority, tools.failureInterval, tools.minUpTime, tools.maxFailures)

    def settings(self) -> vim.cluster.DasVmSettings:
        """Return it in vSphere's words."""
        return vim.cluster.DasVmSettings(
            restartPriority=self.priority,
            vmToolsMonitoringSettings=vim.cluster.VmToolsMonitoringSettings(
                vmMonitoring="vmMonitoringOnly",
                clusterSettings=False,
                failureInterval=self.failure_interval,
                minUpTime=self.min_up_time,
                maxFailures=self.max_failures,
                maxFailureWindow=-1,
            ),
        )


@dataclass(slots=True)
class Cluster:
    """One cluster's HA configuration, kept for a few seconds so that its VMs share one read."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    read_at: float = float("-inf")
    io_quiet: str | None = None
    overrides: dict[Any, Override | None] = field(default_factory=dict)


class VCenter:
    """One ServiceInstance, shared by all threads: pyvmomi pools its connections."""

    def __init__(self) -> None:
        self._login = threading.Lock()
        self._clusters: dict[Any, Cluster] = {}
        self._clusters_lock = threading.Lock()
        self._instance: Any = None
        self.connect()

    def connect(self) -> None:
        """Log in, anew after a session was lost."""
        with self._login:
            self._instance = SmartConnect(
                host=os.environ["BENCH_VCENTER_HOST"],
                port=int(os.environ["BENCH_VCENTER_PORT"]),
                user=os.environ["BENCH_VCENTER_USERNAME"],
                pwd=os.environ["BENCH_VCENTER_PASSWORD"],
                sslContext=ssl.create_default_context(cafile=os.environ["BENCH_VCENTER_CA"]),
                connectionPoolTimeout=900,
            )

    def close(self) -> None:
        """Log out."""
        Disconnect(self._instance)

    def find(self, path: str) -> Any:
        """Return the VM at an inventory path, None where there is none."""
        return self._instance.content.searchIndex.FindByInventoryPath(path.lstrip("/"))

    def ensure(self, vm: Any, wanted: Override, io_quiet: str) -> bool:
        """Set the VM's override and its cluster's I/O quiet interval right; returns whether anything was wrong."""
        reference = vm.resourcePool.owner
        with self._clusters_lock:
            cluster = self._clusters.setdefault(reference, Cluster())
        with cluster.lock:
            self._read(reference, cluster)
            spec = vim.cluster.ConfigSpecEx()
            if cluster.io_quiet != io_quiet:
                option = vim.option.OptionValue(key=IO_QUIET_OPTION, value=io_quiet)
                spec.dasConfig = vim.cluster.DasConfigInfo(option=[option])
            if cluster.overrides.get(vm) != wanted:
                info = vim.cluster.DasVmConfigInfo(key=vm, dasSettings=wanted.settings())
                operation = "edit" if vm in cluster.overrides else "add"
                spec.dasVmConfigSpec = [vim.cluster.DasVmConfigSpec(operation=operation, info=info)]
            if spec.dasConfig is None and not spec.dasVmConfigSpec:
                return False
            finish(reference.ReconfigureComputeResource_Task(spec=spec, modify=True))
            cluster.io_quiet, cluster.overrides[vm] = io_quiet, wanted
            return True

    @staticmethod
    def _read(reference: Any, cluster: Cluster) -> None:
        if time.monotonic() - cluster.read_at < CLUSTER_IS_FRESH_SECONDS:
            return
        configuration = reference.configurationEx
        options = {option.key: option.value for option in configuration.dasConfig.option}
        cluster.io_quiet = options.get(IO_QUIET_OPTION)
        cluster.overrides = {
            entry.key: Override.found(entry.dasSettings) for entry in configuration.dasVmConfig
        }
        cluster.read_at = time.monotonic()


def finish(task: Any) -> None:
    """Return when a vCenter task has succeeded.

    Polled, as many samples do: waiters that share the session's one PropertyCollector take each other's updates.

    Raises:
        kopf.TemporaryError: it failed; kopf tries again.
    """
    while (info := task.info).state not in ("success", "error"):
        time.sleep(TASK_POLL_SECONDS)  # noqa: TID251 - a synchronous handler, in a thread of its own
    if info.state == "error":
        raise kopf.TemporaryError(f"vCenter: {info.error.msg}", delay=10)


def seconds(duration: str) -> int:
    """Return the seconds of a duration such as 30s or 2m."""
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


@kopf.on.startup()
def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Set what kopf's documentation recommends, and log in once."""
    # Docs, "Finalizers" and "Change detection": names of one's own, so that two operators do not meet.
    settings.persistence.finalizer = f"{PREFIX}/finalizer"
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX)
    # Docs, "Handling progress": not in status, since a structural schema would cut it off.
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX)
    # Docs, "Synchronous handlers": they share a pool of threads, by default only 6 of them on 2 cores.
    settings.execution.max_workers = 20
    # Docs, "API timeouts": a connection that died is noticed.
    settings.watching.connect_timeout = 60
    settings.watching.server_timeout = 600
    memo.vcenter = VCenter()


@kopf.on.cleanup()
def stop(memo: kopf.Memo, **_: Any) -> None:
    """Log out."""
    memo.vcenter.close()


@kopf.index("managedvm.dev", "v1alpha1", "servicelevels")
def levels(name: str, spec: kopf.Spec, **_: Any) -> dict[str, dict[str, Any]]:
    """Keep the few service levels in memory (docs, "In-memory indexing")."""
    return {name: dict(spec)}


@kopf.on.create("managedvm.dev", "v1alpha1", "managedvms")
@kopf.on.resume("managedvm.dev", "v1alpha1", "managedvms")
@kopf.on.update("managedvm.dev", "v1alpha1", "managedvms", field="spec")
def reconcile(**kwargs: Any) -> None:
    """Bring a VM to what its level promises, when it is new, changed, or met again after a restart."""
    evaluate(**kwargs)


def somewhen(**_: Any) -> float:
    """Return a first delay that spreads the timers, so that they do not all fire together."""
    return random.uniform(0, DRIFT_SECONDS)  # noqa: S311 - no secret


@kopf.timer("managedvm.dev", "v1alpha1", "managedvms", interval=DRIFT_SECONDS, initial_delay=somewhen)
def drift(**kwargs: Any) -> None:
    """Look whether somebody changed it behind our back (docs, "Timers": a handler of the regular checks)."""
    evaluate(**kwargs)


def evaluate(
    *,
    levels: kopf.Index[str, dict[str, Any]],
    spec: kopf.Spec,
    status: kopf.Status,
    meta: kopf.Meta,
    patch: kopf.Patch,
    memo: kopf.Memo,
    logger: kopf.Logger | logging.LoggerAdapter[Any],
    **_: Any,
) -> None:
    """Look at one VM, repair it, and say so in its status; a status that says the same is not written."""
    wished = spec["orders"][0]["serviceLevel"]
    if wished not in levels:
        raise kopf.TemporaryError(f"there is no ServiceLevel {wished}", delay=30)
    level = next(iter(levels[wished]))
    vcenter: VCenter = memo.vcenter
    try:
        vm = vcenter.find(spec["vm"]["inventoryPath"])
        if vm is None:
            raise kopf.TemporaryError("the VM is missing", delay=60)
        summary = vm.summary
        quiet = str(seconds(level["highAvailability"]["ioQuietInterval"]))
        if vcenter.ensure(vm, Override.promised(level), quiet):
            logger.info("The HA settings were repaired.")
    except vim.fault.NotAuthenticated as lost:
        vcenter.connect()
        raise kopf.TemporaryError("the session was lost", delay=1) from lost
    wanted = described(meta["generation"], summary, wished, status.get("conditions", []))
    for key, value in wanted.items():
        if status.get(key) != value:
            patch.status[key] = value


def described(generation: int, summary: Any, level: str, before: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the status of a VM that is as it should be."""
    texts = {
        "Ready": ("AsPromised", "Everything is as promised"),
        "VMFound": ("VMFound", f"The VM is {summary.config.instanceUuid}"),
        "HighAvailabilityConfigured": ("AsPromised", f"vSphere HA is set as service level {level} promises"),
    }
    since = {c["type"]: c["lastTransitionTime"] for c in before if c["status"] == "True"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "observedGeneration": generation,
        "mode": "Enforce",
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastTransitionTime": since.get(kind, now),
                "observedGeneration": generation,
            }
            for kind, (reason, message) in texts.items()
        ],
    }
