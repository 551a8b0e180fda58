"""What a newcomer does to a cluster of his own, with the commands of the README on an API server that knows nothing of us."""

import re
import shlex

import pytest
import yaml

import lab as world
from lab import kube as kubectl
from lab import wait_until
from lab.paths import ROOT

pytestmark = pytest.mark.lab

README = (ROOT / "README.md").read_text()
STEPS = README[README.index("## On your own cluster") : README.index("## Developing")]
SAMPLES = ROOT / "manifests" / "samples"
VM = {"namespace": "kunde-a", "name": "web-01"}
READY_SECONDS = 90


def commands(text):
    """Return the kubectl commands of a text, as lists of arguments; paths are those of the tree."""
    lines = [line for line in text.splitlines() if line.strip().startswith("kubectl ")]
    lines += re.findall(r"`(kubectl delete [^`]+)`", text)
    split = [shlex.split(line, comments=True)[1:] for line in lines]
    return [[str(ROOT / word) if (ROOT / word).is_dir() else word for word in words] for words in split]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """kubectl on an API server on which nothing is installed."""
    directory = tmp_path_factory.mktemp("lab")
    yield kubectl.admin(world.up(directory=directory, with_vcenter=False, with_product=False))
    world.down(directory)


@pytest.fixture(scope="module")
def installed(fresh):
    """The same with the product on it, and what the commands said."""
    steps = [command for command in commands(STEPS) if command[0] in ("apply", "wait")]
    assert [step[0] for step in steps] == ["apply", "wait", "apply"]
    return [fresh.run(*step, seconds=READY_SECONDS) for step in steps]


@pytest.fixture(scope="module")
def example(fresh, installed):
    """The README's own ManagedVM, once the API server has taken it."""
    assert installed
    (text,) = re.findall(r"```yaml\n(.*?kind: ManagedVM.*?)```", README, re.DOTALL)
    body = yaml.safe_load(text)
    assert (body["metadata"]["namespace"], body["metadata"]["name"]) == (VM["namespace"], VM["name"])
    fresh.apply(SAMPLES / "customers.yaml")

    def accepted():
        # The catalogue reaches the policies' cache a moment after it was applied.
        return fresh.apply(body, check=False).returncode == 0

    wait_until(accepted, "the README's ManagedVM to be accepted", seconds=30, every=0.5)
    return body


def test_the_commands_of_the_readme_install_everything_at_once_and_unwarned(installed):
    assert [done.stderr for done in installed] == [""] * len(installed)


@pytest.mark.usefixtures("installed")
def test_they_may_be_given_again_and_change_nothing(fresh):
    before = fresh.get("deployment", "managedvm-operator", namespace="managedvm-system")["metadata"]
    last = [command for command in commands(STEPS) if command[0] == "apply"][-1]

    fresh.run(*last, seconds=READY_SECONDS)

    after = fresh.get("deployment", "managedvm-operator", namespace="managedvm-system")["metadata"]
    assert after["resourceVersion"] == before["resourceVersion"]


@pytest.mark.usefixtures("installed")
def test_the_first_look_of_the_production_overlay_is_only_a_look(fresh):
    for vcenter in fresh.get("vcenters")["items"]:
        assert vcenter["spec"]["maximumMode"] == vcenter["spec"]["clusterSettings"] == "Observe"


@pytest.mark.usefixtures("installed")
def test_the_operator_of_the_production_overlay_reads_just_the_secrets_that_vcenters_name(fresh):
    named = sorted(v["spec"]["credentialsSecretRef"]["name"] for v in fresh.get("vcenters")["items"])
    rules = fresh.get("role", "managedvm-operator", namespace="managedvm-system")["rules"]
    may = {rule["resources"][0]: rule.get("resourceNames") for rule in rules}
    operator = fresh.impersonate("system:serviceaccount:managedvm-system:managedvm-operator")

    assert may["secrets"] == named
    assert all(operator.can_i("get", f"secrets/{name}", namespace="managedvm-system") for name in named)
    assert not operator.can_i("get", "secrets/another", namespace="managedvm-system")
    assert operator.can_i("update", "leases/managedvm-operator", namespace="managedvm-system")


def test_the_example_of_the_readme_is_accepted(fresh, example):
    found = fresh.get("managedvm", VM["name"], namespace=VM["namespace"])

    assert found["spec"]["change"] == example["spec"]["change"]


@pytest.mark.usefixtures("example")
def test_uninstalling_leaves_the_vms_the_kinds_and_what_protects_the_ledger(fresh):
    (delete,) = [command for command in commands(STEPS) if command[0] == "delete"]

    fresh.run(*delete, seconds=READY_SECONDS)

    assert not fresh.exists("deployment", "managedvm-operator", namespace="managedvm-system")
    assert fresh.exists("managedvm", VM["name"], namespace=VM["namespace"])
    refused = fresh.delete("managedvm", VM["name"], namespace=VM["namespace"], check=False)
    assert "deletionProtection" in refused.stderr
