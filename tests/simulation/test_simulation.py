"""Hundreds of small worlds with every fault that we could think of; `MANAGEDVM_WORLDS=20000` makes it a soak."""

import os

import pytest

from tests.simulation.two_leaders import TwoLeaders
from tests.simulation.world import World

WORLDS = int(os.environ.get("MANAGEDVM_WORLDS", "100"))
GROUP = 20


@pytest.mark.parametrize("first", range(0, WORLDS, GROUP), ids="worlds from {}".format)
@pytest.mark.parametrize("kind", [World, TwoLeaders])
def test_every_world_comes_to_a_good_end(kind: type[World], first: int) -> None:
    for seed in range(first, min(first + GROUP, WORLDS)):
        world = kind(seed)
        try:
            world.run(steps=40)
        except Exception as error:
            error.add_note(f"in {kind.__name__}({seed}) at {world.vsphere.now}")
            raise


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = World(7), World(7)
    for world in (first, second):
        world.run(steps=40)
    assert first.api.state == second.api.state
    assert first.vsphere.effects == second.vsphere.effects
    assert first.vsphere.effects, "a story in which nothing happens proves nothing"
