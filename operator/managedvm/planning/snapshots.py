"""A snapshot as the way back from a change of the guest (clause 5.1): taken, gone back to, removed, each once.

The snapshot has its owner's token in its name, so whoever looks sees whose it is: after a crash or a lost answer what is
there decides, never what was remembered. Nobody else's snapshot is ever touched. Before the owner changes the guest its
token is noted at the VM; a revert takes that note away with all that came after the snapshot, and so shows that it was done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from managedvm.planning.actions import Action, Reconfigure, RemoveSnapshot, RevertToSnapshot, TakeSnapshot
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, shortened, unknown
from managedvm.planning.observed import (
    CREATE_SNAPSHOT,
    OUTRUN,
    RECONFIGURE,
    REMOVE_SNAPSHOT,
    REVERT_TO_SNAPSHOT,
    PowerState,
    SnapshotFacts,
    TaskFacts,
    TaskState,
    Unknown,
    VirtualMachine,
)
from managedvm.planning.plan import Part, joined
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import shown

METHODS = (CREATE_SNAPSHOT, REVERT_TO_SNAPSHOT, REMOVE_SNAPSHOT, RECONFIGURE)
"""The methods whose latest task on the VM decides while a transaction goes on."""

NOTE = "managedvm.snapshot"
"""The key of extraConfig that holds the token of the owner who may have changed the guest since its snapshot."""

SEEN_AFTER = timedelta(seconds=10)
"""How long after the end of a task its effect may still be missing in the inventory."""

LOOK_AGAIN = timedelta(seconds=15)
"""When is looked again at what nobody tells of: a task that an earlier process started, or one that cannot be read."""

SHORTEST_REST, LONGEST_REST = timedelta(minutes=1), timedelta(hours=1)
"""How long a call that vCenter has refused rests: as long as it has been tried in vain already, within these bounds."""

LONGEST_AGE = timedelta(hours=72)
"""How old a snapshot gets until a person is told; vSphere's makers advise the same."""

LARGEST_SHARE = 0.25
"""How much of the size of the VM's disks a snapshot holds until a person is told."""

_A_PASS = timedelta(minutes=1)
_TOKEN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # noqa: S105 - the form of a UID
_NAME = re.compile(rf"managedvm-({_TOKEN})")
_QUIESCE_FAULTS = ("ApplicationQuiesceFault", "FilesystemQuiesceFault")


class Wish(Enum):
    """What the owner of a transaction wants."""

    KEPT = "there is a way back, and the guest may be changed"
    REVERTED = "the VM is as it was when the snapshot was taken"
    GONE = "there is no snapshot of the owner's"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One owner's wish for one VM.

    `owner` is the UID of the object that it is for, `purpose` says that in words, `since` is when this wish began.
    """

    owner: str
    purpose: str
    wish: Wish
    since: datetime
    clause: Clause = Clause.UPDATE_ON_ORDER


@dataclass(frozen=True, slots=True)
class SnapshotCase:
    """All that decides about a transaction.

    `tasks` has the VM's latest task of ours for each of METHODS, None where vCenter knows none; `held_bytes` is what
    the owner's snapshot holds, None where nobody asked.
    """

    transaction: Transaction
    vm: VirtualMachine
    tasks: Mapping[str, TaskFacts | Unknown | None]
    now: datetime
    held_bytes: int | Unknown | None = None

    @property
    def own(self) -> tuple[SnapshotFacts, ...]:
        """The owner's snapshots, the first one first; more than one only where an answer was lost."""
        mine = (s for s in self.vm.snapshots if owner_of(s.name) == self.transaction.owner)
        return tuple(sorted(mine, key=lambda s: (s.taken_at, s.moref)))

    @property
    def may_have_changed(self) -> bool:
        """Whether the owner may have changed the guest since its snapshot."""
        return self.vm.notes.get(NOTE) == self.transaction.owner

    def finished(self, method: str) -> TaskFacts | None:
        """Return the latest task of a method that has ended."""
        found = self.tasks.get(method)
        return found if isinstance(found, TaskFacts) and not found.is_running else None


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done next for a wish; `is_granted` where it is as the owner wants it."""

    part: Part
    is_granted: bool = False
    snapshot: SnapshotFacts | None = None


def snapshot_name(owner: str) -> str:
    """Return the name of an owner's snapshot.

    Raises:
        ValueError: the owner is no UID; a bug of the caller.
    """
    if not re.fullmatch(_TOKEN, owner):
        raise ValueError(f"{owner!r} is no UID")
    return f"managedvm-{owner}"


def owner_of(name: str) -> str | None:
    """Return the owner of a snapshot of this name; None for a foreign one."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def next_step(case: SnapshotCase) -> Step:
    """Return what to do for the wish of a transaction; one call at a time, and none while an outcome is open."""
    busy = _busy(case)
    if busy is not None:
        return busy
    if len(case.own) > 1 and case.transaction.wish is not Wish.GONE:
        # Two calls that each seemed lost. The first is the state before every change, so the others are too many.
        return _remove(case)
    step = {Wish.KEPT: _keep, Wish.REVERTED: _revert, Wish.GONE: _remove}[case.transaction.wish](case)
    return Step(joined((step.part, Part(findings=watch(case)))), step.is_granted, step.snapshot)


def watch(case: SnapshotCase) -> tuple[Finding, ...]:
    """Return what a person must know about the owner's snapshot: its age, its size, and disks that stay behind."""
    found, clause = [], case.transaction.clause
    for snapshot in case.own[:1]:
        if case.now - snapshot.taken_at > LONGEST_AGE:
            words = f"Snapshot {snapshot.name} is from {shown(snapshot.taken_at)}. Find out why it is still needed"
            found.append(fails(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_TOO_OLD, words, clause))
        room = sum(disk.capacity_bytes for disk in case.vm.disks.values())
        if isinstance(case.held_bytes, int) and case.held_bytes > LARGEST_SHARE * room:
            words = f"Snapshot {snapshot.name} holds {case.held_bytes >> 30} GiB of the datastore"
            found.append(fails(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_TOO_LARGE, words, clause))
    if not case.vm.snapshots and case.vm.consolidation_needed:
        words = "No snapshot is left, but its disks are. Consolidate the VM's disks in vCenter"
        found.append(fails(Aspect.SNAPSHOT_SETTLED, Reason.CONSOLIDATION_NEEDED, words, clause))
    return tuple(found)


def _busy(case: SnapshotCase) -> Step | None:
    """Return the wait for a task whose outcome is open, or None."""
    for method, task in ((m, case.tasks.get(m)) for m in METHODS):
        if isinstance(task, Unknown):
            words = f"Whether vCenter is still at {method} cannot be read: {task.reason}"
            return _waits(case, words, case.now + LOOK_AGAIN)
        if task is not None and task.is_running:
            return _waits(case, f"vCenter is at {task.moref} ({method})", case.now + LOOK_AGAIN)
    own = case.vm.task
    if own is not None and own.is_running:
        return _waits(case, f"vCenter is at {own.moref} ({own.method})", None)
    return None


def _keep(case: SnapshotCase) -> Step:
    if case.own:
        if case.may_have_changed:
            return _granted(case, Reason.SNAPSHOT_TAKEN, _way_back(case.own[0]))
        return _rested(case, RECONFIGURE) or _acts(case, _mark(case))
    if case.may_have_changed:
        return _lost(case)
    unseen = _unseen(case, CREATE_SNAPSHOT)
    if unseen is not None:
        return unseen
    if case.vm.snapshots:
        return _in_the_way(case, case.vm.snapshots[0])
    failed = case.finished(CREATE_SNAPSHOT)
    could_not_quiesce = _could_not_quiesce(failed)
    rest = None if could_not_quiesce else _rested(case, CREATE_SNAPSHOT)
    quiesces = case.vm.power is PowerState.ON and case.vm.tools_running and not could_not_quiesce
    transaction = case.transaction
    take = TakeSnapshot(
        case.vm.moref,
        snapshot_name(transaction.owner),
        f"Taken by ManagedVM for {transaction.purpose} ({transaction.clause}), and removed by it",
        quiesces,
        transaction.clause,
    )
    return rest or _acts(case, take)


def _revert(case: SnapshotCase) -> Step:
    if not case.may_have_changed:
        return _granted(case, Reason.SNAPSHOT_REVERTED, "The VM is as it was before the change")
    if not case.own:
        return _lost(case)
    done = case.finished(REVERT_TO_SNAPSHOT)
    snapshot = case.own[0]
    if done is not None and done.state is TaskState.SUCCESS and done.queued_at > snapshot.taken_at:
        # Both times are vCenter's. A server that keeps notes over a revert must not be asked for another.
        return _unseen(case, REVERT_TO_SNAPSHOT) or _granted(
            case, Reason.SNAPSHOT_REVERTED, f"The VM is as it was at {shown(snapshot.taken_at)}"
        )
    revert = RevertToSnapshot(case.vm.moref, snapshot.moref, case.transaction.clause)
    return _rested(case, REVERT_TO_SNAPSHOT) or _acts(case, revert)


def _remove(case: SnapshotCase) -> Step:
    if case.own:
        remove = RemoveSnapshot(case.vm.moref, case.own[-1].moref, case.transaction.clause)
        return _unseen(case, REMOVE_SNAPSHOT) or _rested(case, REMOVE_SNAPSHOT) or _acts(case, remove)
    unseen = _unseen(case, CREATE_SNAPSHOT)
    return unseen or _granted(case, Reason.SNAPSHOT_REMOVED, "No snapshot of ours is left")


def _mark(case: SnapshotCase) -> Reconfigure:
    notes = {NOTE: case.transaction.owner}
    return Reconfigure(case.vm.moref, case.vm.change_version, case.transaction.clause, notes=notes)


def _unseen(case: SnapshotCase, method: str) -> Step | None:
    """Return the wait for the effect of a task that has just ended well, or None."""
    done = case.finished(method)
    if done is None or done.state is not TaskState.SUCCESS:
        return None
    until = done.seen_at + SEEN_AFTER
    is_soon = case.now < until <= case.now + SEEN_AFTER + _A_PASS
    return _waits(case, f"{done.moref} ({method}) has just ended", until) if is_soon else None


def _rested(case: SnapshotCase, method: str) -> Step | None:
    """Return the rest after a call that vCenter has refused, or None when it may be tried again.

    The longer it was tried in vain, the longer it rests, so nobody has to count. What is seen from the future tells
    that our clock was set back: that rest is not waited for.
    """
    failed = case.finished(method)
    if failed is None or failed.state is not TaskState.ERROR or failed.fault == OUTRUN:
        return None
    tried = failed.seen_at - case.transaction.since
    again = failed.seen_at + min(max(tried, SHORTEST_REST), LONGEST_REST)
    if not case.now < again <= case.now + LONGEST_REST + _A_PASS:
        return None
    why = shortened(f"{failed.fault} {failed.message}".strip())
    words = f"vCenter has refused {method} in {failed.moref}: {why}. It is tried again at {shown(again)}"
    finding = fails(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_REFUSED, words, case.transaction.clause)
    return Step(Part(findings=(finding,), next_check=again), snapshot=_first(case))


def _could_not_quiesce(task: TaskFacts | None) -> bool:
    """Return whether a snapshot failed because the guest could not be brought to rest: then it is taken without."""
    if task is None or task.state is not TaskState.ERROR:
        return False
    return task.fault in _QUIESCE_FAULTS or "quiesc" in task.message.lower()


def _way_back(snapshot: SnapshotFacts) -> str:
    at = f"Snapshot {snapshot.name} is from {shown(snapshot.taken_at)}"
    if snapshot.quiesced:
        return f"{at}; VMware Tools had brought the guest's file systems to rest"
    return (
        f"{at}; the guest's file systems were not brought to rest, so unless the VM was off going back is like after a "
        "power failure"
    )


def _in_the_way(case: SnapshotCase, snapshot: SnapshotFacts) -> Step:
    whose = "another change of ours" if owner_of(snapshot.name) else "somebody else"
    words = (
        f"Snapshot {shortened(snapshot.name, 64)} from {shown(snapshot.taken_at)} is of {whose}. One at a time: ours is "
        "taken once it is removed, and nobody else's is ever touched"
    )
    finding = fails(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_IN_THE_WAY, words, case.transaction.clause)
    return Step(Part(findings=(finding,)))


def _lost(case: SnapshotCase) -> Step:
    words = (
        "The guest may have been changed, and our snapshot is gone: somebody has removed it. There is no way back; look "
        "at the guest, and go back to a backup where it is needed"
    )
    finding = fails(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_LOST, words, case.transaction.clause)
    return Step(Part(findings=(finding,)))


def _granted(case: SnapshotCase, reason: Reason, words: str) -> Step:
    finding = holds(Aspect.SNAPSHOT_SETTLED, reason, words, case.transaction.clause)
    return Step(Part(findings=(finding,)), is_granted=True, snapshot=_first(case))


def _waits(case: SnapshotCase, words: str, again: datetime | None) -> Step:
    finding = unknown(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_IN_PROGRESS, words, case.transaction.clause)
    return Step(Part(findings=(finding,), next_check=again), snapshot=_first(case))


def _acts(case: SnapshotCase, action: Action) -> Step:
    words = f"{type(action).__name__} is sent to vCenter for {case.transaction.purpose}"
    finding = unknown(Aspect.SNAPSHOT_SETTLED, Reason.SNAPSHOT_IN_PROGRESS, words, case.transaction.clause)
    return Step(Part(findings=(finding,), actions=(action,)), snapshot=_first(case))


def _first(case: SnapshotCase) -> SnapshotFacts | None:
    return case.own[0] if case.own else None
