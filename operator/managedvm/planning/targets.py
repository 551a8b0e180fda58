"""The agreed size of a VM beside the one it has: one target per aspect, in the units that vSphere counts in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

from managedvm.api.resources import Disk, Resources, ResourceValues
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, some
from managedvm.planning.observed import VirtualMachine
from managedvm.planning.quantity import format_bytes, format_mebibytes, parse_bytes, parse_mebibytes
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import as_utc
from managedvm.planning.wallclock import shown as shown_time

NOTE_PREFIX = "managedvm."
BASELINE_NOTE = f"{NOTE_PREFIX}baseline"

_MOST_DISKS = 64
"""Disks that status shows at most; vSphere allows a VM 256 of them."""


class Unit(Enum):
    """What a target counts."""

    CPUS = "CPUs"
    MEMORY = "Memory"
    DISK = "Disk"


@dataclass(frozen=True, slots=True)
class Target:
    """One aspect: what is wanted and what is found, in CPUs, MiB of memory, or bytes of a disk."""

    unit: Unit
    wanted: int
    found: int
    disk: Disk | None = None
    device_key: int = 0

    @property
    def aspect(self) -> str:
        """The aspect as records name it: CPUs, Memory or Disk/<name>."""
        return f"{self.unit.value}/{self.disk.name}" if self.disk else self.unit.value

    @property
    def note_key(self) -> str:
        """The key in extraConfig of this aspect, see `note_key`."""
        return note_key(self.aspect)

    @property
    def is_met(self) -> bool:
        """Whether the VM has what is wanted."""
        return self.wanted == self.found

    def shown(self, value: int) -> str:
        """Return a value of this target as YAML writes it."""
        match self.unit:
            case Unit.CPUS:
                return str(value)
            case Unit.MEMORY:
                return format_mebibytes(value)
            case Unit.DISK:
                return format_bytes(value)

    @property
    def change(self) -> str:
        """The difference in words: `Memory 4Gi to 8Gi`."""
        return f"{self.aspect} {self.shown(self.found)} to {self.shown(self.wanted)}"


def note_key(aspect: str) -> str:
    """Return the key in extraConfig under which the request that made the last change of an aspect is noted."""
    return f"{NOTE_PREFIX}change.{aspect.lower().replace('/', '.')}"


def effort_notes(changed: Mapping[str, str]) -> Mapping[str, str]:
    """Return the entries of extraConfig that tell whose record carries the time of one task that makes many changes.

    `changed` is the request of each aspect, at least one. The first by name carries the time.
    """
    first = min(changed.values())
    return {_effort_key(aspect): f"{name} {first}" for aspect, name in sorted(changed.items())}


def carried_by(vm: VirtualMachine, aspect: str, request: str) -> str | None:
    """Return the request whose record carries the time of the task that made the change of this one; None: its own."""
    noted, _, carrier = vm.notes.get(_effort_key(aspect), "").partition(" ")
    return carrier if noted == request != carrier else None


def _effort_key(aspect: str) -> str:
    return f"{NOTE_PREFIX}effort.{aspect.lower().replace('/', '.')}"


def targets(resources: Resources | None, vm: VirtualMachine) -> tuple[Target, ...]:
    """Return a target for each agreed aspect that the VM has; a disk that it lacks is in `missing_disks`."""
    if resources is None:
        return ()
    found: list[Target] = []
    if resources.cpus is not None:
        found.append(Target(Unit.CPUS, resources.cpus, vm.cpus))
    if resources.memory is not None:
        found.append(Target(Unit.MEMORY, parse_mebibytes(resources.memory), vm.memory_mib))
    for disk in resources.disks:
        facts = vm.disks.get(disk.device_node)
        if facts is not None:
            size = parse_bytes(disk.size)
            found.append(Target(Unit.DISK, size, facts.capacity_bytes, disk, facts.device_key))
    return tuple(found)


def found_value(resources: Resources | None, vm: VirtualMachine, aspect: str) -> str | None:
    """Return the value that the VM has of an aspect, as YAML writes it; None where nobody can tell which disk is meant."""
    unit, _, name = aspect.partition("/")
    match Unit(unit):
        case Unit.CPUS:
            return str(vm.cpus)
        case Unit.MEMORY:
            return format_mebibytes(vm.memory_mib)
        case Unit.DISK:
            disk = next((d for d in (resources.disks if resources else ()) if d.name == name), None)
            facts = vm.disks.get(disk.device_node) if disk else None
            return format_bytes(facts.capacity_bytes) if facts else None


def missing_disks(resources: Resources | None, vm: VirtualMachine) -> tuple[Finding, ...]:
    """Return a finding for the agreed disks that the VM does not have."""
    lacking = [d for d in (resources.disks if resources else ()) if d.device_node not in vm.disks]
    if not lacking:
        return ()
    names = some([f"{disk.name} at {disk.device_node}" for disk in lacking])
    return (
        fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.DISK_MISSING,
            f"The VM has no disk {names}; it has {some(sorted(vm.disks), most=16) or 'none'}. Correct deviceNode in "
            "spec.resources.disks; disks are not added here",
            Clause.CHANGE_BY_EFFORT,
        ),
    )


def as_agreed(resources: Resources | None) -> Finding:
    """Return what is said of a VM whose size differs in nothing from what is agreed."""
    if resources is None:
        return holds(
            Aspect.RESOURCES_AS_AGREED, Reason.NO_SIZE_AGREED, "spec.resources names no size", Clause.CAPACITY
        )
    return holds(
        Aspect.RESOURCES_AS_AGREED,
        Reason.RESOURCES_AS_AGREED,
        "The VM has the agreed size",
        Clause.CHANGE_BY_EFFORT,
    )


def size_of(vm: VirtualMachine) -> ResourceValues:
    """Return the size that the VM has, with as many of its disks as status has room for."""
    disks = sorted(vm.disks.items())[:_MOST_DISKS]
    return ResourceValues(
        cpus=vm.cpus,
        memory=format_mebibytes(vm.memory_mib),
        disks={node: format_bytes(disk.capacity_bytes) for node, disk in disks},
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """The size that counts as agreed without a record: found at adoption, or reached by the first configuration."""

    size: ResourceValues
    at: datetime


def baseline_note(baseline: Baseline, instance_uuid: str) -> Mapping[str, str]:
    """Return the entry of extraConfig that remembers the baseline with the VM itself."""
    size = baseline.size.model_dump_json(by_alias=True)
    return {BASELINE_NOTE: f"{shown_time(baseline.at)} {instance_uuid} {size}"}


def noted_baseline(vm: VirtualMachine) -> Baseline | None:
    """Return the baseline that the VM remembers; None when it has none of its own, or one that nobody can read.

    A clone carries the notes of the VM that it was made from, so the note says whose it is.
    """
    note = vm.notes.get(BASELINE_NOTE)
    return _read_baseline(note, vm.instance_uuid) if note is not None else None


@lru_cache(maxsize=256)  # a pass asks several times
def _read_baseline(note: str, instance_uuid: str) -> Baseline | None:
    stamp, _, rest = note.partition(" ")
    owner, _, size = rest.partition(" ")
    if owner != instance_uuid:
        return None
    try:
        return Baseline(ResourceValues.model_validate_json(size), as_utc(datetime.fromisoformat(stamp)))
    except ValueError:
        return None
