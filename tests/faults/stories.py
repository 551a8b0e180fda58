"""The stories that faults strike, and how each ends when nothing strikes it."""

from __future__ import annotations

import functools
import operator
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab import wait_until
from tests.api.bodies import order
from tests.faults.faultlab import NAMESPACE, FaultLab, Outcome, slip, windows

if TYPE_CHECKING:
    from collections.abc import Iterable

Step = Callable[[FaultLab, str], None]

TELLINGS = 3
"""How often each story is told without a fault: events may come together or apart, and so do reports of them."""

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DISK = {"name": "system", "deviceNode": "SCSI(0:0)", "size": "40Gi"}
REPEATABLE = frozenset({"ShutdownGuest"})
"""Orders that a crash may repeat, because the second changes nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Story:
    """What happens to one VM: how it is made, what was before, and the steps of people in their order.

    `slow` are calls after which a crash takes half a minute to recover from: a guest is asked again no sooner.
    """

    name: str
    steps: tuple[Step, ...]
    before: Step | None = None
    vm: dict[str, Any] = field(default_factory=dict)
    slow: frozenset[str] = frozenset()


@dataclass(slots=True)
class Reference:
    """A story without a fault: what each step needs, how it stood after, what vCenter took."""

    steps: list[list[Counter[str]]] = field(default_factory=list)
    """For each step and each telling, how often each call came."""
    outcomes: list[Outcome] = field(default_factory=list)
    orders: Counter[str] = field(default_factory=Counter)

    def most(self, step: int) -> Counter[str]:
        """Return the calls of a step, those that came in one telling only too."""
        return functools.reduce(operator.or_, self.steps[step])

    def needs(self, step: int, call: str, nth: int) -> bool:
        """Return whether every telling of a step has the n-th call of this kind."""
        return nth <= functools.reduce(operator.and_, self.steps[step])[call]


class Told:
    """The stories in one lab: their references, and the hands to tell them again."""

    def __init__(self, faultlab: FaultLab, stories: tuple[Story, ...]) -> None:
        self.lab = faultlab
        self.stories = stories
        self.references = {story.name: Reference() for story in stories}

    def tell(self) -> None:
        """Tell each story without a fault; a replica must be running."""
        names = self.made(story for story in self.stories for _ in range(TELLINGS))
        for step in range(max(len(story.steps) for story in self.stories)):
            told = [(story, name) for story, name in names if step < len(story.steps)]
            since = len(self.lab.proxy.calls)
            for story, name in told:
                story.steps[step](self.lab, name)
            for story, name in told:
                self._await_silence(name, since)
                self._refer(self.references[story.name], step, name, since)
        orders = self.lab.mutations(*(name for _, name in names))
        for story, name in names:
            assert self.references[story.name].orders in (Counter(), orders[name])
            self.references[story.name].orders = orders[name]

    def made(self, stories: Iterable[Story]) -> list[tuple[Story, str]]:
        """Make a VM for each story and let it come to where the story begins; return them with their names."""
        names = [(story, self._made(story)) for story in stories]
        waiting = [name for story, name in names if story.before]

        def are_ready() -> bool:
            waiting[:] = [name for name in waiting if not self._is_ready(name)]
            return not waiting

        wait_until(are_ready, "all VMs to be adopted", seconds=120, every=0.2)
        return names

    def do(self, story: Story, step: int, name: str) -> None:
        """Tell one step and wait until it has ended as it should."""
        story.steps[step](self.lab, name)
        wait_until(lambda: self.has_ended(story, step, name), f"{name}, step {step + 1}", seconds=60)

    def has_ended(self, story: Story, step: int, name: str) -> bool:
        """Return whether a VM stands where the story stood after this step."""
        return self.lab.outcome(name) == self.references[story.name].outcomes[step]

    def await_quiet(self, seconds: float = 5.0) -> None:
        """Wait until the operator has written nothing for so long."""
        begun = time.monotonic()

        def is_quiet() -> bool:
            last = max([begun, *(call.at for call in self.lab.proxy.calls[-1:])])
            return time.monotonic() - last > seconds

        wait_until(is_quiet, "the operator to come to rest", seconds=60)

    def wrong(self, names: Iterable[tuple[Story, str]]) -> dict[str, list[str]]:
        """Return for each VM in words what is not as its story ends: records, amounts, conditions, size, orders."""
        listed = list(names)
        orders = self.lab.mutations(*(name for _, name in listed))
        found = {}
        for story, name in listed:
            reference = self.references[story.name]
            found[name] = differences(reference.outcomes[-1], self.lab.outcome(name))
            for method in (reference.orders | orders[name]).keys() - REPEATABLE:
                wanted, taken = reference.orders[method], orders[name][method]
                if wanted != taken:
                    found[name].append(f"{method} {taken} times, not {wanted}")
        return found

    def _made(self, story: Story) -> str:
        name = self.lab.make_vm(story.name, **story.vm)
        if story.before is not None:
            story.before(self.lab, name)
        return name

    def _is_ready(self, name: str) -> bool:
        outcome = self.lab.outcome(name)
        return outcome is not None and any(
            said[:2] == ("ResourcesAsAgreed", "True") for said in outcome.conditions
        )

    def _refer(self, reference: Reference, step: int, name: str, since: int) -> None:
        outcome = self.lab.outcome(name)
        assert outcome is not None, f"{name}: step {step + 1} was never looked at"
        if len(reference.outcomes) == step:
            reference.outcomes.append(outcome)
            reference.steps.append([])
        assert differences(reference.outcomes[step], outcome) == [], f"{name}: two ends without any fault"
        reference.steps[step].append(Counter(self.lab.calls(name, since)))

    def _await_silence(self, name: str, since: int, seconds: float = 4.0) -> None:
        """Wait until the operator has done something for the VM, and then nothing for so long."""
        about = f"{NAMESPACE}/{name}"

        def is_silent() -> bool:
            last = [call.at for call in self.lab.proxy.calls[since:] if call.about == about]
            return bool(last) and time.monotonic() - last[-1] > seconds

        wait_until(is_silent, f"{name} to be left alone", seconds=60)


def differences(wanted: Outcome, found: Outcome | None) -> list[str]:
    """Return in words what of an outcome is not as the reference has it."""
    if found is None:
        return ["its latest spec was never looked at"]
    said = []
    for part in ("conditions", "requests", "work", "size", "power"):
        before, after = getattr(wanted, part), getattr(found, part)
        if before != after:
            lacks = [item for item in before if item not in after] if isinstance(before, tuple) else before
            has = [item for item in after if item not in before] if isinstance(after, tuple) else after
            said.append(f"{part}: {has} in place of {lacks} ({len(after)} of {len(before)})")
    return said


def declare(**spec: Any) -> Step:
    """Return the step by which a VM comes under contract."""
    return lambda faultlab, name: faultlab.declare(name, **spec)


def patch(**spec: Any) -> Step:
    """Return the step by which a person changes the spec."""
    return lambda faultlab, name: faultlab.patch(name, **spec)


def days_away(faultlab: FaultLab, name: str) -> None:
    """Declare a VM whose next window is days away."""
    day = WEEK[(faultlab.today().weekday() + 3) % 7]
    faultlab.declare(name, maintenance=windows(day, begin="02:00", end="04:00"))


_MORE_MEMORY = patch(resources={"cpus": 2, "memory": "8Gi", "disks": [DISK]}, change=slip())
_COLD = {"cpuHotAdd": False, "memoryHotAdd": False}

HOT = Story("hot", (_MORE_MEMORY,), before=declare())
THREE = Story(
    "three",
    (patch(resources={"cpus": 4, "memory": "8Gi", "disks": [{**DISK, "size": "80Gi"}]}, change=slip()),),
    before=declare(),
)
COLD = Story(
    "cold",
    (_MORE_MEMORY,),
    before=declare(maintenance=windows(*WEEK)),
    vm=_COLD,
    slow=frozenset({"PATCH changerequests/status", "ShutdownGuest"}),
)
REVERTED = Story(
    "reverted",
    (_MORE_MEMORY, patch(resources={"memory": "4Gi"}, change=slip("back"))),
    before=days_away,
    vm=_COLD,
)
ADOPTED = Story("adopted", (declare(),))
REFUSED = Story("refused", (_MORE_MEMORY,), before=declare(orders=[order()]))

STORIES = (HOT, THREE, COLD, REVERTED, ADOPTED, REFUSED)
