"""Values of vSphere properties as small facts of ours: which properties we ask for, and what each means.

Facts that many VMs have alike are shared, so 10,000 VMs with the same disks hold them once.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element

from managedvm.planning.observed import (
    ClusterFacts,
    DiskFacts,
    HaSettings,
    Heartbeat,
    PowerEvent,
    PowerState,
    RestartEvent,
    SnapshotFacts,
    TaskState,
)
from managedvm.world.vsphere.pages import Kind, Update, child, children, flag, number, text, type_of

Disks = tuple[tuple[str, DiskFacts], ...]
Notes = tuple[tuple[str, str], ...]

NOTE_PREFIX = "managedvm."
"""The keys of extraConfig that are ours; nobody else's are kept."""

_CONTROLLERS = {
    "SCSI": (
        "VirtualLsiLogicController",
        "VirtualLsiLogicSASController",
        "VirtualBusLogicController",
        "ParaVirtualSCSIController",
    ),
    "SATA": ("VirtualAHCIController",),
    "NVME": ("VirtualNVMEController",),
    "IDE": ("VirtualIDEController",),
}
_BUS_OF = {kind: bus for bus, kinds in _CONTROLLERS.items() for kind in kinds}


@lru_cache(maxsize=4096)
def _shared(value: Any) -> Any:
    """Return the one object that stands for all equal values."""
    return value


def _name(element: Element | None) -> str:
    return text(element) or ""


def _interned(element: Element | None) -> str:
    return sys.intern(text(element) or "")


def _count(element: Element | None) -> int:
    return number(element) or 0


def _truth(element: Element | None) -> bool:
    return flag(element) or False


def _instant(element: Element | None) -> datetime | None:
    found = text(element)
    return datetime.fromisoformat(found) if found else None


def _power(element: Element | None) -> PowerState:
    words = {"poweredOn": PowerState.ON, "suspended": PowerState.SUSPENDED}
    return words.get(text(element) or "", PowerState.OFF)


def _heartbeat(element: Element | None) -> Heartbeat:
    return Heartbeat(text(element) or "gray")


def _connected(element: Element | None) -> bool:
    return text(element) == "connected"


def _tools_running(element: Element | None) -> bool:
    return text(element) == "guestToolsRunning"


def _notes(element: Element | None) -> Notes:
    found = []
    for option in children(element):
        key, value = text(option, "key") or "", text(option, "value")
        if key.startswith(NOTE_PREFIX) and value:  # an empty one was taken away
            found.append((sys.intern(key), value))
    return tuple(sorted(found))


def _disks(element: Element | None) -> Disks:
    """Return the virtual disks by their device node, `SCSI(0:0)`; disks on other controllers have none."""
    buses: dict[str, str] = {}
    disks: list[Element] = []
    for device in children(element):
        kind = type_of(device)
        if kind == "VirtualDisk":
            disks.append(device)
        elif kind in _BUS_OF:
            buses[text(device, "key") or ""] = f"{_BUS_OF[kind]}({text(device, 'busNumber')}:"
    found = []
    for disk in disks:
        bus = buses.get(text(disk, "controllerKey") or "")
        if bus is not None:
            facts = DiskFacts(number(disk, "key") or 0, _capacity(disk))
            found.append((sys.intern(f"{bus}{text(disk, 'unitNumber')})"), facts))
    shared: Disks = _shared(tuple(sorted(found, key=lambda pair: pair[0])))
    return shared


def _capacity(disk: Element) -> int:
    exact = number(disk, "capacityInBytes")
    return exact if exact is not None else 1024 * (number(disk, "capacityInKB") or 0)


def _snapshots(element: Element | None) -> tuple[SnapshotFacts, ...]:
    """Return all snapshots of a VM, parents before children; most VMs have none."""
    found: list[SnapshotFacts] = []
    open_trees = [element] if element is not None else []
    while open_trees:
        tree = open_trees.pop(0)
        below = list(children(tree, "rootSnapshotList" if tree is element else "childSnapshotList"))
        open_trees += below
        found += [_snapshot(one) for one in below]
    return tuple(found)


def _snapshot(tree: Element) -> SnapshotFacts:
    return SnapshotFacts(
        moref=text(tree, "snapshot") or "",
        name=text(tree, "name") or "",
        taken_at=_instant(child(tree, "createTime")) or datetime.min.replace(tzinfo=UTC),
        quiesced=flag(tree, "quiesced") or False,
    )


_VM_FIELDS: dict[str, tuple[str, Callable[[Element | None], Any]]] = {
    "name": ("name", _name),
    "parent": ("parent", _interned),
    "runtime.powerState": ("power", _power),
    "runtime.connectionState": ("connected", _connected),
    "runtime.bootTime": ("booted_at", _instant),
    "runtime.host": ("host", _interned),
    "guest.toolsRunningStatus": ("tools_running", _tools_running),
    "guestHeartbeatStatus": ("heartbeat", _heartbeat),
    "config.instanceUuid": ("instance_uuid", _name),
    "config.changeVersion": ("change_version", _name),
    "config.template": ("is_template", _truth),
    "config.hardware.numCPU": ("cpus", _count),
    "config.hardware.memoryMB": ("memory_mib", _count),
    "config.hardware.device": ("disks", _disks),
    "config.cpuHotAddEnabled": ("cpu_hot_add", _truth),
    "config.memoryHotAddEnabled": ("memory_hot_add", _truth),
    "config.hotPlugMemoryIncrementSize": ("hot_add_increment_mib", _count),
    "config.hotPlugMemoryLimit": ("hot_add_limit_mib", _count),
    "config.extraConfig": ("notes", _notes),
    "runtime.consolidationNeeded": ("consolidation_needed", _truth),
    "snapshot": ("snapshots", _snapshots),
}
_IDENTITY = "config.instanceUuid"

PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "VirtualMachine": tuple(_VM_FIELDS),
    "Folder": ("name", "parent"),
    "Datacenter": ("name", "parent"),
    "HostSystem": ("parent", "runtime.connectionState"),
    # Whole, because a real vCenter refuses paths into it: its declared type knows nothing of HA.
    "ClusterComputeResource": ("name", "configurationEx"),
}
"""What is streamed of each type."""

TASK_PROPERTIES = ("info.state", "info.queueTime", "info.startTime", "info.completeTime", "info.error")
EVENT_PROPERTIES = ("latestPage",)
RESTART_EVENTS = ("VmDasBeingResetEvent", "VmDasBeingResetWithScreenshotEvent")
"""The events by which vSphere HA says that it has reset a VM."""

_POWER_OF: Mapping[str, PowerState | None] = {
    "VmPoweredOffEvent": PowerState.OFF,
    "VmSuspendedEvent": PowerState.SUSPENDED,
    "VmPoweredOnEvent": PowerState.ON,
    "DrsVmPoweredOnEvent": PowerState.ON,
    "VmRestartedOnAlternateHostEvent": PowerState.ON,
    "VmGuestShutdownEvent": None,
}
POWER_EVENTS = tuple(_POWER_OF)
"""The events by which vCenter says that a VM's power has changed, or was asked to."""


def vm_values(update: Update) -> dict[str, Any]:
    """Return what an update says of a VM, as fields of `inventory.Row`.

    A VM whose configuration vCenter cannot read at the moment has no instance UUID either: then nothing is said of
    its configuration, and what was read last stays.
    """
    unreadable = update.values.get(_IDENTITY) is None and (
        _IDENTITY in update.values or update.kind is Kind.ENTER
    )
    paths = _VM_FIELDS if update.kind is Kind.ENTER else update.values
    values: dict[str, Any] = {}
    for path in paths:
        if path in _VM_FIELDS and not (unreadable and path.startswith("config.")):
            field, meaning = _VM_FIELDS[path]
            values[field] = meaning(update.values.get(path))
    return values


def plain_values(update: Update) -> dict[str, str]:
    """Return name and parent of a folder, datacenter or host, as far as the update says."""
    return {path: _interned(value) for path, value in update.values.items() if path in ("name", "parent")}


def host_values(update: Update) -> tuple[str | None, bool | None]:
    """Return what an update says of a host: its parent, and whether it responds to vCenter; None where it does not say.

    A host that somebody has disconnected from vCenter responds to nobody, and is not down.
    """
    state = update.values.get("runtime.connectionState")
    return plain_values(update).get("parent"), None if state is None else text(state) != "notResponding"


@dataclass(frozen=True, slots=True)
class ClusterValues:
    """What an update says of a cluster; `overrides` are by the VM's reference, None where nothing is said."""

    name: str | None
    facts: ClusterFacts | None
    overrides: Mapping[str, HaSettings] | None


def cluster_values(update: Update) -> ClusterValues:
    """Return what an update says of a cluster; the name in `facts` is empty."""
    name = _interned(update.values["name"]) if "name" in update.values else None
    configuration = update.values.get("configurationEx")
    if configuration is None:
        return ClusterValues(name, None, None)
    das = child(configuration, "dasConfig")
    facts = ClusterFacts(
        moref=update.moref,
        name="",
        ha_enabled=flag(das, "enabled") or False,
        host_monitoring=text(das, "hostMonitoring") or "",
        vm_monitoring=text(das, "vmMonitoring") or "",
        options={text(o, "key") or "": text(o, "value") or "" for o in children(das, "option")}
        if das is not None
        else {},
    )
    overrides = {
        text(entry, "key") or "": _settings(child(entry, "dasSettings"))
        for entry in children(configuration, "dasVmConfig")
    }
    return ClusterValues(name, facts, overrides)


def _settings(element: Element | None) -> HaSettings:
    """Return one VM's HA settings; vSphere's word for "as the cluster" is our None."""
    if element is None:
        return HaSettings()
    priority = text(element, "restartPriority")
    tools = child(element, "vmToolsMonitoringSettings")
    settings: HaSettings = _shared(
        HaSettings(
            restart_priority=None if priority == "clusterRestartPriority" else priority,
            vm_monitoring=text(tools, "vmMonitoring"),
            failure_interval=number(tools, "failureInterval"),
            min_up_time=number(tools, "minUpTime"),
            max_failures=number(tools, "maxFailures"),
            max_failure_window=number(tools, "maxFailureWindow"),
            cluster_settings=flag(tools, "clusterSettings"),
        )
    )
    return settings


def task_values(update: Update) -> dict[str, Any]:
    """Return what an update says of a task, as fields of `TaskFacts`."""
    values: dict[str, Any] = {}
    for path, value in update.values.items():
        if path == "info.state":
            values["state"] = TaskState(text(value) or "")
        elif path == "info.queueTime":
            values["queued_at"] = _instant(value)
        elif path == "info.startTime":
            values["begin"] = _instant(value)
        elif path == "info.completeTime":
            values["end"] = _instant(value)
        elif path == "info.error" and value is not None:
            fault = child(value, "fault")
            values["fault"] = type_of(fault) if fault is not None else ""
            values["message"] = text(value, "localizedMessage") or ""
    return values


def restart_events(update: Update) -> list[tuple[str, RestartEvent]]:
    """Return the HA restarts on a page of events, each with the reference of its VM."""
    found = []
    for event in children(update.values.get("latestPage")):
        vm = child(event, "vm")
        moref, at = text(vm, "vm"), _instant(child(event, "createdTime"))
        if moref and at is not None and type_of(event) in RESTART_EVENTS:
            found.append((moref, RestartEvent(number(event, "key") or 0, at)))
    return found


def power_events(update: Update) -> list[tuple[str, PowerEvent]]:
    """Return the changes of power on a page of events, each with the reference of its VM."""
    found = []
    for event in children(update.values.get("latestPage")):
        moref, at, kind = (
            text(child(event, "vm"), "vm"),
            _instant(child(event, "createdTime")),
            type_of(event),
        )
        if moref and at is not None and kind in _POWER_OF:
            by = sys.intern(text(event, "userName") or "")
            found.append((moref, PowerEvent(number(event, "key") or 0, at, _POWER_OF[kind], by)))
    return found
