"""Clauses 1 and 4: a namespace is one customer's and stays so, since what is recorded there is billed to it."""

import pytest

from lab import wait_until
from tests.api.bodies import customer, statement
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab


@pytest.fixture
def party(tenant, name):
    """A customer with two namespaces, once the policy has seen it."""
    own = f"{name}-{tenant.namespace}"
    made = tenant.provider.create(customer(own, own, f"{name}-second"))
    assert_done(made)
    probe = customer(f"{name}-probe", f"{name}-second")
    wait_until(lambda: not tenant.provider.create(probe, dryRun="All").ok, "the policy to see it", seconds=20)
    yield made.body
    tenant.admin.delete(made.body)


@pytest.mark.parametrize("role", ["provider", "pipeline"])
def test_a_namespace_is_not_taken_off_a_list(tenant, party, role):
    kept = party["spec"]["namespaces"][:1]
    answer = tenant.client(role).patch(party, {"spec": {"namespaces": kept}})
    assert_refused(answer, "spec.namespaces", party["spec"]["namespaces"][1], "clause 4", "verb prune")


def test_a_namespace_is_added_and_the_order_is_nobodys_business(tenant, party, name):
    first, second = party["spec"]["namespaces"]
    more = {"spec": {"namespaces": [second, f"{name}-third", first]}}
    assert_done(tenant.provider.patch(party, more))


def test_a_wrong_entry_is_taken_off_by_who_may_prune(tenant, party):
    assert_done(tenant.admin.patch(party, {"spec": {"namespaces": party["spec"]["namespaces"][:1]}}))


@pytest.mark.parametrize("role", ["provider", "pipeline", "cluster-admin"])
def test_a_namespace_of_two_customers_is_refused(tenant, party, name, role):
    taken = party["spec"]["namespaces"][1]
    other = customer(f"{name}-other", f"{name}-other", taken)
    words = ("spec.namespaces", taken, f"customer {party['metadata']['name']}", "clause 1", "leave it out")
    assert_refused(tenant.client(role).create(other), *words)
    own = tenant.provider.create(customer(f"{name}-other", f"{name}-other"))
    assert_done(own)
    more = {"spec": {"namespaces": [f"{name}-other", taken]}}
    assert_refused(tenant.client(role).patch(own.body, more), *words)
    assert_done(tenant.admin.delete(own.body))


def test_two_that_share_a_namespace_all_the_same_are_not_locked(tenant, party, name):
    """Two who were created at the same moment: each can still be changed, and one of them mended."""
    shared = customer(f"{name}-twin", f"{name}-twin")
    made = tenant.provider.create(shared)
    assert_done(made)
    assert_done(tenant.provider.patch(party, {"spec": {"displayName": "Kunde AG"}}))
    assert_done(tenant.admin.delete(made.body))


class TestTheLastStatement:
    OCTOBER, NOVEMBER = ({"name": "{}-2026-1" + end, "hash": "0" * 64} for end in "01")

    def names(self, party, said):
        return {"status": {"lastStatement": {**said, "name": said["name"].format(party["metadata"]["name"])}}}

    def test_is_named_by_who_closes_and_moves_on(self, tenant, party):
        for said in (self.OCTOBER, self.NOVEMBER):
            assert_done(tenant.accountant.patch(party, self.names(party, said), "/status"))

    @pytest.mark.parametrize("role", ["provider", "pipeline", "operator"])
    def test_is_named_by_nobody_else(self, tenant, party, role):
        assert not tenant.client(role).patch(party, self.names(party, self.OCTOBER), "/status").ok

    @pytest.mark.parametrize("said", ["gone", "earlier", "another hash", "status gone"])
    @pytest.mark.parametrize("role", ["accountant", "cluster-admin"])
    def test_does_not_go_back(self, tenant, party, role, said):
        assert_done(tenant.accountant.patch(party, self.names(party, self.NOVEMBER), "/status"))
        patch = {
            "gone": {"status": {"lastStatement": None}},
            "earlier": self.names(party, self.OCTOBER),
            "another hash": self.names(party, {**self.NOVEMBER, "hash": "1" * 64}),
            "status gone": {"status": None},
        }[said]
        answer = tenant.client(role).patch(party, patch, "/status")
        assert_refused(answer, "status.lastStatement", "cannot go back", "clause 4")


def test_a_statement_says_which_namespaces_it_covers(tenant):
    record = {"kind": "WorkEntry", "namespace": tenant.namespace, "name": "work", "digest": "0" * 64}
    body = statement(tenant.namespace, records=[record])
    assert_refused(
        tenant.accountant.create(body), "metadata.labels", "covers.managedvm.dev/<namespace>", "clause 4"
    )
    body["metadata"]["labels"] = {f"covers.managedvm.dev/{tenant.namespace}": "true"}
    assert_done(tenant.accountant.create(body, dryRun="All"))
