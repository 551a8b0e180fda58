"""Clause 5.2: vSphere HA watches every VM as its level says, restarts it at most three times, and nobody else does."""

from contextlib import suppress

import pytest

from lab import wait_until
from managedvm.clock import utc_now
from managedvm.reconcile import SETTLE
from tests.api.bodies import order
from tests.api.server import assert_done
from tests.world.stage import PATIENCE

pytestmark = pytest.mark.lab

OVERRIDE = {
    "vmMonitoring": "vmMonitoringOnly",
    "clusterSettings": False,
    "failureInterval": 30,
    "minUpTime": 120,
    "maxFailures": 3,
    "maxFailureWindow": -1,
}


def settings(vm):
    """Return the HA settings of a VM's own, without the flag that old clients read."""
    found = dict(vm.facts["haOverride"] or {})
    found.pop("enabled", None)
    return found


def repaired(vm, priority):
    wanted = {**OVERRIDE, "restartPriority": priority}
    wait_until(lambda: settings(vm) == wanted, f"HA settings of {vm.path}", seconds=PATIENCE, every=0.02)


@pytest.mark.parametrize(
    ("level", "package", "priority"),
    [
        ("basic", None, "lowest"),
        ("standard", None, "medium"),
        ("standard", "Advanced", "medium"),
        ("professional", "Basic", "high"),
        ("premium", "Advanced", "highest"),
    ],
)
def test_high_availability_follows_the_level_with_or_without_a_package(party, level, package, priority):
    booked = {"servicePackage": package} if package else {}
    vm = party.vm(orders=[order(level=level, **booked)]).settled()
    vm.until("HighAvailabilityConfigured", status="True", reason="HighAvailabilityAsPromised")
    assert settings(vm) == {**OVERRIDE, "restartPriority": priority}


@pytest.mark.parametrize(
    "drift",
    [
        {"restartPriority": "low"},
        {"vmMonitoring": "vmMonitoringDisabled"},
        {"failureInterval": 120},
        {"minUpTime": 480},
        {"maxFailures": 30},
        {"maxFailureWindow": 3600},
        {"clusterSettings": True},
        {"remove": True},
    ],
    ids=lambda drift: next(iter(drift)),
)
def test_drift_of_a_setting_is_repaired(party, drift):
    vm = party.vm().settled()
    party.stage.vcenter.ha_override(vm.path, **drift)
    repaired(vm, "medium")
    vm.until("HighAvailabilityConfigured", status="True")


def test_a_repair_is_told_as_an_event_with_its_clause(party):
    vm = party.vm().settled()
    party.stage.vcenter.ha_override(vm.path, restartPriority="low")
    repaired(vm, "medium")

    def told():
        return next((e for e in party.events() if e["reason"] == "HighAvailabilityRepairing"), None)

    event = wait_until(told, "the Event", seconds=PATIENCE)
    assert event["type"] == "Normal"
    assert "restart priority low instead of medium" in event["note"]
    assert "clause 5.2" in event["note"]


def test_in_observe_drift_is_told_and_nothing_is_done(party):
    vm = party.vm(mode="Observe")
    said = vm.until("HighAvailabilityConfigured", status="False", reason="HighAvailabilityDrift")
    assert "restart priority not set instead of medium" in said["message"]
    vm.until("ChangesPermitted", status="False", reason="ObserveOnly")
    vm.order("more", resources={"memory": "8Gi"})
    vm.assert_never_touched()
    assert vm.facts["extraConfig"] == {}


def test_an_adopted_vm_is_only_observed_where_nothing_else_is_said(party):
    vm = party.vm(mode=None)
    vm.until("ChangesPermitted", status="False", reason="ObserveOnly")
    assert vm.status["mode"] == "Observe"
    vm.assert_never_touched()


def test_the_vcenter_caps_the_mode_of_all_its_vms(guest_party, elsewhere):
    elsewhere.allow(maximumMode="Observe")
    vm = guest_party.vm()
    vm.until("ChangesPermitted", status="False", reason="ObserveOnly")
    vm.assert_never_touched()
    elsewhere.allow(maximumMode="Enforce")
    repaired(vm, "medium")


def test_cluster_settings_are_only_repaired_where_the_provider_allows_it(guest_party, elsewhere):
    elsewhere.allow(clusterSettings="Observe")
    cluster = elsewhere.vcenter.cluster
    cluster("cluster-1", vmMonitoring="vmMonitoringDisabled", options={"das.iostatsInterval": "60"})
    vm = guest_party.vm()
    repaired(vm, "medium")
    said = vm.until("HighAvailabilityConfigured", status="False", reason="ClusterDrift")
    assert "das.iostatsInterval 60 instead of 120" in said["message"]
    elsewhere.until("ClustersConfigured", status="False", reason="ClusterDrift")
    vm.assert_left_alone()
    found = cluster("cluster-1")
    assert (found["vmMonitoring"], found["options"]["das.iostatsInterval"]) == ("vmMonitoringDisabled", "60")

    elsewhere.allow(clusterSettings="Enforce")
    elsewhere.until("ClustersConfigured", status="True")
    vm.settled()
    found = cluster("cluster-1")
    assert (found["vmMonitoring"], found["options"]["das.iostatsInterval"]) == ("vmMonitoringOnly", "120")
    cluster("cluster-1", options={"das.iostatsInterval": "30"})
    wait_until(
        lambda: cluster("cluster-1")["options"]["das.iostatsInterval"] == "120",
        "the repair",
        seconds=PATIENCE,
    )


def test_a_cluster_without_managed_vms_is_left_alone(guest_party, elsewhere):
    elsewhere.allow(clusterSettings="Enforce")
    guest_party.vm().settled()
    assert elsewhere.vcenter.cluster("cluster-2")["vmMonitoring"] == "vmMonitoringDisabled"
    assert elsewhere.vcenter.cluster("cluster-2")["options"] == {}


def test_missing_tools_are_told_since_high_availability_is_blind_without_them(party):
    vm = party.vm().settled()
    vm.shake(tools="notRunning")
    said = vm.until("ToolsRunning", status="False", reason="ToolsNotRunning")
    assert "clause 5.2" in said["message"]
    vm.until("Ready", status="False", reason="ToolsNotRunning")
    vm.shake(tools="running")
    vm.settled()


def test_a_vm_that_is_off_on_purpose_is_left_off(party):
    vm = party.vm().settled()
    done = vm.done_to_vm()
    vm.shake(power="off")
    vm.until("ToolsRunning", status="Unknown", reason="PoweredOff")
    vm.assert_left_alone()
    assert vm.facts["power"] == "poweredOff"
    assert vm.done_to_vm() == done


def restarts(vm, number):
    vm.shows(
        lambda status: status.get("highAvailability", {}).get("consecutive") == number, f"{number} restarts"
    )


def test_the_third_restart_in_a_row_is_told_though_the_vm_has_moved_and_the_operator_was_restarted(
    party, replica
):
    vm = party.vm().settled()
    done = vm.done_to_vm()
    hand = party.stage.vcenter
    hand.ha_restart(vm.path)
    restarts(vm, 1)
    vm.until("RestartsWithinLimit", status="True", reason="RestartedByHA")
    vm.settled()
    here = vm.facts["host"]
    hand.vm(vm.path, host=next(h for h in hand.cluster("cluster-1")["hosts"] if h != here))
    hand.ha_restart(vm.path, kind="screenshot")
    restarts(vm, 2)
    vm.until("RestartsWithinLimit", status="True", reason="RestartedByHA")

    replica.stop()
    hand.ha_restart(vm.path)
    replica.start()

    restarts(vm, 3)
    said = vm.until("RestartsWithinLimit", status="False", reason="RestartLimitReached")
    assert "3 times in a row" in said["message"]
    assert "clause 5.2" in said["message"]
    vm.until("Ready", status="False", reason="RestartLimitReached")
    vm.shake(heartbeat="red")
    vm.assert_left_alone()
    assert vm.done_to_vm() == done


def test_restarts_that_failed_are_none(party):
    vm = party.vm().settled()
    party.stage.vcenter.ha_restart(vm.path, kind="failed")
    party.stage.vcenter.ha_restart(vm.path)
    restarts(vm, 1)


KIND = {"kind": "CustomResourceDefinition", "metadata": {"name": "servicelevels.managedvm.dev"}}
RULES = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/highAvailability/x-kubernetes-validations"


@pytest.fixture
def quick_level(party):
    """A level whose streaks end after three seconds: the rules that refuse such a level are taken away for a moment."""
    api = party.stage.api
    rules = api.read(KIND).body
    for part in RULES.strip("/").split("/"):
        rules = rules[int(part) if part.isdigit() else part]
    assert_done(api.patch(KIND, [{"op": "remove", "path": RULES}]))

    def made():
        with suppress(AssertionError):
            return party.level("standard", highAvailability={"streakEndsAfter": "3s"})

    try:
        return wait_until(made, "the rules to be gone", seconds=PATIENCE)
    finally:
        assert_done(api.patch(KIND, [{"op": "add", "path": RULES, "value": rules}]))


def test_a_streak_ends_after_the_green_time_of_the_level_and_only_when_it_was_green(party, quick_level):
    orders = [order(level=quick_level)]
    ill, well = party.vm("ill-01", orders=orders).settled(), party.vm("well-01", orders=orders).settled()
    for vm in (ill, well):
        party.stage.vcenter.ha_restart(vm.path)
        if vm is ill:
            vm.shake(heartbeat="red")
        restarts(vm, 1)
    since = utc_now()
    well.until("RestartsWithinLimit", status="True", reason="NoRestarts")
    assert (utc_now() - since).total_seconds() > 1.5
    assert "highAvailability" not in well.status
    ill.look_again()
    ill.until("RestartsWithinLimit", status="True", reason="RestartedByHA")
    ill.shake(heartbeat="green")
    ill.until("RestartsWithinLimit", status="True", reason="NoRestarts")
    party.stage.vcenter.ha_restart(ill.path)
    restarts(ill, 1)


CLUSTER_CALL = "ReconfigureComputeResource_Task"


def attempts(stage):
    return sum(call["method"] == CLUSTER_CALL for call in stage.vcenter.calls()["mutations"])


def test_a_vm_that_only_observes_has_the_drift_of_its_cluster_told_and_nothing_repaired(
    guest_party, elsewhere
):
    elsewhere.allow(clusterSettings="Enforce")
    stopped = {"enabled": False, "hostMonitoring": "disabled", "vmMonitoring": "vmMonitoringDisabled"}
    elsewhere.vcenter.cluster("cluster-2", **stopped)
    before = attempts(elsewhere)
    vm = guest_party.vm(machine={"cluster": "cluster-2"}, mode="Observe")
    vm.until("HighAvailabilityConfigured", status="False")
    said = elsewhere.until("ClustersConfigured", status="False", reason="ClusterDrift")
    assert "cluster-2 has vSphere HA off instead of on" in said["message"]
    vm.assert_left_alone()
    assert attempts(elsewhere) == before
    vm.patch(mode="Enforce")
    elsewhere.until("ClustersConfigured", status="True")
    vm.settled()


def test_a_cluster_that_may_not_be_repaired_is_told_and_repaired_once_it_may(guest_party, elsewhere):
    elsewhere.allow(clusterSettings="Enforce")
    vm = guest_party.vm().settled()
    elsewhere.vcenter.fault("reject", method=CLUSTER_CALL, fault="NoPermission")
    elsewhere.vcenter.cluster("cluster-1", options={"das.iostatsInterval": "30"})
    elsewhere.until("ChangesPermitted", status="False", reason="NoPermission")
    vm.assert_left_alone()
    elsewhere.vcenter.clear_faults()
    elsewhere.until("ClustersConfigured", status="True")
    vm.settled()


def test_a_cluster_that_vcenter_does_not_repair_is_told_and_not_tried_again_at_once(guest_party, elsewhere):
    elsewhere.allow(clusterSettings="Enforce")
    vm = guest_party.vm().settled()
    before = attempts(elsewhere)
    elsewhere.vcenter.fault("fail-task", method=CLUSTER_CALL, fault="InvalidState")
    elsewhere.vcenter.cluster("cluster-1", options={"das.iostatsInterval": "30"})
    said = elsewhere.until("ClustersConfigured", status="False", reason="ChangeFailed")
    assert "InvalidState" in said["message"]
    grants = elsewhere.object()["spec"]["grants"]
    end = utc_now() + SETTLE + SETTLE / 2
    while utc_now() < end:
        for more in ([{"namespace": "nobody", "folder": "/Berlin/vm/nobody"}], []):
            elsewhere.allow(grants=[*grants, *more])
            vm.look_again()
    assert attempts(elsewhere) == before + 1
    elsewhere.vcenter.clear_faults()
    elsewhere.vcenter.cluster("cluster-1", options={"das.iostatsInterval": "120"})
