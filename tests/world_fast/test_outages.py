"""What is read for outages: vCenter's history and hosts, planned times, and what nobody could see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.outage import Outage, OutageStatus
from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.actions import EndOutage, RecordOutage
from managedvm.planning.identity import Sight
from managedvm.planning.observed import PowerState
from managedvm.planning.outages import Planned
from managedvm.report import advanced_status
from managedvm.wiring import INDEXES, affected
from managedvm.world.apply import Hands, apply
from managedvm.world.outages import Watch, is_measured, may_end, outages_of, planned_for, unseen
from tests.api import bodies
from tests.factories import NOW, VCENTER_UUID, VM_UUID, at, minutes, virtual_machine
from tests.world_fast.fakes import FakeKube, FakeVSphere
from tests.world_fast.updates import NOON, changes, fill, update, vm

# vCenter


def power(key, kind, by="LAB\\anna"):
    return (
        f'<Event xsi:type="{kind}"><key>{key}</key><createdTime>2026-11-23T11:00:0{key}Z</createdTime>'
        f'<userName>{by}</userName><vm><name>web</name><vm type="VirtualMachine">vm-1</vm></vm></Event>'
    )


def history(*events):
    page = f'<val xsi:type="ArrayOfEvent">{"".join(events)}</val>'
    return update("modify", "EventHistoryCollector", "events", latestPage=page)


def test_changes_of_power_are_kept_with_who_and_when_and_a_shutdown_that_was_asked_for(inventory):
    fill(inventory, vm("vm-1", "web"))
    asked, off = power(1, "VmGuestShutdownEvent"), power(2, "VmPoweredOffEvent", "")
    inventory.apply(
        changes(history(asked, off, power(3, "VmRestartedOnAlternateHostEvent"), power(4, "VmMigratedEvent")))
    )
    events = inventory.vm_by_uuid("uuid-of-vm-1").power_events
    assert [(one.power, one.by) for one in events] == [
        (None, "LAB\\anna"),
        (PowerState.OFF, ""),
        (PowerState.ON, "LAB\\anna"),
    ]
    assert events[0].at == at("2026-11-23T11:00:01")


def test_since_when_each_fact_is_so_is_kept_until_it_is_another(inventory, told):
    fill(inventory, vm("vm-1", "web", runtime__connectionState="connected"))
    told.now = NOON + minutes(1)
    inventory.apply(changes(update("modify", "VirtualMachine", "vm-1", runtime__powerState="poweredOff")))
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.power_since, found.connected_since) == (NOON + minutes(1), NOON)


def test_a_host_that_does_not_respond_is_told_to_its_vms(inventory, told):
    fill(inventory, vm("vm-1", "web"))
    assert inventory.vm_by_uuid("uuid-of-vm-1").host_responds
    silent = update("modify", "HostSystem", "host-1", runtime__connectionState="notResponding")
    inventory.apply(changes(silent))
    assert told.vms == {"uuid-of-vm-1"}
    found = inventory.vm_by_uuid("uuid-of-vm-1")
    assert (found.host_responds, found.cluster) == (False, "domain-1")
    inventory.apply(changes(update("modify", "HostSystem", "host-1", runtime__connectionState="connected")))
    assert inventory.vm_by_uuid("uuid-of-vm-1").host_responds


# The API server


def store(*objects):
    filled = Store(INDEXES)
    for number, body in enumerate(objects, start=1):
        meta = {**body["metadata"], "uid": f"uid-{number}", "resourceVersion": str(number)}
        filled.put({**body, "metadata": meta})
    return filled


def outage(name="op-1", namespace="kunde-a", **spec):
    return bodies.outage(namespace, name, vCenterUUID=VCENTER_UUID, instanceUUID=VM_UUID, **spec)


def gap(name="op-gap", namespace="kunde-a", **status):
    nobody = {"instanceUUID": None, "managedVMRef": None, "order": None, "serviceLevel": None}
    body = bodies.outage(namespace, name, vCenterUUID=VCENTER_UUID, cause="NotMeasured", **nobody)
    return {**body, "status": status}


def test_the_outages_of_a_vm_are_its_own_and_those_of_its_vcenter_in_its_namespace():
    facts = virtual_machine()
    other = bodies.outage("kunde-a", "op-2")
    known = store(outage(begin="2026-02-01T00:00:00Z"), gap(), other, gap("op-b", "kunde-b"))
    found = outages_of(known, "kunde-a", Sight(VCENTER_UUID, facts, facts), facts)
    assert [one.metadata.name for one in found] == ["op-gap", "op-1"]
    assert outages_of(known, "kunde-a", None, facts) == ()


def request(name, state, *, origin="Person", started=None):
    slot = {"begin": "2026-11-23T04:00:00Z", "end": "2026-11-23T06:00:00Z"}
    body = bodies.change_request("kunde-a", name, "a@x", origin=origin)
    return {**body, "status": {"state": state, "slot": slot, **({"startedAt": started} if started else {})}}


@pytest.mark.parametrize(
    ("asked", "is_power_cycle"),
    [
        (request("r", "Scheduled"), False),
        (request("r", "Withdrawn"), None),
        (request("r", "InWork", started="2026-11-23T04:10:00Z"), False),
        (request("r", "InWork", origin="Operator", started="2026-11-23T04:10:00Z"), True),
        (request("r", "Withdrawn", origin="Operator", started="2026-11-23T04:10:00Z"), True),
        (request("r", "Done", origin="Operator", started="2026-11-23T03:00:00Z"), False),
        (bodies.change_request("kunde-a", "r", "a@x"), None),
    ],
    ids=["planned", "given up", "a person's", "a power cycle", "given up after it", "hot", "not planned"],
)
def test_what_was_planned_is_read_with_whether_the_guest_was_asked_to_shut_down(asked, is_power_cycle):
    begin, end = at("2026-11-23T04:00"), at("2026-11-23T06:00")
    expected = () if is_power_cycle is None else (Planned(begin, end, is_power_cycle),)
    assert planned_for(store(asked), "kunde-a", "web-01") == expected


def test_what_was_planned_matters_only_where_an_outage_may_end():
    assert not may_end(virtual_machine(), [Outage.of({**outage(), "status": {"end": NOW}})])
    assert may_end(virtual_machine(), [Outage.of(outage())])
    assert may_end(virtual_machine(power=PowerState.OFF), [])


def test_an_outage_is_measured_while_its_managed_vm_has_that_vm():
    record = Outage.of(outage())
    managed = bodies.managed_vm("kunde-a", "web-01")
    assert is_measured(store(managed), record)
    another = {**managed, "status": {"vm": {"instanceUUID": "another"}}}
    assert not is_measured(store(another), record)
    assert not is_measured(store(), record)


def test_a_gap_is_for_ledgers_with_measured_vms_of_that_vcenter():
    def managed(namespace, **status):
        return {**bodies.managed_vm(namespace, "web-01"), "status": status}

    def space(name, **labels):
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}

    known = store(
        {**bodies.vcenter("nowhere"), "status": {"instanceUUID": VCENTER_UUID}},
        *(space(name, **{"managedvm.dev/ledger": "true"}) for name in ("kunde-a", "kunde-b")),
        space("kunde-c"),
        managed("kunde-a", availability={"measuredSince": NOW}),
        managed("kunde-b"),
        managed("kunde-c", availability={"measuredSince": NOW}),
        gap(),
    )
    found = unseen(known, "nowhere", Watch(lambda: NOW))
    assert (found.namespaces, found.unwatched_since) == (("kunde-a",), NOW)
    assert [one.metadata.name for one in found.records] == ["op-gap"]


def test_what_was_missed_is_made_up_for_when_it_is_for_every_vcenter():
    done = []
    watch = Watch(lambda: NOW, names=lambda: ("berlin", "hamburg"), all_done=lambda: done.append(1))
    watch.note("berlin")
    assert (watch.since("berlin"), watch.since("hamburg"), done) == (None, NOW, [])
    watch.note("hamburg")
    assert done == [1]


async def test_an_outage_that_is_over_is_recorded_and_ended_at_the_version_it_was_created_at():
    kube = FakeKube()
    hands = Hands(kube, FakeVSphere(), render=lambda action: advanced_status(action, NOW), put=lambda _: None)
    end = EndOutage("kunde-a", "op-1", "", OutageStatus(), OutageStatus(end=NOW + timedelta(minutes=1)))
    assert (await apply(((RecordOutage(outage()), end),), hands)).calls == 2
    stored = kube.objects["Outage", "kunde-a", "op-1"]
    assert stored["status"]["end"] == "2026-11-23T12:01:00Z"
    # What is there already is the same outage, whatever order it is told under.
    again = RecordOutage(outage(order="A-2"))
    assert (await apply(((again,),), replace(hands))).calls == 1


def test_an_outage_asks_for_its_vm_and_a_gap_for_all_of_its_namespace():
    known = store(
        bodies.managed_vm("kunde-a", "web-01"),
        bodies.managed_vm("kunde-a", "web-02"),
        bodies.vcenter("berlin"),
    )

    def asked(body):
        meta = {**body["metadata"], "uid": body["metadata"]["name"], "resourceVersion": "9"}
        return {key for key, _ in affected(known.put({**body, "metadata": meta}), known)}

    web, more = (ObjectKey("ManagedVM", "kunde-a", name) for name in ("web-01", "web-02"))
    assert asked(outage()) == {ObjectKey("Outage", "kunde-a", "op-1"), web}
    assert asked(gap()) == {
        ObjectKey("Outage", "kunde-a", "op-gap"),
        web,
        more,
        ObjectKey("VCenter", "", "berlin"),
    }
