"""An operator that lives on another day keeps what is agreed for that day (clause 1: as ordered)."""

from datetime import UTC, datetime, timedelta

import pytest

from lab import wait_until
from tests.api.bodies import order

pytestmark = pytest.mark.lab

LATER = datetime(2100, 6, 1, 9, tzinfo=UTC)


def test_an_order_of_the_year_2100_is_in_force_for_an_operator_that_lives_then(fault_lab):
    name = fault_lab.make_vm("later")
    begins = {"servicePackage": "Basic", "from": "2100-01-01T00:00:00Z"}
    fault_lab.declare(name, orders=[order(**begins)], mode="Observe", resources=None)
    replica = fault_lab.replica(1, begin=LATER)
    replica.start()
    try:
        entitled = wait_until(lambda: in_force(fault_lab, name), "the order to be in force", seconds=60)
    finally:
        replica.kill()
        fault_lab.free_lease()
    assert entitled["servicePackage"] == "Basic"


def in_force(lab, name):
    """Return what status says of the order in force, nothing while it says none."""
    return lab.status(name).get("status", {}).get("order")


def test_a_replica_whose_clock_is_wrong_does_nothing_and_says_so_and_one_that_is_right_acts(fault_lab):
    name = fault_lab.make_vm("late")
    fault_lab.declare(name, resources=None)
    strict = {"MANAGEDVM_CLOCK_TOLERANCE_SECONDS": "60"}
    wrong = fault_lab.replica(1, begin=datetime.now(UTC) - timedelta(hours=2), **strict)  # noqa: TID251 - a clock is tried
    wrong.start()
    try:
        wait_until(
            lambda: "s behind the API server's" in readiness(fault_lab, wrong), "it to say that", seconds=60
        )
        assert not fault_lab.status(name).get("status", {}).get("conditions")
        right = fault_lab.replica(2)
        right.start()
        try:
            wait_until(lambda: in_force(fault_lab, name), "the other to act", seconds=60)
        finally:
            right.kill()
    finally:
        wrong.kill()
        fault_lab.free_lease()


def readiness(lab, replica):
    """Return what /readyz of a running replica says."""
    url = f"http://127.0.0.1:{replica.health_port}/readyz"
    return lab.client.pool.request("GET", url, retries=False).data.decode()
