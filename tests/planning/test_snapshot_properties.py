"""Whatever vCenter does, and whenever we die: a transaction leaves one snapshot, goes back once, and leaves none behind."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.actions import Reconfigure, RemoveSnapshot, RevertToSnapshot, TakeSnapshot
from managedvm.planning.observed import (
    CREATE_SNAPSHOT,
    RECONFIGURE,
    REMOVE_SNAPSHOT,
    REVERT_TO_SNAPSHOT,
    SnapshotFacts,
    TaskState,
    Unknown,
)
from managedvm.planning.snapshots import METHODS, NOTE, SnapshotCase, Transaction, Wish, next_step, owner_of
from tests.examples import examples
from tests.factories import NOW, task, virtual_machine

RUN = "11111111-2222-4333-8444-555555555555"
FOREIGN = SnapshotFacts("snapshot-0", "of the backup", NOW - timedelta(days=1))
LATE = timedelta(seconds=8)
"""How late a healthy stream shows what was done, at most."""

METHOD_OF = {
    TakeSnapshot: CREATE_SNAPSHOT,
    RevertToSnapshot: REVERT_TO_SNAPSHOT,
    RemoveSnapshot: REMOVE_SNAPSHOT,
    Reconfigure: RECONFIGURE,
}


@dataclass
class VCenter:
    """A vCenter that takes its time, fails tasks, and shows what it did a moment later."""

    dice: Random
    now: datetime = NOW
    vm: object = field(default_factory=virtual_machine)
    shown: object = None
    changed_at: datetime = NOW
    running: tuple = ()
    tasks: dict = field(default_factory=dict)
    reverts: int = 0
    most_own: int = 0
    taken: int = 0

    def send(self, action):
        assert not self.running, "two tasks at a time"
        self.taken += 1
        method = METHOD_OF[type(action)]
        moref = f"task-{self.taken}"
        self.tasks[method] = task(
            TaskState.RUNNING, end=None, moref=moref, method=method, queued_at=self.now, seen_at=self.now
        )
        self.running = (self.now + timedelta(seconds=self.dice.choice((0, 2, 90))), action)

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)
        if self.running and self.running[0] <= self.now:
            action, self.running = self.running[1], ()
            self._end(action)
        if self.now - self.changed_at > LATE or self.dice.random() < 0.5:
            self.shown = self.vm

    def _end(self, action):
        method = METHOD_OF[type(action)]
        fault = ""
        if isinstance(action, TakeSnapshot) and action.quiesce and self.dice.random() < 0.5:
            fault = "ApplicationQuiesceFault"
        elif self.dice.random() < 0.2:
            fault = "GenericVmConfigFault"
        state = TaskState.ERROR if fault else TaskState.SUCCESS
        self.tasks[method] = replace(
            self.tasks[method], state=state, fault=fault, end=self.now, seen_at=self.now
        )
        if not fault:
            self.changed_at = self.now
            self._do(action)

    def _do(self, action):
        vm = self.vm
        match action:
            case TakeSnapshot():
                made = SnapshotFacts(f"snapshot-{self.taken}", action.name, self.now, action.quiesce)
                self.vm = replace(vm, snapshots=(*vm.snapshots, made))
            case RemoveSnapshot():
                self.vm = replace(vm, snapshots=tuple(s for s in vm.snapshots if s.moref != action.snapshot))
            case RevertToSnapshot():
                assert NOTE in vm.notes, "went back twice"
                self.reverts += 1
                self.vm = replace(vm, notes={k: v for k, v in vm.notes.items() if k != NOTE})
            case Reconfigure():
                self.vm = replace(vm, notes={**vm.notes, **action.notes})
        own = [s for s in self.vm.snapshots if owner_of(s.name)]
        self.most_own = max(self.most_own, len(own))

    def read(self):
        """What a process knows that may have just been started: the stream, and what the server remembers of tasks."""
        if self.dice.random() < 0.1:
            return {method: Unknown("no answer") for method in METHODS}
        kept = {
            m: t
            for m, t in self.tasks.items()
            if t.is_running or t.seen_at > self.now - timedelta(minutes=10)
        }
        return {method: kept.get(method) for method in METHODS}


def carried_out(vcenter, wish, dice):
    """Bring a wish to its end, losing an answer now and then; return the last step."""
    transaction = Transaction(RUN, "a run", wish, vcenter.now)
    for _ in range(3000):
        vcenter.pass_time(dice.choice((1, 5, 60)))
        step = next_step(SnapshotCase(transaction, vcenter.shown, vcenter.read(), vcenter.now))
        if step.is_granted:
            return step
        for action in step.part.actions:
            if dice.random() < 0.2:
                continue  # it died before the call, or the call never arrived
            vcenter.send(action)  # whether the answer arrives makes no difference: nothing is remembered
    raise AssertionError(f"{wish} is never granted: {step}")


@examples(60)
@given(st.integers(0, 2**32), st.booleans())
def test_every_transaction_comes_to_its_end_and_leaves_nothing(seed, goes_back):
    dice = Random(seed)  # noqa: S311 - a die, not a secret
    vcenter = VCenter(dice)
    vcenter.shown = vcenter.vm
    step = carried_out(vcenter, Wish.KEPT, dice)
    assert owner_of(step.snapshot.name) == RUN
    assert vcenter.vm.notes[NOTE] == RUN
    if dice.random() < 0.3:
        vcenter.vm = replace(vcenter.vm, snapshots=(FOREIGN, *vcenter.vm.snapshots))
    if goes_back:
        carried_out(vcenter, Wish.REVERTED, dice)
    carried_out(vcenter, Wish.GONE, dice)
    assert vcenter.reverts == goes_back
    assert vcenter.most_own == 1
    assert [s for s in vcenter.vm.snapshots if s != FOREIGN] == []
