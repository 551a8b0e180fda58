"""Clause 4: what is billed stays documented. Neither the Namespace nor the CRD is the way round a record."""

import pytest

from lab import wait_until
from managedvm.api.kinds import KINDS
from tests.api.bodies import change_request, contacts, customer, managed_vm, price_list, requester
from tests.api.server import assert_done, assert_refused
from tests.api.tenancy import namespace, settle

pytestmark = pytest.mark.lab

HOLDS_RECORDS = ("managedvm.dev/ledger", "clause 4", "export and prune them first", "verb prune")


@pytest.fixture
def short_lived(admin, name, tenant):
    """A tenant that a test may end."""
    return settle(admin, f"{name}-{tenant.namespace}")


def crd(plural, kind, group="managedvm.dev"):
    """Return a kind of that group which holds nothing."""
    schema = {"openAPIV3Schema": {"type": "object"}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def test_a_namespace_that_is_a_ledger_is_not_deleted(tenant):
    here = namespace(tenant.namespace)
    for query in ({}, {"dryRun": "All"}, {"propagationPolicy": "Orphan"}):
        assert_refused(tenant.pipeline.delete(here, **query), *HOLDS_RECORDS)
    assert tenant.admin.read(here).body["status"]["phase"] == "Active"


@pytest.mark.parametrize(
    ("subresource", "form"),
    [
        *((subresource, form) for subresource in ("", "/status") for form in ("label", "labels", "put")),
        ("/finalize", "put"),
    ],
)
def test_a_namespace_does_not_stop_being_a_ledger(tenant, subresource, form):
    here = namespace(tenant.namespace)
    now = tenant.admin.read(here).body
    label = {"metadata": {"labels": {"managedvm.dev/ledger": None}}}
    bare = {key: value for key, value in now["metadata"].items() if key != "labels"}
    match form:
        case "put":
            answer = tenant.pipeline.replace({**now, "metadata": bare}, subresource)
        case "labels":
            answer = tenant.pipeline.patch(here, {"metadata": {"labels": None}}, subresource)
        case _:
            answer = tenant.pipeline.patch(here, label, subresource)
    assert_refused(answer, *HOLDS_RECORDS)


def test_other_labels_of_a_ledger_change(tenant):
    here = namespace(tenant.namespace)
    assert_done(
        tenant.pipeline.patch(here, {"metadata": {"labels": {"team": "a", "managedvm.dev/ledger": "yes"}}})
    )


def test_a_namespace_that_is_no_ledger_is_deleted(tenant, name):
    for labels in ({}, {"Ledger": "true"}):
        place = namespace(f"{name}-{tenant.namespace}-{len(labels)}", **labels)
        assert_done(tenant.pipeline.create(place))
        assert_done(tenant.pipeline.delete(place))


def test_a_namespace_becomes_a_ledger_when_it_is_labelled(tenant, name):
    place = namespace(f"{name}-{tenant.namespace}")
    assert_done(tenant.pipeline.create(place))
    assert_done(tenant.pipeline.patch(place, {"metadata": {"labels": {"managedvm.dev/ledger": "true"}}}))
    assert_refused(tenant.pipeline.delete(place), *HOLDS_RECORDS)
    assert_done(tenant.admin.delete(place))


def test_an_administrator_may_end_a_ledger_but_its_records_keep_it_until_they_are_pruned(short_lived):
    here = namespace(short_lived.namespace)
    record = short_lived.technician.create(change_request(short_lived.namespace, "kept", "chef@x"))
    assert_done(record)
    people = contacts(short_lived.namespace, requester("a@x"))
    assert_done(short_lived.customer.create(people))
    assert_done(short_lived.admin.delete(here))
    # The contacts go with the Namespace, the record does not: the controller that clears Namespaces may not prune.
    wait_until(lambda: short_lived.admin.read(people).code == 404, "the contacts to go", seconds=30)
    wait_until(lambda: _refused_content(short_lived), "the Namespace to say what it waits for", seconds=60)
    assert_done(short_lived.admin.read(record.body))
    assert_done(short_lived.archiver.delete(record.body))
    wait_until(lambda: short_lived.admin.read(here).code == 404, "the Namespace to go", seconds=60)


def _refused_content(tenant):
    status = tenant.admin.read(namespace(tenant.namespace)).body["status"]
    return any(
        "a record is not deleted" in condition["message"] for condition in status.get("conditions", [])
    )


def test_a_protected_vm_keeps_a_namespace_that_is_no_ledger(admin, tenant, name):
    place = f"{name}-{tenant.namespace}"
    assert_done(admin.create(namespace(place)))
    vm = admin.create(managed_vm(place, "web-01", customerRef={"name": "comes-later"}))
    assert_done(vm)
    assert_done(admin.delete(namespace(place)))
    wait_until(
        lambda: "deletionProtection" in str(admin.read(namespace(place)).body["status"]),
        "the Namespace to say what it waits for",
        seconds=60,
    )
    assert_done(admin.read(vm.body))
    assert_done(admin.patch(vm.body, {"spec": {"deletionProtection": False}}))
    wait_until(lambda: admin.read(namespace(place)).code == 404, "the Namespace to go", seconds=60)


@pytest.mark.parametrize("plural", [kind.KIND.plural for kind in KINDS])
def test_a_crd_of_ours_is_not_deleted(tenant, plural):
    ours = {"kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.managedvm.dev"}}
    for query in ({}, {"propagationPolicy": "Orphan"}):
        answer = tenant.pipeline.delete(ours, **query)
        assert_refused(
            answer, "CRD", "clause 4", "export and prune them first", "verb prune in all namespaces"
        )
    assert "deletionTimestamp" not in tenant.admin.read(ours).metadata


def test_crds_of_ours_are_not_deleted_all_at_once(tenant):
    every = {"kind": "CustomResourceDefinition"}
    query = {"labelSelector": "app.kubernetes.io/part-of=managedvm"}
    answer = tenant.pipeline.delete_all(every, **query)
    assert_refused(answer, "CRD", "clause 4", "export and prune them first")
    assert len(tenant.admin.list(every, **query)) == len(KINDS)


def test_whoever_may_prune_everything_may_delete_a_crd(tenant, name):
    # An empty kind of our group stands for ours: deleting one of those would take the other tests' objects away.
    probe = crd(f"probes{name.replace('-', '')}", f"Probe{name.replace('-', '')}")
    assert_done(tenant.admin.create(probe))
    assert_refused(tenant.pipeline.delete(probe), "clause 4", "verb prune in all namespaces")
    assert_done(tenant.admin.delete(probe))


def test_a_crd_of_somebody_else_is_not_ours_to_protect(tenant, name):
    plural = f"things{name.replace('-', '')}"
    other = crd(plural, plural.title(), f"{tenant.namespace}.example.com")
    assert_done(tenant.pipeline.create(other))
    assert_done(tenant.pipeline.delete(other))


@pytest.mark.parametrize("role", ["provider", "pipeline"])
@pytest.mark.parametrize("kind", ["customers", "customercontacts", "pricelists"])
def test_what_bills_are_explained_by_is_not_deleted(tenant, name, kind, role):
    body = _agreement(tenant, name, kind)
    answer = tenant.client(role).delete(body)
    assert_refused(answer, kind, "clause 4", "end its entries instead", "verb prune")
    assert_done(tenant.admin.read(body))
    assert_done(tenant.archiver.delete(body))


def _agreement(tenant, name, kind):
    match kind:
        case "customers":
            body = customer(f"{name}-{tenant.namespace}", "nowhere")
        case "pricelists":
            body = price_list(f"{name}-{tenant.namespace}")
        case _:
            body = contacts(tenant.namespace, requester("a@x"))
    assert_done(tenant.provider.create(body))
    return body
