"""What every plan keeps about a VM that we have shut down (decision 0025): laws of their own, checked with the others."""

from datetime import datetime

from managedvm.api.changerequest import ChangeRequest, ChangeRequestStatus, RequestedVM, RequestState
from managedvm.api.managedvm import ManagedVM
from managedvm.api.vcenter import Mode
from managedvm.planning.actions import Action, AdvanceRequest, PowerOn, Reconfigure
from managedvm.planning.findings import Aspect, Truth
from managedvm.planning.identity import Sight
from managedvm.planning.managedvm import Observed, Plan
from managedvm.planning.names import claim_name
from managedvm.planning.observed import POWER_ON, PowerState, VirtualMachine
from managedvm.planning.reasons import Reason

FINAL = (RequestState.DONE, RequestState.WITHDRAWN, RequestState.REFUSED)


def only_what_we_have_shut_down_is_started(
    vm: ManagedVM, observed: Observed, now: datetime, plan: Plan
) -> None:
    if not any(isinstance(action, PowerOn) for action in plan.actions):
        return
    ours = meant_off_by_us(observed)
    assert ours, "not switched off by us"
    assert isinstance(observed.sight, Sight)
    facts = meant(vm, observed)
    assert facts is not None
    claim = observed.claims.get(claim_name(observed.sight.vcenter_uuid, facts.instance_uuid))
    if claim is not None:
        owner = claim.spec.owner
        assert (owner.namespace, owner.name) == (vm.metadata.namespace, vm.metadata.name), (
            "somebody else's VM"
        )
    if plan.status.mode is Mode.OBSERVE or vm.spec.suspend or observed.customer is None:
        ends = [r.status.slot.end for r in ours if r.status.slot is not None]
        assert now < max(ends), "started without permission after the slot"
    ended = [a for a in plan.actions if isinstance(a, AdvanceRequest) and a.after.state in FINAL]
    assert not ended, "a request closed before the VM runs again"


def a_vm_that_we_have_shut_down_is_never_passed_over(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    """It is started, or changed first, or a finding says that it is off and why; whatever else is wrong."""
    facts = meant(vm, observed)
    if facts is None or not facts.connected or not meant_off_by_us(observed):
        return
    is_done = any(isinstance(action, PowerOn | Reconfigure) for action in plan.actions)
    about = [f for f in plan.findings if f.aspect is Aspect.RESOURCES_AS_AGREED and f.truth is not Truth.TRUE]
    assert is_done or any(f.reason in _SAYS_IT_IS_OFF for f in about), plan.findings


_SAYS_IT_IS_OFF = (Reason.LEFT_POWERED_OFF, Reason.CHANGE_IN_PROGRESS, Reason.VCENTER_UNREACHABLE)


def undone_by(plan: Plan, vm: ManagedVM, observed: Observed) -> set[str]:
    """Return the requests whose change this plan undoes, because the VM does not start with it."""
    noted = _noted(meant(vm, observed))
    taken = (a.notes for a in plan.actions if isinstance(a, Reconfigure))
    return {noted[key] for notes in taken for key, value in notes.items() if not value and key in noted}


def _noted(facts: VirtualMachine | None) -> dict[str, str]:
    notes = facts.notes if facts is not None else {}
    return {key: name for key, name in notes.items() if key.startswith("managedvm.change.")}


def undone_by_the_book(
    action: Reconfigure, vm: ManagedVM, observed: Observed, before: tuple[Action, ...]
) -> None:
    """Assert that what is undone is ours, keeps the VM off, and is noted as refused before: else it would be made again."""
    facts = meant(vm, observed)
    assert facts is not None
    assert facts.power is PowerState.OFF
    assert facts.refusal_of(POWER_ON) is not None
    assert not action.disks
    told = {a.name for a in before if isinstance(a, AdvanceRequest) and a.after.interruption is not None}
    for key, name in _noted(facts).items():
        if action.notes.get(key) == "":
            request = observed.requests[name]
            assert name in told or request.status.interruption is not None
            assert request.spec.change is not None
            former = {"CPUs": action.cpus, "Memory": action.memory_mib}[request.spec.change.aspect]
            assert former is not None


def meant_off_by_us(observed: Observed) -> tuple[ChangeRequest, ...]:
    """Return the open requests that say of the VM which the inventory shows that it is off because of us."""
    facts = observed.sight.by_uuid if isinstance(observed.sight, Sight) else None
    if facts is None or facts.power is not PowerState.OFF:
        return ()
    named = (
        r for r in observed.requests.values() if r.spec.vm and r.spec.vm.instance_uuid == facts.instance_uuid
    )
    return tuple(r for r in named if is_ours(r.status) and r.spec.vm == _named(observed, facts))


def _named(observed: Observed, facts: VirtualMachine) -> RequestedVM | None:
    sight = observed.sight
    if not isinstance(sight, Sight):
        return None
    return RequestedVM(v_center_uuid=sight.vcenter_uuid, instance_uuid=facts.instance_uuid)


def is_ours(status: ChangeRequestStatus) -> bool:
    """Return whether a request says that we have asked the guest to shut down in the slot that it names."""
    if status.state is not RequestState.IN_WORK or status.slot is None or status.started_at is None:
        return False
    return status.slot.begin <= status.started_at


def meant(vm: ManagedVM, observed: Observed) -> VirtualMachine | None:
    """Return the VM that the inventory shows for this ManagedVM."""
    if not isinstance(observed.sight, Sight):
        return None
    has_identity = (
        observed.own_claim is not None or vm.status.vm is not None or vm.spec.vm.instance_uuid is not None
    )
    return observed.sight.by_uuid if has_identity else observed.sight.at_path
