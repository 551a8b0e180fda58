"""A rule that becomes stricter locks nothing that stands: policies look at what a request changes, not at what is."""

import pytest

from lab import wait_until
from tests.api.bodies import managed_vm, order, service_level
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

MANDATORY = {"spec": {"servicePackage": "Mandatory"}}


@pytest.fixture
def level(tenant, name):
    """A level of this test alone, which leaves the package to the customer."""
    answer = tenant.provider.create(service_level(f"{name}-{tenant.namespace}"))
    assert_done(answer)
    yield answer.body
    tenant.provider.delete(answer.body)


@pytest.fixture
def locked_in(tenant, name, level):
    """A VM without a package whose level has become one that needs it, and has a finalizer of somebody."""
    orders = [order(level=level["metadata"]["name"])]
    body = managed_vm(tenant.namespace, name, orders=orders)
    body["metadata"]["finalizers"] = ["example.com/hold"]
    made = tenant.provider.create(body)
    assert_done(made)
    assert_done(tenant.provider.patch(level, MANDATORY))
    probe = managed_vm(tenant.namespace, f"{name}-probe", orders=orders)
    wait_until(
        lambda: "needs a managed service package" in tenant.provider.create(probe, dryRun="All").message,
        "the policy to see the level",
        seconds=30,
    )
    return made.body


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {"team": "a"}}},
        {"metadata": {"annotations": {"note": "b"}}},
        {"metadata": {"finalizers": []}},
        {"spec": {"suspend": True}},
        {"spec": {"deletionProtection": False}},
    ],
    ids=["label", "annotation", "finalizer", "suspend", "protection"],
)
def test_a_level_that_becomes_mandatory_locks_nothing(tenant, locked_in, patch):
    assert_done(tenant.provider.patch(locked_in, patch))


def test_a_level_that_becomes_mandatory_locks_no_status(tenant, locked_in):
    assert_done(tenant.operator.patch(locked_in, {"status": {"observedGeneration": 1}}, "/status"))


def test_such_a_vm_can_still_be_ended_and_deleted(tenant, locked_in):
    ended = [{**locked_in["spec"]["orders"][0], "until": "2026-06-01T00:00:00Z"}]
    patch = {"spec": {"orders": ended, "deletionProtection": False}, "metadata": {"finalizers": []}}
    assert_done(tenant.provider.patch(locked_in, patch))
    assert_done(tenant.provider.delete(locked_in))


def test_the_next_order_of_such_a_vm_needs_the_package(tenant, locked_in, level):
    ended = {**locked_in["spec"]["orders"][0], "until": "2026-06-01T00:00:00Z"}
    following = order("A-2", level["metadata"]["name"]) | {"from": "2026-06-01T00:00:00Z"}
    answer = tenant.provider.patch(locked_in, {"spec": {"orders": [ended, following]}})
    assert_refused(answer, "spec.orders[A-2].servicePackage", "clause 1", "set it to Basic or Advanced")
    packaged = {**following, "servicePackage": "Basic"}
    assert_done(tenant.provider.patch(locked_in, {"spec": {"orders": [ended, packaged]}}))


def test_a_level_is_data_for_the_policy(tenant, name, level):
    orders = [order(level=level["metadata"]["name"])]
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders)))


def test_a_customer_that_loses_a_namespace_locks_nothing(tenant, name):
    made = tenant.provider.create(managed_vm(tenant.namespace, name))
    here = {"kind": "Customer", "metadata": {"name": tenant.namespace}}
    assert_done(tenant.admin.patch(here, {"spec": {"namespaces": [f"{name}-elsewhere"]}}))
    try:
        wait_until(
            lambda: not tenant.provider.create(managed_vm(tenant.namespace, f"{name}-b"), dryRun="All").ok,
            "the policy to see the customer",
            seconds=30,
        )
        patch = {"metadata": {"labels": {"team": "a"}}, "spec": {"suspend": True}}
        assert_done(tenant.provider.patch(made.body, patch))
    finally:
        assert_done(tenant.admin.patch(here, {"spec": {"namespaces": [tenant.namespace]}}))
        wait_until(
            lambda: tenant.provider.create(managed_vm(tenant.namespace, f"{name}-b"), dryRun="All").ok,
            "the policy to see the customer again",
            seconds=30,
        )


def test_a_dry_run_refuses_and_accepts_as_the_real_thing_does(tenant, name):
    bare = managed_vm(tenant.namespace, name, orders=[order(level="premium")])
    packaged = managed_vm(tenant.namespace, name, orders=[order(level="premium", servicePackage="Basic")])
    assert_refused(tenant.provider.create(bare, dryRun="All"), "spec.orders[A-1].servicePackage", "clause 1")
    assert_done(tenant.provider.create(packaged, dryRun="All"))
    assert tenant.provider.read(packaged).code == 404
