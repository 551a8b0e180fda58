"""Where nothing changes nothing is written and nothing is read of a single VM, also by an operator that was restarted."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import operator, wait_until
from managedvm.api.kinds import KINDS
from tests.api.bodies import change_request, custom, work_entry
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, condition, working_day

pytestmark = pytest.mark.lab

FLEET = 50
QUIET = 2
"""Drift passes of every VM during which nothing may be written."""


def passes(replica):
    """Return how many passes of ManagedVMs have ended, and how many of them ended in any trouble."""
    with urllib.request.urlopen(f"http://127.0.0.1:{replica.health_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = [
        re.match(r'managedvm_passes_total\{kind="ManagedVM",result="(\w+)"\} (.*)', line) for line in lines
    ]
    counts = {match[1]: float(match[2]) for match in found if match}
    return sum(counts.values()), sum(counts.values()) - counts.get("Settled", 0)


def versions(stage):
    """Return the resourceVersion of every object of ours by its UID."""
    kinds = (custom(kind.KIND.kind, "", None, {}) for kind in KINDS)
    return {
        body["metadata"]["uid"]: body["metadata"]["resourceVersion"]
        for kind in kinds
        for body in stage.api.list(kind)
    }


@pytest.fixture(scope="module")
def fleet(stage):
    """Many VMs under contract, all as promised."""
    party = stage.party()
    names = [f"vm-{number:03}" for number in range(FLEET)]
    with ThreadPoolExecutor(8) as hands:
        list(hands.map(party.vm, names))

    def ready():
        found = stage.api.list({"kind": "ManagedVM", "metadata": {"namespace": party.namespace}})
        said = [condition(body, "Ready") for body in found]
        return len(said) == FLEET and all(one and one["status"] == "True" for one in said)

    wait_until(ready, f"{FLEET} VMs to be Ready", seconds=3 * PATIENCE)
    record_work(party)
    yield party
    party.close()


def record_work(party):
    """Leave work behind that is accepted, and work that never will be."""
    who = f"t@{party.namespace}.example"
    asked = change_request(
        party.namespace, "asked", PERSON, managedVMRef={"name": "vm-000"}, askedAt=working_day("09:00")
    )
    assert_done(party.stage.api.create(asked))
    for name, reason in (("accepted", "WorkAccepted"), ("overlap", "Overlap")):
        times = {"begin": working_day("10:00"), "end": working_day("10:15")}
        work = work_entry(party.namespace, name, who, changeRequestRef={"name": "asked"}, **times)
        assert_done(party.stage.api.create(work))
        wait_until(
            lambda of=work, as_=reason: (
                (condition(party.stage.api.read(of).body, "Accepted") or {}).get("reason") == as_
            ),
            f"work {name} to be {reason}",
            seconds=PATIENCE,
        )


def written(audit, mark, party):
    """Return what the operator has written since the mark, without its Lease.

    Other tests leave records behind that they have bent, and no operator can bring those to an end: only this party's
    namespace and the cluster-wide objects count.
    """
    return {
        (entry.verb, entry.resource, entry.name)
        for entry in audit.entries(mark, user=operator.USER)
        if entry.mutating
        and entry.resource != "leases"
        and entry.real_user == operator.USER
        and entry.namespace in ("", party.namespace)
    }


def quiet(party, stage, replica, audit, kube):
    """Let drift passes go by and return what was written, changed and read meanwhile."""
    audit.settle(kube)
    mark, before = audit.mark(), versions(stage)
    stage.vcenter.reset_calls()
    begun, _ = passes(replica)
    wait_until(
        lambda: passes(replica)[0] >= begun + QUIET * FLEET, "drift passes", seconds=3 * PATIENCE, every=0.5
    )
    audit.settle(kube)
    writes = written(audit, mark, party)
    after = versions(stage)
    calls = stage.vcenter.calls()
    return {
        "writes": writes,
        "changed": {uid for uid in before.keys() | after.keys() if before.get(uid) != after.get(uid)},
        "reads of single VMs": calls["vmReads"],
        "done in vCenter": calls["mutations"],
    }


NOTHING = {"writes": set(), "changed": set(), "reads of single VMs": 0, "done in vCenter": []}


def test_a_steady_state_costs_no_write_and_no_read_of_a_vm(fleet, stage, replica, audit, kube):
    assert quiet(fleet, stage, replica, audit, kube) == NOTHING


def test_a_restart_costs_no_write_and_no_read_of_a_vm(fleet, stage, replica, audit, kube):
    replica.stop()
    audit.settle(kube)
    mark, before = audit.mark(), versions(stage)
    stage.vcenter.reset_calls()
    replica.start()
    wait_until(lambda: passes(replica)[0] >= FLEET, "a pass of each VM", seconds=3 * PATIENCE, every=0.2)

    assert stage.vcenter.calls()["vmReads"] == 0
    assert stage.vcenter.calls()["mutations"] == []
    audit.settle(kube)
    assert written(audit, mark, fleet) == set()
    assert versions(stage) == before
    assert passes(replica)[1] == 0
