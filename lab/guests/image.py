"""The disk that every guest starts as a copy of: this machine's Debian with an init, ssh, nginx and Tools.

Built once per content of this directory and of apt's configuration, into the cache outside the tree.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.guests import mirror
from lab.locks import exclusive
from lab.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.guests.mirror import Mirror

NAME = "debian"
PACKAGES = (
    "apt-utils",
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "libpam-systemd",
    "nginx-light",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)
_HERE = Path(__file__).resolve().parent
_ROOM_MIB = 64
"""What the file system needs beyond the files for its own tables; each guest's disk is grown to its size."""
_KEPT_IMAGES = 2
# Blocks as large disks have them, though this one is small: guests grow it. No part is kept for root, so that free is
# free. No journal: the disk is unmounted cleanly whatever becomes of the guest, and copies are smaller.
_MAKE_FILE_SYSTEM = ("-q", "-F", "-b", "4096", "-m", "0", "-O", "^has_journal")


def build() -> Path:
    """Return the image, an ext4 file system in a file; built when this content of it was never built before.

    Raises:
        LabError: a package cannot be had or a step of the build failed; the message holds its last lines.
    """
    source = mirror.read()
    directory = cache_directory() / "guests" / "images" / f"{source.codename}-{key(source)}"
    disk = directory / "disk.ext4"
    with exclusive(
        cache_directory() / "locks" / "guest-image", "another process is building the guest image"
    ):
        if not disk.exists():
            begin = time.monotonic()
            print(f"  guests: building the image of {source.codename} (about a minute, once)", flush=True)
            _build(source, disk)
            _prune(directory.parent)
            print(f"  guests: image built in {time.monotonic() - begin:.0f}s", flush=True)
    os.utime(directory)
    return disk


def key(source: Mirror) -> str:
    """Return a short key of all that the image is made from."""
    total = hashlib.sha256(repr((PACKAGES, source)).encode())
    for path in sorted([*_HERE.rglob("rootfs/**/*"), _HERE / "setup.sh", Path(__file__)]):
        if path.is_file():
            total.update(str(path.relative_to(_HERE)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


def _build(source: Mirror, disk: Path) -> None:
    disk.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=disk.parent, prefix="root-") as directory:
        root = Path(directory)
        root.chmod(0o755)  # it becomes the guest's "/", which everybody may enter
        bootstrap(source, root, PACKAGES)
        shutil.copytree(_HERE / "rootfs", root, dirs_exist_ok=True)
        _configure_apt(source, root)
        shutil.copy(_HERE / "setup.sh", root / "setup.sh")
        _run("chroot", str(root), "/bin/sh", "/setup.sh")
        (root / "setup.sh").unlink()
        draft = disk.with_suffix(".part")
        size_mib = _used_mib(root) * 5 // 4 + _ROOM_MIB
        draft.unlink(missing_ok=True)
        with draft.open("wb") as file:
            file.truncate(size_mib << 20)
        _run("mkfs.ext4", *_MAKE_FILE_SYSTEM, "-d", str(root), str(draft))
        draft.replace(disk)


def bootstrap(source: Mirror, root: Path, packages: Sequence[str]) -> None:
    """Put the smallest system of this machine's distribution with `packages` into the empty directory `root`.

    Raises:
        LabError: a package cannot be had; the last lines of debootstrap are in the message.
    """
    environment = {**os.environ, **source.environment(), "LC_ALL": "C.UTF-8"}
    argv = [
        "debootstrap",
        "--variant=minbase",
        f"--arch={source.architecture}",
        f"--components={','.join(source.base.components)}",
        f"--include={','.join(packages)}",
        source.codename,
        str(root),
        source.base.site,
    ]
    _run("nice", *argv, environment=environment)


def _configure_apt(source: Mirror, root: Path) -> None:
    (root / "etc/apt/sources.list").write_text(source.sources())
    if source.apt_configuration():
        (root / "etc/apt/apt.conf.d/95proxy").write_text(source.apt_configuration())


def _used_mib(root: Path) -> int:
    said = _run("du", "--summarize", "--block-size=1M", str(root))
    return int(said.split()[0])


def _prune(images: Path) -> None:
    newest = sorted(images.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest[_KEPT_IMAGES:]:
        shutil.rmtree(old)


def _run(*argv: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
    if done.returncode != 0:
        raise LabError(f"{argv[0]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
