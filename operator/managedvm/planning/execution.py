"""Carrying changes of size out (clauses 5.1, 6.3): hot where the VM allows it, else by a power cycle in a window.

All that can be done at one time is one reconfiguration. While vCenter works on the VM, and while the VM is off because
of us, nothing else is decided.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from managedvm.api.changerequest import InterruptionCause
from managedvm.planning.actions import Reconfigure, ShutDownGuest
from managedvm.planning.case import Case, Job, aspect_of
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import abandoned, has_taken_effect
from managedvm.planning.configuration import decide
from managedvm.planning.findings import Aspect, Finding, fails, shortened, some, unknown
from managedvm.planning.observed import RECONFIGURE, PowerState, TaskFacts, Unknown, VirtualMachine
from managedvm.planning.plan import Part, joined
from managedvm.planning.powercycle import (
    POWER_CYCLE,
    asked_until,
    back_again,
    changes,
    confirmed,
    give_up_slot,
    in_window,
    missed,
    progress,
    records,
    slot_over_at,
    waits,
)
from managedvm.planning.poweron import ShutDown, interrupted, shut_down, start_again
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import refusal, refused, rests_until
from managedvm.planning.targets import Target, Unit, effort_notes
from managedvm.planning.undo import undo

LOOK_AGAIN = timedelta(minutes=1)
"""How long we wait before reading once more what vCenter is working on."""


def resize(case: Case, wanted: tuple[Target, ...]) -> Part:
    """Return what is done about the size: each aspect is decided alone, what is due is carried out together."""
    open_requests = case.open_requests
    if case.running is not None:
        # What is on its way is judged at its end: a request is never withdrawn while its change is being made.
        is_quiet = not open_requests and all(target.is_met for target in wanted)
        words = f"vCenter is working on {case.running.moref} ({case.running.method})"
        return Part() if is_quiet else Part(findings=(progress(words),))
    if isinstance(case.task, Unknown) and open_requests and not _is_down_for_long(case):
        words = f"Whether vCenter is changing the VM cannot be read: {shortened(case.task.reason)}; nothing is concluded"
        finding = unknown(
            Aspect.RESOURCES_AS_AGREED, Reason.VCENTER_UNREACHABLE, words, Clause.CHANGE_BY_EFFORT
        )
        return Part(findings=(finding,), next_check=case.now + LOOK_AGAIN)
    decided = [decide(case, target) for target in wanted]
    jobs = tuple(job for job in decided if isinstance(job, Job))
    down = shut_down(case.facts, open_requests)
    if down is not None:
        return _while_down(case, down, jobs)
    returned = back_again(case)
    if returned is not None:
        return returned
    over = missed(case)
    if over and case.may_act:
        return give_up_slot(case, over)
    asked_for = {target.aspect for target in wanted}
    return joined(
        (
            *(part for part in decided if isinstance(part, Part)),
            *(abandoned(case, r) for r in open_requests if aspect_of(r) not in asked_for),
            execute(case, jobs) if jobs else Part(),
            Part(next_check=slot_over_at(case) if case.may_act else None),
        )
    )


def _is_down_for_long(case: Case) -> bool:
    """Return whether the VM was asked to shut down so long ago that it must not wait for one more read."""
    over = asked_until(case)
    return case.facts.power is PowerState.OFF and over is not None and over + POWER_CYCLE <= case.now


def _while_down(case: Case, down: ShutDown, jobs: tuple[Job, ...]) -> Part:
    """Return what is left to do while the VM is off because of us; nothing else is decided until it runs again.

    A change is tried once while the VM is down. Where vCenter refuses it, the request says so before the VM is started,
    and ends when it runs: nothing is shut down a second time for what was refused.
    """
    start = start_again(down, case.now, may_act=case.may_act)
    if not case.may_act:
        return start
    refusing, _ = _refused_task(case)
    undoing = undo(case) if refusing is None else None
    if undoing is not None:
        return undoing
    todo = tuple(job for job in jobs if job.status.interruption is None)
    is_time = not down.is_slot_over(case.now) and not isinstance(case.task, Unknown)
    if todo and is_time and refusing is None:
        return _reconfigure(case, todo)
    if refusing is not None:
        marked = [job.request for job in todo if job.request is not None]
        why, cause = refused(refusing), InterruptionCause.REFUSED
    else:
        marked = [r for r in down.asked if r.status.interruption is None and not has_taken_effect(case, r)]
        why, cause = "something stood in its way, see ResourcesAsAgreed", InterruptionCause.STOPPED
    notes = (interrupted(request, cause, why, case.now) for request in marked)
    return joined((*(Part(actions=(note,)) for note in notes), start))


def execute(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return what is done now for the jobs, and what they wait for."""
    resting = _resting(case, jobs)
    if resting is not None:
        return resting
    match case.facts.power:
        case PowerState.OFF:
            return _reconfigure(case, jobs)
        case PowerState.SUSPENDED:
            words = f"{changes(jobs)} waits: the VM is suspended. Resume it, or shut it down"
            return Part(findings=(waits(Reason.VM_SUSPENDED, words),), actions=records(jobs))
        case PowerState.ON:
            return _while_on(case, jobs)


def _while_on(case: Case, jobs: tuple[Job, ...]) -> Part:
    hot = tuple(job for job in jobs if is_hot(job.target, case.facts))
    cold = tuple(job for job in jobs if not is_hot(job.target, case.facts))
    if not cold:
        return _reconfigure(case, hot)
    later = in_window(case, cold)
    until = asked_until(case)
    is_going_down = until is not None and case.now < until
    if not hot:
        return later
    if is_going_down or any(isinstance(action, ShutDownGuest) for action in later.actions):
        # A task on a VM that is shutting down fails; in a moment it can be done with the others.
        words = f"{changes(hot)} is done in the same power cycle"
        return joined((Part(findings=(progress(words),), actions=records(hot)), later))
    return joined((later, _reconfigure(case, hot)))


def execute_initial(case: Case, unmet: tuple[Target, ...]) -> Part:
    """Return how a VM that was made for its order gets its first size: included, so without a record (clause 6.3)."""
    listed = some([target.change for target in unmet])
    obstacle = _obstacle(case, unmet, f"Initial configuration ({listed})")
    if obstacle is not None:
        return obstacle
    is_off, is_on = case.facts.power is PowerState.OFF, case.facts.power is PowerState.ON
    now_possible = tuple(t for t in unmet if is_off or (is_on and is_hot(t, case.facts)))
    if not now_possible:
        words = (
            f"Initial configuration ({listed}) needs the VM powered off. Shut it down, it is not in use yet"
        )
        return Part(findings=(_initially(Reason.RESTART_NOT_ALLOWED, words),))
    act = _change(case, now_possible, Clause.INITIAL_CONFIGURATION, notes={})
    finding = _initially(Reason.CHANGE_IN_PROGRESS, f"Initial configuration: {listed}")
    return Part(findings=(finding,), actions=(confirmed(case), act))


def _obstacle(case: Case, unmet: tuple[Target, ...], what: str) -> Part | None:
    """Return what stands in the way of the initial configuration now, if anything does."""
    if case.entitlement.package is None:
        words = f"{what} needs an active managed service package"
        return Part(findings=(_initially(Reason.NO_ACTIVE_PACKAGE, words),))
    if not case.may_act:
        words = f"{what} is pending; nothing is changed here now, see ChangesPermitted"
        return Part(findings=(_initially(Reason.ADOPTION_PENDING, words),))
    if case.running is not None:
        return Part(findings=(_initially(Reason.CHANGE_IN_PROGRESS, f"{what}: vCenter is at work"),))
    task, again = _refused_task(case)
    if task is not None and again is not None:
        finding = _initially(Reason.CHANGE_FAILED, f"{what}: {refusal(task, again)}")
        return Part(findings=(finding,), next_check=again)
    if any(target.unit is Unit.DISK and target.wanted < target.found for target in unmet):
        words = f"{what}: a disk can only grow. Make the VM with smaller disks"
        return Part(findings=(_initially(Reason.DISK_CANNOT_SHRINK, words),))
    return None


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
            is_ide = target.disk is not None and target.disk.device_node.startswith("IDE")
            return more > 0 and not is_ide


def _reconfigure(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return intent and act: the records first, one more look at the order, then one reconfiguration for all."""
    notes = {job.target.note_key: job.name for job in jobs}
    if len(jobs) > 1:
        notes |= effort_notes({job.target.aspect: job.name for job in jobs})
    act = _change(case, tuple(job.target for job in jobs), Clause.CHANGE_BY_EFFORT, notes)
    finding = progress(f"{changes(jobs)} is being set")
    return Part(findings=(finding,), actions=(*records(jobs), confirmed(case), act))


def _resting(case: Case, jobs: tuple[Job, ...]) -> Part | None:
    """Return why nothing is tried now: vCenter has refused a reconfiguration a short while ago."""
    task, again = _refused_task(case)
    if task is None or again is None:
        return None
    finding = waits(Reason.CHANGE_FAILED, f"{changes(jobs)}: {refusal(task, again)}")
    return Part(findings=(finding,), actions=records(jobs), next_check=again)


def _refused_task(case: Case) -> tuple[TaskFacts | None, datetime | None]:
    """Return the reconfiguration that was refused lately, and when it may be tried again."""
    for task in (case.facts.refusal_of(RECONFIGURE), case.task):
        again = rests_until(task, case.now) if isinstance(task, TaskFacts) else None
        if isinstance(task, TaskFacts) and again is not None:
            return task, again
    return None, None
