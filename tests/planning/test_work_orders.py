"""Clauses 4 and 6.1: which work lies within an order of somebody who may order, and what is said of the other."""

from datetime import timedelta

import pytest

from managedvm.planning.decisions import Decisions
from managedvm.planning.work import objection
from tests.factories import NOW, at, request_decision, work_entry
from tests.planning.test_work import (
    LATER,
    MAY_NOT,
    RELEASE,
    TAKEN_IN,
    assert_pending,
    assert_refused,
    judged,
    request,
)


class TestOrders:
    def test_work_waits_for_its_request_and_is_then_refused(self):
        entry = work_entry()
        early = judged(entry, NOW, request=None)
        assert (early.finding, early.next_check) == (None, LATER)
        assert_refused(judged(entry, request=None), "UnknownRecord", "ChangeRequest helpdesk-1")

    def test_work_waits_until_it_is_decided_whether_the_request_is_an_order(self):
        undecided = request(assessed=False)
        assert judged(work_entry(), NOW, request=undecided).next_check == LATER
        assert_pending(judged(work_entry(), request=undecided))

    def test_work_on_a_held_request_is_not_billed_until_it_is_released(self):
        held = request(state="Held", authority=MAY_NOT)
        assert_refused(judged(work_entry(), request=held), "RequestHeld", "releases it")
        for released in (
            {"request": request(state="Held", authority=MAY_NOT, release=RELEASE)},
            {"request": held, "decisions": Decisions(release=request_decision("Release"))},
        ):
            assert judged(work_entry(), **released).charge is not None

    @pytest.mark.parametrize("cause", [None, "Provider"])
    def test_work_on_a_request_that_was_held_and_withdrawn_is_never_billed(self, cause):
        ended = {"state": "Withdrawn", "completedAt": NOW}
        never = request(authority=MAY_NOT, **ended)
        judgement = judged(work_entry(cause=cause), request=never)
        assert_refused(judgement, "NotOrdered", "nobody who may order", "not billed")
        released = request(authority=MAY_NOT, release=RELEASE, **ended)
        assert judged(work_entry(cause=cause), request=released).charge is not None

    def test_work_on_what_was_withdrawn_before_anybody_had_judged_it_is_not_billed(self):
        ended = request(state="Withdrawn", assessed=False, completedAt=NOW)
        assert_refused(judged(work_entry(), request=ended), "NotOrdered")

    def test_work_waits_until_a_withdrawal_that_is_on_record_is_settled(self):
        withdrawn = Decisions(withdrawal=request_decision("Withdraw"))
        assert_pending(judged(work_entry(), decisions=withdrawn))

    def test_work_that_ends_after_the_withdrawal_is_not_billed_for_the_part_before_it(self):
        ended = request(state="Withdrawn", completedAt=at("2026-11-23T09:29:59"))
        judgement = judged(work_entry(begin="2026-11-23T09:00"), request=ended)
        assert_refused(
            judgement, "NotOrdered", "2026-11-23T09:30:00Z", "09:29:59", "record the work until then"
        )
        until_then = request(state="Withdrawn", completedAt=at("2026-11-23T09:30"))
        assert judged(work_entry(begin="2026-11-23T09:00"), request=until_then).charge is not None

    @pytest.mark.parametrize(("asked_at", "counts"), [("09:00:00", True), ("09:00:01", False)])
    def test_work_counts_from_the_instant_of_the_request(self, asked_at, counts):
        asked = request(asked_at=f"2026-11-23T{asked_at}Z")
        judgement = judged(work_entry(begin="2026-11-23T09:00"), request=asked)
        if counts:
            assert judgement.charge is not None
        else:
            assert_refused(judgement, "NotOrdered", "before request helpdesk-1 was asked", "spec.askedAt")

    def test_what_does_not_say_when_it_was_asked_was_asked_when_it_was_written(self):
        judgement = judged(work_entry(begin="2026-11-23T11:30"), request=request(asked_at=None))
        assert_refused(judgement, "NotOrdered", "2026-11-23T12:00:00Z")

    def test_nothing_is_asked_after_it_was_written(self):
        asked = request(asked_at="2026-11-23T13:00:00Z")
        late = work_entry(begin="2026-11-23T12:00", recorded_at=NOW + timedelta(hours=1))
        assert judged(late, request=asked).charge is not None

    def test_work_on_a_refused_request_was_not_ordered(self):
        refused = request(state="Refused", assessed=False, completedAt=NOW)
        assert_refused(judged(work_entry(), request=refused), "NotOrdered", "was refused")

    def test_work_counts_that_began_before_its_request_was_done(self):
        ended = request(state="Done", completedAt=at("2026-11-23T09:10"))
        assert judged(work_entry(begin="2026-11-23T09:00"), request=ended).charge is not None
        assert_refused(
            judged(work_entry(begin="2026-11-23T09:10"), request=ended), "NotOrdered", "2026-11-23T09:10:00Z"
        )

    @pytest.mark.parametrize("state", ["Ordered", "InWork", "Done"])
    def test_of_a_fault_that_anybody_reported_only_what_is_billed_waits_for_a_release(self, state):
        fault = request("FaultReport", state, authority=TAKEN_IN)
        assert judged(work_entry(), request=fault).charge.amount == "0.00"
        assert judged(work_entry(cause="Provider"), request=fault).charge.amount == "0.00"
        billed = work_entry(cause="CustomerChange")
        words = ("CustomerChange", "may not order that", "managedvm request release kunde-a/helpdesk-1")
        assert_refused(judged(billed, request=fault), "RequestHeld", *words)
        released = request("FaultReport", state, authority=TAKEN_IN, release=RELEASE)
        assert judged(billed, request=released).charge.amount == "60.00"
        later = Decisions(release=request_decision("Release"))
        assert judged(billed, request=fault, decisions=later).charge.amount == "60.00"

    def test_what_is_billed_of_a_fault_waits_also_where_the_report_was_withdrawn(self):
        fault = request("FaultReport", "Withdrawn", authority=TAKEN_IN, completedAt=NOW)
        assert judged(work_entry(), request=fault).charge.amount == "0.00"
        assert_refused(judged(work_entry(cause="Malware"), request=fault), "RequestHeld")
        released = Decisions(withdrawal=request_decision("Withdraw"), release=request_decision("Release"))
        billed = judged(work_entry(cause="Malware"), request=fault, decisions=released)
        assert billed.charge.amount == "60.00"

    def test_work_on_another_vm_than_the_requests_is_out_of_scope(self):
        assert_refused(judged(work_entry(managedVMRef={"name": "db-01"})), "OutOfScopeVM", "web-01", "db-01")
        assert judged(work_entry(managedVMRef={"name": "web-01"})).charge is not None

    def test_work_that_was_recorded_before_it_ended_is_work_of_the_future(self):
        entry = work_entry(recorded_at=at("2026-11-23T09:29:59"))
        assert_refused(judged(entry), "FutureWork", "2026-11-23T09:30:00Z", "when it is done")


class TestBeforeItIsRecorded:
    def told(self, request, **spec):
        return objection(work_entry(**spec).spec, request, NOW)

    def test_work_that_will_not_be_accepted_is_objected_to(self):
        refused = request(state="Refused", assessed=False, completedAt=NOW)
        assert self.told(refused).reason.word == "NotOrdered"
        assert self.told(request(), begin="2026-11-23T11:31").reason.word == "FutureWork"
        assert self.told(request(asked_at=None)).reason.word == "NotOrdered"
        assert self.told(request(), managedVMRef={"name": "db-01"}).reason.word == "OutOfScopeVM"

    def test_work_that_may_be_accepted_later_is_not(self):
        held, fault = request(state="Held", authority=MAY_NOT), request("FaultReport", authority=TAKEN_IN)
        for state in (request(), held, request(assessed=False)):
            assert self.told(state) is None
        assert self.told(fault, cause="CustomerChange") is None
