"""What the operator's account may do is what it does, no more and no less: judged over all tests of the session.

It runs last (see conftest). The audit log reaches back to the start of the lab, since a Lease is created once in its life.
"""

import pytest
from kubernetes import aio as kubernetes

from lab import operator
from managedvm.api.kinds import KINDS
from managedvm.errors import ConflictError
from managedvm.world.apply import create_once
from managedvm.world.kube import HttpKube
from tests.api.bodies import change_request, outage, work_entry

pytestmark = pytest.mark.lab

SUBJECT = {"kind": "ServiceAccount", "name": operator.ACCOUNT, "namespace": "managedvm-system"}
RECORDS = {"changerequests", "workentries", "outages"}
CHANGING = {"update", "patch", "delete", "deletecollection"}


def rules(api):
    """Yield the rules that are bound to the account, each with the namespace that it holds in ("" for all)."""
    for scope in ("", "Cluster"):
        for binding in api.list({"kind": f"{scope}RoleBinding"}):
            if SUBJECT not in binding.get("subjects", []):
                continue
            where = binding["metadata"].get("namespace", "")
            meta = {"name": binding["roleRef"]["name"]}
            if binding["roleRef"]["kind"] == "Role":
                meta["namespace"] = where
            for rule in api.read({"kind": binding["roleRef"]["kind"], "metadata": meta}).body["rules"]:
                yield where, rule


@pytest.fixture
def granted(stage):
    """What is granted: namespace, API group, resource, verb."""
    return {
        (where, group, resource, verb)
        for where, rule in rules(stage.api)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture
def http_kube(replica):
    """The operator's own way to the API server, with its account."""

    async def connect():
        configuration = kubernetes.client.Configuration()
        await kubernetes.config.load_kube_config(str(replica.kubeconfig), client_configuration=configuration)
        return HttpKube(kubernetes.client.ApiClient(configuration), may_act=lambda: True)

    return connect


def twice(namespace, kind):
    """Return two bodies of a record of the operator's that have one name and say different things."""
    name = "op-twice"
    match kind:
        case "ChangeRequest":
            said = (("a@kunde.example", "web-01"), ("b@kunde.example", "web-02"))
            return [
                change_request(namespace, name, person, origin="Operator", managedVMRef={"name": vm})
                for person, vm in said
            ]
        case "WorkEntry":
            return [
                work_entry(namespace, name, "operator", changeRequestRef={"name": vm})
                for vm in ("web-01", "web-02")
            ]
        case _:
            return [outage(namespace, name, cause=cause) for cause in ("PoweredOff", "HostDown")]


@pytest.mark.parametrize("kind", ["ChangeRequest", "WorkEntry", "Outage"])
async def test_a_record_that_is_there_already_is_read_and_compared(party, http_kube, kind):
    body, other = twice(party.namespace, kind)
    kube = await http_kube()
    try:
        first = await create_once(kube, body)
        again = await create_once(kube, body)
        assert (again["metadata"]["uid"], again["spec"]) == (first["metadata"]["uid"], first["spec"])
        with pytest.raises(ConflictError, match="op-twice"):
            await create_once(kube, other)
    finally:
        await kube.close()


def test_the_account_reads_secrets_in_its_own_namespace_only(granted):
    assert {entry for entry in granted if entry[2] == "secrets"} == {
        ("managedvm-system", "", "secrets", "get")
    }


def test_the_account_has_no_wildcard(granted):
    assert [entry for entry in granted if "*" in "".join(entry)] == []


def test_the_account_changes_no_record_and_no_wish(granted):
    ours = {kind.KIND.plural for kind in KINDS}
    assert {
        (resource, verb) for _, _, resource, verb in granted if resource in ours and verb in CHANGING
    } == {("vmclaims", "delete")}
    assert {verb for _, _, resource, verb in granted if resource in RECORDS} == {
        "get",
        "list",
        "watch",
        "create",
    }


@pytest.mark.usefixtures("whole_session")
def test_what_is_granted_is_what_is_used(granted, audit, kube):
    audit.settle(kube)
    used = {
        (
            entry.namespace,
            entry.group,
            "/".join(filter(None, (entry.resource, entry.subresource))),
            entry.verb,
        )
        for entry in audit.entries(user=operator.USER)
        # Who impersonates the account is not the operator; what is no resource is open to everybody.
        if entry.real_user == operator.USER and entry.resource
    }

    unused = {right for right in granted if not any(_covers(right, use) for use in used)}
    missing = {use for use in used if not any(_covers(right, use) for right in granted)}

    assert (sorted(unused), sorted(missing)) == ([], [])


def _covers(right, use):
    return right[1:] == use[1:] and right[0] in ("", use[0])
