"""What was decided is not decided again while nothing is different; and anything that is different is noticed."""

from dataclasses import fields, replace
from datetime import timedelta

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.observed import ClusterFacts, Unknown, VirtualMachine
from managedvm.planning.vcenter import Connection
from managedvm.world.unchanged import Unchanged
from tests.factories import NOW, PATH, VCENTER_UUID, VM_UUID, cluster, managed_vm, virtual_machine

KEY = ObjectKey("ManagedVM", "kunde-a", "web-01")
IDENTITY = {
    "vCenterUUID": VCENTER_UUID,
    "instanceUUID": VM_UUID,
    "inventoryPath": PATH,
    "powerState": "PoweredOn",
}
SEEN = managed_vm(status={"vm": IDENTITY})
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

    def __init__(self, until=LATER):
        self.view, self.store = View(), Store()
        self.put("ManagedVM", "kunde-a", "web-01", 1)
        self.put("Customer", "", "kunde-a", 2)
        self.unchanged = Unchanged(self.store, {"berlin": self.view}.get)
        self.unchanged.note(KEY, self.unchanged.sighted(KEY, SEEN), until)

    def put(self, kind, namespace, name, version):
        uid = f"uid-{kind}-{namespace}-{name}"
        meta = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}
        self.store.put({"kind": kind, "metadata": meta, "spec": {"of": version}})

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


@pytest.mark.parametrize(
    ("kind", "namespace", "name"),
    [
        ("ManagedVM", "kunde-a", "web-01"),
        ("ManagedVM", "kunde-a", "web-02"),
        ("ChangeRequest", "kunde-a", "r"),
        ("Customer", "", "kunde-a"),
        ("ServiceLevel", "", "basic"),
        ("Namespace", "", "kunde-a"),
    ],
)
def test_every_object_of_the_namespace_and_of_the_cluster_counts(kind, namespace, name):
    stand = Stand()
    stand.put(kind, namespace, name, 3)
    assert not stand.holds()


def test_an_object_that_is_gone_counts():
    stand = Stand()
    stand.store.drop("Customer", "uid-Customer--kunde-a")
    assert not stand.holds()


def test_other_namespaces_do_not_count():
    stand = Stand()
    stand.put("ManagedVM", "kunde-b", "web-01", 3)
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
