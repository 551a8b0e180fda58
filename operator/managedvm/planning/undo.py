"""A change with which a VM does not start is undone (clauses 5.1, 6.3): the VM runs as before, and nothing is billed."""

from collections.abc import Iterable, Mapping

from managedvm.api.changerequest import InterruptionCause, RequestedChange
from managedvm.planning.actions import Reconfigure
from managedvm.planning.case import Case
from managedvm.planning.clauses import Clause
from managedvm.planning.completion import has_taken_effect
from managedvm.planning.findings import Aspect, fails, some
from managedvm.planning.observed import NO_PERMISSION, POWER_ON
from managedvm.planning.plan import Part
from managedvm.planning.powercycle import confirmed
from managedvm.planning.poweron import interrupted
from managedvm.planning.quantity import parse_mebibytes
from managedvm.planning.reasons import Reason
from managedvm.planning.retry import refused, rests_until
from managedvm.planning.targets import Unit, effort_notes, found_value, note_key


def undo(case: Case) -> Part | None:
    """Return how the VM gets its former size, None where that is not what keeps it off.

    Only CPUs and memory keep a VM from starting, and a disk could not be made smaller: that change stays, and is billed.
    """
    task = case.facts.refusal_of(POWER_ON)
    if task is None or task.fault == NO_PERMISSION or rests_until(task, case.now) is None:
        return None
    made = [(r, r.spec.change) for r in case.open_requests if has_taken_effect(case, r)]
    undone = {
        r.metadata.name: change for r, change in made if change is not None and _is_to_blame(case, change)
    }
    if not undone:
        return None
    why = f"the VM does not start with it: {refused(task)}. It gets its former size"
    notes = (
        interrupted(r, InterruptionCause.REFUSED, why, case.now)
        for r, _ in made
        if r.metadata.name in undone and r.status.interruption is None
    )
    kept = {change.aspect: r.metadata.name for r, change in made if change and r.metadata.name not in undone}
    words = some([f"{change.aspect} {change.after} back to {change.before}" for change in undone.values()])
    finding = fails(
        Aspect.RESOURCES_AS_AGREED,
        Reason.CHANGE_FAILED,
        f"{words}: we have shut the VM down for a change, and {why}",
        Clause.CHANGE_BY_EFFORT,
    )
    # The notes first: a change that was undone without them would be made again.
    return Part((finding,), (*notes, confirmed(case), _former(case, undone.values(), kept)))


def _is_to_blame(case: Case, change: RequestedChange) -> bool:
    """Return whether the VM still has what this change made, of a kind that can be undone."""
    is_kind = change.aspect in (Unit.CPUS.value, Unit.MEMORY.value)
    return is_kind and found_value(case.vm.spec.resources, case.facts, change.aspect) == change.after


def _former(case: Case, undone: Iterable[RequestedChange], kept: Mapping[str, str]) -> Reconfigure:
    """Return the reconfiguration that sets the former values and takes the notes away: so there is no effect any more."""
    before = {change.aspect: change.before for change in undone}
    cpus, memory = before.get(Unit.CPUS.value), before.get(Unit.MEMORY.value)
    efforts = effort_notes(kept) if kept else {}
    return Reconfigure(
        vm=case.facts.moref,
        change_version=case.facts.change_version,
        clause=Clause.CHANGE_BY_EFFORT,
        cpus=int(cpus) if cpus is not None else None,
        memory_mib=parse_mebibytes(memory) if memory is not None else None,
        notes={**{note_key(aspect): "" for aspect in before}, **efforts},
    )
