"""The control plane that the Kubernetes project publishes for tests: an archive, believed only by its checksum."""

from __future__ import annotations

import hashlib
import http.client
import io
import platform
import tarfile
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import yaml

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INDEX = "https://raw.githubusercontent.com/kubernetes-sigs/controller-tools/HEAD/envtest-releases.yaml"
HOLDS = frozenset({"etcd", "kube-apiserver", "kubectl"})
_SILENCE_SECONDS = 5  # a network that answers at all answers sooner; one that does not costs only this
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def fetch(url: str) -> bytes:
    """Return what a URL holds.

    Raises:
        LabError: it cannot be had; a network that does not answer is given up after seconds.
    """
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE_SECONDS) as response:  # noqa: S310 - https, by INDEX
            content: bytes = response.read()
            return content
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise LabError(f"{url}: {reason}") from error


def download(minor: str, target: Path, get: Callable[[str], bytes] = fetch) -> None:
    """Unpack the newest published archive of a Kubernetes minor ("1.37") into `target`.

    Raises:
        LabError: not published, not reachable, not for this machine, or not what its checksum says.
    """
    releases = yaml.safe_load(get(INDEX))["releases"]
    version = newest(minor, list(releases))
    name = f"envtest-{version}-linux-{architecture()}.tar.gz"
    entry = releases[version].get(name)
    if entry is None:
        raise LabError(f"{name} is not published")
    archive = get(entry["selfLink"])
    if hashlib.sha512(archive).hexdigest() != entry["hash"]:
        raise LabError(f"{name} is not what its published checksum says")
    unpack(archive, target)


def newest(minor: str, versions: list[str]) -> str:
    """Return the newest release among `versions` ("v1.37.2") of a minor, never a preview.

    Raises:
        LabError: there is none.
    """
    patches = {}
    for version in versions:
        prefix, _, patch = version.removeprefix("v").rpartition(".")
        if prefix == minor and patch.isdigit():
            patches[int(patch)] = version
    if not patches:
        raise LabError(f"no archive of Kubernetes {minor} is published")
    return patches[max(patches)]


def unpack(archive: bytes, target: Path) -> None:
    """Write the programs of an archive into `target`, by their bare names: no path of the archive is followed."""
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = member.name.rsplit("/", 1)[-1]
            content = tar.extractfile(member) if member.isfile() and name in HOLDS else None
            if content is not None:
                draft = target / f"{name}.building"
                draft.write_bytes(content.read())
                draft.chmod(0o755)
                draft.replace(target / name)


def architecture() -> str:
    """Return this machine's architecture in Go's words.

    Raises:
        LabError: none that archives are published for.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LabError(f"nothing is published for {machine}")
    return _ARCHITECTURES[machine]
