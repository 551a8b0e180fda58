"""Which VM is meant, and whether this ManagedVM may claim it (clause 1).

A path is resolved once; from then on the instance UUID counts. Nothing is concluded from an inventory that is not
healthy, and a VM that may not be claimed is not touched and hardly talked about.
"""

from dataclasses import dataclass

from managedvm.api.base import API_VERSION
from managedvm.api.changerequest import RequestedVM
from managedvm.api.managedvm import ManagedVM, VMIdentity
from managedvm.api.vcenter import VCenterSpec
from managedvm.api.vmclaim import ClaimOwner, VMClaim, VMClaimSpec
from managedvm.planning.actions import ClaimVM
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, Reason, fails, holds, unknown
from managedvm.planning.names import claim_name
from managedvm.planning.observed import Unknown, VirtualMachine


@dataclass(frozen=True, slots=True)
class Sight:
    """What a healthy inventory answers about one ManagedVM; `expected_vcenter` is who the VCenter was before."""

    vcenter_uuid: str
    by_uuid: VirtualMachine | None
    at_path: VirtualMachine | None
    path_is_ambiguous: bool = False
    expected_vcenter: str | None = None


@dataclass(frozen=True, slots=True)
class Identified:
    """The VM that is meant, beyond doubt."""

    facts: VirtualMachine
    vcenter_uuid: str

    @property
    def identity(self) -> RequestedVM:
        """The VM by identity, as records name it."""
        return RequestedVM(v_center_uuid=self.vcenter_uuid, instance_uuid=self.facts.instance_uuid)

    @property
    def claim(self) -> str:
        """The name of the VM's claim."""
        return claim_name(self.vcenter_uuid, self.facts.instance_uuid)


@dataclass(frozen=True, slots=True)
class Sticky:
    """The identity that this ManagedVM had before: from its claim, else from its status."""

    vcenter_uuid: str
    instance_uuid: str


def sticky_identity(vm: ManagedVM, own_claim: VMClaim | None) -> Sticky | None:
    """Return the identity that counts from now on, or None while the path was never resolved."""
    if own_claim is not None:
        return Sticky(own_claim.spec.v_center_uuid, own_claim.spec.instance_uuid)
    if vm.status.vm is not None:
        return Sticky(vm.status.vm.v_center_uuid, vm.status.vm.instance_uuid)
    return None


def identify(
    identity: VMIdentity, sticky: Sticky | None, sight: Sight | Unknown | None
) -> Identified | Finding:
    """Return the VM that is meant, or the finding that says why nobody can tell."""
    name = identity.v_center_ref.name
    if sight is None:
        return fails(
            Aspect.VM_FOUND,
            Reason.VCENTER_UNKNOWN,
            f"VCenter {name} does not exist. Create it, or correct spec.vm.vCenterRef in a new ManagedVM",
            Clause.AS_ORDERED,
        )
    if isinstance(sight, Unknown):
        return unknown(
            Aspect.VM_FOUND,
            Reason.VCENTER_UNREACHABLE,
            f"VCenter {name}: {sight.reason}; nothing is concluded and nothing is done until it answers",
            Clause.AS_ORDERED,
        )
    expected = sticky.vcenter_uuid if sticky is not None else sight.expected_vcenter
    if expected is not None and expected != sight.vcenter_uuid:
        return _changed(f"VCenter {name} is another vCenter now ({sight.vcenter_uuid} instead of {expected})")
    named = identity.instance_uuid
    if sticky is not None and named is not None and named != sticky.instance_uuid:
        return _changed(f"spec.vm names VM {named}, and this ManagedVM has VM {sticky.instance_uuid}")
    facts = sight.by_uuid if sticky is not None or named is not None else sight.at_path
    there = sight.at_path.instance_uuid if sight.at_path is not None else None
    if sticky is not None and there is not None and there != sticky.instance_uuid:
        return _changed(f"{identity.inventory_path} is VM {there} now instead of {sticky.instance_uuid}")
    return _seen(identity, facts, sight)


def _seen(identity: VMIdentity, facts: VirtualMachine | None, sight: Sight) -> Identified | Finding:
    if facts is None and sight.path_is_ambiguous:
        return fails(
            Aspect.VM_FOUND,
            Reason.AMBIGUOUS_PATH,
            f"{identity.inventory_path} names more than one VM. Name it by spec.vm.instanceUUID in a new ManagedVM",
            Clause.DIRECTLY_ATTACHED_VM,
        )
    if facts is None:
        meant = identity.inventory_path or identity.instance_uuid
        return fails(
            Aspect.VM_FOUND,
            Reason.MISSING_VM,
            f"VCenter {identity.v_center_ref.name} is healthy and has no VM {meant}. Restore the VM, or end the order",
            Clause.AS_ORDERED,
        )
    if facts.is_template:
        return fails(
            Aspect.VM_FOUND,
            Reason.IS_TEMPLATE,
            f"VM {facts.instance_uuid} is a template. Make it a VM again, or make a new ManagedVM for another one",
            Clause.DIRECTLY_ATTACHED_VM,
        )
    if not facts.connected:
        return unknown(
            Aspect.VM_FOUND,
            Reason.VM_NOT_CONNECTED,
            f"vCenter has lost sight of VM {facts.instance_uuid}: its host or its files do not answer; nothing is "
            "concluded and nothing is done until they do",
            Clause.AS_ORDERED,
        )
    return Identified(facts, sight.vcenter_uuid)


def _changed(words: str) -> Finding:
    return fails(
        Aspect.VM_FOUND,
        Reason.IDENTITY_CHANGED,
        f"{words}; all is frozen. Put the VM back, or make a new ManagedVM for the other one",
        Clause.DIRECTLY_ATTACHED_VM,
    )


def is_granted(vcenter: VCenterSpec, namespace: str, path: str) -> bool:
    """Return whether the VCenter lets this namespace claim the VM at `path`."""
    return any(g.namespace == namespace and path.startswith(f"{g.folder}/") for g in vcenter.grants)


def plan_claim(
    vm: ManagedVM, found: Identified, vcenter: VCenterSpec, claim: VMClaim | None, *, may_act: bool
) -> tuple[Finding, ClaimVM | None]:
    """Return whether this ManagedVM holds the claim, and the action that makes it.

    `claim` is the claim to this VM, whoever holds it. Without `may_act` (Observe) nothing is claimed, but a conflict
    is still told.
    """
    meta = vm.metadata
    if not is_granted(vcenter, meta.namespace, found.facts.path):
        return _not_granted(vm), None
    owner = ClaimOwner(namespace=meta.namespace, name=meta.name)
    if claim is not None and claim.spec.owner == owner:
        return holds(
            Aspect.CLAIMED,
            Reason.CLAIM_HELD,
            f"Claim {claim.metadata.name} is held",
            Clause.ONE_PACKAGE_PER_VM,
        ), None
    if claim is not None:
        same = claim.spec.owner.namespace == meta.namespace
        whom = f"ManagedVM {claim.spec.owner.name}" if same else "a ManagedVM in another namespace"
        return fails(
            Aspect.CLAIMED,
            Reason.CONFLICT,
            f"The VM is claimed by {whom}; a VM has at most one package, so nothing is done here. Remove one of the two",
            Clause.ONE_PACKAGE_PER_VM,
        ), None
    if not may_act:
        return unknown(
            Aspect.CLAIMED,
            Reason.CLAIM_NOT_NEEDED,
            "Nothing is done here, so nothing is claimed",
            Clause.AS_ORDERED,
        ), None
    pending = fails(
        Aspect.CLAIMED, Reason.CLAIM_PENDING, f"Claim {found.claim} is being made", Clause.ONE_PACKAGE_PER_VM
    )
    return pending, ClaimVM(_claim_body(found, owner))


def _not_granted(vm: ManagedVM) -> Finding:
    identity = vm.spec.vm
    meant = identity.inventory_path or identity.instance_uuid
    return fails(
        Aspect.CLAIMED,
        Reason.NOT_GRANTED,
        f"VCenter {identity.v_center_ref.name} grants namespace {vm.metadata.namespace} no folder that holds {meant}. "
        "The provider adds it to spec.grants of the VCenter, or spec.vm is wrong",
        Clause.DIRECTLY_ATTACHED_VM,
    )


def _claim_body(found: Identified, owner: ClaimOwner) -> dict[str, object]:
    spec = VMClaimSpec(v_center_uuid=found.vcenter_uuid, instance_uuid=found.facts.instance_uuid, owner=owner)
    return {
        "apiVersion": API_VERSION,
        "kind": "VMClaim",
        "metadata": {"name": found.claim},
        "spec": spec.to_json(),
    }
