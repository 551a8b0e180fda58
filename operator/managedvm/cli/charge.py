"""`managedvm explain-charge`: one command answers a dispute, from the order to the line of the statement."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from managedvm import closing
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.statement import Statement, StatementLine, first_page_of
from managedvm.api.workentry import WorkEntry
from managedvm.cli.archives import Archives, held_in
from managedvm.cli.connection import Context, answer, api_server, namespaced
from managedvm.planning.dispute import Fact, explain_entry, explain_request
from managedvm.planning.ledger import RecordKey
from managedvm.planning.verification import Ledger
from managedvm.world.kube import NotFoundError

_PLAIN_WIDTH = 140


def explain_charge_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAMESPACE/STATEMENT:LINE or NAMESPACE/CHANGEREQUEST",
            help="A line of a statement, or a request with all work on it.",
        ),
    ],
    archives: Archives = None,
    context: Context = None,
) -> None:
    """Say who ordered, by which authority, which clause made it billable, the work, the rate and the rounding."""
    namespace, name = namespaced(what)
    statement, _, number = name.partition(":")
    if number and not number.isdigit():
        raise typer.BadParameter("write a line as NAMESPACE/STATEMENT:LINE")
    asked = _Asked(namespace, statement, int(number) if number else None)
    question = _steps(asked, held_in(archives), context)
    missing = f"There is no {what}; if its month was pruned, give the --archive that it was exported to."
    _print(what, answer(question, missing=missing))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be explained: all work on a request, or a line of a statement."""

    namespace: str
    name: str
    line: int | None


Step = tuple[str, tuple[Fact, ...]]


async def _steps(asked: _Asked, held: Ledger, context: str | None) -> list[Step]:
    """Return the facts of the request, and those of each piece of work, under their names."""
    async with api_server(context) as kube:
        bodies = await kube.list(Statement.KIND.kind, "")
        pages = {page.metadata.name: page for page in (*held.pages, *map(Statement.of, bodies))}
        line = _line(pages.values(), asked)
        namespace = line.namespace if line else asked.namespace
        records = {**held.records, **await closing.read_records(kube, (namespace,))}
    name = line.change_request_ref.name if line else asked.name
    request = records.get(RecordKey(ChangeRequest.KIND.kind, namespace, name))
    if not isinstance(request, ChangeRequest):
        raise NotFoundError(name)
    about = [r for r in records.values() if r.metadata.namespace == namespace]
    decisions = [
        r for r in about if isinstance(r, RequestDecision) and r.spec.change_request_ref.name == name
    ]
    work = [
        record
        for record in about
        if isinstance(record, WorkEntry)
        and record.spec.change_request_ref.name == name
        and (line is None or record.metadata.name == line.work_entry_ref.name)
    ]
    found: list[Step] = [(f"ChangeRequest {namespace}/{name}", explain_request(request, decisions))]
    for entry in sorted(work, key=lambda one: (one.spec.begin, one.metadata.name)):
        facts = explain_entry(entry, request, pages.values())
        found.append((f"WorkEntry {namespace}/{entry.metadata.name}", facts))
    return found


def _line(pages: Iterable[Statement], asked: _Asked) -> StatementLine | None:
    """Return the line that is asked for; raises NotFoundError, and returns None where a request is asked for."""
    if asked.line is None:
        return None
    for page in pages:
        is_asked = (
            first_page_of(page.metadata.name) == asked.name and page.metadata.namespace == asked.namespace
        )
        for line in page.spec.lines if is_asked else ():
            if line.number == asked.line:
                return line
    raise NotFoundError(asked.name)


def _print(what: str, steps: list[Step]) -> None:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PLAIN_WIDTH)
    console.print(what, style="bold")
    width = max(len(fact.about) for _, facts in steps for fact in facts)
    for heading, facts in steps:
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        table.add_column(width=len("clause 5.2"), no_wrap=True)
        table.add_column(width=width, no_wrap=True)
        table.add_column(overflow="fold")
        for fact in facts:
            table.add_row(f"clause {fact.clause}", fact.about, fact.text)
        console.print(f"\n{heading}", style="bold")
        console.print(table)
