"""Carrying out a plan: in order, once each, stopping at the first failure."""

import pytest

from managedvm.api.changerequest import ChangeRequestStatus, RequestState
from managedvm.errors import (
    BusyError,
    ConflictError,
    ManagedVMError,
    NotActiveError,
    RefusedError,
    StaleError,
)
from managedvm.planning.actions import (
    AdvanceRequest,
    ConfirmUnchanged,
    PowerOn,
    Reconfigure,
    RecordRequest,
    RecordWork,
    ReleaseClaim,
    ShutDownGuest,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, holds
from managedvm.planning.reasons import Reason
from managedvm.world.apply import Hands, create_once
from managedvm.world.apply import apply as carry_out
from tests.world_fast.fakes import FakeKube, FakeVSphere

CHANGE = Clause.CHANGE_BY_EFFORT


def vm(generation=1, **meta):
    return {
        "kind": "ManagedVM",
        "metadata": {"namespace": "a", "name": "web", "generation": generation, **meta},
    }


def claim(namespace="a", name="web"):
    owner = {"namespace": namespace, "name": name}
    return {"kind": "VMClaim", "metadata": {"name": "vm-1"}, "spec": {"owner": owner}}


def request(after="8Gi", **spec):
    change = {"id": "c", "aspect": "Memory", "before": "4Gi", "after": after}
    body = {
        "kind": "ConfigurationChange",
        "managedVMRef": {"name": "web"},
        "requestedBy": "a@b",
        "change": change,
    }
    meta = {"namespace": "a", "name": "op-x"}
    return {"kind": "ChangeRequest", "metadata": meta, "spec": {**body, **spec}}


def work(begin="2026-11-23T12:00:00Z", ref="op-x"):
    spec = {"changeRequestRef": {"name": ref}, "performedBy": "operator", "begin": begin, "end": begin}
    return {"kind": "WorkEntry", "metadata": {"namespace": "a", "name": "op-x-work"}, "spec": spec}


async def apply(actions, hands):
    """Carry one group out and raise what stopped it."""
    outcome = await carry_out((actions,), hands)
    outcome.raise_for(ManagedVMError)
    return outcome


def hands(kube, vsphere=None, patch=None):
    seen = []
    return Hands(kube, vsphere or FakeVSphere(), render=lambda _: patch or {"state": "Done"}, put=seen.append)


def confirm(generation=1, uid="uid-web"):
    return ConfirmUnchanged("a", "web", uid, generation, "vm-1")


def advance(version=""):
    done = ChangeRequestStatus(state=RequestState.DONE)
    finding = holds(Aspect.SUCCEEDED, Reason.DONE, "done")
    return AdvanceRequest("a", "op-x", version, ChangeRequestStatus(), done, finding, CHANGE)


RECONFIGURE = Reconfigure("vm-1", "v1", CHANGE, memory_mib=8192)


async def test_the_record_is_there_before_the_act():
    kube, vsphere = FakeKube(vm(), claim()), FakeVSphere()

    await apply((RecordRequest(request(), CHANGE), confirm(), RECONFIGURE), hands(kube, vsphere))

    assert ("ChangeRequest", "a", "op-x") in kube.objects
    assert vsphere.sent == [RECONFIGURE]


async def test_nothing_is_done_after_a_failure():
    kube, vsphere = FakeKube(vm(), claim()), FakeVSphere()
    vsphere.error = BusyError("busy")

    with pytest.raises(BusyError):
        await apply((RECONFIGURE, RecordWork(work(), CHANGE)), hands(kube, vsphere))

    assert ("WorkEntry", "a", "op-x-work") not in kube.objects


async def test_a_refusal_of_one_promise_holds_up_no_other():
    kube, vsphere = FakeKube(vm(), claim()), FakeVSphere()
    vsphere.error = RefusedError("no")

    outcome = await carry_out(((RECONFIGURE, PowerOn("vm-1")), (PowerOn("vm-2"),)), hands(kube, vsphere))

    assert vsphere.sent == [("power on", "vm-2")]
    assert [(f.action, str(f.error)) for f in outcome.failures] == [(RECONFIGURE, "no")]
    assert outcome.done == (PowerOn("vm-2"),)


async def test_a_replica_that_may_act_no_more_stops_at_once():
    vsphere = FakeVSphere()
    vsphere.error = NotActiveError("lost")

    with pytest.raises(NotActiveError):
        await carry_out(((PowerOn("vm-1"),), (PowerOn("vm-2"),)), hands(FakeKube(), vsphere))

    assert vsphere.sent == []


async def test_a_record_that_is_there_already_is_success():
    kube = FakeKube(request(), work())

    await apply((RecordRequest(request(), CHANGE), RecordWork(work(), CHANGE)), hands(kube))

    assert len(kube.objects) == 2


async def test_work_of_a_person_at_other_times_is_other_work():
    there, here = work(), work(begin="2026-11-23T13:00:00Z")
    for body in (there, here):
        body["spec"]["performedBy"] = "t@provider.example"

    assert await create_once(FakeKube(there), there)
    with pytest.raises(ConflictError):
        await create_once(FakeKube(there), here)


async def test_the_times_of_work_may_be_read_differently_after_a_crash():
    await apply((RecordWork(work(begin="2026-11-23T13:00:00Z"), CHANGE),), hands(FakeKube(work())))


async def test_what_was_found_before_may_be_read_differently_after_a_crash():
    again = request()
    again["spec"]["change"]["before"] = "6Gi"

    await apply((RecordRequest(again, CHANGE),), hands(FakeKube(request())))


@pytest.mark.parametrize(
    "action",
    [RecordRequest(request(after="16Gi"), CHANGE), RecordRequest(request(requestedBy="else@b"), CHANGE)],
    ids=["another value", "another requester"],
)
async def test_another_record_of_the_same_name_is_a_conflict(action):
    with pytest.raises(ConflictError):
        await apply((action,), hands(FakeKube(request())))


async def test_work_on_another_request_under_the_same_name_is_a_conflict():
    with pytest.raises(ConflictError):
        await apply((RecordWork(work(ref="op-y"), CHANGE),), hands(FakeKube(work())))


@pytest.mark.parametrize(
    ("bodies", "action"),
    [
        ((vm(generation=2), claim()), confirm()),
        ((vm(), claim()), confirm(uid="uid-other")),
        ((vm(deletionTimestamp="2026-11-23T12:00:00Z"), claim()), confirm()),
        ((claim(),), confirm()),
        ((vm(),), confirm()),
        ((vm(), claim(name="other")), confirm()),
        ((vm(), claim(namespace="b")), confirm()),
    ],
    ids=["changed", "re-created", "being deleted", "gone", "claim gone", "claim another's", "claim in b"],
)
async def test_nothing_is_done_when_the_order_is_not_what_was_decided_on(bodies, action):
    vsphere = FakeVSphere()

    with pytest.raises(StaleError):
        await apply((action, RECONFIGURE), hands(FakeKube(*bodies), vsphere))

    assert vsphere.sent == []


async def test_a_request_made_in_the_same_plan_is_advanced_at_its_own_version():
    kube = FakeKube()

    await apply((RecordRequest(request(), CHANGE), advance()), hands(kube))

    assert kube.objects["ChangeRequest", "a", "op-x"]["status"] == {"state": "Done"}


async def test_a_request_that_changed_meanwhile_is_not_advanced():
    with pytest.raises(StaleError):
        await apply((advance(version="1"),), hands(FakeKube(request())))


async def test_a_claim_is_released_only_while_it_is_the_one_that_was_seen():
    kube = FakeKube(claim())

    await apply((ReleaseClaim("vm-1", "uid-older"),), hands(kube))
    assert ("VMClaim", "", "vm-1") in kube.objects
    await apply((ReleaseClaim("vm-1", "uid-vm-1"),), hands(kube))
    assert ("VMClaim", "", "vm-1") not in kube.objects


async def test_power_is_a_matter_of_the_guest():
    vsphere = FakeVSphere()

    await apply((ShutDownGuest("vm-1"), PowerOn("vm-1")), hands(FakeKube(), vsphere))

    assert vsphere.sent == [("shut down", "vm-1"), ("power on", "vm-1")]


async def test_a_vcenter_that_was_removed_is_no_place_to_act():
    with pytest.raises(StaleError):
        await apply((RECONFIGURE,), Hands(FakeKube(), None, render=lambda _: None, put=lambda _: None))
