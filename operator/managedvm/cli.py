"""The commands: `run` the operator, `explain` a ManagedVM, `crds` and `reasons` for those who build and document."""

import asyncio
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import kopf
import typer
from kubernetes import aio as kubernetes
from rich.console import Console
from rich.table import Table

from managedvm import __version__, logs
from managedvm.api import crds
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.workentry import WorkEntry
from managedvm.errors import ManagedVMError
from managedvm.handlers import registry
from managedvm.planning.explanation import Statement, explain
from managedvm.planning.findings import Reason
from managedvm.process import Operator
from managedvm.settings import Settings
from managedvm.world.kube import HttpKube, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN_WIDTH = 140
_LONGEST_NAME = 44

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The managed hosting contract as a program."
)


@app.command()
def run(context: typer.Context) -> None:
    """Run the operator; its settings are MANAGEDVM_* variables of the environment."""
    read_settings: Callable[[], Settings] = context.obj
    asyncio.run(_run(read_settings()))


@app.command(name="explain")
def explain_command(
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The ManagedVM.")],
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig.")] = None,
) -> None:
    """Say what is promised, kept, waited for, refused and charged for a ManagedVM, each with its clause."""
    namespace, _, vm = name.partition("/")
    if not namespace or not vm:
        raise typer.BadParameter("write it as NAMESPACE/NAME")
    try:
        statements = asyncio.run(_explain(namespace, vm, context))
    except NotFoundError:
        typer.echo(f"There is no ManagedVM {name}.", err=True)
        raise typer.Exit(1) from None
    except (ManagedVMError, kubernetes.config.ConfigException) as error:
        typer.echo(f"The API server does not tell: {error}", err=True)
        raise typer.Exit(1) from None
    _print(name, statements)


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


async def _run(settings: Settings) -> None:
    logs.configure(settings.log_level)
    operator = Operator(settings, await _connection(None))
    await kopf.operator(registry=registry(operator), clusterwide=True, standalone=True)


async def _connection(context: str | None) -> kubernetes.client.ApiClient:
    """Return a client with the pod's own credentials, or with those of the kubeconfig."""
    configuration = kubernetes.client.Configuration()
    if context is None:
        try:
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            return kubernetes.client.ApiClient(configuration)
        except kubernetes.config.ConfigException:
            pass  # not in a pod
    await kubernetes.config.load_kube_config(context=context, client_configuration=configuration)
    return kubernetes.client.ApiClient(configuration)


async def _explain(namespace: str, name: str, context: str | None) -> tuple[Statement, ...]:
    kube = HttpKube(await _connection(context), may_act=lambda: False)
    try:
        vm = ManagedVM.of(await kube.get("ManagedVM", namespace, name))
        requests = [
            ChangeRequest.of(body)
            for body in await kube.list("ChangeRequest", namespace, field=f"spec.managedVMRef.name={name}")
        ]
        names = {request.metadata.name for request in requests}
        work = [WorkEntry.of(body) for body in await kube.list("WorkEntry", namespace)]
    finally:
        await kube.close()
    return explain(vm, requests, (entry for entry in work if entry.spec.change_request_ref.name in names))


def _print(name: str, statements: tuple[Statement, ...]) -> None:
    """Print the statements under their topics; wide enough for a sentence where the output is no terminal."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_PLAIN_WIDTH)
    console.print(f"ManagedVM {name}", style="bold")
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
