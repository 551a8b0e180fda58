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
