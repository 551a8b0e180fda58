"""Clause 1: what was ordered, and what was in force when, is refused or kept by the API server itself."""

import pytest

from tests.api.bodies import managed_vm, order
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

ENDED = order("A-1", until="2026-06-01T00:00:00Z")
NEXT = order("A-2", "professional", servicePackage="Advanced") | {"from": "2026-06-01T00:00:00Z"}


@pytest.mark.parametrize("level", ["professional", "premium"])
def test_a_level_that_needs_a_package_is_refused_without_one(tenant, name, level):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=[order("A-117", level)]))
    assert_refused(
        answer, "spec.orders[A-117].servicePackage", level, "clause 1", "set it to Basic or Advanced"
    )


@pytest.mark.parametrize("package", ["Basic", "Advanced"])
@pytest.mark.parametrize("level", ["professional", "premium"])
def test_a_level_that_needs_a_package_is_accepted_with_one(tenant, name, level, package):
    orders = [order(level=level, servicePackage=package)]
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders)))


@pytest.mark.parametrize("level", ["basic", "standard"])
def test_a_level_that_leaves_the_choice_is_accepted_without_a_package(tenant, name, level):
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, orders=[order(level=level)])))


def test_an_order_added_later_needs_its_package_too(tenant, vm):
    bare = {key: value for key, value in NEXT.items() if key != "servicePackage"}
    answer = tenant.provider.patch(vm, {"spec": {"orders": [ENDED, bare]}})
    assert_refused(answer, "spec.orders[A-2].servicePackage", "clause 1", "set it to Basic or Advanced")
    assert_done(tenant.provider.patch(vm, {"spec": {"orders": [ENDED, NEXT]}}))


def test_a_package_that_does_not_exist_is_refused(tenant, name):
    orders = [order(level="premium", servicePackage="Gold")]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    assert_refused(answer, "spec.orders[0].servicePackage", "clause 2", "write Basic or Advanced")


@pytest.mark.parametrize("package", ["basic", "ADVANCED", "Basic ", ""])
def test_a_package_in_another_spelling_is_no_package(tenant, name, package):
    orders = [order(level="premium", servicePackage=package)]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    assert_refused(answer, "spec.orders[0].servicePackage", "clause 2", "write Basic or Advanced")


def test_a_package_of_null_is_none(tenant, name):
    orders = [order(level="premium") | {"servicePackage": None}]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    assert_refused(answer, "servicePackage")


def test_orders_that_overlap_are_refused(tenant, name):
    late = NEXT | {"from": "2026-05-31T23:59:59Z"}
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=[ENDED, late]))
    assert_refused(
        answer, "spec.orders", "clause 1", "set `until` of the earlier order to the `from` of the later one"
    )


def test_an_order_without_an_end_leaves_no_room_for_another(tenant, name):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=[order("A-1"), NEXT]))
    assert_refused(answer, "spec.orders", "clause 1", "set `until` of the earlier order")


def test_orders_that_meet_in_one_instant_are_accepted(tenant, name):
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, orders=[NEXT, ENDED])))


def test_an_overlap_is_not_hidden_by_another_offset_from_utc(tenant, name):
    late = NEXT | {"from": "2026-06-01T01:59:59+02:00"}
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=[ENDED, late]))
    assert_refused(answer, "spec.orders", "clause 1")


def test_an_order_that_ends_before_it_begins_is_refused(tenant, name):
    orders = [order(until="2025-12-31T00:00:00Z")]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    assert_refused(answer, "spec.orders[0]", "clause 1", "until must be later than from")


@pytest.mark.parametrize(
    "edit",
    [
        {"serviceLevel": "basic"},
        {"servicePackage": "Basic"},
        {"from": "2025-01-01T00:00:00Z"},
    ],
    ids=["level", "package", "from"],
)
def test_an_order_is_never_edited(tenant, vm, edit):
    answer = tenant.provider.patch(vm, {"spec": {"orders": [order() | edit]}})
    assert_refused(answer, "spec.orders", "clause 1", "end the order by `until` and add a new one")


def test_a_package_is_not_taken_from_an_order(tenant, name):
    orders = [order(servicePackage="Basic")]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    answer = tenant.provider.patch(answer.body, {"spec": {"orders": [order()]}})
    assert_refused(answer, "spec.orders", "clause 1", "end the order by `until`")


@pytest.mark.parametrize("orders", [[NEXT], [order("A-1a")]], ids=["replaced", "renamed"])
def test_an_order_is_never_removed(tenant, vm, orders):
    answer = tenant.provider.patch(vm, {"spec": {"orders": orders}})
    assert_refused(
        answer, "spec.orders", "an order is never removed", "clause 1", "set its `until` to end it"
    )


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"orders": []}},
        {"spec": {"orders": None}},
        [{"op": "remove", "path": "/spec/orders"}],
        [{"op": "remove", "path": "/spec/orders/0"}],
    ],
    ids=["emptied", "null", "removed", "last removed"],
)
def test_there_is_always_an_order(tenant, vm, patch):
    assert_refused(tenant.provider.patch(vm, patch), "spec.orders")


def test_an_order_is_ended_once(tenant, vm):
    assert_done(tenant.provider.patch(vm, {"spec": {"orders": [ENDED]}}))
    for until in ("2026-07-01T00:00:00Z", "2026-05-01T00:00:00Z", None):
        answer = tenant.provider.patch(vm, {"spec": {"orders": [ENDED | {"until": until}]}})
        assert_refused(answer, "spec.orders", "`until` once set never change", "clause 1", "add a new one")


def test_an_order_stays_the_same_when_another_comes_first_in_the_list(tenant, vm):
    assert_done(tenant.provider.patch(vm, {"spec": {"orders": [NEXT, ENDED]}}))


def test_a_reference_names_one_order_only(tenant, name):
    orders = [ENDED, NEXT | {"reference": "A-1"}]
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=orders))
    assert_refused(answer, "spec.orders[1]", "Duplicate")


@pytest.mark.parametrize("orders", [[ENDED], [ENDED, NEXT]], ids=["ended", "added"])
def test_the_customer_does_not_write_orders(tenant, vm, orders):
    answer = tenant.customer.patch(vm, {"spec": {"orders": orders}})
    assert_refused(answer, "spec.orders", "clause 1", "update on managedvms/order", "through the helpdesk")


def test_the_customer_does_not_agree_a_window_with_itself(tenant, vm):
    agreed = {"timeZone": "UTC", "agreedBy": "me", "agreedAt": "2026-01-01T00:00:00Z"}
    agreed["windows"] = [{"days": ["Mon"], "start": "00:00", "end": "00:00"}]
    patch = {"spec": {"maintenance": {"agreed": agreed}}}
    assert_refused(
        tenant.customer.patch(vm, patch), "spec.maintenance", "clause 1", "update on managedvms/order"
    )
    assert_done(tenant.provider.patch(vm, patch))


def test_the_customer_creates_no_managed_vm_by_any_verb(tenant, name):
    body = managed_vm(tenant.namespace, name)
    for answer in (tenant.customer.create(body), tenant.customer.apply(body, force=True)):
        assert_refused(answer, "cannot create resource")
    assert tenant.customer.replace(body).code == 404


def test_a_namespace_names_its_own_customer_only(tenant, neighbour, name):
    foreign = managed_vm(tenant.namespace, name, customerRef={"name": neighbour.namespace})
    answer = tenant.provider.create(foreign)
    assert_refused(answer, "spec.customerRef.name", "clause 1", "use a namespace out of its spec.namespaces")
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name)))


def test_the_customer_of_a_vm_never_changes(tenant, neighbour, vm):
    answer = tenant.provider.patch(vm, {"spec": {"customerRef": {"name": neighbour.namespace}}})
    assert_refused(answer, "spec.customerRef", "clause 1", "make a new ManagedVM")


def test_a_customer_that_is_not_there_yet_is_the_operators_to_refuse(tenant, name):
    body = managed_vm(tenant.namespace, name, customerRef={"name": "comes-later"})
    assert_done(tenant.provider.create(body))
