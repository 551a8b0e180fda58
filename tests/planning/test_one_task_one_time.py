"""Decision 0026, clause 4: the time of one task is billed once, however many changes it has made."""

from dataclasses import replace

from managedvm.api.pricelist import AutomatedWork
from managedvm.planning.actions import AdvanceRequest, Reconfigure, RecordWork
from managedvm.planning.managedvm import plan
from managedvm.planning.orphans import bill_orphan
from managedvm.planning.targets import carried_by
from tests import laws
from tests.factories import (
    NOW,
    change_request,
    managed_vm,
    observed,
    price_book,
    slip,
    task,
    virtual_machine,
)
from tests.planning.test_the_bill_comes import orphaned

VM = managed_vm(resources={"memory": "8Gi", "cpus": 4}, change=slip())
HOT = virtual_machine(cpu_hot_add=True, memory_hot_add=True)
MEMORY, CPUS = change_request(), change_request("CPUs", "4", before="2")
FIRST, SECOND = sorted((MEMORY.metadata.name, CPUS.metadata.name))


def planned(found):
    decided = plan(VM, found, NOW)
    laws.check(VM, found, NOW, decided)
    return decided


def done(**notes):
    """Return the VM after one task has made both changes."""
    (act,) = (
        a for a in planned(observed(HOT, requests=[MEMORY, CPUS])).actions if isinstance(a, Reconfigure)
    )
    return replace(HOT, memory_mib=8192, cpus=4, notes={**HOT.notes, **act.notes, **notes})


def amounts(decided):
    entries = (a.body["spec"] for a in decided.actions if isinstance(a, RecordWork))
    return {entry["changeRequestRef"]["name"]: entry["charge"] for entry in entries}


def test_of_two_changes_by_one_task_the_first_has_the_time_and_the_other_refers_to_it():
    charges = amounts(planned(observed(done(), requests=[MEMORY, CPUS], task=task())))
    assert (charges[FIRST]["amount"], charges[FIRST]["counted"]) == ("30.00", "15m")
    other = charges[SECOND]
    assert (other["amount"], other["counted"], other.get("lines", [])) == ("0.00", "0s", [])
    assert FIRST in other["explanation"]


def test_a_crash_between_the_two_records_changes_nothing():
    by_name = {r.metadata.name: r for r in (MEMORY, CPUS)}
    for left, amount in ((FIRST, "30.00"), (SECOND, "0.00")):
        charges = amounts(planned(observed(done(), requests=[by_name[left]], task=task())))
        assert charges[left]["amount"] == amount


def test_a_change_that_is_made_alone_has_its_own_time():
    vm = managed_vm(resources={"memory": "8Gi"}, change=slip())
    (act,) = (
        a for a in plan(vm, observed(HOT, requests=[MEMORY]), NOW).actions if isinstance(a, Reconfigure)
    )
    assert act.notes == {"managedvm.change.memory": MEMORY.metadata.name}


def test_what_an_earlier_change_has_noted_of_its_time_does_not_count():
    stale = {"managedvm.effort.memory": "op-earlier op-else", "managedvm.effort.cpus": "op-earlier op-else"}
    charges = amounts(planned(observed(done(**stale), requests=[MEMORY, CPUS], task=task())))
    assert {charge["amount"] for charge in charges.values()} == {"30.00"}
    assert carried_by(done(), "Memory", "op-another") is None


def test_without_its_managed_vm_it_is_the_same():
    by_name = {r.metadata.name: r for r in (MEMORY, CPUS)}
    work, end = bill_orphan(by_name[SECOND], orphaned(carrier=FIRST), NOW)
    assert isinstance(work, RecordWork)
    assert isinstance(end, AdvanceRequest)
    assert work.body["spec"]["charge"]["amount"] == "0.00"


def test_where_the_operator_works_for_free_both_cost_nothing():
    free = price_book(automated_work=AutomatedWork.FREE)
    charges = amounts(planned(observed(done(), requests=[MEMORY, CPUS], task=task(), prices=free)))
    assert {charge["amount"] for charge in charges.values()} == {"0.00"}
