"""What becomes an Outage, when it ends, and what of it does not count (clause 1; decision 18)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.outage import Outage, OutageCause, OutageExclusion
from managedvm.planning.actions import MEASURING, EndOutage, RecordOutage
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import Heartbeat, PowerEvent, PowerState
from managedvm.planning.outages import SHORT_GAP, Planned, abandoned
from managedvm.planning.reasons import Reason
from tests.factories import (
    BASIC,
    NOW,
    PREMIUM,
    VCENTER_UUID,
    VM_UUID,
    at,
    managed_vm,
    minutes,
    observed,
    requester,
    virtual_machine,
)

SINCE = NOW - timedelta(days=3)
UP = managed_vm(status={"availability": {"measuredSince": SINCE}})
CUSTOMER = "KUNDE-A.EXAMPLE\\a.beispiel"


def seconds(number):
    return timedelta(seconds=number)


def event(when, power=PowerState.OFF, by="", key=None):
    return PowerEvent(key or int((when - SINCE).total_seconds()), when, power, by)


BEGAN = NOW - minutes(10)


def off(since=BEGAN, by="VSPHERE.LOCAL\\technik", **facts):
    """A VM that vCenter says was switched off."""
    history = {"power_events": (event(since, by=by),), "power_since": since + seconds(1)}
    return virtual_machine(power=PowerState.OFF, heartbeat=Heartbeat.GRAY, **{**history, **facts})


def decided(facts, *records, vm=UP, now=NOW, **more):
    return plan(vm, observed(facts, outages=tuple(records), **more), now)


def measured(facts, *records, **more):
    """Return only what is done about outages."""
    return [one for one in decided(facts, *records, **more).actions if isinstance(one, MEASURING)]


def recorded(facts, **more):
    """Return the one outage that is begun, as a record."""
    (action,) = measured(facts, **more)
    assert isinstance(action, RecordOutage)
    return Outage.of({**action.body, "metadata": {**action.body["metadata"], "resourceVersion": "7"}})


def test_a_vm_that_is_switched_off_is_one_outage_that_says_when_and_who():
    found = recorded(off())
    assert (found.spec.cause, found.spec.begin, found.spec.by) == (
        OutageCause.POWERED_OFF,
        NOW - minutes(10),
        "VSPHERE.LOCAL\\technik",
    )
    assert (found.spec.order, found.spec.service_level, found.spec.exclusion) == ("A-1", "standard", None)
    assert measured(off(), found) == [], "what is recorded is not recorded again"


def test_whoever_looks_and_whenever_writes_the_same_record():
    later = off(power_since=NOW)
    assert recorded(off()).metadata.name == recorded(later, now=NOW + minutes(3)).metadata.name


def test_an_outage_ends_when_vcenter_says_that_the_vm_was_switched_on():
    record, on = recorded(off()), NOW + minutes(5)
    back = virtual_machine(
        power_since=on + seconds(2), power_events=(*off().power_events, event(on, PowerState.ON))
    )
    (end,) = measured(back, record, now=NOW + minutes(6))
    assert (type(end), end.after.end, end.resource_version) == (EndOutage, on, "7")
    over = record.model_copy(update={"status": end.after})
    assert measured(back, over, now=NOW + minutes(6)) == []


def test_what_happened_while_nobody_looked_is_read_from_vcenters_history():
    history = (event(NOW - minutes(50)), event(NOW - minutes(40), PowerState.ON))
    begin, end = measured(virtual_machine(power_since=NOW, power_events=history))
    assert (begin.body["spec"]["begin"], end.after.end) == ("2026-11-23T11:10:00Z", NOW - minutes(40))
    assert end.resource_version == "", "it is ended at the version at which it is created"


def test_an_outage_of_less_than_a_second_is_recorded_once_and_is_over():
    history = (event(NOW - seconds(50.7)), event(NOW - seconds(50.1), PowerState.ON, key=999_999))
    facts = virtual_machine(power_since=NOW, power_events=history)
    begin, end = measured(facts)
    assert end.after.end == NOW - seconds(51)
    stored = Outage.of({**begin.body, "status": end.after.to_json()})
    assert measured(facts, stored) == [], "else it would be recorded again and again, for ever"


def test_twice_down_within_a_second_is_two_outages_of_which_the_second_lasts():
    moments = ((50.9, PowerState.OFF), (50.6, PowerState.ON), (50.3, PowerState.OFF))
    history = tuple(
        event(NOW - seconds(ago), power, key=n) for n, (ago, power) in enumerate(moments, start=1)
    )
    facts = virtual_machine(power=PowerState.OFF, power_since=NOW, power_events=history)
    first = over(NOW - seconds(51), NOW - seconds(51))
    named = recorded(off(NOW - seconds(51))).metadata.name
    first = first.model_copy(update={"metadata": first.metadata.model_copy(update={"name": named})})
    (again,) = measured(facts, first)
    assert again.body["metadata"]["name"] != named
    stored = Outage.of(dict(again.body))
    assert measured(facts, first, stored) == []


def test_two_outages_with_a_short_run_between_them_are_two():
    history = (event(NOW - minutes(50)), event(NOW - minutes(40), PowerState.ON), event(NOW - minutes(10)))
    facts = virtual_machine(power=PowerState.OFF, power_since=NOW, power_events=history)
    first = recorded(off(NOW - minutes(50)))
    (end,) = [one for one in measured(facts, first) if isinstance(one, EndOutage)]
    assert end.after.end == NOW - minutes(40)
    over = first.model_copy(update={"status": end.after})
    assert [one.body["spec"]["begin"] for one in measured(facts, over)] == ["2026-11-23T11:50:00Z"]


def test_vcenters_history_is_waited_for_before_an_outage_has_the_time_at_which_it_was_seen():
    facts = off(power_events=(), power_since=NOW)
    assert measured(facts) == []
    assert decided(facts).next_check == NOW + seconds(10)
    assert recorded(facts, now=NOW + seconds(10)).spec.begin == NOW


@pytest.mark.parametrize(
    ("by", "exclusion"),
    [
        (CUSTOMER, OutageExclusion.BY_CUSTOMER),
        ("A.Beispiel@kunde-a.example", OutageExclusion.BY_CUSTOMER),
        ("VSPHERE.LOCAL\\technik", None),
        ("", None),
    ],
    ids=["the customer", "the customer by address", "somebody else", "nobody is named"],
)
def test_what_the_customer_switches_off_does_not_count_and_an_unknown_hand_does(by, exclusion):
    assert recorded(off(by=by)).spec.exclusion is exclusion


def test_a_guest_that_the_customer_has_asked_to_shut_down_went_off_by_the_customer():
    begin = NOW - minutes(10)
    history = (event(begin - minutes(1), None, CUSTOMER), event(begin))
    assert recorded(off(power_events=history)).spec.exclusion is OutageExclusion.BY_CUSTOMER


def test_who_was_not_on_the_list_on_that_day_is_not_the_customer():
    former = requester(until="2026-11-01T00:00")
    assert recorded(off(by=CUSTOMER), requesters=(former,)).spec.exclusion is None


def test_a_heartbeat_must_be_lost_for_as_long_as_vsphere_ha_takes_to_call_it_lost():
    facts = virtual_machine(heartbeat=Heartbeat.RED, heartbeat_since=NOW)
    assert measured(facts, now=NOW + seconds(29)) == []
    assert decided(facts, now=NOW + seconds(29)).next_check == NOW + seconds(30)
    assert recorded(facts, now=NOW + seconds(30)).spec.begin == NOW


def test_a_lost_heartbeat_is_back_when_it_beats_and_not_when_it_is_gray():
    record = recorded(virtual_machine(heartbeat=Heartbeat.RED, heartbeat_since=NOW - minutes(5)))
    gray = virtual_machine(heartbeat=Heartbeat.GRAY, heartbeat_since=NOW - minutes(2))
    assert measured(gray, record) == []
    (end,) = measured(virtual_machine(heartbeat=Heartbeat.GREEN, heartbeat_since=NOW - minutes(1)), record)
    assert end.after.end == NOW - minutes(1)


def test_a_vm_out_of_sight_is_not_measured_and_on_a_silent_host_it_is_down():
    lost = virtual_machine(connected=False, connected_since=NOW - SHORT_GAP)
    assert recorded(lost).spec.cause is OutageCause.NOT_MEASURED
    assert recorded(replace(lost, host_responds=False)).spec.cause is OutageCause.HOST_DOWN
    assert measured(replace(lost, connected_since=NOW)) == []


@pytest.mark.parametrize(("booted", "ran_on"), [(NOW - timedelta(days=9), True), (NOW - minutes(1), False)])
def test_a_vm_that_had_not_stopped_when_its_host_came_back_was_only_out_of_sight(booted, ran_on):
    begin = NOW - minutes(20)
    record = recorded(virtual_machine(connected=False, connected_since=begin, host_responds=False))
    (end,) = measured(virtual_machine(connected_since=NOW - minutes(1), booted_at=booted), record)
    assert (end.after.end, end.after.ran_on) == (NOW - minutes(1), ran_on)


# What of it does not count


def ends(record, *, level="standard", now=NOW, **more):
    vm = managed_vm(level=level, status={"availability": {"measuredSince": SINCE}})
    on = event(now, PowerState.ON)
    back = virtual_machine(level=level, power_since=now, power_events=(event(record.spec.begin), on))
    (end,) = measured(back, record, vm=vm, now=now, **more)
    return [(part.begin, part.end, part.reason) for part in end.after.excluded]


def test_at_levels_without_announcements_the_windows_of_the_contract_do_not_count():
    record = recorded(off(at("2026-11-23T03:30")), now=at("2026-11-23T03:40"))
    assert ends(record) == [
        (at("2026-11-23T04:00"), at("2026-11-23T06:00"), OutageExclusion.ANNOUNCED_WINDOW)
    ]
    night = recorded(off(at("2026-11-22T22:00")), now=at("2026-11-22T22:10"))
    assert ends(night, level=BASIC, now=at("2026-11-22T23:00")) == [
        (at("2026-11-22T22:00"), at("2026-11-22T23:00"), OutageExclusion.ANNOUNCED_WINDOW)
    ]


def test_where_maintenance_is_announced_only_what_was_planned_does_not_count():
    record = recorded(off(NOW - minutes(60)), now=NOW - minutes(50))
    assert ends(record, level=PREMIUM) == []
    planned = (Planned(NOW - minutes(30), NOW + minutes(30)),)
    assert ends(record, level=PREMIUM, plans=planned) == [
        (NOW - minutes(30), NOW, OutageExclusion.ANNOUNCED_WINDOW)
    ]


def test_the_power_cycle_of_a_change_that_was_ordered_does_not_count_as_long_as_its_slot():
    record = recorded(off(NOW - minutes(60)), now=NOW - minutes(50))
    cycle = (Planned(NOW - minutes(90), NOW - minutes(20), is_power_cycle=True),)
    assert ends(record, level=PREMIUM, plans=cycle) == [
        (NOW - minutes(60), NOW - minutes(20), OutageExclusion.POWER_CYCLE_ORDERED)
    ]


# Who is measured


def test_a_vm_is_measured_from_when_it_was_first_seen_up():
    status = decided(virtual_machine(), vm=managed_vm()).status
    assert status.availability.measured_since == NOW
    assert decided(virtual_machine(), vm=UP).status.availability == UP.status.availability


def test_a_vm_that_never_ran_is_not_down():
    found = decided(off(), vm=managed_vm())
    assert found.status.availability is None
    assert not any(isinstance(one, MEASURING) for one in found.actions)


@pytest.mark.parametrize("switch", [{"suspend": True}, {"mode": "Observe"}], ids=str)
def test_no_switch_hides_an_outage(switch):
    vm = managed_vm(status={"availability": {"measuredSince": SINCE}}, **switch)
    assert recorded(off(), vm=vm).spec.begin == NOW - minutes(10)


def test_a_vm_without_a_claim_is_not_measured():
    found = decided(virtual_machine(), vm=managed_vm(mode="Observe"), claims={}, own_claim=None)
    assert found.status.availability is None


def test_an_outage_of_a_vm_that_nobody_measures_any_more_ends_there():
    record = recorded(off())
    assert abandoned(record, is_measured=True, now=NOW) is None
    assert abandoned(record, is_measured=False, now=NOW).after.end == NOW


# What is shown


def test_nothing_that_is_shown_changes_while_nothing_happens():
    record = recorded(off())
    first, second = (decided(off(), record, now=now).status for now in (NOW, NOW + timedelta(hours=1)))
    assert first == second
    assert (first.availability.down_since, first.availability.cause) == (NOW - minutes(10), "PoweredOff")


def over(begin, end, **spec):
    said = {"vCenterUUID": VCENTER_UUID, "instanceUUID": VM_UUID, "managedVMRef": {"name": "web-01"}, **spec}
    body = {"metadata": {"name": f"o-{begin}"}, "spec": {"cause": "PoweredOff", "begin": begin, **said}}
    return Outage.of({**body, "status": {"end": end}})


def test_the_sums_of_month_and_year_are_shown_with_what_the_year_allows():
    records = [
        over(at("2026-10-05T10:00"), at("2026-10-05T11:00")),
        over(at("2026-11-05T10:00"), at("2026-11-05T10:30")),
    ]
    found = decided(virtual_machine(), *records).status.availability
    assert (found.month.period, found.month.counted, found.month.allowed) == ("2026-11", minutes(30), None)
    assert (found.year.period, found.year.counted) == ("2026", minutes(90))
    assert found.year.allowed == timedelta(hours=8, minutes=45, seconds=32), (
        "0.1 % of the year under the order"
    )


@pytest.mark.parametrize(
    ("hours", "reason"), [(8, Reason.AVAILABILITY_KEPT), (9, Reason.AVAILABILITY_MISSED)]
)
def test_more_downtime_than_the_year_allows_is_found_and_counted(hours, reason):
    record = over(at("2026-11-05T10:00"), at("2026-11-05T10:00") + timedelta(hours=hours))
    findings = decided(virtual_machine(), record).findings
    (found,) = [one for one in findings if one.aspect is Aspect.AVAILABILITY_KEPT]
    assert found.reason is reason


def test_an_outage_that_lasts_is_looked_at_again_when_it_takes_more_than_the_year_allows():
    begin = NOW - timedelta(hours=1)
    record = recorded(off(begin), now=begin + minutes(1))
    found = decided(off(begin), record)
    due = begin + timedelta(hours=8, minutes=45, seconds=33)
    assert found.next_check == due
    reasons = [one.reason for one in decided(off(begin), record, now=due).findings]
    assert Reason.AVAILABILITY_MISSED in reasons
