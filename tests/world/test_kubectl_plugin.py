"""kubectl finds `kubectl-managedvm` on PATH: to explain a VM is a command of kubectl, in the words of the program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

PROGRAMS = Path(sys.executable).parent
"""Where the environment has `managedvm` and `kubectl-managedvm`, as `uv tool install` would put them on PATH."""


@pytest.fixture
def typed(lab):
    """Run a command line as a person with the lab's kubeconfig and both programs on PATH."""
    places = [str(PROGRAMS), str(lab.kubectl.parent), os.environ["PATH"]]
    env = {"PATH": os.pathsep.join(places), "HOME": str(lab.directory), "KUBECONFIG": str(lab.kubeconfig)}

    def run(*words):
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - the lab's own

    return run


def test_kubectl_explains_a_vm(typed, party):
    vm = party.vm().settled()
    name = f"{vm.party.namespace}/{vm.name}"

    said = typed("kubectl", "managedvm", "explain", name)

    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"ManagedVM {name}\n")
    assert "clause 5.2" in said.stdout
    assert said.stdout == typed("managedvm", "explain", name).stdout


def test_kubectl_says_that_there_is_no_such_vm(typed):
    said = typed("kubectl", "managedvm", "explain", "default/nowhere")

    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("There is no ManagedVM default/nowhere.")


def test_kubectl_says_how_a_name_is_written(typed):
    said = typed("kubectl", "managedvm", "explain", "nowhere")

    assert said.returncode != 0
    assert "NAMESPACE/NAME" in said.stderr
