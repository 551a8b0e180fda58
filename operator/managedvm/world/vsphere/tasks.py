"""The vCenter tasks that we started: the latest for each object, and what waits for their end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from managedvm.planning.observed import OUTRUN, TaskFacts, TaskState
from managedvm.world.vsphere.changes import TaskChange


@dataclass(frozen=True, slots=True)
class Owner:
    """What a task is shown at: a VM or a cluster, by reference. `is_override`: it sets the VM's override in its cluster."""

    moref: str
    is_override: bool = False


@dataclass(slots=True)
class _Running:
    owners: tuple[Owner, ...]
    facts: TaskFacts
    ended: Callable[[], None]


class Tasks:
    """Tasks by reference while they run, and the latest of each owner for as long as the owner is there."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._latest: dict[Owner, TaskFacts] = {}
        self._refused: dict[Owner, Mapping[str, TaskFacts]] = {}
        self.suspects: set[Owner] = set()
        """Who had part in a task of several that failed: whose fault it was is not known until each is tried alone."""

    def __len__(self) -> int:
        """How many have not come to an end yet."""
        return len(self._running)

    def latest(self, owner: Owner) -> TaskFacts | None:
        """Return the latest task of an owner."""
        return self._latest.get(owner) if self._latest else None

    def start(self, facts: TaskFacts, owners: tuple[Owner, ...], ended: Callable[[], None]) -> None:
        """Take in a task that was just started; `ended` is called once, when it is over or nobody knows it any more."""
        self._running[facts.moref] = _Running(owners, facts, ended)
        for owner in owners:
            self._latest[owner] = facts

    def refused(self, owner: Owner) -> Mapping[str, TaskFacts]:
        """Return what an owner was refused and was not done since, by method."""
        return self._refused.get(owner, {})

    def refuse(self, facts: TaskFacts, owner: Owner) -> TaskFacts:
        """Take in a task that has failed, or a call that was refused at once; returns it with the number in a row."""
        if facts.fault == OUTRUN:
            return facts
        before = self.refused(owner).get(facts.method)
        facts = replace(facts, refusals=(before.refusals if before is not None else 0) + 1)
        self._refused[owner] = {**self.refused(owner), facts.method: facts}
        return facts

    def forgive(self, method: str, owner: Owner) -> None:
        """Forget what was refused: now it was done."""
        rest = {key: facts for key, facts in self.refused(owner).items() if key != method}
        self._refused.pop(owner, None)
        if rest:
            self._refused[owner] = rest

    def apply(self, change: TaskChange, now: datetime) -> tuple[str, ...]:
        """Take in how a task went on, as seen at `now`; returns the references of its owners, none for a task that is not ours."""
        task = self._running.get(change.moref)
        if task is None:
            return ()
        was = task.facts.state
        task.facts = replace(task.facts, **change.values)
        if task.facts.state is not was:
            task.facts = replace(task.facts, seen_at=now)
        failed_together = len(task.owners) > 1 and task.facts.state is TaskState.ERROR
        if failed_together:
            self.suspects.update(task.owners)
        elif task.facts.state is TaskState.ERROR:
            task.facts = self.refuse(task.facts, task.owners[0])
        elif task.facts.state is TaskState.SUCCESS:
            for owner in task.owners:
                self.forgive(task.facts.method, owner)
        for owner in self._shown_at(task):
            if change.values and not failed_together:
                self._latest[owner] = task.facts
            else:
                # Forgotten by vCenter, or a failure of somebody: what became of it must be seen from the object.
                del self._latest[owner]
        if not change.values or not task.facts.is_running:
            del self._running[change.moref]
            task.ended()
        return tuple(owner.moref for owner in task.owners)

    def forget_owner(self, moref: str) -> None:
        """Forget the tasks of an object that is gone; one that still runs is waited for all the same."""
        for is_override in (False, True):
            self._latest.pop(Owner(moref, is_override), None)
            self._refused.pop(Owner(moref, is_override), None)
            self.suspects.discard(Owner(moref, is_override))

    def forget_all(self) -> None:
        """Forget everything: the references mean nothing any more."""
        running, self._running, self._latest, self._refused = self._running, {}, {}, {}
        self.suspects.clear()
        for task in running.values():
            task.ended()

    def _shown_at(self, task: _Running) -> list[Owner]:
        """Return the owners that have had no later task since."""
        latest = ((owner, self._latest.get(owner)) for owner in task.owners)
        return [owner for owner, facts in latest if facts is not None and facts.moref == task.facts.moref]


class Recent:
    """When the tasks that are read from the server were first seen: each read alone would take them for new."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], TaskFacts] = {}

    def seen(
        self, asked: tuple[str, str], found: TaskFacts | None, own: TaskFacts | None
    ) -> TaskFacts | None:
        """Return what was read of a VM and a method with the time of the first sight of it, `own` being what the stream shows."""
        before = [task for task in (self._known.get(asked), own) if task is not None]
        if found is None:
            self._known.pop(asked, None)
            return None
        same = [task.seen_at for task in before if (task.moref, task.state) == (found.moref, found.state)]
        self._known[asked] = replace(found, seen_at=min((found.seen_at, *same)))
        return self._known[asked]
