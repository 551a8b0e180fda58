"""What a closed month says of availability and of faults (clauses 1 and 4.1), covered by its hash."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.outage import Outage
from managedvm.planning import statement
from managedvm.planning.bill import bill
from managedvm.planning.calendar import Interval
from managedvm.planning.ledger import digest, hash_of, key_of
from managedvm.planning.statement import next_page, period
from managedvm.planning.uptimelines import availability_lines, recovery_lines
from managedvm.planning.verification import Fault, verify
from tests.bookkeeping import BERLIN, books, close, ledger, request
from tests.factories import VCENTER_UUID, VM_UUID, at, managed_vm, minutes, order, service_levels

OCTOBER = period("2026-10", BERLIN)
MONTH = Interval(OCTOBER.begin, OCTOBER.until)
SEEN = {
    "vm": {
        "instanceUUID": VM_UUID,
        "vCenterUUID": VCENTER_UUID,
        "inventoryPath": "/Berlin/vm/kunde-a/web-01",
        "powerState": "PoweredOn",
    },
    "availability": {"measuredSince": at("2026-01-02T00:00")},
}
VM = managed_vm(status=SEEN)


def outage(begin, lasts, name="op-outage-1", *, status=None, namespace="kunde-a", **spec):
    said = {
        "cause": "PoweredOff",
        "begin": at(begin),
        "vCenterUUID": VCENTER_UUID,
        "instanceUUID": VM_UUID,
        "managedVMRef": {"name": "web-01"},
        "order": "A-1",
        "serviceLevel": "standard",
        **spec,
    }
    given = {key: value for key, value in said.items() if value is not None}
    ended = {"end": at(begin) + lasts} if lasts else {}
    meta = {"name": name, "namespace": namespace, "creationTimestamp": at(begin) + minutes(1)}
    return Outage.of({"metadata": meta, "spec": given, "status": {**ended, **(status or {})}})


def lines(*outages, vms=(VM,)):
    return availability_lines(vms, service_levels(), outages, MONTH)


def test_a_month_says_of_each_vm_what_was_promised_and_what_was():
    (line,) = lines(outage("2026-10-05T10:00", minutes(30)))
    assert (line.managed_vm_ref.name, line.order, line.service_level) == ("web-01", "A-1", "standard")
    assert line.agreed == timedelta(days=31, hours=1), "the clock is set back in October"
    assert (line.counted, line.excluded, line.unmeasured) == (minutes(30), minutes(0), minutes(0))
    assert (line.promised_percent, line.availability_percent) == ("99.9", "99.9328")


def test_an_outage_that_lasts_counts_until_the_end_of_the_month_and_one_from_before_from_its_begin():
    (line,) = lines(outage("2026-10-31T20:00", None))
    assert line.counted == OCTOBER.until - at("2026-10-31T20:00")
    (line,) = lines(outage("2026-09-30T20:00", timedelta(hours=4)))
    assert line.counted == at("2026-10-01T00:00") - OCTOBER.begin


def test_what_nobody_could_see_is_neither_up_nor_down():
    nobody = {
        "cause": "NotMeasured",
        "instanceUUID": None,
        "managedVMRef": None,
        "order": None,
        "serviceLevel": None,
    }
    (line,) = lines(outage("2026-10-05T10:00", timedelta(hours=2), **nobody))
    assert (line.counted, line.unmeasured, line.availability_percent) == (
        minutes(0),
        minutes(120),
        "100.0000",
    )
    (other,) = lines(outage("2026-10-05T10:00", timedelta(hours=2), namespace="kunde-b", **nobody))
    assert other.unmeasured == minutes(0), "another customer's gap is told to that customer"


def test_each_order_is_measured_against_its_own_level():
    turn = "2026-10-16T00:00:00Z"
    orders = [order("A-1", until=turn), order("A-2", "premium", from_=turn)]
    vm = managed_vm(status=SEEN, orders=orders)
    first, second = lines(outage("2026-10-15T23:30", minutes(45)), vms=(vm,))
    assert (first.order, first.counted, first.promised_percent) == ("A-1", minutes(30), "99.9")
    assert (second.order, second.counted, second.promised_percent) == ("A-2", minutes(15), "99.98")


def test_an_outage_is_told_although_its_managed_vm_is_gone():
    (line,) = lines(outage("2026-10-05T10:00", minutes(30)), vms=())
    assert (line.managed_vm_ref.name, line.order, line.counted) == ("web-01", "A-1", minutes(30))
    assert (line.agreed, line.unmeasured, line.availability_percent) == (None, None, None)


def test_a_vm_that_is_not_measured_is_not_told_to_have_been_available():
    (line,) = lines(vms=(managed_vm(),))
    assert (line.unmeasured, line.availability_percent) == (line.agreed, None)


def fault(**recovery):
    clock = {"dueAt": at("2026-10-05T16:00"), "isMissed": False, **recovery}
    asked = request("fault", kind="FaultReport")
    return type(asked).of({**asked.to_json(), "status": {**asked.to_json()["status"], "recovery": clock}})


@pytest.mark.parametrize("recovered", [None, at("2026-10-05T15:00")])
def test_a_month_says_of_each_fault_whether_it_was_mended_in_time(recovered):
    more = {"recoveredAt": recovered} if recovered else {"isMissed": True}
    (line,) = recovery_lines([fault(**more), request("change")], MONTH)
    assert (line.change_request_ref.name, line.recovered_at, line.is_missed) == (
        "fault",
        recovered,
        recovered is None,
    )
    assert recovery_lines([fault(**more)], Interval(OCTOBER.until, OCTOBER.until + minutes(1))) == ()


# In the Statement


def known(*outages):
    return books(fault(), outages=outages, managed=(VM,), levels=service_levels())


def test_a_closed_month_has_them_and_covers_the_outages_and_its_hash_covers_all():
    closed = close(known(outage("2026-10-05T10:00", minutes(30))), "2026-10")
    (page,) = closed.pages
    assert [line.counted for line in bill(closed.pages).availability] == [minutes(30)]
    assert [line.change_request_ref.name for line in bill(closed.pages).recoveries] == ["fault"]
    assert "Outage" in {record.kind for record in page.spec.records}
    better = page.spec.availability[0].model_copy(update={"counted": minutes(0)})
    forged = page.model_copy(update={"spec": page.spec.model_copy(update={"availability": (better,)})})
    assert hash_of(forged) != page.spec.hash


def test_an_outage_that_is_told_otherwise_later_is_found():
    record = outage("2026-10-05T10:00", minutes(30))
    closed = close(known(record), "2026-10")
    there = ledger(closed)
    shorter = outage("2026-10-05T10:00", minutes(1))
    assert digest(shorter) != digest(record)
    good = replace(there, records={**there.records, key_of(record): record})
    assert verify(good) == ()
    bad = replace(there, records={**there.records, key_of(shorter): shorter})
    (problem,) = verify(bad)
    assert (problem.fault, problem.where) == (Fault.EDITED, "Outage kunde-a/op-outage-1")


def test_an_outage_that_lasts_is_covered_by_the_month_in_which_it_has_ended():
    lasting = close(known(outage("2026-10-31T20:00", None)), "2026-10")
    assert "Outage" not in {record.kind for page in lasting.pages for record in page.spec.records}
    over = replace(lasting, outages=(outage("2026-10-31T20:00", timedelta(hours=9)),))
    later = close(over, "2026-11")
    assert "Outage" in {record.kind for record in later.pages[-1].spec.records}


def test_more_than_fits_on_a_page_goes_on_on_the_next_and_nothing_is_told_twice(monkeypatch):
    monkeypatch.setattr(statement, "BYTES_PER_PAGE", 1)
    vms = tuple(managed_vm(name=f"web-{n:02}") for n in range(4))
    whole = replace(known(), managed=vms)
    assert next_page(whole, "2026-10").spec.pages is None
    closed = close(whole, "2026-10")
    assert len(closed.pages) > len(vms)
    assert [line.managed_vm_ref.name for line in bill(closed.pages).availability] == [
        f"web-{n:02}" for n in range(4)
    ]
