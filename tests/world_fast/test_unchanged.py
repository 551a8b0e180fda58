"""What was decided is not decided again while nothing is different; and anything that is different is noticed."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from managedvm.api.kinds import KINDS, UNWATCHED
from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.observed import ClusterFacts, Unknown, VirtualMachine
from managedvm.planning.vcenter import Connection
from managedvm.wiring import INDEXES
from managedvm.world.observe import Observer
from managedvm.world.unchanged import OF_ONE_VM, Unchanged
from tests.factories import (
    NOW,
    OTHER_UUID,
    PATH,
    VCENTER_UUID,
    VM_UUID,
    change_request,
    claim,
    cluster,
    edited,
    managed_vm,
    request_decision,
    virtual_machine,
    work_entry,
)
from tests.world_fast.fakes import nobody_is_met

KEY = ObjectKey("ManagedVM", "kunde-a", "web-01")
IDENTITY = {
    "vCenterUUID": VCENTER_UUID,
    "instanceUUID": VM_UUID,
    "inventoryPath": PATH,
    "powerState": "PoweredOn",
}
SEEN = managed_vm(status={"vm": IDENTITY}, change={"id": "c-1", "requestedBy": "a.beispiel@kunde-a.example"})
LATER = NOW + timedelta(minutes=10)


class View:
    """A vCenter with one VM in one cluster."""

    def __init__(self):
        self.connection = Connection(VCENTER_UUID, "VMware vCenter Server 8.0.2")
        self.is_filling = False
        self.vm, self.at_path, self.of_cluster = virtual_machine(), virtual_machine(), cluster()
        self.unidentified = 0
        self.is_path_ambiguous = False

    @property
    def inventory(self):
        return self

    def vm_by_uuid(self, uuid):
        return self.vm if uuid == VM_UUID else None

    def vm_by_path(self, path):
        return self.at_path if path == PATH else None

    def is_ambiguous(self, _path):
        return self.is_path_ambiguous

    def cluster(self, _moref):
        return self.of_cluster


class Stand:
    """One ManagedVM whose latest pass, at NOW, had nothing to do until LATER."""

    version = 0

    def __init__(self, until=LATER):
        self.view, self.store = View(), Store(INDEXES)
        self.put(SEEN)
        self.put(claim())
        self.put_any("Customer", "", "kunde-a")
        self.unchanged = Unchanged(self.store, {"berlin": self.view}.get)
        self.unchanged.note(KEY, self.unchanged.sighted(KEY, SEEN), until)

    def put(self, resource):
        """Hold the next version of an object."""
        self._take({"kind": resource.KIND.kind, **resource.to_json()})

    def put_any(self, kind, namespace, name):
        """Hold the next version of an object of which no index reads anything."""
        self._take({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": {}})

    def _take(self, body):
        self.version += 1
        meta = body["metadata"]
        uid = f"uid-{body['kind']}-{meta.get('namespace', '')}-{meta['name']}"
        meta = {**meta, "uid": uid, "resourceVersion": str(self.version)}
        self.store.put({**body, "metadata": meta})

    def holds(self, now=NOW):
        return self.unchanged.holds(KEY, now)


def test_what_has_not_changed_is_not_decided_again_until_its_instant_comes():
    stand = Stand()
    assert stand.holds(NOW)
    assert stand.holds(LATER - timedelta(seconds=1))
    assert stand.unchanged.until(KEY) == LATER
    assert not stand.holds(LATER)


def test_a_pass_without_an_instant_of_its_own_holds_for_as_long_as_nothing_changes():
    assert Stand(until=None).holds(NOW + timedelta(days=1000))


@pytest.mark.parametrize("name", [field.name for field in fields(VirtualMachine)])
def test_every_fact_of_the_vm_counts(name):
    stand = Stand()
    stand.view.vm = replace(stand.view.vm, **{name: "another"})
    assert not stand.holds()


@pytest.mark.parametrize("name", [field.name for field in fields(ClusterFacts)])
def test_every_fact_of_its_cluster_counts(name):
    stand = Stand()
    stand.view.of_cluster = replace(stand.view.of_cluster, **{name: "another"})
    assert not stand.holds()


@pytest.mark.parametrize(
    "change",
    [
        {"vm": None},
        {"at_path": None},
        {"at_path": virtual_machine(moref="vm-2")},
        {"is_path_ambiguous": True},
        {"unidentified": 1},
        {"is_filling": True},
        {"connection": Unknown("not reachable")},
        {"connection": Connection("another", "VMware vCenter Server 8.0.2")},
    ],
    ids=str,
)
def test_whatever_else_vcenter_says_counts(change):
    stand = Stand()
    for name, value in change.items():
        setattr(stand.view, name, value)
    assert not stand.holds()


@pytest.mark.parametrize("namespace", ["", "kunde-a"])
@pytest.mark.parametrize(
    "kind",
    [
        "Namespace",
        "ValidatingAdmissionPolicyBinding",
        *sorted({kind.KIND.kind for kind in KINDS} - OF_ONE_VM - UNWATCHED),
    ],
)
def test_every_object_of_the_namespace_and_of_the_cluster_counts(kind, namespace):
    stand = Stand()
    stand.put_any(kind, namespace, "any")
    assert not stand.holds()


OTHERS_REQUEST = edited(change_request(uuid=OTHER_UUID), managedVMRef={"name": "web-02"})


@pytest.mark.parametrize(
    "resource",
    [
        SEEN,
        claim(),
        claim(OTHER_UUID),
        claim(name="web-02"),
        change_request(change_id="c-0"),
        change_request(state="Done"),
    ],
    ids=[
        "itself",
        "its claim",
        "another claim of its name",
        "its VM claimed by another",
        "an open request",
        "what its slip was made into",
    ],
)
def test_of_the_objects_about_one_vm_its_own_count(resource):
    stand = Stand()
    stand.put(resource)
    assert not stand.holds()


@pytest.mark.parametrize(
    "resource",
    [
        managed_vm(name="web-02"),
        claim(OTHER_UUID, name="web-02"),
        OTHERS_REQUEST,
        change_request(change_id="c-0", state="Done"),
        request_decision(),
        work_entry(),
    ],
    ids=lambda resource: resource.KIND.kind,
)
def test_of_the_objects_about_one_vm_those_of_others_do_not_count(resource):
    stand = Stand()
    stand.put(resource)
    assert stand.holds()


class Watched(Store):
    """Notes what is read of the kinds that are about one VM each."""

    def __init__(self):
        super().__init__(INDEXES)
        self.reads = set()

    def _note(self, how, kind, *where):
        if kind in OF_ONE_VM:
            self.reads.add((how, kind, *where))

    def get(self, kind, namespace, name):
        self._note("get", kind, namespace, name)
        return super().get(kind, namespace, name)

    def version(self, kind, namespace, name):
        self._note("get", kind, namespace, name)
        return super().version(kind, namespace, name)

    def by_index(self, kind, index, value):
        self._note(index, kind, value)
        return super().by_index(kind, index, value)

    def all(self, kind):
        self._note("all", kind)
        return super().all(kind)

    def keys(self, kind):
        self._note("all", kind)
        return super().keys(kind)

    def in_namespace(self, kind, namespace):
        self._note("all", kind, namespace)
        return super().in_namespace(kind, namespace)


def test_a_pass_reads_nothing_about_other_vms():
    stand = Stand()
    stand.store = Watched()
    for resource in (SEEN, claim(), change_request(state="Done"), request_decision(), work_entry()):
        stand.put(resource)
    stand.store.reads.clear()
    asyncio.run(Observer(stand.store, {"berlin": stand.view}.get, nobody_is_met).managed_vm(SEEN))

    own = ("kunde-a", "web-01")
    assert stand.store.reads == {
        ("owner", "VMClaim", own),
        ("get", "VMClaim", "", claim().metadata.name),
        ("open", "ChangeRequest", own),
        ("subject", "Outage", (VCENTER_UUID, VM_UUID)),
        ("subject", "Outage", (VCENTER_UUID, "kunde-a")),
        ("slip", "ChangeRequest", (*own, "c-1")),
    }


def test_an_object_that_is_gone_counts():
    stand = Stand()
    stand.store.drop("Customer", "uid-Customer--kunde-a")
    assert not stand.holds()


def test_the_lists_of_other_namespaces_count():
    stand = Stand()
    stand.put_any("CustomerContacts", "kunde-a-test", "contacts")
    assert not stand.holds()


def test_a_list_of_another_namespace_that_is_gone_counts():
    stand = Stand()
    stand.put_any("CustomerContacts", "kunde-a-test", "contacts")
    stand.unchanged.note(KEY, stand.unchanged.sighted(KEY, SEEN), LATER)
    stand.store.drop("CustomerContacts", "uid-CustomerContacts-kunde-a-test-contacts")
    assert not stand.holds()


def test_other_namespaces_do_not_count():
    stand = Stand()
    stand.put_any("Statement", "kunde-b", "kunde-b-2026-10")
    assert stand.holds()


def test_what_changed_and_changed_back_is_decided_again_once():
    stand = Stand()
    before, stand.view.vm = stand.view.vm, None
    assert not stand.holds()
    stand.view.vm = before
    assert not stand.holds()


@pytest.mark.parametrize("vm", [managed_vm(), SEEN], ids=["no VM known", "no such vCenter"])
def test_nothing_is_noted_while_no_vm_is_seen(vm):
    unchanged = Unchanged(Store(), {}.get)
    unchanged.note(KEY, unchanged.sighted(KEY, vm), LATER)
    assert not unchanged.holds(KEY, NOW)
