"""Every effect as a named frozen value. A plan lists them in order; `world.apply` matches each to one call of a port.

An action carries all that its call needs and nothing that is still to be decided. Its clause says why it may be done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from managedvm.api.changerequest import ChangeRequestStatus
from managedvm.api.outage import OutageStatus
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Finding
from managedvm.planning.observed import HaSettings


@dataclass(frozen=True, slots=True)
class ClaimVM:
    """Create the VMClaim; a claim of somebody else is a Conflict."""

    body: Mapping[str, Any]
    clause: Clause = Clause.ONE_PACKAGE_PER_VM


@dataclass(frozen=True, slots=True)
class ReleaseClaim:
    """Delete the VMClaim, if it is still the one that was seen."""

    name: str
    uid: str
    clause: Clause = Clause.ONE_PACKAGE_PER_VM


@dataclass(frozen=True, slots=True)
class ConfirmUnchanged:
    """Read the ManagedVM and its claim from the API server; stop the plan unless both are as they were decided on."""

    namespace: str
    name: str
    uid: str
    generation: int
    claim: str
    clause: Clause = Clause.DIRECTLY_ATTACHED_VM


@dataclass(frozen=True, slots=True)
class OverrideHighAvailability:
    """Set the HA override of one VM in its cluster."""

    cluster: str
    vm: str
    settings: HaSettings
    exists: bool
    clause: Clause = Clause.HIGH_AVAILABILITY


@dataclass(frozen=True, slots=True)
class ConfigureClusterHighAvailability:
    """Set cluster-wide HA options; only what is named here is touched."""

    cluster: str
    enable: bool = False
    host_monitoring: str | None = None
    vm_monitoring: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    clause: Clause = Clause.HIGH_AVAILABILITY


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Change a VM's configuration in one task, only if nobody changed it since `change_version`.

    `disks` maps device keys to new capacities in bytes, `notes` are entries of extraConfig of ours.
    """

    vm: str
    change_version: str
    clause: Clause
    cpus: int | None = None
    memory_mib: int | None = None
    disks: Mapping[int, int] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReserveSlot:
    """Keep room among the tasks that may run in the vCenter for a VM that is about to be shut down; stop without it."""

    vm: str
    clause: Clause = Clause.CHANGE_BY_EFFORT


@dataclass(frozen=True, slots=True)
class ShutDownGuest:
    """Ask the guest to shut down. It may refuse; nobody pulls the plug."""

    vm: str
    clause: Clause = Clause.CHANGE_BY_EFFORT


@dataclass(frozen=True, slots=True)
class PowerOn:
    """Power a VM on that we have shut down for a change."""

    vm: str
    clause: Clause = Clause.CHANGE_BY_EFFORT


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Take a snapshot of a VM's disks, without its memory. `quiesce`: let VMware Tools bring the guest to rest for it."""

    vm: str
    name: str
    description: str
    quiesce: bool
    clause: Clause


@dataclass(frozen=True, slots=True)
class RevertToSnapshot:
    """Make a VM what it was when a snapshot of ours was taken. It is off afterwards."""

    vm: str
    snapshot: str
    clause: Clause


@dataclass(frozen=True, slots=True)
class RemoveSnapshot:
    """Remove a snapshot of ours; the VM stays as it is, and so do all other snapshots."""

    vm: str
    snapshot: str
    clause: Clause


@dataclass(frozen=True, slots=True)
class RecordRequest:
    """Create a ChangeRequest; the same record already there is success, a different one an alarm."""

    body: Mapping[str, Any]
    clause: Clause


@dataclass(frozen=True, slots=True)
class RecordWork:
    """Create a WorkEntry; the same record already there is success, a different one an alarm."""

    body: Mapping[str, Any]
    clause: Clause


@dataclass(frozen=True, slots=True)
class AdvanceRequest:
    """Write the status of a ChangeRequest; it only ever advances.

    `resource_version` is empty for a record that an earlier action of the same plan creates. `finding` is what the
    condition Succeeded will say; `before` is the status that was decided on.
    """

    namespace: str
    name: str
    resource_version: str
    before: ChangeRequestStatus
    after: ChangeRequestStatus
    finding: Finding
    clause: Clause


@dataclass(frozen=True, slots=True)
class RecordOutage:
    """Create an Outage; the same record already there is success."""

    body: Mapping[str, Any]
    clause: Clause = Clause.AVAILABILITY


@dataclass(frozen=True, slots=True)
class EndOutage:
    """Write how an Outage ended; `resource_version` is empty for one that an earlier action of the same plan creates."""

    namespace: str
    name: str
    resource_version: str
    before: OutageStatus
    after: OutageStatus
    clause: Clause = Clause.AVAILABILITY


Action = (
    ClaimVM
    | ReleaseClaim
    | ConfirmUnchanged
    | OverrideHighAvailability
    | ConfigureClusterHighAvailability
    | Reconfigure
    | ReserveSlot
    | ShutDownGuest
    | PowerOn
    | TakeSnapshot
    | RevertToSnapshot
    | RemoveSnapshot
    | RecordRequest
    | RecordWork
    | AdvanceRequest
    | RecordOutage
    | EndOutage
)

EFFECTS = (
    OverrideHighAvailability,
    ConfigureClusterHighAvailability,
    Reconfigure,
    ShutDownGuest,
    PowerOn,
    TakeSnapshot,
    RevertToSnapshot,
    RemoveSnapshot,
)
"""The actions whose effect is in vCenter and is seen in the inventory, a moment later."""

MEASURING = (RecordOutage, EndOutage)
"""The actions that tell what was measured: no mode and no package decides about them."""

REPAIRS = (OverrideHighAvailability, ConfigureClusterHighAvailability)
"""The effects that restore what the service level promises."""

REMEMBERED = (Reconfigure, ShutDownGuest, PowerOn)
"""The effects whose refusal is seen in the inventory too, so that the next pass decides on it."""

RECORDS = (RecordRequest, RecordWork, AdvanceRequest, *MEASURING)
"""The actions that write the ledger; each may be repeated without harm."""
