"""What the guests need of this machine, and getting it: each lack is a sentence, never an exception far away."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab.errors import LabError

# Program to the Debian package that has it. crun is not among them: it refuses machines with both cgroup versions.
PROGRAMS = {
    "podman": "podman",
    "runc": "runc",
    "conmon": "conmon",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "mkfs.ext4": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "fsfreeze": "util-linux",
}
_NETAVARK = Path("/usr/lib/podman/netavark")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def obstacle() -> str | None:
    """Return why this machine cannot have guests, None when it can once packages are installed."""
    if os.geteuid() != 0:
        return "guests need root: their disks are mounted and their containers have an init of their own"
    if not Path("/dev/loop-control").exists():
        return "guests need loop devices for their disks, and there is no /dev/loop-control"
    if not Path("/sys/fs/cgroup").is_dir() or memory_controller() is None:
        return "guests need a memory limit, and no cgroup on this machine has the memory controller"
    lacking = missing()
    if lacking and program("apt-get") is None:
        return f"guests need {', '.join(lacking)}, and there is no apt to install packages with"
    return None


def memory_controller() -> Path | None:
    """Return the cgroup directory whose children can have a memory limit, None when there is none."""
    versions = (
        (Path("/sys/fs/cgroup/cgroup.controllers"), Path("/sys/fs/cgroup")),
        (Path("/sys/fs/cgroup/unified/cgroup.controllers"), Path("/sys/fs/cgroup/unified")),
    )
    for controllers, directory in versions:
        if controllers.exists() and "memory" in controllers.read_text().split():
            return directory
    separate = Path("/sys/fs/cgroup/memory")
    return separate if (separate / "cgroup.procs").exists() else None


def program(name: str) -> Path | None:
    """Return where a program is; the administrator's directories are looked at even when PATH lacks them."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    return Path(found) if found else None


def missing() -> list[str]:
    """Return the Debian packages that are to be installed, in the order of PROGRAMS."""
    lacking = dict.fromkeys(package for name, package in PROGRAMS.items() if program(name) is None)
    if not _NETAVARK.exists() and program("netavark") is None:
        lacking["netavark"] = None
    return list(lacking)


def install() -> None:
    """Install what is missing through apt, showing which packages.

    Raises:
        LabError: apt refused; its last lines are in the message.
    """
    lacking = missing()
    if not lacking:
        return
    print(f"  guests: installing {' '.join(lacking)} with apt (about half a minute, once)", flush=True)
    apt("update")
    apt("install", "--yes", "--no-install-recommends", *lacking)


def apt(*arguments: str) -> str:
    """Run apt-get without questions and return its output.

    Raises:
        LabError: it failed; its last lines are in the message.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["apt-get", "--quiet=2", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    if done.returncode != 0:
        raise LabError(f"apt-get {arguments[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
