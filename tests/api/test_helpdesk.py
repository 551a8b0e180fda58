"""The helpdesk as it is declared: one for the provider, over TLS, with intervals that make sense."""

import pytest

from tests.api.bodies import helpdesk
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab


def declare(tenant, **spec):
    return tenant.provider.create(helpdesk(**spec), dryRun="All")


def test_a_helpdesk_is_declared_with_little(tenant):
    answer = declare(tenant)
    assert_done(answer)
    spec = answer.body["spec"]
    assert (spec["pollInterval"], spec["searchLag"], spec["attributes"]["managedVM"]) == (
        "1m",
        "2m",
        "managedvm",
    )


def test_a_provider_has_one_helpdesk(tenant):
    other = helpdesk()
    other["metadata"]["name"] = "another"
    assert_refused(tenant.provider.create(other, dryRun="All"), "metadata.name", "'helpdesk'", "clause 4")


@pytest.mark.parametrize("url", ["http://helpdesk.example", "https://helpdesk.example/path", "https://a:b@x"])
def test_a_helpdesk_is_reached_over_tls_and_without_a_path(tenant, url):
    assert_refused(declare(tenant, url=url), "spec.url")


@pytest.mark.parametrize("field", ["pollInterval", "searchLag"])
@pytest.mark.parametrize("value", ["0s", "61m", "1d"])
def test_an_interval_is_between_a_second_and_an_hour(tenant, field, value):
    assert_refused(declare(tenant, **{field: value}), f"spec.{field}" if value == "1d" else field)


@pytest.mark.parametrize("role", ["customer", "requester"])
def test_a_tenant_does_not_see_the_helpdesk(tenant, role):
    assert_refused(tenant.client(role).read(helpdesk()), "cannot get resource")
