"""What the stream's thread hands to the loop: small frozen changes that know nothing of XML or pyVmomi."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from managedvm.planning.observed import PowerEvent, RestartEvent
from managedvm.world.vsphere import facts
from managedvm.world.vsphere.facts import ClusterValues
from managedvm.world.vsphere.pages import Kind, Page, Update


@dataclass(frozen=True, slots=True)
class VmChange:
    """A VM entered, with all its values, or some of them changed. The values are fields of `inventory.Row`."""

    moref: str
    entered: bool
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """A folder or datacenter entered, or has another name or parent."""

    moref: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class HostChange:
    """A host entered, moved to another parent, or responds or not; None where nothing is said."""

    moref: str
    parent: str | None
    responds: bool | None


@dataclass(frozen=True, slots=True)
class ClusterChange:
    """A cluster entered, or changed."""

    moref: str
    values: ClusterValues


@dataclass(frozen=True, slots=True)
class Gone:
    """An object of the inventory left it."""

    type: str
    moref: str


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task that we follow went on. The values are fields of `TaskFacts`; without any, vCenter has forgotten it."""

    moref: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HistorySeen:
    """The newest events, each with the reference of its VM; those already known are among them."""

    restarts: tuple[tuple[str, RestartEvent], ...]
    power: tuple[tuple[str, PowerEvent], ...]


Change = VmChange | PlaceChange | HostChange | ClusterChange | Gone | TaskChange | HistorySeen


def changes_of(page: Page) -> tuple[Change, ...]:
    """Return the changes on a page, in its order."""
    return tuple(change for update in page.updates if (change := _change(update)) is not None)


def _change(update: Update) -> Change | None:
    moref, leaves = update.moref, update.kind is Kind.LEAVE
    change: Change | None = None
    match update.type:
        case "EventHistoryCollector":
            change = HistorySeen(tuple(facts.restart_events(update)), tuple(facts.power_events(update)))
        case "Task":
            change = TaskChange(moref, {} if leaves else facts.task_values(update))
        case _ if leaves:
            change = Gone(update.type, moref)
        case "VirtualMachine":
            change = VmChange(moref, update.kind is Kind.ENTER, facts.vm_values(update))
        case "HostSystem":
            change = HostChange(moref, *facts.host_values(update))
        case "ClusterComputeResource":
            change = ClusterChange(moref, facts.cluster_values(update))
        case "Folder" | "Datacenter":
            change = PlaceChange(moref, facts.plain_values(update))
    return change
