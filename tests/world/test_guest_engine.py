"""Power, disks, snapshots and logins of guests, tried below vSphere: the engine's own tests, over real containers."""

import os
import subprocess

import pytest

from lab import golang, guests
from lab.guests import host
from lab.paths import ROOT

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(host.obstacle() is not None, reason=host.obstacle() or ""),
]


@pytest.fixture
def settings(tmp_path):
    """The settings of a lab that has guests and nothing else."""
    yield guests.prepare(tmp_path)
    guests.clean(tmp_path)


def test_the_engine_keeps_its_promises(settings):
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "MANAGEDVM_LAB_GUESTS": str(settings)}
    done = subprocess.run(  # noqa: S603 - our own tests
        [golang.toolchain(), "test", "-count=1", "-v", "./internal/guests"],
        cwd=ROOT / "lab" / "vcenter",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--- PASS: TestAGuestIsAMachineOfItsOwn" in done.stdout
    assert "--- SKIP" not in done.stdout
