"""Whether a request has taken effect, asked of a vCenter when its ManagedVM is gone: nothing is guessed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.actions import AdvanceRequest
from managedvm.planning.observed import PowerState, TaskState, Unknown
from managedvm.planning.reasons import Reason
from managedvm.planning.requests import plan
from managedvm.planning.vcenter import Connection, Trouble
from managedvm.wiring import INDEXES
from managedvm.world.managed import Place
from managedvm.world.observe import SEEN_AFTER, Observer
from tests.factories import (
    NOW,
    OTHER_UUID,
    VCENTER_UUID,
    VM_UUID,
    change_request,
    managed_vm,
    task,
    vcenter,
    virtual_machine,
)
from tests.world_fast.fakes import nobody_is_met

CONNECTED = Connection(VCENTER_UUID, "vCenter 8.0")
NO_SECRET = Trouble(Reason.CREDENTIALS_MISSING, "Secret managedvm-system/nope is missing")
REQUEST = change_request()


class View:
    """A vCenter as it is seen; without a connection nobody may ask for its inventory."""

    def __init__(self, connection=CONNECTED, facts=None, latest=None):
        self.connection = connection
        self._facts = facts
        self._latest = latest
        self.is_filling = self.is_changing = False

    @property
    def inventory(self):
        assert isinstance(self.connection, Connection), "asked for an inventory without a connection"
        return self

    def vm_by_uuid(self, uuid):
        return self._facts if self._facts is not None and uuid == VM_UUID else None

    async def recent_task(self, _vm, _method):
        return self._latest


async def effect(request=REQUEST, **views):
    """Return what a pass of the request reads; `views` are the VCenters by name."""
    store = Store(INDEXES)
    for number, name in enumerate(views, start=1):
        meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(number)}
        store.put({"kind": "VCenter", "metadata": meta, "spec": vcenter().spec.to_json()})
    observed = await Observer(store, views.get, nobody_is_met).request(request, NOW)
    return observed.has_taken_effect, plan(request, observed, NOW)


def marked():
    return virtual_machine(notes={"managedvm.change.memory": REQUEST.metadata.name})


async def test_a_request_whose_vm_carries_its_mark_has_taken_effect_and_is_not_withdrawn():
    assert await effect(berlin=View(facts=marked())) == (True, None)


async def test_a_request_that_left_no_trace_is_withdrawn():
    has_taken_effect, action = await effect(berlin=View(facts=virtual_machine()))

    assert has_taken_effect is False
    assert isinstance(action, AdvanceRequest)


@pytest.mark.parametrize(
    "latest",
    [
        task(TaskState.RUNNING, end=None),
        task(end=NOW - timedelta(seconds=1)),
        Unknown("vCenter did not answer"),
    ],
    ids=["running", "just over", "not to be read"],
)
async def test_a_request_whose_change_may_be_on_its_way_is_not_withdrawn(latest):
    has_taken_effect, action = await effect(berlin=View(facts=virtual_machine(), latest=latest))

    assert isinstance(has_taken_effect, Unknown)
    assert action is None


async def test_who_is_left_with_a_guest_that_was_asked_to_shut_down_is_told():
    slot = {"begin": "2026-11-23T11:50:00Z", "end": "2026-11-23T12:00:00Z"}
    asked = change_request(state="InWork", startedAt="2026-11-23T11:55:00Z", slot=slot)

    _, action = await effect(asked, berlin=View(facts=virtual_machine()))

    assert "asked to shut down at 2026-11-23T11:55:00Z" in action.finding.message
    assert "start it" in action.finding.message


async def test_a_managed_vm_that_is_being_deleted_counts_as_gone_and_its_vm_is_seen_by_the_request():
    store = Store(INDEXES)
    meta = {"name": "berlin", "uid": "uid-berlin", "resourceVersion": "1"}
    store.put({"kind": "VCenter", "metadata": meta, "spec": vcenter().spec.to_json()})
    body = {"kind": "ManagedVM", **managed_vm().to_json()}
    off = virtual_machine(power=PowerState.OFF)
    observer = Observer(store, {"berlin": View(facts=off)}.get, nobody_is_met)
    for version, more in (("2", {}), ("3", {"deletionTimestamp": "2026-11-23T12:00:00Z"})):
        store.put({**body, "metadata": {**body["metadata"], "resourceVersion": version, **more}})
        found = await observer.request(REQUEST, NOW)
        assert found.exists is not bool(more)
    assert found.orphan == off


@pytest.mark.parametrize("skew", [timedelta(hours=-9), timedelta(hours=9)])
async def test_a_vcenter_whose_clock_is_wrong_holds_up_no_withdrawal_and_hastens_none(skew):
    just_over = task(end=NOW + skew, seen_at=NOW)
    over = task(end=NOW + skew, seen_at=NOW - SEEN_AFTER)

    assert isinstance((await effect(berlin=View(facts=virtual_machine(), latest=just_over)))[0], Unknown)
    assert (await effect(berlin=View(facts=virtual_machine(), latest=over)))[0] is False


async def test_a_task_that_was_over_long_ago_holds_up_no_withdrawal():
    over = task(end=NOW - SEEN_AFTER)

    assert (await effect(berlin=View(facts=virtual_machine(), latest=over)))[0] is False


@pytest.mark.parametrize(
    "connection", [Unknown("not reachable"), NO_SECRET, replace(CONNECTED, vcenter_uuid=OTHER_UUID)]
)
async def test_nothing_is_concluded_while_the_vcenter_of_a_request_cannot_be_seen(connection):
    has_taken_effect, action = await effect(berlin=View(connection=connection))

    assert isinstance(has_taken_effect, Unknown)
    assert action is None


async def test_another_vcenter_without_credentials_hinders_no_request():
    views = {"altona": View(connection=NO_SECRET), "berlin": View(facts=marked())}

    assert (await effect(**views))[0] is True


async def test_a_request_that_is_over_asks_no_vcenter():
    assert await effect(change_request(state="Done"), berlin=View(connection=NO_SECRET)) == (False, None)


def test_a_vcenter_that_lost_its_credentials_is_still_looked_at():
    store = Store(INDEXES)
    observer = Observer(store, {"berlin": View(connection=NO_SECRET)}.get, nobody_is_met)
    key = ObjectKey("ManagedVM", "kunde-a", "web-01")
    observer.managed.note(key, Place("berlin", VCENTER_UUID, "domain-c1", "standard", may_act=True))

    observed = observer.vcenter("berlin")

    assert observed.connection is NO_SECRET
    assert observed.clusters == ()
