"""Catalogue and samples are accepted by the API server that enforces the contract, from the role that applies them."""

from pathlib import Path

import pytest
import yaml

from managedvm.api.kinds import KINDS
from tests.api.server import assert_done

pytestmark = pytest.mark.lab

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACED = {kind.KIND.kind for kind in KINDS if kind.KIND.scope == "Namespaced"}
OURS = {kind.KIND.kind for kind in KINDS}
OBJECTS = [
    body
    for folder in ("catalogue", "samples")
    for path in sorted((MANIFESTS / folder).glob("*.yaml"))
    for body in yaml.safe_load_all(path.read_text())
    if body["kind"] in OURS
]


def test_there_are_samples_of_vms():
    assert [body for body in OBJECTS if body["kind"] == "ManagedVM"]


@pytest.mark.parametrize("body", OBJECTS, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_the_provider_may_apply_it(tenant, body):
    # In the namespace and for the customer of this test: those of the samples need not exist here.
    if body["kind"] in NAMESPACED:
        body = {**body, "metadata": {**body["metadata"], "namespace": tenant.namespace}}
    if body["kind"] == "ManagedVM":
        body = {**body, "spec": {**body["spec"], "customerRef": {"name": tenant.namespace}}}
    assert_done(tenant.provider.apply(body, force=True, dryRun="All", fieldValidation="Strict"))
