"""Clauses 4 and 4.1: whose requests are orders, what is held or taken in all the same, and who releases it."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestKind, RequestState
from managedvm.api.customer import Requests
from managedvm.planning.authority import authority
from tests.factories import NOW, REQUESTER, minutes, persons_request, request_decision, requester
from tests.planning.test_request_states import STAFF, STRANGER, again, held, moved, staff, worked
from tests.planning.test_requests import observed


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


def test_a_fault_of_somebody_who_may_not_order_is_taken_in_and_worked_on():
    fault = persons_request(STRANGER, kind="FaultReport")
    action = moved(fault)
    known = action.after.authority
    assert (action.after.state, known.may_proceed, known.may_order) == (RequestState.ORDERED, True, False)
    assert "a fault is taken in from anybody" in action.finding.message
    begun = moved(again(fault, action), observed(work=worked(NOW + minutes(30))), NOW + minutes(90))
    assert begun.after.state is RequestState.IN_WORK


def test_what_is_billed_of_a_fault_is_released_without_moving_it_back():
    fault = persons_request(STRANGER, kind="FaultReport")
    known = again(fault, moved(fault, observed(work=worked(NOW + minutes(5))), NOW + minutes(6)))
    action = moved(known, observed(decisions=(staff(),), work=worked(NOW + minutes(5))), NOW + minutes(11))
    assert (action.after.state, action.after.release.released_by) == (RequestState.IN_WORK, STAFF)
    waiting = moved(again(fault, moved(fault)), observed(decisions=(staff(),)), NOW + minutes(11))
    assert waiting.after.state is RequestState.RELEASED
    assert waiting.finding.message.startswith(f"Released by {STAFF}")


def test_a_fault_that_was_withdrawn_has_its_end_then_and_not_with_a_later_release():
    fault = persons_request(STRANGER, kind="FaultReport")
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(5))
    action = moved(again(fault, moved(fault)), observed(decisions=(staff(), withdrawal)), NOW + minutes(60))
    assert (action.after.state, action.after.completed_at) == (RequestState.WITHDRAWN, NOW + minutes(5))
    assert action.after.release.released_by == STAFF


def test_a_request_is_judged_by_the_lists_as_they_were_when_it_was_asked():
    called = persons_request(askedAt=NOW - minutes(60))
    ended = observed(requesters=(requester(until="2026-11-23T11:30"),))
    assert moved(called, ended).after.state is RequestState.ORDERED
    assert moved(persons_request(), ended).after.state is RequestState.HELD


def test_the_reaction_clock_runs_from_the_call_and_not_from_its_entry():
    called = persons_request(askedAt=NOW - minutes(60))
    assert moved(called).after.reaction.due_at == NOW + minutes(60)
    action = moved(called, observed(work=worked(NOW - minutes(30))))
    assert (action.after.reaction.reacted_at, action.after.reaction.is_missed) == (NOW - minutes(30), False)


def test_the_lists_of_the_customers_other_namespaces_hold_who_is_not_listed_here():
    listed = observed(requesters=(), elsewhere_since=NOW - minutes(60))
    assert moved(persons_request(STRANGER), listed).after.state is RequestState.HELD


def test_a_release_from_before_the_request_is_void_and_named_so():
    early = request_decision("Release", made_at=NOW - minutes(1))
    action = moved(persons_request(STRANGER), observed(decisions=(early,)))
    assert action.after.state is RequestState.HELD
    assert "before the request was there" in action.finding.message


def test_the_same_decision_is_taken_for_the_yaml_of_a_managed_vm_and_for_a_request():
    listed = (requester(scope=("ConfigurationChange",)),)
    for kind, may in ((RequestKind.CONFIGURATION_CHANGE, True), (RequestKind.RESTORE, False)):
        direct = authority(listed, Requests(), REQUESTER, NOW, kind)
        action = moved(persons_request(kind=kind.value), replace(observed(), requesters=listed))
        assert direct.may_proceed is action.after.authority.may_proceed is may
