"""Programs come from the nearest place that has them."""

import hashlib
import io
import tarfile

import pytest
import yaml

from lab import envtest, golang, provision
from lab.errors import LabError
from lab.provision import CONTROL_PLANE, Source


def program(directory, name):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text("#!/bin/sh\n")
    (directory / name).chmod(0o755)


class Place:
    """A place that notes what it was asked for, and has what it was given."""

    def __init__(self, name, provides, refuses=False):
        self.asked = []
        self.refuses = refuses
        self.source = Source(name, frozenset(provides), self.put)

    def put(self, name, directory):
        self.asked.append(name)
        if self.refuses:
            raise LabError("out of reach")
        program(directory, name)


def test_a_program_comes_from_the_first_place_that_gives_it(tmp_path):
    near, far = Place("near", ["etcd"]), Place("far", CONTROL_PLANE)
    provision.obtain(["etcd", "kubectl"], tmp_path, [near.source, far.source])
    assert near.asked == ["etcd"]
    assert far.asked == ["kubectl"]


def test_a_place_that_refuses_is_asked_once_and_the_next_one_gives(tmp_path):
    near, far = Place("near", CONTROL_PLANE, refuses=True), Place("far", CONTROL_PLANE)
    provision.obtain(CONTROL_PLANE, tmp_path, [near.source, far.source])
    assert near.asked == ["etcd"]
    assert far.asked == list(CONTROL_PLANE)


def test_nothing_to_be_had_tells_every_places_reason(tmp_path):
    places = [Place("near", ["etcd"], refuses=True).source, Place("far", ["etcd"], refuses=True).source]
    with pytest.raises(LabError, match=r"no etcd to be had(?s:.*)near: out of reach(?s:.*)far: out of reach"):
        provision.obtain(["etcd"], tmp_path, places)


def test_a_directory_named_by_the_user_counts_when_it_has_everything(tmp_path):
    for name in CONTROL_PLANE:
        program(tmp_path, name)
    assert provision.named_by_user({"KUBEBUILDER_ASSETS": str(tmp_path)}) == tmp_path


def test_a_directory_named_by_the_user_that_lacks_one_is_not_used_and_said(tmp_path, capsys):
    for name in CONTROL_PLANE[:-1]:
        program(tmp_path, name)
    assert provision.named_by_user({"KUBEBUILDER_ASSETS": str(tmp_path)}) is None
    assert "lacks kubectl" in capsys.readouterr().out


def test_the_order_is_cache_then_archive_then_build(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    def archive(minor, target):
        asked.append(f"archive {minor}")
        for name in envtest.HOLDS:
            program(target, name)

    def build(name, target):
        asked.append(f"build {name}")
        program(target, name)

    monkeypatch.setattr(envtest, "download", archive)
    monkeypatch.setattr(provision, "build_tool", build)
    first = provision.control_plane()
    assert asked == ["archive 1.37", "build kube-controller-manager"]
    assert provision.control_plane() == first
    assert len(asked) == 2
    assert first["kubectl"].is_relative_to(tmp_path)


def test_the_key_of_a_build_follows_names_and_contents(tmp_path):
    one, two = tmp_path / "go.mod", tmp_path / "go.sum"
    one.write_text("a")
    two.write_text("b")
    before = provision.digest([one, two])
    assert before == provision.digest([one, two])
    two.write_text("c")
    assert before != provision.digest([one, two])


def test_tests_and_prose_are_no_inputs_of_a_build(tmp_path):
    names = ["main.go", "main_test.go", "README.md", "privileges.json"]
    assert [name for name in names if provision.is_input(tmp_path / name)] == ["main.go", "privileges.json"]


def test_only_the_newest_builds_are_kept(tmp_path):
    import os

    for age, name in enumerate(["newest", "newer", "old", "oldest"]):
        program(tmp_path / name, "vcenter")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    provision.prune(tmp_path, keep=2)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "newer"}


def test_the_pinned_kubernetes_is_told_to_its_programs():
    assert provision.kubernetes_version().startswith("v1.37.")
    flags = provision.version_flags("v1.37.2")
    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "-X k8s.io/component-base/version.gitMinor=37" in flags


def archive_of(*names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in names:
            content = f"this is {name}".encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def published(archive, *, checksum=None):
    """Return what the network would answer when `archive` is published as 1.37.1."""
    name = f"envtest-v1.37.1-linux-{envtest.architecture()}.tar.gz"
    entry = {"hash": checksum or hashlib.sha512(archive).hexdigest(), "selfLink": "there"}
    index = {"releases": {"v1.36.9": {}, "v1.37.0": {}, "v1.37.1": {name: entry}, "v1.37.2-rc.1": {}}}
    return {envtest.INDEX: yaml.safe_dump(index).encode(), "there": archive}.__getitem__


def test_the_newest_published_archive_of_the_minor_is_unpacked(tmp_path):
    archive = archive_of("controller-tools/envtest/etcd", "controller-tools/envtest/kubectl", "../../passwd")
    envtest.download("1.37", tmp_path / "bin", published(archive))
    assert {path.name for path in (tmp_path / "bin").iterdir()} == {"etcd", "kubectl"}
    assert (tmp_path / "bin" / "etcd").read_text() == "this is controller-tools/envtest/etcd"
    assert (tmp_path / "bin" / "etcd").stat().st_mode & 0o111


def test_an_archive_with_another_checksum_is_not_unpacked(tmp_path):
    with pytest.raises(LabError, match="checksum"):
        envtest.download("1.37", tmp_path / "bin", published(archive_of("etcd"), checksum="0" * 128))
    assert not (tmp_path / "bin").exists()


def test_a_minor_that_nobody_published_is_a_clear_error():
    with pytest.raises(LabError, match=r"no archive of Kubernetes 1\.99"):
        envtest.newest("1.99", ["v1.37.1", "v1.99.0-rc.1"])


def test_a_go_that_does_not_run_has_no_version(tmp_path):
    assert golang.version_of(tmp_path / "go") is None


def test_a_go_says_its_version(tmp_path):
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.27.3 linux/amd64\n")
    go.chmod(0o755)
    assert golang.version_of(go) == (1, 27)


def test_an_old_go_on_the_path_is_passed_over(tmp_path, monkeypatch):
    old, ours = tmp_path / "path" / "go", tmp_path / "cache" / "managedvm-lab" / "go" / "go" / "bin" / "go"
    for go, version in ((old, "1.19.8"), (ours, "1.27.3")):
        go.parent.mkdir(parents=True)
        go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
        go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert golang.toolchain() == ours
