"""A helpdesk on the loopback, and the operator's way to it."""

import asyncio

import pytest
from pydantic import SecretStr

from lab import pki
from lab.zammad import Zammad as ZammadServer
from lab.zammad import serve
from managedvm.world.helpdesk.zammad import Zammad
from managedvm.world.vsphere.soap import tls_context
from tests.helpdesk.stand import Stand


async def left():
    """Wait for the end of all connections: one whose call took too long is closed only when TLS has taken its leave.

    A loop that ends before leaves a socket behind, about which whichever test comes next would be warned.
    """
    open_ones = asyncio.get_running_loop()._transports
    while not all(one.is_closing() for one in tuple(open_ones.values())):  # noqa: ASYNC110 - a loop has no event for it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    made = pki.new_authority(tmp_path_factory.mktemp("helpdesk"), "the helpdesk's authority")
    return made, made.server("zammad", hosts=("127.0.0.1",))


@pytest.fixture
def served(authority):
    with serve(ZammadServer(), authority[1]) as one:
        yield one


@pytest.fixture
def server(served):
    """What the helpdesk holds, and the hand behind it."""
    return served.zammad


@pytest.fixture
async def connect(served, authority):
    """Make the operator's port; keyword arguments differ from what is right."""
    made = []

    def port(**more):
        given = {
            "url": served.url,
            "token": SecretStr(served.zammad.token),
            "context": tls_context(authority[0].bundle.read_text()),
            "group": "Support",
            "attributes": ("managedvm", "request_kind", "wanted_at"),
            "may_act": lambda: True,
            "seconds": 5.0,
            **more,
        }
        made.append(Zammad(**given))
        return made[-1]

    yield port
    for one in made:
        await one.close()
    await left()


@pytest.fixture
def zammad(connect):
    return connect()


@pytest.fixture
async def stand(served, authority):
    """Two customers with a VM each, and the operator between API server and helpdesk."""
    made = Stand(served, authority[0].bundle.read_text())
    await made.settle()
    yield made
    await made.link.close()
    await left()
