"""What people write beside a request is found by the request it is about."""

import pytest

from managedvm.api.policies import DECISIONS_BINDING
from managedvm.engine.store import Store
from managedvm.planning.reaction import Worked
from managedvm.wiring import INDEXES
from managedvm.world.records import decisions_about, decisions_about_open, work_on
from tests.api.bodies import request_decision, work_entry
from tests.factories import at, change_request, persons_request

BINDING = {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": DECISIONS_BINDING}}


@pytest.fixture
def store():
    return Store(INDEXES)


def put(store, body, created="2026-01-05T10:00:00Z"):
    meta = {"uid": body["metadata"]["name"], "resourceVersion": "7", "creationTimestamp": created}
    store.put({**body, "metadata": {**body["metadata"], **meta}})


def work(store, name, of="helpdesk-1", **spec):
    put(store, work_entry("kunde-a", name, "t@provider.example", changeRequestRef={"name": of}, **spec))


def decision(store, name, of="helpdesk-1"):
    put(store, request_decision("kunde-a", name, "a@x", changeRequestRef={"name": of}))


def test_work_is_found_with_its_begin_and_when_it_was_recorded(store):
    work(store, "w-1")
    work(store, "w-2", of="another")
    assert work_on(store, persons_request()) == (Worked(at("2026-01-05T09:00"), at("2026-01-05T10:00")),)


def test_what_was_taken_back_by_a_counter_entry_is_no_work(store):
    work(store, "w-1")
    body = work_entry("kunde-a", "rev-w-1", "t@provider.example", changeRequestRef={"name": "helpdesk-1"})
    body["spec"] |= {"reverses": {"name": "w-1"}}
    del body["spec"]["end"]
    put(store, body)
    assert work_on(store, persons_request()) == ()


def test_decisions_count_only_while_the_api_server_asks_who_decides(store):
    decision(store, "d-1")
    assert decisions_about(store, persons_request()) == ()
    put(store, BINDING)
    assert [d.metadata.name for d in decisions_about(store, persons_request())] == ["d-1"]


def test_only_open_requests_are_looked_up(store):
    put(store, BINDING)
    held, done = change_request(state="Held"), change_request("CPUs", "4", state="Done")
    for number, request in enumerate((held, done)):
        decision(store, f"d-{number}", of=request.metadata.name)
    found = decisions_about_open(store, {r.metadata.name: r for r in (held, done)})
    assert [d.metadata.name for d in found[held.metadata.name]] == ["d-0"]
    assert set(found) == {held.metadata.name}
