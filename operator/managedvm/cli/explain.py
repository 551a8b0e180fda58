"""`managedvm explain`: asks for a ManagedVM and its records, and prints what they say."""

from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from managedvm.api.changerequest import ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.workentry import WorkEntry
from managedvm.cli.connection import Context, answer, api_server, namespaced
from managedvm.planning.explanation import Statement, explain, is_looked_at

_PLAIN_WIDTH = 140
_LONGEST_NAME = 44

NOT_LOOKED_AT = 2
"""The exit code where the spec as it is now is not decided yet; a pipeline asks again."""


def explain_command(
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The ManagedVM.")],
    context: Context = None,
) -> None:
    """Say what is promised, kept, waited for, refused and charged for a ManagedVM, each with its clause.

    Ends with exit code 2 where the operator has not decided about the spec as it is now.
    """
    question = _explain(*namespaced(name), context)
    is_current, statements = answer(question, missing=f"There is no ManagedVM {name}.")
    print_statements(f"ManagedVM {name}", statements)
    if not is_current:
        raise typer.Exit(NOT_LOOKED_AT)


async def _explain(namespace: str, name: str, context: str | None) -> tuple[bool, tuple[Statement, ...]]:
    async with api_server(context) as kube:
        vm = ManagedVM.of(await kube.get("ManagedVM", namespace, name))
        requests = [
            ChangeRequest.of(body)
            for body in await kube.list("ChangeRequest", namespace, field=f"spec.managedVMRef.name={name}")
        ]
        names = {request.metadata.name for request in requests}
        work = [WorkEntry.of(body) for body in await kube.list("WorkEntry", namespace)]
        decided = [RequestDecision.of(body) for body in await kube.list("RequestDecision", namespace)]
    return is_looked_at(vm), explain(
        vm,
        requests,
        (entry for entry in work if entry.spec.change_request_ref.name in names),
        (one for one in decided if one.spec.change_request_ref.name in names),
    )


def print_statements(title: str, statements: tuple[Statement, ...]) -> None:
    """Print the statements under their topics; wide enough for a sentence where the output is no terminal."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PLAIN_WIDTH)
    console.print(title, style="bold")
    width = max((len(statement.about) for statement in statements), default=0)
    for topic, group in groupby(statements, key=lambda statement: statement.topic):
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        table.add_column(width=len("clause 5.2"), no_wrap=True)
        table.add_column(width=min(width, _LONGEST_NAME), overflow="fold")
        table.add_column(overflow="fold")
        for statement in group:
            table.add_row(
                f"clause {statement.clause}" if statement.clause else "", statement.about, statement.text
            )
        console.print(f"\n{topic.value}", style="bold")
        console.print(table)
