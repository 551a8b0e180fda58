"""`managedvm work`: records what was worked on a request, by a clock that is started and stopped or by its times."""

import json
import os
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from managedvm.api.base import LocalReference, format_duration
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.workentry import MOST_REVERSALS, Cause, WorkEntry, WorkEntrySpec
from managedvm.cli.connection import Context, answer, api_server, fail, namespaced
from managedvm.clock import utc_now
from managedvm.errors import ConflictError
from managedvm.planning.names import reversal_names
from managedvm.planning.records import counter_entry, persons_work
from managedvm.planning.wallclock import shown
from managedvm.planning.work import days_of, is_taken_back, objection
from managedvm.world.apply import create_once
from managedvm.world.kube import HttpKube

work_app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Record work on a ChangeRequest, list it, or take it back.",
)

_WIDTH = 140

Named = Annotated[str, typer.Argument(metavar="NAMESPACE/REQUEST", help="The ChangeRequest.")]
What = Annotated[str, typer.Option("--activity", "-a", help="What was done.", prompt=True)]
Why = Annotated[Cause | None, typer.Option("--cause", help="What the work was found to be due to.")]
By = Annotated[
    str | None,
    typer.Option(help="Who did it, where that is not you: it needs the verb attest on changerequests."),
]
_TIME = "HH:MM of today, or 2026-11-23T17:50, in the local time of this machine; or with a zone."


@work_app.command()
def start(name: Named, context: Context = None) -> None:
    """Start the clock; it runs on this machine until `managedvm work stop`, and one at a time."""
    request = answer(_request(*namespaced(name), context), missing=_nothing(name))
    # A clock of this machine that is behind the API server's must not begin before there was an order.
    begin = max(_second(utc_now()), request.asked_at or _second(utc_now()))
    clock = {"request": name, "begin": shown(begin)}
    path = _clock()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            json.dump(clock, file)
    except FileExistsError:
        fail(
            f"The clock runs already, {_running()}. Stop it first: nobody does two things at once (clause 4)."
        )
    typer.echo(f"The clock runs for {name} since {clock['begin']}.")


@work_app.command()
def stop(activity: What, cause: Why = None, by: By = None, context: Context = None) -> None:
    """Stop the clock and record the work as one WorkEntry."""
    running = _read_clock()
    if running is None:
        fail(
            "No clock runs. `managedvm work start NAMESPACE/REQUEST` starts one; `work add` records by times."
        )
    name, begin = running["request"], datetime.fromisoformat(running["begin"])
    # What was recorded and not heard of is found again under its name: the clock may be stopped twice.
    spent = {"begin": begin, "end": _second(utc_now()), "activity": activity, "cause": cause}
    _record(name, _add(*namespaced(name), spent, by, context, is_repeated=True))
    _clock().unlink()


@work_app.command()
def drop() -> None:
    """Stop the clock and record nothing."""
    words = _running()
    _clock().unlink(missing_ok=True)
    typer.echo(f"Dropped: {words}." if words else "No clock runs.")


@work_app.command()
def add(  # noqa: PLR0917 - each is an option of its own
    name: Named,
    activity: What,
    begin: Annotated[str | None, typer.Option(help=f"When it began: {_TIME}")] = None,
    end: Annotated[str | None, typer.Option(help=f"When it ended: {_TIME}")] = None,
    minutes: Annotated[int | None, typer.Option(min=1, max=1440, help="How long it took.")] = None,
    cause: Why = None,
    by: By = None,
    context: Context = None,
) -> None:
    """Record work by its times: --begin and --end, --begin and --minutes, or --minutes until now."""
    now = _second(utc_now())
    if (end is None) == (minutes is None) or (begin is None and minutes is None):
        raise typer.BadParameter("give --begin and --end, --begin and --minutes, or --minutes alone")
    begun = _instant(begin) if begin else now - timedelta(minutes=minutes or 0)
    spent = {"begin": begun, "activity": activity, "cause": cause}
    spent |= {"end": _instant(end)} if end else {"minutes": minutes}
    _record(name, _add(*namespaced(name), spent, by, context))


@work_app.command()
def reverse(
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/WORKENTRY", help="The WorkEntry.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="What was wrong with it.", prompt=True)],
    by: By = None,
    context: Context = None,
) -> None:
    """Take a WorkEntry back completely; what was really done is recorded anew."""
    recorded = answer(
        _reverse(*namespaced(name), reason, by, context), missing=f"There is no WorkEntry {name}."
    )
    typer.echo(f"Recorded as WorkEntry {recorded}.")


@work_app.command(name="list")
def list_command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAMESPACE/REQUEST]", help="The ChangeRequest.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Whose work to list instead, for all customers; needs --day.")
    ] = None,
    day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day (UTC) that the work touches.")
    ] = None,
    context: Context = None,
) -> None:
    """List the work on a request, or a person's of a day: who, when, what it costs, and why it is not accepted."""
    if (person is None) != (day is None) or (name is None) == (person is None):
        raise typer.BadParameter("give NAMESPACE/REQUEST, or --person and --day")
    if person is not None and day is not None:
        entries = answer(_work_of(person, day.date(), context), missing="There is no WorkEntry.")
        _print(entries, lambda entry: f"{entry.metadata.namespace}/{entry.metadata.name}")
    elif name is not None:
        entries = answer(_work_on(*namespaced(name), context), missing=_nothing(name))
        _print(entries, lambda entry: entry.metadata.name)


def _print(entries: list[WorkEntry], called: Callable[[WorkEntry], str]) -> None:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDTH)
    table = Table(box=None, pad_edge=False)
    for column in ("work", "by", "begin", "time", "counted", "amount", "accepted"):
        table.add_column(column, overflow="fold")
    for entry in sorted(entries, key=lambda one: one.spec.begin):
        table.add_row(called(entry), *_row(entry))
    console.print(table)


def _row(entry: WorkEntry) -> tuple[str, ...]:
    spec, charge = entry.spec, entry.charge
    said = next((one for one in entry.status.conditions if one.type == "Accepted"), None)
    accepted = "yes" if charge else f"{said.reason}: {said.message}" if said else "not decided yet"
    spent = "" if spec.reverses else format_duration(spec.until - spec.begin)
    counted = format_duration(charge.counted) if charge else ""
    amount = f"{charge.amount} {charge.currency}" if charge else ""
    return spec.performed_by, shown(spec.begin), spent, counted, amount, accepted


def _record(name: str, adding: Coroutine[None, None, str]) -> None:
    recorded = answer(adding, missing=_nothing(name))
    typer.echo(f"Recorded as WorkEntry {recorded}. `managedvm work list {name}` says what it costs.")


async def _add(
    namespace: str,
    request_name: str,
    spent: dict[str, Any],
    by: str | None,
    context: str | None,
    *,
    is_repeated: bool = False,
) -> str:
    """Record work and return its name; exits with 1 where the contract has no place for it."""
    async with api_server(context, writes=True) as kube:
        request = ChangeRequest.of(await kube.get("ChangeRequest", namespace, request_name))
        spec = WorkEntrySpec(
            change_request_ref=LocalReference(name=request_name),
            managed_vm_ref=request.spec.managed_vm_ref,
            performed_by=by or await kube.whoami(),
            **spent,
        )
        found = objection(spec, request, utc_now())
        if found is not None:
            fail(found.text)
        body = await _not_taken_back(kube, namespace, spec)
        try:
            await create_once(kube, body)
        except ConflictError:
            if not is_repeated:
                fail(
                    f"Other work of {spec.performed_by} that began at {shown(spec.begin)} is recorded already as "
                    f"{body['metadata']['name']}. Take it back first (managedvm work reverse), then record this"
                )
        return str(body["metadata"]["name"])


async def _not_taken_back(kube: HttpKube, namespace: str, spec: WorkEntrySpec) -> dict[str, Any]:
    """Return the record of work under the first of its names that no counter-entry has taken back."""
    for version in count(1):
        body = persons_work(namespace, spec, version)
        counter, _ = await _reversal(kube, WorkEntry.of(body))
        if counter is None:
            break
    return body


async def _reversal(kube: HttpKube, entry: WorkEntry) -> tuple[WorkEntry | None, int]:
    """Return the counter-entry that takes an entry back, or None with the version of the first name that is free.

    Where none is free, the version is one more than there may be.
    """
    for version, name in enumerate(reversal_names(entry.metadata.name), start=1):
        body = await kube.find("WorkEntry", entry.metadata.namespace, name)
        counter = WorkEntry.of(body) if body is not None else None
        if counter is None or is_taken_back(entry, counter):
            return counter, version
    return None, MOST_REVERSALS + 1


async def _reverse(namespace: str, name: str, reason: str, by: str | None, context: str | None) -> str:
    async with api_server(context, writes=True) as kube:
        entry = WorkEntry.of(await kube.get("WorkEntry", namespace, name))
        if entry.spec.reverses is not None:
            fail(f"{name} is a counter-entry, which is not taken back. Record the work anew (clause 4).")
        known, version = await _reversal(kube, entry)
        if known is not None:
            fail(f"{name} is taken back already, by {known.metadata.name}.")
        if version > MOST_REVERSALS:
            fail(
                f"All {MOST_REVERSALS} counter-entries that {name} may have name a wrong request (clause 4)."
            )
        body = counter_entry(entry, by or await kube.whoami(), _second(utc_now()), reason, version)
        try:
            await create_once(kube, body)
        except ConflictError:
            fail(
                f"Somebody else has written {body['metadata']['name']} at the same time; look with work list."
            )
        return str(body["metadata"]["name"])


async def _request(namespace: str, name: str, context: str | None) -> ChangeRequest:
    async with api_server(context) as kube:
        return ChangeRequest.of(await kube.get("ChangeRequest", namespace, name))


async def _work_on(namespace: str, name: str, context: str | None) -> list[WorkEntry]:
    async with api_server(context) as kube:
        await kube.get("ChangeRequest", namespace, name)
        about = f"spec.changeRequestRef.name={name}"
        return [WorkEntry.of(body) for body in await kube.list("WorkEntry", namespace, field=about)]


async def _work_of(person: str, day: date, context: str | None) -> list[WorkEntry]:
    async with api_server(context) as kube:
        found = await kube.list("WorkEntry", "", field=f"spec.performedBy={person}")
    entries = (WorkEntry.of(body) for body in found)
    return [
        one for one in entries if day in (on for _, on in days_of(person, one.spec.begin, one.spec.until))
    ]


def _nothing(name: str) -> str:
    return f"There is no ChangeRequest {name}: work is recorded on what somebody has asked for (clause 4)."


def _clock() -> Path:
    """Return the file of the running clock, where a person's programs keep their state (XDG)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "managedvm" / "work-clock.json"


def _read_clock() -> dict[str, str] | None:
    try:
        running: dict[str, str] = json.loads(_clock().read_text())
    except FileNotFoundError:
        return None
    return running


def _running() -> str:
    running = _read_clock()
    return f"for {running['request']} since {running['begin']}" if running else ""


def _second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)


def _instant(text: str) -> datetime:
    """Return the time that a person typed; raises typer.BadParameter."""
    try:
        if len(text) == len("17:50"):
            today = utc_now().astimezone().date()
            return datetime.combine(today, time.fromisoformat(text)).astimezone(UTC)
        return _second(datetime.fromisoformat(text)).astimezone(UTC)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; write {_TIME}") from None
