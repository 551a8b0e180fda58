"""An Outage is measured, not said (clause 1): only the operator begins one, and ends it once."""

import secrets

import pytest

from tests.api import bodies
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

END = {"end": "2026-01-05T09:10:00Z"}


@pytest.fixture
def outage(tenant):
    """An outage that lasts."""
    body = bodies.outage(tenant.namespace, f"op-outage-{secrets.token_hex(4)}")
    assert_done(tenant.operator.create(body))
    return body


def test_nobody_but_the_operator_says_that_a_vm_was_down(tenant):
    answer = tenant.admin.create(bodies.outage(tenant.namespace, "outage"))
    assert_refused(answer, "only the operator", "clause 1", "FaultReport")


def test_an_outage_ends_once(tenant, outage):
    assert_done(tenant.operator.patch(outage, {"status": END}, "/status"))
    for change in ({"end": "2026-01-05T09:20:00Z"}, {"end": None}, {"ranOn": True}):
        answer = tenant.operator.patch(outage, {"status": change}, "/status")
        assert_refused(answer, "written once", "clause 1")


def test_an_outage_does_not_end_before_it_began(tenant, outage):
    answer = tenant.operator.patch(outage, {"status": {"end": "2026-01-05T08:59:59Z"}}, "/status")
    assert_refused(answer, "status.end", "clause 1")


@pytest.mark.parametrize(
    "spec",
    [{"managedVMRef": None}, {"instanceUUID": None}, {"managedVMRef": None, "instanceUUID": None}],
    ids=["no ManagedVM", "no VM", "neither, and yet powered off"],
)
def test_an_outage_names_its_vm(tenant, spec):
    answer = tenant.operator.create(bodies.outage(tenant.namespace, "op-outage", **spec))
    assert_refused(answer, "spec.instanceUUID", "clause 1")


def test_a_time_in_which_nothing_could_be_seen_concerns_all_vms_of_a_vcenter(tenant):
    nobody = {"managedVMRef": None, "instanceUUID": None, "order": None, "serviceLevel": None}
    body = bodies.outage(tenant.namespace, "op-not-measured", cause="NotMeasured", **nobody)
    assert_done(tenant.operator.create(body))
