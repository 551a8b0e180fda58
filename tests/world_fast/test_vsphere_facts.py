"""What the inventory makes of disks, notes, HA restarts and tasks, and how little it keeps for a VM."""

import tracemalloc
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest

from managedvm.planning.observed import DiskFacts, TaskFacts, TaskState
from managedvm.world.vsphere import reads
from managedvm.world.vsphere.changes import changes_of
from managedvm.world.vsphere.inventory import Inventory
from managedvm.world.vsphere.pages import parse
from managedvm.world.vsphere.tasks import Owner, Recent
from tests.world_fast.updates import NOON, Told, changes, envelope, fill, update, vm


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
    return TaskFacts(
        moref=moref, method="ReconfigVM_Task", state=TaskState.QUEUED, queued_at=NOON, seen_at=NOON
    )


def progress(moref="task-1", **values):
    return update("modify", "Task", moref, **{f"info__{name}": value for name, value in values.items()})


def test_a_task_is_shown_at_its_vm_until_the_next_one(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), (Owner("vm-1"),), lambda: ended.append("task-1"))
    inventory.apply(changes(progress(state="running", startTime="2026-11-23T12:00:01Z")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.state is TaskState.RUNNING
    fault = '<val xsi:type="LocalizedMethodFault"><fault xsi:type="InvalidState"/><localizedMessage>no</localizedMessage></val>'
    inventory.apply(changes(progress(state="error", error=fault, completeTime="2026-11-23T12:00:02Z")))
    task = inventory.vm_by_uuid("uuid-of-vm-1").task
    assert (task.state, task.fault, task.message) == (TaskState.ERROR, "InvalidState", "no")
    assert (task.begin, task.end) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=2))
    assert (told.vms, ended) == ({"uuid-of-vm-1"}, ["task-1"])
    inventory.tasks.start(started("task-2"), (Owner("vm-1"),), lambda: None)
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.moref == "task-2"


@pytest.mark.parametrize("skew", [timedelta(hours=-9), timedelta(hours=9)])
def test_when_a_task_was_seen_is_told_by_our_clock_whatever_vcenters_says(inventory, told, skew):
    fill(inventory, vm("vm-1", "web"))
    inventory.tasks.start(started(), (Owner("vm-1"),), lambda: None)
    told.now = NOON + timedelta(seconds=5)
    ended = f"{NOON + skew:%Y-%m-%dT%H:%M:%SZ}"
    inventory.apply(changes(progress(state="error", completeTime=ended)))
    found = inventory.vm_by_uuid("uuid-of-vm-1").task
    assert (found.seen_at, found.end) == (told.now, NOON + skew)


def test_a_task_that_is_read_again_keeps_the_time_of_the_first_sight():
    recent, later = Recent(), NOON + timedelta(minutes=3)
    running = started()
    ended = replace(running, state=TaskState.ERROR)
    assert recent.seen(("vm-1", "m"), running, None) == running
    assert recent.seen(("vm-1", "m"), replace(running, seen_at=later), None).seen_at == NOON
    assert recent.seen(("vm-1", "m"), replace(ended, seen_at=later), None).seen_at == later
    assert recent.seen(("vm-1", "m"), replace(ended, seen_at=later), ended).seen_at == NOON
    assert recent.seen(("vm-2", "m"), replace(ended, seen_at=later), None).seen_at == later
    assert recent.seen(("vm-1", "m"), None, None) is None
    assert recent.seen(("vm-1", "m"), replace(ended, seen_at=later), None).seen_at == later


def test_an_older_task_that_ends_does_not_hide_a_newer_one(inventory):
    fill(inventory, vm("vm-1", "web"))
    inventory.tasks.start(started("task-1"), (Owner("vm-1"),), lambda: None)
    inventory.tasks.start(started("task-2"), (Owner("vm-1"),), lambda: None)
    inventory.apply(changes(progress("task-1", state="success")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").task.moref == "task-2"


def test_an_override_task_is_shown_beside_the_vms_own(inventory):
    fill(inventory, vm("vm-1", "web"))
    inventory.tasks.start(started("task-1"), (Owner("vm-1"),), lambda: None)
    inventory.tasks.start(started("task-2"), (Owner("vm-1", is_override=True),), lambda: None)
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.task.moref, found.ha_task.moref) == ("task-1", "task-2")


def test_a_cluster_task_is_shown_at_the_cluster(inventory, told):
    fill(inventory)
    inventory.tasks.start(started(), (Owner("domain-1"),), lambda: None)
    inventory.apply(changes(progress(state="success")))
    assert inventory.cluster("domain-1").task.state is TaskState.SUCCESS
    assert told[-1][1] == {"domain-1"}


def test_a_task_that_vcenter_has_forgotten_runs_no_longer(inventory):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), (Owner("vm-1"),), lambda: ended.append("task-1"))
    inventory.apply(changes(update("leave", "Task", "task-1")))
    assert (inventory.vm_by_uuid("uuid-of-vm-1").task, ended) == (None, ["task-1"])


def test_a_task_of_a_destroyed_vm_still_frees_its_slot(inventory):
    fill(inventory, vm("vm-1", "web"))
    ended = []
    inventory.tasks.start(started(), (Owner("vm-1"),), lambda: ended.append("task-1"))
    inventory.apply(changes(update("leave", "VirtualMachine", "vm-1")))
    inventory.apply(changes(progress(state="error")))
    assert ended == ["task-1"]
    assert len(inventory.tasks) == 0


def test_a_task_of_several_is_shown_at_each_of_them(inventory, told):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "db"))
    ended = []
    owners = (Owner("vm-1", is_override=True), Owner("vm-2", is_override=True))
    inventory.tasks.start(started(), owners, lambda: ended.append("task-1"))
    inventory.apply(changes(progress(state="success")))
    for uuid in ("uuid-of-vm-1", "uuid-of-vm-2"):
        assert inventory.vm_by_uuid(uuid).ha_task.state is TaskState.SUCCESS
    assert (told.vms, ended) == ({"uuid-of-vm-1", "uuid-of-vm-2"}, ["task-1"])


def test_a_failure_of_several_says_nothing_about_one_but_makes_each_suspect(inventory):
    fill(inventory, vm("vm-1", "web"), vm("vm-2", "db"))
    ended = []
    owners = (Owner("vm-1", is_override=True), Owner("vm-2", is_override=True))
    inventory.tasks.start(started(), owners, lambda: ended.append("task-1"))
    inventory.apply(changes(progress(state="error")))
    assert [found.ha_task for found in inventory] == [None, None]
    assert (inventory.tasks.suspects, ended) == (set(owners), ["task-1"])


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


def tree(name, moref, *below, quiesced="false"):
    """A snapshot with those that were taken after it."""
    inner = "".join(below).replace("rootSnapshotList", "childSnapshotList")
    return (
        f'<rootSnapshotList><snapshot type="VirtualMachineSnapshot">{moref}</snapshot><vm>vm-1</vm><name>{name}</name>'
        f"<createTime>2026-11-23T11:00:00Z</createTime><state>poweredOff</state><quiesced>{quiesced}</quiesced>{inner}"
        "</rootSnapshotList>"
    )


def snapshots(*trees):
    return f'<val xsi:type="VirtualMachineSnapshotInfo">{"".join(trees)}</val>' if trees else None


def test_all_snapshots_of_a_vm_are_told_parents_before_children(inventory):
    grown = tree("one", "snapshot-1", tree("two", "snapshot-2", quiesced="true"), tree("three", "snapshot-3"))
    fill(inventory, vm("vm-1", "web-01", snapshot=snapshots(grown, tree("four", "snapshot-4"))))
    found = inventory.vm_by_uuid("uuid-of-vm-1").snapshots
    assert [(s.name, s.moref, s.quiesced) for s in found] == [
        ("one", "snapshot-1", False),
        ("four", "snapshot-4", False),
        ("two", "snapshot-2", True),
        ("three", "snapshot-3", False),
    ]
    assert found[0].taken_at == NOON - timedelta(hours=1)


def test_a_vm_whose_last_snapshot_went_has_none(inventory, told):
    fill(inventory, vm("vm-1", "web-01", snapshot=snapshots(tree("one", "snapshot-1"))))
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", snapshot=None)))
    assert inventory.vm_by_uuid("uuid-of-vm-1").snapshots == ()
    assert told.vms == {"uuid-of-vm-1"}


def file(key, size):
    return SimpleNamespace(key=key, size=size)


def layout(*keys):
    return SimpleNamespace(chain=[SimpleNamespace(fileKey=list(keys))])


def test_a_snapshot_holds_its_own_files_and_what_was_written_since(monkeypatch):
    taken = SimpleNamespace(key="'vim.vm.Snapshot:snapshot-2'", dataKey=5, memoryKey=-1, disk=[layout(0, 1)])
    found = SimpleNamespace(
        file=[file(0, 1000), file(1, 100), file(2, 30), file(3, 4), file(5, 1)],
        disk=[layout(0, 1, 2, 3)],
        snapshot=[taken],
    )
    monkeypatch.setattr(reads, "_start", lambda *_: None)
    monkeypatch.setattr(reads, "_retrieve", lambda *_: [{"layoutEx": found}])
    session = SimpleNamespace(read=lambda call: call())
    assert reads.held_bytes(session, "vm-1", "snapshot-2") == 35
    assert reads.held_bytes(session, "vm-1", "snapshot-9") == 0
    monkeypatch.setattr(reads, "_retrieve", lambda *_: [{}])
    assert reads.held_bytes(session, "vm-1", "snapshot-2") == 0
