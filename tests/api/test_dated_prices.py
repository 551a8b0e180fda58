"""Clause 4: the hourly rate valid at the time. A price is known before the work is done, and no entry re-prices what was done."""

from datetime import timedelta

import pytest

from lab import wait_until
from managedvm.clock import utc_now
from tests.api.bodies import agreed_prices, customer, price_list
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

DEARER = {"hourly": "130.00", "increment": "15m", "minimum": "15m"}
NIGHT = {"name": "night", "percent": "50", "days": ["Mon"]}
FORGED = "2020-01-01T00:00:00Z"
"""A time that somebody writes into metadata.managedFields."""


def moment(**away):
    return f"{utc_now() + timedelta(**away):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def prices(tenant, name):
    body = price_list(f"{name}-{tenant.namespace}")
    body["spec"]["surcharges"] = [{**NIGHT, "from": "2026-01-01T00:00:00Z"}]
    made = tenant.provider.create(body)
    assert_done(made)
    yield made.body
    tenant.admin.delete(made.body)


@pytest.fixture
def party(tenant, name):
    made = tenant.provider.create(customer(f"{name}-{tenant.namespace}", f"{name}-{tenant.namespace}"))
    assert_done(made)
    yield made.body
    tenant.admin.delete(made.body)


def added(there, field, entry):
    return {"spec": {field: [*there["spec"][field], entry]}}


@pytest.mark.parametrize("role", ["provider", "cluster-admin"])
@pytest.mark.parametrize("away", [{"days": -30}, {"seconds": -30}], ids=["a month ago", "just now"])
def test_a_rate_does_not_begin_in_the_past(tenant, prices, role, away):
    answer = tenant.client(role).patch(prices, added(prices, "rates", {**DEARER, "from": moment(**away)}))
    assert_refused(answer, "spec.rates", "begins in the past", "clause 4", "from now on")


def test_a_rate_begins_from_now_on(tenant, prices):
    assert_done(tenant.provider.patch(prices, added(prices, "rates", {**DEARER, "from": moment(seconds=5)})))


def test_as_many_rates_as_a_list_holds_are_compared(tenant, name):
    body = price_list(f"{name}-{tenant.namespace}")
    body["spec"]["rates"] = [{**DEARER, "from": f"{2100 + year}-01-01T00:00:00Z"} for year in range(63)]
    made = tenant.provider.create(body)
    assert_done(made)
    assert_done(
        tenant.provider.patch(made.body, added(made.body, "rates", {**DEARER, "from": moment(hours=1)}))
    )
    assert_done(tenant.admin.delete(body))


def test_work_that_has_no_price_at_all_can_be_given_one(tenant, prices):
    earlier = {**DEARER, "from": "2025-06-01T00:00:00Z"}
    assert_done(tenant.provider.patch(prices, added(prices, "rates", earlier)))


def test_a_price_list_is_created_with_the_rates_that_it_had(tenant, name):
    body = price_list(f"{name}-{tenant.namespace}")
    body["spec"]["rates"].append({**DEARER, "from": "2026-02-01T00:00:00Z"})
    assert_done(tenant.provider.create(body))
    assert_done(tenant.admin.delete(body))


def test_a_surcharge_does_not_begin_in_the_past(tenant, prices):
    evening = {**NIGHT, "name": "evening"}
    answer = tenant.provider.patch(prices, added(prices, "surcharges", {**evening, "from": moment(hours=-1)}))
    assert_refused(answer, "spec.surcharges", "begins in the past", "clause 4", "from now on")
    assert_done(
        tenant.provider.patch(prices, added(prices, "surcharges", {**evening, "from": moment(hours=1)}))
    )


def test_a_surcharge_does_not_end_in_the_past(tenant, prices):
    (night,) = prices["spec"]["surcharges"]
    ended = {"spec": {"surcharges": [{**night, "until": moment(hours=-1)}]}}
    assert_refused(tenant.provider.patch(prices, ended), "spec.surcharges[].until", "clause 4", "from now on")
    assert_done(
        tenant.provider.patch(prices, {"spec": {"surcharges": [{**night, "until": moment(hours=1)}]}})
    )


def test_how_automated_work_counts_never_changes(tenant, prices):
    answer = tenant.provider.patch(prices, {"spec": {"automatedWork": "Free"}})
    assert_refused(answer, "spec.automatedWork", "never changes", "clause 4", "spec.priceLists")


def test_a_customer_gets_another_price_list_from_now_on(tenant, party):
    back = tenant.provider.patch(party, added(party, "priceLists", agreed_prices("other", moment(days=-1))))
    assert_refused(back, "spec.priceLists", "begins in the past", "clause 4", "from now on")
    assert_done(
        tenant.provider.patch(party, added(party, "priceLists", agreed_prices("other", moment(seconds=5))))
    )


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [agreed_prices("other")],
        [agreed_prices("standard", "2026-01-02T00:00:00Z")],
        [agreed_prices("standard"), agreed_prices("other", "2026-01-01T01:00:00+01:00")],
    ],
    ids=["emptied", "another one", "from moved", "two at one instant"],
)
def test_an_entry_of_a_customers_price_lists_stays(tenant, party, entries):
    answer = tenant.admin.patch(party, {"spec": {"priceLists": entries}})
    assert_refused(answer, "spec.priceLists")


class TestTheClock:
    """CEL has none on UPDATE; the API server's own note of when somebody wrote which field is one."""

    def past(self, prices):
        return added(prices, "rates", {**DEARER, "from": "2026-11-01T00:00:00Z"})

    def test_cannot_be_taken_away(self, tenant, prices):
        patch = {**self.past(prices), "metadata": {"managedFields": [{}]}}
        assert_refused(tenant.admin.patch(prices, patch), "spec.rates", "kubectl apply --server-side")

    @pytest.mark.parametrize("manager", ["forger", "tests"])
    def test_cannot_be_set_back(self, tenant, prices, manager):
        entry = {
            "manager": manager,
            "operation": "Update",
            "apiVersion": "managedvm.dev/v1alpha1",
            "time": FORGED,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:spec": {"f:rates": {'k:{"from":"2026-11-01T00:00:00Z"}': {".": {}, "f:hourly": {}}}}
            },
        }
        patch = {**self.past(prices), "metadata": {"managedFields": [entry]}}
        answer = tenant.admin.patch(prices, patch, fieldManager="tests")
        assert_refused(answer, "spec.rates", "begins in the past")

    def test_that_somebody_took_away_comes_back_with_an_apply(self, tenant, prices):
        assert_done(tenant.provider.patch(prices, {"metadata": {"managedFields": [{}]}}))
        future = {**DEARER, "from": moment(hours=1)}
        answer = tenant.provider.patch(prices, added(prices, "rates", future))
        assert_refused(answer, "spec.rates", "kubectl apply --server-side")
        meta = {"name": prices["metadata"]["name"]}
        wanted = {
            **prices,
            "metadata": meta,
            "spec": {**prices["spec"], **added(prices, "rates", future)["spec"]},
        }
        assert_done(tenant.provider.apply(wanted, force=True))


class TestValueAddedTax:
    def test_may_be_entered_late_for_a_month_that_is_open(self, tenant, prices):
        seven = {"from": moment(days=-3), "percent": "7"}
        assert_done(tenant.provider.patch(prices, added(prices, "vat", seven)))

    def test_is_not_entered_for_a_month_that_is_closed_for_a_customer(self, tenant, prices, name):
        list_name = prices["metadata"]["name"]
        body = customer(f"{name}-taxed-{tenant.namespace}", f"{name}-taxed")
        body["spec"]["priceLists"] = [agreed_prices(list_name)]
        assert_done(tenant.provider.create(body))
        closed = {"status": {"closedUntil": "2026-06-30T22:00:00Z"}}
        assert_done(tenant.admin.patch(body, closed, "/status"))
        june = added(prices, "vat", {"from": "2026-06-30T21:59:59Z", "percent": "7"})
        wait_until(
            lambda: not tenant.provider.patch(prices, june, dryRun="All").ok, "the closing", seconds=20
        )
        assert_refused(
            tenant.provider.patch(prices, june),
            "spec.vat",
            body["metadata"]["name"],
            "2026-06-30T22:00:00Z",
            "clause 4",
        )
        july = added(prices, "vat", {"from": "2026-06-30T22:00:00Z", "percent": "7"})
        assert_done(tenant.provider.patch(prices, july))
        assert_done(tenant.admin.delete(body))

    @pytest.mark.parametrize(
        "patch",
        [
            [{"op": "replace", "path": "/spec/vat/0/percent", "value": "7"}],
            [{"op": "replace", "path": "/spec/vat/0/from", "value": "2027-01-01T00:00:00Z"}],
        ],
        ids=["percent", "from"],
    )
    def test_never_changes(self, tenant, prices, patch):
        assert_refused(tenant.admin.patch(prices, patch), "spec.vat", "never changed or removed", "clause 4")
