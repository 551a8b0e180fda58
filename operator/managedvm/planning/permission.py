"""Whether anything may be changed for a ManagedVM, and whether records may be written (clauses 1 and 4)."""

from managedvm.api.customer import CustomerSpec
from managedvm.api.managedvm import ManagedVM, VMOrigin
from managedvm.api.vcenter import Mode, VCenterSpec
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, some
from managedvm.planning.reasons import Reason


def effective_mode(vm: ManagedVM, vcenter: VCenterSpec | None) -> Mode:
    """Return the mode in effect: the spec's, or the default for the VM's origin, capped by the VCenter."""
    wished = vm.spec.mode or (Mode.ENFORCE if vm.spec.vm.origin is VMOrigin.PROVISIONED else Mode.OBSERVE)
    allowed = vcenter.maximum_mode if vcenter is not None else Mode.OBSERVE
    return Mode.ENFORCE if wished is allowed is Mode.ENFORCE else Mode.OBSERVE


def permission(
    vm: ManagedVM,
    mode: Mode,
    *,
    customer: CustomerSpec | None,
    missing_policies: tuple[str, ...],
    is_ledger: bool,
) -> Finding:
    """Return whether anything may be changed for this ManagedVM, and if not, why."""
    name = vm.spec.customer_ref.name
    if customer is None or vm.metadata.namespace not in customer.namespaces:
        return fails(
            Aspect.CHANGES_PERMITTED,
            Reason.CUSTOMER_UNKNOWN,
            f"Customer {name} does not exist, or has no VMs in namespace {vm.metadata.namespace}; nothing is done. "
            "Create it, or add the namespace to its spec.namespaces",
            Clause.AS_ORDERED,
        )
    if missing_policies:
        return fails(
            Aspect.CHANGES_PERMITTED,
            Reason.POLICY_BINDING_MISSING,
            f"Admission policy {some(missing_policies)} is not in force as it ships, so the API server does not "
            "refuse what the contract forbids; nothing is done. Apply manifests/base/policies",
            Clause.DOCUMENTED,
        )
    if not is_ledger:
        return fails(
            Aspect.CHANGES_PERMITTED,
            Reason.LEDGER_UNPROTECTED,
            f"Namespace {vm.metadata.namespace} has no label managedvm.dev/ledger, so its records could be deleted; "
            "nothing is done. Add the label",
            Clause.DOCUMENTED,
        )
    if mode is Mode.OBSERVE:
        return fails(
            Aspect.CHANGES_PERMITTED,
            Reason.OBSERVE_ONLY,
            "Mode is Observe: everything is decided and nothing is done. Set spec.mode to Enforce, as far as "
            "spec.maximumMode of the VCenter allows",
            Clause.AS_ORDERED,
        )
    return holds(Aspect.CHANGES_PERMITTED, Reason.PERMITTED, "Mode is Enforce", Clause.AS_ORDERED)


def may_record(permitted: Finding) -> bool:
    """Return whether records may be written: Observe mode leaves vCenter alone, not a bill for what was done."""
    return permitted.reason in (Reason.PERMITTED, Reason.OBSERVE_ONLY)
