"""The policies as the API server understands them: type-checked against the kinds, bound, and failing closed."""

import pytest

from lab import wait_until
from managedvm.api.kinds import KINDS
from managedvm.api.policies import VALIDATING
from tests.api.policies import mutating_bindings, policies
from tests.api.server import assert_done

pytestmark = pytest.mark.lab


def _status(admin, name):
    body = admin.read({"kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}}).body
    status = body.get("status", {})
    seen = status.get("observedGeneration") == body["metadata"]["generation"]
    return status if seen and "typeChecking" in status else None


def test_the_api_server_does_check_types(admin, name):
    # Otherwise the silence of the next test would mean nothing.
    rule = {"apiGroups": ["managedvm.dev"], "apiVersions": ["v1alpha1"], "operations": ["CREATE"]}
    probe = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": f"wrong-{name}"},
        "spec": {
            "matchConstraints": {"resourceRules": [{**rule, "resources": ["managedvms"]}]},
            "validations": [{"expression": "object.spec.nosuchfield == 3"}],
        },
    }
    assert_done(admin.create(probe))
    try:
        status = wait_until(lambda: _status(admin, f"wrong-{name}"), "the type check", seconds=60)
    finally:
        assert_done(admin.delete(probe))
    assert "undefined field 'nosuchfield'" in str(status["typeChecking"]["expressionWarnings"])


@pytest.mark.parametrize("name", [policy["metadata"]["name"] for policy in policies(VALIDATING)])
def test_no_policy_has_a_type_error(admin, name):
    status = wait_until(lambda: _status(admin, name), f"the type check of {name}", seconds=60)
    assert status["typeChecking"].get("expressionWarnings", []) == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_every_kind_is_served_as_a_structural_schema_that_the_server_does_not_fault(admin, kind):
    name = f"{kind.KIND.plural}.managedvm.dev"
    body = admin.read({"kind": "CustomResourceDefinition", "metadata": {"name": name}}).body
    conditions = {condition["type"]: condition["status"] for condition in body["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_every_binding_of_the_tree_is_installed(admin):
    for kind in ("ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicyBinding"):
        installed = {body["metadata"]["name"] for body in admin.list({"kind": kind})}
        wanted = {body["metadata"]["name"] for body in policies(kind)}
        assert wanted <= installed
    assert mutating_bindings() == ["managedvm-applied-by"]
