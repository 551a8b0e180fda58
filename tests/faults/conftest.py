"""One lab for all fault tests, not shared with others: here everything may break."""

import pytest

from tests.faults import faultlab
from tests.faults.stories import STORIES, Told


@pytest.fixture(scope="session")
def fault_lab(tmp_path_factory):
    """A lab with a proxy before its API server and its vCenter."""
    with faultlab.fault_lab(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest.fixture(scope="session")
def told(fault_lab):
    """The stories with their references, told once without a fault."""
    made = Told(fault_lab, STORIES)
    replica = fault_lab.replica(1)
    replica.start()
    try:
        made.tell()
    finally:
        replica.kill()
        fault_lab.free_lease()
    return made


@pytest.fixture
def say(capsys):
    """Print a figure although pytest captures what tests print: it is what people run these tests for."""

    def said(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}", end="")  # noqa: T201 - see above

    return said
