"""House rules of the policies that need no API server to be checked."""

import re

import pytest

from managedvm.api.policies import MUTATING, OPERATOR_NAMESPACE, VALIDATING
from tests.api.policies import FOLDER, files, mutating_bindings, policies

EVERY = [*policies(VALIDATING), *policies(MUTATING)]
CHECKS = [
    pytest.param(policy["metadata"]["name"], check, id=f"{policy['metadata']['name']}-{number}")
    for policy in policies(VALIDATING)
    for number, check in enumerate(policy["spec"]["validations"])
]


def test_every_policy_file_is_installed():
    assert sorted(path.name for path in files()) == sorted(
        path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    )


@pytest.mark.parametrize("policy", EVERY, ids=lambda policy: f"{policy['kind']}-{policy['metadata']['name']}")
def test_a_policy_that_cannot_be_evaluated_refuses(policy):
    assert policy["spec"]["failurePolicy"] == "Fail"


@pytest.mark.parametrize("policy", EVERY, ids=lambda policy: f"{policy['kind']}-{policy['metadata']['name']}")
def test_a_policy_names_the_version_so_that_the_server_checks_its_types(policy):
    for rule in policy["spec"]["matchConstraints"]["resourceRules"]:
        assert "*" not in [*rule["apiVersions"], *rule["resources"], *rule["operations"]]


def test_every_policy_is_bound_under_its_own_name_and_denies():
    bindings = {body["metadata"]["name"]: body["spec"] for body in policies(f"{VALIDATING}Binding")}
    assert {name: spec["policyName"] for name, spec in bindings.items()} == {
        policy["metadata"]["name"]: policy["metadata"]["name"] for policy in policies(VALIDATING)
    }
    assert all("Deny" in spec["validationActions"] for spec in bindings.values())
    assert mutating_bindings() == [policy["metadata"]["name"] for policy in policies(MUTATING)]


def test_every_policy_knows_the_operator_by_the_namespace_in_which_alone_it_runs():
    named = {
        namespace
        for path in files()
        for namespace in re.findall(r"system:serviceaccount:([^:]+):managedvm-operator", path.read_text())
    }
    assert named == {OPERATOR_NAMESPACE}


@pytest.mark.parametrize(("policy", "check"), CHECKS)
def test_a_refusal_names_its_clause_and_a_way_out(policy, check):
    said = check.get("message") or check["messageExpression"]
    assert re.search(r"clause [1-6](\.[1-5])?", said), policy
    assert ";" in said or "): " in said, f"{policy}: after the clause comes what to do"
    assert check["reason"] in {"Invalid", "Forbidden"}
