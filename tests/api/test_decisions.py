"""Clause 4: who may release, withdraw or complete a request, tried by those who would."""

import pytest

from tests.api.bodies import contacts, request_decision, requester
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

ME = "requester"


def release(tenant, name, by, **spec):
    return request_decision(tenant.namespace, name, by, decision="Release", **spec)


@pytest.fixture
def listed(tenant):
    """Give a list of the customer's people to a test, and take it away afterwards: its name is always the same."""

    def write(*people):
        assert_done(tenant.customer.create(contacts(tenant.namespace, *people)))

    yield write
    tenant.admin.delete(contacts(tenant.namespace))


def test_an_authorised_requester_releases_in_the_own_name(tenant, name, listed):
    me = tenant.user(ME)
    listed(requester(me))
    assert_done(tenant.requester.create(release(tenant, name, me)))


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"since": "2126-01-01T00:00:00Z"},
        {"until": "2026-02-01T00:00:00Z"},
    ],
    ids=["not listed", "not yet", "not any more"],
)
def test_who_is_not_on_the_list_now_releases_nothing(tenant, name, listed, entry):
    me = tenant.user(ME)
    listed(requester("chef@kunde-a.example"), *([requester(me, **entry)] if entry is not None else []))
    answer = tenant.requester.create(release(tenant, name, me))
    assert_refused(
        answer, "spec.decidedBy", f"{me} is not an authorised requester", "clause 4", "or the provider"
    )


def test_staff_releases_with_and_without_a_list(tenant, name, listed):
    staff = {"by": tenant.user("technician"), "decidedAs": "Staff"}
    assert_done(tenant.technician.create(release(tenant, name, **staff)))
    listed(requester("chef@kunde-a.example"))
    assert_done(tenant.technician.create(release(tenant, f"{name}-2", **staff)))


def test_staff_enters_what_an_authorised_requester_said_on_the_telephone(tenant, name, listed):
    listed(requester("chef@kunde-a.example"))
    assert_done(tenant.technician.create(release(tenant, name, "chef@kunde-a.example")))
    other = release(tenant, f"{name}-2", "sekretariat@kunde-a.example")
    assert_refused(
        tenant.technician.create(other), "spec.decidedBy", "sekretariat@kunde-a.example", "clause 4"
    )


@pytest.mark.parametrize("role", ["requester", "pipeline"])
def test_nobody_decides_in_another_name_or_as_staff_without_the_verb_attest(tenant, name, role, listed):
    listed(requester("chef@kunde-a.example"))
    client = tenant.client(role)
    another = client.create(release(tenant, name, "chef@kunde-a.example"))
    assert_refused(another, "spec.decidedBy", f"you are {tenant.user(role)}", "clause 4", "verb attest")
    staff = client.create(release(tenant, name, tenant.user(role), decidedAs="Staff"))
    assert_refused(staff, "spec.decidedAs", "verb attest", "clause 4", "decide as Requester")


def test_a_requester_withdraws_without_being_on_a_list(tenant, name):
    assert_done(tenant.requester.create(request_decision(tenant.namespace, name, tenant.user(ME))))


def test_only_staff_completes(tenant, name):
    done = request_decision(tenant.namespace, name, tenant.user(ME), decision="Complete")
    assert_refused(tenant.requester.create(done), "spec.decidedAs", "clause 4", "set Staff, or withdraw")
    done["spec"] |= {"decidedBy": tenant.user("technician"), "decidedAs": "Staff"}
    assert_done(tenant.technician.create(done))


def test_a_decision_gives_a_reason(tenant, name):
    body = request_decision(tenant.namespace, name, tenant.user(ME), reason=None)
    del body["spec"]["reason"]
    assert_refused(tenant.requester.create(body), "spec.reason")


def test_the_customers_pipeline_decides_nothing(tenant, name):
    body = request_decision(tenant.namespace, name, tenant.user("customer"))
    assert_refused(tenant.customer.create(body), "cannot create resource")


@pytest.mark.parametrize("role", ["technician", "pipeline", "cluster-admin"])
def test_a_decision_never_changes(tenant, name, role):
    written = tenant.technician.create(
        request_decision(tenant.namespace, name, tenant.user("technician"), decidedAs="Staff")
    )
    assert_done(written)
    answer = tenant.client(role).patch(written.body, {"spec": {"reason": "Another one."}})
    words = ("cannot patch resource",) if role == "technician" else ("a record never changes", "clause 4")
    assert_refused(answer, *words)


def test_who_decided_is_stamped_by_the_api_server(tenant, name):
    me = tenant.user("technician")
    answer = tenant.technician.create(
        request_decision(tenant.namespace, name, "chef@kunde-a.example", decidedAs="Staff")
    )
    assert_done(answer)
    assert answer.annotations["managedvm.dev/applied-by"] == me
