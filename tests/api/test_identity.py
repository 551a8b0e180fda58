"""Clause 1: a package serves its own VM. Which VM that is never changes, and its secrets are its own namespace's."""

import pytest

from tests.api.bodies import INSTANCE_UUID, managed_vm
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

BY_UUID = {"vCenterRef": {"name": "nowhere"}, "instanceUUID": INSTANCE_UUID}


@pytest.fixture
def vm_by_uuid(tenant, name):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, vm=BY_UUID))
    assert_done(answer)
    return answer.body


@pytest.mark.parametrize("role", ["customer", "provider", "cluster-admin"])
@pytest.mark.parametrize(
    "edit",
    [
        {"inventoryPath": "/Berlin/vm/other/web-01"},
        {"vCenterRef": {"name": "elsewhere"}},
        {"origin": "Provisioned"},
        {"inventoryPath": None, "instanceUUID": INSTANCE_UUID},
    ],
    ids=["path", "vCenter", "origin", "path to uuid"],
)
def test_the_identity_of_a_vm_never_changes(tenant, vm, role, edit):
    answer = tenant.client(role).patch(vm, {"spec": {"vm": edit}})
    assert_refused(answer, "spec.vm", "never changes", "clause 1", "make a new ManagedVM")


def test_the_uuid_of_a_vm_never_changes(tenant, vm_by_uuid):
    edit = {"instanceUUID": INSTANCE_UUID.replace("2", "3")}
    answer = tenant.provider.patch(vm_by_uuid, {"spec": {"vm": edit}})
    assert_refused(answer, "spec.vm", "clause 1", "make a new ManagedVM")


@pytest.mark.parametrize("path", ["/spec/vm", "/spec/vm/vCenterRef", "/spec/vm/inventoryPath"])
def test_the_identity_is_not_removed(tenant, vm, path):
    answer = tenant.provider.patch(vm, [{"op": "remove", "path": path}])
    assert_refused(answer, "spec.vm")


def test_the_identity_is_not_removed_by_replacing_the_object(tenant, vm):
    spec = {key: value for key, value in vm["spec"].items() if key != "vm"}
    assert_refused(tenant.provider.replace({**vm, "spec": spec}), "spec.vm", "Required")


def test_everything_else_about_a_vm_may_change(tenant, vm):
    assert_done(tenant.customer.patch(vm, {"spec": {"mode": "Observe", "restartPolicy": "InWindow"}}))


@pytest.mark.parametrize(
    "identity",
    [
        {"vCenterRef": {"name": "nowhere"}},
        {"vCenterRef": {"name": "nowhere"}, "inventoryPath": "/a/b", "instanceUUID": INSTANCE_UUID},
    ],
    ids=["neither", "both"],
)
def test_a_vm_is_named_in_exactly_one_way(tenant, name, identity):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, vm=identity))
    assert_refused(answer, "spec.vm", "exactly one of inventoryPath and instanceUUID", "clause 1")


@pytest.mark.parametrize("tail", ["..", "../kunde-b/web-01", "./web-01", "a/../../kunde-b/web-01"])
def test_a_path_never_climbs(tenant, name, tail):
    identity = {"vCenterRef": {"name": "nowhere"}, "inventoryPath": f"/Berlin/vm/kunde-a/{tail}"}
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, vm=identity))
    assert_refused(answer, "spec.vm.inventoryPath", "clause 1", "write it without . and ..")


def test_a_path_may_hold_dots_in_its_names(tenant, name):
    identity = {"vCenterRef": {"name": "nowhere"}, "inventoryPath": "/Berlin/vm/kunde-a/web..01/.hidden/x."}
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, vm=identity)))


def test_a_secret_of_another_namespace_is_refused(tenant, neighbour, name):
    guest = {"credentialsSecretRef": {"name": "guest", "namespace": neighbour.namespace}}
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, guest=guest))
    assert_refused(answer, "spec.guest.credentialsSecretRef", "namespace", "clause 1", "remove it")


def test_a_customer_cannot_point_at_a_secret_of_another_namespace_later(tenant, neighbour, vm):
    guest = {"credentialsSecretRef": {"name": "guest", "namespace": neighbour.namespace}}
    answer = tenant.customer.patch(vm, {"spec": {"guest": guest}})
    assert_refused(answer, "spec.guest.credentialsSecretRef", "namespace", "clause 1", "remove it")
    assert_done(tenant.customer.patch(vm, {"spec": {"guest": {"credentialsSecretRef": {"name": "guest"}}}}))


@pytest.mark.parametrize("name_of_secret", ["other/guest", "../guest", "Guest", ""])
def test_the_name_of_a_secret_is_a_name(tenant, vm, name_of_secret):
    answer = tenant.customer.patch(
        vm, {"spec": {"guest": {"credentialsSecretRef": {"name": name_of_secret}}}}
    )
    assert_refused(answer, "spec.guest.credentialsSecretRef.name")
