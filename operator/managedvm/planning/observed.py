"""What was read before a decision: frozen facts, and Unknown(reason) where a read failed.

A failed read is an answer of its own. It is never None, never taken for healthy and never for sick.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Unknown:
    """A read that failed, with the reason in words for a person; `detail` is only for those who run what was read."""

    reason: str
    detail: str = ""


class PowerState(StrEnum):
    """Whether the VM runs."""

    ON = "PoweredOn"
    OFF = "PoweredOff"
    SUSPENDED = "Suspended"


class Heartbeat(StrEnum):
    """The heartbeat of VMware Tools, in vSphere's colours."""

    GRAY = "gray"
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A virtual disk: where it hangs and how large it is."""

    device_key: int
    capacity_bytes: int


@dataclass(frozen=True, slots=True)
class HaSettings:
    """The vSphere HA settings of one VM as its cluster holds them; None where the cluster's default applies.

    Intervals are seconds; `max_failure_window` -1 means no window: failures count without limit of time.
    """

    restart_priority: str | None = None
    vm_monitoring: str | None = None
    failure_interval: int | None = None
    min_up_time: int | None = None
    max_failures: int | None = None
    max_failure_window: int | None = None
    cluster_settings: bool | None = None


RECONFIGURE = "ReconfigVM_Task"
"""The method of the task that changes a VM's configuration."""

POWER_ON = "PowerOnVM_Task"
"""The method of the task that starts a VM."""

SHUT_DOWN = "ShutdownGuest"
"""The method that asks a guest to shut down. It makes no task; only its refusal is shown as one."""

NO_PERMISSION = "NoPermission"
"""The fault of what our account may not do: trying another way does not help."""


CREATE_SNAPSHOT, REVERT_TO_SNAPSHOT, REMOVE_SNAPSHOT = (
    "CreateSnapshot_Task",
    "RevertToSnapshot_Task",
    "RemoveSnapshot_Task",
)
"""The methods of the tasks that a snapshot comes, is gone back to, and goes by."""


OUTRUN = "ConcurrentAccess"
"""The fault of a task that came too late: the VM had changed since it was decided on. Nothing was done or refused."""


class TaskState(StrEnum):
    """How far a vCenter task is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A vCenter task on a VM that we started, or found again.

    A call that was refused at once is shown as a task that failed, without a `moref`. `refusals` counts how often in a
    row the same was refused, as far as we remember. `queued_at`, `begin` and `end` are vCenter's clock, which may be wrong: they are for records. `seen_at` is our own:
    when we first saw the task in this state. What rests or waits goes by that.
    """

    moref: str
    method: str
    state: TaskState
    queued_at: datetime
    seen_at: datetime
    begin: datetime | None = None
    end: datetime | None = None
    fault: str = ""
    message: str = ""
    refusals: int = 0

    @property
    def is_running(self) -> bool:
        """Whether the task has not come to an end yet."""
        return self.state in (TaskState.QUEUED, TaskState.RUNNING)

    @property
    def is_refused(self) -> bool:
        """Whether vCenter has refused it; what only came too late was not."""
        return self.state is TaskState.ERROR and self.fault != OUTRUN


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """The cluster-wide side of vSphere HA. `task` is the latest change of it that we started."""

    moref: str
    name: str
    ha_enabled: bool
    host_monitoring: str
    vm_monitoring: str
    options: Mapping[str, str] = field(default_factory=dict)
    task: TaskFacts | None = None


@dataclass(frozen=True, slots=True)
class RestartEvent:
    """vSphere HA has reset the VM because its heartbeat and its I/O were gone (clause 5.2)."""

    key: int
    at: datetime


@dataclass(frozen=True, slots=True)
class PowerEvent:
    """vCenter's history says that the VM's power changed to `power`; None: that its guest was asked to shut down.

    `by` is the user as vCenter names it, empty where it names nobody.
    """

    key: int
    at: datetime
    power: PowerState | None
    by: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotFacts:
    """One snapshot of a VM, whoever took it. `taken_at` is vCenter's clock.

    `quiesced`: VMware Tools had brought the guest's file systems to rest. Whether the VM was off is not known: vCenter
    calls it off in every snapshot without memory.
    """

    moref: str
    name: str
    taken_at: datetime
    quiesced: bool = False


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One VM as the inventory stream holds it.

    `notes` are the entries of extraConfig that are ours (their keys start with `managedvm.`), `disks` is keyed by
    virtual device node (`SCSI(0:0)`). `power_since`, `connected_since` and `heartbeat_since` are when we first saw what
    is now; `booted_at` and `power_events` are vCenter's clock. `host_responds` is what vCenter says of the host. `task`
    is the latest task on the VM that we started, `ha_task` the latest change of its HA override, which is a task on its
    cluster.
    `snapshots` are all of the VM's, parents before children; `consolidation_needed` says that disks of removed ones are left.
    `refused` has what vCenter has refused about this VM and has not done since, by method.
    """

    moref: str
    instance_uuid: str
    path: str
    power: PowerState
    power_since: datetime
    connected: bool
    connected_since: datetime
    is_template: bool
    tools_running: bool
    heartbeat: Heartbeat
    heartbeat_since: datetime
    cpus: int
    memory_mib: int
    disks: Mapping[str, DiskFacts]
    change_version: str
    cpu_hot_add: bool
    memory_hot_add: bool
    hot_add_increment_mib: int
    hot_add_limit_mib: int
    cluster: str | None
    ha_override: HaSettings | None
    notes: Mapping[str, str] = field(default_factory=dict)
    task: TaskFacts | None = None
    restarts: tuple[RestartEvent, ...] = ()
    ha_task: TaskFacts | None = None
    host_responds: bool = True
    booted_at: datetime | None = None
    power_events: tuple[PowerEvent, ...] = ()
    snapshots: tuple[SnapshotFacts, ...] = ()
    consolidation_needed: bool = False
    refused: Mapping[str, TaskFacts] = field(default_factory=dict)

    def refusal_of(self, method: str) -> TaskFacts | None:
        """Return the latest call of this method on the VM where vCenter has refused it."""
        failed = (self.task, self.refused.get(method))
        refusals = (t for t in failed if t is not None and t.method == method and t.is_refused)
        return max(refusals, key=lambda task: task.seen_at, default=None)
