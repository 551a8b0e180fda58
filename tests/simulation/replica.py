"""One operator process of the simulation: observe, plan, apply; it may die, be deaf, or see everything a little late."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from random import Random

from managedvm.api.changerequest import FINAL_STATES
from managedvm.planning.actions import (
    Action,
    AdvanceRequest,
    ClaimVM,
    ConfirmUnchanged,
    EndOutage,
    OverrideHighAvailability,
    PowerOn,
    Reconfigure,
    RecordOutage,
    RecordRequest,
    RecordWork,
    ReserveSlot,
    ShutDownGuest,
)
from managedvm.planning.identity import Sight
from managedvm.planning.managedvm import Observed, Plan, plan
from managedvm.planning.observed import (
    NO_PERMISSION,
    OUTRUN,
    RECONFIGURE,
    TaskFacts,
    TaskState,
    Unknown,
)
from managedvm.planning.outages import Planned
from tests import laws
from tests.factories import NOW, VCENTER_UUID, agreed, cluster
from tests.simulation.cluster import Cluster, Snapshot, StaleError
from tests.simulation.vsphere import DeniedError, Picture, RefusedError, VSphere

LEASE = timedelta(seconds=15)
"""How long a process may be held up and still act."""


class Fault(Enum):
    """What can happen to a call."""

    NONE = 0
    DIES_BEFORE = 1
    DIES_AFTER = 2
    ANSWER_LOST = 3
    NOT_SENT = 4


class DeathError(Exception):
    """The process ends here; what it knew is gone."""


class NoAnswerError(Exception):
    """A call did not get through, or its answer did not: the process looks again."""


@dataclass
class Replica:
    """What one process knows: `seen` of the API server, and the tasks that it has started itself."""

    api: Cluster
    vsphere: VSphere
    dice: Random
    fault: Callable[[], Fault]
    seen: Snapshot
    is_away: bool = False
    own_tasks: list[str | TaskFacts] = field(default_factory=list)
    """What was started, and what was refused at once, in order."""
    last: Plan | None = None
    _pass: Iterator[Action] | None = None
    _begun_at: datetime = NOW
    _has_confirmed: bool = False

    def restart(self) -> None:
        """Begin anew, with an empty memory and a fresh view."""
        self.own_tasks, self.last, self._pass, self.seen = [], None, None, self.api.state

    def lose_lease(self) -> None:
        """Leave undone what was begun, and forget the tasks that were started."""
        self.own_tasks, self._pass = [], None

    @property
    def is_in_a_pass(self) -> bool:
        """Whether a plan is carried out just now."""
        return self._pass is not None

    def go_on(self, actions: int, *, in_one_go: bool = False) -> bool:
        """Carry out so many actions of the pass under way, or of a new one; returns whether it came to its end.

        With `in_one_go` the last look at the order and the act after it are not torn apart.
        """
        if self._pass is None or self.vsphere.now - self._begun_at > LEASE:
            # A process that was held up for longer has lost its lease, and carries nothing out any more.
            self._pass, self._begun_at, self._has_confirmed = self.run(), self.vsphere.now, False
        try:
            while actions > 0 or (in_one_go and self._has_confirmed):
                next(self._pass)
                actions -= 1
        except StopIteration:
            self._pass = None
            return True
        except DeathError:
            self.restart()
        return False

    def observe(self, *, is_late: bool) -> Observed:
        """Read everything for a pass; the vCenter's stream may be a moment late."""
        seen, picture = self.seen, self.vsphere.picture(is_late=is_late)
        own = self._own_task(picture)
        facts = replace(picture.facts, task=own, refused=self._refused(picture))
        claims = dict(seen.claims)
        mine = next((c for c in claims.values() if c.spec.owner.name == seen.vm.metadata.name), None)
        return Observed(
            levels=seen.levels,
            customer=seen.customer,
            requesters=seen.requesters,
            prices=agreed(seen.prices),
            vcenter=seen.vcenter,
            sight=Unknown("no route to host") if self.is_away else Sight(VCENTER_UUID, facts, facts),
            claims=claims,
            own_claim=mine,
            cluster=cluster(),
            requests=seen.requests,
            task=self._task(own),
            missing_policies=(),
            is_ledger=True,
            outages=tuple(seen.outages.values()),
            plans=tuple(
                Planned(r.status.slot.begin, r.status.slot.end)
                for r in seen.requests.values()
                if r.status.slot is not None
            ),
        )

    def _own_task(self, picture: Picture) -> TaskFacts | None:
        started = [task for task in self.own_tasks if isinstance(task, str)]
        if not started:
            return None
        latest = started[-1]
        now = self.vsphere.now
        unseen = TaskFacts(latest, RECONFIGURE, TaskState.QUEUED, now, now)
        return picture.tasks.get(latest, unseen)

    def _refused(self, picture: Picture) -> dict[str, TaskFacts]:
        """Return what was refused and not done since, as our own memory has it."""
        refused: dict[str, TaskFacts] = {}
        for known in self.own_tasks:
            task = picture.tasks.get(known) if isinstance(known, str) else known
            if task is None or task.is_running or task.fault == OUTRUN:
                continue
            before = refused.pop(task.method, None)
            if task.state is TaskState.ERROR:
                many = before.refusals if before is not None else 0
                refused[task.method] = replace(task, refusals=many + 1)
        return refused

    def _task(self, own: TaskFacts | None) -> TaskFacts | Unknown | None:
        """Return the latest reconfiguration, read from the server where our own memory may lack one."""
        is_open = {name for name, r in self.seen.requests.items() if r.status.state not in FINAL_STATES}
        if self.is_away or not is_open:
            return None
        if own is not None and own.method == RECONFIGURE:
            has_seen_all = own.state is TaskState.SUCCESS and is_open <= set(
                self.vsphere.facts.notes.values()
            )
            if own.is_running or has_seen_all:
                return own
        if not self.vsphere.is_calm and self.dice.random() < 0.05:
            return Unknown("the read timed out")
        return self.vsphere.latest_reconfiguration()

    def run(self) -> Iterator[Action]:
        """Make one pass; yields before each action, so that the world may do something in between."""
        vm, now = self.seen.vm, self.vsphere.now
        observed = self.observe(is_late=not self.vsphere.is_calm and self.dice.random() < 0.2)
        decided = self.last = plan(vm, observed, now)
        laws.check(vm, observed, now, decided)
        is_whole = True
        for group in decided.groups:
            try:
                for action in group:
                    yield action
                    self._apply(action)
            except (NoAnswerError, StaleError, RefusedError, DeniedError):
                is_whole = self._has_confirmed = False  # looked at again in a later pass
        if is_whole and self.api.write_status(decided.status, vm):
            self.seen = replace(self.seen, vm=self.api.state.vm)

    def _apply(self, action: Action) -> None:
        fault = self.fault()
        if fault is Fault.DIES_BEFORE:
            raise DeathError
        if fault is Fault.NOT_SENT:
            raise NoAnswerError
        try:
            started = self._call(action)
        except DeniedError as denied:
            now, method = self.vsphere.now, str(denied)
            facts = TaskFacts("", method, TaskState.ERROR, now, now, fault=NO_PERMISSION)
            self.own_tasks.append(facts)
            raise
        self._has_confirmed = isinstance(action, ConfirmUnchanged)
        if fault is Fault.DIES_AFTER:
            raise DeathError
        if fault is Fault.ANSWER_LOST:
            raise NoAnswerError
        if started is not None:
            self.own_tasks.append(started)
        if isinstance(action, ClaimVM | RecordRequest | AdvanceRequest | RecordOutage | EndOutage):
            # Our own writes are seen at once, what others write comes later.
            there = self.api.state
            self.seen = replace(
                self.seen, claims=there.claims, requests=there.requests, outages=there.outages
            )

    def _call(self, action: Action) -> str | None:  # noqa: C901 - one case per action
        is_vcenters = isinstance(action, Reconfigure | PowerOn | ShutDownGuest | OverrideHighAvailability)
        if is_vcenters and self.is_away:
            raise NoAnswerError
        match action:
            case ClaimVM() | RecordRequest() | RecordWork() | RecordOutage():
                self.api.create(dict(action.body), self.vsphere.now)
            case AdvanceRequest():
                self.api.advance(action)
            case EndOutage():
                self.api.end(action)
            case ConfirmUnchanged():
                self.api.confirm(action)
            case Reconfigure() | PowerOn():
                return self.vsphere.start(action)
            case ReserveSlot():
                if not self.vsphere.is_calm and self.dice.random() < 0.1:
                    raise NoAnswerError
            case ShutDownGuest():
                self.vsphere.shut_down_guest()
            case OverrideHighAvailability():
                self.vsphere.override(action)
            case _:
                raise AssertionError(f"no plan for a ManagedVM has a {type(action).__name__}")
        return None
