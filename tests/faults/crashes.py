"""A campaign of crashes: every call that a story needs, struck before, after its effect, and after its answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from lab import DeadlineError, wait_until
from lab.faults import Crash, Moment
from tests.faults.faultlab import NAMESPACE, FaultLab, Relay

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.calls import Call
    from tests.faults.stories import Story, Told

AT_ONCE = 6
"""Points that one crash strikes: as many passes must be able to stand still at once, see engine.passes."""

ORDERS_AT_ONCE = 2
"""Of these, those at an order to vCenter: of the four threads for such calls some stay free."""

TRIES = 3
"""How often a point is tried whose call did not come: a report may be one write or two, as events arrive."""


@dataclass(frozen=True, slots=True)
class Point:
    """One place to crash at: the n-th call of this kind in this step of the story, and the moment of its way."""

    story: Story
    step: int
    call: str
    nth: int
    moment: Moment

    @property
    def is_order(self) -> bool:
        """Whether the call goes to vCenter."""
        return " " not in self.call

    @property
    def is_slow(self) -> bool:
        """Whether it takes half a minute to recover from."""
        return self.call in self.story.slow

    def __str__(self) -> str:
        return f"{self.story.name}/{self.step + 1}: {self.call} #{self.nth} {self.moment}"


@dataclass(slots=True)
class Result:
    """What became of one point. `wrong` is empty when it ended as the reference did."""

    point: Point
    name: str
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """From the kill to where the reference stood."""


class Campaign:
    """Crashes at every call of every story that was told."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.results: list[Result] = []
        self.missed: list[Point] = []
        self.kills = 0
        self._lab: FaultLab = told.lab
        self._relay = Relay(told.lab)

    def run(self) -> None:
        """Run everything; what went wrong is in `results` and `missed`."""
        self._relay.begin()
        try:
            self.missed = self.points()
            for _ in range(TRIES):
                names = self._prepared(self.missed)
                late = [self._strike(batch, names) for batch in batches(self.missed)]
                self.missed = [point for points in late for point in points if self._is_needed(point)]
            self.told.await_quiet()
            found = self.told.wrong((result.point.story, result.name) for result in self.results)
            for result in self.results:
                result.wrong += found[result.name]
        finally:
            self._relay.end()

    def points(self) -> list[Point]:
        """Return every call of the references at every moment."""
        return [
            Point(story, step, call, nth, moment)
            for story in self.told.stories
            for step in range(len(story.steps))
            for call, times in self.told.references[story.name].most(step).items()
            for nth in range(1, times + 1)
            for moment in Moment
        ]

    def _is_needed(self, point: Point) -> bool:
        return self.told.references[point.story.name].needs(point.step, point.call, point.nth)

    def _prepared(self, points: list[Point]) -> dict[Point, str]:
        """Make a VM for each point and bring it to where its step begins; return their names."""
        made = self.told.made(point.story for point in points)
        names = {point: name for point, (_, name) in zip(points, made, strict=True)}
        for point, name in names.items():
            for step in range(point.step):
                self.told.do(point.story, step, name)
        return names

    def _strike(self, batch: list[Point], names: dict[Point, str]) -> list[Point]:
        """Crash at these points at once, and wait until all is well; return those whose call did not come."""
        crash = Crash(self._lab.proxy, self._relay.now.kill)
        for point in batch:
            crash.join(_wanted(names[point], point.call), point.nth, point.moment)
        since = len(self._lab.proxy.calls)
        for point in batch:
            point.story.steps[point.step](self._lab, names[point])
        self._await_held(crash, batch, names)
        held = list(crash.held)
        crash.strike()
        self.kills += 1
        killed = time.monotonic()
        self._relay.begin()
        for point, call in zip(batch, held, strict=True):
            if call is not None:
                result = Result(point, names[point])
                self.results.append(result)
                self._recover(result, killed, since)
        return [point for point, call in zip(batch, held, strict=True) if call is None]

    def _await_held(self, crash: Crash, batch: list[Point], names: dict[Point, str]) -> None:
        """Wait until each point holds its call, or has shown that this time its call does not come."""
        late = time.monotonic() + 12

        def is_over() -> bool:
            missing = [point for point, call in zip(batch, crash.held, strict=True) if call is None]
            return time.monotonic() > late or all(
                self.told.has_ended(point.story, point.step, names[point]) for point in missing
            )

        wait_until(is_over, "the calls of a batch", seconds=30, every=0.1)

    def _recover(self, result: Result, killed: float, since: int) -> None:
        """Wait until the story stands where the reference stood, then tell the rest of it."""
        point, name = result.point, result.name
        try:
            wait_until(
                lambda: self.told.has_ended(point.story, point.step, name), "it", seconds=60, every=0.1
            )
            result.seconds = time.monotonic() - killed
            for step in range(point.step + 1, len(point.story.steps)):
                self.told.do(point.story, step, name)
        except DeadlineError:
            result.wrong.append(f"did not recover; the calls for it: {self._lab.calls(name, since)}")


def batches(points: list[Point]) -> list[list[Point]]:
    """Return the points in groups that one crash can strike: of many stories each, the slow ones together."""
    waiting, found = list(points), []
    Random(1).shuffle(waiting)  # noqa: S311 - a die, not a secret
    waiting.sort(key=lambda point: not point.is_slow)
    while waiting:
        orders = [point for point in waiting if point.is_order][:ORDERS_AT_ONCE]
        others = [point for point in waiting if not point.is_order]
        batch = [*orders, *others][:AT_ONCE]
        waiting = [point for point in waiting if point not in batch]
        found.append(batch)
    return found


def _wanted(name: str, what: str) -> Callable[[Call], bool]:
    about = f"{NAMESPACE}/{name}"
    return lambda call: call.about == about and call.what == what and call.changes
