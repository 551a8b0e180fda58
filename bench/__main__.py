"""`python -m bench`: measure the operator beside an idiomatic kopf operator, each in a fresh lab of the same size."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench import contestants, phases, reactions, results, takeover, usage, world
from bench.api import Api, Watch
from bench.phases import Bench
from lab.errors import LabError
from lab.paths import ROOT
from lab.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.phases import Figures
    from lab.facts import Lab

RESULTS, RAW = ROOT / "bench" / "RESULTS.md", ROOT / "bench" / "results.json"
_PACKAGES = ("kopf", "kubernetes", "pyvmomi", "pydantic", "aiohttp", "orjson")
_QUICK_SIZE, _QUICK_IDLE_SECONDS, _QUICK_COUNT = 100, 10.0, 5
_EMPTY_SECONDS = 30.0


class Name(StrEnum):
    """Who can be measured."""

    OURS = results.OURS
    PEER = results.PEER


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured."""

    quick: bool
    patience: float


def measure(
    sizes: Annotated[
        list[int] | None, typer.Argument(help="Numbers of VMs; 1000 and 10000 by default.")
    ] = None,
    only: Annotated[list[Name] | None, typer.Option(help="Only this contestant; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option(help="Few VMs and short phases, to see that it runs.")] = False,
    patience: Annotated[float, typer.Option(help="The longest any wait may take, in seconds.")] = 1800,
    record: Annotated[bool, typer.Option(help="Write bench/RESULTS.md and bench/results.json.")] = True,
) -> None:
    """Measure and print a table for each size; sizes that were measured before stay in the record."""
    options = Options(quick, patience)
    console = Console(width=None if sys.stdout.isatty() else 120)
    for size in sizes or ([_QUICK_SIZE] if quick else [1000, 10000]):
        figures = {name.value: _measured(name.value, size, options) for name in only or list(Name)}
        console.print(results.table(size, figures))
        if record and not quick:
            _record(size, figures)


def _measured(name: str, size: int, options: Options) -> Figures:
    """Return the figures of one contestant in a lab of its own."""
    begin = time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - begin:6.0f} s] {name} at {size}: {what}", flush=True)

    try:
        empty = _empty(say) if name == results.OURS else None
        say("a fresh lab")
        figures = asyncio.run(_all_phases(name, world.fresh(size), size, options, say))
    finally:
        world.end()
    figures["machine"] = usage.machine()
    rss = figures.get("cold.rss")
    if empty is not None and isinstance(rss, int):
        figures["memory.empty"] = empty
        figures["memory.pervm"] = (rss - empty) / size
    return figures


async def _all_phases(
    name: str, lab: Lab, size: int, options: Options, say: Callable[[str], None]
) -> Figures:
    figures: Figures = {}
    async with Api(lab) as api, Watch(api) as watch:
        bench = Bench(lab, api, watch, contestants.CONTESTANTS[name](lab), size, options.patience, say)
        try:
            for title, phase in _phases(name, options):
                say(title)
                try:
                    figures |= await phase(bench)
                except LabError as error:
                    figures[f"{title}.error"] = str(error)
                    say(f"{title} failed: {error}")
        finally:
            bench.who.kill()
    return figures


def _phases(name: str, options: Options) -> list[tuple[str, Callable[[Bench], Awaitable[Figures]]]]:
    """Return the phases of one contestant, in order."""
    count = _QUICK_COUNT if options.quick else reactions.COUNT
    seconds = _QUICK_IDLE_SECONDS if options.quick else phases.IDLE_SECONDS
    begun: list[tuple[str, Callable[[Bench], Awaitable[Figures]]]] = [
        ("onboarding", phases.onboarding),
        ("cold start", phases.cold_start),
        ("idle", lambda bench: phases.idle(bench, seconds)),
        ("change", lambda bench: reactions.changes(bench, count)),
    ]
    if name != results.OURS:
        return [*begun, ("drift", lambda bench: reactions.polled_drift(bench, count))]
    return [
        *begun,
        ("billed change", lambda bench: reactions.billed(bench, count)),
        ("drift", lambda bench: reactions.drift(bench, count)),
        ("takeover", takeover.takeover),
    ]


def _empty(say: Callable[[str], None]) -> int:
    """Return the memory of our operator in a lab without a ManagedVM, in bytes."""
    say("an empty operator")
    lab = world.fresh(0)
    who = contestants.ours(lab)
    try:
        who.start()
        lab_ready = time.monotonic() + _EMPTY_SECONDS
        wait_until(who.is_active, "the empty operator to act", seconds=_EMPTY_SECONDS)
        wait_until(lambda: time.monotonic() > lab_ready, "it to settle", seconds=_EMPTY_SECONDS * 2)
        return usage.memory(who.pid).now
    finally:
        who.kill()


def _record(size: int, figures: dict[str, Figures]) -> None:
    """Put the figures of one size into the raw file and write RESULTS.md anew from all of it."""
    raw = json.loads(RAW.read_text()) if RAW.exists() else {}
    raw[str(size)] = {
        "command": shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "figures": raw.get(str(size), {}).get("figures", {}) | figures,
    }
    RAW.write_text(json.dumps(dict(sorted(raw.items(), key=lambda item: int(item[0]))), indent=1) + "\n")
    RESULTS.write_text(results.document(json.loads(RAW.read_text())))


if __name__ == "__main__":
    typer.run(measure)
