"""The audit log read back: one entry per request, for the user it counts for."""

import json

from lab.audit import Audit, Entry, parse


def event(verb="patch", stage="ResponseComplete", code=200, user="alice", **more):
    return {
        "stage": stage,
        "verb": verb,
        "user": {"username": user},
        "userAgent": "kopf",
        "objectRef": {
            "apiGroup": "managedvm.dev",
            "resource": "managedvms",
            "subresource": "status",
            "namespace": "kunde-a",
            "name": "web-01",
        },
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": "2026-11-01T10:00:00.123456Z",
        **more,
    }


def line(**fields):
    return json.dumps(event(**fields)).encode() + b"\n"


def test_an_entry_says_who_did_what_to_which_object_and_the_answer():
    entry = parse(line())
    assert isinstance(entry, Entry)
    assert (entry.verb, entry.group, entry.resource, entry.subresource) == (
        "patch",
        "managedvm.dev",
        "managedvms",
        "status",
    )
    assert (entry.namespace, entry.name, entry.code, entry.user) == ("kunde-a", "web-01", 200, "alice")
    assert entry.at.isoformat() == "2026-11-01T10:00:00.123456+00:00"
    assert entry.mutating
    assert not entry.refused


def test_an_impersonated_request_counts_for_the_one_impersonated():
    entry = parse(line(user="lab-admin", impersonatedUser={"username": "tenant"}))
    assert (entry.user, entry.real_user) == ("tenant", "lab-admin")


def test_a_watch_counts_once_when_it_begins():
    assert parse(line(verb="watch", stage="ResponseStarted")) is not None
    assert parse(line(verb="watch", stage="ResponseComplete")) is None


def test_another_long_request_counts_once_when_it_ends():
    assert parse(line(verb="get", stage="ResponseStarted")) is None
    assert parse(line(verb="get", stage="ResponseComplete")) is not None


def test_a_request_for_no_resource_is_read_too():
    without = event(verb="get")
    del without["objectRef"]
    entry = parse(json.dumps(without).encode())
    assert (entry.resource, entry.name) == ("", "")


def test_refusals_are_told_apart_from_absence():
    assert parse(line(code=403)).refused
    assert parse(line(code=422)).refused
    assert not parse(line(code=404)).refused


def test_entries_begin_at_a_mark_and_are_filtered(tmp_path):
    audit = Audit(tmp_path / "audit.log")
    assert audit.mark() == 0
    audit.log.write_bytes(line(user="before"))
    mark = audit.mark()
    with audit.log.open("ab") as log:
        log.write(line(user="alice") + line(user="bob", code=409))
    assert [entry.user for entry in audit.entries(mark)] == ["alice", "bob"]
    assert [entry.code for entry in audit.entries(mark, user="bob")] == [409]
    assert list(audit.entries(resource="secrets")) == []


def test_a_line_still_being_written_is_left_for_later(tmp_path):
    audit = Audit(tmp_path / "audit.log")
    audit.log.write_bytes(line(user="whole") + line(user="half")[:40])
    assert [entry.user for entry in audit.entries()] == ["whole"]
