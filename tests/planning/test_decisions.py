"""Clause 4: which decisions about a request count, by the list as it was when they were made."""

import pytest

from managedvm.api.changerequest import RequestKind
from managedvm.planning.decisions import counted, with_void
from tests.factories import NOW, REQUESTER, minutes, request_decision, requester

CHANGE = RequestKind.CONFIGURATION_CHANGE
STRANGER = "somebody@else.example"
STAFF = "t.technik@provider.example"
EARLIER = NOW - minutes(60)


def judged(*decisions, listed=None, kind=CHANGE, asked_by=STRANGER, recorded_at=EARLIER):
    people = (requester(),) if listed is None else listed
    return counted(decisions, kind, asked_by, people, recorded_at=recorded_at)


@pytest.mark.parametrize(
    ("listed", "counts"),
    [
        ((requester(),), True),
        ((requester(scope=("ConfigurationChange",)),), True),
        ((requester(scope=("SupportQuestion",)),), False),
        ((requester(until="2026-11-23T12:00"),), False),
        ((requester(until="2026-11-23T12:01"),), True),
        ((requester(since="2026-11-23T12:01"),), False),
        ((), False),
    ],
    ids=["listed", "for this kind", "for another kind", "ended", "ends later", "begins later", "no list"],
)
def test_an_authorised_requester_releases(listed, counts):
    release = request_decision("Release")
    found = judged(release, listed=listed)
    assert found.release == (release if counts else None)
    assert len(found.void) == (0 if counts else 1)


def test_staff_releases_whatever_the_list_says():
    release = request_decision("Release", STAFF, decided_as="Staff")
    assert judged(release, listed=()).release == release


def test_who_asked_may_withdraw_and_not_release():
    withdrawal, release = request_decision("Withdraw", STRANGER), request_decision("Release", STRANGER)
    found = judged(withdrawal, release)
    assert found.withdrawal == withdrawal
    assert found.release is None
    assert "no authorised requester" in found.void[0]


def test_a_stranger_withdraws_nothing():
    assert judged(request_decision("Withdraw", "else@x")).withdrawal is None


def test_an_authorised_requester_withdraws_what_another_asked_for():
    withdrawal = request_decision("Withdraw", REQUESTER)
    assert judged(withdrawal).withdrawal == withdrawal


def test_only_staff_says_that_work_is_done():
    assert judged(request_decision("Complete", REQUESTER)).completion is None
    done = request_decision("Complete", STAFF, decided_as="Staff")
    assert judged(done).completion == done


def test_the_first_that_counts_stands():
    void = request_decision("Release", STRANGER, made_at=NOW - minutes(10))
    first = request_decision("Release", made_at=NOW - minutes(5))
    second = request_decision("Release", STAFF, decided_as="Staff")
    assert judged(second, first, void).release == first


def test_a_decision_of_staff_is_a_reaction_and_a_customers_word_is_none():
    customers = request_decision("Release", made_at=NOW - minutes(5))
    staffs = request_decision("Release", STAFF, decided_as="Staff")
    assert judged(customers, staffs).reacted_at == NOW
    assert judged(customers).reacted_at is None


@pytest.mark.parametrize("what", ["Release", "Withdraw", "Complete"])
def test_what_was_decided_before_the_request_was_there_is_void_and_says_so(what):
    decision = request_decision(what, STAFF, decided_as="Staff", made_at=NOW)
    found = judged(decision, recorded_at=NOW + minutes(1))
    assert (found.release, found.withdrawal, found.completion, found.reacted_at) == (None,) * 4
    assert found.void == (
        f"{what} by {STAFF} does not count: it was made at 2026-11-23T12:00:00Z, before the request was there",
    )


def test_of_what_the_api_server_stored_in_the_same_second_nobody_can_say_which_was_first_and_it_counts():
    decision = request_decision("Release", made_at=NOW)
    assert judged(decision, recorded_at=NOW).release == decision


def test_what_was_withdrawn_is_not_released_or_completed_any_more():
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW)
    release = request_decision("Release", made_at=NOW + minutes(1))
    done = request_decision("Complete", STAFF, decided_as="Staff", made_at=NOW + minutes(1))
    found = judged(release, withdrawal, done)
    assert (found.withdrawal, found.release, found.completion) == (withdrawal, None, None)
    assert [words.endswith("the request was withdrawn before") for words in found.void] == [True, True]


def test_what_is_billed_of_a_fault_is_released_after_its_withdrawal_too():
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW)
    release = request_decision("Release", made_at=NOW + minutes(1))
    found = judged(release, withdrawal, kind=RequestKind.FAULT_REPORT)
    assert (found.withdrawal, found.release) == (withdrawal, release)


def test_what_was_released_and_then_withdrawn_was_released():
    release = request_decision("Release", made_at=NOW)
    withdrawal = request_decision("Withdraw", STRANGER, made_at=NOW + minutes(1))
    found = judged(withdrawal, release)
    assert (found.release, found.withdrawal) == (release, withdrawal)


def test_what_does_not_count_is_told_in_words_that_stay_short():
    void = judged(*(request_decision("Release", f"{n}{'x' * 250}", made_at=NOW) for n in range(9)))
    words = with_void("Held", void)
    assert words.startswith("Held. Release by 0xx")
    assert len(words) < 400
