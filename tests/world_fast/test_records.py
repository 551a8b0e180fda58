"""What people write beside a request is found by the request it is about."""

import pytest

from managedvm.api.base import LEDGER_LABEL
from managedvm.engine.store import Store
from managedvm.planning.reaction import Worked
from managedvm.wiring import INDEXES
from managedvm.world.records import (
    decisions_about,
    decisions_about_open,
    is_ledger,
    work_on,
)
from tests.api.bodies import request_decision, work_entry
from tests.factories import at, change_request, persons_request


@pytest.fixture
def store():
    return Store(INDEXES)


def put(store, body, created="2026-01-05T10:00:00Z"):
    meta = {
        "uid": f"{body['kind']}-{body['metadata']['name']}",
        "resourceVersion": "7",
        "creationTimestamp": created,
    }
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


def test_decisions_are_found_by_the_request_they_are_about(store):
    decision(store, "d-1")
    decision(store, "d-2", of="another")
    assert [d.metadata.name for d in decisions_about(store, persons_request())] == ["d-1"]


@pytest.mark.parametrize(("labels", "is_one"), [({}, False), ({LEDGER_LABEL: ""}, True)])
def test_a_namespace_is_a_ledger_by_its_label(store, labels, is_one):
    put(store, {"kind": "Namespace", "metadata": {"name": "kunde-a", "labels": labels}})
    assert is_ledger(store, "kunde-a") is is_one
    assert not is_ledger(store, "nowhere")


def test_only_open_requests_are_looked_up(store):
    held, done = change_request(state="Held"), change_request("CPUs", "4", state="Done")
    for number, request in enumerate((held, done)):
        decision(store, f"d-{number}", of=request.metadata.name)
    found = decisions_about_open(store, {r.metadata.name: r for r in (held, done)})
    assert [d.metadata.name for d in found[held.metadata.name]] == ["d-0"]
    assert set(found) == {held.metadata.name}
