"""The commands: `run` the operator, `explain` a ManagedVM, `crds` and `reasons` for those who build and document.

What asks the API server has a module of its own here.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import kopf
import typer
from pydantic import ValidationError

from managedvm import __version__, logs
from managedvm.api import crds
from managedvm.cli.availability import availability_command
from managedvm.cli.charge import explain_charge_command
from managedvm.cli.connection import connection, fail
from managedvm.cli.explain import explain_command
from managedvm.cli.request import request_app
from managedvm.cli.statement import statement_app
from managedvm.cli.work import work_app
from managedvm.handlers import registry
from managedvm.planning.reasons import Reason
from managedvm.process import Operator
from managedvm.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The managed hosting contract as a program."
)
app.command(name="explain")(explain_command)
app.command(name="availability")(availability_command)
app.command(name="explain-charge")(explain_charge_command)
app.add_typer(request_app, name="request")
app.add_typer(statement_app, name="statement")
app.add_typer(work_app, name="work")


@app.command()
def run(context: typer.Context) -> None:
    """Run the operator; its settings are MANAGEDVM_* variables of the environment."""
    read_settings: Callable[[], Settings] = context.obj
    try:
        settings = read_settings()
    except ValidationError as error:
        fail("\n".join(f"MANAGEDVM_{_named(each['loc'])}: {each['msg']}" for each in error.errors()))
    asyncio.run(_run(settings))


@app.command(name="crds")
def crds_command(
    directory: Annotated[Path, typer.Argument(help="Where the CRDs are.")] = Path("crds"),
    check: Annotated[bool, typer.Option("--check/--write", help="Only say whether they are current.")] = True,
) -> None:
    """Check the generated CRDs, or write them."""
    changed = crds.stale(directory) if check else crds.write(directory)
    for file in changed:
        typer.echo(f"{file} {'is not current' if check else 'written'}")
    if check and changed:
        raise typer.Exit(1)


@app.command()
def reasons() -> None:
    """Print every reason of conditions and Events with its effect and meaning, as a Markdown table."""
    typer.echo("| reason | effect | meaning |\n|---|---|---|")
    for reason in sorted(Reason, key=lambda r: r.word):
        typer.echo(f"| `{reason.word}` | {reason.effect.name.title()} | {reason.meaning} |")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _named(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)).upper()


async def _run(settings: Settings) -> None:
    logs.configure(settings.log_level)
    # As kopf's watches do. To look for a .netrc takes a thread, and longer than all else of a call.
    operator = Operator(settings, await connection(None, trust_env=False))
    await kopf.operator(
        registry=registry(operator), clusterwide=True, standalone=True, stop_flag=operator.left
    )
