"""What a person sees when a pass cannot do its work: no bug and no long wait hides behind an old Ready."""

import asyncio
from dataclasses import replace

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.passes import Retry
from managedvm.errors import BusyError, NoPermissionError, StaleError
from managedvm.planning.actions import ClaimVM, OverrideHighAvailability, Reconfigure
from managedvm.planning.observed import NO_PERMISSION, RECONFIGURE, TaskState
from managedvm.process import classify
from managedvm.reconcile import SETTLE, WAITING_IS_TOLD_AFTER
from managedvm.world.apply import Hands, apply
from tests.factories import NOW, change_request, claim, observed, slip, task, virtual_machine
from tests.world_fast.fakes import FakeKube
from tests.world_fast.test_reconcile import Stand, drifted


async def a_broken_read(_):
    raise KeyError("nobody foresaw this: secret-value")


async def test_a_bug_is_told_beside_what_was_known_before():
    stand = Stand()
    await stand.reconcile()
    stand.managed_vm = a_broken_read

    with pytest.raises(KeyError):
        await stand.reconcile()

    ready = stand.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InternalError")
    assert "KeyError" in ready["message"]
    assert "secret-value" not in ready["message"]
    assert stand.condition("VMFound")["status"] == "True"


async def test_a_bug_is_written_once_and_forgotten_with_the_next_pass_that_works():
    stand = Stand()
    stand.managed_vm = a_broken_read
    for _ in range(3):
        with pytest.raises(KeyError):
            await stand.reconcile()
    assert len(stand.writes) == 1

    del stand.managed_vm
    await stand.reconcile()

    assert stand.condition("Ready")["reason"] == "AsPromised"


async def busy(stand, *, after):
    stand.now = NOW + after
    stand.vsphere.error = BusyError("vCenter is still at task-7")
    with pytest.raises(BusyError):
        await stand.reconcile()


async def test_a_wait_is_told_when_it_lasts():
    stand = Stand(facts=drifted())
    await busy(stand, after=0 * SETTLE)
    assert stand.writes == []

    await busy(stand, after=WAITING_IS_TOLD_AFTER)

    assert stand.condition("Ready")["reason"] == "Waiting"
    assert "Since 2026-11-23T12:00:00Z" in stand.condition("ChangesPermitted")["message"]
    assert "task-7" in stand.condition("ChangesPermitted")["message"]


async def test_a_wait_that_ended_in_between_counts_from_its_new_begin():
    stand = Stand(facts=drifted())
    await busy(stand, after=0 * SETTLE)
    stand.now = NOW + SETTLE
    await stand.reconcile()

    await busy(stand, after=WAITING_IS_TOLD_AFTER)

    assert all(c["reason"] != "Waiting" for c in stand.status.get("conditions", []))


async def test_an_object_that_is_gone_before_its_status_is_written_is_no_bug(monkeypatch):
    stand = Stand()

    async def gone(*_):
        raise StaleError("ManagedVM web-01 is gone since it was decided on")

    monkeypatch.setattr(stand.kube, "patch_status", gone)
    with pytest.raises(StaleError) as raised:
        await stand.reconcile()

    assert classify(raised.value) == Retry(None)


async def test_a_request_is_not_judged_while_its_change_is_being_sent():
    stand = Stand(facts=drifted())
    is_sending, may_end = asyncio.Event(), asyncio.Event()

    async def slowly(_):
        is_sending.set()
        await may_end.wait()

    stand.vsphere.override_high_availability = slowly
    request = change_request()
    body = {"kind": "ChangeRequest", **request.to_json()}
    stand.store.put(body)

    sending = asyncio.create_task(stand.reconcile())
    await is_sending.wait()
    verdict = await stand.reconciler.reconcile(ObjectKey("ChangeRequest", "kunde-a", request.metadata.name))
    may_end.set()
    await sending

    assert verdict.next_check == NOW + SETTLE


async def test_who_is_second_to_claim_a_vm_looks_again_and_has_seen_whose_it_is():
    first = {"kind": "VMClaim", **claim(name="web-00").to_json()}
    kube, seen = FakeKube(first), []
    second = {"kind": "VMClaim", **claim().to_json()}

    outcome = await apply(((ClaimVM(second),),), Hands(kube, None, render=lambda _: None, put=seen.append))

    with pytest.raises(StaleError):
        outcome.raise_for(StaleError)

    assert [body["spec"]["owner"]["name"] for body in seen] == ["web-00"]


ORDERED = {"resources": {"memory": "8Gi"}, "change": slip()}
MAY_NOT = NoPermissionError("the account of the operator lacks a privilege")


def grown(**facts):
    """Return a VM that takes more memory while it runs, and has other HA settings than promised."""
    return replace(drifted(), memory_hot_add=True, **facts)


def ordered(facts):
    stand = Stand(Stand.body(**ORDERED), facts)
    meta = stand.kube.objects["ManagedVM", "kunde-a", "web-01"]["metadata"]
    held = {"kind": "VMClaim", **claim(uid=meta["uid"]).to_json()}
    stand.kube.objects["VMClaim", "", held["metadata"]["name"]] = held
    return stand


async def test_a_refusal_for_vsphere_ha_holds_up_no_order_and_is_not_called_a_repair():
    stand = ordered(grown())
    stand.vsphere.refuses = {OverrideHighAvailability: MAY_NOT}

    await stand.reconcile()

    assert [type(action) for action in stand.vsphere.sent] == [Reconfigure]
    assert any(kind == "ChangeRequest" for kind, _, _ in stand.kube.objects)
    assert stand.condition("HighAvailabilityConfigured")["reason"] == "HighAvailabilityDrift"
    assert stand.condition("Ready")["reason"] == "NoPermission"


async def test_a_refusal_that_the_inventory_shows_is_left_to_the_pass_that_sees_it():
    stand = ordered(replace(grown(), ha_override=virtual_machine().ha_override))
    stand.vsphere.refuses = {Reconfigure: MAY_NOT}

    verdict = await stand.reconcile()

    assert not stand.status.get("conditions")
    assert verdict.next_check == NOW + SETTLE

    refused = task(TaskState.ERROR, moref="", end=NOW, fault=NO_PERMISSION, message=str(MAY_NOT))
    facts = replace(stand.facts, refused={RECONFIGURE: refused})

    async def later(_):
        return observed(facts, requests=[change_request()])

    stand.managed_vm = later
    await stand.reconcile()
    assert stand.condition("Ready")["reason"] == "ChangeFailed"
    assert "lacks a privilege" in stand.condition("ResourcesAsAgreed")["message"]


async def test_a_refusal_that_the_inventory_does_not_show_is_told_when_it_comes_again():
    stand = ordered(replace(grown(), ha_override=virtual_machine().ha_override))
    stand.vsphere.refuses = {Reconfigure: MAY_NOT}
    await stand.reconcile()
    stand.now += SETTLE

    await stand.reconcile()

    assert stand.condition("ChangesPermitted")["reason"] == "NoPermission"
