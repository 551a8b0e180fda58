"""The vCenter tasks that we started: the latest for each object, and what waits for their end."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from managedvm.planning.observed import TaskFacts
from managedvm.world.vsphere.changes import TaskChange


@dataclass(frozen=True, slots=True)
class Owner:
    """What a task is shown at: a VM or a cluster, by reference. `is_override`: it sets the VM's override in its cluster."""

    moref: str
    is_override: bool = False


@dataclass(slots=True)
class _Running:
    owner: Owner
    facts: TaskFacts
    ended: Callable[[], None]


class Tasks:
    """Tasks by reference while they run, and the latest of each owner for as long as the owner is there."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}
        self._latest: dict[Owner, TaskFacts] = {}

    def __len__(self) -> int:
        """How many have not come to an end yet."""
        return len(self._running)

    def latest(self, owner: Owner) -> TaskFacts | None:
        """Return the latest task of an owner."""
        return self._latest.get(owner) if self._latest else None

    def start(self, facts: TaskFacts, owner: Owner, ended: Callable[[], None]) -> None:
        """Take in a task that was just started; `ended` is called once, when it is over or nobody knows it any more."""
        self._running[facts.moref] = _Running(owner, facts, ended)
        self._latest[owner] = facts

    def apply(self, change: TaskChange) -> str:
        """Take in how a task went on; returns the reference of its owner, empty for a task that is not ours."""
        task = self._running.get(change.moref)
        if task is None:
            return ""
        task.facts = replace(task.facts, **change.values)
        is_latest = self._is_latest(task)
        if change.values and is_latest:
            self._latest[task.owner] = task.facts
        elif is_latest:
            # vCenter has forgotten the task, so how it ended must be seen from the object itself.
            del self._latest[task.owner]
        if not change.values or not task.facts.is_running:
            del self._running[change.moref]
            task.ended()
        return task.owner.moref

    def forget_owner(self, moref: str) -> None:
        """Forget the tasks of an object that is gone; one that still runs is waited for all the same."""
        for is_override in (False, True):
            self._latest.pop(Owner(moref, is_override), None)

    def forget_all(self) -> None:
        """Forget everything: the references mean nothing any more."""
        running, self._running, self._latest = self._running, {}, {}
        for task in running.values():
            task.ended()

    def _is_latest(self, task: _Running) -> bool:
        latest = self._latest.get(task.owner)
        return latest is not None and latest.moref == task.facts.moref
