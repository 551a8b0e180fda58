"""One vCenter as it is followed: whatever was wrong with its Secret, mending the Secret mends the link."""

import asyncio
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from managedvm.errors import UnreachableError
from managedvm.planning import vcenter as planning
from managedvm.world import vcenters
from managedvm.world.vsphere.health import Filling, Healthy, Unreachable
from tests.factories import NOW, VCENTER_UUID, vcenter
from tests.world_fast.fakes import FakeKube

HEALTHY = Healthy(VCENTER_UUID, "vCenter 8.0", NOW)
REJECTED = Unreachable("InvalidCredentials", "the password is wrong", NOW)
AWAY = Unreachable("Unreachable", "the connection is refused", NOW)
UNTRUSTED = Unreachable("TlsNotTrusted", "the certificate is not trusted", NOW)


class Port:
    """Stands in for the port to a vCenter, whose health the test decides."""

    health = HEALTHY
    made: ClassVar[list["Port"]] = []

    def __init__(self, _name, server, **_):
        self.server = server
        self.tasks = []
        self.may_act = _["may_act"]
        Port.made.append(self)
        self.is_closed = False
        self.inventory = self

    def __len__(self):
        return 1

    def start(self):
        """Nothing is followed."""

    async def close(self):
        self.is_closed = True


def secret(**values):
    servers = "vcenter.example vcenter-2.example vcenter-3.example"
    right = {
        "server": servers,
        "username": "operator",
        "password": "first",
        "ca.crt": "PEM",
        "other.crt": "PEM",
    }
    values = {**right, **values}
    data = {key: b64encode(value.encode()).decode() for key, value in values.items() if value}
    return {
        "kind": "Secret",
        "metadata": {"namespace": "managedvm-system", "name": "vcenter-berlin"},
        "data": data,
    }


class Stand:
    """A link to one vCenter, and what it has told."""

    def __init__(self, links, kube, told):
        self.links, self.kube, self.told = links, kube, told

    @property
    def link(self):
        return self.links.view("berlin")

    def change(self, **spec):
        self.links.follow("berlin", {"kind": "VCenter", **vcenter(**spec).to_json()})

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
    monkeypatch.setattr(vcenters, "_LOOK", 0)
    Port.made.clear()
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
        yield Stand(all_links, kube, told)
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


OTHER = {"credentialsSecretRef": {"name": "vcenter-other"}}
OTHER_SECRET = {
    **secret(password="other"),
    "metadata": {"namespace": "managedvm-system", "name": "vcenter-other"},
}


def settles(stand, health=HEALTHY):
    """Let the newest port know its inventory, or its trouble."""
    coming = stand.links._next["berlin"]
    coming._vsphere.health = health
    coming._on_change(set(), set(), health)


@asynccontextmanager
async def changing(monkeypatch, *more, **spec):
    """A link that serves, beside one that is being made for another spec."""
    async with followed(monkeypatch, secret(), OTHER_SECRET, *more) as stand:
        await stand.until(lambda: stand.link.calls)
        monkeypatch.setattr(Port, "health", Filling(NOW))
        Port.made[0].health = HEALTHY
        stand.told.clear()
        stand.change(**(spec or OTHER))
        await stand.until(lambda: len(Port.made) == 2)
        yield stand, *Port.made


@pytest.mark.parametrize(
    "spec",
    [OTHER, {"server": "vcenter-2.example"}, {"tls": {"caKey": "other.crt"}}],
    ids=["another Secret", "another server", "other trust"],
)
async def test_the_link_before_serves_until_the_new_one_has_settled(monkeypatch, spec):
    async with changing(monkeypatch, **spec) as (stand, old, new):
        assert stand.link.connection == planning.Connection(VCENTER_UUID, "vCenter 8.0")
        assert stand.link.is_changing
        assert (stand.links.calls("berlin"), old.may_act(), new.may_act()) == (old, True, False)
        assert stand.told == []

        settles(stand)
        await stand.until(lambda: old.is_closed)

        assert stand.links.calls("berlin") is new
        assert not stand.link.is_changing
        assert (old.may_act(), new.may_act()) == (False, True)
        assert stand.told == ["vcenter", "vms"]


@pytest.mark.parametrize("health", [REJECTED, UNTRUSTED, AWAY])
async def test_a_new_link_that_fails_tells_why_in_place_of_the_old_one(monkeypatch, health):
    async with changing(monkeypatch) as (stand, old, new):
        settles(stand, health)
        await stand.until(lambda: old.is_closed)

        assert stand.links.calls("berlin") is new
        assert not isinstance(stand.link.connection, planning.Connection)
        assert (old.may_act(), new.may_act()) == (False, True)
        assert stand.told == ["vcenter", "vms"]


async def test_a_secret_that_is_missing_is_a_clear_condition_too(monkeypatch):
    async with followed(monkeypatch, secret()) as stand:
        await stand.until(lambda: stand.link.calls)
        stand.change(credentialsSecretRef={"name": "nowhere"})
        await stand.until(lambda: isinstance(stand.link.connection, planning.Trouble))
        await stand.until(lambda: Port.made[0].is_closed)


async def test_what_the_old_link_has_begun_comes_to_its_end_before_the_new_one_may_act(monkeypatch):
    async with changing(monkeypatch) as (stand, old, new):
        old.tasks.append("task-1")
        settles(stand)
        await stand.until(lambda: not old.may_act())

        assert not new.may_act()
        assert stand.links.calls("berlin") is old
        assert stand.link.connection == planning.Connection(VCENTER_UUID, "vCenter 8.0")

        old.tasks.clear()
        await stand.until(new.may_act)


async def test_a_change_that_is_taken_back_leaves_the_link_as_it_was(monkeypatch):
    async with changing(monkeypatch) as (stand, old, new):
        stand.change()
        await stand.until(lambda: new.is_closed)

        assert stand.links.calls("berlin") is old
        assert old.may_act()
        assert not stand.link.is_changing


async def test_of_several_changes_in_a_row_the_last_one_counts(monkeypatch):
    async with changing(monkeypatch) as (stand, old, second):
        stand.change(server="vcenter-3.example")
        await stand.until(lambda: len(Port.made) == 3 and second.is_closed)
        settles(stand)
        await stand.until(lambda: old.is_closed)

        assert stand.links.calls("berlin") is Port.made[2]
        assert [port.may_act() for port in Port.made] == [False, False, True]


async def test_a_vcenter_that_is_removed_while_it_changes_is_let_go_altogether(monkeypatch):
    async with changing(monkeypatch) as (stand, old, new):
        stand.links.follow("berlin", None)
        await stand.until(lambda: old.is_closed and new.is_closed)

        assert stand.link is None
        assert not old.may_act()
        assert not new.may_act()


async def away(*_):
    raise UnreachableError("the API server cannot be reached")
