"""ManagedVM: one VMware VM with its service level, its package, and the configuration that was agreed for it."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Identity,
    InventoryPath,
    Kind,
    LocalReference,
    Resource,
    Rule,
    ShortText,
    Status,
    Timestamp,
    TimeZone,
    Uuid,
    WeeklyHours,
    list_map,
)
from managedvm.api.guest import Guest, GuestStatus
from managedvm.api.order import ORDER_RULES, Orders, ServicePackage
from managedvm.api.resources import Resources, ResourceValues
from managedvm.api.vcenter import Mode


class VMOrigin(StrEnum):
    """Whether the VM was there before its order (Adopted) or was made for it (Provisioned)."""

    ADOPTED = "Adopted"
    PROVISIONED = "Provisioned"


class RestartPolicy(StrEnum):
    """Whether the operator may restart the VM for a change that needs it."""

    NEVER = "Never"
    IN_WINDOW = "InWindow"


def _exactly_one(first: str, second: str, message: str) -> dict[str, Any]:
    return {
        "x-kubernetes-validations": [{"rule": f"has(self.{first}) != has(self.{second})", "message": message}]
    }


class VMIdentity(ApiModel):
    """Which VM is meant. It never changes."""

    model_config = ConfigDict(
        json_schema_extra=_exactly_one(
            "inventoryPath",
            "instanceUUID",
            "name the VM by exactly one of inventoryPath and instanceUUID (clause 1: a package serves its own VM)",
        )
    )

    v_center_ref: LocalReference = Field(description="The VCenter in which the VM lives.")
    inventory_path: InventoryPath | None = Field(
        default=None,
        description="Inventory path, resolved once; from then on the instance UUID counts. "
        "Example: /Berlin/vm/kunde-a/web-01.",
    )
    instance_uuid: Uuid | None = Field(
        default=None, alias="instanceUUID", description="The VM's instance UUID, where it is known already."
    )
    origin: VMOrigin = Field(
        default=VMOrigin.ADOPTED,
        description="Adopted: the configuration found is the baseline. Provisioned: the VM was made for its order and "
        "its first configuration is included in the package (clause 6.3).",
    )


_ONE_PIECE: dict[str, Any] = {"x-kubernetes-map-type": "atomic"}
"""Whoever applies it writes all of it: what another one wrote into the one before is not part of it."""


class AgreedMaintenance(ApiModel):
    """Maintenance windows agreed for this VM alone; they take the place of the service level's."""

    model_config = ConfigDict(json_schema_extra=_ONE_PIECE)

    time_zone: TimeZone = Field(description="IANA time zone of the windows. Example: Europe/Berlin.")
    windows: Annotated[
        tuple[WeeklyHours, ...],
        Field(min_length=1, max_length=14, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(description="The agreed windows.")
    agreed_by: ShortText = Field(description="Who agreed for the customer.")
    agreed_at: Timestamp = Field(description="When it was agreed.")


class Freeze(ApiModel):
    """A time in which no maintenance is done although a window is open."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "timestamp(self.until) - timestamp(self.from) >= duration('1s')",
                    "message": "until must be later than from, by a second at least (clause 5.1): write whole seconds",
                }
            ]
        }
    )

    from_: Timestamp = Field(alias="from", description="Begin of the freeze.")
    until: Timestamp = Field(description="End of the freeze.")
    reason: ShortText = Field(description="Why. Example: Christmas sale.")

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.until - self.from_ < timedelta(seconds=1):
            raise ValueError("until must be later than from, by a second at least")
        return self


class MaintenanceAgreement(ApiModel):
    """What was agreed about maintenance for this VM (clause 5.1)."""

    agreed: AgreedMaintenance | None = Field(
        default=None,
        description="Individually agreed windows; needed where the service level has none of its own.",
    )
    freezes: Annotated[
        tuple[Freeze, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=(), description="Times without maintenance.")


class Change(ApiModel):
    """The order slip for a change of the configuration: each change needs a new one (clause 6.3)."""

    model_config = ConfigDict(json_schema_extra=_ONE_PIECE)

    id: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = (
        Field(
            description="New for each change; the record of the change is named after it. Example: memory-for-november."
        )
    )
    requested_by: Identity = Field(
        description="Who asked for it. Naming somebody other than the user who applies it needs the verb `attest`."
    )
    ticket: ShortText | None = Field(
        default=None,
        description="Number of the ticket, where there is one. A merge patch that does not name it keeps that of the slip "
        "before: write `ticket: null` for none.",
    )


class ManagedVMSpec(ApiModel):
    """What was ordered and agreed for one VM."""

    customer_ref: LocalReference = Field(description="The Customer that ordered.")
    vm: VMIdentity = Field(description="Which VM is meant.")
    orders: Orders = Field(
        description="The single orders of the contract. One is ended by `until`, never changed or removed."
    )
    mode: Mode | None = Field(
        default=None,
        description="Observe decides and tells, Enforce also acts. Absent: Observe for an adopted VM, Enforce for a "
        "provisioned one. The VCenter's maximumMode caps it.",
    )
    suspend: bool = Field(
        default=False, description="Stop deciding for this VM; the contract's clocks go on."
    )
    resources: Resources | None = Field(default=None, description="The agreed size of the VM.")
    restart_policy: RestartPolicy = Field(
        default=RestartPolicy.NEVER,
        description="InWindow lets a change that needs a power cycle shut the guest down inside a maintenance window.",
    )
    maintenance: MaintenanceAgreement = Field(
        default=MaintenanceAgreement(), description="What was agreed about maintenance for this VM."
    )
    guest: Guest | None = Field(default=None, description="How commands reach the guest.")
    change: Change | None = Field(
        default=None, description="The order slip of the latest change of configuration."
    )
    deletion_protection: bool = Field(
        default=True,
        description="While true, this object cannot be deleted. Deleting it never touches the VM.",
    )


class OrderInForce(ApiModel):
    """An order as it stands in status."""

    reference: str = Field(description="Reference of the order.", max_length=64)
    service_level: str = Field(description="Name of the ServiceLevel.", max_length=63)
    service_package: ServicePackage | None = Field(
        default=None, description="The package, where one is booked."
    )
    from_: Timestamp = Field(alias="from", description="From when it is in force.")
    until: Timestamp | None = Field(default=None, description="Until when, where it has an end.")


class ServiceInForce(ApiModel):
    """One service of the contract, and whether the order in force includes it."""

    name: Annotated[str, Field(max_length=48)] = Field(description="Name of the service.")
    clause: Annotated[str, Field(max_length=8)] = Field(description="Clause of the contract.")
    included: bool = Field(description="Whether the order in force includes it.")


class VMStatus(ApiModel):
    """Which VM this is; facts that change rarely. Of a VM that is not ours to look at only the identity is known."""

    instance_uuid: Uuid = Field(alias="instanceUUID", description="The VM's instance UUID; sticky.")
    v_center_uuid: Uuid = Field(alias="vCenterUUID", description="Identity of the vCenter that it is in.")
    inventory_path: Annotated[str, Field(max_length=512)] | None = Field(
        default=None, description="Where it is in the inventory; absent where it may not be looked at."
    )
    power_state: Annotated[str, Field(max_length=16)] | None = Field(
        default=None,
        description="PoweredOn, PoweredOff or Suspended; absent where it may not be looked at.",
    )


class ConfigurationStatus(ApiModel):
    """The configuration that counts as agreed, and the one that is there."""

    origin: VMOrigin = Field(description="Adopted: found. Provisioned: made for the order.")
    baseline: ResourceValues = Field(
        description="The size found at adoption or reached by the initial configuration."
    )
    baseline_at: Timestamp = Field(description="When the baseline was taken.")
    current: ResourceValues = Field(description="The size of the VM now.")
    settled_change: Annotated[str, Field(max_length=63)] | None = Field(
        default=None,
        description="The id of the spec.change that is settled: each difference that it ordered is recorded. What "
        "differs later was changed by somebody else, and is not billed by that order.",
    )


class RestartStatus(ApiModel):
    """Restarts of the VM by vSphere HA (clause 5.2)."""

    consecutive: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        description="Restarts in a row, counted across vMotion."
    )
    last_at: Timestamp = Field(description="When the last one was.")


class DowntimeStatus(ApiModel):
    """The downtime of outages that have ended, in one month or year."""

    period: Annotated[str, Field(max_length=7, pattern=r"^[0-9]{4}(-[0-9]{2})?$")] = Field(
        description="The month or year in the zone of the service level. Example: 2026-11."
    )
    counted: Duration = Field(description="Downtime that counts against the availability.")
    excluded: Duration = Field(description="Downtime that does not count; each Outage says why.")
    allowed: Duration | None = Field(
        default=None, description="How much may count in the whole year at the promised availability."
    )


class AvailabilityStatus(ApiModel):
    """Since when the availability is measured, and what was not up. It changes when an outage begins or ends."""

    measured_since: Timestamp = Field(description="When the VM was first seen up under an order.")
    down_since: Timestamp | None = Field(
        default=None, description="Since when the VM is not up or not measured; absent while it is up."
    )
    cause: Annotated[str, Field(max_length=16)] | None = Field(
        default=None, description="Cause of the outage that lasts."
    )
    month: DowntimeStatus | None = Field(
        default=None, description="Downtime of this month; absent while there was none."
    )
    year: DowntimeStatus | None = Field(
        default=None, description="Downtime of this year; absent while there was none."
    )


class ManagedVMStatus(Status):
    """What was observed. Facts that move fast are metrics, not status."""

    mode: Mode | None = Field(default=None, description="The mode in effect.")
    order: OrderInForce | None = Field(default=None, description="The order in force.")
    next_order: OrderInForce | None = Field(default=None, description="The order that comes next.")
    services: Annotated[
        tuple[ServiceInForce, ...], Field(max_length=24, json_schema_extra=list_map("name"))
    ] = Field(default=(), description="What the order in force includes, clause by clause.")
    vm: VMStatus | None = Field(default=None, description="Which VM this is.")
    configuration: ConfigurationStatus | None = Field(default=None, description="Agreed and actual size.")
    high_availability: RestartStatus | None = Field(
        default=None, description="Restarts by vSphere HA; absent while there is no streak."
    )
    availability: AvailabilityStatus | None = Field(
        default=None, description="The availability as it is measured; absent while it is not."
    )
    guest: GuestStatus | None = Field(
        default=None, description="The host key that is trusted; absent before the first contact over SSH."
    )


class ManagedVM(Resource):
    """One VMware VM under contract: its orders, its identity, its agreed configuration."""

    KIND: ClassVar[Kind] = Kind(
        kind="ManagedVM",
        plural="managedvms",
        short="mvm",
        scope="Namespaced",
        categories=("msp",),
        columns=(
            Column("Level", ".status.order.serviceLevel", description="Service level of the order in force"),
            Column("Package", ".status.order.servicePackage", description="Package of the order in force"),
            Column("Mode", ".status.mode"),
            Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("VM", ".status.vm.inventoryPath", wide=True),
            Column("CPUs", ".status.configuration.current.cpus", type="integer", wide=True),
            Column("Memory", ".status.configuration.current.memory", wide=True),
            Column("Power", ".status.vm.powerState", wide=True),
            Column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
        ),
        selectable=(".spec.customerRef.name", ".spec.vm.vCenterRef.name", ".status.order.serviceLevel"),
        rules=(
            Rule(
                "self.spec.vm == oldSelf.spec.vm",
                "spec.vm: never changes (clause 1: a package serves its own VM only); make a new ManagedVM for another VM",
            ),
            Rule(
                "self.spec.customerRef == oldSelf.spec.customerRef",
                "spec.customerRef: never changes (clause 1: the order is this customer's); end the order and make a "
                "new ManagedVM",
            ),
            *ORDER_RULES,
        ),
    )

    spec: ManagedVMSpec = Field(description="What was ordered and agreed.")
    status: ManagedVMStatus = Field(default=ManagedVMStatus(), description="What was observed.")
