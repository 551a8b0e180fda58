"""Clause 4: a record is created in one's own name, never changed, never deleted, and outlives what it is about."""

import pytest

from tests.api.bodies import change_request, work_entry
from tests.api.server import assert_done, assert_refused
from tests.api.tenancy import namespace

pytestmark = pytest.mark.lab

NEVER_CHANGES = ("spec", "a record never changes", "clause 4")
OWNER = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "owner",
    "uid": "33333333-3333-4333-8333-333333333333",
}


@pytest.fixture
def request_of_a_person(tenant, name):
    answer = tenant.requester.create(change_request(tenant.namespace, name, tenant.user("requester")))
    assert_done(answer)
    return answer.body


@pytest.fixture
def work_of_a_technician(tenant, name):
    answer = tenant.technician.create(work_entry(tenant.namespace, name, tenant.user("technician")))
    assert_done(answer)
    return answer.body


@pytest.fixture(params=["request_of_a_person", "work_of_a_technician"])
def record(request):
    return request.getfixturevalue(request.param)


def test_a_person_asks_in_the_own_name_only(tenant, name):
    body = change_request(tenant.namespace, name, "chef@kunde-a.example")
    answer = tenant.requester.create(body)
    me = f"you are {tenant.user('requester')}"
    assert_refused(answer, "spec.requestedBy", me, "chef@kunde-a.example", "clause 4", "verb attest")


def test_the_helpdesk_enters_what_a_caller_asked_for(tenant, name):
    body = change_request(tenant.namespace, name, "chef@kunde-a.example", channel="Phone", ticket="4711")
    assert_done(tenant.technician.create(body))


def test_who_may_not_attest_records_the_own_work_only(tenant, name):
    body = work_entry(tenant.namespace, name, "somebody@provider.example")
    answer = tenant.pipeline.create(body)
    assert_refused(answer, "spec.performedBy", "somebody@provider.example", "clause 4", "verb attest")
    body["spec"]["performedBy"] = tenant.user("pipeline")
    assert_done(tenant.pipeline.create(body))


def test_a_person_says_what_is_asked_for(tenant, name):
    body = change_request(tenant.namespace, name, tenant.user("requester"))
    del body["spec"]["description"]
    assert_refused(tenant.requester.create(body), "spec.description", "clause 4", "say what is asked for")


@pytest.mark.parametrize("role", ["technician", "provider", "cluster-admin"])
def test_nobody_passes_off_work_as_the_operators(tenant, name, role):
    answer = tenant.client(role).create(work_entry(tenant.namespace, name, "operator"))
    assert_refused(answer, "spec.performedBy", "clause 4", "name who did the work")
    assert_done(tenant.operator.create(work_entry(tenant.namespace, f"op-{name}", "operator")))


@pytest.mark.parametrize("role", ["requester", "technician", "pipeline", "cluster-admin"])
@pytest.mark.parametrize("how", ["create", "generateName", "dry run"])
def test_names_of_the_operator_are_the_operators(tenant, name, role, how):
    body = change_request(tenant.namespace, f"op-{name}", tenant.user(role))
    if how == "generateName":
        body["metadata"] = {"namespace": tenant.namespace, "generateName": f"op-{name}"}
    answer = tenant.client(role).create(body, **({"dryRun": "All"} if how == "dry run" else {}))
    assert_refused(answer, "metadata.name", "op-", "clause 4", "choose another name")


@pytest.mark.parametrize("role", ["pipeline", "cluster-admin"])
def test_a_forced_apply_takes_no_name_of_the_operator(tenant, name, role):
    body = change_request(tenant.namespace, f"op-{name}", tenant.user(role))
    assert_refused(
        tenant.client(role).apply(body, force=True), "metadata.name", "clause 4", "choose another name"
    )


def test_a_person_chooses_any_other_name(tenant, name):
    body = change_request(tenant.namespace, f"operation-{name}", tenant.user("requester"))
    assert_done(tenant.requester.create(body))
    body["metadata"] = {"namespace": tenant.namespace, "generateName": "op"}
    assert_done(tenant.requester.create(body))


@pytest.mark.parametrize(
    "claim",
    [
        {"origin": "Operator"},
        {"appliedBy": "chef@kunde-a.example"},
        {"change": {"id": "x", "aspect": "CPUs", "before": "2", "after": "4"}},
    ],
    ids=["origin", "appliedBy", "change"],
)
@pytest.mark.parametrize("role", ["requester", "technician", "cluster-admin"])
def test_what_only_the_operator_writes_is_refused_from_a_person(tenant, name, role, claim):
    body = change_request(tenant.namespace, name, tenant.user(role), **claim)
    answer = tenant.client(role).create(body)
    assert_refused(
        answer, next(iter(claim)), "spec.origin", "clause 4", "describe what you ask for in spec.description"
    )
    assert_done(
        tenant.operator.create(change_request(tenant.namespace, f"op-{name}-{role}", "chef@x", **claim))
    )


def test_a_technician_writes_no_price(tenant, name):
    charge = {
        "billing": "Effort",
        "clause": "6.3",
        "counted": "15m",
        "amount": "30.00",
        "currency": "EUR",
        "priceListRef": {"name": "standard"},
        "explanation": "15m at 120.00",
    }
    body = work_entry(tenant.namespace, name, tenant.user("technician"), charge=charge)
    assert_refused(tenant.technician.create(body), "spec.charge", "clause 4", "leave it out")
    operators = work_entry(tenant.namespace, f"op-{name}", "operator", charge=charge)
    assert_done(tenant.operator.create(operators))


def test_work_of_the_future_is_refused(tenant, name):
    body = work_entry(
        tenant.namespace,
        name,
        tenant.user("technician"),
        begin="2126-01-01T00:00:00Z",
        end="2126-01-01T01:00:00Z",
    )
    body["metadata"]["creationTimestamp"] = "2127-01-01T00:00:00Z"
    answer = tenant.technician.create(body)
    assert_refused(answer, "spec.end", "yet to come", "clause 4", "record it when it is done")


def test_work_ends_after_it_began(tenant, name):
    body = work_entry(tenant.namespace, name, tenant.user("technician"), end="2026-01-05T08:59:59Z")
    assert_refused(tenant.technician.create(body), "spec", "end must not be before begin", "clause 4")


@pytest.mark.parametrize(
    "tie",
    [
        {"ownerReferences": [OWNER]},
        {"finalizers": ["example.com/hold"]},
    ],
    ids=["owner", "finalizer"],
)
@pytest.mark.parametrize("role", ["requester", "technician", "operator", "cluster-admin"])
def test_a_record_is_tied_to_nothing(tenant, name, role, tie):
    body = change_request(tenant.namespace, f"free-{name}", tenant.user(role))
    body["metadata"].update(tie)
    answer = tenant.client(role).create(body)
    assert_refused(answer, "metadata.ownerReferences", "metadata.finalizers", "clause 4", "remove them")


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"ticket": "4712"}},
        {"metadata": {"labels": {"paid": "true"}}},
        {"metadata": {"annotations": {"note": "never mind"}}},
        {"metadata": {"annotations": {"managedvm.dev/applied-by": "chef@kunde-a.example"}}},
        {"metadata": {"annotations": {"managedvm.dev/applied-by": None}}},
        {"metadata": {"annotations": None}},
        [{"op": "remove", "path": "/metadata/annotations"}],
    ],
    ids=[
        "spec",
        "label",
        "annotation",
        "applied-by",
        "applied-by null",
        "annotations null",
        "annotations removed",
    ],
)
def test_a_record_never_changes_not_even_for_an_administrator(tenant, record, patch):
    for role in ("pipeline", "cluster-admin"):
        assert_refused(tenant.client(role).patch(record, patch), *NEVER_CHANGES)
    assert tenant.admin.read(record).version == record["metadata"]["resourceVersion"]


def test_the_kind_itself_refuses_an_edit_even_where_no_policy_is_bound(tenant, request_of_a_person):
    answer = tenant.admin.patch(request_of_a_person, {"spec": {"ticket": "4712"}})
    assert_refused(answer, "spec: a record never changes", "clause 4", "write a new ChangeRequest")
    assert "ValidatingAdmissionPolicy" not in answer.message


def test_the_kind_itself_refuses_an_edit_of_work(tenant, work_of_a_technician):
    answer = tenant.admin.patch(work_of_a_technician, {"spec": {"ticket": "4712"}})
    assert_refused(answer, "spec: a record never changes", "clause 4", "correct it by a counter-entry")
    assert "ValidatingAdmissionPolicy" not in answer.message


@pytest.mark.parametrize(
    "tie", [{"ownerReferences": [OWNER]}, {"finalizers": ["example.com/hold"]}], ids=["owner", "finalizer"]
)
def test_a_record_is_not_tied_later(tenant, record, tie):
    for role in ("pipeline", "cluster-admin"):
        answer = tenant.client(role).patch(record, {"metadata": tie})
        assert_refused(answer, "metadata.ownerReferences", "clause 4", "remove them")


@pytest.mark.parametrize(
    "role", ["customer", "requester", "technician", "provider", "archiver", "auditor", "operator"]
)
def test_no_role_of_ours_updates_records(tenant, record, role):
    for answer in (
        tenant.client(role).patch(record, {"metadata": {"labels": {"a": "b"}}}),
        tenant.client(role).replace(record),
        tenant.client(role).apply(
            {**record, "metadata": {**record["metadata"], "managedFields": None}}, force=True
        ),
    ):
        assert_refused(answer, "cannot")


def test_an_update_that_changes_nothing_is_no_change(tenant, record):
    # The first update stores the defaults of a status that creation dropped; from then on nothing is left to change.
    first = tenant.admin.replace(record)
    assert_done(first)
    again = tenant.admin.replace(first.body)
    assert_done(again)
    assert again.version == first.version


def test_a_record_is_not_deleted_without_the_verb_prune(tenant, record):
    for query in ({}, {"propagationPolicy": "Orphan"}, {"gracePeriodSeconds": "0"}, {"dryRun": "All"}):
        answer = tenant.pipeline.delete(record, **query)
        assert_refused(answer, "a record is not deleted", "clause 4", "export it first", "verb prune")
    assert_done(tenant.admin.read(record))


def test_records_are_not_deleted_all_at_once_without_the_verb_prune(tenant, record):
    answer = tenant.pipeline.delete_all(record)
    assert_refused(answer, "a record is not deleted", "clause 4", "export it first", "verb prune")
    assert_done(tenant.admin.read(record))


@pytest.mark.parametrize("role", ["customer", "requester", "technician", "provider", "auditor", "operator"])
def test_no_other_role_of_ours_deletes_records(tenant, record, role):
    assert_refused(tenant.client(role).delete(record), "cannot delete resource")
    assert_refused(tenant.client(role).delete_all(record), "cannot deletecollection resource")


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_the_archiver_prunes_what_was_exported(tenant, record, policy):
    assert_done(tenant.archiver.delete(record, propagationPolicy=policy))


def test_a_record_is_written_into_a_ledger_only(tenant, name):
    for labels, refused in (({}, True), ({"Ledger": "true"}, True), ({"ledger": ""}, False)):
        place = f"{name}-{tenant.namespace}-{len(labels)}{next(iter(labels), '')}".lower() + (
            "x" if refused else "y"
        )
        assert_done(tenant.admin.create(namespace(place, **labels)))
        answer = tenant.admin.create(change_request(place, name, "chef@kunde-a.example"))
        if refused:
            assert_refused(
                answer, "metadata.namespace", "no ledger", "clause 4", "set the label managedvm.dev/ledger"
            )
        else:
            assert_done(answer)
            assert_done(tenant.archiver.delete(answer.body))
        assert_done(tenant.admin.delete(namespace(place)))


def test_a_status_that_comes_with_a_new_record_is_dropped(tenant, name):
    body = change_request(tenant.namespace, name, tenant.user("requester"))
    body["status"] = {
        "state": "Done",
        "assessment": {"clause": "3.1", "billing": "Included", "reason": "mine"},
    }
    body["status"]["assessment"]["assessedAt"] = "2026-01-01T00:00:00Z"
    answer = tenant.requester.create(body)
    assert_done(answer)
    assert answer.body["status"]["state"] == "Ordered"
    assert "assessment" not in answer.body["status"]
