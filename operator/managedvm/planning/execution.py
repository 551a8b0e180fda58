"""Carrying changes of size out: hot where the VM allows it, else powered off inside a maintenance window (clause 5.1).

All that can be done at one time is one reconfiguration. The guest is asked to shut down, within a limit; the operator
never switches a customer's VM off hard, and powers on only what it has asked to shut down itself.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from managedvm.api.changerequest import Assessment, RequestKind, RequestState, Slot
from managedvm.api.managedvm import RestartPolicy
from managedvm.planning.actions import Action, ConfirmUnchanged, PowerOn, Reconfigure, ShutDownGuest
from managedvm.planning.calendar import Interval
from managedvm.planning.clauses import Clause
from managedvm.planning.configuration import Case, Job, advance, recorded
from managedvm.planning.findings import Aspect, Finding, Reason, fails, unknown
from managedvm.planning.observed import RECONFIGURE, PowerState, TaskState, VirtualMachine
from managedvm.planning.plan import Part, joined
from managedvm.planning.records import advanced, assess
from managedvm.planning.targets import Target, Unit

POWER_CYCLE = timedelta(minutes=10)
"""How long shutting down, reconfiguring and starting may take: what must be left of a window to begin."""

SHUTDOWN_LIMIT = timedelta(minutes=5)
"""How long the guest has for shutting down before we stop waiting for it."""

RETRY_AFTER = timedelta(minutes=5)
"""How long a refused reconfiguration rests before it is tried again."""


def execute(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return what is done now for the jobs, and what they wait for."""
    if case.facts.task is not None and case.facts.task.is_running:
        words = f"{_changes(jobs)}: vCenter is working on {case.facts.task.moref}"
        return Part(findings=(_progress(words),), actions=tuple(a for job in jobs for a in recorded(job)))
    failed = _failed(case, jobs)
    if failed is not None:
        return failed
    if case.facts.power is not PowerState.ON:
        return _reconfigure(case, jobs)
    hot = tuple(job for job in jobs if is_hot(job.target, case.facts))
    cold = tuple(job for job in jobs if not is_hot(job.target, case.facts))
    parts = [_reconfigure(case, hot)] if hot else []
    if cold:
        parts.append(_in_window(case, cold))
    return joined(parts)


def execute_initial(case: Case, unmet: tuple[Target, ...]) -> Part:
    """Return how a VM that was made for its order gets its first size: included, so without a record (clause 6.3)."""
    changes = ", ".join(target.change for target in unmet)
    if case.entitlement.package is None:
        words = f"Initial configuration ({changes}) needs an active managed service package"
        return Part(findings=(_initially(Reason.NO_ACTIVE_PACKAGE, words),))
    if not case.may_act:
        words = (
            f"Initial configuration ({changes}) is pending; nothing is changed here now, see ChangesPermitted"
        )
        return Part(findings=(_initially(Reason.ADOPTION_PENDING, words),))
    if case.facts.task is not None and case.facts.task.is_running:
        return Part(findings=(_initially(Reason.CHANGE_IN_PROGRESS, f"vCenter is setting {changes}"),))
    shrunk = [target for target in unmet if target.unit is Unit.DISK and target.wanted < target.found]
    if shrunk:
        words = f"Initial configuration ({changes}): a disk can only grow. Make the VM with smaller disks"
        return Part(findings=(_initially(Reason.DISK_CANNOT_SHRINK, words),))
    now_possible = tuple(t for t in unmet if case.facts.power is not PowerState.ON or is_hot(t, case.facts))
    if not now_possible:
        words = (
            f"Initial configuration ({changes}) needs the VM powered off. Shut it down, it is not in use yet"
        )
        return Part(findings=(_initially(Reason.RESTART_NOT_ALLOWED, words),))
    act = _change(case, now_possible, Clause.INITIAL_CONFIGURATION, notes={})
    return Part(
        findings=(_initially(Reason.CHANGE_IN_PROGRESS, f"Initial configuration: {changes}"),), actions=(act,)
    )


def _initially(reason: Reason, words: str) -> Finding:
    return fails(Aspect.RESOURCES_AS_AGREED, reason, words, Clause.INITIAL_CONFIGURATION)


def _change(case: Case, wanted: tuple[Target, ...], clause: Clause, notes: Mapping[str, str]) -> Reconfigure:
    values = {target.unit: target.wanted for target in wanted if target.unit is not Unit.DISK}
    return Reconfigure(
        vm=case.facts.moref,
        change_version=case.facts.change_version,
        clause=clause,
        cpus=values.get(Unit.CPUS),
        memory_mib=values.get(Unit.MEMORY),
        disks={target.device_key: target.wanted for target in wanted if target.unit is Unit.DISK},
        notes=notes,
    )


def is_hot(target: Target, vm: VirtualMachine) -> bool:
    """Return whether a running VM takes the change: asked of its own flags, increment and limit."""
    more = target.wanted - target.found
    match target.unit:
        case Unit.CPUS:
            return more > 0 and vm.cpu_hot_add
        case Unit.MEMORY:
            step = max(vm.hot_add_increment_mib, 1)
            fits = vm.hot_add_limit_mib <= 0 or target.wanted <= vm.hot_add_limit_mib
            return more > 0 and vm.memory_hot_add and more % step == 0 and fits
        case Unit.DISK:
            return more > 0


def _reconfigure(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return intent and act: the records first, one more look at the order, then one reconfiguration for all."""
    notes = {job.target.note_key: job.name for job in jobs}
    act = _change(case, tuple(job.target for job in jobs), Clause.CHANGE_BY_EFFORT, notes)
    records = (action for job in jobs for action in recorded(job))
    return Part(
        findings=(_progress(f"{_changes(jobs)} is being set"),), actions=(*records, _confirmed(case), act)
    )


def _in_window(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return how changes that need a power cycle go on: permission, slot, shutdown."""
    records = tuple(action for job in jobs for action in recorded(job))
    if case.vm.spec.restart_policy is RestartPolicy.NEVER:
        finding = _waits(
            Reason.RESTART_NOT_ALLOWED,
            f"{_changes(jobs)} needs a power cycle, and spec.restartPolicy is Never. Set it to InWindow, or shut the VM "
            "down yourself",
        )
        return Part(findings=(finding,), actions=records)
    slots = [_slot(case, job) for job in jobs]
    if any(slot is None for slot in slots):
        finding = _waits(
            Reason.NO_WINDOW,
            f"{_changes(jobs)} needs a power cycle of up to {_minutes(POWER_CYCLE)} min, and no maintenance window fits. "
            "Agree on windows in spec.maintenance.agreed",
        )
        return Part(findings=(finding,), actions=records)
    # All of them are done in one power cycle, so they wait for the latest of their slots.
    slot = max((s for s in slots if s is not None), key=lambda s: s.begin)
    if not slot.begin <= case.now < slot.end:
        return _scheduled(case, jobs, slot)
    return _power_cycle(case, jobs, slot)


def _slot(case: Case, job: Job) -> Interval | None:
    """Return the window that the job waits for: the one promised earlier as long as it lasts, else the next."""
    planned = job.status.slot
    if planned is not None and case.now < planned.end:
        return Interval(planned.begin, planned.end)
    if case.windows is None:
        return None
    if planned is not None:
        return case.windows.next_opening(case.now, POWER_CYCLE)
    return case.windows.first_announceable(case.now, POWER_CYCLE)


def _scheduled(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    announced = case.windows is not None and case.windows.announcement is not None
    words = f"{_changes(jobs)} needs a power cycle and is planned for {slot.begin:%Y-%m-%dT%H:%M:%SZ}"
    if announced:
        words += "; tell the customer, this level's maintenance is announced"
    finding = fails(Aspect.RESOURCES_AS_AGREED, Reason.WAITING_FOR_WINDOW, words, Clause.MAINTENANCE_WINDOW)
    outcome = unknown(Aspect.SUCCEEDED, Reason.SCHEDULED, words, Clause.MAINTENANCE_WINDOW)
    planned = Slot(begin=slot.begin, end=slot.end)
    actions: list[Action] = []
    for job in jobs:
        actions += recorded(job)
        if job.status.slot != planned:
            state = max_state(job.status.state, RequestState.SCHEDULED)
            after = advanced(
                job.status, state, slot=planned, assessment=job.status.assessment or _assessed(case)
            )
            actions.append(advance(case, job, after, outcome, Clause.MAINTENANCE_WINDOW))
    return Part(findings=(finding,), actions=tuple(actions), next_check=slot.begin)


def _power_cycle(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    """Return the next step inside the window; the guest was asked already when the request says so."""
    asked = [
        job.status.started_at for job in jobs if job.status.started_at and job.status.started_at >= slot.begin
    ]
    if not asked:
        return _ask_guest(case, jobs, slot)
    until = min(asked) + SHUTDOWN_LIMIT
    if case.now < until:
        words = f"{_changes(jobs)}: the guest is shutting down"
        return Part(findings=(_progress(words),), next_check=until)
    finding = _waits(
        Reason.SHUTDOWN_TIMED_OUT,
        f"{_changes(jobs)}: the guest has not shut down within {_minutes(SHUTDOWN_LIMIT)} min, and we pull no plug. It is "
        f"asked again in the next window, unless you shut it down before {slot.end:%Y-%m-%dT%H:%M:%SZ}",
    )
    return Part(findings=(finding,), next_check=slot.end)


def _ask_guest(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    if slot.end - case.now < POWER_CYCLE:
        following = case.windows.next_opening(slot.end, POWER_CYCLE) if case.windows else None
        return (
            _scheduled(case, jobs, following)
            if following
            else Part(findings=(_waits(Reason.NO_WINDOW, _changes(jobs)),))
        )
    if not case.facts.tools_running:
        finding = _waits(
            Reason.TOOLS_NOT_RUNNING,
            f"{_changes(jobs)}: the guest cannot be asked to shut down because VMware Tools do not run",
        )
        return Part(findings=(finding,), next_check=slot.end)
    planned = Slot(begin=slot.begin, end=slot.end)
    words = f"{_changes(jobs)}: the guest is asked to shut down"
    outcome = unknown(Aspect.SUCCEEDED, Reason.IN_WORK, words, Clause.MAINTENANCE_WINDOW)
    actions: list[Action] = []
    for job in jobs:
        actions += recorded(job)
        after = advanced(
            job.status,
            RequestState.IN_WORK,
            slot=planned,
            started_at=case.now,
            assessment=job.status.assessment or _assessed(case),
        )
        actions.append(advance(case, job, after, outcome, Clause.MAINTENANCE_WINDOW))
    return Part(
        findings=(_progress(words),),
        actions=(_confirmed(case), *actions, ShutDownGuest(case.facts.moref)),
        next_check=case.now + SHUTDOWN_LIMIT,
    )


def power_on_again(case: Case, requests: Iterable[Job]) -> Part:
    """Return the act that starts a VM which was shut down for requests that have now taken effect."""
    ours = [
        job
        for job in requests
        if job.status.state is RequestState.IN_WORK and case.facts.notes.get(job.target.note_key) == job.name
    ]
    if not ours or case.facts.power is not PowerState.OFF or not case.may_act:
        return Part()
    if case.facts.task is not None and case.facts.task.is_running:
        return Part()
    return Part(
        findings=(_progress("The VM is started again after the change"),),
        actions=(PowerOn(case.facts.moref),),
    )


def _failed(case: Case, jobs: tuple[Job, ...]) -> Part | None:
    """Return why nothing is tried now: vCenter has refused this very change a short while ago."""
    task = case.facts.task
    if task is None or task.method != RECONFIGURE or task.state is not TaskState.ERROR or task.end is None:
        return None
    again = task.end + RETRY_AFTER
    if again <= case.now:
        return None
    finding = _waits(
        Reason.CHANGE_FAILED,
        f"{_changes(jobs)}: vCenter has refused it in {task.moref}: {task.fault} {task.message}".rstrip()
        + f". It is tried again at {again:%Y-%m-%dT%H:%M:%SZ}",
    )
    return Part(
        findings=(finding,), actions=tuple(a for job in jobs for a in recorded(job)), next_check=again
    )


def max_state(first: RequestState, second: RequestState) -> RequestState:
    """Return the later of two states: a request only advances."""
    order = list(RequestState)
    return max(first, second, key=order.index)


def _confirmed(case: Case) -> ConfirmUnchanged:
    meta = case.vm.metadata
    return ConfirmUnchanged(meta.namespace, meta.name, meta.uid, meta.generation, case.claim)


def _assessed(case: Case) -> Assessment:
    return assess(RequestKind.CONFIGURATION_CHANGE, case.now)


def _changes(jobs: tuple[Job, ...]) -> str:
    return ", ".join(job.target.change for job in jobs)


def _progress(words: str) -> Finding:
    return fails(Aspect.RESOURCES_AS_AGREED, Reason.CHANGE_IN_PROGRESS, words, Clause.CHANGE_BY_EFFORT)


def _waits(reason: Reason, words: str) -> Finding:
    return fails(Aspect.RESOURCES_AS_AGREED, reason, words, Clause.MAINTENANCE_WINDOW)


def _minutes(duration: timedelta) -> int:
    return int(duration.total_seconds() // 60)
