"""Clause 1: a contract does not end unnoticed. A ManagedVM is deleted only after its protection was taken away."""

import pytest

from lab import wait_until
from tests.api.bodies import claim, managed_vm
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

PROTECTED = ("spec.deletionProtection", "clause 1", "Set deletionProtection to false first")


@pytest.mark.parametrize("role", ["provider", "pipeline", "cluster-admin"])
def test_a_protected_vm_is_not_deleted(tenant, vm, role):
    for query in ({}, {"dryRun": "All"}, {"propagationPolicy": "Foreground"}, {"gracePeriodSeconds": "0"}):
        assert_refused(tenant.client(role).delete(vm, **query), *PROTECTED)


def test_vms_are_not_deleted_all_at_once(tenant, vm):
    assert_refused(tenant.pipeline.delete_all(vm), *PROTECTED)
    assert_done(tenant.admin.read(vm))


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"deletionProtection": None}},
        [{"op": "remove", "path": "/spec/deletionProtection"}],
    ],
    ids=["null", "removed"],
)
def test_protection_does_not_go_by_leaving_it_out(tenant, vm, patch):
    assert_done(tenant.provider.patch(vm, patch))
    assert_refused(tenant.provider.delete(vm), *PROTECTED)


def test_a_vm_whose_protection_was_taken_away_is_deleted(tenant, vm):
    assert_done(tenant.provider.patch(vm, {"spec": {"deletionProtection": False}}))
    assert_done(tenant.provider.delete(vm))


def test_the_customer_deletes_no_vm(tenant, vm):
    assert_done(tenant.customer.patch(vm, {"spec": {"deletionProtection": False}}))
    assert_refused(tenant.customer.delete(vm), "cannot delete resource")


@pytest.mark.parametrize("protected", [True, False])
def test_the_customer_does_not_delete_a_vm_through_an_owner(tenant, vm, name, protected):
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": tenant.namespace},
    }
    made = tenant.admin.create(owner)
    assert_done(made)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made.metadata["uid"]}
    assert_done(tenant.customer.patch(vm, {"spec": {"deletionProtection": protected}}))
    answer = tenant.customer.patch(vm, {"metadata": {"ownerReferences": [reference]}})
    assert_refused(answer, "metadata.ownerReferences", "clause 1", "verb delete on managedvms")
    assert_done(tenant.provider.patch(vm, {"metadata": {"ownerReferences": [reference]}}))


def test_a_protected_vm_outlives_its_owner(tenant, vm, name):
    owner = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": tenant.namespace},
    }
    made = tenant.admin.create(owner)
    other = tenant.provider.create(managed_vm(tenant.namespace, f"{name}-free", deletionProtection=False))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": made.metadata["uid"]}
    for body in (vm, other.body):
        assert_done(tenant.provider.patch(body, {"metadata": {"ownerReferences": [reference]}}))
    assert_done(tenant.admin.delete(owner))
    # The unprotected one goes, which shows that the collector was there.
    wait_until(lambda: tenant.admin.read(other.body).code == 404, "garbage collection", seconds=60)
    assert_done(tenant.admin.read(vm))


def test_owners_of_a_vm_stay_changeable_for_who_may_delete_it(tenant, vm):
    assert_done(tenant.provider.patch(vm, {"metadata": {"ownerReferences": []}}))
    assert_done(tenant.customer.patch(vm, {"metadata": {"labels": {"team": "a"}}}))


HOLD = {"metadata": {"finalizers": ["example.com/hold"]}}


def test_a_customer_cannot_keep_a_vm_when_its_contract_ends(tenant, vm):
    refused = ("metadata.finalizers", "clause 1", "verb delete on managedvms")
    assert_refused(tenant.customer.patch(vm, HOLD), *refused)
    assert_done(tenant.provider.patch(vm, HOLD))
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    assert_refused(tenant.customer.patch(vm, more), *refused)
    assert_done(tenant.customer.patch(vm, {"metadata": {"labels": {"team": "a"}}}))
    assert_done(tenant.customer.patch(vm, {"spec": {"deletionProtection": False}}))
    assert_done(tenant.customer.patch(vm, {"metadata": {"finalizers": []}}))


def test_a_vm_is_not_made_with_a_finalizer_by_who_may_not_delete_it(tenant, name):
    user = f"maker-of-{name}"
    here = {"name": user, "namespace": tenant.namespace}
    rules = [
        {"apiGroups": ["managedvm.dev"], "resources": ["managedvms"], "verbs": ["create"]},
        {"apiGroups": ["managedvm.dev"], "resources": ["managedvms/order"], "verbs": ["update"]},
    ]
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": here, "rules": rules}
    reference = {"apiGroup": group, "kind": "Role", "name": user}
    subject = {"apiGroup": group, "kind": "User", "name": user}
    bound = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    del bound["rules"]
    for body in (role, bound):
        assert_done(tenant.admin.create(body))
    body = managed_vm(tenant.namespace, name)
    held = {**body, "metadata": {**body["metadata"], **HOLD["metadata"]}}
    maker = tenant.admin.impersonate(user)
    wait_until(lambda: maker.create(body, dryRun="All").ok, "the role to be known", seconds=20)
    assert_refused(maker.create(held, dryRun="All"), "metadata.finalizers", "clause 1")


def test_a_claim_is_made_and_released_by_the_operator_alone(tenant, name):
    body = claim(name, tenant.namespace)
    for role in ("customer", "requester", "technician", "provider", "archiver", "auditor"):
        assert_refused(tenant.client(role).create(body), "cannot create resource")
    assert_done(tenant.operator.create(body))
    assert tenant.operator.create(body).code == 409
    answer = tenant.admin.patch(body, {"spec": {"owner": {"name": "web-02"}}})
    assert_refused(answer, "spec", "a claim never changes", "clause 1", "made anew")
    assert_refused(tenant.provider.delete(body), "cannot delete resource")
    assert_done(tenant.operator.delete(body))
