"""Clauses 1 and 2: what is done is what was ordered, while it is ordered, for the VM that it was ordered for."""

import pytest

from lab import wait_until
from tests.api.bodies import change_request, custom, customer, order
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, advanced, condition, instant

pytestmark = pytest.mark.lab

BASIC = {
    "Provisioning",
    "Operation",
    "ServicesOnRequest",
    "UpdatesOnOrder",
    "HighAvailability",
    "PrecautionaryAction",
}
FOUR_MORE_GIB = {"memory": "8Gi"}


def included(vm):
    return {service["name"] for service in vm.status["services"] if service["included"]}


def test_an_order_in_force_is_carried_out(party):
    vm = party.vm(orders=[advanced(reference="A-7")]).settled()
    said = vm.until("OrderInForce", status="True", reason="InForce")
    assert "A-7" in said["message"]
    assert "Standard" in said["message"]
    assert vm.status["order"]["reference"] == "A-7"
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


def test_before_its_order_starts_nothing_is_done_for_a_vm(party):
    vm = party.vm(orders=[advanced(**{"from": instant(3600)})])
    said = vm.until("OrderInForce", status="False", reason="NotYetInForce")
    assert "clause 1" in said["message"]
    vm.order("more", resources=FOUR_MORE_GIB)
    vm.assert_never_touched()
    assert vm.status["nextOrder"]["reference"] == "A-1"
    assert included(vm) == set()


def test_an_order_is_carried_out_from_its_first_instant_on(party):
    begin = instant(4)
    vm = party.vm(orders=[advanced(**{"from": begin})])
    vm.until("OrderInForce", status="False", reason="NotYetInForce")
    assert vm.facts["haOverride"] is None
    assert vm.until("Ready", status="True"), "nothing is due yet"
    assert vm.until("OrderInForce", status="True")["lastTransitionTime"] >= begin
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


def test_after_its_order_has_ended_nothing_is_done_for_a_vm(party):
    vm = party.vm(orders=[advanced(until=instant(4))])
    vm.until("Ready", status="True")
    said = vm.until("OrderInForce", status="False", reason="OrderEnded")
    assert "clause 1" in said["message"]
    vm.shake(cpus=3)
    party.stage.vcenter.ha_override(vm.path, restartPriority="low")
    vm.order("more", resources=FOUR_MORE_GIB)
    vm.assert_left_alone()
    assert vm.facts["haOverride"]["restartPriority"] == "low"
    assert vm.requests() == []
    assert included(vm) == set()


def test_the_next_order_follows_without_a_gap(party):
    turn = instant(4)
    first = advanced(reference="A-1", until=turn)
    second = order("A-2", "professional", servicePackage="Basic", **{"from": turn})
    vm = party.vm(orders=[first, second]).settled()
    assert (vm.status["order"]["reference"], vm.status["nextOrder"]["reference"]) == ("A-1", "A-2")
    assert vm.facts["haOverride"]["restartPriority"] == "medium"
    after = vm.shows(lambda status: status["order"]["reference"] == "A-2", "the second order")
    assert "nextOrder" not in after
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "high"


@pytest.mark.parametrize("package", ["Basic", "Advanced"])
def test_what_a_package_includes_is_in_status_clause_by_clause(party, package):
    vm = party.vm(orders=[order(servicePackage=package)]).settled()
    assert included(vm) == BASIC | ({"PatchManagement"} if package == "Advanced" else set())
    clauses = {service["name"]: service["clause"] for service in vm.status["services"]}
    assert (clauses["PatchManagement"], clauses["HighAvailability"]) == ("3.3", "5.2")
    vm.until("ServicePackageActive", status="True", reason="PackageActive")


def test_a_vm_without_a_package_gets_high_availability_and_nothing_else(party):
    vm = party.vm(orders=[order()]).settled()
    assert included(vm) == {"HighAvailability"}
    vm.until("ServicePackageActive", status="False", reason="NoPackageBooked")
    assert vm.facts["haOverride"]["restartPriority"] == "medium"
    assert vm.facts["extraConfig"] == {}
    vm.order("more", resources=FOUR_MORE_GIB)
    vm.request("Memory", "Refused")
    said = vm.until("ResourcesAsAgreed", status="False", reason="OrderUsedUp")
    assert "clause 4" in said["message"]
    vm.assert_left_alone()
    assert vm.done_to_vm() == []
    assert vm.work() == []


def test_a_level_that_becomes_mandatory_later_shows_a_missing_package(party):
    level = party.level("standard")
    vm = party.vm(orders=[order(level=level)]).settled()
    require_package(party, level, "Mandatory")
    said = vm.until("ServicePackageActive", status="False", reason="PackageMissing")
    assert "clause 1" in said["message"]
    assert "Basic or Advanced" in said["message"]
    vm.until("Ready", status="False", reason="PackageMissing")
    require_package(party, level, "Optional")
    vm.settled()


def require_package(party, level, requirement):
    body = custom("ServiceLevel", level, None, {})
    assert_done(party.stage.api.patch(body, {"spec": {"servicePackage": requirement}}))


def test_an_unknown_service_level_is_told_and_nothing_is_done(party):
    vm = party.vm(orders=[order(level="platinum", servicePackage="Basic")])
    said = vm.until("OrderInForce", status="False", reason="ServiceLevelUnknown")
    assert "platinum" in said["message"]
    vm.order("more", resources=FOUR_MORE_GIB)
    vm.assert_never_touched()


def test_an_unknown_customer_is_told_and_nothing_is_done(party):
    vm = party.vm(customerRef={"name": "nobody"})
    said = vm.until("ChangesPermitted", status="False", reason="CustomerUnknown")
    assert "nobody" in said["message"]
    vm.order("more", resources=FOUR_MORE_GIB)
    vm.assert_never_touched()


def test_a_customer_whose_namespace_is_taken_away_is_told_and_nothing_is_done(party):
    vm = party.vm().settled()
    them = customer(party.namespace)
    assert_done(party.stage.api.patch(them, {"spec": {"namespaces": ["elsewhere"]}}))
    vm.until("ChangesPermitted", status="False", reason="CustomerUnknown")
    party.stage.vcenter.ha_override(vm.path, restartPriority="low")
    vm.until("HighAvailabilityConfigured", status="False", reason="HighAvailabilityDrift")
    vm.assert_left_alone()
    assert_done(party.stage.api.patch(them, {"spec": {"namespaces": [party.namespace]}}))
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


def ask(party, name, **spec):
    """Return a request of a person once the operator has judged it."""
    body = change_request(party.namespace, name, PERSON, **spec)
    assert_done(party.stage.api.create(body))

    def judged():
        found = party.stage.api.read(body).body
        return found if condition(found, "Succeeded") else None

    return wait_until(judged, f"a word on {name}", seconds=PATIENCE)


def identity(vm):
    seen = vm.status["vm"]
    return {"vCenterUUID": seen["vCenterUUID"], "instanceUUID": seen["instanceUUID"]}


def test_a_request_for_another_vm_than_the_package_is_for_is_refused(party):
    mine, other = party.vm("web-01").settled(), party.vm("web-02").settled()
    wrong = ask(party, "for-another", managedVMRef={"name": "web-01"}, vm=identity(other))
    assert wrong["status"]["state"] == "Refused"
    assert condition(wrong, "Succeeded")["reason"] == "OutOfScopeVM"
    assert "clause 1" in condition(wrong, "Succeeded")["message"]
    right = ask(party, "for-its-own", managedVMRef={"name": "web-01"}, vm=identity(mine))
    assert right["status"]["state"] == "Ordered"
    assert condition(right, "Succeeded")["reason"] == "Documented"
    assert right["status"]["assessment"]["billing"] == "Effort"


def test_a_request_for_no_managed_vm_of_the_namespace_says_when_it_is_refused(party):
    lost = ask(party, "for-nobody", managedVMRef={"name": "nobody"})
    assert lost["status"]["state"] == "Ordered"
    assert condition(lost, "Succeeded")["reason"] == "OutOfScopeVM"
    assert "is refused at" in condition(lost, "Succeeded")["message"]


def test_a_request_without_an_active_package_is_recorded_as_refused(party):
    party.vm("bare-01", orders=[order()]).settled()
    party.vm("full-01").settled()
    bare = ask(party, "without", managedVMRef={"name": "bare-01"})
    assert bare["status"]["state"] == "Refused"
    assert condition(bare, "Succeeded")["reason"] == "NoActiveServicePackage"
    assert "clause 4" in condition(bare, "Succeeded")["message"]
    assert ask(party, "with", managedVMRef={"name": "full-01"})["status"]["state"] == "Ordered"
