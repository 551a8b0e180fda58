"""The inventory over hand-written updates: identity, paths, clusters, comparison, and what is told when."""

from datetime import timedelta

import pytest

from managedvm.planning.observed import HaSettings, Heartbeat, PowerState
from managedvm.world.vsphere.health import Filling, Healthy, Unreachable
from tests.world_fast.updates import (
    CLUSTERS,
    HOSTS,
    NOON,
    TREE,
    changes,
    cluster,
    fill,
    folder,
    override,
    update,
    vm,
)


def path(name, folder_name="kunde-a"):
    return f"/Berlin/vm/{folder_name}/{name}"


def test_nothing_is_healthy_before_the_first_comparison_is_complete(inventory, told):
    inventory.begin_fill("vc-1", "root")
    inventory.apply(changes(*TREE, vm("vm-1", "web")))
    assert isinstance(inventory.health, Filling)
    assert told == []
    inventory.end_fill("vCenter 8")
    assert inventory.health == Healthy("vc-1", "vCenter 8", NOON)
    assert told.vms == {"uuid-of-vm-1"}


def test_a_vm_is_found_by_path_and_by_uuid(inventory):
    fill(inventory, vm("vm-1", "web"))
    found = inventory.vm_by_path(path("web"))
    assert (found.moref, found.path, found.cluster) == ("vm-1", path("web"), "domain-1")
    assert inventory.vm_by_uuid("uuid-of-vm-1") == found
    assert list(inventory) == [found]


@pytest.mark.parametrize(
    "wrong", ["", "/", "web", "Berlin/vm/kunde-a/web", "/Berlin", "/Berlin/vm/kunde-a", "//web"]
)
def test_a_path_that_leads_to_no_vm_finds_none(inventory, wrong):
    fill(inventory, vm("vm-1", "web"))
    assert inventory.vm_by_path(wrong) is None


def test_two_vms_at_one_path_are_none_but_ambiguous(inventory):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "web"))
    assert inventory.vm_by_path(path("web")) is None
    assert inventory.is_ambiguous(path("web"))
    inventory.apply(changes(update("leave", "VirtualMachine", "vm-2")))
    assert inventory.vm_by_path(path("web")).moref == "vm-1"
    assert not inventory.is_ambiguous(path("web"))


def test_two_vms_of_one_uuid_are_none(inventory):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "copy", config__instanceUuid="uuid-of-vm-1"))
    assert inventory.vm_by_uuid("uuid-of-vm-1") is None
    assert inventory.vm_by_path(path("copy")).instance_uuid == "uuid-of-vm-1"


def test_a_renamed_folder_moves_the_paths_below_it_and_names_their_vms(inventory, told):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "app", "group-b"))
    inventory.apply(changes(update("modify", "Folder", "group-a", name="kunde-neu")))
    assert inventory.vm_by_path(path("web", "kunde-neu")).moref == "vm-1"
    assert inventory.vm_by_path(path("web")) is None
    assert told.vms == {"uuid-of-vm-1"}


def test_a_folder_moved_into_another_takes_its_vms_along(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    inventory.apply(changes(update("modify", "Folder", "group-a", parent="group-b")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").path == "/Berlin/vm/kunde-b/kunde-a/web"
    assert told.vms == {"uuid-of-vm-1"}


def test_a_vm_and_its_new_folder_may_come_in_any_order(inventory):
    fill(inventory)
    inventory.apply(changes(vm("vm-9", "new", "group-new"), folder("group-new", "neu", "group-v")))
    assert inventory.vm_by_path("/Berlin/vm/neu/new").moref == "vm-9"


def test_a_vm_outside_of_known_folders_has_no_path(inventory):
    fill(inventory, vm("vm-1", "web", "resgroup-7"))
    assert inventory.vm_by_uuid("uuid-of-vm-1").path == ""


def test_a_tree_that_leads_in_a_circle_traps_nobody(inventory):
    fill(inventory, vm("vm-1", "web"))
    inventory.apply(changes(update("modify", "Folder", "group-v", parent="group-a")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").path == ""


def test_the_same_again_is_no_news(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    count = len(told)
    inventory.apply(changes(vm("vm-1", "web", kind="modify")))
    assert len(told) == count
    fill(inventory, vm("vm-1", "web"))
    assert told.vms == set()


def test_what_a_comparison_does_not_show_is_gone_at_its_end_and_not_before(inventory, told):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "app"))
    inventory.begin_fill("vc-1", "root")
    inventory.apply(changes(*TREE, *HOSTS, *CLUSTERS, vm("vm-1", "web")))
    assert inventory.vm_by_uuid("uuid-of-vm-2") is not None
    inventory.end_fill("vCenter 8")
    assert inventory.vm_by_uuid("uuid-of-vm-2") is None
    assert told.vms == {"uuid-of-vm-2"}


def test_a_comparison_that_breaks_off_concludes_nothing_and_forgets_no_news(inventory, told):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "app"))
    inventory.begin_fill("vc-1", "root")
    inventory.apply(changes(*TREE, *HOSTS, *CLUSTERS, vm("vm-1", "renamed")))
    inventory.lose("Unreachable", "gone")
    assert told[-1] == (set(), set(), Unreachable("Unreachable", "gone", NOON))
    assert len(inventory) == 2
    fill(inventory, vm("vm-1", "renamed"), vm("vm-2", "app"))
    assert told.vms == {"uuid-of-vm-1"}


def test_being_lost_keeps_its_first_instant_and_is_told_once_per_reason(inventory, told):
    fill(inventory)
    count = len(told)
    inventory.lose("Unreachable", "no route")
    told.now = NOON + timedelta(minutes=5)
    inventory.lose("Unreachable", "no route")
    assert len(told) == count + 1
    inventory.lose("InvalidCredentials", "wrong password")
    assert inventory.health == Unreachable("InvalidCredentials", "wrong password", NOON)


def test_an_outage_that_a_broken_comparison_prolongs_keeps_its_first_instant(inventory, told):
    fill(inventory)
    inventory.lose("Unreachable", "no route")
    told.now = NOON + timedelta(minutes=1)
    count = len(told)
    inventory.begin_fill("vc-1", "root")
    assert len(told) == count
    inventory.lose("Unreachable", "no route")
    assert inventory.health.since == NOON


def test_a_comparison_out_of_good_health_is_told_so_that_nobody_trusts_it_meanwhile(inventory, told):
    fill(inventory)
    inventory.begin_fill("vc-1", "root")
    assert told[-1] == (set(), set(), Filling(NOON))
    inventory.end_fill("vCenter 8")
    assert isinstance(told[-1][2], Healthy)


def test_another_vcenter_at_the_same_address_shares_no_reference(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    fill(inventory, vm("vm-1", "stranger", config__instanceUuid="uuid-elsewhere"), vcenter="vc-2")
    assert inventory.vm_by_uuid("uuid-of-vm-1") is None
    assert told.vms == {"uuid-of-vm-1", "uuid-elsewhere"}


def test_a_vm_without_readable_configuration_is_counted_and_not_shown(inventory):
    fill(inventory, update("enter", "VirtualMachine", "vm-1", name="web", parent="group-a"))
    assert (inventory.unidentified, len(inventory), list(inventory)) == (1, 1, [])
    assert inventory.vm_by_path(path("web")) is None
    assert inventory.vm_by_uuid("") is None


def test_a_configuration_that_became_unreadable_is_remembered(inventory):
    fill(inventory, vm("vm-1", "web", config__hardware__numCPU=4))
    unset = {"config__instanceUuid": None, "config__hardware__numCPU": None}
    inventory.apply(
        changes(update("modify", "VirtualMachine", "vm-1", runtime__connectionState="inaccessible", **unset))
    )
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.cpus, found.connected) == (4, False)
    fill(inventory, update("enter", "VirtualMachine", "vm-1", name="web", parent="group-a"))
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.cpus, found.power) == (4, PowerState.OFF)


def test_a_vmotion_within_a_cluster_is_no_news_and_one_beyond_it_is(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    count = len(told)
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", runtime__host="host-2")))
    assert len(told) == count
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", runtime__host="host-3")))
    assert (told.vms, inventory.vm_by_uuid("uuid-of-vm-1").cluster) == ({"uuid-of-vm-1"}, "domain-2")


def test_a_host_that_changes_its_cluster_takes_its_vms_along(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    inventory.apply(changes(update("modify", "HostSystem", "host-1", parent="domain-2")))
    assert (told.vms, inventory.vm_by_uuid("uuid-of-vm-1").cluster) == ({"uuid-of-vm-1"}, "domain-2")


def test_a_vm_on_a_host_of_its_own_has_no_cluster(inventory):
    fill(
        inventory,
        update("enter", "HostSystem", "host-9", parent="domain-s9"),
        vm("vm-1", "web", runtime__host="host-9"),
    )
    assert inventory.vm_by_uuid("uuid-of-vm-1").cluster is None


def test_a_changed_override_names_its_vm_alone(inventory, told):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "app"))
    one = override("vm-1", "high")
    inventory.apply(changes(cluster("domain-1", "one", kind="modify", overrides=one)))
    assert (told.vms, told[-1][1]) == ({"uuid-of-vm-1"}, set())
    assert inventory.vm_by_uuid("uuid-of-vm-1").ha_override == HaSettings(restart_priority="high")
    inventory.apply(
        changes(
            cluster(
                "domain-1", "one", kind="modify", overrides=one + override("vm-2", "clusterRestartPriority")
            )
        )
    )
    assert told.vms == {"uuid-of-vm-2"}
    assert inventory.vm_by_uuid("uuid-of-vm-2").ha_override == HaSettings()


def test_a_changed_cluster_option_names_the_cluster_and_no_vm(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    option = "<option><key>das.iostatsInterval</key><value xsi:type='xsd:string'>120</value></option>"
    inventory.apply(changes(cluster("domain-1", "one", kind="modify", options=option)))
    assert (told.vms, told[-1][1]) == (set(), {"domain-1"})
    assert inventory.cluster("domain-1").options == {"das.iostatsInterval": "120"}


def test_a_cluster_that_is_gone_leaves_its_vms_without_one(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    inventory.apply(changes(update("leave", "ClusterComputeResource", "domain-1")))
    assert told[-1][:2] == ({"uuid-of-vm-1"}, {"domain-1"})
    assert inventory.vm_by_uuid("uuid-of-vm-1").cluster is None


def test_a_heartbeat_is_dated_by_its_first_sight(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    told.now = NOON + timedelta(minutes=1)
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", config__hardware__numCPU=2)))
    assert inventory.vm_by_uuid("uuid-of-vm-1").heartbeat_since == NOON
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", guestHeartbeatStatus="red")))
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.heartbeat, found.heartbeat_since) == (Heartbeat.RED, told.now)
