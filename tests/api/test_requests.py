"""Clauses 4 to 6.5: what a person may ask for, kind by kind, and what the API server refuses with the clause."""

from datetime import timedelta

import pytest

from managedvm.api.changerequest import RequestKind
from managedvm.clock import utc_now
from tests.api.bodies import change_request, contacts, requester, software
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

NEEDS = {
    "SoftwareInstallation": software(),
    "UpdateAppointment": {"wantedAt": "2027-01-05T09:00:00Z"},
}


def ask(tenant, name, role="requester", **spec):
    return tenant.client(role).create(change_request(tenant.namespace, name, tenant.user(role), **spec))


@pytest.mark.parametrize("kind", RequestKind)
def test_every_kind_can_be_asked_for(tenant, name, kind):
    assert_done(ask(tenant, name, **{"kind": kind.value, **NEEDS.get(kind.value, {})}))


@pytest.mark.parametrize("kind", RequestKind)
def test_every_kind_is_described_in_words(tenant, name, kind):
    body = change_request(
        tenant.namespace, name, tenant.user("requester"), **{"kind": kind.value, **NEEDS.get(kind.value, {})}
    )
    del body["spec"]["description"]
    assert_refused(tenant.requester.create(body), "spec.description", "clause 4", "say what is asked for")


@pytest.mark.parametrize(
    "strange",
    [
        {"source": "Archive", "format": None, "repository": None},
        {"source": "SourceCode", "format": None, "repository": None},
        {"source": "SourceCode"},
        {"isFreelyAccessible": False},
        {"isFreelyAccessible": None},
        {"format": None},
        {"repository": None},
    ],
    ids=[
        "archive",
        "source",
        "source from a repository",
        "private",
        "not said",
        "no format",
        "no repository",
    ],
)
@pytest.mark.parametrize("role", ["requester", "technician", "provider", "cluster-admin"])
def test_software_from_elsewhere_than_a_free_repository_is_refused(tenant, name, role, strange):
    answer = ask(tenant, name, role, **software(**strange))
    assert_refused(answer, "spec.software", "clause 6.2", "nothing is compiled", "name source Repository")


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": "msi"},
        {"repository": "https://user:key@repo.example/deb"},
        {"repository": "ftp://x.example/d"},
    ],
    ids=["format", "credentials", "scheme"],
)
def test_a_repository_and_its_packages_are_of_known_kinds(tenant, name, wrong):
    assert_refused(ask(tenant, name, **software(**wrong)), f"spec.software.{next(iter(wrong))}")


def test_what_a_helpdesk_hands_on_is_documented_even_if_it_will_be_refused(tenant, name):
    body = change_request(
        tenant.namespace,
        f"op-{name}",
        "chef@kunde-a.example",
        channel="Helpdesk",
        **software(source="Archive"),
    )
    assert_done(tenant.operator.create(body))


def test_software_is_named_where_it_is_installed_and_nowhere_else(tenant, name):
    words = ("spec.software", "clause 6.2", "name the software")
    assert_refused(ask(tenant, name, kind="SoftwareInstallation"), *words)
    assert_refused(ask(tenant, name, **{**software(), "kind": "SupportQuestion"}), *words)


def test_an_appointment_has_a_time(tenant, name):
    answer = ask(tenant, name, kind="UpdateAppointment")
    assert_refused(answer, "spec.wantedAt", "clause 5.1", "order an UpdateOrder for the next window")


def test_a_kind_that_nobody_offers_is_refused(tenant, name):
    assert_refused(ask(tenant, name, kind="Compilation"), "spec.kind", "SoftwareInstallation")


@pytest.fixture
def people(tenant):
    """Give the customer's list, with one person who may only ask questions."""
    answer = tenant.customer.create(
        contacts(tenant.namespace, requester("a@x", scope=["SupportQuestion"]), requester("b@x"))
    )
    assert_done(answer)
    yield answer.body
    tenant.admin.delete(answer.body)


@pytest.mark.parametrize(
    "scopes",
    [
        (["SupportQuestion", "FaultReport"], None),
        ([], None),
        (None, None),
        (["SupportQuestion"], ["SupportQuestion"]),
    ],
    ids=["wider", "emptied", "removed", "narrowed"],
)
@pytest.mark.parametrize("role", ["customer", "provider", "cluster-admin"])
def test_the_scope_of_an_entry_never_changes(tenant, people, role, scopes):
    entries = [
        {**requester(email), **({} if scope is None else {"scope": scope})}
        for email, scope in zip(("a@x", "b@x"), scopes, strict=True)
    ]
    answer = tenant.client(role).patch(people, {"spec": {"requesters": entries}})
    assert_refused(answer, "spec.requesters", "scope", "clause 4", "add an entry with a later `from`")


def test_a_scope_is_changed_by_ending_the_entry_and_adding_another(tenant, people):
    entries = [
        requester("a@x", until="2027-01-01T00:00:00Z", scope=["SupportQuestion"]),
        requester("b@x"),
        requester("a@x", since="2027-01-01T00:00:00Z"),
    ]
    assert_done(tenant.customer.patch(people, {"spec": {"requesters": entries}}))


def test_a_scope_names_kinds_that_there_are(tenant):
    body = contacts(tenant.namespace, requester("a@x", scope=["Everything"]))
    assert_refused(tenant.customer.create(body), "spec.requesters[0].scope[0]", "SupportQuestion")


def instant(seconds):
    return f"{utc_now() + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


class TestAskedEarlier:
    @pytest.mark.parametrize("role", ["technician", "provider", "cluster-admin"])
    def test_staff_says_when_somebody_had_asked(self, tenant, name, role):
        assert_done(ask(tenant, name, role, askedAt=instant(-3600)))
        assert_done(ask(tenant, f"{name}-2", role, askedAt=instant(-31 * 86400 + 60)))

    @pytest.mark.parametrize("role", ["requester", "pipeline"])
    def test_nobody_else_does(self, tenant, name, role):
        answer = ask(tenant, name, role, askedAt=instant(-3600))
        assert_refused(answer, "spec.askedAt", "clause 4", "verb attest")

    def test_the_operator_says_it_of_a_ticket_and_of_nothing_else(self, tenant, name):
        def hand_on(age, **spec):
            said = {"askedAt": instant(-age), "channel": "Helpdesk", **spec}
            return tenant.operator.create(
                change_request(tenant.namespace, f"op-{name}", "chef@x", **said), dryRun="All"
            )

        ticket = {"origin": "Helpdesk", "ticket": "1"}
        assert_done(hand_on(3600, **ticket))
        assert_done(hand_on(-30, **ticket))
        assert_refused(hand_on(-120, **ticket), "spec.askedAt", "31 days")
        assert_refused(hand_on(31 * 86400 + 60, **ticket), "spec.askedAt", "31 days")
        for origin in ("Operator", "Person"):
            assert_refused(hand_on(3600, origin=origin), "spec.askedAt", "verb attest")

    @pytest.mark.parametrize("seconds", [120, -31 * 86400 - 60], ids=["of the future", "of long ago"])
    def test_it_lies_in_the_past_and_not_long_ago(self, tenant, name, seconds):
        answer = ask(tenant, name, "technician", askedAt=instant(seconds))
        assert_refused(answer, "spec.askedAt", "clause 4", "31 days", "ask anew")
