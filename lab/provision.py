"""Every program of the lab, from the nearest place that has it: named by the user, cached, published, else built.

What is built is keyed by its inputs: an upgrade of a go.mod, or a changed source of our own, is a new program.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import envtest, golang
from lab.errors import LabError
from lab.locks import exclusive
from lab.paths import ROOT, cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
_TOOLS = ROOT / "lab" / "tools"
_VCENTER = ROOT / "lab" / "vcenter"
_KEPT_VCENTERS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One place that may have programs: what it can provide, and how it puts them into a directory."""

    name: str
    provides: frozenset[str]
    put: Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the control plane's programs lie."""

    directory: Path

    def __getitem__(self, name: str) -> Path:
        """The path of one program."""
        return self.directory / name


def control_plane() -> Binaries:
    """Return the control plane's programs, fetching or building once what is missing.

    Raises:
        LabError: a program could not be had from anywhere; the message holds each source's reason.
    """
    named = named_by_user(os.environ)
    if named is not None:
        return Binaries(named)
    key = digest(sorted(_TOOLS.glob("*/go.*")))
    directory = cache_directory() / f"{kubernetes_version()}-{key}" / "bin"
    if missing(directory):
        with exclusive(
            cache_directory() / "locks" / "control-plane", "another process is getting the control plane"
        ):
            obtain(missing(directory), directory, sources())
    return Binaries(directory)


def vcenter() -> Path:
    """Return the vCenter simulator built from the sources of this tree.

    Raises:
        LabError: it does not build; the compiler's last lines are in the message.
    """
    inputs = sorted(path for path in _VCENTER.rglob("*") if path.is_file() and is_input(path))
    output = cache_directory() / "vcenter" / digest(inputs) / "vcenter"
    if output.exists():
        os.utime(output.parent)  # the newest are kept: used is as good as new
        return output
    with exclusive(
        cache_directory() / "locks" / "vcenter", "another process is building the vCenter simulator"
    ):
        if not output.exists():
            golang.build(_VCENTER, ".", output, linker_flags="-s -w", usually="about a minute the first time")
            prune(output.parent.parent, keep=_KEPT_VCENTERS)
    return output


def named_by_user(environment: Mapping[str, str]) -> Path | None:
    """Return KUBEBUILDER_ASSETS when it holds the whole control plane, else None, saying what it lacks."""
    assets = environment.get("KUBEBUILDER_ASSETS")
    if not assets:
        return None
    lacking = missing(Path(assets))
    if lacking:
        print(f"  KUBEBUILDER_ASSETS is not used, it lacks {', '.join(lacking)}", flush=True)
        return None
    return Path(assets)


def sources() -> list[Source]:
    """Return the places a missing program may come from, nearest first."""
    minor = kubernetes_version().removeprefix("v").rpartition(".")[0]
    return [
        Source("the published envtest archive", envtest.HOLDS, lambda _, into: envtest.download(minor, into)),
        Source("the Go module proxy", frozenset(CONTROL_PLANE), build_tool),
    ]


def obtain(names: Sequence[str], directory: Path, places: Iterable[Source]) -> None:
    """Put every named program into `directory`, each from the first of `places` that gives it.

    Raises:
        LabError: a program could not be had; the message holds each source's reason.
    """
    refusals: list[str] = []
    for place in places:
        for name in names:
            if name not in place.provides or (directory / name).exists():
                continue
            try:
                place.put(name, directory)
            except LabError as refusal:
                refusals.append(f"{place.name}: {refusal}")
                print(f"  {refusals[-1]}", flush=True)
                break  # a place that refuses one program refuses the next: ask the next place at once
    lacking = [name for name in names if not (directory / name).exists()]
    if lacking:
        raise LabError(f"no {', '.join(lacking)} to be had:\n  " + "\n  ".join(refusals))


def build_tool(name: str, directory: Path) -> None:
    """Build one program of the control plane from its Go module."""
    if name == "etcd":
        golang.build(
            _TOOLS / "etcd",
            "go.etcd.io/etcd/server/v3",
            directory / name,
            linker_flags="-s -w",
            usually=_USUALLY[name],
        )
        return
    golang.build(
        _TOOLS / "kubernetes",
        f"k8s.io/kubernetes/cmd/{name}",
        directory / name,
        linker_flags=version_flags(kubernetes_version()),
        usually=_USUALLY[name],
    )


_USUALLY = {
    "etcd": "about 1 min on 2 cores, once",
    "kube-apiserver": "about 5 min on 2 cores, once",
    "kube-controller-manager": "about 2 min on 2 cores, once",
    "kubectl": "about half a minute on 2 cores, once",
}


def version_flags(version: str) -> str:
    """Return the linker flags that tell a Kubernetes program its own version: it refuses to work without."""
    major, minor, _ = version.removeprefix("v").split(".")
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X k8s.io/component-base/version.{k}={v}" for k, v in facts.items())])


def kubernetes_version() -> str:
    """Return the version of Kubernetes that go.mod pins, like "v1.37.2"."""
    found = re.search(
        r"^\s*k8s\.io/kubernetes (v\S+)", (_TOOLS / "kubernetes" / "go.mod").read_text(), re.MULTILINE
    )
    if found is None:
        raise LabError("lab/tools/kubernetes/go.mod pins no k8s.io/kubernetes")
    return found[1]


def missing(directory: Path) -> list[str]:
    """Return the programs of the control plane that `directory` lacks."""
    return [name for name in CONTROL_PLANE if not os.access(directory / name, os.X_OK)]


def is_input(path: Path) -> bool:
    """Say whether a file of a Go module changes what is built from it."""
    return not path.name.endswith("_test.go") and path.suffix != ".md"


def digest(paths: Iterable[Path]) -> str:
    """Return a short key of the names and contents of files."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
        total.update(path.name.encode() + b"\0")
    return total.hexdigest()[:12]


def prune(directory: Path, *, keep: int) -> None:
    """Remove all but the newest builds below `directory`."""
    builds = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[keep:]:
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
