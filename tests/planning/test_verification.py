"""Nobody changes the ledger quietly: every tampering in the list is found and named, and nothing else is."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.api.customer import CustomerStatus
from managedvm.planning import statement
from managedvm.planning.ledger import RecordKey, digest
from managedvm.planning.statement import next_page, position, reference_to
from managedvm.planning.verification import Fault, Ledger, verify
from tests.bookkeeping import (
    books,
    close,
    end_of,
    ledger,
    released,
    request,
    reversal,
    settled,
    work,
    written,
)
from tests.factories import at
from tests.forgery import (
    DECEMBER,
    NOVEMBER,
    OCTOBER,
    PAGE_2,
    WORK,
    missing,
    new_digest,
    page,
    put,
    record,
    said,
    without,
)
from tests.tampering import TAMPERINGS


@pytest.fixture(scope="module")
def known():
    """Three closed months, the first one of two pages; with a counter-entry, included work and a request without work."""
    october = [work(f"work-{number:03}", f"2026-10-06T{number:02}:30") for number in range(6)]
    november = work("work-nov", "2026-11-03T09:00", on="chg-2")
    second = request("chg-2", asked="2026-11-03T08:00", kind="FaultReport", requestedBy="b@x")
    free = work("free", "2026-11-04T09:00", on="chg-2", charge={"billing": "Included", "clause": "4.1"})
    quiet = request("quiet", asked="2026-11-05T08:00")
    back = reversal(november, "2026-12-02T10:00")
    by_phone, said_yes = released("by-phone", "2026-11-06T08:00")
    asked = request(asked="2026-10-01T00:00")
    found = books(asked, second, quiet, by_phone, *october, november, free, back, decisions=(said_yes,))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(statement, "LINES_PER_PAGE", 5)
        for month in ("2026-10", "2026-11", "2026-12"):
            found = close(found, month)
    return found


@pytest.fixture
def whole(known):
    return ledger(known)


@pytest.fixture(scope="module")
def party(known):
    """What the Customer says of its months."""
    return settled("2026-12", known.chain[-1])


def test_a_ledger_that_nobody_touched_gives_no_word(whole, party):
    assert verify(whole, settled=party) == ()


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_a_tampering_is_found_and_named(whole, tampering, party):
    change, fault, where = TAMPERINGS[tampering]

    found = verify(change(whole), settled=party)

    assert [d for d in found if d.fault is fault and where in f"{d.where} {d.text}"], found


NEEDS_THE_CUSTOMER = {
    "last month inserted",
    "last month deleted",
    "all but the last month deleted, which says that it is the first",
    "recipient and hash of the last month",
}
"""What only the Customer's status tells, and a document or an archive in other hands: what is left is a whole ledger."""


@pytest.mark.parametrize("tampering", sorted(TAMPERINGS.keys() - NEEDS_THE_CUSTOMER))
def test_a_tampering_is_found_where_the_customers_status_was_made_to_fit(whole, tampering):
    changed = TAMPERINGS[tampering][0](whole)
    latest = max(changed.pages, key=position, default=None)
    forged = CustomerStatus(
        closed_until=latest.spec.until if latest else end_of("2026-12"),
        last_statement=reference_to(latest) if latest else None,
    )

    assert verify(changed, settled=forged) != ()


def test_who_rewrites_everything_is_found_by_the_customer_and_by_the_hash_on_a_document(whole, party):
    forged_work = record(whole, WORK, performed_by="x@x")
    lines = tuple(
        one.model_copy(update={"performed_by": "x@x"}) if one.work_entry_ref.name == "work-nov" else one
        for one in page(whole, NOVEMBER).spec.lines
    )
    all_of_it = new_digest(put(forged_work, said(whole, NOVEMBER, lines=lines)), WORK, NOVEMBER)

    (found,) = verify(all_of_it, settled=party)
    assert (found.fault, found.where) == (Fault.EDITED, DECEMBER)
    rewritten_too = settled("2026-12", page(all_of_it, DECEMBER))
    assert verify(all_of_it, settled=rewritten_too) == ()
    handed_out = page(whole, NOVEMBER).spec.hash
    (found,) = verify(all_of_it, settled=rewritten_too, hashes=[handed_out])
    assert (found.fault, found.where) == (Fault.EDITED, handed_out)
    assert verify(whole, settled=party, hashes=[handed_out]) == ()


def test_who_rewrites_everything_is_found_by_the_archive(whole, party):
    forged_work = new_digest(record(whole, WORK, activity="Nothing."), WORK, NOVEMBER)

    found = verify(forged_work, whole, settled=party)

    assert {d.where for d in found if d.fault is Fault.INSERTED} >= {NOVEMBER}


def pruned(of, month):
    gone = {r.name for p in of.pages if p.spec.month == month for r in p.spec.records}
    return missing(of, *(key for key in of.records if key.name in gone))


def test_a_pruned_month_is_verified_with_its_archive(whole, party):
    assert verify(pruned(whole, "2026-11"), whole, settled=party) == ()


def test_statements_that_were_pruned_too_are_taken_from_the_archive(whole, party):
    left = without(pruned(whole, "2026-10"), OCTOBER, PAGE_2)

    assert verify(left, whole, settled=party) == ()


def test_without_the_archive_it_is_said_which_months_records_are_not_there(whole, party):
    found = verify(pruned(whole, "2026-10"), settled=party)

    assert [(d.fault, d.where) for d in found] == [(Fault.DELETED, "2026-10")]
    assert "none of its 7 records is there: give the archive" in found[0].text


def test_an_archive_that_was_edited_is_found(whole, party):
    edited = record(whole, WORK, activity="Nothing.")

    found = verify(pruned(whole, "2026-11"), edited, settled=party)

    assert (found[0].fault, found[0].where) == (Fault.EDITED, "WorkEntry kunde-a/work-nov")
    assert "in the archive" in found[0].text


def test_late_work_of_the_operator_waits_for_the_next_statement_and_is_no_forgery(whole, party):
    late = work("late", "2026-11-10T09:00", recorded="2027-01-01T06:00", by="operator")
    more = {**whole.records, RecordKey("WorkEntry", "kunde-a", "late"): late}

    assert verify(replace(whole, records=more), settled=party) == ()


def test_work_that_was_pending_is_not_left_out():
    waiting = work("double", accepted=False)
    known = close(books(waiting), "2026-10")
    accepted = replace(known, work=(work("double"),))

    assert verify(ledger(accepted), settled=settled("2026-10", known.chain[-1])) == ()


def test_a_close_that_was_interrupted_is_told():
    known = books(work("first"), work("second", "2026-10-07T09:00"))
    with pytest.MonkeyPatch.context() as small:
        small.setattr(statement, "LINES_PER_PAGE", 1)
        known = replace(known, pages=(written(next_page(known, "2026-10")),))

    (found,) = verify(ledger(known), settled=settled("2026-10"))

    assert (found.fault, found.where) == (Fault.INCOMPLETE, OCTOBER)
    assert "close the month again" in found.text


def test_nothing_closed_is_nothing_to_find():
    assert verify(Ledger()) == ()


def held(**status):
    before, _ = released("by-phone", "2026-10-06T08:00")
    return before.model_copy(update={"status": before.status.model_copy(update={"release": None, **status})})


class TestWhatIsCoveredIsFinal:
    """So what moves on after the close is no tampering."""

    def after(self, known, **status):
        """Return what verify says once the only request of the books has moved on."""
        (asked,) = known.requests.values()
        moved = asked.model_copy(update={"status": asked.status.model_copy(update=status)})
        later = replace(known, requests=dict.fromkeys(known.requests, moved))
        return verify(ledger(later), settled=settled("2026-10", known.chain[-1]))

    @pytest.mark.parametrize("state", [RequestState.ORDERED, RequestState.SCHEDULED, RequestState.IN_WORK])
    def test_a_request_that_comes_to_its_end_later(self, state):
        asked = request()
        asked = asked.model_copy(update={"status": asked.status.model_copy(update={"state": state})})
        known = close(books(asked, work()), "2026-10")

        moved = {"state": RequestState.DONE, "completed_at": at("2026-11-20T00:00"), "slot": None}
        assert self.after(known, **moved) == ()

    def test_a_held_request_is_not_covered_until_it_is_released(self):
        known = close(books(held(state=RequestState.HELD)), "2026-10")
        assert known.chain[-1].spec.records == ()
        free, decision = released("by-phone", "2026-10-06T08:00")

        assert self.after(known, release=free.status.release, state=RequestState.RELEASED) == ()
        later = replace(known, requests={("kunde-a", "by-phone"): free}, decisions=(decision,))
        november = close(later, "2026-11").chain[-1]
        assert [record.name for record in november.spec.records] == ["by-phone", "by-phone-release"]

    def test_a_held_request_that_was_withdrawn_is_covered_as_it_is(self):
        known = close(books(held(state=RequestState.WITHDRAWN)), "2026-10")

        assert [record.name for record in known.chain[-1].spec.records] == ["by-phone"]


def test_a_customer_that_was_made_anew_is_told(whole):
    found = verify(whole, settled=CustomerStatus())

    assert [(problem.fault, problem.where) for problem in found] == [
        (Fault.INSERTED, DECEMBER),
        (Fault.INCOMPLETE, DECEMBER),
    ]
    assert "the Customer was made anew" in found[0].text


def test_the_digest_of_a_record_does_not_change_with_how_far_it_got():
    before = request()
    after = before.model_copy(
        update={"status": before.status.model_copy(update={"state": RequestState.WITHDRAWN})}
    )

    assert digest(before) == digest(after)
