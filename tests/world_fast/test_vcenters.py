"""One vCenter as it is followed: whatever was wrong with its Secret, mending the Secret mends the link."""

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest

from managedvm.errors import UnreachableError
from managedvm.planning import vcenter as planning
from managedvm.world import vcenters
from managedvm.world.vsphere.health import Healthy, Unreachable
from tests.factories import NOW, VCENTER_UUID, vcenter
from tests.world_fast.fakes import FakeKube

HEALTHY = Healthy(VCENTER_UUID, "vCenter 8.0", NOW)
REJECTED = Unreachable("InvalidCredentials", "the password is wrong", NOW)
AWAY = Unreachable("Unreachable", "the connection is refused", NOW)
UNTRUSTED = Unreachable("TlsNotTrusted", "the certificate is not trusted", NOW)


class Port:
    """Stands in for the port to a vCenter, whose health the test decides."""

    health = HEALTHY

    def __init__(self, _name, server, **_):
        self.server = server
        self.is_closed = False
        self.inventory = self

    def start(self):
        """Nothing is followed."""

    async def close(self):
        self.is_closed = True


def secret(**values):
    values = {"username": "operator", "password": "first", "ca.crt": "PEM", **values}
    data = {key: b64encode(value.encode()).decode() for key, value in values.items() if value}
    return {
        "kind": "Secret",
        "metadata": {"namespace": "managedvm-system", "name": "vcenter-berlin"},
        "data": data,
    }


class Stand:
    """A link to one vCenter, and what it has told."""

    def __init__(self, link, kube, told):
        self.link, self.kube, self.told = link, kube, told

    def put(self, body):
        self.kube._store(body)

    async def until(self, holds):
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110 - the link turns by the clock
                await asyncio.sleep(0.001)


@asynccontextmanager
async def followed(monkeypatch, *bodies, health=HEALTHY):
    monkeypatch.setattr(vcenters, "PyVmomiVSphere", Port)
    monkeypatch.setattr(vcenters, "CREDENTIALS_ARE_READ_AGAIN_AFTER", 0 * vcenters.OUTAGE_IS_TOLD_AFTER)
    monkeypatch.setattr(Port, "health", health)
    kube, told = FakeKube(*bodies), []
    all_links = vcenters.VCenters(
        kube,
        namespace="managedvm-system",
        clock=lambda: NOW,
        may_act=lambda: True,
        on_vms=lambda *_: None,
        on_vcenter=lambda _: told.append("vcenter"),
        on_all_vms=lambda _: told.append("vms"),
    )
    all_links.follow("berlin", {"kind": "VCenter", **vcenter().to_json()})
    try:
        yield Stand(all_links.view("berlin"), kube, told)
    finally:
        await all_links.close()


@pytest.mark.parametrize(
    "mended", [{"password": "second"}, {"username": "operator@vsphere.local"}, {"ca.crt": "OTHER PEM"}]
)
@pytest.mark.parametrize("health", [REJECTED, UNTRUSTED])
async def test_whatever_is_mended_in_the_secret_is_tried(monkeypatch, mended, health):
    async with followed(monkeypatch, secret(), health=health) as stand:
        await stand.until(lambda: stand.link.calls)
        refused = stand.link.calls

        stand.put(secret(**mended))
        await stand.until(lambda: stand.link.calls is not refused)

        assert refused.is_closed
        assert stand.link.calls.server != refused.server


async def test_what_was_refused_is_not_sent_again_by_reading_it_again(monkeypatch):
    async with followed(monkeypatch, secret(), health=REJECTED) as stand:
        await stand.until(lambda: stand.link.calls)
        refused = stand.link.calls
        reads = len(stand.kube.calls)

        await stand.until(lambda: len(stand.kube.calls) > reads + 3)

        assert stand.link.calls is refused


@pytest.mark.parametrize("trouble", ["the Secret is gone for a while", "the API server is away for a while"])
async def test_a_secret_that_could_not_be_read_for_a_while_leaves_nothing_behind(monkeypatch, trouble):
    async with followed(monkeypatch, secret(), health=REJECTED) as stand:
        await stand.until(lambda: stand.link.calls)
        read = stand.kube.get
        if trouble.startswith("the Secret"):
            stand.kube.objects.clear()
        else:
            monkeypatch.setattr(stand.kube, "get", away)
        await stand.until(lambda: stand.told)
        stand.told.clear()

        monkeypatch.setattr(Port, "health", HEALTHY)
        monkeypatch.setattr(stand.kube, "get", read)
        stand.put(secret())
        await stand.until(lambda: stand.told)

        assert stand.link.connection == planning.Connection(VCENTER_UUID, "vCenter 8.0")
        assert "vms" in stand.told


async def test_an_outage_is_told_again_when_its_cause_is_another_and_not_when_it_goes_on(monkeypatch):
    async with followed(monkeypatch, secret()) as stand:
        await stand.until(lambda: stand.link.calls)
        told = []
        for health in (AWAY, AWAY, REJECTED, REJECTED):
            stand.told.clear()
            stand.link._on_change(set(), set(), health)
            told.append(list(stand.told))
        assert told == [["vcenter"], [], ["vcenter"], []]


async def away(*_):
    raise UnreachableError("the API server cannot be reached")
