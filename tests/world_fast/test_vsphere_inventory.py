"""The inventory over hand-written updates: identity, paths, clusters, comparison, and what is told when."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from managedvm.planning.observed import DiskFacts, HaSettings, Heartbeat, PowerState, TaskFacts, TaskState
from managedvm.world.vsphere.changes import changes_of
from managedvm.world.vsphere.health import Filling, Healthy, Unreachable
from managedvm.world.vsphere.inventory import Inventory
from managedvm.world.vsphere.pages import parse
from managedvm.world.vsphere.tasks import Owner
from tests.world_fast.updates import HOSTS, TREE, changes, cluster, envelope, folder, override, update, vm

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLUSTERS = (cluster("domain-1", "one"), cluster("domain-2", "two"))


class Told(list):
    """What the inventory told, and the time by its clock."""

    now = NOON

    def take(self, vms, clusters, health):
        self.append((vms, clusters, health))

    @property
    def vms(self):
        """The VMs that were told last."""
        return self[-1][0]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def inventory(told):
    return Inventory(lambda: told.now, told.take)


def fill(inventory, *updates, vcenter="vc-1"):
    inventory.begin_fill(vcenter, "root")
    inventory.apply(changes(*TREE, *HOSTS, *CLUSTERS, *updates))
    inventory.end_fill("vCenter 8")


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


def restart(key, moref="vm-1", kind="VmDasBeingResetEvent"):
    return (
        f'<Event xsi:type="{kind}"><key>{key}</key><createdTime>2026-11-23T11:00:0{key}.123456789Z</createdTime>'
        f'<vm><name>web</name><vm type="VirtualMachine">{moref}</vm></vm></Event>'
    )


def events(*found):
    page = f'<val xsi:type="ArrayOfEvent">{"".join(found)}</val>'
    return update("modify", "EventHistoryCollector", "events", latestPage=page)


def test_each_ha_restart_counts_once_however_often_its_page_comes(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    inventory.apply(changes(events(restart(2, kind="VmDasBeingResetWithScreenshotEvent"), restart(1))))
    inventory.apply(changes(events(restart(3), restart(2), restart(1), restart(4, kind="VmPoweredOnEvent"))))
    assert [event.key for event in inventory.vm_by_uuid("uuid-of-vm-1").restarts] == [1, 2, 3]
    count = len(told)
    inventory.apply(changes(events(restart(3), restart(2))))
    assert len(told) == count


def test_ha_restarts_may_come_before_their_vm_and_go_with_it(inventory):
    fill(inventory, events(restart(1), restart(2, "vm-gone")), vm("vm-1", "web"))
    assert len(inventory.vm_by_uuid("uuid-of-vm-1").restarts) == 1
    inventory.apply(changes(vm("vm-gone", "old")))
    assert inventory.vm_by_uuid("uuid-of-vm-gone").restarts == ()


def started(moref="task-1"):
    return TaskFacts(moref=moref, method="ReconfigVM_Task", state=TaskState.QUEUED, queued_at=NOON)


def progress(moref="task-1", **values):
    return update("modify", "Task", moref, **{f"info__{name}": value for name, value in values.items()})


def test_a_task_is_shown_at_its_vm_until_the_next_one(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), Owner("vm-1"), lambda: ended.append("task-1"))
    inventory.apply(changes(progress(state="running", startTime="2026-11-23T12:00:01Z")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.state is TaskState.RUNNING
    fault = '<val xsi:type="LocalizedMethodFault"><fault xsi:type="InvalidState"/><localizedMessage>no</localizedMessage></val>'
    inventory.apply(changes(progress(state="error", error=fault, completeTime="2026-11-23T12:00:02Z")))
    task = inventory.vm_by_uuid("uuid-of-vm-1").task
    assert (task.state, task.fault, task.message) == (TaskState.ERROR, "InvalidState", "no")
    assert (task.begin, task.end) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=2))
    assert (told.vms, ended) == ({"uuid-of-vm-1"}, ["task-1"])
    inventory.tasks.start(started("task-2"), Owner("vm-1"), lambda: None)
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.moref == "task-2"


def test_an_older_task_that_ends_does_not_hide_a_newer_one(inventory):
    fill(inventory, vm("vm-1", "web"))
    inventory.tasks.start(started("task-1"), Owner("vm-1"), lambda: None)
    inventory.tasks.start(started("task-2"), Owner("vm-1"), lambda: None)
    inventory.apply(changes(progress("task-1", state="success")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.moref == "task-2"


def test_an_override_task_is_shown_beside_the_vms_own(inventory):
    fill(inventory, vm("vm-1", "web"))
    inventory.tasks.start(started("task-1"), Owner("vm-1"), lambda: None)
    inventory.tasks.start(started("task-2"), Owner("vm-1", is_override=True), lambda: None)
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.task.moref, found.ha_task.moref) == ("task-1", "task-2")


def test_a_cluster_task_is_shown_at_the_cluster(inventory, told):
    fill(inventory)
    inventory.tasks.start(started(), Owner("domain-1"), lambda: None)
    inventory.apply(changes(progress(state="success")))
    assert inventory.cluster("domain-1").task.state is TaskState.SUCCESS
    assert told[-1][1] == {"domain-1"}


def test_a_task_that_vcenter_has_forgotten_runs_no_longer(inventory):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), Owner("vm-1"), lambda: ended.append("task-1"))
    inventory.apply(changes(update("leave", "Task", "task-1")))
    assert (inventory.vm_by_uuid("uuid-of-vm-1").task, ended) == (None, ["task-1"])


def test_a_task_of_a_destroyed_vm_still_frees_its_slot(inventory):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), Owner("vm-1"), lambda: ended.append("task-1"))
    inventory.apply(changes(update("leave", "VirtualMachine", "vm-1")))
    inventory.apply(changes(progress(state="error")))
    assert ended == ["task-1"]
    assert len(inventory.tasks) == 0


def test_a_strangers_task_is_ignored(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    count = len(told)
    inventory.apply(changes(progress("task-77", state="success")))
    assert len(told) == count


def device(kind, key, **values):
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    return f'<VirtualDevice xsi:type="{kind}"><key>{key}</key>{inner}</VirtualDevice>'


def test_disks_are_named_by_controller_bus_and_unit(inventory):
    devices = (
        device(
            "VirtualDisk", 2000, controllerKey=1000, unitNumber=0, capacityInKB=1024, capacityInBytes=1048576
        ),
        device("VirtualDisk", 2016, controllerKey=1001, unitNumber=3, capacityInKB=2),
        device("VirtualDisk", 16000, controllerKey=15000, unitNumber=1, capacityInBytes=5),
        device("VirtualDisk", 31000, controllerKey=31000, unitNumber=0, capacityInBytes=6),
        device("VirtualDisk", 3000, controllerKey=200, unitNumber=0, capacityInBytes=7),
        device("VirtualDisk", 9000, controllerKey=999, unitNumber=0, capacityInBytes=8),
        device("ParaVirtualSCSIController", 1000, busNumber=0),
        device("VirtualLsiLogicSASController", 1001, busNumber=1),
        device("VirtualAHCIController", 15000, busNumber=0),
        device("VirtualNVMEController", 31000, busNumber=0),
        device("VirtualIDEController", 200, busNumber=0),
        device("VirtualVmxnet3", 4000),
    )
    value = f'<val xsi:type="ArrayOfVirtualDevice">{"".join(devices)}</val>'
    fill(inventory, vm("vm-1", "web", config__hardware__device=value))
    assert inventory.vm_by_uuid("uuid-of-vm-1").disks == {
        "SCSI(0:0)": DiskFacts(2000, 1048576),
        "SCSI(1:3)": DiskFacts(2016, 2048),
        "SATA(0:1)": DiskFacts(16000, 5),
        "NVME(0:0)": DiskFacts(31000, 6),
        "IDE(0:0)": DiskFacts(3000, 7),
    }


def test_a_vm_takes_less_than_two_kilobytes():
    count = 1000
    devices = "".join(
        (
            device("VirtualDisk", 2000, controllerKey=1000, unitNumber=0, capacityInBytes=42949672960),
            device("ParaVirtualSCSIController", 1000, busNumber=0),
        )
    )
    value = f'<val xsi:type="ArrayOfVirtualDevice">{devices}</val>'
    pages = [
        envelope(
            *(vm(f"vm-{i}", f"a-name-of-usual-length-{i}", config__hardware__device=value) for i in page)
        )
        for page in (range(start, start + 100) for start in range(0, count, 100))
    ]
    inventory = Inventory(lambda: NOON, Told().take)
    fill(inventory)
    tracemalloc.start()
    inventory.begin_fill("vc-1", "root")
    for page in pages:
        inventory.apply(changes_of(parse(page)))
    inventory.end_fill("vCenter 8")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(inventory) == count
    assert taken / count < 2048


def test_only_our_own_notes_are_kept(inventory):
    def option(key, value):
        return f"<OptionValue><key>{key}</key><value xsi:type='xsd:string'>{value}</value></OptionValue>"

    ours, theirs = option("managedvm.change.cpus", "op-1"), option("guestinfo.secret", "canary")
    value = f'<val xsi:type="ArrayOfOptionValue">{theirs}{ours}</val>'
    fill(inventory, vm("vm-1", "web", config__extraConfig=value))
    assert inventory.vm_by_uuid("uuid-of-vm-1").notes == {"managedvm.change.cpus": "op-1"}
