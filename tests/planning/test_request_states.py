"""Clauses 4 to 6.5: how a request that people work on moves on, who releases it, and what its condition says."""

import pytest

from managedvm.api.changerequest import Billing, RequestKind, RequestState
from managedvm.planning.findings import Aspect
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.reaction import Worked
from managedvm.planning.reasons import Reason
from managedvm.planning.requests import findings, next_check, plan
from tests.api.bodies import software
from tests.factories import (
    NOW,
    PREMIUM,
    at,
    managed_vm,
    minutes,
    persons_request,
    request_decision,
    requester,
    service_level,
)
from tests.planning.test_requests import GONE, OTHER, OWN, observed

STRANGER = "somebody@else.example"
STAFF = "t.technik@provider.example"
WINDOWS = maintenance_calendar(service_level().maintenance, managed_vm().spec.maintenance)


def moved(request, found=None, now=NOW):
    """Return the action for a request; by default all is as the contract promises."""
    action = plan(request, found or observed(), now)
    assert action is not None
    return action


def again(request, action):
    """Return the request after its action was carried out."""
    status = action.after.to_json()
    return persons_request(request.spec.requested_by, **request.spec.to_json() | {"status": status})


def held():
    request = persons_request(STRANGER)
    return again(request, moved(request))


def worked(*begins):
    return tuple(Worked(begin, NOW + minutes(90)) for begin in begins)


def staff(decision="Release"):
    return request_decision(decision, STAFF, decided_as="Staff", made_at=NOW + minutes(10))


# Kinds


@pytest.mark.parametrize("kind", RequestKind)
def test_a_request_of_every_kind_is_documented_with_clause_and_billing(kind):
    more = {"software": software()["software"]} if kind is RequestKind.SOFTWARE_INSTALLATION else {}
    wanted = {"wantedAt": NOW + minutes(600)} if kind is RequestKind.UPDATE_APPOINTMENT else {}
    action = moved(persons_request(kind=kind.value, **more, **wanted))
    assert action.after.assessment is not None
    assert action.after.state in (RequestState.ORDERED, RequestState.SCHEDULED)


def test_a_fault_is_taken_in_without_a_package():
    action = moved(persons_request(kind="FaultReport"), observed(package=None))
    assert action.after.state is RequestState.ORDERED
    assert action.after.assessment.billing is Billing.INCLUDED


def test_any_other_kind_needs_a_package():
    action = moved(persons_request(kind="SupportQuestion"), observed(package=None))
    assert (action.after.state, action.finding.reason) == (RequestState.REFUSED, Reason.NO_ACTIVE_PACKAGE)


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ({"source": "Archive"}, "comes as an archive"),
        ({"source": "SourceCode"}, "would have to be compiled"),
        ({"format": None}, "whether redis-server is a .deb or an .rpm"),
        ({"repository": None}, "which repository"),
        ({"isFreelyAccessible": False}, "is not freely accessible"),
    ],
)
def test_software_from_elsewhere_that_a_helpdesk_hands_on_is_documented_and_refused(strange, words):
    action = moved(persons_request(channel="Helpdesk", **software(**strange)))
    assert (action.after.state, action.finding.reason) == (
        RequestState.REFUSED,
        Reason.NOT_FROM_STANDARD_SOURCE,
    )
    assert words in action.finding.message
    assert action.finding.clause.number == "6.2"


# Work, planning, ends


def test_the_first_work_moves_a_request_into_work():
    begun = NOW + minutes(30)
    action = moved(persons_request(), observed(work=worked(begun)), NOW + minutes(90))
    assert (action.after.state, action.after.started_at) == (RequestState.IN_WORK, begun)
    assert "`managedvm request complete kunde-a/helpdesk-1`" in action.finding.message


def test_an_earlier_piece_of_work_that_is_recorded_later_moves_nothing_back():
    request = persons_request()
    first = again(request, moved(request, observed(work=worked(NOW + minutes(30))), NOW + minutes(90)))
    more = observed(work=worked(NOW + minutes(30), NOW + minutes(10)))
    assert moved(first, more, NOW + minutes(95)).after == first.status


def test_a_held_request_is_not_put_to_work_by_recording_some():
    action = moved(held(), observed(work=worked(NOW + minutes(30))), NOW + minutes(90))
    assert action.after.state is RequestState.HELD


def test_staff_closes_what_is_done():
    action = moved(persons_request(), observed(decisions=(staff("Complete"),)), NOW + minutes(11))
    assert (action.after.state, action.after.completed_at) == (RequestState.DONE, NOW + minutes(10))
    assert STAFF in action.finding.message
    assert "Agreed on the telephone" in action.finding.message


def test_a_held_request_is_released_before_it_is_done():
    action = moved(held(), observed(decisions=(staff("Complete"),)), NOW + minutes(11))
    assert action.after.state is RequestState.HELD


@pytest.mark.parametrize("state", ["Ordered", "Held", "Released", "Scheduled", "InWork"])
@pytest.mark.parametrize("read", [{}, GONE], ids=["there", "its ManagedVM is gone"])
def test_who_asked_takes_it_back_at_any_time(state, read):
    decision = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(10))
    known = held().status.to_json() | {"state": state}
    action = moved(
        persons_request(STRANGER, status=known), observed(decisions=(decision,), **read), NOW + minutes(90)
    )
    assert (action.after.state, action.finding.reason) == (RequestState.WITHDRAWN, Reason.WITHDRAWN)
    assert action.after.completed_at == NOW + minutes(10), "when it was decided, however late that is seen"


@pytest.mark.parametrize(
    "decisions", [(), (request_decision("Withdraw", STRANGER),)], ids=["open", "withdrawn"]
)
@pytest.mark.parametrize("read", [{"package": None}, {"identity": OTHER}], ids=["no package", "another VM"])
def test_what_no_clause_covers_is_refused_also_when_it_was_withdrawn_meanwhile(read, decisions):
    request = persons_request(STRANGER, kind="SupportQuestion", vm=OWN.to_json())
    action = moved(request, observed(decisions=decisions, **read))
    assert (action.after.state, action.after.assessment) == (RequestState.REFUSED, None)


def test_what_is_withdrawn_before_its_managed_vm_is_there_waits_and_is_then_refused():
    withdrawn = observed(decisions=(request_decision("Withdraw", STRANGER),), **GONE)
    assert moved(persons_request(STRANGER), withdrawn).after.state is RequestState.ORDERED
    assert moved(persons_request(STRANGER), withdrawn, NOW + minutes(5)).after.state is RequestState.REFUSED


def test_what_was_held_until_it_was_withdrawn_says_that_it_never_was_an_order():
    decision = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(10))
    action = moved(held(), observed(decisions=(decision,)), NOW + minutes(11))
    assert "never was an order and no work on it is billed" in action.finding.message
    assert action.after.release is None


def test_a_release_and_a_withdrawal_that_are_seen_together_count_in_the_order_in_which_they_were_made():
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(20))
    for made_at, is_released in ((NOW + minutes(10), True), (NOW + minutes(30), False)):
        release = request_decision("Release", STAFF, decided_as="Staff", made_at=made_at)
        action = moved(held(), observed(decisions=(release, withdrawal)), NOW + minutes(60))
        assert action.after.state is RequestState.WITHDRAWN
        assert (action.after.release is not None) is is_released


def test_a_list_that_names_the_requester_by_now_releases_nothing_that_was_withdrawn():
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(20))
    listed = observed(requesters=(requester(), requester(STRANGER)), decisions=(withdrawal,))
    assert moved(held(), listed, NOW + minutes(60)).after.release is None


def test_what_was_completed_while_it_was_held_has_its_end_with_the_release():
    release = request_decision("Release", made_at=NOW + minutes(30))
    action = moved(held(), observed(decisions=(staff("Complete"), release)), NOW + minutes(60))
    assert (action.after.state, action.after.completed_at) == (RequestState.DONE, NOW + minutes(30))


def test_an_update_on_order_is_planned_for_the_next_window_at_once():
    action = moved(persons_request(kind="UpdateOrder"), observed(windows=WINDOWS))
    assert action.after.state is RequestState.SCHEDULED
    assert action.after.slot.begin == at("2026-11-24T04:00")
    assert "this version installs none by itself" in action.finding.message
    assert action.finding.clause.number == "5.1"


def test_a_window_that_passed_without_work_is_followed_by_the_next():
    request = persons_request(kind="UpdateOrder")
    planned = again(request, moved(request, observed(windows=WINDOWS)))
    same = moved(planned, observed(windows=WINDOWS), at("2026-11-24T05:59"))
    assert same.after.slot == planned.status.slot
    following = moved(planned, observed(windows=WINDOWS), at("2026-11-24T06:00"))
    assert following.after.slot.begin == at("2026-11-25T04:00")
    assert next_check(planned.status, at("2026-11-24T05:59")) == at("2026-11-24T06:00")


def test_an_update_that_is_wanted_later_is_planned_later():
    request = persons_request(kind="UpdateOrder", wantedAt="2026-11-26T00:00:00Z")
    assert moved(request, observed(windows=WINDOWS)).after.slot.begin == at("2026-11-26T04:00")


def test_an_update_without_any_window_says_what_to_do():
    action = moved(persons_request(kind="UpdateOrder"), observed(level=PREMIUM))
    assert action.after.state is RequestState.ORDERED
    assert "order an UpdateAppointment" in action.finding.message


def test_an_appointment_is_planned_as_agreed():
    request = persons_request(kind="UpdateAppointment", wantedAt="2026-11-25T13:00:00Z")
    action = moved(request, observed(windows=WINDOWS))
    assert action.after.slot.begin == at("2026-11-25T13:00")
    over = moved(request, observed(windows=WINDOWS), at("2026-11-25T14:00"))
    assert "That time is over" in over.finding.message


def test_an_appointment_of_somebody_who_may_not_order_is_held():
    request = persons_request(STRANGER, kind="UpdateAppointment", wantedAt="2026-11-25T13:00:00Z")
    action = moved(request, observed(windows=WINDOWS))
    assert (action.after.state, action.after.slot) == (RequestState.HELD, None)


@pytest.mark.parametrize(
    "read",
    [{"package": None}, {"identity": OTHER}, GONE],
    ids=["the package has gone", "another VM", "no ManagedVM any more"],
)
def test_what_was_documented_is_worked_on_and_closed_whatever_becomes_of_its_managed_vm(read):
    request = persons_request(vm=OWN.to_json())
    known = again(request, moved(request))
    begun = moved(known, observed(work=worked(NOW + minutes(30)), **read), NOW + minutes(90))
    assert begun.after.state is RequestState.IN_WORK
    done = moved(known, observed(decisions=(staff("Complete"),), **read), NOW + minutes(90))
    assert done.after.state is RequestState.DONE


def test_the_slot_of_an_update_stays_where_nobody_can_plan_another():
    request = persons_request(kind="UpdateOrder")
    planned = again(request, moved(request, observed(windows=WINDOWS)))
    later = plan(planned, observed(**GONE), at("2026-11-24T06:00"))
    assert later is None or later.after.slot == planned.status.slot


# Reaction


def test_the_reaction_time_of_the_level_at_intake_runs_from_intake():
    action = moved(persons_request(), observed(level=PREMIUM))
    assert action.after.reaction.due_at == NOW + minutes(30)
    assert next_check(action.after, NOW) == NOW + minutes(30)
    known = again(persons_request(), action)
    assert moved(known, observed(), NOW + minutes(10)).after.reaction.due_at == NOW + minutes(30)


def test_a_missed_reaction_is_seen_and_counted_once_for_each_request():
    request = again(persons_request(), moved(persons_request()))
    missed = moved(request, observed(), NOW + minutes(120))
    assert missed.after.reaction.is_missed
    (outcome, found) = findings(missed.after, missed.finding)
    assert outcome == missed.finding
    assert (found.aspect, found.reason) == (Aspect.REACTED_IN_TIME, Reason.REACTION_MISSED)
    assert next_check(missed.after, NOW + minutes(120)) is None
    done = missed.after.model_copy(update={"state": RequestState.DONE})
    assert findings(done, None) == (found,), "what was missed stays counted"
    assert findings(request.status, None) == ()


def test_a_timely_reaction_that_is_recorded_late_is_no_missed_one():
    request = again(persons_request(), moved(persons_request()))
    missed = again(request, moved(request, observed(), NOW + minutes(120)))
    late = moved(missed, observed(work=worked(NOW + minutes(119))), NOW + minutes(130))
    assert (late.after.reaction.reacted_at, late.after.reaction.is_missed) == (NOW + minutes(119), False)


def test_a_reaction_stands_once_there_was_one():
    request = persons_request()
    reacted = again(request, moved(request, observed(work=worked(NOW + minutes(150))), NOW + minutes(160)))
    assert reacted.status.reaction.is_missed
    more = observed(work=worked(NOW + minutes(150), NOW + minutes(5)))
    assert moved(reacted, more, NOW + minutes(170)).after.reaction == reacted.status.reaction


def test_a_request_that_was_taken_back_in_time_is_not_missed():
    decision = request_decision("Withdraw", made_at=NOW + minutes(5))
    end = moved(persons_request(), observed(decisions=(decision,)), NOW + minutes(6))
    assert (end.after.reaction.reacted_at, end.after.reaction.is_missed) == (None, False)
    assert next_check(end.after, NOW + minutes(6)) is None


def test_a_refused_request_promises_no_reaction():
    assert moved(persons_request(), observed(package=None)).after.reaction is None


# Recovery of a fault


def fault():
    return persons_request(kind="FaultReport")


def test_the_recovery_time_of_the_level_at_intake_runs_from_intake():
    action = moved(fault(), observed(level=PREMIUM))
    assert action.after.recovery.due_at == NOW + minutes(120)
    known = again(fault(), action)
    later = moved(known, observed(), NOW + minutes(45)).after
    assert later.recovery.due_at == NOW + minutes(120)
    assert next_check(later, NOW + minutes(45)) == NOW + minutes(120), "after the reaction that is due first"


def test_only_a_fault_is_to_be_mended():
    assert moved(persons_request()).after.recovery is None


def test_a_fault_that_is_not_mended_in_time_is_seen_and_counted_although_somebody_has_reacted():
    request = again(fault(), moved(fault(), observed(level=PREMIUM, work=worked(NOW + minutes(5)))))
    missed = moved(request, observed(level=PREMIUM, work=worked(NOW + minutes(5))), NOW + minutes(120))
    assert missed.after.recovery.is_missed
    (found,) = findings(missed.after, None)
    assert (found.aspect, found.reason) == (Aspect.RECOVERED_IN_TIME, Reason.RECOVERY_MISSED)
    done = missed.after.model_copy(update={"state": RequestState.DONE})
    assert findings(done, None) == (found,), "what was missed stays counted"


@pytest.mark.parametrize(
    ("said_after", "is_missed"), [(120, False), (121, True)], ids=["at the last instant", "too late"]
)
def test_a_fault_is_mended_when_the_staff_has_said_so_however_late_that_is_read(said_after, is_missed):
    decision = request_decision("Complete", STAFF, decided_as="Staff", made_at=NOW + minutes(said_after))
    end = moved(fault(), observed(level=PREMIUM, decisions=(decision,)), NOW + minutes(500))
    assert end.after.state is RequestState.DONE
    assert (end.after.recovery.recovered_at, end.after.recovery.is_missed) == (
        NOW + minutes(said_after),
        is_missed,
    )


def test_a_fault_that_was_taken_back_in_time_is_not_missed():
    decision = request_decision("Withdraw", made_at=NOW + minutes(5))
    end = moved(fault(), observed(decisions=(decision,)), NOW + minutes(6))
    assert (end.after.recovery.recovered_at, end.after.recovery.is_missed) == (None, False)


def test_an_own_request_of_the_operator_has_no_reaction_to_wait_for():
    assert plan(persons_request(origin="Operator"), observed(has_taken_effect=False), NOW) is None
