"""Clause 4: how far a request got is written by the operator alone, and only ever moves on."""

import pytest

from tests.api.bodies import change_request, work_entry
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

ASSESSMENT = {
    "clause": "6.3",
    "billing": "Effort",
    "reason": "a later change",
    "assessedAt": "2026-01-05T10:00:00Z",
}
DONE_AT = "2026-01-05T11:00:00Z"


def condition(kind, status="True"):
    when = {"lastTransitionTime": "2026-01-05T10:00:00Z"}
    return {"type": kind, "status": status, "reason": "Done", "message": "", **when}


@pytest.fixture
def record(tenant, name):
    answer = tenant.operator.create(
        change_request(tenant.namespace, f"op-{name}", "chef@x", origin="Operator")
    )
    assert_done(answer)
    return answer.body


@pytest.fixture
def in_work(tenant, record):
    status = {"state": "InWork", "assessment": ASSESSMENT, "startedAt": "2026-01-05T10:30:00Z"}
    status["conditions"] = [condition("Succeeded", "Unknown"), condition("Reconciling")]
    answer = tenant.operator.patch(record, {"status": status}, "/status")
    assert_done(answer)
    return answer.body


@pytest.fixture
def done(tenant, in_work):
    status = {
        "state": "Done",
        "completedAt": DONE_AT,
        "conditions": [condition("Succeeded"), condition("Reconciling")],
    }
    answer = tenant.operator.patch(in_work, {"status": status}, "/status")
    assert_done(answer)
    return answer.body


@pytest.mark.parametrize("role", ["customer", "requester", "technician", "provider", "archiver", "auditor"])
def test_no_role_of_people_writes_a_status(tenant, record, role):
    answer = tenant.client(role).patch(record, {"status": {"state": "Done"}}, "/status")
    assert_refused(answer, "cannot patch resource", "changerequests/status")


@pytest.mark.parametrize("role", ["pipeline", "cluster-admin"])
@pytest.mark.parametrize("form", ["merge", "json", "put", "apply"])
def test_only_the_operator_writes_a_status_even_against_an_administrator(tenant, record, role, form):
    client = tenant.client(role)
    wanted = {**record, "status": {**record["status"], "state": "Refused"}}
    match form:
        case "merge":
            answer = client.patch(record, {"status": {"state": "Refused"}}, "/status")
        case "json":
            answer = client.patch(
                record, [{"op": "replace", "path": "/status/state", "value": "Refused"}], "/status"
            )
        case "put":
            answer = client.replace(wanted, "/status")
        case _:
            bare = {key: wanted[key] for key in ("apiVersion", "kind", "spec", "status")}
            bare["metadata"] = {key: record["metadata"][key] for key in ("name", "namespace")}
            path_body = {**bare, "metadata": bare["metadata"]}
            answer = client.ask(
                "PATCH",
                f"/apis/managedvm.dev/v1alpha1/namespaces/{tenant.namespace}/changerequests/"
                f"{record['metadata']['name']}/status",
                path_body,
                "application/apply-patch+yaml",
                fieldManager="forged",
                force="true",
            )
    assert_refused(
        answer, "only the operator writes the status of a record", "clause 4", "in a new ChangeRequest"
    )


@pytest.mark.parametrize(
    "path",
    [
        ["Held", "Scheduled", "InWork", "Done"],
        ["InWork", "Done"],
        ["Held", "Withdrawn"],
        ["Refused"],
    ],
    ids="-".join,
)
def test_a_request_moves_on(tenant, record, path):
    for state in path:
        assert_done(tenant.operator.patch(record, {"status": {"state": state}}, "/status"))


@pytest.mark.parametrize("state", ["Ordered", "Held", "Scheduled", None])
def test_a_request_never_moves_back(tenant, in_work, state):
    answer = tenant.operator.patch(in_work, {"status": {"state": state}}, "/status")
    assert_refused(
        answer, "status.state", "cannot go from InWork back", "clause 4", "write a new ChangeRequest"
    )


@pytest.mark.parametrize("state", ["Ordered", "InWork", "Withdrawn", "Refused"])
def test_a_final_state_is_final(tenant, done, state):
    answer = tenant.operator.patch(done, {"status": {"state": state}}, "/status")
    assert_refused(answer, "status.state", "cannot go from Done back", "clause 4")


@pytest.mark.parametrize(
    "patch",
    [
        {"status": None},
        [{"op": "remove", "path": "/status"}],
        [{"op": "replace", "path": "/status", "value": {}}],
    ],
    ids=["null", "removed", "emptied"],
)
def test_a_status_is_not_taken_away(tenant, in_work, patch):
    assert_refused(
        tenant.operator.patch(in_work, patch, "/status"), "status.state", "clause 4: a record only advances"
    )


@pytest.mark.parametrize("path", ["assessment", "completedAt"])
def test_what_is_written_once_is_not_taken_away(tenant, done, path):
    for patch in ({"status": {path: None}}, [{"op": "remove", "path": f"/status/{path}"}]):
        answer = tenant.operator.patch(done, patch, "/status")
        assert_refused(answer, f"status.{path}", "is written once", "clause 4")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("assessment", {"billing": "Included"}),
        ("assessment", {"assessedAt": DONE_AT}),
        ("completedAt", "2026-01-05T12:00:00Z"),
    ],
)
def test_what_is_written_once_is_not_rewritten(tenant, done, path, value):
    answer = tenant.operator.patch(done, {"status": {path: value}}, "/status")
    assert_refused(answer, f"status.{path}", "is written once", "clause 4")


def test_work_begins_anew_in_a_later_window(tenant, in_work):
    answer = tenant.operator.patch(in_work, {"status": {"startedAt": "2026-01-12T10:30:00Z"}}, "/status")
    assert_done(answer)


NOTE = {"at": "2026-01-05T10:40:00Z", "cause": "Refused", "message": "vCenter has refused it"}


def test_why_a_vm_was_started_without_its_change_comes_and_goes_while_the_request_is_open(tenant, in_work):
    for note in (NOTE, None):
        assert_done(tenant.operator.patch(in_work, {"status": {"interruption": note}}, "/status"))


def test_an_ended_request_gets_no_other_story(tenant, done):
    answer = tenant.operator.patch(done, {"status": {"interruption": NOTE}}, "/status")
    assert_refused(answer, "status.interruption", "after the end", "clause 4")


@pytest.mark.parametrize("value", [None, "2026-01-05T10:29:59Z"], ids=["removed", "earlier"])
def test_the_begin_of_work_never_moves_back(tenant, in_work, value):
    answer = tenant.operator.patch(in_work, {"status": {"startedAt": value}}, "/status")
    assert_refused(answer, "status.startedAt", "only moves forward", "clause 4")


@pytest.mark.parametrize("value", [None, DONE_AT], ids=["removed", "later"])
def test_the_begin_of_work_that_is_done_stands(tenant, done, value):
    answer = tenant.operator.patch(done, {"status": {"startedAt": value}}, "/status")
    assert_refused(answer, "status.startedAt", "not after the end", "clause 4")


@pytest.mark.parametrize(
    "conditions", [None, [], [condition("Reconciling")]], ids=["null", "emptied", "shortened"]
)
def test_no_condition_is_taken_away(tenant, in_work, conditions):
    answer = tenant.operator.patch(in_work, {"status": {"conditions": conditions}}, "/status")
    assert_refused(answer, "status.conditions", "never taken away", "clause 4", "change its status instead")


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_success_is_final(tenant, done, status):
    conditions = [condition("Succeeded", status), condition("Reconciling")]
    answer = tenant.operator.patch(done, {"status": {"conditions": conditions}}, "/status")
    assert_refused(answer, "status.conditions[Succeeded]", "is final", "clause 4")


def test_other_conditions_come_and_change(tenant, done):
    conditions = [condition("Succeeded"), condition("Reconciling", "False"), condition("Billed")]
    assert_done(tenant.operator.patch(done, {"status": {"conditions": conditions}}, "/status"))


def test_a_status_request_changes_neither_spec_nor_metadata(tenant, record):
    patch = {
        "spec": {"requestedBy": "me@x"},
        "metadata": {"labels": {"paid": "true"}},
        "status": {"state": "Held"},
    }
    answer = tenant.operator.patch(record, patch, "/status")
    assert_done(answer)
    assert answer.body["spec"] == record["spec"]
    assert "labels" not in answer.metadata
    assert answer.annotations == record["metadata"]["annotations"]


def test_a_record_request_does_not_change_the_status(tenant, record):
    answer = tenant.admin.patch(record, {"status": {"state": "Done"}})
    assert_done(answer)
    assert answer.body["status"] == record["status"]


STANDS = {
    "authority": {
        "decidedAt": "2026-01-05T10:00:00Z",
        "mayProceed": False,
        "explanation": "nobody knows this person",
    },
    "release": {
        "releasedAt": "2026-01-05T10:05:00Z",
        "releasedBy": "chef@kunde-a.example",
        "decisionRef": {"name": "release"},
        "explanation": "Agreed",
    },
}
WAITING = {"dueAt": "2026-01-05T12:00:00Z", "isMissed": False}
REACTED = {**WAITING, "reactedAt": "2026-01-05T10:30:00Z"}


@pytest.mark.parametrize("path", STANDS)
@pytest.mark.parametrize("change", [None, {"explanation": "somebody"}], ids=["removed", "changed"])
def test_who_could_order_and_who_released_it_is_written_once(tenant, record, path, change):
    assert_done(tenant.operator.patch(record, {"status": {path: STANDS[path]}}, "/status"))
    answer = tenant.operator.patch(record, {"status": {path: change}}, "/status")
    assert_refused(answer, f"status.{path}", "is written once", "clause 4", "RequestDecision")


@pytest.mark.parametrize(
    "change",
    [None, {"dueAt": "2026-01-05T13:00:00Z"}, {"dueAt": None}],
    ids=["removed", "later", "without its deadline"],
)
def test_the_deadline_of_a_reaction_stands(tenant, record, change):
    assert_done(tenant.operator.patch(record, {"status": {"reaction": WAITING}}, "/status"))
    answer = tenant.operator.patch(record, {"status": {"reaction": change}}, "/status")
    assert_refused(answer, "status.reaction")


def test_a_reaction_is_missed_and_then_found_to_have_been_in_time(tenant, record):
    for seen in (WAITING, {**WAITING, "isMissed": True}, REACTED):
        assert_done(tenant.operator.patch(record, {"status": {"reaction": seen}}, "/status"))


@pytest.mark.parametrize("change", [{"reactedAt": None}, {"isMissed": True}, {"reactedAt": DONE_AT}])
def test_a_reaction_stands_once_there_was_one(tenant, record, change):
    assert_done(tenant.operator.patch(record, {"status": {"reaction": REACTED}}, "/status"))
    answer = tenant.operator.patch(record, {"status": {"reaction": change}}, "/status")
    assert_refused(answer, "status.reaction", "once somebody has reacted", "clause 4.1")


MENDED = {"dueAt": "2026-01-05T14:00:00Z", "isMissed": False, "recoveredAt": DONE_AT}


@pytest.mark.parametrize(
    "change", [None, {"dueAt": "2026-01-05T15:00:00Z"}, {"isMissed": True}, {"recoveredAt": None}]
)
def test_a_recovery_stands_once_there_was_one(tenant, record, change):
    assert_done(tenant.operator.patch(record, {"status": {"recovery": MENDED}}, "/status"))
    answer = tenant.operator.patch(record, {"status": {"recovery": change}}, "/status")
    assert_refused(answer, "status.recovery", "once the fault is mended", "clause 4.1")


def test_a_held_request_is_released_and_never_held_again(tenant, record):
    for state in ("Held", "Released"):
        assert_done(tenant.operator.patch(record, {"status": {"state": state}}, "/status"))
    answer = tenant.operator.patch(record, {"status": {"state": "Held"}}, "/status")
    assert_refused(answer, "status.state", "cannot go from Released back", "clause 4")


ASKED, TICKET = "2026-01-05T10:00:00Z", {"id": 81, "number": "10081"}


def test_the_ticket_of_a_request_is_written_once(tenant, record):
    def note(**ticket):
        return tenant.operator.patch(record, {"status": {"ticket": ticket}}, "/status")

    assert_done(note(askedAt=ASKED))
    assert_done(note(askedAt="2026-01-05T10:02:00Z"))
    assert_refused(note(askedAt=ASKED), "status.ticket", "clause 4")
    assert_done(note(**TICKET))
    assert_done(note(told="Held"))
    assert_done(note(told="Done"))
    for change in ({"number": "10082"}, {"id": 82}, {"number": None}, {"id": None}):
        assert_refused(note(**change), "status.ticket", "clause 4")


def test_when_work_was_told_is_written_once(tenant, name):
    made = tenant.operator.create(work_entry(tenant.namespace, name, "operator"))
    assert_done(made)

    def note(at):
        return tenant.operator.patch(made.body, {"status": {"ticketedAt": at}}, "/status")

    assert_done(note(ASKED))
    assert_refused(note("2026-01-05T10:02:00Z"), "status.ticketedAt", "clause 4")
    assert_refused(note(None), "status.ticketedAt", "clause 4")


@pytest.mark.parametrize("origin", ["Operator", "Helpdesk"])
@pytest.mark.parametrize("role", ["technician", "provider", "pipeline"])
def test_only_the_operator_says_that_a_record_is_its_own_or_a_tickets(tenant, name, role, origin):
    client = tenant.client(role)
    asked = change_request(tenant.namespace, name, tenant.user(role), origin=origin, ticket="4711")
    assert_refused(client.create(asked), "spec.origin", "clause 4")
