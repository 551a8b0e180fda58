"""Clauses 4 to 6.5: how a request that people work on moves on, who releases it, and what its condition says."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import Billing, RequestKind, RequestState
from managedvm.api.customer import Requests
from managedvm.planning.authority import authority
from managedvm.planning.findings import Aspect, Reason
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.reaction import Worked
from managedvm.planning.requests import findings, next_check, plan
from tests.api.bodies import software
from tests.factories import (
    NOW,
    PREMIUM,
    REQUESTER,
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


# Authority


def test_it_is_written_once_by_which_entry_the_requester_may_order():
    action = moved(persons_request())
    noted = action.after.authority
    assert (noted.may_proceed, noted.decided_at, noted.entry.email) == (True, NOW, REQUESTER)
    ended = observed(requesters=(requester(until="2026-11-23T11:00"),))
    later = moved(again(persons_request(), action), ended, NOW + minutes(10))
    assert later.after.authority == noted
    assert later.after.state is RequestState.ORDERED


def test_a_held_request_says_who_may_release_it_and_how():
    action = moved(persons_request(STRANGER))
    assert action.after.authority.may_proceed is False
    assert action.after.authority.entry is None
    assert f"An authorised requester ({REQUESTER}) or the provider's staff" in action.finding.message
    assert "`managedvm request release kunde-a/helpdesk-1`" in action.finding.message


def test_where_nobody_is_listed_only_staff_releases():
    policy = Requests.model_validate({"noRequesterListed": "Hold"})
    action = moved(persons_request(STRANGER), observed(requesters=(), policy=policy))
    assert action.after.state is RequestState.HELD
    assert "The provider's staff releases it" in action.finding.message


@pytest.mark.parametrize("decision", [staff(), request_decision("Release", made_at=NOW + minutes(10))])
def test_a_released_request_goes_on_and_names_who_released_it(decision):
    action = moved(held(), observed(decisions=(decision,)), NOW + minutes(11))
    release = action.after.release
    assert action.after.state is RequestState.RELEASED
    assert (release.released_by, release.released_at) == (decision.spec.decided_by, NOW + minutes(10))
    assert release.decision_ref.name == decision.metadata.name
    assert action.after.authority.may_proceed is False, "what was decided first stays decided"


def test_a_request_that_was_released_is_not_held_again():
    released = again(held(), moved(held(), observed(decisions=(staff(),)), NOW + minutes(11)))
    later = moved(released, observed(decisions=()), NOW + minutes(20))
    assert later.after == released.status


def test_a_release_by_somebody_who_may_not_is_told_and_changes_nothing():
    decision = request_decision("Release", STRANGER, made_at=NOW + minutes(10))
    action = moved(held(), observed(decisions=(decision,)), NOW + minutes(11))
    assert action.after.state is RequestState.HELD
    assert f"Release by {STRANGER} does not count" in action.finding.message


def test_a_held_request_goes_on_when_the_customer_lists_the_person_from_that_day_on():
    listed = observed(requesters=(requester(), requester(STRANGER)))
    action = moved(held(), listed, NOW + minutes(10))
    assert action.after.state is RequestState.RELEASED
    assert action.after.release.released_by is None
    assert "By now Anna Beispiel is an authorised requester" in action.after.release.explanation


def test_a_person_who_is_listed_from_a_later_day_on_releases_nothing_that_was_asked_before():
    listed = observed(requesters=(requester(), requester(STRANGER, since="2026-11-23T12:01")))
    assert moved(held(), listed, NOW + minutes(10)).after.state is RequestState.HELD


def test_a_scope_decides_about_the_kind_that_is_asked_for():
    only = observed(requesters=(requester(scope=("SupportQuestion",)),))
    assert moved(persons_request(kind="SupportQuestion"), only).after.state is RequestState.ORDERED
    assert moved(persons_request(kind="CleanUp"), only).after.state is RequestState.HELD


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
    assert (action.after.state, action.after.completed_at) == (RequestState.DONE, NOW + minutes(11))
    assert STAFF in action.finding.message
    assert "Agreed on the telephone" in action.finding.message


def test_a_held_request_is_released_before_it_is_done():
    action = moved(held(), observed(decisions=(staff("Complete"),)), NOW + minutes(11))
    assert action.after.state is RequestState.HELD


@pytest.mark.parametrize("state", ["Ordered", "Held", "Released", "Scheduled", "InWork"])
@pytest.mark.parametrize("read", [{}, GONE], ids=["there", "its ManagedVM is gone"])
def test_who_asked_takes_it_back_at_any_time(state, read):
    decision = request_decision("Withdraw", STRANGER)
    action = moved(
        persons_request(STRANGER, status={"state": state}), observed(decisions=(decision,), **read)
    )
    assert (action.after.state, action.finding.reason) == (RequestState.WITHDRAWN, Reason.WITHDRAWN)
    assert action.after.completed_at == NOW


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


def test_the_same_decision_is_taken_for_the_yaml_of_a_managed_vm_and_for_a_request():
    listed = (requester(scope=("ConfigurationChange",)),)
    for kind, may in ((RequestKind.CONFIGURATION_CHANGE, True), (RequestKind.RESTORE, False)):
        direct = authority(listed, Requests(), REQUESTER, NOW, kind)
        action = moved(persons_request(kind=kind.value), replace(observed(), requesters=listed))
        assert direct.may_proceed is action.after.authority.may_proceed is may
