"""A dispute is one command: each step of a charge is told, with the clause and the evidence for it."""

from managedvm.api.requestdecision import RequestDecision
from managedvm.planning.dispute import explain_entry, explain_request
from tests.bookkeeping import books, close, request, reversal, work
from tests.factories import at


def told(facts):
    return {fact.about: fact.text for fact in facts}


def test_it_is_told_who_ordered_through_what_and_by_which_entry_of_the_list():
    facts = told(explain_request(request(), ()))

    assert facts["Ordered"] == (
        "a.beispiel@kunde-a.example asked through Email at 2026-10-05T08:00:00Z, ticket 4711 for web-01: Please add a "
        "virtual host."
    )
    assert "(entry a.beispiel@kunde-a.example from 2026-01-01T00:00:00Z)" in facts["Authorised"]
    assert facts["Assessed"] == "A ConfigurationChange is Effort: A change is billed."


def test_a_call_that_was_written_down_later_is_told_with_both_times():
    facts = told(explain_request(request(askedAt=at("2026-10-05T07:30"), channel="Phone"), ()))

    assert "asked through Phone at 2026-10-05T07:30:00Z" in facts["Ordered"]
    assert facts["Entered"] == "The request was written down at 2026-10-05T08:00:00Z"
    assert "Entered" not in told(explain_request(request(), ()))


def test_a_request_that_nobody_has_looked_at_says_so():
    facts = told(explain_request(request(status={}), ()))

    assert "has not decided yet" in facts["Authorised"]
    assert "Assessed" not in facts


def test_a_change_of_size_is_told_with_before_after_and_who_applied_it():
    change = {"id": "c-1", "aspect": "Memory", "before": "4Gi", "after": "8Gi"}
    facts = told(explain_request(request(change=change, origin="Operator", appliedBy="ci@x"), ()))

    assert facts["Ordered"].endswith("for web-01: Memory 4Gi to 8Gi")
    assert facts["Entered by"] == "ci@x wrote the request down"


def test_a_decision_is_told_with_its_reason():
    spec = {
        "changeRequestRef": {"name": "chg-1"},
        "decision": "Release",
        "decidedBy": "b@x",
        "reason": "He is new.",
    }
    meta = {"namespace": "kunde-a", "name": "d", "creationTimestamp": at("2026-10-05T09:00")}

    facts = told(explain_request(request(), [RequestDecision.of({"metadata": meta, "spec": spec})]))

    assert facts["Decided"] == "b@x as Requester at 2026-10-05T09:00:00Z: Release. He is new."


def test_it_is_told_what_was_done_at_which_rate_and_in_which_line_it_is_billed():
    known = close(books(work(cause="Malware")), "2026-10")

    facts = told(explain_entry(known.work[0], request(), known.pages))

    assert facts["Worked"].startswith(
        "t.muster@provider.example from 2026-10-06T09:00:00Z to 2026-10-06T09:45:00Z"
    )
    assert facts["Worked"].endswith("the cause found was Malware")
    assert facts["Rate"] == (
        "45m from 2026-10-06T09:00:00Z at 120.00 an hour is 90.00; the rate is that of price list standard since "
        "2026-01-01T00:00:00Z"
    )
    assert facts["Price"] == "90.00 EUR (Effort): The time is rounded up."
    assert facts["Billed"] == (
        f"kunde-a-2026-10 line 1: 90.00, in the page with hash {known.pages[0].spec.hash}"
    )


def test_work_that_is_in_no_statement_says_so():
    facts = told(explain_entry(work(accepted=False), request(), ()))

    assert facts["Not accepted"] == "The operator has not looked at it yet"
    assert facts["Not billed yet"].startswith("No statement has it")


def test_a_counter_entry_says_what_it_takes_back():
    entry = work()

    facts = told(explain_entry(reversal(entry, "2026-10-20T10:00"), request(), ()))

    assert facts["Taken back"] == "reversal-of-work-1 takes work-1 back: The time was entered twice."
    assert facts["Price"].startswith("-90.00 EUR")
