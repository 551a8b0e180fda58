"""The API server with our kinds, policies, roles and catalogue, and tenants in it. No vCenter: nothing acts here."""

import itertools
import secrets
from pathlib import Path

import pytest

from lab import wait_until
from tests.api.bodies import managed_vm, order
from tests.api.server import assert_done, connect
from tests.api.tenancy import clear, settle

OVERLAY = Path(__file__).parents[2] / "manifests" / "overlays" / "lab"


@pytest.fixture(scope="session")
def kube(kube):
    """kubectl as the administrator, where the policies of this tree are installed: a lab that ran may have older ones."""
    kube.run("apply", "--server-side", "--force-conflicts", f"--kustomize={OVERLAY}")
    return kube


@pytest.fixture(scope="session")
def admin(kube):
    """The API server as its administrator, once it enforces what was just installed."""
    client = connect(kube.kubeconfig)
    _policies_are_in_force(client)
    canary = managed_vm("default", "canary", orders=[order(level="premium")])
    wait_until(
        lambda: "needs a managed service package" in client.create(canary, dryRun="All").message,
        "the levels to be seen by the policy",
        seconds=60,
    )
    return client


def _policies_are_in_force(client):
    """Return when the API server has taken up all policies: it does so at once, about every second.

    A policy and a binding that are written last show it: what was written before them is in force with them.
    """
    token = f"in-force-{secrets.token_hex(4)}"
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": token, "namespace": "default"}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    matches = {"resourceRules": [{**rule, "resourceNames": [token]}]}
    written = [
        _policy(
            "ValidatingAdmissionPolicy",
            token,
            matchConstraints=matches,
            validations=[{"expression": "false"}],
        ),
        _policy("ValidatingAdmissionPolicyBinding", token, policyName=token, validationActions=["Deny"]),
    ]
    for body in written:
        assert_done(client.create(body))
    wait_until(lambda: not client.create(probe, dryRun="All").ok, "the policies to be in force", seconds=60)
    for body in reversed(written):
        assert_done(client.delete(body))


def _policy(kind, name, **spec):
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture(scope="session")
def tenant(admin):
    """The customer that most tests are about."""
    one = settle(admin, f"kunde-{secrets.token_hex(4)}")
    yield one
    clear(one)


@pytest.fixture(scope="session")
def neighbour(admin):
    """Another customer."""
    other = settle(admin, f"nachbar-{secrets.token_hex(4)}")
    yield other
    clear(other)


@pytest.fixture(scope="session")
def _names():
    session = secrets.token_hex(2)
    return (f"web-{session}-{number:04d}" for number in itertools.count())


@pytest.fixture
def name(_names):
    """A name that no other test has, nor a test of an earlier session in the same lab."""
    return next(_names)


@pytest.fixture
def vm(tenant, name):
    """A ManagedVM that is there, as the provider made it."""
    answer = tenant.provider.create(managed_vm(tenant.namespace, name))
    assert_done(answer)
    return answer.body
