"""What tests of the world hold in their hands: the lab's audit log, its vCenter, namespaces, a second lab."""

import json
import uuid
from pathlib import Path

import pytest

import lab as world
from lab import audit as audit_log
from lab import operator, vcenter_admin
from lab.install import NAMESPACE
from lab.paths import ROOT
from lab.simulator import OPERATOR_ROLE
from tests.api.bodies import custom
from tests.api.server import assert_done, connect
from tests.world import simulated
from tests.world.simulated import keep_credentials
from tests.world.stage import SETTINGS, Stage

HERE = Path(__file__).parent
LAST = "test_rbac.py"
CATALOGUE = ROOT / "manifests" / "catalogue"


@pytest.fixture(scope="session")
def audit(lab):
    """The API server's audit log."""
    return audit_log.of(lab)


@pytest.fixture
def vcenter(lab):
    """The hand behind the vCenter; faults that a test leaves are cleared."""
    admin = vcenter_admin.of(lab)
    yield admin
    admin.clear_faults()


@pytest.fixture
def namespace(kube):
    """A namespace of this test alone; its end is not waited for."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    kube.run("create", "namespace", name)
    yield name
    kube.delete("namespace", name, wait=False)


@pytest.fixture(scope="module")
def second_lab(tmp_path_factory):
    """A control plane that tests may stop, crash and end: it belongs to this module alone."""
    directory = tmp_path_factory.mktemp("lab")
    yield world.up(directory=directory, with_vcenter=False, with_product=False)
    world.down(directory)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """A vCenter of this module alone, in which the operator has the role that ships and no other right."""
    role = json.loads(OPERATOR_ROLE.read_bytes())
    directory = tmp_path_factory.mktemp("vcenter")
    with simulated.simulator(directory, simulated.SMALL, {role["name"]: role["privileges"]}) as made:
        yield made


@pytest.fixture
def sim(simulator):
    """The same, with calls counted from zero; faults that a test leaves are cleared."""
    simulator.admin.reset_calls()
    yield simulator
    simulator.admin.clear_faults()


@pytest.fixture(scope="session")
def replica(lab):
    """The operator under its ServiceAccount, running for all tests; one that ran before runs again afterwards."""
    process = operator.replica(lab, settings=SETTINGS)
    ran_before = process.stop()
    process.start()
    yield process
    process.stop()
    if ran_before:
        operator.replica(lab).start()


@pytest.fixture(scope="session")
def stage(lab, kube, replica):  # noqa: ARG001 - it runs from here on
    """The shared API server, catalogue and vCenter, with the operator at work on them."""
    kube.run("apply", "--server-side", "--force-conflicts", f"--kustomize={CATALOGUE}")
    made = Stage(connect(lab.kubeconfig), vcenter_admin.of(lab))
    # Other tests have left hundreds of objects that are looked at for the first time now.
    made.until("Connected", seconds=60, status="True")
    yield made
    made.vcenter.clear_faults()


@pytest.fixture
def party(stage):
    """A customer of this test alone."""
    made = stage.party()
    yield made
    made.close()


@pytest.fixture(scope="module")
def elsewhere(stage, kube, simulator):
    """A second vCenter beside the lab's, of this module alone; the hand behind it may do anything to it."""
    name = f"vcenter-{uuid.uuid4().hex[:8]}"
    keep_credentials(kube, name, simulator)
    server = {"server": f"127.0.0.1:{simulator.port}", "credentialsSecretRef": {"name": name}}
    spec = {**server, "maximumMode": "Enforce", "clusterSettings": "Enforce", "grants": []}
    assert_done(stage.api.create(custom("VCenter", name, None, spec)))
    made = Stage(stage.api, simulator.admin, name)
    made.until("Connected", status="True")
    yield made
    assert_done(stage.api.delete(custom("VCenter", name, None, {})))
    kube.delete("secret", name, namespace=NAMESPACE)


@pytest.fixture
def guest_party(elsewhere):
    """A customer of this test alone whose VMs are in the second vCenter."""
    made = elsewhere.party()
    yield made
    elsewhere.vcenter.clear_faults()
    made.close()


def pytest_collection_modifyitems(items):
    """Judge what was used when everything has been used."""
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def whole_session(request):
    """Skip what can be judged only where all promises were tried in this session."""
    tried = {item.path.name for item in request.session.items}
    missing = {path.name for path in HERE.glob("test_promise_*.py")} - tried
    if missing:
        pytest.skip(f"judged over all promises; not tried here: {', '.join(sorted(missing))}")
