"""Changes that need the VM off (clause 5.1): a slot in a maintenance window, the guest asked, and started again after.

The guest is asked to shut down, within a limit; the operator never switches a customer's VM off hard. It powers on what
it has asked to shut down, and nothing else: what the customer has switched off stays off.
"""

from datetime import datetime, timedelta

from managedvm.api.changerequest import (
    ChangeRequest,
    Interruption,
    InterruptionCause,
    RequestState,
    Slot,
)
from managedvm.api.managedvm import RestartPolicy
from managedvm.planning.actions import Action, AdvanceRequest, ConfirmUnchanged, ReserveSlot, ShutDownGuest
from managedvm.planning.calendar import Interval
from managedvm.planning.case import Case, Job, advance, moved_on, recorded, standing_of, was_asked
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import has_taken_effect
from managedvm.planning.findings import Aspect, Finding, fails, some, unknown
from managedvm.planning.observed import SHUT_DOWN, PowerState, TaskFacts
from managedvm.planning.plan import Part, earliest, joined
from managedvm.planning.poweron import runs_since
from managedvm.planning.reasons import Reason
from managedvm.planning.records import advanced, later
from managedvm.planning.retry import refusal, refused, rests_until
from managedvm.planning.wallclock import shown

POWER_CYCLE = timedelta(minutes=10)
"""How long shutting down, reconfiguring and starting may take: what must be left of a window to begin."""

SHUTDOWN_LIMIT = timedelta(minutes=5)
"""How long the guest has for shutting down before we stop waiting for it."""


ASK_AGAIN = timedelta(seconds=30)
"""After how long a guest that still runs is asked once more; to one that is shutting down it makes no difference."""

ORDER_AGAIN = "Order again with a new spec.change once that is mended"
"""What a person can do about a request that vCenter has refused."""

LONGEST_SLOT = timedelta(days=1)
"""How much of a window is taken that is open for longer, or always: a slot has an end, or a guest that has not shut
down in it would never be asked again."""


def in_window(case: Case, jobs: tuple[Job, ...]) -> Part:
    """Return how changes that need a power cycle go on: permission, slot, shutdown."""
    if case.vm.spec.restart_policy is RestartPolicy.NEVER:
        words = (
            f"{changes(jobs)} needs a power cycle, and spec.restartPolicy is Never. Set it to InWindow, or shut the VM "
            "down yourself"
        )
        return Part(findings=(waits(Reason.RESTART_NOT_ALLOWED, words),), actions=records(jobs))
    slot = _slot(case, jobs)
    if slot is None:
        words = (
            f"{changes(jobs)} needs a power cycle of up to {_minutes(POWER_CYCLE)} min, and no maintenance window fits. "
            "Agree on windows in spec.maintenance.agreed"
        )
        return Part(findings=(waits(Reason.NO_WINDOW, words),), actions=records(jobs))
    if case.now not in slot:
        return _scheduled(case, jobs, slot)
    return _power_cycle(case, jobs, slot)


def _slot(case: Case, jobs: tuple[Job, ...]) -> Interval | None:
    """Return the window of the power cycle: the earliest that was promised, else the next that can be announced.

    One power cycle serves all jobs. What is ordered later joins it, since the customer knows of that one already.
    """
    promised = [slot for job in jobs if (slot := _promised(case, job)) is not None]
    if promised:
        return min(promised, key=lambda slot: slot.begin)
    opening = case.windows.first_announceable(case.now, POWER_CYCLE) if case.windows is not None else None
    if opening is None or opening.length <= LONGEST_SLOT:
        return opening
    begin = max(opening.begin, case.now)
    return Interval(begin, begin + LONGEST_SLOT)


def _promised(case: Case, job: Job) -> Interval | None:
    """Return the slot that the request names while it can be kept.

    Once the guest was asked it is kept to its end, or nobody would know who has shut the VM down.
    """
    planned = job.status.slot
    if planned is None or case.now >= planned.end:
        return None
    slot = Interval(planned.begin, planned.end)
    if was_asked(job.status):
        return slot
    begin = max(slot.begin, case.now)
    opening = case.windows.current(begin) if case.windows is not None else None
    is_open = opening is not None and slot.end <= opening.end
    return slot if is_open and slot.end - begin >= POWER_CYCLE else None


def _scheduled(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    words = f"{changes(jobs)} needs a power cycle and is planned for {shown(slot.begin)}"
    if case.windows is not None and case.windows.announcement is not None:
        words += "; tell the customer, this level's maintenance is announced"
    finding = waits(Reason.WAITING_FOR_WINDOW, words)
    outcome = unknown(Aspect.SUCCEEDED, Reason.SCHEDULED, words, Clause.MAINTENANCE_WINDOW)
    planned = Slot(begin=slot.begin, end=slot.end)
    actions: list[Action] = []
    for job in jobs:
        actions += recorded(job)
        if job.status.slot != planned:
            after = advanced(
                job.status,
                later(job.status.state, RequestState.SCHEDULED),
                slot=planned,
                **standing_of(case, job).fields,
            )
            actions.append(advance(case, job, after, outcome, Clause.MAINTENANCE_WINDOW))
    return Part(findings=(finding,), actions=tuple(actions), next_check=slot.begin)


def _power_cycle(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    """Return the next step inside the window; the guest was asked already when a request says so."""
    until = asked_until(case)
    if until is None:
        return _ask_guest(case, jobs, slot)
    denied = _not_asked(case)
    if denied is not None:
        return _ask_once_more(case, jobs, slot, denied)
    if case.now < until:
        return _while_shutting_down(case, jobs, until)
    words = (
        f"{changes(jobs)}: the guest has not shut down within {_minutes(SHUTDOWN_LIMIT)} min, and we pull no plug. It is "
        f"asked again in the next window, unless you shut it down before {shown(slot.end)}"
    )
    finding = waits(Reason.SHUTDOWN_TIMED_OUT, words)
    return Part(findings=(finding,), actions=records(jobs), next_check=slot.end)


def _not_asked(case: Case) -> TaskFacts | None:
    """Return vCenter's refusal to ask the guest, where the last try was refused: then nobody waits for the guest."""
    denied, until = case.facts.refusal_of(SHUT_DOWN), asked_until(case)
    is_since = denied is not None and until is not None and until - SHUTDOWN_LIMIT <= denied.seen_at
    return denied if is_since else None


def _ask_once_more(case: Case, jobs: tuple[Job, ...], slot: Interval, denied: TaskFacts) -> Part:
    """Return the next try to ask a guest that vCenter did not ask for us, after a rest and while the window lasts."""
    again = rests_until(denied, case.now)
    is_fit = case.windows is not None and case.windows.fits(case.now, POWER_CYCLE)
    if again is None and is_fit and case.facts.tools_running:
        return _ask_guest(case, jobs, slot)
    words = f"{changes(jobs)}: the guest cannot be asked to shut down. {refusal(denied, again or slot.end)}"
    finding = waits(Reason.CHANGE_FAILED, words)
    return Part(findings=(finding,), actions=records(jobs), next_check=again or slot.end)


def _while_shutting_down(case: Case, jobs: tuple[Job, ...], until: datetime) -> Part:
    """Return the wait for the guest, which is asked again: who wrote that it was asked may have died before asking."""
    finding = progress(f"{changes(jobs)}: the guest is shutting down")
    again = until - SHUTDOWN_LIMIT + ASK_AGAIN
    if case.now < again:
        return Part(findings=(finding,), actions=records(jobs), next_check=again)
    # Only a request that is still to be carried out asks again: it stays open, and so remembers that we have asked.
    is_fit = case.windows is not None and case.windows.fits(case.now, POWER_CYCLE)
    if not is_fit or not case.facts.tools_running or not any(was_asked(job.status) for job in jobs):
        return Part(findings=(finding,), actions=records(jobs), next_check=until)
    moref = case.facts.moref
    ask = (*records(jobs), confirmed(case), ReserveSlot(moref), ShutDownGuest(moref))
    return Part(findings=(finding,), actions=ask, next_check=min(until, case.now + ASK_AGAIN))


def asked_until(case: Case) -> datetime | None:
    """Return until when we wait for the guest that we have asked to shut down, or None when it was not asked."""
    waiting = (r for r in case.open_requests if was_asked(r.status) and not has_taken_effect(case, r))
    asked_at = earliest(r.status.started_at for r in waiting)
    return asked_at + SHUTDOWN_LIMIT if asked_at else None


def _ask_guest(case: Case, jobs: tuple[Job, ...], slot: Interval) -> Part:
    if not case.facts.tools_running:
        words = f"{changes(jobs)}: the guest cannot be asked to shut down because VMware Tools do not run"
        finding = waits(Reason.TOOLS_NOT_RUNNING, words)
        too_late = slot.end - POWER_CYCLE + timedelta(seconds=1)
        return Part(findings=(finding,), actions=records(jobs), next_check=too_late)
    words = f"{changes(jobs)}: the guest is asked to shut down"
    outcome = unknown(Aspect.SUCCEEDED, Reason.IN_WORK, words, Clause.MAINTENANCE_WINDOW)
    moref, actions = case.facts.moref, list[Action]()
    for job in jobs:
        after = advanced(
            job.status,
            RequestState.IN_WORK,
            slot=Slot(begin=slot.begin, end=slot.end),
            started_at=case.now,
            interruption=None,
            **standing_of(case, job).fields,
        )
        actions.append(advance(case, job, after, outcome, Clause.MAINTENANCE_WINDOW))
    return Part(
        findings=(progress(words),),
        # The order and the room in vCenter are looked at before the request says that the guest was asked: else a
        # change of the YAML in between would cost the window, and others at work would keep the VM down.
        actions=(*records(jobs), confirmed(case), ReserveSlot(moref), *actions, ShutDownGuest(moref)),
        next_check=case.now + SHUTDOWN_LIMIT,
    )


def slot_over_at(case: Case) -> datetime | None:
    """Return when the slot is over in which the guest was asked, or None where it was not asked."""
    return earliest(r.status.slot.end for r in case.open_requests if r.status.slot and was_asked(r.status))


def missed(case: Case) -> tuple[ChangeRequest, ...]:
    """Return the requests for which the guest was asked in a slot that is over, without having shut down."""
    over = slot_over_at(case)
    if case.facts.power is PowerState.OFF or over is None or case.now < over:
        return ()
    return tuple(r for r in case.open_requests if was_asked(r.status))


def give_up_slot(case: Case, requests: tuple[ChangeRequest, ...]) -> Part:
    """Return the end of a slot in which the guest has not shut down: who switches the VM off from now on is not us."""
    denied = _not_asked(case)
    words = (
        "The guest has not shut down in its slot, and we pull no plug; it is asked again in the next window"
        if denied is None
        else f"The guest could not be asked to shut down in its slot: {refused(denied)}; it is asked in the next window"
    )
    outcome = unknown(Aspect.SUCCEEDED, Reason.SHUTDOWN_TIMED_OUT, words, Clause.MAINTENANCE_WINDOW)
    actions = (
        moved_on(r, advanced(r.status, r.status.state, slot=None), outcome, Clause.MAINTENANCE_WINDOW)
        for r in requests
    )
    return Part(findings=(waits(Reason.SHUTDOWN_TIMED_OUT, words),), actions=tuple(actions))


def back_again(case: Case) -> Part | None:
    """Return what becomes of requests whose VM runs again without their change; None where there is none.

    What vCenter refuses comes to its end, so that no guest is shut down for it again. What was stopped by something else
    waits for the next window, and who switches the VM off from now on is not us.
    """
    waiting = [
        (r, r.status.interruption, since)
        for r in case.open_requests
        if (since := runs_since(r, case.facts)) is not None and not has_taken_effect(case, r)
    ]
    returned = [(r, note, since) for r, note, since in waiting if note is not None and _is_unsettled(r, note)]
    if not returned or not case.may_act:
        return None
    known_at = max(since for _, _, since in returned)
    if case.now < known_at:
        return Part(findings=(progress("The VM is started again without the change"),), next_check=known_at)
    ends = (_returned(case, request, note) for request, note, _ in returned)
    words = some([note.message for _, note, _ in returned], most=1)
    finding = progress(f"The VM was started again without the change: {words}")
    return joined((Part(findings=(finding,)), *(Part(actions=(end,)) for end in ends)))


def _is_unsettled(request: ChangeRequest, note: Interruption) -> bool:
    return note.cause is InterruptionCause.REFUSED or was_asked(request.status)


def _returned(case: Case, request: ChangeRequest, note: Interruption) -> AdvanceRequest:
    """Return the end of a request that vCenter refuses, or of the slot of one that was stopped."""
    if note.cause is InterruptionCause.REFUSED:
        words = f"The VM was started again without the change, and nothing is billed: {note.message}. {ORDER_AGAIN}"
        after = advanced(request.status, RequestState.REFUSED, completed_at=case.now)
        outcome = fails(Aspect.SUCCEEDED, Reason.CHANGE_FAILED, words, Clause.CHANGE_BY_EFFORT)
        return moved_on(request, after, outcome, Clause.CHANGE_BY_EFFORT)
    words = f"The VM was started again without the change: {note.message}. It is done in the next window"
    outcome = unknown(Aspect.SUCCEEDED, Reason.SCHEDULED, words, Clause.MAINTENANCE_WINDOW)
    after = advanced(request.status, request.status.state, slot=None)
    return moved_on(request, after, outcome, Clause.MAINTENANCE_WINDOW)


def confirmed(case: Case) -> ConfirmUnchanged:
    """Return the last look at the order and the claim before an act."""
    meta = case.vm.metadata
    return ConfirmUnchanged(meta.namespace, meta.name, meta.uid, meta.generation, case.claim)


def records(jobs: tuple[Job, ...]) -> tuple[Action, ...]:
    """Return the creation of those records that are still to be created."""
    return tuple(action for job in jobs for action in recorded(job))


def changes(jobs: tuple[Job, ...]) -> str:
    """Return what the jobs change, in words."""
    return some([job.target.change for job in jobs])


def progress(words: str) -> Finding:
    """Return the finding for a change that goes on by itself."""
    return fails(Aspect.RESOURCES_AS_AGREED, Reason.CHANGE_IN_PROGRESS, words, Clause.CHANGE_BY_EFFORT)


def waits(reason: Reason, words: str) -> Finding:
    """Return the finding for a change that waits for a window, or for somebody."""
    return fails(Aspect.RESOURCES_AS_AGREED, reason, words, Clause.MAINTENANCE_WINDOW)


def _minutes(duration: timedelta) -> int:
    return int(duration.total_seconds() // 60)
