"""Outage: a time in which a VM was not up, or in which nobody could tell. A record: it outlives its ManagedVM."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Identity,
    Kind,
    LocalReference,
    Resource,
    Rule,
    Status,
    Timestamp,
    Uuid,
)

SPANS_PER_OUTAGE = 400
"""How many maintenance windows one outage can reach over: more than a year of nights."""


class OutageCause(StrEnum):
    """What was seen; NotMeasured: nothing could be seen."""

    POWERED_OFF = "PoweredOff"
    SUSPENDED = "Suspended"
    HEARTBEAT_LOST = "HeartbeatLost"
    HOST_DOWN = "HostDown"
    NOT_MEASURED = "NotMeasured"


class OutageExclusion(StrEnum):
    """Why downtime does not count; what none of these names counts."""

    ANNOUNCED_WINDOW = "AnnouncedWindow"
    POWER_CYCLE_ORDERED = "PowerCycleOrdered"
    BY_CUSTOMER = "ByCustomer"


class ExcludedSpan(ApiModel):
    """A part of an outage that does not count: `begin` belongs to it, `end` does not."""

    begin: Timestamp = Field(description="Begin.")
    end: Timestamp = Field(description="End.")
    reason: OutageExclusion = Field(description="AnnouncedWindow or PowerCycleOrdered.")


class OutageSpec(ApiModel):
    """What began when, on which VM, and what was promised for it then."""

    cause: OutageCause = Field(
        description="PoweredOff, Suspended, HeartbeatLost, HostDown; NotMeasured: nobody could look."
    )
    begin: Timestamp = Field(
        description="When it began: by vCenter's history where it tells, else when it was first seen."
    )
    v_center_uuid: Uuid = Field(alias="vCenterUUID", description="Identity of the vCenter.")
    instance_uuid: Uuid | None = Field(
        default=None,
        alias="instanceUUID",
        description="Identity of the VM inside it; absent where no VM of that vCenter could be seen.",
    )
    managed_vm_ref: LocalReference | None = Field(
        default=None,
        alias="managedVMRef",
        description="The ManagedVM that was measured; absent where no VM of that vCenter could be seen.",
    )
    order: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Reference of the order in force at the begin."
    )
    service_level: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="Its service level."
    )
    by: Identity | None = Field(
        default=None, description="Who did it, as vCenter names the user; absent where it names nobody."
    )
    exclusion: OutageExclusion | None = Field(
        default=None, description="ByCustomer where all of it does not count."
    )


class OutageStatus(Status):
    """How it ended; written once."""

    end: Timestamp | None = Field(default=None, description="When it ended; absent while it lasts.")
    excluded: Annotated[
        tuple[ExcludedSpan, ...],
        Field(max_length=SPANS_PER_OUTAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="What of it does not count, by the windows and plans of that time.")
    ran_on: bool = Field(
        default=False,
        description="True where the VM had not stopped and was only out of sight: then the time is not measured.",
    )


class Outage(Resource):
    """A time in which a VM was not up, or was not measured; begun and ended by the operator, and never changed."""

    KIND: ClassVar[Kind] = Kind(
        kind="Outage",
        plural="outages",
        short="outage",
        scope="Namespaced",
        categories=("msp-records",),
        columns=(
            Column("VM", ".spec.managedVMRef.name"),
            Column("Cause", ".spec.cause"),
            Column("Begin", ".spec.begin"),
            Column("End", ".status.end"),
            Column("Excluded", ".spec.exclusion"),
            Column("By", ".spec.by"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Level", ".spec.serviceLevel", wide=True),
        ),
        selectable=(".spec.managedVMRef.name", ".spec.cause"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 1: the availability of the service level is promised); it ends "
                "by status.end",
            ),
            Rule(
                "has(self.spec.instanceUUID) == has(self.spec.managedVMRef) && "
                "(has(self.spec.instanceUUID) || self.spec.cause == 'NotMeasured')",
                "spec.instanceUUID, spec.managedVMRef: name the VM that was down (clause 1: the availability of the "
                "service level is promised); only what was NotMeasured may concern all of a vCenter",
            ),
        ),
    )

    spec: OutageSpec = Field(description="What began. It never changes.")
    status: OutageStatus = Field(default=OutageStatus(), description="How it ended. It is written once.")
