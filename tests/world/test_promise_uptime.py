"""Clause 1: the availability that the service level promises, measured on the running operator."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from lab import wait_until
from managedvm.clock import utc_now
from tests.api.bodies import contacts, requester
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, instant, window

pytestmark = pytest.mark.lab

CUSTOMER = "VSPHERE.LOCAL\\a.kunde"
LAG = 3
"""Seconds by which the clocks of a test, the simulator and whole seconds may differ."""


def outages(vm):
    """Return the outages of a ManagedVM, by begin."""
    found = [
        one
        for one in vm.party.records("Outage")
        if one["spec"].get("managedVMRef", {}).get("name") == vm.name
    ]
    return sorted(found, key=lambda one: one["spec"]["begin"])


def outage(vm, check, what):
    """Wait until the VM has just one outage that is as `check` says, and return it."""

    def found():
        there = outages(vm)
        return there[0] if len(there) == 1 and check(there[0]) else None

    return wait_until(found, f"an outage of {vm.path} to be {what}", seconds=2 * PATIENCE)


def is_over(one):
    return "end" in one.get("status", {})


def is_near(said, at):
    return abs((datetime.fromisoformat(said) - at).total_seconds()) <= LAG


def let_pass(seconds):
    """Return when so much time has passed."""
    due = utc_now() + timedelta(seconds=seconds)
    wait_until(lambda: due <= utc_now(), "time to pass", seconds=seconds + 1)


def measured(vm):
    """Wait until the VM is measured, and return it."""
    vm.settled()
    vm.shows(lambda status: "availability" in status, "availability")
    return vm


@pytest.fixture
def vm(party):
    """A VM that is measured, whose windows are far away."""
    return measured(party.vm(maintenance=window(timedelta(hours=48))))


def test_a_vm_that_is_switched_off_is_one_outage_with_its_begin_and_end_and_who(vm):
    began = utc_now()
    vm.shake(power="off")
    lasting = outage(vm, lambda one: not is_over(one), "begun")
    assert (lasting["spec"]["cause"], lasting["spec"]["by"]) == ("PoweredOff", "VSPHERE.LOCAL\\lab-admin")
    assert "exclusion" not in lasting["spec"]
    assert is_near(lasting["spec"]["begin"], began)
    vm.shows(lambda status: status["availability"].get("cause") == "PoweredOff", "the cause")

    let_pass(2)
    over = utc_now()
    vm.shake(power="on")
    ended = outage(vm, is_over, "over")
    assert is_near(ended["status"]["end"], over)
    shown = vm.shows(lambda status: "year" in status["availability"], "the downtime of the year")[
        "availability"
    ]
    assert "downSince" not in shown
    assert shown["month"]["counted"] == shown["year"]["counted"] != "0s"


def test_what_the_customer_has_switched_off_does_not_count(party):
    assert_done(party.stage.api.create(contacts(party.namespace, requester("a.kunde@vsphere.local"))))
    vm = measured(party.vm(maintenance=window(timedelta(hours=48))))
    vm.shake(power="off", by=CUSTOMER)
    assert outage(vm, lambda _: True, "recorded")["spec"]["exclusion"] == "ByCustomer"
    let_pass(2)
    vm.shake(power="on")
    outage(vm, is_over, "over")
    shown = vm.shows(lambda status: "year" in status["availability"], "the downtime of the year")
    assert shown["availability"]["year"]["counted"] == "0s"


def test_downtime_in_a_window_of_the_contract_does_not_count(party):
    vm = measured(party.vm(maintenance=window(timedelta(hours=-1))))
    vm.shake(power="off")
    outage(vm, lambda _: True, "recorded")
    let_pass(1.1)  # an outage within one second has nothing that could be excluded
    vm.shake(power="on")
    (part,) = outage(vm, is_over, "over")["status"]["excluded"]
    assert part["reason"] == "AnnouncedWindow"


def test_a_lost_heartbeat_is_an_outage_once_it_is_lost_for_as_long_as_the_level_says(party):
    level = party.level(highAvailability={"heartbeatFailureInterval": "10s"})
    orders = [
        {"reference": "A-1", "serviceLevel": level, "servicePackage": "Basic", "from": "2026-01-01T00:00:00Z"}
    ]
    vm = measured(party.vm(orders=orders, maintenance=window(timedelta(hours=48))))
    vm.shake(heartbeat="red")
    let_pass(2)
    vm.shake(heartbeat="green")
    lost = utc_now()
    vm.shake(heartbeat="red")
    found = outage(vm, lambda _: True, "recorded")
    assert (found["spec"]["cause"], is_near(found["spec"]["begin"], lost)) == ("HeartbeatLost", True)
    back = utc_now()
    vm.shake(heartbeat="green")
    assert is_near(outage(vm, is_over, "over")["status"]["end"], back)


def test_an_outage_that_came_and_went_while_no_operator_ran_is_read_from_vcenters_history(vm, replica):
    replica.stop()
    began = utc_now()
    vm.shake(power="off")
    let_pass(2)
    over = utc_now()
    vm.shake(power="on")
    replica.start()
    found = outage(vm, is_over, "recorded")
    assert is_near(found["spec"]["begin"], began)
    assert is_near(found["status"]["end"], over)


def test_an_outage_outlives_its_managed_vm_and_is_ended_where_it_is_measured_no_more(vm):
    vm.shake(power="off")
    outage(vm, lambda _: True, "recorded")
    deleted = instant()
    vm.delete()
    assert outage(vm, is_over, "over")["status"]["end"] >= deleted


@pytest.mark.parametrize("switch", [{"suspend": True}, {"mode": "Observe"}], ids=str)
def test_no_switch_hides_an_outage(vm, switch):
    vm.patch(**switch)
    vm.look_again()
    vm.shake(power="off")
    outage(vm, lambda _: True, "recorded")


def test_a_vm_in_observe_mode_that_was_never_claimed_is_not_measured(party):
    vm = party.vm(mode="Observe")
    vm.until("VMFound", status="True")
    vm.shake(power="off")
    vm.look_again()
    assert "availability" not in vm.status
    assert outages(vm) == []


def test_a_vm_on_a_host_that_does_not_respond_is_down_unless_it_turns_out_to_have_run_on(vm):
    host = vm.facts["host"]
    let_pass(2)  # so that its boot is older than the outage, in whole seconds
    vm.party.stage.vcenter.host(host, "notResponding")
    try:
        found = wait_until(lambda: outages(vm) or None, "the outage", seconds=3 * PATIENCE)[0]
    finally:
        vm.party.stage.vcenter.host(host, "connected")
    assert found["spec"]["cause"] == "HostDown"
    assert outage(vm, is_over, "over")["status"]["ranOn"] is True


def gaps(vm):
    """Return the times in which no VM of this party could be seen, by begin."""
    found = [one for one in vm.party.records("Outage") if one["spec"]["cause"] == "NotMeasured"]
    return sorted(found, key=lambda one: one["spec"]["begin"])


def test_an_operator_that_was_away_for_long_says_so_once_for_all_vms_of_a_customer(vm, replica):
    measured(vm.party.vm("web-02"))
    away = utc_now()
    replica.kill()
    let_pass(35)
    replica.start()
    (gap,) = wait_until(
        lambda: [one for one in gaps(vm) if is_over(one)] or None, "the gap", seconds=3 * PATIENCE
    )
    assert "managedVMRef" not in gap["spec"]
    assert is_near(gap["spec"]["begin"], away)
    assert utc_now() - timedelta(seconds=30) <= datetime.fromisoformat(gap["status"]["end"]) <= utc_now()


def test_how_available_a_vm_was_is_worked_out_when_somebody_asks(vm, lab):
    vm.shake(power="off")
    let_pass(2)
    vm.shake(power="on")
    ended = outage(vm, is_over, "over")
    program = str(Path(sys.executable).with_name("managedvm"))
    said = subprocess.run(  # noqa: S603 - the lab's own
        (program, "availability", f"{vm.party.namespace}/{vm.name}"),
        env={"HOME": str(lab.directory), "KUBECONFIG": str(lab.kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    down = datetime.fromisoformat(ended["status"]["end"]) - datetime.fromisoformat(ended["spec"]["begin"])
    assert f" {int(down.total_seconds())}s " in said
    for words in ("A-1", "99.9 %", "PoweredOff", ended["metadata"]["name"], "VSPHERE.LOCAL\\lab-admin"):
        assert words in said, said
