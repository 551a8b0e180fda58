"""Figures as a table with ratios, for the terminal and for RESULTS.md; the raw ones go to a JSON file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.phases import Figures

OURS, PEER = "managedvm", "idiomatic"
_MEGA = 1e6


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the figure's name, what it is called, and how it is written."""

    key: str
    label: str
    written: Callable[[float], str]
    is_compared: bool = True


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _milliseconds(value: float) -> str:
    return f"{value * 1000:.0f} ms"


def _mega(value: float) -> str:
    return f"{value / _MEGA:.0f} MB"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) or value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - 3 digits


def _percent(value: float) -> str:
    return f"{value * 100:.1f} %"


def _bytes(value: float) -> str:
    return f"{value / 1000:.1f} kB"


ROWS = (
    Row("onboarding.seconds", "onboarding: start until all are Ready", _seconds),
    Row("onboarding.cpu", "onboarding: CPU", _seconds),
    Row("onboarding.writes", "onboarding: writes per VM, without Events", _count),
    Row("onboarding.events", "onboarding: Events per VM", _count),
    Row("onboarding.soap", "onboarding: SOAP calls per VM", _count),
    Row("onboarding.peak", "onboarding: peak memory", _mega),
    Row("cold.seconds", "cold start: start until all are evaluated", _seconds),
    Row("cold.first", "of it until the first is (ours waits for the Lease of the killed)", _seconds),
    Row("cold.cpu", "cold start: CPU", _seconds),
    Row("cold.writes", "cold start: writes, without Events", _count),
    Row("cold.events", "cold start: Events", _count),
    Row("cold.soap", "cold start: SOAP calls", _count),
    Row("cold.vmreads", "cold start: reads of single VMs", _count),
    Row("cold.rss", "memory 20 s later", _mega),
    Row("cold.peak", "cold start: peak memory", _mega),
    Row("memory.empty", "memory of an empty operator", _mega, is_compared=False),
    Row("memory.pervm", "memory per VM beyond that", _bytes, is_compared=False),
    Row("idle.writes", "idle: writes, without Events", _count),
    Row("idle.events", "idle: Events", _count),
    Row("idle.changed", "idle: changed resourceVersions", _count),
    Row("idle.cpu", "idle: CPU of one core", _percent),
    Row("idle.soap", "idle: SOAP calls", _count),
    Row("idle.vmreads", "idle: reads of single VMs", _count),
    Row("change.median", "change of a spec to its status: median", _milliseconds),
    Row("change.p99", "change of a spec to its status: p99", _milliseconds),
    Row("change.cpu", "per change: CPU beyond idle", _milliseconds),
    Row("change.writes", "per change: writes, without Events", _count),
    Row("change.events", "per change: Events", _count),
    Row("billed.creates", "per billable change: creates", _count, is_compared=False),
    Row("billed.status", "per billable change: status writes", _count, is_compared=False),
    Row("billed.events", "per billable change: Events", _count, is_compared=False),
    Row("billed.median", "billable change to its status: median", _milliseconds, is_compared=False),
    Row("drift.median", "drift to its repair: median", _milliseconds),
    Row("drift.p99", "drift to its repair: p99", _milliseconds),
    Row("drift.simulator.median", "of it the simulator itself: median", _milliseconds, is_compared=False),
    Row("drift.reaction.median", "told to repair sent: median", _milliseconds, is_compared=False),
    Row("drift.reaction.p99", "told to repair sent: p99", _milliseconds, is_compared=False),
    Row("takeover.killed", "leader killed until the other acts", _seconds, is_compared=False),
    Row("takeover.stopped", "leader stopped until the other acts", _seconds, is_compared=False),
    Row("takeover.standby.rss", "memory of a warm standby", _mega, is_compared=False),
)

_PREFACE = """# Results

Written by `make bench`; what each line means and how it is measured stands in [README.md](README.md). The API server, etcd,
the simulated vCenter, the measurement and the operator share the machine, so seconds depend on it; the ratios are of one
run on one machine, peer by ours: above 1 ours is the better one.
"""

_WORDS = (".unfinished", ".error")


@dataclass(frozen=True, slots=True)
class Line:
    """A row as it is shown."""

    label: str
    ours: str
    peer: str
    ratio: str


def lines(figures: Mapping[str, Figures]) -> list[Line]:
    """Return the lines for which there is any figure; figures are by contestant. The ratio is peer by ours."""
    ours, peer = figures.get(OURS, {}), figures.get(PEER, {})
    shown = [
        Line(row.label, _cell(row, ours), _cell(row, peer), _ratio(row, ours, peer))
        for row in ROWS
        if row.key in ours or row.key in peer
    ]
    words = [name for name in sorted(set(ours) | set(peer)) if name.endswith(_WORDS)]
    return shown + [Line(name, str(ours.get(name, "")), str(peer.get(name, "")), "") for name in words]


def table(size: int, figures: Mapping[str, Figures]) -> Table:
    """Return the table of one size for the terminal."""
    made = Table(title=f"{size:,} VMs", title_justify="left")
    made.add_column("")
    for heading in ("managedvm", "idiomatic kopf", "ratio"):
        made.add_column(heading, justify="right")
    for line in lines(figures):
        made.add_row(line.label, line.ours, line.peer, line.ratio)
    return made


def markdown(size: int, figures: Mapping[str, Figures]) -> str:
    """Return the table of one size for RESULTS.md."""
    head = [f"## {size:,} VMs", "", "| | managedvm | idiomatic kopf | ratio |", "|---|---:|---:|---:|"]
    body = [f"| {line.label} | {line.ours} | {line.peer} | {line.ratio} |" for line in lines(figures)]
    return "\n".join([*head, *body, ""])


def document(raw: Mapping[str, Any]) -> str:
    """Return RESULTS.md from the raw figures of all sizes."""
    parts = [_PREFACE]
    for size, measured in raw.items():
        figures = measured["figures"]
        machines = [one["machine"] for one in figures.values() if "machine" in one]
        versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
        parts.append(markdown(int(size), figures))
        parts.extend(f"{_told(machine)}\n" for machine in machines[:1])
        parts.append(f"`{measured['command']}` with {versions}.\n")
    return "\n".join(parts)


def _told(machine: Mapping[str, Any]) -> str:
    loads = ", ".join(str(load) for load in machine["loadAverage"])
    return (
        f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}; "
        f"load average at the end {loads}."
    )


def _cell(row: Row, figures: Figures) -> str:
    value = figures.get(row.key)
    return row.written(float(value)) if isinstance(value, int | float) else ""


def _ratio(row: Row, ours: Figures, peer: Figures) -> str:
    mine, other = ours.get(row.key), peer.get(row.key)
    if not row.is_compared or not isinstance(mine, int | float) or not isinstance(other, int | float):
        return ""
    if mine == 0:
        return "" if other == 0 else "∞"
    return f"{other / mine:.1f}x"
