"""VMClaim: "this VM belongs to that ManagedVM". Its name is made of the VM's identity, so a second claim is a 409."""

from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import ApiModel, Column, Kind, Name, NamespaceName, Resource, Rule, Uuid


class ClaimOwner(ApiModel):
    """The ManagedVM that holds the claim."""

    namespace: NamespaceName = Field(description="Namespace of the ManagedVM.")
    name: Name = Field(description="Name of the ManagedVM.")
    uid: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="For information: UID of the ManagedVM that made the claim. The claim stays with whoever has its "
        "namespace and name, until a new object of that name asks for another VM.",
    )

    def is_named(self, namespace: str, name: str) -> bool:
        """Return whether the ManagedVM of this namespace and name holds the claim, whichever object it is today."""
        return (self.namespace, self.name) == (namespace, name)


class VMClaimSpec(ApiModel):
    """Which VM, and whose."""

    v_center_uuid: Uuid = Field(alias="vCenterUUID", description="Identity of the vCenter Server.")
    instance_uuid: Uuid = Field(alias="instanceUUID", description="Identity of the VM inside it.")
    owner: ClaimOwner = Field(description="The ManagedVM that holds the claim.")


class VMClaim(Resource):
    """The exclusive right of one ManagedVM to one VM (clause 1: one package per VM). Made by the operator only."""

    KIND: ClassVar[Kind] = Kind(
        kind="VMClaim",
        plural="vmclaims",
        short="vmclaim",
        scope="Cluster",
        categories=("msp-records",),
        columns=(
            Column("Namespace", ".spec.owner.namespace"),
            Column("ManagedVM", ".spec.owner.name"),
            Column("VM", ".spec.instanceUUID"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a claim never changes (clause 1); it is released and made anew",
            ),
        ),
    )

    spec: VMClaimSpec = Field(description="Which VM, and whose.")
