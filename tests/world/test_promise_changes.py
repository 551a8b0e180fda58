"""Clauses 4, 4.2, 6.3 and 6.4: a change of size is ordered, documented, done, billed once, or plainly not done."""

import re
from datetime import datetime, timedelta

import pytest

from lab import operator, wait_until
from managedvm.clock import utc_now
from managedvm.planning.retry import RETRY_AFTER
from tests.api.bodies import agreed_prices, contacts, customer, order, price_list, requester
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, condition, instant

pytestmark = pytest.mark.lab

MORE = {"memory": "8Gi"}
GIB = 1 << 30


def amounts(vm):
    return [(entry["spec"]["charge"]["amount"], entry["spec"]["charge"]["currency"]) for entry in vm.work()]


def test_cpus_memory_and_a_disk_grow_while_the_vm_runs_and_their_task_is_billed_once(party):
    vm = party.vm().settled()
    done = len(vm.done_to_vm())
    disks = [{"name": "system", "deviceNode": "SCSI(0:0)", "size": "20Gi"}]
    vm.order("all-at-once", resources={"cpus": 4, "memory": "8Gi", "disks": disks})
    for aspect in ("CPUs", "Memory", "Disk/system"):
        request = vm.request(aspect, "Done")
        assert request["spec"]["requestedBy"] == PERSON
        assert request["status"]["assessment"]["clause"] == "6.3"
        assert condition(request, "Succeeded")["status"] == "True"
    facts = vm.facts
    assert (facts["cpus"], facts["memoryMiB"], facts["disks"][0]["bytes"]) == (4, 8192, 20 * GIB)
    assert facts["power"] == "poweredOn"
    assert vm.done_to_vm()[done:] == ["ReconfigVM_Task"]
    assert sorted(amounts(vm)) == [("0.00", "EUR"), ("0.00", "EUR"), ("30.00", "EUR")], "one task, one time"
    vm.settled()
    assert vm.status["configuration"]["baseline"]["memory"] == "4Gi"
    assert vm.status["configuration"]["current"]["memory"] == "8Gi"
    vm.assert_left_alone()


def test_the_intent_is_on_record_before_the_act_and_the_work_after_it(party, audit, kube):
    vm = party.vm().settled()
    mark = audit.mark()
    vm.order("more", resources=MORE)
    request = vm.request("Memory", "Done")
    audit.settle(kube)
    created = {
        entry.resource: entry.at
        for entry in audit.entries(mark, user=operator.USER)
        if entry.verb == "create" and entry.namespace == party.namespace
    }
    acts = [call for call in party.stage.vcenter.calls()["mutations"] if call["path"] == vm.path]
    act = datetime.fromisoformat(acts[-1]["at"])
    assert created["changerequests"] < act < created["workentries"]
    work = vm.work()[0]["spec"]
    assert work["performedBy"] == "operator"
    assert work["evidence"]["task"] == acts[-1]["task"]
    assert vm.facts["extraConfig"]["managedvm.change.memory"] == request["metadata"]["name"]


def test_a_difference_found_at_adoption_is_done_only_after_an_order(party):
    vm = party.vm(resources=MORE)
    said = vm.until("ResourcesAsAgreed", status="False", reason="AdoptionPending")
    assert "Memory 4Gi to 8Gi" in said["message"]
    vm.settled()
    vm.assert_left_alone()
    assert vm.requests() == []
    vm.order("as-agreed")
    vm.request("Memory", "Done")
    assert amounts(vm) == [("30.00", "EUR")]


def test_the_first_configuration_of_a_vm_made_for_its_order_is_included(party):
    where = {"vCenterRef": {"name": party.stage.name}, "inventoryPath": f"{party.folder}/web-01"}
    vm = party.vm(vm={**where, "origin": "Provisioned"}, resources={"memory": "8Gi", "cpus": 4}, mode=None)
    vm.until("ResourcesAsAgreed", status="True")
    assert (vm.facts["memoryMiB"], vm.facts["cpus"]) == (8192, 4)
    assert vm.requests() == []
    vm.settled()
    vm.order("more", resources={"memory": "12Gi", "cpus": 4})
    vm.request("Memory", "Done")
    assert amounts(vm) == [("30.00", "EUR")]


@pytest.mark.parametrize(("cpus", "reason"), [(4, "ResourcesExceedSpec"), (1, "ResourcesBelowSpec")])
def test_a_size_that_somebody_has_changed_is_told_and_neither_undone_nor_billed(party, cpus, reason):
    vm = party.vm(resources={"cpus": 2}).settled()
    vm.shake(cpus=cpus)
    said = vm.until("ResourcesAsAgreed", status="False", reason=reason)
    assert "clause 6" in said["message"]
    vm.assert_left_alone()
    assert vm.facts["cpus"] == cpus
    assert vm.requests() == []
    assert vm.status["configuration"]["current"]["cpus"] == cpus


def test_an_old_order_does_not_pay_for_what_somebody_changes_later(party):
    vm = party.vm().settled()
    vm.order("four", resources={"cpus": 4})
    vm.request("CPUs", "Done")
    vm.settled()
    vm.shake(cpus=2)
    vm.until("ResourcesAsAgreed", status="False", reason="ResourcesBelowSpec")
    vm.assert_left_alone()
    assert len(vm.work()) == 1
    vm.order("four-again")
    wait_until(lambda: len(vm.party.records("WorkEntry")) == 2, "the second work", seconds=PATIENCE)
    assert vm.facts["cpus"] == 4


def test_a_disk_never_shrinks(party):
    disk = {"name": "system", "deviceNode": "SCSI(0:0)"}
    vm = party.vm(resources={"disks": [{**disk, "size": "10Gi"}]}).settled()
    vm.order("less", resources={"disks": [{**disk, "size": "5Gi"}]})
    refused = vm.request("Disk/system", "Refused")
    assert condition(refused, "Succeeded")["reason"] == "DiskCannotShrink"
    vm.until("ResourcesAsAgreed", status="False")
    vm.assert_left_alone()
    assert vm.facts["disks"][0]["bytes"] == 10 * GIB
    assert vm.work() == []


def test_a_disk_that_the_vm_does_not_have_is_told(party):
    absent = [{"name": "data", "deviceNode": "SCSI(0:9)", "size": "10Gi"}]
    vm = party.vm(resources={"disks": absent})
    said = vm.until("ResourcesAsAgreed", status="False", reason="DiskMissing")
    assert "SCSI(0:9)" in said["message"]
    vm.assert_left_alone()


def name_requesters(party, *people):
    assert_done(party.stage.api.create(contacts(party.namespace, *people)))


def test_an_order_of_somebody_who_is_not_listed_is_documented_and_held(party):
    name_requesters(party, requester(PERSON))
    vm = party.vm().settled()
    vm.order("by-a-stranger", by="stranger@kunde.example", resources=MORE)
    held = vm.request("Memory", "Held")
    assert held["spec"]["requestedBy"] == "stranger@kunde.example"
    assert "clause 4" in vm.until("ResourcesAsAgreed", status="False", reason="RequestHeld")["message"]
    vm.assert_left_alone()
    assert vm.facts["memoryMiB"] == 4096
    assert vm.work() == []
    vm.order("by-who-may", by=PERSON)
    vm.request("Memory", "Done")
    states = {r["spec"]["requestedBy"]: r["status"]["state"] for r in party.records("ChangeRequest")}
    assert states == {"stranger@kunde.example": "Withdrawn", PERSON: "Done"}
    assert len(vm.work()) == 1


def test_who_may_not_order_any_more_is_held(party):
    name_requesters(party, requester(PERSON, until=instant(-60)), requester("b@kunde.example"))
    vm = party.vm().settled()
    vm.order("too-late", resources=MORE)
    vm.request("Memory", "Held")
    vm.assert_left_alone()


def test_a_customer_may_let_anybody_order(party):
    policy = {"requests": {"unlistedRequester": "Proceed"}}
    assert_done(party.stage.api.patch(customer(party.namespace), {"spec": policy}))
    name_requesters(party, requester(PERSON))
    vm = party.vm().settled()
    vm.order("by-a-stranger", by="stranger@kunde.example", resources=MORE)
    vm.request("Memory", "Done")


def test_where_nobody_is_listed_the_customers_policy_decides(party):
    policy = {"requests": {"noRequesterListed": "Hold"}}
    assert_done(party.stage.api.patch(customer(party.namespace), {"spec": policy}))
    vm = party.vm().settled()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Held")
    vm.assert_left_alone()


def own_prices(party, *rates):
    """Bill this customer by a price list of its own, made once there are rates; returns its name."""
    name, turn = f"prices-{party.namespace}", instant(2)
    agreed = [*customer(party.namespace)["spec"]["priceLists"], agreed_prices(name, turn)]
    assert_done(party.stage.api.patch(customer(party.namespace), {"spec": {"priceLists": agreed}}))
    wait_until(lambda: instant() > turn, "the new price list", seconds=PATIENCE)
    prices = price_list(name)
    if rates:
        usual = {"increment": "15m", "minimum": "15m"}
        prices["spec"]["rates"] = [{"from": begin, "hourly": hourly, **usual} for begin, hourly in rates]
        assert_done(party.stage.api.create(prices))
    return prices


def test_work_is_billed_by_the_rate_that_is_valid_when_it_is_done(party):
    turn = instant(6)
    prices = own_prices(
        party, ("2026-01-01T00:00:00Z", "80.00"), (turn, "100.00"), ("2099-01-01T00:00:00Z", "999.00")
    )
    vm = party.vm().settled()
    vm.order("before", resources={"memory": "6Gi"})
    vm.request("Memory", "Done")
    assert amounts(vm) == [("20.00", "EUR")]
    wait_until(lambda: instant() > turn, "the new rate", seconds=PATIENCE)
    vm.order("after", resources=MORE)
    wait_until(lambda: len(vm.work()) == 2, "the second work", seconds=PATIENCE)
    assert sorted(amounts(vm)) == [("20.00", "EUR"), ("25.00", "EUR")]
    assert_done(party.stage.api.delete(prices))


def test_without_a_price_the_order_is_documented_and_the_work_waits(party):
    prices = own_prices(party)
    vm = party.vm().settled()
    vm.order("more", resources=MORE)
    vm.request("Memory", "Ordered")
    said = vm.until("ResourcesAsAgreed", status="False", reason="PriceUnknown")
    assert "clause 4" in said["message"]
    vm.assert_left_alone()
    assert vm.facts["memoryMiB"] == 4096
    assert_done(party.stage.api.create(prices))
    vm.request("Memory", "Done")
    assert amounts(vm) == [("30.00", "EUR")]
    assert_done(party.stage.api.delete(prices))


def test_while_a_vm_is_suspended_from_decisions_nothing_is_decided(party):
    vm = party.vm().settled()
    vm.patch(suspend=True)
    vm.until("Ready", status="Unknown", reason="Suspended")
    vm.until("HighAvailabilityConfigured", status="True")
    party.stage.vcenter.ha_override(vm.path, restartPriority="low")
    vm.order("more", resources=MORE)
    vm.assert_left_alone()
    assert vm.facts["haOverride"]["restartPriority"] == "low"
    assert vm.requests() == []
    vm.patch(suspend=False)
    vm.request("Memory", "Done")
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


def test_an_order_in_observe_is_told_and_not_recorded(party):
    vm = party.vm(mode="Observe")
    vm.order("more", resources=MORE)
    said = vm.until("ResourcesAsAgreed", status="False", reason="AdoptionPending")
    assert "would be recorded" in said["message"]
    vm.assert_never_touched()


def test_an_order_slip_serves_once(party):
    vm = party.vm().settled()
    vm.order("a", resources={"memory": "6Gi"})
    vm.request("Memory", "Done")
    vm.order("b", resources={"memory": "8Gi"})
    wait_until(lambda: len(party.records("WorkEntry")) == 2, "the second work", seconds=PATIENCE)
    vm.settled()
    vm.order("a", resources={"memory": "10Gi"})
    vm.until("ResourcesAsAgreed", status="False", reason="ChangeIDReused")
    vm.assert_left_alone()
    assert vm.facts["memoryMiB"] == 8192


@pytest.mark.parametrize("ahead", [0, 9, -9], ids=["its clock right", "9 h ahead", "9 h behind"])
def test_a_change_that_vcenter_refuses_is_told_not_billed_and_not_tried_again_at_once(party, ahead):
    vm = party.vm().settled()
    party.stage.vcenter.fault("wrong-clock", seconds=ahead * 3600)
    done = len(vm.done_to_vm())
    fault = {"method": "ReconfigVM_Task", "fault": "InsufficientResourcesFault", "path": vm.path}
    party.stage.vcenter.fault("fail-task", **fault)
    vm.order("more", resources=MORE)
    said = vm.until("ResourcesAsAgreed", status="False", reason="ChangeFailed")
    assert "InsufficientResourcesFault" in said["message"]
    again = datetime.fromisoformat(re.search(r"tried again at (\S+Z)", said["message"])[1])
    assert timedelta(0) < again - utc_now() <= RETRY_AFTER
    party.stage.vcenter.clear_faults()
    vm.assert_left_alone()
    assert vm.done_to_vm()[done:] == ["ReconfigVM_Task"]
    assert vm.requests()[0]["status"]["state"] == "Ordered"
    assert vm.work() == []


def test_without_a_package_an_order_is_refused_and_a_booked_one_lets_it_through(party):
    vm = party.vm(orders=[order(until=instant(5))])
    vm.order("too-early", resources=MORE)
    vm.request("Memory", "Refused")
    following = order("A-2", servicePackage="Basic", **{"from": vm.body["spec"]["orders"][0]["until"]})
    vm.patch(orders=[*vm.body["spec"]["orders"], following])
    vm.until("ServicePackageActive", status="True")
    vm.order("now")
    vm.request("Memory", "Done")
    assert len(vm.work()) == 1
