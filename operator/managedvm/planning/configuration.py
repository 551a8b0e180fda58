"""The billed change of a VM's size (clauses 4, 4.2, 6.3): which order covers it, and what it still waits for.

One aspect at a time is decided here: nothing to do, close an open request, refuse, wait, or carry out. Carrying out all
that is due in one go is `execution`.
"""

from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import (
    FINAL_STATES,
    ChangeRequest,
    ChangeRequestStatus,
    RequestedChange,
    RequestedVM,
    RequestKind,
    RequestState,
)
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import ManagedVM, VMOrigin
from managedvm.planning.actions import Action, AdvanceRequest, RecordRequest, RecordWork
from managedvm.planning.authority import authority
from managedvm.planning.calendar import Calendar
from managedvm.planning.clauses import Clause
from managedvm.planning.entitlement import Entitlement
from managedvm.planning.findings import Aspect, Finding, Reason, fails, holds, unknown
from managedvm.planning.money import NoRateError, PriceBook
from managedvm.planning.names import change_request_name
from managedvm.planning.observed import PowerState, TaskFacts, TaskState, VirtualMachine
from managedvm.planning.plan import Part
from managedvm.planning.records import advanced, assess, automated_charge, change_request, work_entry
from managedvm.planning.targets import Target, Unit

_EFFORT = Clause.CHANGE_BY_EFFORT


@dataclass(frozen=True, slots=True)
class Case:
    """All that decides about the size of one VM. `requests` are the operator's own, by name.

    `task` is the latest reconfiguration that vCenter knows of, also one that an earlier process of ours started.
    """

    vm: ManagedVM
    facts: VirtualMachine
    vcenter_uuid: str
    claim: str
    entitlement: Entitlement
    windows: Calendar | None
    requests: dict[str, ChangeRequest]
    requesters: tuple[Requester, ...]
    policy: Requests
    prices: PriceBook | None
    task: TaskFacts | None
    may_act: bool
    now: datetime

    @property
    def identity(self) -> RequestedVM:
        """The VM by identity, as records name it."""
        return RequestedVM(v_center_uuid=self.vcenter_uuid, instance_uuid=self.facts.instance_uuid)

    def open_request(self, target: Target) -> ChangeRequest | None:
        """Return the request for this aspect that has not come to its end."""
        return next((r for r in self.requests.values() if _is_for(r, target) and not _is_final(r)), None)


@dataclass(frozen=True, slots=True)
class Job:
    """A change that is ordered, allowed and priced. `record` is its ChangeRequest where that is still to be created."""

    target: Target
    name: str
    request: ChangeRequest | None
    record: RecordRequest | None = None

    @property
    def status(self) -> ChangeRequestStatus:
        """The status of the request, as at birth where it is still to be created."""
        return self.request.status if self.request else ChangeRequestStatus()


def decide(case: Case, target: Target) -> Part | Job:
    """Return what is to be done about one aspect, or the job when it can be carried out."""
    request = case.open_request(target)
    if request is not None:
        if case.facts.notes.get(target.note_key) == request.metadata.name:
            return complete(case, request, target)
        if not _asks_for(request, target):
            return _withdraw(
                case, request, Reason.TARGET_CHANGED, "spec.resources asks for something else now"
            )
        if target.is_met:
            return _withdraw(case, request, Reason.ALREADY_IN_PLACE, "the VM already has the wanted value")
        return _released(case, target, request)
    if target.is_met:
        return Part()
    return _unordered(case, target)


def _unordered(case: Case, target: Target) -> Part | Job:
    """Decide about a difference that no open request covers: the order slip may be new, used up, or missing."""
    slip = case.vm.spec.change
    if slip is None:
        return Part(findings=(_no_slip(case, target),))
    name = change_request_name(case.vcenter_uuid, case.facts.instance_uuid, slip.id, target.aspect)
    used = case.requests.get(name)
    if used is not None:
        return Part(findings=(_used_up(target, used),))
    if not case.may_act:
        finding = fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.ADOPTION_PENDING,
            f"{target.change}: ordered by {slip.requested_by} with {slip.id}; would be recorded, done and billed by "
            "effort, but nothing is changed here now; see ChangesPermitted",
            Clause.CHANGE_BY_EFFORT,
        )
        return Part(findings=(finding,))
    change = RequestedChange(
        id=slip.id, aspect=target.aspect, before=target.shown(target.found), after=target.shown(target.wanted)
    )
    body = change_request(name, case.vm, slip, of=case.identity, change=change)
    job = Job(target, name, None, RecordRequest(body, Clause.DOCUMENTED))
    return _refused(case, job) or _held(case, job, slip.requested_by, case.now) or _priced(case, job)


def _released(case: Case, target: Target, request: ChangeRequest) -> Part | Job:
    """Decide about an open request that still asks for what is wanted."""
    job = Job(target, request.metadata.name, request)
    if not case.may_act:
        finding = fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.ADOPTION_PENDING,
            f"{target.change}: request {job.name} is open, but nothing is changed here now; see ChangesPermitted",
            Clause.CHANGE_BY_EFFORT,
        )
        return Part(findings=(finding,))
    asked_at = request.metadata.creation_timestamp or case.now
    return _refused(case, job) or _held(case, job, request.spec.requested_by, asked_at) or _priced(case, job)


def _refused(case: Case, job: Job) -> Part | None:
    target = job.target
    if case.entitlement.package is None:
        return _refuse(
            case,
            job,
            Reason.NO_ACTIVE_PACKAGE,
            f"{target.change} is refused: services on request need an active managed service package. Book one, then "
            "order again with a new spec.change",
            Clause.OPTIONAL_SERVICES,
        )
    if target.unit is Unit.DISK and target.wanted < target.found:
        return _refuse(
            case,
            job,
            Reason.DISK_CANNOT_SHRINK,
            f"{target.change} is refused: a disk can only grow, shrinking would lose data. Restore the size in "
            "spec.resources.disks with a new spec.change",
            Clause.CHANGE_BY_EFFORT,
        )
    return None


def _refuse(case: Case, job: Job, reason: Reason, message: str, clause: Clause) -> Part:
    finding = fails(Aspect.RESOURCES_AS_AGREED, reason, message, clause)
    after = advanced(job.status, RequestState.REFUSED, completed_at=case.now)
    outcome = fails(Aspect.SUCCEEDED, reason, message, clause)
    return Part(findings=(finding,), actions=(*recorded(job), advance(case, job, after, outcome, clause)))


def _held(case: Case, job: Job, who: str, asked_at: datetime) -> Part | None:
    decision = authority(case.requesters, case.policy, who, asked_at)
    if decision.may_proceed:
        return None
    finding = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.REQUEST_HELD,
        f"{job.target.change} is documented and held: {decision.explanation}. An authorised requester orders it with a "
        "new spec.change, or the customer lists the person",
        Clause.AUTHORISED_REQUESTERS,
    )
    if job.status.state is RequestState.HELD:
        return Part(findings=(finding,))
    assessment = job.status.assessment or assess(RequestKind.CONFIGURATION_CHANGE, case.now)
    after = advanced(job.status, RequestState.HELD, assessment=assessment)
    outcome = unknown(Aspect.SUCCEEDED, Reason.REQUEST_HELD, finding.message, finding.clause)
    actions = (*recorded(job), advance(case, job, after, outcome, Clause.AUTHORISED_REQUESTERS))
    return Part(findings=(finding,), actions=actions)


def _priced(case: Case, job: Job) -> Part | Job:
    """Return the job, or why it waits: work that must be billed is not done while nobody knows its price."""
    words = f"{job.target.change} waits: no price is valid for work that is billed by effort"
    try:
        if case.prices is not None:
            automated_charge(case.prices, case.now, case.now)
            return job
        words += ". Set priceListRef of the Customer to an existing PriceList"
    except NoRateError as error:
        words += f": {error}. Add a rate"
    finding = fails(Aspect.RESOURCES_AS_AGREED, Reason.PRICE_UNKNOWN, words, Clause.OPTIONAL_SERVICES)
    return Part(findings=(finding,), actions=recorded(job))


def complete(case: Case, request: ChangeRequest, target: Target) -> Part:
    """Return how a change that has taken effect is recorded: the work with its price, then the request as done.

    What was sent to vCenter is done and billed, whatever the YAML says by now.
    """
    if not case.may_act:
        return Part()
    if case.facts.power is PowerState.OFF and request.status.state is RequestState.IN_WORK:
        return (
            Part()
        )  # `execution` powers it on first: after Done nobody would remember that we switched it off
    if case.prices is None:
        finding = fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.PRICE_UNKNOWN,
            f"Request {request.metadata.name} is carried out and cannot be billed: its price list is gone. Restore it",
            Clause.OPTIONAL_SERVICES,
        )
        return Part(findings=(finding,))
    begin, end, known = _work_times(case)
    after = request.spec.change.after if request.spec.change else ""
    activity = f"{target.aspect} set to {after}" + ("" if known else "; vCenter no longer tells when")
    charge = automated_charge(case.prices, begin, end)
    entry = RecordWork(
        work_entry(request, activity, begin=begin, end=end, task=case.task if known else None, charge=charge),
        _EFFORT,
    )
    status = advanced(
        request.status,
        RequestState.DONE,
        assessment=request.status.assessment or assess(RequestKind.CONFIGURATION_CHANGE, case.now),
        completed_at=case.now,
    )
    message = f"{activity}; {charge.amount} {charge.currency} for {charge.to_json()['counted']}"
    outcome = holds(Aspect.SUCCEEDED, Reason.DONE, message, _EFFORT)
    done = advance(case, Job(target, request.metadata.name, request), status, outcome, _EFFORT)
    progress = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.CHANGE_IN_PROGRESS,
        f"{activity}; the record is being closed",
        _EFFORT,
    )
    return Part(findings=(progress,), actions=(entry, done))


def _work_times(case: Case) -> tuple[datetime, datetime, bool]:
    """Return begin and end of the work, and whether vCenter still tells them."""
    task = case.task
    if task is not None and task.state is TaskState.SUCCESS and task.end is not None:
        return task.begin or task.queued_at, task.end, True
    return case.now, case.now, False


def _withdraw(case: Case, request: ChangeRequest, reason: Reason, why: str) -> Part:
    return Part(actions=(withdrawal(request, reason, why, case.now),)) if case.may_act else Part()


def withdrawal(request: ChangeRequest, reason: Reason, why: str, now: datetime) -> AdvanceRequest:
    """Return the action that ends a request without work and without a charge."""
    return AdvanceRequest(
        namespace=request.metadata.namespace,
        name=request.metadata.name,
        resource_version=request.metadata.resource_version,
        before=request.status,
        after=advanced(request.status, RequestState.WITHDRAWN, completed_at=now),
        finding=fails(
            Aspect.SUCCEEDED, reason, f"Withdrawn: {why}; nothing was done or billed", Clause.DOCUMENTED
        ),
        clause=Clause.DOCUMENTED,
    )


def _no_slip(case: Case, target: Target) -> Finding:
    if target.found > target.wanted:
        return _exceeds(target)
    if case.vm.spec.vm.origin is VMOrigin.PROVISIONED:
        return _below(target)
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.ADOPTION_PENDING,
        f"The VM was adopted with a different size: {target.change}. Order it with spec.change; it is billed by effort",
        Clause.CHANGE_BY_EFFORT,
    )


def _used_up(target: Target, used: ChangeRequest) -> Finding:
    if not _asks_for(used, target):
        return fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.CHANGE_ID_REUSED,
            f"{target.change}: the id of spec.change was used for another change, record {used.metadata.name}. Use a "
            "new id",
            Clause.DOCUMENTED,
        )
    if used.status.state is RequestState.DONE:
        return _exceeds(target) if target.found > target.wanted else _below(target)
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.ORDER_USED_UP,
        f"{target.change}: request {used.metadata.name} is {used.status.state}. Order again with a new spec.change",
        Clause.DOCUMENTED,
    )


def _exceeds(target: Target) -> Finding:
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.EXCEEDS_SPEC,
        f"The VM is larger than agreed: {target.aspect} is {target.shown(target.found)} and "
        f"{target.shown(target.wanted)} is agreed; it is neither shrunk nor billed by itself. Correct spec.resources, or "
        "order the change with a new spec.change",
        Clause.CAPACITY,
    )


def _below(target: Target) -> Finding:
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.BELOW_SPEC,
        f"The VM is smaller than agreed: {target.aspect} is {target.shown(target.found)} and "
        f"{target.shown(target.wanted)} is agreed; somebody has changed it. Order it with a new spec.change",
        Clause.CHANGE_BY_EFFORT,
    )


def _is_for(request: ChangeRequest, target: Target) -> bool:
    return request.spec.change is not None and request.spec.change.aspect == target.aspect


def _is_final(request: ChangeRequest) -> bool:
    return request.status.state in FINAL_STATES


def _asks_for(request: ChangeRequest, target: Target) -> bool:
    return request.spec.change is not None and request.spec.change.after == target.shown(target.wanted)


def recorded(job: Job) -> tuple[Action, ...]:
    """Return the creation of the job's record, where it is still to be created."""
    return (job.record,) if job.record else ()


def advance(
    case: Case, job: Job, after: ChangeRequestStatus, outcome: Finding, clause: Clause
) -> AdvanceRequest:
    """Return the action that moves the request of a job on."""
    return AdvanceRequest(
        namespace=case.vm.metadata.namespace,
        name=job.name,
        resource_version=job.request.metadata.resource_version if job.request else "",
        before=job.status,
        after=after,
        finding=outcome,
        clause=clause,
    )
