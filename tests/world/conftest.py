"""What tests of the world hold in their hands: the lab's audit log, its vCenter, namespaces, a second lab."""

import json
import uuid

import pytest

import lab as world
from lab import audit as audit_log
from lab import operator, vcenter_admin
from lab.paths import ROOT
from lab.simulator import OPERATOR_ROLE
from tests.api.server import connect
from tests.world import simulated
from tests.world.stage import SETTINGS, Stage

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


@pytest.fixture(scope="module")
def replica(lab):
    """The operator under its ServiceAccount, running for this module; one that ran before runs again afterwards."""
    process = operator.replica(lab, settings=SETTINGS)
    ran_before = process.stop()
    process.start()
    yield process
    process.stop()
    if ran_before:
        operator.replica(lab).start()


@pytest.fixture(scope="module")
def stage(lab, kube, replica):
    """The shared API server, catalogue and vCenter, with the operator at work on them."""
    kube.run("apply", "--server-side", "--force-conflicts", f"--kustomize={CATALOGUE}")
    made = Stage(connect(lab.kubeconfig), vcenter_admin.of(lab))
    made.until("Connected", status="True")
    yield made
    made.vcenter.clear_faults()


@pytest.fixture
def party(stage):
    """A customer of this test alone."""
    made = stage.party()
    yield made
    made.close()
