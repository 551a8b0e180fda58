"""kubectl is called as the lab's identity, whatever lies around in the caller's shell."""

import json

import pytest

from lab.kube import Kube, KubectlError

_ECHO = """#!/bin/sh
printf '%s\\n' "$@"
echo "KUBECONFIG=$KUBECONFIG KUBERC=$KUBERC HOME=$HOME"
cat
case "$*" in *refused*) echo "Error from server (Forbidden)" >&2; exit 1;; esac
"""


@pytest.fixture
def kube(tmp_path, monkeypatch):
    """A kubectl that says what it was asked."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(_ECHO)
    kubectl.chmod(0o755)
    monkeypatch.setenv("KUBECONFIG", "/home/somebody/.kube/production")
    return Kube(kubectl, tmp_path / "kubeconfig", tmp_path / "cache")


def test_a_kubeconfig_that_lies_around_is_not_used(kube, tmp_path):
    said = kube.run("get", "pods").stdout.splitlines()
    assert said[0] == f"--kubeconfig={tmp_path}/kubeconfig"
    assert said[-1] == f"KUBECONFIG= KUBERC=off HOME={tmp_path}/cache"


def test_impersonation_names_the_user_and_every_group(kube):
    said = kube.impersonate("tenant", "customers", "system:authenticated").run("get", "pods").stdout
    assert "--as=tenant\n--as-group=customers\n--as-group=system:authenticated\n" in said


def test_a_refusal_is_an_error_with_kubectls_words(kube):
    with pytest.raises(KubectlError, match="kubectl get refused: Error from server") as refusal:
        kube.run("get", "refused")
    assert refusal.value.stderr == "Error from server (Forbidden)\n"


def test_a_refusal_that_is_expected_is_a_result(kube):
    assert kube.run("get", "refused", check=False).returncode == 1


def test_objects_are_applied_server_side_as_one_list(kube):
    said = kube.apply([{"kind": "A"}, {"kind": "B"}], namespace="kunde-a").stdout.splitlines()
    assert {"--server-side", "--field-manager=managedvm-lab", "--namespace=kunde-a"} <= set(said)
    assert json.loads(said[-1]) == {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"kind": "A"}, {"kind": "B"}],
    }


def test_one_object_is_applied_as_it_is(kube):
    assert json.loads(kube.apply({"kind": "A"}).stdout.splitlines()[-1]) == {"kind": "A"}


def test_without_a_manager_objects_are_applied_as_a_person_does(kube):
    assert "--server-side" not in kube.apply({"kind": "A"}, manager=None).stdout


def test_a_file_is_applied_by_its_path(kube, tmp_path):
    assert f"--filename={tmp_path}/crds" in kube.apply(tmp_path / "crds").stdout.splitlines()


@pytest.mark.parametrize(
    ("patch", "form"),
    [({"spec": {"mode": "Observe"}}, "merge"), ([{"op": "remove", "path": "/spec/mode"}], "json")],
    ids=["a mapping is merged", "a list is a JSON patch"],
)
def test_the_form_of_a_patch_follows_its_type(kube, patch, form):
    said = kube.patch("managedvm", "web-01", patch, namespace="a", subresource="status").stdout.splitlines()
    assert {f"--type={form}", f"--patch={json.dumps(patch)}", "--subresource=status"} <= set(said)
