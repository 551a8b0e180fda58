"""The operator's image, built from the Dockerfile and run as a node of a cluster would: no root, no writable disk.

What is built is kept in a store of its own, so that a second build of the same sources takes seconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.guests import host, mirror
from lab.guests.image import bootstrap
from lab.guests.podman import Podman
from lab.locks import exclusive
from lab.paths import ROOT, cache_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab.guests.mirror import Mirror

BASE_SETTING = "MANAGEDVM_LAB_PYTHON_IMAGE"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""What the Dockerfile asks of the image it starts from."""
RESTRICTED = (
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--tmpfs=/tmp",
    "--network=host",
)
"""The security context of our Deployment in podman's words; the network is this machine's, where the lab listens."""
_NAME = "localhost/managedvm-operator:lab"
_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_RUN = Path("/run/managedvm-lab/image")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_KEPT_HOURS = 24


@dataclass(frozen=True, slots=True)
class Image:
    """A built image and the engine that has it."""

    podman: Podman
    name: str
    base: str
    """The image it starts from."""

    def run(self, *command: str, entrypoint: str | None = None, env: Mapping[str, str] | None = None) -> str:
        """Run one command in a container of its own, restricted as a pod is, and return its output.

        Raises:
            LabError: it failed; what it wrote to standard error is in the message.
        """
        how = [f"--entrypoint={entrypoint}"] if entrypoint else []
        how += [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self.podman("run", "--rm", *RESTRICTED, *how, self.name, *command)

    def start(self, name: str, *command: str, env: Mapping[str, str], files: Mapping[Path, str]) -> None:
        """Start a container in the background; `files` are mounted read-only, each at a path of the container.

        Raises:
            LabError: it cannot be started.
        """
        how = [f"--env={variable}={value}" for variable, value in env.items()]
        how += [f"--volume={source}:{target}:ro" for source, target in files.items()]
        self.podman("run", "--detach", f"--name={name}", *RESTRICTED, *how, self.name, *command)

    def stop(self, name: str, *, grace_seconds: int) -> int:
        """End a container as a kubelet does, by SIGTERM and after a grace by SIGKILL; return its exit code."""
        self.podman("stop", f"--time={grace_seconds}", name)
        return int(self.podman("inspect", "--format={{.State.ExitCode}}", name))

    def logs(self, name: str) -> str:
        """Return what a container has written so far, each line with its time and stream."""
        file = self.podman("inspect", "--format={{.HostConfig.LogConfig.Path}}", name)
        return Path(file).read_text()

    def runs(self, name: str) -> bool:
        """Say whether a container has not ended."""
        return self.podman("inspect", "--format={{.State.Running}}", name) == "true"

    def remove(self, name: str) -> None:
        """Remove a container, running or not; one that is not there is no error."""
        self.podman("rm", "--force", "--ignore", "--time=0", name)

    def own_bytes(self) -> int:
        """Return what the image adds to the one it starts from, in bytes."""
        sizes = [
            int(self.podman("image", "inspect", "--format={{.Size}}", name))
            for name in (self.name, self.base)
        ]
        return sizes[0] - sizes[1]


def obstacle() -> str | None:
    """Return why the image cannot be built on this machine, None when it can once packages are installed."""
    if os.geteuid() != 0:
        return "the image is built by root: the base it starts from is made by debootstrap"
    if "overlay" not in Path("/proc/filesystems").read_text().split():
        return "the image is built in layers, and this machine's kernel has no overlay file system"
    lacking = host.missing()
    if lacking and host.program("apt-get") is None:
        return f"the image needs {', '.join(lacking)}, and there is no apt to install packages with"
    return None


def build() -> Image:
    """Return the image of this tree's sources; a step whose inputs were seen before is not taken again.

    It starts from the image that MANAGEDVM_LAB_PYTHON_IMAGE names, else from one made of this machine's packages: no
    registry is needed.

    Raises:
        LabError: a step failed; its last lines are in the message.
    """
    with exclusive(cache_directory() / "locks" / "guest-packages", "another process installs packages"):
        host.install()
    podman = Podman(cache_directory() / "image", _RUN, hashlib.sha256(b"image").hexdigest(), driver="overlay")
    with exclusive(cache_directory() / "locks" / "image", "another process is building the operator's image"):
        podman.configure()
        base = os.environ.get(BASE_SETTING) or _base(podman)
        begin = time.monotonic()
        podman("build", *_options(), f"--build-arg=PYTHON_IMAGE={base}", f"--tag={_NAME}", str(ROOT))
        podman("image", "prune", "--force", f"--filter=until={_KEPT_HOURS}h")
    image = Image(podman, _NAME, base)
    took = time.monotonic() - begin
    print(f"  image: built in {took:.1f} s, adds {image.own_bytes() / 1e6:.0f} MB to {base}", flush=True)
    return image


def _options() -> Iterator[str]:
    """Yield how a build step reaches package indexes: through this machine's network, proxies and trust."""
    yield "--network=host"
    yield from (f"--build-arg={name}={os.environ[name]}" for name in _PROXIES if os.environ.get(name))
    bundle = Path(os.environ.get("SSL_CERT_FILE") or _BUNDLE)
    if bundle.is_file():
        yield f"--volume={bundle}:{_BUNDLE}:ro"


def _base(podman: Podman) -> str:
    """Return an image that stands in for the Python image of the Dockerfile; made once per distribution."""
    source = mirror.read()
    key = hashlib.sha256(repr((BASE_PACKAGES, source)).encode()).hexdigest()[:12]
    name = f"localhost/managedvm-python:{key}"
    if not podman("images", "--quiet", name):
        print(f"  image: making a base of {source.codename} (about a minute, once)", flush=True)
        with tempfile.TemporaryDirectory(dir=podman.directory, prefix="base-") as directory:
            podman("import", str(_archive(source, Path(directory))), name)
    return name


def _archive(source: Mirror, directory: Path) -> Path:
    """Return a tar file of the smallest system with Python."""
    root = directory / "root"
    root.mkdir(mode=0o755)
    bootstrap(source, root, BASE_PACKAGES)
    for left in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(root / left)
    return Path(shutil.make_archive(str(directory / "base"), "tar", root))
