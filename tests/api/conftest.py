"""The API server with our kinds, policies, roles and catalogue, and tenants in it. No vCenter: nothing acts here."""

import itertools
import secrets
from pathlib import Path

import pytest

from lab import wait_until
from tests.api.bodies import managed_vm, order
from tests.api.server import connect
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
    canary = managed_vm("default", "canary", orders=[order(level="premium")])
    wait_until(
        lambda: "needs a managed service package" in client.create(canary, dryRun="All").message,
        "the policies to be in force",
        seconds=60,
    )
    return client


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
def _numbers():
    return itertools.count()


@pytest.fixture
def name(_numbers):
    """A name that no other test has."""
    return f"web-{next(_numbers):04d}"


@pytest.fixture
def vm(tenant, name):
    """A ManagedVM that is there, as the provider made it."""
    answer = tenant.provider.create(managed_vm(tenant.namespace, name))
    assert answer.ok, answer.message
    return answer.body
