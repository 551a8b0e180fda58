"""Clause 4: who may order for a customer, and what happens where the list does not answer."""

import pytest

from managedvm.api.changerequest import RequestKind
from managedvm.api.customer import Requests
from managedvm.planning import authority as decided
from tests.factories import NOW, REQUESTER, minutes, requester

STRANGER = "somebody@else.example"


def authority(listed, rules, who, asked_at, kind=RequestKind.CONFIGURATION_CHANGE, *, elsewhere_since=None):
    return decided.authority(listed, rules, who, asked_at, kind, elsewhere_since)


def policy(unlisted="Hold", nobody="Proceed") -> Requests:
    return Requests.model_validate({"unlistedRequester": unlisted, "noRequesterListed": nobody})


@pytest.mark.parametrize(
    ("asked_at", "may"),
    [
        (NOW - minutes(1), False),
        (NOW, True),
        (NOW + minutes(59), True),
        (NOW + minutes(60), False),
    ],
    ids=["before the first day", "at the first instant", "just before the end", "at the end"],
)
def test_a_person_may_order_from_the_first_instant_until_the_end_of_the_entry(asked_at, may):
    listed = (
        requester("other@kunde-a.example"),
        requester(since="2026-11-23T12:00", until="2026-11-23T13:00"),
    )
    assert authority(listed, policy(), REQUESTER, asked_at).may_proceed is may


def test_the_day_of_the_request_counts_and_not_today():
    ended = (requester(until="2026-11-23T12:00"),)
    assert authority(ended, policy(), REQUESTER, NOW - minutes(1)).may_proceed


def test_a_second_entry_authorises_again():
    again = (requester(until="2026-06-01T00:00"), requester(since="2026-11-01T00:00"))
    assert authority(again, policy(), REQUESTER, NOW).may_proceed


@pytest.mark.parametrize(("unlisted", "may"), [("Hold", False), ("Proceed", True)])
def test_the_policy_decides_about_somebody_who_is_not_on_the_list(unlisted, may):
    found = authority((requester(),), policy(unlisted=unlisted), STRANGER, NOW)
    assert found.may_proceed is may
    assert STRANGER in found.explanation


@pytest.mark.parametrize(("nobody", "may"), [("Hold", False), ("Proceed", True)])
@pytest.mark.parametrize(
    "listed", [(), (requester(since="2026-12-01T00:00"),)], ids=["empty", "of later days only"]
)
def test_the_policy_decides_where_nobody_was_named_yet(nobody, may, listed):
    found = authority(listed, policy(nobody=nobody), REQUESTER, NOW)
    assert found.may_proceed is may
    assert "has named nobody" in found.explanation


def test_a_list_whose_entries_have_all_ended_is_still_a_list():
    found = authority((requester(until="2026-06-01T00:00"),), policy(), REQUESTER, NOW)
    assert not found.may_proceed
    assert "nobody any more" in found.explanation


def test_the_people_who_may_order_are_named_but_not_all_sixty_of_them():
    listed = tuple(requester(f"person-{number}@kunde-a.example") for number in range(60))
    explanation = authority(listed, policy(), STRANGER, NOW).explanation
    assert "person-0@kunde-a.example, person-1@kunde-a.example and 58 more" in explanation


def test_an_address_that_differs_is_another_person():
    assert not authority((requester(),), policy(), REQUESTER.upper(), NOW).may_proceed


ONLY_QUESTIONS = requester(scope=("SupportQuestion",))


def test_a_scope_limits_what_a_person_may_order():
    assert authority((ONLY_QUESTIONS,), policy(), REQUESTER, NOW, RequestKind.SUPPORT_QUESTION).may_proceed
    found = authority((ONLY_QUESTIONS, requester("chef@x")), policy(), REQUESTER, NOW, RequestKind.RESTORE)
    assert not found.may_proceed
    assert found.explanation == (
        f"{REQUESTER} may order SupportQuestion only, and not Restore; authorised for that: chef@x"
    )


def test_several_entries_of_a_person_add_up():
    both = (ONLY_QUESTIONS, requester(since="2026-11-01T00:00", scope=("Restore",)))
    found = authority(both, policy(), REQUESTER, NOW, RequestKind.RESTORE)
    assert found.entry == both[1]


def test_who_is_listed_for_something_else_is_treated_as_who_is_not_listed():
    found = authority((ONLY_QUESTIONS,), policy(unlisted="Proceed"), REQUESTER, NOW, RequestKind.RESTORE)
    assert found.may_proceed
    assert "is listed for SupportQuestion only" in found.explanation
    assert found.entry is None


def test_what_is_recorded_names_the_entry_by_its_keys():
    noted = authority((requester(),), policy(), REQUESTER, NOW).recorded(NOW)
    assert (noted.decided_at, noted.may_proceed) == (NOW, True)
    assert noted.entry is not None
    assert (noted.entry.email, noted.entry.from_) == (requester().email, requester().from_)
    assert authority((), policy(), REQUESTER, NOW).recorded(NOW).entry is None


def test_an_explanation_always_fits_the_record():
    longest = tuple(requester(f"{number}{'x' * 252}") for number in range(3))
    noted = authority(longest, policy(), "y" * 254, NOW).recorded(NOW)
    assert len(noted.explanation) <= 512


class TestListsOfOtherNamespaces:
    def test_who_lists_people_for_another_namespace_has_named_somebody(self):
        found = authority((), policy(), STRANGER, NOW, elsewhere_since=NOW)
        assert not found.may_proceed
        assert "nobody for this namespace" in found.explanation

    def test_a_list_of_a_later_day_is_none_yet(self):
        assert authority((), policy(), STRANGER, NOW, elsewhere_since=NOW + minutes(1)).may_proceed

    def test_an_entry_authorises_in_its_own_namespace(self):
        assert authority((requester(),), policy(), REQUESTER, NOW, elsewhere_since=NOW).entry == requester()

    def test_the_policy_for_unlisted_people_decides_there(self):
        rules = policy(unlisted="Proceed", nobody="Hold")
        assert authority((), rules, STRANGER, NOW, elsewhere_since=NOW).may_proceed


class TestFaults:
    @pytest.mark.parametrize("listed", [(requester(),), ()], ids=["not listed", "nobody listed"])
    def test_a_fault_is_taken_in_from_anybody_and_orders_nothing_that_is_billed(self, listed):
        found = authority(listed, policy(nobody="Hold"), STRANGER, NOW, RequestKind.FAULT_REPORT)
        assert (found.may_proceed, found.may_order) == (True, False)
        assert "a fault is taken in from anybody" in found.explanation
        noted = found.recorded(NOW)
        assert (noted.may_proceed, noted.may_order) == (True, False)

    def test_who_may_report_faults_by_the_list_orders_what_their_removal_costs(self):
        only_faults = (requester(scope=("FaultReport",)),)
        found = authority(only_faults, policy(), REQUESTER, NOW, RequestKind.FAULT_REPORT)
        assert (found.may_proceed, found.may_order) == (True, True)

    def test_who_may_ask_questions_only_reports_faults_and_orders_nothing_by_them(self):
        found = authority((ONLY_QUESTIONS,), policy(), REQUESTER, NOW, RequestKind.FAULT_REPORT)
        assert (found.may_proceed, found.may_order) == (True, False)

    @pytest.mark.parametrize("kind", sorted(set(RequestKind) - {RequestKind.FAULT_REPORT}))
    def test_every_other_kind_is_an_instruction_and_held_also_where_it_is_included(self, kind):
        found = authority((requester(),), policy(), STRANGER, NOW, kind)
        assert (found.may_proceed, found.may_order) == (False, False)
