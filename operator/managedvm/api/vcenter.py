"""VCenter: one vCenter Server, how to reach it, how far the operator may go there, and whose VMs are where."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import (
    ApiModel,
    Column,
    InventoryPath,
    Kind,
    LocalReference,
    NamespaceName,
    Network,
    Resource,
    Rule,
    Status,
    Uuid,
    list_map,
)
from managedvm.api.tls import Tls


class Mode(StrEnum):
    """How far the operator goes: Observe decides and tells, Enforce also acts."""

    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class Grant(ApiModel):
    """A namespace and an inventory folder below which its ManagedVMs may claim VMs."""

    namespace: NamespaceName = Field(description="Namespace of the ManagedVMs.")
    folder: InventoryPath = Field(description="Inventory folder. Example: /Berlin/vm/kunde-a.")


class Budget(ApiModel):
    """What the operator may take of this vCenter's capacity."""

    concurrent_tasks: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="Tasks of ours running in this vCenter at one time."
    )


class VCenterSpec(ApiModel):
    """How to reach the vCenter and what is allowed there."""

    server: Annotated[
        str,
        Field(
            min_length=1,
            max_length=260,
            pattern=r"^[A-Za-z0-9.-]+(:[0-9]{1,5})?$",
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": "!self.contains(':') || "
                        "(int(self.split(':')[1]) >= 1 && int(self.split(':')[1]) <= 65535)",
                        "message": "server: a port is 1 to 65535 (clause 1: what is ordered is done in this vCenter); "
                        "write for example vcenter.example:443",
                    }
                ]
            },
        ),
    ] = Field(
        description="Host name or address, with the port where it is not 443. Example: vcenter.example:443."
    )
    credentials_secret_ref: LocalReference = Field(
        description="Secret in the operator's own namespace with the keys server, username, password and usually "
        "ca.crt. Its server names each server that it is for, as here, and it is sent to no other."
    )
    tls: Tls = Field(default=Tls(), description="Trust.")
    maximum_mode: Mode = Field(
        default=Mode.OBSERVE,
        description="The furthest that any ManagedVM of this vCenter goes. Start with Observe.",
    )
    cluster_settings: Mode = Field(
        default=Mode.OBSERVE,
        description="Whether the cluster-wide options of vSphere HA are only reported (Observe) or also repaired "
        "(Enforce); per-VM overrides follow the ManagedVM's own mode (clause 5.2).",
    )
    budget: Budget = Field(default=Budget(), description="Limits on our own tasks.")
    grants: Annotated[
        tuple[Grant, ...], Field(max_length=512, json_schema_extra=list_map("namespace", "folder"))
    ] = Field(
        default=(),
        description="Which namespace may claim VMs below which folder; nothing is granted by default.",
    )
    guest_networks: Annotated[
        tuple[Network, ...], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default=(),
        description="The networks into which the operator itself opens SSH connections, to guests or to jump hosts; none "
        "by default, since a ManagedVM names the address. Example: 192.0.2.0/24.",
    )


class VCenterStatus(Status):
    """What was seen of the vCenter."""

    instance_uuid: Uuid | None = Field(
        default=None,
        alias="instanceUUID",
        description="The vCenter's own identity; claims and records are named after it.",
    )
    product: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Product and version as the server states them."
    )


class VCenter(Resource):
    """One vCenter Server and what the operator may do there."""

    KIND: ClassVar[Kind] = Kind(
        kind="VCenter",
        plural="vcenters",
        short="vcenter",
        scope="Cluster",
        categories=("msp",),
        columns=(
            Column("Server", ".spec.server"),
            Column("Mode", ".spec.maximumMode"),
            Column("Cluster-Settings", ".spec.clusterSettings"),
            Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Product", ".status.product", wide=True),
            Column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
        ),
        rules=(
            Rule(
                "!has(oldSelf.status) || !has(oldSelf.status.instanceUUID) || self.spec.server == oldSelf.spec.server"
                " || self.spec.maximumMode == 'Observe'",
                "spec.server: set maximumMode to Observe before pointing at another address (clause 1: what is done "
                "is done for the VM that was ordered); go back to Enforce when the status shows the same instanceUUID",
            ),
        ),
    )

    spec: VCenterSpec = Field(description="How to reach the vCenter and what is allowed there.")
    status: VCenterStatus = Field(default=VCenterStatus(), description="What was seen of it.")
