"""One pass: what it does, when it reports, and what it never does twice."""

from datetime import timedelta

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.errors import BusyError, NoPermissionError, RefusedError
from managedvm.planning.actions import OverrideHighAvailability
from managedvm.planning.availability import promised
from managedvm.planning.observed import Unknown
from managedvm.reconcile import SETTLE, Reconciler
from managedvm.wiring import INDEXES
from managedvm.world.managed import ManagedClusters
from managedvm.world.unchanged import Unchanged
from tests.factories import (
    NOW,
    VCENTER_UUID,
    at,
    cluster,
    managed_vm,
    observed,
    order,
    service_level,
    virtual_machine,
)
from tests.world_fast.fakes import FakeKube, FakeVSphere

KEY = ObjectKey("ManagedVM", "kunde-a", "web-01")


class Stand:
    """A reconciler for one ManagedVM, whose world is whatever the test says it observes."""

    def __init__(self, vm=None, facts=None):
        self.now = NOW
        self.facts = facts or virtual_machine()
        body = vm or self.body()
        self.kube = FakeKube(body)
        self.vsphere = FakeVSphere()
        self.told = []
        self.managed = ManagedClusters()
        self.cluster = cluster()
        self.wanted = []
        self.store = Store(INDEXES)
        self.store.put(self.kube.objects["ManagedVM", "kunde-a", "web-01"])
        self.reconciler = Reconciler(
            store=self.store,
            observer=self,
            unchanged=Unchanged(self.store, lambda _: None),
            kube=self.kube,
            vsphere_of=lambda _: self.vsphere,
            teller=self,
            clock=lambda: self.now,
            changed=self.store.put,
            wanted=self.wanted.append,
        )

    @staticmethod
    def body(**spec):
        vm = managed_vm(**spec)
        body = {"apiVersion": "managedvm.dev/v1alpha1", "kind": "ManagedVM", **vm.to_json()}
        body["metadata"] = {"namespace": "kunde-a", "name": "web-01", "generation": 1}
        return body

    async def managed_vm(self, _):
        return observed(self.facts, cluster=self.cluster)

    async def tell(self, _, told):
        self.told += told

    def found(self, key, findings):
        pass

    async def reconcile(self):
        return await self.reconciler.reconcile(KEY)

    @property
    def status(self):
        return self.kube.objects["ManagedVM", "kunde-a", "web-01"].get("status", {})

    @property
    def writes(self):
        return [call for call in self.kube.calls if call[0] != "get"]

    def condition(self, kind):
        return next(c for c in self.status["conditions"] if c["type"] == kind)


def drifted():
    settings = promised(service_level().high_availability)
    return virtual_machine(ha_override=settings.__class__(restart_priority="low"))


async def test_a_vm_that_is_as_promised_is_reported_once_and_then_not_written_again():
    stand = Stand()

    await stand.reconcile()
    assert stand.condition("Ready")["status"] == "True"
    for _ in range(3):
        await stand.reconcile()

    assert len(stand.writes) == 1
    assert stand.vsphere.sent == []


async def test_a_repair_is_sent_once_while_its_effect_is_awaited():
    stand = Stand(facts=drifted())

    first = await stand.reconcile()
    second = await stand.reconcile()

    assert [type(action) for action in stand.vsphere.sent] == [OverrideHighAvailability]
    assert first.next_check == second.next_check == NOW + SETTLE
    assert stand.writes == []


async def test_a_repair_whose_effect_is_seen_is_reported_as_kept():
    stand = Stand(facts=drifted())
    await stand.reconcile()

    stand.facts = virtual_machine()
    await stand.reconcile()

    assert stand.condition("HighAvailabilityConfigured")["reason"] == "HighAvailabilityAsPromised"
    assert len(stand.writes) == 1


async def test_a_repair_whose_effect_is_late_is_reported_and_sent_again():
    stand = Stand(facts=drifted())
    await stand.reconcile()

    stand.now += SETTLE
    await stand.reconcile()

    assert len(stand.vsphere.sent) == 2
    assert stand.condition("Ready")["reason"] == "HighAvailabilityRepairing"


async def test_a_second_drift_is_repaired_at_once():
    stand = Stand(facts=drifted())
    await stand.reconcile()
    stand.facts = virtual_machine()
    await stand.reconcile()

    stand.facts = drifted()
    await stand.reconcile()

    assert len(stand.vsphere.sent) == 2


async def test_a_repair_of_what_held_before_is_told_at_once():
    stand = Stand()
    await stand.reconcile()

    stand.facts = drifted()
    await stand.reconcile()

    assert [notice.reason for notice in stand.told] == ["HighAvailabilityRepairing"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NoPermissionError("no privilege Host.Inventory.EditCluster"), "NoPermission"),
        (RefusedError("no"), "Refused"),
    ],
)
async def test_what_a_person_must_mend_is_a_condition(error, reason):
    stand = Stand(facts=drifted())
    stand.vsphere.error = error

    await stand.reconcile()

    assert stand.condition("ChangesPermitted")["reason"] == reason
    assert stand.condition("Ready")["status"] == "False"
    assert str(error) in stand.condition("ChangesPermitted")["message"]


async def test_what_time_mends_is_left_to_the_next_pass():
    stand = Stand(facts=drifted())
    stand.vsphere.error = BusyError("later")

    with pytest.raises(BusyError):
        await stand.reconcile()
    await stand.reconcile()

    assert len(stand.vsphere.sent) == 1
    assert stand.writes == []


async def test_an_object_that_this_version_cannot_read_says_so():
    body = Stand.body()
    body["spec"]["orders"] = [{"reference": "A-1"}]
    stand = Stand(vm=body)

    await stand.reconcile()

    assert stand.condition("Ready")["reason"] == "InvalidSpec"
    assert "serviceLevel" in stand.condition("ChangesPermitted")["message"]


async def test_an_object_that_is_being_deleted_says_what_keeps_it_and_is_left_alone():
    body = Stand.body()
    body["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "finalizers": ["example.com/hold"]}
    stand = Stand(vm=body, facts=drifted())

    for _ in range(2):
        await stand.reconcile()

    assert stand.vsphere.sent == []
    assert len(stand.writes) == 1
    assert (stand.condition("Ready")["status"], stand.condition("Ready")["reason"]) == (
        "False",
        "BeingDeleted",
    )
    assert "finalizer example.com/hold" in stand.condition("ChangesPermitted")["message"]


async def test_the_cluster_of_a_managed_vm_is_looked_after():
    stand = Stand()

    await stand.reconcile()

    assert stand.managed.of(VCENTER_UUID, acting_only=True) == {"domain-c1": {"standard"}}
    assert stand.wanted == [ObjectKey("VCenter", "", "berlin")]


async def test_naming_a_vm_that_may_not_be_claimed_touches_no_cluster():
    stand = Stand(facts=virtual_machine(path="/Berlin/vm/kunde-b/app-01"))

    await stand.reconcile()

    assert stand.condition("Claimed")["reason"] == "NotGranted"
    assert stand.managed.of(VCENTER_UUID) == {}
    assert stand.wanted == []


async def test_a_vm_that_may_not_be_changed_has_its_cluster_told_of_but_not_kept():
    stand = Stand(vm=Stand.body(mode="Observe"))

    await stand.reconcile()

    assert stand.managed.of(VCENTER_UUID) == {"domain-c1": {"standard"}}
    assert stand.managed.of(VCENTER_UUID, acting_only=True) == {"domain-c1": frozenset()}


@pytest.mark.parametrize("end", ["the object is gone", "its order has ended", "its VM is gone"])
async def test_a_cluster_is_kept_no_longer_than_a_vm_in_it_is_managed(end):
    stand = Stand()
    await stand.reconcile()
    stand.wanted.clear()

    if end == "the object is gone":
        stand.store.drop("ManagedVM", "uid-web-01")
    elif end == "its order has ended":
        stand.now = at("2027-01-01T00:00")
        body = stand.body(orders=[order(until="2026-12-31T00:00:00Z")])
        stand.store.put(stand.kube._store(body))
    else:
        stand.cluster = None
    await stand.reconcile()

    assert stand.managed.of(VCENTER_UUID) == {}
    assert stand.wanted == [ObjectKey("VCenter", "", "berlin")]


async def test_while_the_vcenter_is_away_its_clusters_stay_known():
    stand = Stand()
    await stand.reconcile()

    stand.facts, stand.cluster = Unknown("timeout"), None
    await stand.reconcile()

    assert stand.managed.of(VCENTER_UUID) == {"domain-c1": {"standard"}}


async def test_an_object_that_is_gone_needs_nothing():
    stand = Stand(facts=drifted())
    stand.store.drop("ManagedVM", "uid-web-01")

    verdict = await stand.reconcile()

    assert verdict.next_check is None
    assert stand.vsphere.sent == []


async def test_an_open_order_is_looked_at_again_when_it_ends():
    until = NOW + timedelta(days=1)
    stand = Stand(
        vm=Stand.body(orders=[{**managed_vm().spec.orders[0].to_json(), "until": until.isoformat()}])
    )

    assert (await stand.reconcile()).next_check == until
