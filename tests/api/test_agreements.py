"""Clause 4: people and prices are dated. An entry is ended or followed by another, never changed or removed."""

import pytest

from tests.api.bodies import contacts, custom, price_list, requester, service_level, vcenter
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

LATER = {"from": "2099-07-01T00:00:00Z", "hourly": "130.00", "increment": "15m", "minimum": "15m"}


@pytest.fixture
def people(tenant):
    body = contacts(tenant.namespace, requester("a@x"), requester("b@x", until="2026-06-01T00:00:00Z"))
    assert_done(tenant.customer.create(body))
    yield body
    assert_done(tenant.admin.delete(body))


@pytest.fixture
def prices(tenant, name):
    body = price_list(f"{name}-{tenant.namespace}")
    answer = tenant.provider.create(body)
    assert_done(answer)
    yield answer.body
    assert_done(tenant.admin.delete(body))


def test_the_customer_names_and_ends_its_people_itself(tenant, people):
    named = [*people["spec"]["requesters"], requester("c@x")]
    named[0] = named[0] | {"until": "2026-09-01T00:00:00Z"}
    assert_done(tenant.customer.patch(people, {"spec": {"requesters": named}}))


def test_a_person_is_authorised_again_after_an_end(tenant, people):
    again = [*people["spec"]["requesters"], requester("b@x", "2026-10-01T00:00:00Z")]
    assert_done(tenant.customer.patch(people, {"spec": {"requesters": again}}))


@pytest.mark.parametrize("role", ["customer", "provider", "cluster-admin"])
@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"requesters": [requester("a@x")]}},
        {"spec": {"requesters": []}},
        {"spec": {"requesters": None}},
        [{"op": "remove", "path": "/spec/requesters"}],
        [{"op": "remove", "path": "/spec/requesters/1"}],
        [{"op": "replace", "path": "/spec", "value": {}}],
        [{"op": "replace", "path": "/spec/requesters/0/from", "value": "2025-01-01T00:00:00Z"}],
        [{"op": "replace", "path": "/spec/requesters/0/email", "value": "c@x"}],
    ],
    ids=["shortened", "emptied", "null", "removed", "one removed", "spec emptied", "from moved", "renamed"],
)
def test_nobody_is_removed_from_the_list(tenant, people, role, patch):
    answer = tenant.client(role).patch(people, patch)
    assert_refused(answer, "spec.requesters", "never removed", "clause 4", "set `until` to end it")


@pytest.mark.parametrize("until", ["2027-01-01T00:00:00Z", None], ids=["moved", "unset"])
def test_an_end_stays(tenant, people, until):
    listed = people["spec"]["requesters"]
    answer = tenant.customer.patch(
        people, {"spec": {"requesters": [listed[0], listed[1] | {"until": until}]}}
    )
    assert_refused(answer, "spec.requesters", "`until` that is set stays", "clause 4", "later `from`")


def test_the_same_person_is_not_listed_twice_from_the_same_day(tenant):
    answer = tenant.customer.create(contacts(tenant.namespace, requester("a@x"), requester("a@x")))
    assert_refused(answer, "spec.requesters[1]", "Duplicate")


def test_a_requester_does_not_write_the_list(tenant, people):
    assert_refused(tenant.requester.patch(people, {"spec": {"requesters": []}}), "cannot patch resource")


def test_a_price_is_followed_by_another(tenant, prices):
    rates = [*prices["spec"]["rates"], LATER]
    assert_done(tenant.provider.patch(prices, {"spec": {"rates": rates}}))


@pytest.mark.parametrize("role", ["provider", "cluster-admin"])
@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/spec/rates/0/hourly", "value": "130.00"}],
        [{"op": "replace", "path": "/spec/rates/0/increment", "value": "1h"}],
        [{"op": "replace", "path": "/spec/rates/0", "value": LATER}],
    ],
    ids=["price", "increment", "replaced"],
)
def test_a_price_never_changes(tenant, prices, role, patch):
    answer = tenant.client(role).patch(prices, patch)
    assert_refused(answer, "spec.rates", "never changed or removed", "clause 4", "later `from`")


def test_two_prices_do_not_begin_at_one_instant(tenant, prices):
    twin = LATER | {"from": "2026-01-01T01:00:00+01:00"}
    answer = tenant.provider.patch(prices, {"spec": {"rates": [*prices["spec"]["rates"], twin]}})
    assert_refused(answer, "spec.rates", "begin at the same instant", "clause 4", "leave one of them out")


def test_work_is_counted_in_steps_of_a_length(tenant, prices):
    endless = LATER | {"increment": "0s"}
    answer = tenant.provider.patch(prices, {"spec": {"rates": [*prices["spec"]["rates"], endless]}})
    assert_refused(answer, "spec.rates[].increment", "clause 4", "write for example 15m")


def test_a_currency_never_changes(tenant, prices):
    answer = tenant.provider.patch(prices, {"spec": {"currency": "CHF"}})
    assert_refused(answer, "spec.currency", "clause 4", "create another PriceList")


def test_a_customer_number_never_changes(tenant):
    here = {"kind": "Customer", "metadata": {"name": tenant.namespace}}
    answer = tenant.provider.patch(here, {"spec": {"customerNumber": "K-2"}})
    assert_refused(answer, "spec.customerNumber", "clause 1", "create another Customer")
    assert_done(tenant.provider.patch(here, {"spec": {"displayName": "Kunde GmbH & Co. KG"}}))


def test_a_vcenter_is_not_exchanged_under_running_vms(tenant, name):
    made = tenant.provider.create(vcenter(f"{name}-{tenant.namespace}", maximumMode="Enforce"))
    assert_done(made)
    identity = {"status": {"instanceUUID": "11111111-1111-4111-8111-111111111111"}}
    assert_done(tenant.operator.patch(made.body, identity, "/status"))
    answer = tenant.provider.patch(made.body, {"spec": {"server": "other.example"}})
    assert_refused(answer, "spec.server", "clause 1", "set maximumMode to Observe")
    observed = {"spec": {"server": "other.example", "maximumMode": "Observe"}}
    assert_done(tenant.provider.patch(made.body, observed))
    assert_done(tenant.archiver.delete(made.body))


@pytest.mark.parametrize("role", ["customer", "requester", "technician", "auditor"])
def test_the_catalogue_is_the_providers(tenant, name, role):
    for body in (service_level(name), price_list(name), vcenter(name), custom("Customer", name, None, {})):
        assert_refused(tenant.client(role).create(body), "cannot create resource")


@pytest.mark.parametrize("role", ["provider", "pipeline"])
def test_a_service_level_is_not_deleted_from_under_the_orders_that_name_it(tenant, name, role):
    body = service_level(name)
    assert_done(tenant.provider.create(body))
    answer = tenant.client(role).delete(body)
    assert_refused(
        answer, f"service level {name}", "spec.orders", "clause 1", "end those orders", "verb prune"
    )
    assert_done(tenant.archiver.delete(body))


@pytest.mark.parametrize("role", ["provider", "pipeline"])
def test_a_vcenter_that_was_seen_is_not_deleted_from_under_its_vms(tenant, name, role):
    body = vcenter(name)
    assert_done(tenant.provider.create(body))
    seen = {"status": {"instanceUUID": "5a1b0000-0000-4000-8000-0000000000bb"}}
    assert_done(tenant.operator.patch(body, seen, "/status"))
    answer = tenant.client(role).delete(body)
    assert_refused(answer, f"VCenter {name}", "spec.vm.vCenterRef", "clause 1", "maximumMode", "verb prune")
    assert_done(tenant.archiver.delete(body))


def test_a_vcenter_with_a_typo_that_was_never_seen_may_go(tenant, name):
    body = vcenter(name)
    assert_done(tenant.provider.create(body))
    assert_done(tenant.provider.delete(body))
