"""How a command reaches the API server, and what a person is told when it does not answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, NoReturn, TypeVar

import typer
from kubernetes import aio as kubernetes

from managedvm.errors import ManagedVMError
from managedvm.world.kube import HttpKube, NotFoundError

T = TypeVar("T")

Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
"""The option that every asking command has."""


async def connection(context: str | None, *, trust_env: bool = True) -> kubernetes.client.ApiClient:
    """Return a client with the pod's own credentials, or with those of the kubeconfig.

    With `trust_env` the proxies of the environment are used, and a .netrc is looked for before each call.
    """
    configuration = kubernetes.client.Configuration(client_session_kwargs={"trust_env": trust_env})
    if context is None:
        try:
            kubernetes.config.load_incluster_config(client_configuration=configuration)
            return kubernetes.client.ApiClient(configuration)
        except kubernetes.config.ConfigException:
            pass  # not in a pod
    await kubernetes.config.load_kube_config(context=context, client_configuration=configuration)
    return kubernetes.client.ApiClient(configuration)


@asynccontextmanager
async def api_server(context: str | None, *, writes: bool = False) -> AsyncIterator[HttpKube]:
    """Give the API server to a command that only reads, unless it says that it writes."""
    kube = HttpKube(await connection(context), may_act=lambda: writes)
    try:
        yield kube
    finally:
        await kube.close()


def answer(question: Coroutine[None, None, T], *, missing: str) -> T:
    """Return what the API server answers; where it does not, say so (`missing` for a 404) and exit with 1."""
    try:
        return asyncio.run(question)
    except NotFoundError:
        fail(missing)
    except (ManagedVMError, kubernetes.config.ConfigException) as error:
        fail(f"The API server does not tell: {error}")


def fail(words: str) -> NoReturn:
    """Say to a person why there is no result, and exit with 1."""
    typer.echo(words, err=True)
    raise typer.Exit(1) from None


def namespaced(name: str) -> tuple[str, str]:
    """Return the parts of NAMESPACE/NAME; raises typer.BadParameter."""
    namespace, _, own = name.partition("/")
    if not namespace or not own:
        raise typer.BadParameter("write it as NAMESPACE/NAME")
    return namespace, own
