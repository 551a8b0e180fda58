"""What the vCenter simulator is told about guests: one file, written when all it names is there."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

from lab import golang
from lab.errors import LabError
from lab.guests import host, image
from lab.guests.podman import LABEL, NETWORK, Podman
from lab.locks import exclusive
from lab.paths import ROOT, cache_directory, lab_directory
from lab.provision import digest, is_input

_VCENTER = ROOT / "lab" / "vcenter"
_RUN = Path("/run/managedvm-lab")
_UNMOUNT_WITHIN_SECONDS = 10
_KEPT_TOOLS = 3


def prepare(directory: Path | None = None) -> Path | None:
    """Make all that guests of one lab need and return the file for the simulator's `--guests`.

    Returns None where this machine cannot have guests, having said why: a lab without guests is a lab.

    Args:
        directory: The lab's own directory; default `lab_directory()`. Nothing is written into it: it is emptied
            by who knows nothing of mounts.

    Raises:
        LabError: the machine can have guests but a step of making them failed.
    """
    directory = directory or lab_directory()
    reason = host.obstacle()
    if reason is not None:
        print(f"  no guests: {reason}", flush=True)
        return None
    with exclusive(cache_directory() / "locks" / "guest-packages", "another process installs packages"):
        host.install()
    disk = image.build()
    podman = engine(directory)
    podman.configure()
    facts = {
        "podman": str(host.program("podman")),
        "environment": podman.environment(),
        "network": NETWORK,
        "subnet": podman.subnet,
        "label": f"{LABEL}={_key(directory)}",
        "tools": str(tools()),
        "state": str(_home(directory) / "disks"),
        "images": {image.NAME: str(disk)},
    }
    file = _home(directory) / "guests.json"
    file.write_text(json.dumps(facts, indent=1))
    return file


def engine(directory: Path) -> Podman:
    """Return the container engine of the lab in `directory`."""
    return Podman(_home(directory) / "podman", _RUN / _key(directory), _key(directory))


def tools() -> Path:
    """Return the daemon that stands in for VMware Tools inside a guest, built from the sources of this tree.

    Raises:
        LabError: it does not build.
    """
    parts = [_VCENTER / "cmd" / "vmtoolsd", _VCENTER / "internal" / "tools", _VCENTER / "internal" / "toolsd"]
    sources = sorted(path for part in parts for path in part.rglob("*.go") if is_input(path))
    builds = cache_directory() / "guests" / "tools"
    output = builds / digest([*sources, _VCENTER / "go.mod"]) / "vmtoolsd"
    with exclusive(
        cache_directory() / "locks" / "guest-tools", "another process is building the guests' tools"
    ):
        if not output.exists():
            golang.build(_VCENTER, "./cmd/vmtoolsd", output, linker_flags="-s -w", usually="some seconds")
            newest = sorted(builds.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for old in newest[_KEPT_TOOLS:]:
                shutil.rmtree(old)
    return output


def clean(directory: Path | None = None) -> None:
    """Remove the containers, mounts and disks of one lab's guests: what a simulator that was killed leaves behind.

    Only what carries the lab's label or lies in its directory is touched. A second call does nothing.

    Raises:
        LabError: something is still in use after a while.
    """
    directory = directory or lab_directory()
    home = _home(directory)
    if not home.exists():
        return
    podman = engine(directory)
    if host.program("podman") is not None and (podman.directory / "containers.conf").exists():
        names = podman(
            "ps", "--all", "--filter", f"label={LABEL}={_key(directory)}", "--format", "{{.Names}}"
        )
        for name in names.split():
            podman("rm", "--force", "--time", "0", name)
    for point in mounts_below(home):
        _unmount(point)
    for left in (home, podman.run):
        shutil.rmtree(left, ignore_errors=False) if left.exists() else None


def mounts_below(directory: Path, table: str | None = None) -> list[Path]:
    """Return the mount points below a directory, the deepest first; `table` is mountinfo's text."""
    text = Path("/proc/self/mountinfo").read_text() if table is None else table
    points = [Path(line.split()[4].replace(r"\040", " ")) for line in text.splitlines()]
    return [point for point in reversed(points) if point.is_relative_to(directory)]


def _unmount(point: Path) -> None:
    """Unmount, waiting for the last process of a container that is being ended."""
    deadline = time.monotonic() + _UNMOUNT_WITHIN_SECONDS
    while True:
        done = subprocess.run(["umount", str(point)], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if time.monotonic() > deadline:
            raise LabError(f"{point} cannot be unmounted: {done.stderr.strip()}")


def _home(directory: Path) -> Path:
    return cache_directory() / "guests" / "labs" / _key(directory)


def _key(directory: Path) -> str:
    return hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
