"""Clause 4: effort is billed by the hourly rate valid at the time, so at each time there must be one, and it must count."""

import pytest

from tests.api.bodies import price_list
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

RATE = {"from": "2026-01-01T00:00:00Z", "hourly": "120.00", "increment": "15m", "minimum": "0s"}


def listed(tenant, name, *rates):
    body = price_list(f"{name}-{tenant.namespace}")
    return {**body, "spec": {**body["spec"], "rates": list(rates)}}


@pytest.mark.parametrize("same", ["2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z"])
def test_two_rates_do_not_begin_at_one_instant_however_it_is_written(tenant, name, same):
    answer = tenant.provider.create(listed(tenant, name, RATE, {**RATE, "from": same}))
    assert_refused(answer, "spec.rates", "same instant", "clause 4", "leave one of them out")


@pytest.mark.parametrize("nothing", ["0s", "0h0m"])
def test_work_is_not_counted_in_steps_of_nothing(tenant, name, nothing):
    answer = tenant.provider.create(listed(tenant, name, {**RATE, "increment": nothing}))
    assert_refused(answer, "spec.rates[].increment", "clause 4", "15m")


def test_as_many_rates_as_a_list_holds_are_checked(tenant, name):
    rates = [{**RATE, "from": f"{2000 + year}-01-01T00:00:00Z"} for year in range(64)]
    made = tenant.provider.create(listed(tenant, name, *rates))
    assert_done(made)
    assert_done(tenant.admin.delete(made.body))


EVENING = {
    "name": "evening",
    "percent": "25",
    "from": "2026-01-01T00:00:00Z",
    "days": ["Mon"],
    "start": "18:00",
}


def with_surcharges(tenant, name, *surcharges):
    body = listed(tenant, name, RATE)
    body["spec"]["surcharges"] = list(surcharges)
    return body


@pytest.fixture
def surcharged(tenant, name):
    made = tenant.provider.create(with_surcharges(tenant, name, EVENING))
    assert_done(made)
    yield made.body
    assert_done(tenant.admin.delete(made.body))


def test_a_surcharge_has_days_or_dates(tenant, name):
    never = {key: value for key, value in EVENING.items() if key != "days"}
    answer = tenant.provider.create(with_surcharges(tenant, name, never))
    assert_refused(answer, "days, dates", "clause 4", "days of the week or dates")


@pytest.mark.parametrize("date", ["12-32", "13-01", "2027-3-26", "26.03.2027"])
def test_a_surcharge_names_dates_of_the_calendar(tenant, name, date):
    answer = tenant.provider.create(with_surcharges(tenant, name, {**EVENING, "dates": [date]}))
    assert_refused(answer, "spec.surcharges[0].dates[0]")


@pytest.mark.parametrize(
    "change",
    [{"percent": "50"}, {"days": ["Tue"]}, {"dates": ["12-25"]}, {"start": "17:00"}, {"end": "06:00"}],
    ids=lambda change: next(iter(change)),
)
def test_a_surcharge_never_changes(tenant, surcharged, change):
    answer = tenant.provider.patch(surcharged, {"spec": {"surcharges": [{**EVENING, **change}]}})
    assert_refused(answer, "spec.surcharges", "an entry never changes", "clause 4", "set `until`")


def test_a_surcharge_is_ended_and_never_removed(tenant, surcharged):
    assert_refused(
        tenant.provider.patch(surcharged, {"spec": {"surcharges": None}}),
        "never removed",
        "clause 4",
        "`until`",
    )
    ended = {**EVENING, "until": "2027-01-01T00:00:00Z"}
    assert_done(tenant.provider.patch(surcharged, {"spec": {"surcharges": [ended]}}))
    answer = tenant.provider.patch(surcharged, {"spec": {"surcharges": [EVENING]}})
    assert_refused(answer, "an entry never changes", "clause 4")
    more = {**EVENING, "from": "2027-01-01T00:00:00Z", "percent": "30"}
    assert_done(tenant.provider.patch(surcharged, {"spec": {"surcharges": [ended, more]}}))


@pytest.mark.parametrize("field", ["timeZone", "currency"])
def test_zone_and_currency_of_a_price_list_never_change(tenant, surcharged, field):
    other = {"timeZone": "Europe/Vienna", "currency": "CHF"}[field]
    answer = tenant.provider.patch(surcharged, {"spec": {field: other}})
    assert_refused(answer, f"spec.{field}", "never change", "clause 4", "another PriceList")
