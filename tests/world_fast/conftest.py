"""An inventory that nobody feeds but the test."""

import pytest

from managedvm.world.vsphere.inventory import Inventory
from tests.world_fast.updates import Told


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def inventory(told):
    return Inventory(lambda: told.now, told.take)
