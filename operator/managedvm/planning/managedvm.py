"""What to do for one ManagedVM: all promises in one list, in the order in which they depend on each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest
from managedvm.api.customer import CustomerSpec
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import (
    AvailabilityStatus,
    ConfigurationStatus,
    ManagedVM,
    ManagedVMStatus,
    VMOrigin,
)
from managedvm.api.outage import Outage
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.vcenter import VCenterSpec
from managedvm.api.vmclaim import VMClaim
from managedvm.planning import availability
from managedvm.planning.actions import (
    Action,
    OverrideHighAvailability,
)
from managedvm.planning.baseline import with_baseline
from managedvm.planning.case import Case
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import complete, has_taken_effect
from managedvm.planning.configuration import settled_slip
from managedvm.planning.downtime import plan_availability
from managedvm.planning.entitlement import Entitlement, entitle, services, shown
from managedvm.planning.execution import execute_initial, resize
from managedvm.planning.findings import Aspect, Finding, fails, holds, shortened
from managedvm.planning.guestaccess import plan_guest
from managedvm.planning.identity import (
    Identified,
    Sight,
    identify,
    of_this_vm,
    outlived,
    plan_claim,
    release,
    sticky_identity,
    vm_not_looked_at,
    vm_status,
)
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.money import Prices
from managedvm.planning.observed import ClusterFacts, TaskFacts, Unknown
from managedvm.planning.outages import Measured, Planned
from managedvm.planning.permission import effective_mode, may_record, permission
from managedvm.planning.plan import Group, Part, flat, joined
from managedvm.planning.poweron import left_off, shut_down, start_again
from managedvm.planning.reasons import Reason
from managedvm.planning.targets import (
    Baseline,
    as_agreed,
    missing_disks,
    noted_baseline,
    size_of,
    targets,
)


@dataclass(frozen=True, slots=True)
class Observed:
    """All that was read for one ManagedVM in one pass.

    `claims` has the claim to the VM, whoever holds it; `held` are all claims of this ManagedVM's name, and `own_claim`
    is the one that tells its identity. What is not there is None; what could not be read is Unknown. `task` is the latest
    reconfiguration that vCenter knows of: it decides only while a request is open. `requests` are those of the operator
    that are open, and those of the order slip in force. `decisions` are those about open requests, by the name of the
    request. Since `elsewhere_since` the customer lists somebody for another of its namespaces. `outages` are those of the VM
    and of its vCenter as a whole, `plans` the times that requests for the VM were planned for and that were not given up.
    `host_key` is what the guest shows over SSH, read only while a first contact is due.
    """

    levels: Mapping[str, ServiceLevelSpec]
    customer: CustomerSpec | None
    requesters: tuple[Requester, ...]
    prices: Prices
    vcenter: VCenterSpec | None
    sight: Sight | Unknown | None
    claims: Mapping[str, VMClaim]
    own_claim: VMClaim | None
    cluster: ClusterFacts | None
    requests: Mapping[str, ChangeRequest]
    task: TaskFacts | Unknown | None
    missing_policies: tuple[str, ...]
    is_ledger: bool
    held: tuple[VMClaim, ...] = ()
    decisions: Mapping[str, tuple[RequestDecision, ...]] = field(default_factory=dict)
    elsewhere_since: datetime | None = None
    outages: tuple[Outage, ...] = ()
    plans: tuple[Planned, ...] = ()
    host_key: str | Unknown | None = None

    @property
    def has_open_requests(self) -> bool:
        """Whether a request of the operator's has not come to its end."""
        return any(request.status.state not in FINAL_STATES for request in self.requests.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups of actions in order, findings, the status without its conditions, and when to look again.

    `is_identified`: the VM was found and is nobody else's. `may_act`: its claim is held and it may be changed.
    """

    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]
    status: ManagedVMStatus
    next_check: datetime | None
    is_identified: bool = False
    may_act: bool = False

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions in order."""
        return flat(self.groups)


def plan(vm: ManagedVM, observed: Observed, now: datetime) -> Plan:
    """Return what to do for one ManagedVM at `now`."""
    entitlement = entitle(vm.spec.orders, observed.levels.get, now)
    mode = effective_mode(vm, observed.vcenter)
    status = ManagedVMStatus(
        mode=mode,
        order=shown(entitlement.order),
        next_order=shown(entitlement.next_order),
        services=services(entitlement),
        vm=vm.status.vm,
        configuration=vm.status.configuration,
        high_availability=vm.status.high_availability,
        availability=vm.status.availability,
        guest=vm.status.guest,
    )
    permitted = permission(
        vm,
        mode,
        customer=observed.customer,
        missing_policies=observed.missing_policies,
        is_ledger=observed.is_ledger,
    )
    if vm.spec.suspend:
        return _suspended(vm, observed, entitlement, permitted, now)
    base = Part(findings=(*entitlement.findings, permitted), next_check=entitlement.next_check)
    free = outlived(vm, observed.held, observed.sight, observed.vcenter)
    if free:
        return _plan(joined((base, release(free))), status)
    found = _identified(vm, observed)
    if isinstance(found, Finding):
        begun = _begun(vm, observed, now)
        known = vm_not_looked_at(vm, observed.own_claim) if found.reason is Reason.NOT_GRANTED else status.vm
        out_of_sight, availability_status = Part(), status.availability
        if found.reason is Reason.VM_NOT_CONNECTED and observed.own_claim is not None:
            out_of_sight, availability_status = _availability(vm, observed, entitlement, permitted, now)
        changes = {"vm": known, "availability": availability_status}
        return _plan(
            joined((base, Part(findings=(found,)), begun, out_of_sight)), status.model_copy(update=changes)
        )
    return _plan_for(of_this_vm(vm, found), observed, entitlement, found, (base, permitted, status), now=now)


def _suspended(
    vm: ManagedVM, observed: Observed, entitlement: Entitlement, permitted: Finding, now: datetime
) -> Plan:
    """Return the plan of a ManagedVM for which nothing is decided; what has taken effect before is still recorded."""
    finding = fails(
        Aspect.CHANGES_PERMITTED,
        Reason.SUSPENDED,
        "spec.suspend is true: nothing is decided. What was sent before is still recorded and billed",
        Clause.AS_ORDERED,
    )
    found = _identified(vm, observed)
    if isinstance(found, Finding) or observed.own_claim is None or observed.customer is None:
        begun = _begun(vm, observed, now)
        return _plan(joined((Part(findings=(finding,)), begun)), vm.status)
    case = _case(vm, observed, entitlement, found, observed.customer, (False, may_record(permitted)), now)
    down = shut_down(found.facts, case.open_requests)
    if down is not None:
        return _plan(joined((Part(findings=(finding,)), start_again(down, now, may_act=False))), vm.status)
    closed = joined(complete(case, r) for r in case.open_requests if has_taken_effect(case, r))
    # The clocks of the contract go on: no switch hides an outage.
    measured, shows = Part(), vm.status.availability
    if shows is not None:
        measured, shows = _availability(vm, observed, entitlement, permitted, now)
    done = joined((closed, measured))
    return Plan(
        done.groups, (finding,), vm.status.model_copy(update={"availability": shows}), done.next_check
    )


def _begun(vm: ManagedVM, observed: Observed, now: datetime) -> Part:
    """Return how a VM is started again that we have shut down, where nothing else may be decided about it any more.

    Its own requests name it by identity, so it needs neither a grant nor a Customer; only whose VM it is now counts.
    """
    sight = observed.sight
    facts = sight.by_uuid if isinstance(sight, Sight) else None
    if not isinstance(sight, Sight) or facts is None or not facts.connected:
        return Part()
    found = Identified(facts, sight.vcenter_uuid)
    named = (r for r in observed.requests.values() if r.spec.vm == found.identity)
    down = shut_down(facts, (r for r in named if r.status.state not in FINAL_STATES))
    if down is None:
        return Part()
    claim, meta = observed.claims.get(found.claim), vm.metadata
    if claim is not None and not claim.spec.owner.is_named(meta.namespace, meta.name):
        return Part(findings=(left_off("and it is another ManagedVM's now. Start it there"),))
    return start_again(down, now, may_act=False)


def _identified(vm: ManagedVM, observed: Observed) -> Identified | Finding:
    return identify(vm, sticky_identity(vm, observed.own_claim), observed.sight, observed.vcenter)


def _case(  # noqa: PLR0917 - private, and all of it decides
    vm: ManagedVM,
    observed: Observed,
    entitlement: Entitlement,
    found: Identified,
    customer: CustomerSpec,
    rights: tuple[bool, bool],
    now: datetime,
) -> Case:
    """Return the case of the VM's size; `rights` are to act and to record."""
    level, before = entitlement.level, vm.status.configuration
    may_act, records = rights
    return Case(
        vm=vm,
        facts=found.facts,
        vcenter_uuid=found.vcenter_uuid,
        claim=found.claim,
        entitlement=entitlement,
        windows=maintenance_calendar(level.maintenance, vm.spec.maintenance) if level else None,
        requests={n: r for n, r in observed.requests.items() if r.spec.vm == found.identity},
        requesters=observed.requesters,
        policy=customer.requests,
        prices=observed.prices,
        task=observed.task,
        may_act=may_act,
        may_record=records,
        now=now,
        settled=before.settled_change if before else None,
        decisions=observed.decisions,
        elsewhere_since=observed.elsewhere_since,
    )


def _plan_for(
    vm: ManagedVM,
    observed: Observed,
    entitlement: Entitlement,
    found: Identified,
    begun: tuple[Part, Finding, ManagedVMStatus],
    *,
    now: datetime,
) -> Plan:
    """Return the plan for a VM that was identified."""
    base, permitted, status = begun
    facts = found.facts
    enforce = permitted.reason is Reason.PERMITTED
    claimed, make_claim = plan_claim(
        vm,
        found,
        observed.claims.get(found.claim),
        may_act=enforce and entitlement.level is not None,
    )
    if claimed.reason is Reason.CONFLICT:
        known, begun_before = vm_not_looked_at(vm, observed.own_claim), _begun(vm, observed, now)
        return _plan(
            joined((base, Part(findings=(claimed,)), begun_before)), status.model_copy(update={"vm": known})
        )
    seen = holds(
        Aspect.VM_FOUND,
        Reason.VM_FOUND,
        f"{shortened(facts.path)} is VM {facts.instance_uuid}",
        Clause.AS_ORDERED,
    )
    parts = [base, Part(findings=(seen, claimed), actions=(make_claim,) if make_claim else ())]
    memory = vm.status
    changes: dict[str, object] = {
        "vm": vm_status(found),
        "configuration": memory.configuration,
        "high_availability": memory.high_availability,
        "availability": memory.availability,
    }
    if make_claim is None:
        # What else there is to do waits for the claim, so that two ManagedVMs never both act on one VM.
        enforce = enforce and claimed.reason is Reason.CLAIM_HELD
        rights = (enforce, may_record(permitted) and claimed.reason is Reason.CLAIM_HELD)
        if entitlement.level is not None:
            restarts = availability.streak(
                vm.status.high_availability, facts, entitlement.level.high_availability, now
            )
            parts += (
                availability.plan_vm(facts, observed.cluster, entitlement.level, may_act=enforce, now=now),
                availability.plan_restarts(restarts, entitlement.level.high_availability),
            )
            changes["high_availability"] = restarts.status
        measured = Part()
        if claimed.reason is Reason.CLAIM_HELD:
            measured, changes["availability"] = _availability(vm, observed, entitlement, permitted, now)
        size, changes["configuration"] = _size(vm, observed, entitlement, found, rights=rights, now=now)
        parts += (measured, size)
    met, changes["guest"] = plan_guest(vm, facts, observed.vcenter, observed.host_key, now)
    whole = _plan(joined((*parts, met)), status.model_copy(update=changes))
    return replace(whole, is_identified=True, may_act=enforce and make_claim is None)


def _availability(
    vm: ManagedVM, observed: Observed, entitlement: Entitlement, permitted: Finding, now: datetime
) -> tuple[Part, AvailabilityStatus | None]:
    """Return what is recorded of the availability of a VM that holds its claim, and what status shows of it."""
    sight, level = observed.sight, entitlement.level
    facts = (sight.by_uuid or sight.at_path) if isinstance(sight, Sight) else None
    if not isinstance(sight, Sight) or facts is None or not may_record(permitted):
        return Part(), vm.status.availability
    measured = Measured(
        vm=vm,
        vcenter_uuid=sight.vcenter_uuid,
        facts=facts,
        order=entitlement.order,
        level=level,
        windows=maintenance_calendar(level.maintenance, vm.spec.maintenance) if level else None,
        since=now,
        records=observed.outages,
        plans=observed.plans,
        requesters=observed.requesters,
    )
    return plan_availability(measured, observed.levels, now)


def _plan(part: Part, status: ManagedVMStatus) -> Plan:
    # What is begun is brought to its end before vSphere HA is repaired: a VM may be off meanwhile.
    groups = sorted(
        part.groups, key=lambda group: any(isinstance(a, OverrideHighAvailability) for a in group)
    )
    return Plan(tuple(groups), part.findings, status, part.next_check)


def _size(
    vm: ManagedVM,
    observed: Observed,
    entitlement: Entitlement,
    found: Identified,
    *,
    rights: tuple[bool, bool],
    now: datetime,
) -> tuple[Part, ConfigurationStatus | None]:
    """Return what is done about the size of the VM, and what status shows of it."""
    facts, level, before = found.facts, entitlement.level, vm.status.configuration
    if observed.customer is None:
        return _begun(vm, observed, now), before
    case = _case(vm, observed, entitlement, found, observed.customer, rights, now)
    if level is None:
        # Nothing new is done, but what was begun is brought to its end: the VM started again, the work recorded.
        return resize(case, ()), before
    known = noted_baseline(facts) or (Baseline(before.baseline, before.baseline_at) if before else None)
    wanted = targets(vm.spec.resources, facts)
    unmet = tuple(target for target in wanted if not target.is_met)
    if vm.spec.vm.origin is VMOrigin.PROVISIONED and known is None and unmet:
        return execute_initial(case, unmet), None
    baseline = known or Baseline(size_of(facts), now)
    part = joined((Part(findings=missing_disks(vm.spec.resources, facts)), resize(case, wanted)))
    part = with_baseline(part, case, baseline)
    if not part.findings:
        part = joined((part, Part(findings=(as_agreed(vm.spec.resources),))))
    return part, ConfigurationStatus(
        origin=vm.spec.vm.origin,
        baseline=baseline.size,
        baseline_at=baseline.at,
        current=size_of(facts),
        settled_change=settled_slip(case, wanted),
    )
