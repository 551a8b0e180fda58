"""What is counted around a phase: time, CPU, writes to the API server by kind of write, SOAP calls to the vCenter."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import usage
from lab import audit, kube, vcenter_admin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.facts import Lab

_LEASES = "coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened since a mark. `writes` are by verb and resource; the Lease is not among them."""

    seconds: float
    cpu: float
    writes: Counter[str]
    soap: Counter[str]
    vm_reads: int

    @property
    def events(self) -> int:
        """How many of the writes were Events."""
        return self.writes["create events"]

    @property
    def object_writes(self) -> int:
        """How many of the writes were not Events."""
        return self.writes.total() - self.events


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment from which on is counted."""

    at: float
    cpu: float
    audit: int


class Meters:
    """Counts for one user of one lab. `user` is who writes; SOAP calls are those of the operator's vCenter account."""

    def __init__(self, world: Lab, user: str) -> None:
        self._world = world
        self._user = user
        self._audit = audit.of(world)
        self._vcenter = vcenter_admin.of(world)

    def mark(self, pid: int | None) -> Mark:
        """Begin to count; `pid` is the process whose CPU is meant, None when it is yet to be started."""
        self._audit.settle(kube.admin(self._world))
        self._vcenter.reset_calls()
        return Mark(time.monotonic(), usage.cpu_seconds(pid) if pid else 0.0, self._audit.mark())

    def since(self, mark: Mark, pid: int, *, until: float | None = None) -> Counts:
        """Return what happened since the mark; `until` is when the phase ended, if that was not now."""
        seconds = (time.monotonic() if until is None else until) - mark.at
        cpu = usage.cpu_seconds(pid) - mark.cpu
        self._audit.settle(kube.admin(self._world), seconds=60)
        writes = Counter(
            f"{entry.verb} {entry.resource}{'/' if entry.subresource else ''}{entry.subresource}"
            for entry in self._audit.entries(mark.audit, user=self._user)
            if entry.mutating and entry.group != _LEASES
        )
        calls = self._vcenter.calls()
        soap = Counter(calls["users"].get(self._world.vcenter_username, {}))
        return Counts(seconds, cpu, writes, soap, calls["vmReads"])


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies, taken from the values themselves."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)
