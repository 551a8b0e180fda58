"""What tests of the world hold in their hands: the lab's audit log, its vCenter, namespaces, a second lab."""

import json
import uuid

import pytest

import lab as world
from lab import audit as audit_log
from lab import vcenter_admin
from lab.simulator import OPERATOR_ROLE
from tests.world import simulated


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
