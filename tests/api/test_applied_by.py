"""Clause 4: who applied a spec is what the API server says, and nobody else."""

import json

import pytest
import yaml

from lab import wait_until
from tests.api.bodies import change_request, managed_vm, work_entry
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

STAMP = "managedvm.dev/applied-by"
FORGED = {"metadata": {"annotations": {STAMP: "chef@kunde-a.example"}}}


@pytest.fixture
def provider_kubectl(kube, tenant):
    return kube.impersonate(tenant.user("provider"))


def stamp(answer):
    assert_done(answer)
    return answer.annotations[STAMP]


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {STAMP: "chef@kunde-a.example"}, {"a": "b"}],
    ids=["none", "empty", "forged", "other"],
)
def test_creation_is_stamped_with_who_created(tenant, name, annotations):
    body = managed_vm(tenant.namespace, name)
    if annotations is not None:
        body["metadata"]["annotations"] = annotations
    answer = tenant.provider.create(body)
    assert stamp(answer) == tenant.user("provider")
    assert set(answer.annotations) == {STAMP, *(annotations or {})}


def test_the_last_change_of_the_spec_counts(tenant, vm):
    assert stamp(tenant.customer.patch(vm, {"spec": {"suspend": True}})) == tenant.user("customer")
    assert stamp(tenant.provider.patch(vm, {"spec": {"suspend": False}})) == tenant.user("provider")


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {"team": "a"}}},
        {"metadata": {"annotations": {"note": "b"}}},
        {"metadata": {"annotations": {STAMP: None}}},
        {"metadata": {"annotations": None}},
        FORGED,
        [{"op": "remove", "path": "/metadata/annotations"}],
        [{"op": "replace", "path": "/metadata/annotations", "value": {STAMP: "chef@kunde-a.example"}}],
        [{"op": "replace", "path": "/metadata/annotations/managedvm.dev~1applied-by", "value": ""}],
    ],
    ids=["label", "note", "stamp null", "all null", "forged", "removed", "replaced", "emptied"],
)
def test_a_change_of_anything_else_leaves_the_stamp(tenant, vm, patch):
    assert stamp(tenant.customer.patch(vm, patch)) == tenant.user("provider")


@pytest.mark.parametrize("form", ["merge", "put", "apply", "forced apply"])
def test_the_stamp_is_not_forged_together_with_a_real_change(tenant, vm, form):
    wanted = {**vm, "spec": {**vm["spec"], "suspend": True}}
    wanted["metadata"] = {**vm["metadata"], "annotations": {STAMP: "chef@kunde-a.example"}}
    match form:
        case "merge":
            answer = tenant.customer.patch(vm, {"spec": {"suspend": True}, **FORGED})
        case "put":
            answer = tenant.customer.replace(wanted)
        case _:
            wanted["metadata"] = {
                key: value
                for key, value in wanted["metadata"].items()
                if key in {"name", "namespace", "annotations"}
            }
            answer = tenant.customer.apply(wanted, force=True)
    assert stamp(answer) == tenant.user("customer")


def test_the_stamp_is_not_forged_through_the_status(tenant, vm):
    answer = tenant.operator.patch(vm, {**FORGED, "status": {"observedGeneration": 1}}, "/status")
    assert stamp(answer) == tenant.user("provider")


def test_records_are_stamped_with_who_wrote_them(tenant, name):
    asked = change_request(tenant.namespace, name, "chef@kunde-a.example")
    asked["metadata"]["annotations"] = {STAMP: "chef@kunde-a.example"}
    assert stamp(tenant.technician.create(asked)) == tenant.user("technician")
    done = work_entry(tenant.namespace, name, "colleague@provider.example")
    assert stamp(tenant.technician.create(done)) == tenant.user("technician")


def seen_by_the_operator(tenant, body):
    """Write a status as the operator does at once: until then the defaults of the status are not stored."""
    answer = tenant.operator.patch(body, {"status": {"observedGeneration": 1}}, "/status")
    assert_done(answer)
    return answer


def test_applying_again_on_the_server_writes_nothing(tenant, name):
    body = managed_vm(tenant.namespace, name)
    assert_done(tenant.provider.apply(body))
    first = seen_by_the_operator(tenant, body)
    again = tenant.provider.apply(body)
    assert stamp(again) == tenant.user("provider")
    assert again.version == first.version


def test_applying_on_the_server_does_not_put_the_applier_there_when_nothing_changed(tenant, name):
    body = managed_vm(tenant.namespace, name)
    assert_done(tenant.provider.apply(body))
    answer = tenant.admin.apply(body, manager="somebody-else")
    assert stamp(answer) == tenant.user("provider")


@pytest.mark.parametrize("how", [[], ["--server-side"]], ids=["client-side", "server-side"])
def test_kubectl_apply_again_changes_nothing_and_diff_is_empty(provider_kubectl, tenant, name, tmp_path, how):
    body = managed_vm(tenant.namespace, name)
    file = tmp_path / "vm.yaml"
    file.write_text(yaml.safe_dump(body))
    provider_kubectl.run("apply", *how, f"--filename={file}")
    before = seen_by_the_operator(tenant, body)
    assert stamp(before) == tenant.user("provider")
    assert provider_kubectl.run("diff", *how, f"--filename={file}").stdout == ""
    provider_kubectl.run("apply", *how, f"--filename={file}")
    assert tenant.admin.read(body).version == before.version


def test_a_diff_as_somebody_else_is_empty_too(kube, provider_kubectl, tenant, name):
    body = managed_vm(tenant.namespace, name)
    provider_kubectl.run("apply", "--filename=-", stdin=json.dumps(body))
    other = kube.impersonate(tenant.user("customer"))
    assert other.run("diff", "--filename=-", stdin=json.dumps(body)).stdout == ""


def test_replacing_with_kubectl_keeps_the_stamp(kube, tenant, name):
    body = managed_vm(tenant.namespace, name)
    assert_done(tenant.provider.create(body))
    kube.impersonate(tenant.user("customer")).replace(body)
    assert stamp(tenant.admin.read(body)) == tenant.user("provider")


@pytest.fixture
def unstamped(admin, tenant, name):
    """A VM that is older than the stamp: made while the mutating policy was not bound."""
    binding = {"kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "managedvm-applied-by"}}
    kept = admin.read(binding).body
    body = managed_vm(tenant.namespace, name, deletionProtection=False)
    assert_done(admin.delete(binding))
    try:
        made = _until(
            lambda: tenant.provider.create(body), lambda answer: STAMP not in _notes(answer), admin, body
        )
        refused = [
            tenant.provider.patch(body, FORGED),
            tenant.provider.patch(body, {"spec": {"suspend": True}, **FORGED}),
        ]
    finally:
        metadata = {"name": "managedvm-applied-by", "labels": kept["metadata"].get("labels", {})}
        assert_done(admin.create({**kept, "metadata": metadata}))
        probe = managed_vm(tenant.namespace, f"{name}-probe")
        _until(lambda: admin.create(probe, dryRun="All"), lambda answer: STAMP in _notes(answer), admin, None)
    for answer in refused:
        assert_refused(answer, "metadata.annotations[managedvm.dev/applied-by]", "clause 4", "leave it out")
    return made.body


def _notes(answer):
    assert_done(answer)
    return answer.metadata.get("annotations", {})


def _until(attempt, fits, admin, made):
    """Repeat until the API server has learnt of a binding; what was made too early is taken away again."""

    def tried():
        answer = attempt()
        if fits(answer):
            return answer
        if made is not None:
            assert_done(admin.delete(made))
        return None

    return wait_until(tried, "the API server to learn of the binding", seconds=30)


def test_who_labels_an_object_older_than_the_stamp_has_not_ordered_it(tenant, unstamped):
    answer = tenant.customer.patch(unstamped, {"metadata": {"labels": {"team": "a"}}})
    assert_done(answer)
    assert STAMP not in answer.metadata.get("annotations", {})


def test_a_name_cannot_be_put_on_an_object_older_than_the_stamp(tenant, unstamped):
    answer = tenant.customer.patch(unstamped, FORGED)
    assert_done(answer)
    assert STAMP not in answer.metadata.get("annotations", {})
    assert stamp(tenant.customer.patch(unstamped, {"spec": {"suspend": True}})) == tenant.user("customer")
