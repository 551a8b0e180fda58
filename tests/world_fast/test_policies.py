"""A policy protects only while it is there, bound to its own name, denying, with its parameters, and closed to doubt."""

from copy import deepcopy

import pytest

from managedvm.api.policies import MUTATING, REQUIRED_POLICIES, VALIDATING, binding_of
from managedvm.engine.store import Store
from managedvm.world.policies import PoliciesInForce
from tests.api.policies import shipped

BINDING = binding_of(VALIDATING)


class Cluster:
    """A cluster in which all that ships was applied."""

    def __init__(self):
        self.store = Store({})
        self.in_force = PoliciesInForce(self.store)
        self.version = 0
        for body in shipped():
            self.put(body)

    def put(self, body):
        self.version += 1
        meta = {
            **body["metadata"],
            "uid": f"{body['kind']}-{body['metadata']['name']}",
            "resourceVersion": str(self.version),
        }
        self.store.put({**body, "metadata": meta})

    def change(self, kind, name, **spec):
        body = deepcopy(self.store.get(kind, "", name))
        body["spec"] = {**body["spec"], **spec}
        self.put(body)


@pytest.fixture
def cluster():
    return Cluster()


def test_what_ships_is_in_force(cluster):
    assert cluster.in_force.missing() == ()


@pytest.mark.parametrize("kind", REQUIRED_POLICIES)
def test_of_each_policy_both_itself_and_its_binding_are_missed(cluster, kind):
    for name in REQUIRED_POLICIES[kind]:
        cluster.store.drop(binding_of(kind), f"{binding_of(kind)}-{name}")
        assert f"{name} (its binding is missing)" in cluster.in_force.missing()
    cluster = Cluster()
    for name in REQUIRED_POLICIES[kind]:
        cluster.store.drop(kind, f"{kind}-{name}")
        assert f"{name} (the policy is missing)" in cluster.in_force.missing()


@pytest.mark.parametrize(
    ("kind", "name", "spec", "why"),
    [
        (BINDING, "managedvm-changes", {"validationActions": ["Audit"]}, "its binding does not deny"),
        (BINDING, "managedvm-changes", {"policyName": "mine"}, "its binding names another policy"),
        (
            BINDING,
            "managedvm-package-required",
            {"paramRef": {"name": "basic", "parameterNotFoundAction": "Allow"}},
            "its binding has another paramRef",
        ),
        (
            BINDING,
            "managedvm-requests",
            {"matchResources": {"namespaceSelector": {"matchLabels": {"a": "b"}}}},
            "its binding has matchResources and so leaves something out",
        ),
        (
            VALIDATING,
            "managedvm-records",
            {"failurePolicy": "Ignore"},
            "the policy lets through what it cannot judge",
        ),
        (
            binding_of(MUTATING),
            "managedvm-applied-by",
            {"policyName": "mine"},
            "its binding names another policy",
        ),
    ],
)
def test_a_policy_that_is_there_and_refuses_nothing_counts_as_missing(cluster, kind, name, spec, why):
    assert cluster.in_force.missing() == ()
    before = cluster.store.get(kind, "", name)
    cluster.change(kind, name, **spec)
    assert cluster.in_force.missing() == (f"{name} ({why})",)
    cluster.put(before)
    assert cluster.in_force.missing() == ()
