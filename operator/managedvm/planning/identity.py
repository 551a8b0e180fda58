"""Which VM is meant, and whether this ManagedVM may claim it (clause 1).

A path is resolved once; from then on the instance UUID counts. Nothing is concluded from an inventory that is not
healthy, and a VM that may not be claimed is not touched and hardly talked about.
"""

from dataclasses import dataclass, replace

from managedvm.api.base import API_VERSION
from managedvm.api.changerequest import RequestedVM
from managedvm.api.managedvm import ManagedVM, VMIdentity, VMStatus
from managedvm.api.vcenter import VCenterSpec
from managedvm.api.vmclaim import ClaimOwner, VMClaim, VMClaimSpec
from managedvm.planning.actions import ClaimVM, ReleaseClaim
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, shortened, some, unknown
from managedvm.planning.names import claim_name
from managedvm.planning.observed import Unknown, VirtualMachine
from managedvm.planning.plan import Part
from managedvm.planning.reasons import Reason

_LONGEST_PATH = 512
"""The longest inventory path that status has room for."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a healthy inventory answers about one ManagedVM; `expected_vcenter` is who the VCenter was before.

    `unidentified` VMs have no readable configuration; one that is missed may be among them.
    """

    vcenter_uuid: str
    by_uuid: VirtualMachine | None
    at_path: VirtualMachine | None
    path_is_ambiguous: bool = False
    expected_vcenter: str | None = None
    unidentified: int = 0


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


def own_claim(held: tuple[VMClaim, ...], vm: ManagedVM) -> VMClaim | None:
    """Return the claim that tells which VM the ManagedVM has; a UUID in its spec leaves no choice."""
    named = vm.spec.vm.instance_uuid
    fitting = (claim for claim in held if named in (None, claim.spec.instance_uuid))
    return min(fitting, key=lambda claim: claim.metadata.name, default=None)


def sighted_vm(sight: Sight | Unknown | None) -> VirtualMachine | None:
    """Return the VM that the inventory shows for a ManagedVM, None where it shows none."""
    return (sight.by_uuid or sight.at_path) if isinstance(sight, Sight) else None


def sticky_identity(vm: ManagedVM, own_claim: VMClaim | None) -> Sticky | None:
    """Return the identity that counts from now on, or None while the path was never resolved."""
    if own_claim is not None:
        return Sticky(own_claim.spec.v_center_uuid, own_claim.spec.instance_uuid)
    if vm.status.vm is not None:
        return Sticky(vm.status.vm.v_center_uuid, vm.status.vm.instance_uuid)
    return None


def identify(
    vm: ManagedVM, sticky: Sticky | None, sight: Sight | Unknown | None, vcenter: VCenterSpec | None
) -> Identified | Finding:
    """Return the VM that is meant, or the finding that says why nobody can tell.

    The grant is asked first: of a VM outside of it nothing is said, not even whether there is one.
    """
    name = vm.spec.vm.v_center_ref.name
    if sight is None or vcenter is None:
        return fails(
            Aspect.VM_FOUND,
            Reason.VCENTER_UNKNOWN,
            f"VCenter {name} does not exist. Create it, or correct spec.vm.vCenterRef in a new ManagedVM",
            Clause.AS_ORDERED,
        )
    if not _may_ask(vm, sticky, vcenter):
        return _not_granted(vm)
    if isinstance(sight, Unknown):
        return unknown(
            Aspect.VM_FOUND,
            Reason.VCENTER_UNREACHABLE,
            f"VCenter {name}: {sight.reason}; nothing is concluded and nothing is done until it answers",
            Clause.AS_ORDERED,
        )
    seen = _within(vm, sight, vcenter)
    another = _another(vm.spec.vm, sticky, seen)
    if another is not None:
        return _changed(another)
    if sticky is not None and sight.by_uuid is not None and seen.by_uuid is None:
        return _not_granted(vm)
    return _seen(vm, sticky, seen)


def _another(identity: VMIdentity, sticky: Sticky | None, sight: Sight) -> str | None:
    """Return in words what means another VM or vCenter now than it did before; None when all is as it was."""
    name, named = identity.v_center_ref.name, identity.instance_uuid
    expected = sticky.vcenter_uuid if sticky is not None else sight.expected_vcenter
    if expected is not None and expected != sight.vcenter_uuid:
        return f"VCenter {name} is another vCenter now ({sight.vcenter_uuid} instead of {expected})"
    if sticky is not None and named is not None and named != sticky.instance_uuid:
        return f"spec.vm names VM {named}, and this ManagedVM has VM {sticky.instance_uuid}"
    there = sight.at_path.instance_uuid if sight.at_path is not None else None
    if sticky is not None and there is not None and there != sticky.instance_uuid:
        return f"{identity.inventory_path} is VM {there} now instead of {sticky.instance_uuid}"
    return None


def _may_ask(vm: ManagedVM, sticky: Sticky | None, vcenter: VCenterSpec) -> bool:
    """Return whether the namespace may be told anything of the VM that its ManagedVM names.

    A VM that was its own before may have moved with its folder: where that one is now, the inventory tells.
    """
    path, namespace = vm.spec.vm.inventory_path, vm.metadata.namespace
    if sticky is None and path is not None:
        return is_granted(vcenter, namespace, path)
    return any(grant.namespace == namespace for grant in vcenter.grants)


def _within(vm: ManagedVM, sight: Sight, vcenter: VCenterSpec) -> Sight:
    """Return what is seen without what lies outside of the grants: there it is as if nothing were."""

    def granted(path: str | None) -> bool:
        return path is not None and is_granted(vcenter, vm.metadata.namespace, path)

    may_look = granted(vm.spec.vm.inventory_path)
    return replace(
        sight,
        by_uuid=sight.by_uuid if sight.by_uuid is not None and granted(sight.by_uuid.path) else None,
        at_path=sight.at_path if may_look else None,
        path_is_ambiguous=sight.path_is_ambiguous and may_look,
    )


def _seen(vm: ManagedVM, sticky: Sticky | None, sight: Sight) -> Identified | Finding:
    identity = vm.spec.vm
    by_uuid = sticky is not None or identity.instance_uuid is not None
    facts = sight.by_uuid if by_uuid else sight.at_path
    if facts is None and sight.path_is_ambiguous:
        return fails(
            Aspect.VM_FOUND,
            Reason.AMBIGUOUS_PATH,
            f"{identity.inventory_path} names more than one VM. Name it by spec.vm.instanceUUID in a new ManagedVM",
            Clause.DIRECTLY_ATTACHED_VM,
        )
    if facts is None:
        return _missing(vm, sticky, sight)
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


def _missing(vm: ManagedVM, sticky: Sticky | None, sight: Sight) -> Finding:
    """Return what is said of a VM that is not there, or not for this namespace."""
    name = vm.spec.vm.v_center_ref.name
    if sight.unidentified:
        return unknown(
            Aspect.VM_FOUND,
            Reason.VCENTER_UNREACHABLE,
            f"VCenter {name}: the configuration of {sight.unidentified} VMs cannot be read, and this one may be among "
            "them; nothing is concluded and nothing is done until it can",
            Clause.AS_ORDERED,
        )
    if sticky is None and vm.spec.vm.instance_uuid is not None:
        # Whoever guesses a UUID hears the same whether there is such a VM or not.
        return _not_granted(vm)
    meant = vm.spec.vm.inventory_path or vm.spec.vm.instance_uuid
    return fails(
        Aspect.VM_FOUND,
        Reason.MISSING_VM,
        f"VCenter {name} is healthy and has no VM {meant}. Restore the VM, or end the order",
        Clause.AS_ORDERED,
    )


def _changed(words: str) -> Finding:
    return fails(
        Aspect.VM_FOUND,
        Reason.IDENTITY_CHANGED,
        f"{words}; all is frozen. Put the VM back, or make a new ManagedVM for the other one",
        Clause.DIRECTLY_ATTACHED_VM,
    )


def vm_status(found: Identified) -> VMStatus:
    """Return which VM it is as status shows it."""
    return VMStatus(
        instance_uuid=found.facts.instance_uuid,
        v_center_uuid=found.vcenter_uuid,
        inventory_path=shortened(found.facts.path, _LONGEST_PATH),
        power_state=found.facts.power.value,
    )


def vm_not_looked_at(vm: ManagedVM, own_claim: VMClaim | None) -> VMStatus | None:
    """Return what status says of a VM that is not ours to look at: which one it was, so that no other takes its place."""
    sticky = sticky_identity(vm, own_claim)
    return VMStatus(instance_uuid=sticky.instance_uuid, v_center_uuid=sticky.vcenter_uuid) if sticky else None


def of_this_vm(vm: ManagedVM, found: Identified) -> ManagedVM:
    """Return the ManagedVM without what its status remembers of another VM."""
    known = vm.status.vm
    if known is None or known.instance_uuid == found.facts.instance_uuid:
        return vm
    nothing = {"configuration": None, "high_availability": None, "availability": None}
    return vm.model_copy(update={"status": vm.status.model_copy(update=nothing)})


def is_granted(vcenter: VCenterSpec, namespace: str, path: str) -> bool:
    """Return whether the VCenter lets this namespace claim the VM at `path`."""
    return any(g.namespace == namespace and path.startswith(f"{g.folder}/") for g in vcenter.grants)


def outlived(
    vm: ManagedVM, held: tuple[VMClaim, ...], sight: Sight | Unknown | None, vcenter: VCenterSpec | None
) -> tuple[VMClaim, ...]:
    """Return the claims that an earlier ManagedVM of this name has left behind and that this one does not ask for.

    A new object is a new wish: while its status knows no VM, and its spec means another VM beyond doubt, what the
    earlier one held is free. The same VM is never let go, so nothing that is recorded or billed for it begins anew.
    """
    former = tuple(c for c in held if c.spec.owner.uid is not None and c.spec.owner.uid != vm.metadata.uid)
    if not former or vm.status.vm is not None or vcenter is None or not isinstance(sight, Sight):
        return ()
    if sight.expected_vcenter not in (None, sight.vcenter_uuid):
        return ()
    seen = _within(vm, sight, vcenter)
    named = vm.spec.vm.instance_uuid
    meant = seen.by_uuid if named is not None else seen.at_path
    if meant is None or (named is not None and meant.instance_uuid != named):
        return ()
    return tuple(claim for claim in former if claim.spec.instance_uuid != meant.instance_uuid)


def release(claims: tuple[VMClaim, ...]) -> Part:
    """Return the release of claims that are outlived; what this ManagedVM asks for is claimed after it."""
    names = some([claim.metadata.name for claim in claims])
    finding = fails(
        Aspect.CLAIMED,
        Reason.CLAIM_PENDING,
        f"Claim {names} of an earlier ManagedVM of this name is being released: this one asks for another VM",
        Clause.ONE_PACKAGE_PER_VM,
    )
    return Part((finding,), tuple(ReleaseClaim(c.metadata.name, c.metadata.uid) for c in claims))


def plan_claim(
    vm: ManagedVM, found: Identified, claim: VMClaim | None, *, may_act: bool
) -> tuple[Finding, ClaimVM | None]:
    """Return whether this ManagedVM holds the claim, and the action that makes it.

    `claim` is the claim to this VM, whoever holds it. Without `may_act` (Observe) nothing is claimed, but a conflict
    is still told.
    """
    meta = vm.metadata
    if claim is not None and claim.spec.owner.is_named(meta.namespace, meta.name):
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
    return pending, ClaimVM(_claim_body(found, vm))


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


def _claim_body(found: Identified, vm: ManagedVM) -> dict[str, object]:
    meta = vm.metadata
    owner = ClaimOwner(namespace=meta.namespace, name=meta.name, uid=meta.uid or None)
    spec = VMClaimSpec(v_center_uuid=found.vcenter_uuid, instance_uuid=found.facts.instance_uuid, owner=owner)
    return {
        "apiVersion": API_VERSION,
        "kind": "VMClaim",
        "metadata": {"name": found.claim},
        "spec": spec.to_json(),
    }
