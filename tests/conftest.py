"""The lab for every test that needs one: the one that runs, else one that is started and ended with the session."""

import pytest

import lab as world
from lab import kube as kubectl


@pytest.fixture(scope="session")
def lab():
    """The running lab. A test never ends it: a module that must stop things has a lab of its own."""
    found = world.running()
    if found is not None:
        yield found
        return
    yield world.up()
    world.down()


@pytest.fixture(scope="session")
def kube(lab):
    """kubectl as the administrator; `kube.impersonate(...)` is anybody else."""
    return kubectl.admin(lab)
