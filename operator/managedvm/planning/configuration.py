"""The billed change of a VM's size (clauses 4, 4.2, 6.3): which order covers it, and what it still waits for.

One aspect at a time is decided here: nothing to do, close an open request, refuse, wait, or carry out. Carrying out all
that is due in one go is `execution`.

An order slip (`spec.change`) orders every difference between YAML and VM that is there when it is first seen. A
difference that comes later is somebody's change of the VM, and is neither undone nor billed by itself.
"""

from managedvm.api.changerequest import ChangeRequest, RequestedChange, RequestState
from managedvm.api.managedvm import VMOrigin
from managedvm.planning.actions import RecordRequest
from managedvm.planning.case import Case, Job, advance, asked, recorded, standing_of, standing_of_request
from managedvm.planning.charges import automated_charge
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import complete, frozen, has_taken_effect, next_price, refuse, withdraw
from managedvm.planning.decisions import told, with_void
from managedvm.planning.findings import Aspect, Finding, fails, shortened, unknown
from managedvm.planning.money import NoRateError
from managedvm.planning.names import change_request_name
from managedvm.planning.observed import Unknown
from managedvm.planning.plan import Part
from managedvm.planning.reasons import Reason
from managedvm.planning.records import advanced, change_request
from managedvm.planning.standing import way_out
from managedvm.planning.targets import Target, Unit


def decide(case: Case, target: Target) -> Part | Job:
    """Return what is to be done about one aspect, or the job when it can be carried out."""
    request = case.open_request(target)
    if request is None:
        return Part() if target.is_met else _unordered(case, target)
    if has_taken_effect(case, request):
        return complete(case, request)
    ended = _unwanted(case, target, request)
    if ended is not None:
        return withdraw(case, request, *ended)
    return _released(case, target, request)


def _unwanted(case: Case, target: Target, request: ChangeRequest) -> tuple[Reason, str] | None:
    """Return why an open request is not wanted any more, or None while it is."""
    withdrawn = standing_of_request(case, request).decisions.withdrawal
    if withdrawn is not None:
        return Reason.WITHDRAWN, told(withdrawn)
    if not _asks_for(request, target):
        return Reason.TARGET_CHANGED, "spec.resources asks for something else now"
    if target.is_met:
        return Reason.ALREADY_IN_PLACE, "the VM already has the wanted value"
    if _is_superseded(case, request):
        return Reason.TARGET_CHANGED, "a new spec.change orders the same"
    return None


def settled_slip(case: Case, wanted: tuple[Target, ...]) -> str | None:
    """Return the id of the order slip that has nothing left to order: each difference is gone, or recorded with it.

    Where a change of an earlier order may still be on its way, what is met now may differ in a moment.
    """
    slip = case.vm.spec.change
    if slip is None:
        return case.settled
    is_quiet = case.running is None and case.seen_by is None and not isinstance(case.task, Unknown)

    def is_settled(target: Target) -> bool:
        is_met = target.is_met and is_quiet and case.open_request(target) is None
        return is_met or _name(case, slip.id, target) in case.requests

    return slip.id if all(is_settled(target) for target in wanted) else case.settled


def _name(case: Case, slip_id: str, target: Target) -> str:
    return change_request_name(case.vcenter_uuid, case.facts.instance_uuid, slip_id, target.aspect)


def _is_superseded(case: Case, request: ChangeRequest) -> bool:
    """Return whether a request that was held has a new order slip in its place, perhaps of somebody who may order."""
    slip, change = case.vm.spec.change, request.spec.change
    is_new = slip is not None and change is not None and slip.id != change.id
    return is_new and request.status.state is RequestState.HELD


def _unordered(case: Case, target: Target) -> Part | Job:
    """Decide about a difference that no open request covers: the order slip may be new, used up, or missing."""
    slip = case.vm.spec.change
    if slip is None:
        return Part(findings=(_no_slip(case, target),))
    name = _name(case, slip.id, target)
    used = case.requests.get(name)
    if used is not None:
        return Part(findings=(_used_up(target, used),))
    if slip.id == case.settled or case.facts.notes.get(target.note_key) == name:
        # The note outlives the record, which is pruned one day.
        return Part(findings=(_drifted(target),))
    if not case.may_act:
        return frozen(
            f"{target.change}: ordered by {slip.requested_by} with {slip.id}; would be recorded, done and billed by "
            "effort"
        )
    change = RequestedChange(
        id=slip.id, aspect=target.aspect, before=target.shown(target.found), after=target.shown(target.wanted)
    )
    body = change_request(name, case.vm, slip, of=case.identity, change=change)
    job = Job(target, name, None, RecordRequest(body, Clause.DOCUMENTED))
    return _refused(case, job) or _held(case, job) or _priced(case, job)


def _released(case: Case, target: Target, request: ChangeRequest) -> Part | Job:
    """Decide about an open request that still asks for what is wanted."""
    job = Job(target, request.metadata.name, request)
    if not case.may_act:
        return frozen(f"{target.change}: request {job.name} is open")
    return _refused(case, job) or _held(case, job) or _priced(case, job)


def _refused(case: Case, job: Job) -> Part | None:
    target = job.target
    if case.entitlement.package is None:
        return refuse(
            case,
            job,
            Reason.NO_ACTIVE_PACKAGE,
            f"{target.change} is refused: services on request need an active managed service package. Book one, then "
            "order again with a new spec.change",
            Clause.OPTIONAL_SERVICES,
        )
    if target.unit is Unit.DISK and target.wanted < target.found:
        return refuse(
            case,
            job,
            Reason.DISK_CANNOT_SHRINK,
            f"{target.change} is refused: a disk can only grow, shrinking would lose data. Restore the size in "
            "spec.resources.disks with a new spec.change",
            Clause.CHANGE_BY_EFFORT,
        )
    return None


def _held(case: Case, job: Job) -> Part | None:
    who = asked(case, job)
    stands = standing_of(case, job)
    if stands.today.may_proceed or stands.decisions.release is not None:
        return None
    words = (
        f"{job.target.change} is documented and held: {shortened(stands.today.explanation, 320)}. "
        f"{way_out(who, case.requesters, case.now)}; or an authorised requester orders it with a new spec.change"
    )
    finding = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.REQUEST_HELD,
        with_void(words, stands.decisions),
        Clause.AUTHORISED_REQUESTERS,
    )
    if job.status.state is not RequestState.ORDERED:
        # Held already, or on its way before the list changed: a request never goes back.
        return Part(findings=(finding,))
    after = advanced(job.status, RequestState.HELD, **stands.fields)
    outcome = unknown(Aspect.SUCCEEDED, Reason.REQUEST_HELD, finding.message, finding.clause)
    actions = (*recorded(job), advance(case, job, after, outcome, Clause.AUTHORISED_REQUESTERS))
    return Part(findings=(finding,), actions=actions)


def _priced(case: Case, job: Job) -> Part | Job:
    """Return the job, or why it waits: work that must be billed is not done while nobody knows its price."""
    words = f"{job.target.change} waits: no price is valid for work that is billed by effort"
    try:
        book = case.prices.at(case.now)
        if book is not None:
            automated_charge(book, case.now, case.now)
            return job
        words += ". Create the PriceList that spec.priceLists of the Customer names, or add an entry that is valid now"
    except NoRateError as error:
        words += f": {error}. Add a rate"
    finding = fails(Aspect.RESOURCES_AS_AGREED, Reason.PRICE_UNKNOWN, words, Clause.OPTIONAL_SERVICES)
    return Part(findings=(finding,), actions=recorded(job), next_check=next_price(case))


def _no_slip(case: Case, target: Target) -> Finding:
    is_made = case.vm.spec.vm.origin is VMOrigin.PROVISIONED
    if target.found > target.wanted or is_made or not _is_as_adopted(case, target):
        return _drifted(target)
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.ADOPTION_PENDING,
        f"The VM was adopted with a different size: {target.change}. Order it with spec.change; it is billed by effort",
        Clause.CHANGE_BY_EFFORT,
    )


def _is_as_adopted(case: Case, target: Target) -> bool:
    """Return whether the VM still has the value that was found when it was adopted."""
    known = case.vm.status.configuration
    if known is None:
        return True
    size = known.baseline
    match target.unit:
        case Unit.CPUS:
            was = str(size.cpus)
        case Unit.MEMORY:
            was = size.memory
        case Unit.DISK:
            was = size.disks.get(target.disk.device_node, "") if target.disk else ""
    return was == target.shown(target.found)


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
        return _drifted(target)
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.ORDER_USED_UP,
        f"{target.change}: request {used.metadata.name} is {used.status.state}{_why(used)}. Order again with a new "
        "spec.change",
        Clause.DOCUMENTED,
    )


def _why(used: ChangeRequest) -> str:
    """Return in words what has made a power cycle end without its change, where that is why the request was refused."""
    note = used.status.interruption
    return f": {note.message}" if note is not None and used.status.state is RequestState.REFUSED else ""


def _drifted(target: Target) -> Finding:
    """Return the finding for a difference that nobody has ordered: the VM is larger or smaller than agreed."""
    found, wanted = target.shown(target.found), target.shown(target.wanted)
    if target.found > target.wanted:
        return fails(
            Aspect.RESOURCES_AS_AGREED,
            Reason.EXCEEDS_SPEC,
            f"The VM is larger than agreed: {target.aspect} is {found} and {wanted} is agreed; it is neither shrunk nor "
            "billed by itself. Correct spec.resources, or order the change with a new spec.change",
            Clause.CAPACITY,
        )
    return fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.BELOW_SPEC,
        f"The VM is smaller than agreed: {target.aspect} is {found} and {wanted} is agreed; somebody has changed it. "
        "Order it with a new spec.change",
        Clause.CHANGE_BY_EFFORT,
    )


def _asks_for(request: ChangeRequest, target: Target) -> bool:
    return request.spec.change is not None and request.spec.change.after == target.shown(target.wanted)
