"""Clause 4: what is billed is decided once. A month is closed by whoever may, and stays as it was closed."""

import pytest

from lab import wait_until
from tests.api.bodies import custom, statement
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

CLOSING = "verb close on customers"


@pytest.fixture
def closed(tenant):
    """A month that is closed, and pruned when the test is over."""
    body = tenant.accountant.create(statement(tenant.namespace))
    assert_done(body)
    yield {"kind": "Statement", **body.body}
    tenant.admin.delete(body.body)


@pytest.mark.parametrize(
    "role", ["operator", "customer", "requester", "technician", "provider", "archiver", "auditor"]
)
def test_nobody_else_writes_a_statement(tenant, role):
    assert_refused(tenant.client(role).create(statement(tenant.namespace)), "cannot create resource")


def test_whoever_may_write_everything_closes_no_month_without_the_verb(tenant):
    answer = tenant.pipeline.create(statement(tenant.namespace))

    assert_refused(
        answer, f"a month of {tenant.namespace}", CLOSING, "clause 4", "whoever makes the statements"
    )


def test_the_statement_of_a_customer_is_for_who_closes_that_customers_months(tenant, admin):
    """The verb can be granted for a customer by its name."""
    user, name = "closer@example", f"closes-{tenant.namespace}"
    kind = "rbac.authorization.k8s.io"
    rules = [
        {
            "apiGroups": ["managedvm.dev"],
            "resources": ["customers"],
            "resourceNames": [tenant.namespace],
            "verbs": ["close"],
        },
        {"apiGroups": ["managedvm.dev"], "resources": ["statements"], "verbs": ["create"]},
    ]
    role = {"apiVersion": f"{kind}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": f"{kind}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": kind, "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": kind, "kind": "User", "name": user}],
    }
    for body in (role, binding):
        assert_done(admin.create(body))
    client = admin.impersonate(user)
    other = statement(tenant.namespace, customerRef={"name": "somebody-else"})
    other["metadata"]["name"] = "somebody-else-2026-01"
    try:
        wait_until(
            lambda: client.create(statement(tenant.namespace), dryRun="All").ok,
            "the rights of the closer",
            seconds=30,
        )
        assert_refused(client.create(other), "somebody-else", CLOSING)
    finally:
        for body in (binding, role):
            admin.delete(body)


@pytest.mark.parametrize(
    ("spec", "name", "words"),
    [
        ({}, "{}-2026-02", ("metadata.name", "<customer>-<month>", "clause 4")),
        (
            {"page": 2, "pages": 2, "previous": {"name": "x", "hash": "0" * 64}},
            "{}-2026-01",
            ("metadata.name", "-p2"),
        ),
        ({"pages": 2}, "{}-2026-01", ("spec.pages", "last page", "clause 4")),
        ({"totals": None}, "{}-2026-01", ("spec.pages", "spec.totals")),
        ({"pages": None}, "{}-2026-01", ("spec.pages", "spec.totals")),
        ({"page": 2, "pages": 2}, "{}-2026-01-p2", ("spec.previous", "follows another one")),
        ({"month": "2026-13"}, "{}-2026-13", ("spec.month",)),
        ({"hash": "abc"}, "{}-2026-01", ("spec.hash",)),
    ],
)
def test_a_statement_that_is_none_is_refused(tenant, spec, name, words):
    body = statement(tenant.namespace)
    body["spec"] = {key: value for key, value in {**body["spec"], **spec}.items() if value is not None}
    body["metadata"]["name"] = name.format(tenant.namespace)

    assert_refused(tenant.accountant.create(body), *words)


def test_pages_of_a_month_stand_beside_each_other(tenant, closed):
    previous = {"name": closed["metadata"]["name"], "hash": closed["spec"]["hash"]}
    second = tenant.accountant.create(statement(tenant.namespace, page=2, previous=previous))

    assert_done(second)
    assert second.body["metadata"]["name"] == f"{tenant.namespace}-2026-01-p2"
    assert_done(tenant.archiver.delete(second.body))


@pytest.mark.usefixtures("closed")
def test_a_month_is_closed_once(tenant):
    assert tenant.accountant.create(statement(tenant.namespace)).code == 409


@pytest.mark.parametrize("role", ["accountant", "provider", "operator", "archiver"])
def test_nobody_has_the_right_to_change_a_statement(tenant, closed, role):
    answer = tenant.client(role).patch(closed, {"spec": {"hash": "1" * 64}})

    assert_refused(answer, "cannot patch resource")


@pytest.mark.parametrize("role", ["pipeline", "cluster-admin"])
@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"hash": "1" * 64}},
        {"spec": {"totals": {"net": "1.00"}}},
        {"spec": {"until": "2026-02-01T00:00:00Z"}},
        {"spec": {"lines": []}},
        {"metadata": {"labels": {"paid": "yes"}}},
        {"metadata": {"annotations": {"managedvm.dev/applied-by": "chef@x"}}},
    ],
    ids=["hash", "totals", "until", "lines", "label", "who closed"],
)
def test_not_even_who_may_write_everything_changes_a_statement(tenant, closed, role, patch):
    answer = tenant.client(role).patch(closed, patch)

    if patch == {"spec": {"lines": []}}:
        # An empty list says what an absent one says; still it is a change of a record.
        assert not answer.ok
    else:
        assert_refused(answer, "clause 4", "record never changes" if "metadata" in patch else "never changes")


def test_it_is_written_down_who_closed(tenant, closed):
    assert closed["metadata"]["annotations"]["managedvm.dev/applied-by"] == tenant.user("accountant")


@pytest.mark.parametrize("role", ["pipeline"])
def test_a_statement_is_not_deleted_but_by_who_prunes(tenant, closed, role):
    assert_refused(tenant.client(role).delete(closed), "a record is not deleted", "clause 4", "verb prune")
    assert_done(tenant.archiver.delete(closed))


def test_a_statement_is_written_into_a_ledger_only(tenant, admin, name):
    place = f"{name}-{tenant.namespace}"
    assert_done(admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}))
    body = statement(tenant.namespace)
    body["metadata"]["namespace"] = place

    assert_refused(tenant.accountant.create(body), "this Namespace is no ledger", "clause 4")
    assert_done(admin.delete({"kind": "Namespace", "metadata": {"name": place}}))


def test_the_customer_sees_its_statements(tenant, closed):
    assert_done(tenant.customer.read(closed))
    assert [body["metadata"]["name"] for body in tenant.customer.list(closed)] == [closed["metadata"]["name"]]


def test_the_accountant_changes_no_price_and_no_record(tenant):
    for kind, name in (
        ("PriceList", "standard"),
        ("WorkEntry", "w"),
        ("ChangeRequest", "c"),
        ("Customer", tenant.namespace),
    ):
        where = None if kind in {"PriceList", "Customer"} else tenant.namespace
        body = custom(kind, name, where, {})
        assert_refused(tenant.accountant.patch(body, {"spec": {"x": "y"}}), "cannot patch resource")
        assert_refused(tenant.accountant.create(body), "cannot create resource")
