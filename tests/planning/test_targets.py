"""What size is agreed, what size there is, and what the VM itself remembers."""

from dataclasses import replace

import pytest

from managedvm.api.resources import Resources
from managedvm.planning.reasons import Reason
from managedvm.planning.targets import (
    BASELINE_NOTE,
    Baseline,
    baseline_note,
    missing_disks,
    note_key,
    noted_baseline,
    size_of,
    targets,
)
from tests.factories import GIB, NOW, OTHER_UUID, VM_UUID, disk, virtual_machine

VM = virtual_machine(disks={"SCSI(0:0)": disk(), "SCSI(0:1)": disk(100, key=2001)}, has_baseline=False)


def resources(**fields) -> Resources:
    return Resources.model_validate(fields)


def system(size="50Gi", node="SCSI(0:0)", name="system"):
    return {"name": name, "deviceNode": node, "size": size}


def test_each_agreed_aspect_that_the_vm_has_is_a_target():
    found = targets(resources(cpus=4, memory="8Gi", disks=[system()]), VM)
    assert [target.change for target in found] == [
        "CPUs 2 to 4",
        "Memory 4Gi to 8Gi",
        "Disk/system 40Gi to 50Gi",
    ]
    assert found[2].device_key == 2000
    assert [target.wanted for target in found] == [4, 8192, 50 * GIB]


def test_what_is_not_agreed_is_no_target():
    assert targets(None, VM) == ()
    assert [target.aspect for target in targets(resources(cpus=2), VM)] == ["CPUs"]


def test_the_same_size_written_differently_is_met():
    assert all(target.is_met for target in targets(resources(memory="4096Mi", disks=[system("40960Mi")]), VM))


def test_a_disk_is_addressed_by_controller_and_unit_and_not_by_its_name():
    (found,) = targets(resources(disks=[system("120Gi", "SCSI(0:1)", name="data")]), VM)
    assert (found.aspect, found.device_key, found.found) == ("Disk/data", 2001, 100 * GIB)


def test_a_disk_that_the_vm_lacks_is_told_and_not_added():
    wanted = resources(disks=[system(node="SCSI(1:0)", name="data")])
    assert targets(wanted, VM) == ()
    (finding,) = missing_disks(wanted, VM)
    assert finding.reason is Reason.DISK_MISSING
    assert "data at SCSI(1:0)" in finding.message
    assert "SCSI(0:0), SCSI(0:1)" in finding.message


def test_no_disk_is_missing_where_all_are_there():
    assert missing_disks(resources(disks=[system()]), VM) == ()
    assert missing_disks(None, VM) == ()


@pytest.mark.parametrize(
    ("aspect", "key"),
    [
        ("CPUs", "managedvm.change.cpus"),
        ("Memory", "managedvm.change.memory"),
        ("Disk/system", "managedvm.change.disk.system"),
    ],
)
def test_the_note_of_a_change_has_a_key_of_its_own(aspect, key):
    assert note_key(aspect) == key


def test_two_disks_have_two_notes():
    one, two = targets(resources(disks=[system(), system(node="SCSI(0:1)", name="data")]), VM)
    assert one.note_key != two.note_key


def test_the_size_of_a_vm_names_its_disks_by_node():
    found = size_of(VM)
    assert (found.cpus, found.memory) == (2, "4Gi")
    assert found.disks == {"SCSI(0:0)": "40Gi", "SCSI(0:1)": "100Gi"}


def test_status_has_room_for_a_vm_with_more_disks_than_it_shows():
    many = {f"SCSI({bus}:{unit})": disk() for bus in range(4) for unit in range(64)}
    assert len(size_of(replace(VM, disks=many)).disks) == 64


BASELINE = Baseline(size_of(VM), NOW)


def with_note(note) -> Baseline | None:
    return noted_baseline(replace(VM, notes={BASELINE_NOTE: note}))


def test_a_vm_remembers_its_baseline():
    assert noted_baseline(replace(VM, notes=baseline_note(BASELINE, VM_UUID))) == BASELINE
    assert noted_baseline(VM) is None


def test_a_clone_does_not_inherit_the_baseline_of_the_vm_it_was_made_from():
    clone = replace(VM, instance_uuid=OTHER_UUID, notes=baseline_note(BASELINE, VM_UUID))
    assert noted_baseline(clone) is None


@pytest.mark.parametrize(
    "note",
    [
        "",
        "nonsense",
        f"2026-11-23T12:00:00Z {VM_UUID}",
        f"2026-11-23T12:00:00Z {VM_UUID} {{}}",
        f'yesterday {VM_UUID} {{"cpus": 2, "memory": "4Gi"}}',
        f'2026-11-23T12:00:00 {VM_UUID} {{"cpus": 2, "memory": "4Gi"}}',
    ],
    ids=["empty", "nonsense", "no size", "an empty size", "no time", "a time without a zone"],
)
def test_a_note_that_somebody_has_spoiled_is_no_baseline(note):
    assert with_note(note) is None
