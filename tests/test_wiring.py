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


def test_a_managed_vm_that_is_about_to_go_asks_for_its_claim_and_its_requests_too(store):
    ending = managed_vm()
    ending["metadata"] |= {"deletionTimestamp": "2026-11-23T12:00:00Z", "finalizers": ["example.com/hold"]}
    assert set(
        passes_after(store, {**ending, "metadata": {**ending["metadata"], "resourceVersion": "99"}})
    ) == {
        WEB,
        CLAIM,
        REQUEST,
    }


def test_a_vcenter_asks_for_itself_and_its_own_vms(store):
    assert set(passes_after(store, body("VCenter", "berlin"))) == {ObjectKey("VCenter", "", "berlin"), WEB}


def test_a_customer_asks_for_its_own_vms_and_for_what_its_people_have_asked_for(store):
    assert set(passes_after(store, body("Customer", "cb", spec={"namespaces": ["b"]}))) == {DB}
    assert set(passes_after(store, body("Customer", "ca", spec={"namespaces": ["a"]}))) == {WEB, REQUEST}


def test_the_people_of_a_namespace_ask_for_all_in_it(store):
    assert set(passes_after(store, body("CustomerContacts", "contacts", "a"))) == {WEB, DB, REQUEST}


def test_a_namespace_asks_for_all_in_it(store):
    assert set(passes_after(store, body("Namespace", "a"))) == {WEB, DB, REQUEST}


@pytest.mark.parametrize(
    "kind", ["ServiceLevel", "PriceList", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"]
)
def test_what_all_depend_on_asks_for_all(store, kind):
    assert {WEB, DB} <= set(passes_after(store, body(kind, "x")))


def test_a_request_that_has_come_to_its_end_is_asked_for_by_nobody(store):
    store.put({**request(), "status": {"state": "Done"}})
    assert set(passes_after(store, body("CustomerContacts", "contacts", "a"))) == {WEB, DB}
    assert REQUEST not in passes_after(store, body("ServiceLevel", "x"))


def test_a_managed_vm_that_comes_later_than_its_request_asks_for_it(store):
    store.drop("ManagedVM", "ManagedVM-a-web")
    late = managed_vm()
    late["metadata"]["uid"] = "again"
    assert set(passes_after(store, late)) == {WEB, REQUEST}


def test_a_claim_that_is_made_asks_for_the_requests_that_waited_for_it(store):
    store.drop("VMClaim", "VMClaim--vm-1")
    made = claim()
    made["metadata"]["uid"] = "again"
    assert set(passes_after(store, made)) == {CLAIM, WEB, REQUEST}


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


def test_a_decision_about_a_request_asks_for_it_and_its_vm(store):
    record = body("RequestDecision", "r-1", "a", {"changeRequestRef": {"name": "op-x"}})
    assert set(passes_after(store, record)) == {REQUEST, WEB}


def test_a_decision_about_a_request_that_is_not_there_asks_for_nobody(store):
    record = body("RequestDecision", "r-1", "a", {"changeRequestRef": {"name": "op-y"}})
    assert passes_after(store, record) == {}


def work(name, namespace="a", *, of="op-x", by="t@x", begin="2026-01-05T09:00:00Z", **more):
    spec = {"changeRequestRef": {"name": of}, "performedBy": by, "begin": begin, **more.pop("spec", {})}
    times = {} if "reverses" in spec or "end" in spec else {"minutes": 30}
    return body("WorkEntry", name, namespace, {**spec, **times}, **more)


def entry(name, namespace="a"):
    return ObjectKey("WorkEntry", namespace, name)


PRICED = {"status": {"charge": {"amount": "30.00"}}}


def test_work_asks_for_itself_and_its_request(store):
    assert passes_after(store, work("w-1")) == {entry("w-1"): Lane.PERSON, REQUEST: Lane.PERSON}
    assert set(passes_after(store, work("w-2", of="op-y", by="u@x"))) == {entry("w-2")}


def test_work_asks_for_the_persons_other_work_of_that_day_in_any_namespace(store):
    store.put(
        work("early", "b", begin="2026-01-05T02:00:00+05:00", spec={"end": "2026-01-05T05:00:00+05:00"})
    )
    store.put(work("accepted", **PRICED))
    store.put(work("tomorrow", begin="2026-01-06T00:00:00Z"))
    store.put(work("somebody-else", by="u@x"))
    store.put(work("op-1", by="operator"))
    assert set(passes_after(store, work("w-1", by="T@x"))) == {entry("early", "b"), entry("w-1"), REQUEST}


def test_a_counter_entry_asks_for_what_it_takes_back_and_what_that_was_in_the_way_of(store):
    store.put(work("wrong"))
    store.put(work("right", "b"))
    counter = work("reversal-of-wrong", begin="2026-02-01T09:00:00Z", spec={"reverses": {"name": "wrong"}})
    asked = set(passes_after(store, counter))
    assert asked == {entry("reversal-of-wrong"), entry("wrong"), entry("right", "b"), REQUEST}


def test_what_is_taken_back_asks_for_its_counter_entry(store):
    store.put(work("reversal-of-wrong", spec={"reverses": {"name": "wrong"}}))
    assert entry("reversal-of-wrong") in passes_after(store, work("wrong"))


@pytest.mark.parametrize(
    ("kind", "name", "namespace"),
    [
        ("ChangeRequest", "op-x", "a"),
        ("PriceList", "standard", ""),
        ("Customer", "ca", ""),
        ("ValidatingAdmissionPolicyBinding", "managedvm-work", ""),
    ],
)
def test_work_that_is_not_accepted_waits_for_what_it_is_judged_by(store, kind, name, namespace):
    change = body(kind, name, namespace, {"managedVMRef": {"name": "web"}, "more": "news"})
    store.put(work("waits"))
    store.put(work("accepted", **PRICED))
    store.put(work("op-x-work", by="operator", spec={"charge": {"amount": "30.00"}}))
    asked = {key for key in passes_after(store, change) if key.kind == "WorkEntry"}
    assert asked == {entry("waits")}


def test_work_that_is_gone_asks_for_itself(store):
    store.put(work("w-1"))
    gone = store.drop("WorkEntry", "WorkEntry-a-w-1")
    assert dict(affected(gone, store)) == {entry("w-1"): Lane.DRIFT}


def test_a_list_asks_for_all_namespaces_of_its_customer(store):
    store.put(body("Customer", "ca", spec={"namespaces": ["a", "a-test"]}))
    store.put(body("Customer", "cb", spec={"namespaces": ["b"]}))
    store.put(managed_vm("other", namespace="b", customer="cb"))
    asked = set(passes_after(store, body("CustomerContacts", "contacts", "a-test")))
    assert asked == {WEB, DB, REQUEST}


def test_a_decision_asks_for_the_work_on_its_request(store):
    store.put(work("waits"))
    store.put(work("accepted", **PRICED))
    decision = body("RequestDecision", "release", "a", {"changeRequestRef": {"name": "op-x"}})
    assert {key for key in passes_after(store, decision) if key.kind == "WorkEntry"} == {entry("waits")}


def test_counter_entries_to_one_record_ask_for_each_other(store):
    store.put(work("wrong"))
    store.put(work("reversal-2-of-wrong", spec={"reverses": {"name": "wrong"}}))
    first = work("reversal-of-wrong", spec={"reverses": {"name": "wrong"}})
    assert entry("reversal-2-of-wrong") in passes_after(store, first)


HELPDESK, TOLD = ObjectKey("Helpdesk", "", "helpdesk"), ObjectKey("Correspondence", "a", "op-x")
SAID = {"state": "Ordered", "conditions": [{"type": "Succeeded"}]}


def test_a_new_helpdesk_is_looked_at_with_the_work_that_is_judged_by_it(store):
    entry = body("WorkEntry", "w", "a", WORKED)
    store.put(entry)
    assert passes_after(store, body("Helpdesk", "helpdesk")) == {
        HELPDESK: Lane.DRIFT,
        ObjectKey("WorkEntry", "a", "w"): Lane.DRIFT,
    }


def test_what_the_operator_says_of_the_helpdesk_asks_for_nothing(store):
    store.put(body("Helpdesk", "helpdesk"))
    assert passes_after(store, body("Helpdesk", "helpdesk", status={"observedGeneration": 1})) == {}


WORKED = {
    "changeRequestRef": {"name": "op-x"},
    "performedBy": "t@provider.example",
    "begin": "2026-01-05T09:00:00Z",
    "minutes": 5,
}


def newer(change, **meta):
    return {**change, "metadata": {**change["metadata"], "resourceVersion": str(next(VERSIONS)), **meta}}


@pytest.mark.parametrize(
    ("change", "is_news"),
    [
        ({**request(), "status": SAID}, True),
        ({**request(), "status": {**SAID, "ticket": {"told": "Ordered"}}}, False),
        ({**request(), "status": {**SAID, "state": "Held", "ticket": {"told": "Ordered"}}}, True),
        ({**request(), "status": {"state": "Ordered"}}, False),
        (body("WorkEntry", "w", "a", WORKED, status={"charge": {}}), True),
        (body("WorkEntry", "w", "a", WORKED), False),
        (body("WorkEntry", "w", "a", WORKED, status={"charge": {}, "ticketedAt": "x"}), False),
    ],
    ids=["new", "told", "new again", "not looked at", "accepted work", "work", "told work"],
)
def test_a_ticket_is_written_where_something_is_new_last_of_all_and_with_a_helpdesk_only(
    store, change, is_news
):
    assert TOLD not in passes_after(store, newer(change))
    store.put(body("Helpdesk", "helpdesk"))
    assert passes_after(store, newer(change, labels={})).get(TOLD) == (Lane.RESYNC if is_news else None)
