"""Which passes a change asks for."""

import pytest

from managedvm.engine.objects import ObjectKey
from managedvm.engine.queue import Lane
from managedvm.engine.store import Store
from managedvm.wiring import INDEXES, affected, affected_by_inventory, affected_by_vcenter

VERSIONS = iter(range(1, 100_000))


def body(kind, name, namespace="", spec=None, **more):
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": f"{kind}-{namespace}-{name}",
        "resourceVersion": str(next(VERSIONS)),
    }
    return {"kind": kind, "apiVersion": "x/v1", "metadata": meta, "spec": spec or {}, **more}


def managed_vm(name="web", namespace="a", vcenter="berlin", customer="ca", **vm):
    spec = {"vm": {"vCenterRef": {"name": vcenter}, **(vm or {"inventoryPath": "/B/vm/a/web"})}}
    return body("ManagedVM", name, namespace, {**spec, "customerRef": {"name": customer}})


def request(vm="web"):
    return body("ChangeRequest", "op-x", "a", {"managedVMRef": {"name": vm}})


def claim(name="web", uuid="u-1"):
    return body("VMClaim", "vm-1", spec={"owner": {"namespace": "a", "name": name}, "instanceUUID": uuid})


@pytest.fixture
def store():
    filled = Store(INDEXES)
    for each in (
        managed_vm(),
        managed_vm("db", vcenter="hamburg", customer="cb", inventoryPath="/H/vm/db"),
        request(),
        claim(),
    ):
        filled.put(each)
    return filled


WEB, DB = ObjectKey("ManagedVM", "a", "web"), ObjectKey("ManagedVM", "a", "db")
REQUEST, CLAIM = ObjectKey("ChangeRequest", "a", "op-x"), ObjectKey("VMClaim", "", "vm-1")


def passes_after(store, obj):
    return dict(affected(store.put(obj), store))


def test_a_new_managed_vm_is_a_persons_matter(store):
    assert passes_after(store, managed_vm("new")) == {ObjectKey("ManagedVM", "a", "new"): Lane.PERSON}


def test_a_deleted_managed_vm_asks_for_its_claim_and_its_requests(store):
    gone = store.drop("ManagedVM", "ManagedVM-a-web")

    assert set(dict(affected(gone, store))) == {WEB, CLAIM, REQUEST}


def test_a_vcenter_asks_for_itself_and_its_own_vms(store):
    assert set(passes_after(store, body("VCenter", "berlin"))) == {ObjectKey("VCenter", "", "berlin"), WEB}


def test_a_customer_asks_for_its_own_vms(store):
    assert set(passes_after(store, body("Customer", "cb"))) == {DB}


def test_the_people_of_a_namespace_ask_for_all_in_it(store):
    assert set(passes_after(store, body("CustomerContacts", "contacts", "a"))) == {WEB, DB, REQUEST}


def test_a_namespace_asks_for_all_in_it(store):
    assert set(passes_after(store, body("Namespace", "a"))) == {WEB, DB, REQUEST}


@pytest.mark.parametrize("kind", ["ServiceLevel", "PriceList", "ValidatingAdmissionPolicyBinding"])
def test_what_all_depend_on_asks_for_all(store, kind):
    assert {WEB, DB} <= set(passes_after(store, body(kind, "x")))


def test_a_request_asks_for_itself_and_its_vm(store):
    store.drop("ChangeRequest", "ChangeRequest-a-op-x")

    assert set(passes_after(store, {**request(), "metadata": {**request()["metadata"], "uid": "again"}})) == {
        REQUEST,
        WEB,
    }


def test_a_claim_asks_for_its_owner(store):
    changed = {**claim(), "status": {}}
    changed["metadata"]["labels"] = {"x": "y"}

    assert set(passes_after(store, changed)) == {CLAIM, WEB}


def test_a_released_claim_asks_for_all_who_may_have_waited(store):
    gone = store.drop("VMClaim", "VMClaim--vm-1")

    assert {WEB, DB} <= set(dict(affected(gone, store)))


@pytest.mark.parametrize("name", ["/B/vm/a/web", "u-1"], ids=["by path", "by the claim's UUID"])
def test_a_changed_vm_asks_for_its_managed_vm(store, name):
    assert set(dict(affected_by_inventory(store, "berlin", [name]))) == {WEB}


def test_a_vm_of_another_vcenter_asks_for_nobody(store):
    assert dict(affected_by_inventory(store, "hamburg", ["/B/vm/a/web"])) == {}


def test_an_outage_asks_for_the_vms_of_that_vcenter(store):
    assert dict(affected_by_vcenter(store, "berlin")) == {WEB: Lane.RESYNC}


@pytest.mark.parametrize(("kind", "asked"), [("WorkEntry", {REQUEST}), ("RequestDecision", {REQUEST, WEB})])
def test_a_record_about_a_request_asks_for_it(store, kind, asked):
    record = body(kind, "r-1", "a", {"changeRequestRef": {"name": "op-x"}})
    assert set(passes_after(store, record)) == asked


def test_a_record_about_a_request_that_is_not_there_asks_for_nobody(store):
    record = body("WorkEntry", "r-1", "a", {"changeRequestRef": {"name": "op-y"}})
    assert passes_after(store, record) == {}
