"""Clause 4: a month is billed once, with every accepted piece of work in it, and never changes."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.changerequest import RequestTicket
from managedvm.planning.ledger import hash_of, key_of
from managedvm.planning.money import parse_minor
from managedvm.planning.statement import (
    BYTES_PER_PAGE,
    CannotCloseError,
    following,
    next_page,
    period,
    refuse,
)
from managedvm.planning.statementlines import value_added_tax
from managedvm.planning.verification import verify
from tests.bookkeeping import books, close, end_of, ledger, request, reversal, totals, work, written
from tests.examples import examples
from tests.factories import at


def lines(known, month=None):
    return [
        line for page in known.chain for line in page.spec.lines if month is None or page.spec.month == month
    ]


def test_a_line_says_who_ordered_what_by_which_clause_and_what_it_cost():
    page = next_page(books(work()), "2026-10")

    (line,) = page.spec.lines
    assert (line.number, line.work_entry_ref.name, line.change_request_ref.name) == (1, "work-1", "chg-1")
    assert (line.requested_by, line.channel, line.ticket) == ("a.beispiel@kunde-a.example", "Email", "4711")
    assert (line.clause, line.billing, line.kind) == ("6.3", "Effort", "ConfigurationChange")
    assert (line.hourly_rate, line.counted, line.amount) == ("120.00", timedelta(minutes=45), "90.00")
    assert line.ordered_at == at("2026-10-05T08:00")


def test_the_sums_are_those_of_the_lines_with_the_tax_rounded_once():
    known = close(
        books(
            work("a", minutes=10, charge={"hourly": 10001}), work("b", begin="2026-10-07T09:00", minutes=10)
        ),
        "2026-10",
    )

    sums = totals(known)
    assert [line.amount for line in lines(known)] == ["16.67", "20.00"]
    assert (sums.net, sums.vat, sums.gross, sums.currency) == ("36.67", "6.97", "43.64", "EUR")
    assert sums.counted == timedelta(minutes=20)


def test_a_page_has_a_label_for_each_namespace_of_its_records():
    other = work("elsewhere", namespace="kunde-a-2", on="chg-2")
    known = books(work(), other, request(), request("chg-2", namespace="kunde-a-2"))

    assert next_page(known, "2026-10").metadata.labels == {
        "covers.managedvm.dev/kunde-a": "true",
        "covers.managedvm.dev/kunde-a-2": "true",
    }


def test_a_record_that_another_customers_statement_has_is_not_billed_again():
    known = books(work(), work("mine", "2026-10-07T09:00"), elsewhere=frozenset({key_of(work())}))

    assert [line.work_entry_ref.name for line in lines(close(known, "2026-10"))] == ["mine"]


def test_included_work_is_a_line_that_costs_nothing():
    known = close(books(work(charge={"billing": "Included", "clause": "4.1"})), "2026-10")

    (line,) = lines(known)
    assert (line.amount, line.billing, line.clause, line.hourly_rate) == ("0.00", "Included", "4.1", None)
    assert (line.begin, line.end) == (at("2026-10-06T09:00"), at("2026-10-06T09:45"))
    assert totals(known).counted == timedelta()


def test_work_over_a_change_of_the_rate_is_a_line_for_each_rate():
    entry = work(minutes=60)
    first, second = (work(minutes=30).charge, work(begin="2026-10-06T09:30", minutes=30).charge)
    both = entry.charge.model_copy(update={"lines": (*first.lines, *second.lines)})
    status = entry.status.model_copy(update={"charge": both})

    known = close(books(entry.model_copy(update={"status": status})), "2026-10")

    assert [(line.number, line.begin, line.amount) for line in lines(known)] == [
        (1, at("2026-10-06T09:00"), "60.00"),
        (2, at("2026-10-06T09:30"), "60.00"),
    ]
    assert verify(ledger(known)) == ()


def test_a_counter_entry_takes_money_and_time_back():
    entry = work()
    known = close(books(entry, reversal(entry, "2026-10-20T10:00")), "2026-10")

    assert [(line.amount, line.counted) for line in lines(known)] == [
        ("90.00", timedelta(minutes=45)),
        ("-90.00", timedelta(minutes=-45)),
    ]
    assert lines(known)[1].reverses.name == "work-1"
    assert (totals(known).net, totals(known).vat, totals(known).counted) == ("0.00", "0.00", timedelta())


def test_a_month_of_credits_is_negative():
    entry = work()
    known = close(books(entry), "2026-10")
    later = replace(known, work=(entry, reversal(entry, "2026-11-03T10:00")))

    sums = totals(close(later, "2026-11"), "2026-11")

    assert (sums.net, sums.vat, sums.gross) == ("-90.00", "-17.10", "-107.10")


def test_work_belongs_to_the_month_in_which_it_began_in_the_zone_of_the_price_list():
    before, after = work("before", "2026-10-31T22:59"), work("after", "2026-10-31T23:00")

    known = close(close(books(before, after), "2026-10"), "2026-11")

    assert [line.work_entry_ref.name for line in lines(known, "2026-10")] == ["before"]
    assert [line.work_entry_ref.name for line in lines(known, "2026-11")] == ["after"]


def test_work_that_was_not_accepted_stays_out_and_is_named():
    known = close(books(work(), work("double", "2026-10-06T09:15", accepted=False)), "2026-10")

    assert [line.work_entry_ref.name for line in lines(known)] == ["work-1"]
    (entry,) = known.chain[-1].spec.pending
    assert (entry.name, entry.reason) == ("double", "The operator has not looked at it yet.")


def test_work_accepted_later_is_in_the_next_statement_and_named_as_pending_once():
    waiting = work("double", "2026-10-06T09:15", accepted=False)
    known = close(close(books(waiting), "2026-10"), "2026-11")
    assert [len(page.spec.pending) for page in known.chain] == [1, 0]

    accepted = replace(known, work=(work("double", "2026-10-06T09:15"),))

    assert [line.work_entry_ref.name for line in lines(close(accepted, "2026-12"), "2026-12")] == ["double"]


@pytest.mark.parametrize(
    ("entry", "asked", "reason"),
    [
        (work(on="gone"), request(), "Its ChangeRequest gone is not there."),
        (work(), request(status={}), "ChangeRequest chg-1 is not assessed yet, or held."),
        (
            work(charge={"currency": "CHF"}),
            request(),
            "It is priced in CHF, and the price list is in EUR.",
        ),
    ],
)
def test_what_cannot_be_billed_is_pending_with_its_reason(entry, asked, reason):
    page = next_page(books(entry, asked), "2026-10")

    assert (page.spec.lines, [entry.reason for entry in page.spec.pending]) == ((), [reason])


def ticketed(**ticket):
    """Return a request with the ticket that the helpdesk has for it."""
    asked = request()
    there = RequestTicket(asked_at=asked.metadata.creation_timestamp, **ticket)
    return asked.model_copy(update={"status": asked.status.model_copy(update={"ticket": there})})


def test_what_is_not_in_the_helpdesk_yet_is_pending_and_then_billed_with_its_number():
    known = close(books(work(), ticketed()), "2026-10")
    (entry,) = known.chain[-1].spec.pending
    assert entry.reason == "ChangeRequest chg-1 has no ticket in the helpdesk yet."
    there = ticketed(id=7, number="96007")
    page = close(replace(known, requests={("kunde-a", "chg-1"): there}), "2026-11").chain[-1]
    assert [line.ticket for line in page.spec.lines] == ["96007"]


def test_a_request_that_nobody_worked_on_is_covered_too():
    page = next_page(books(request("quiet")), "2026-10")

    assert [record.name for record in page.spec.records] == ["quiet"]


def test_a_request_of_a_later_month_is_not_covered_yet():
    assert next_page(books(request(asked="2026-11-02T08:00")), "2026-10").spec.records == ()


def test_a_month_without_work_is_closed_with_nothing_to_pay():
    known = close(books(), "2026-10")

    assert (lines(known), totals(known).gross, known.chain[-1].spec.pages) == ([], "0.00", 1)


def test_a_closed_month_is_not_closed_again():
    known = close(books(work()), "2026-10")

    assert next_page(replace(known, work=(*known.work, work("late"))), "2026-10") is None


def test_each_page_continues_the_hash_of_the_one_before():
    known = close(close(books(work()), "2026-10"), "2026-11")

    october, november = known.chain
    assert october.spec.previous is None
    assert (november.spec.previous.name, november.spec.previous.hash) == (
        "kunde-a-2026-10",
        october.spec.hash,
    )
    assert all(hash_of(page) == page.spec.hash for page in known.chain)


def test_the_hash_does_not_depend_on_what_the_api_server_adds():
    page = next_page(books(work()), "2026-10")

    assert hash_of(written(page)) == page.spec.hash


def many(number):
    return [work(f"work-{at:04}", f"2026-10-{1 + at // 50:02}T{at % 20:02}:00") for at in range(number)]


def test_a_month_with_much_work_has_pages_and_the_last_one_the_totals():
    known = close(books(*many(1201)), "2026-10")

    assert [page.metadata.name for page in known.chain] == [
        "kunde-a-2026-10",
        "kunde-a-2026-10-p2",
        "kunde-a-2026-10-p3",
    ]
    assert [(len(page.spec.lines), page.spec.pages) for page in known.chain] == [
        (500, None),
        (500, None),
        (201, 3),
    ]
    assert [line.number for line in lines(known)] == list(range(1, 1202))
    assert totals(known).net == f"{1201 * 90}.00"
    assert verify(ledger(known)) == ()


def test_a_page_of_the_longest_texts_fits_into_etcd():
    long = [
        work(f"work-{number}-{'x' * 240}", by="é" * 254, activity="ü" * 2000, ticket="ß" * 128)
        for number in range(500)
    ]
    known = close(books(*long), "2026-10")

    assert len(known.pages) > 1
    for page in known.pages:
        assert len(json.dumps(page.to_json())) < BYTES_PER_PAGE * 1.2 < 1_000_000


def test_what_comes_between_two_pages_is_on_the_second():
    known = books(*many(501))
    known = replace(known, pages=(written(next_page(known, "2026-10")),))
    late = work("late", "2026-10-02T00:30", by="operator")

    known = close(replace(known, work=(*known.work, late)), "2026-10")

    assert [line.work_entry_ref.name for line in known.chain[1].spec.lines] == ["late", "work-0500"]
    assert verify(ledger(known)) == ()


def test_a_month_that_is_not_over_is_not_closed():
    with pytest.raises(CannotCloseError, match="2026-10 is not over: it ends at 2026-10-31T23:00:00Z"):
        refuse(books(), "2026-10", end_of("2026-10") - timedelta(seconds=1))
    refuse(books(), "2026-10", end_of("2026-10"))


@pytest.mark.parametrize("month", ["2026-09", "2026-12"])
def test_months_are_closed_one_after_the_other(month):
    known = close(books(), "2026-10")

    with pytest.raises(CannotCloseError, match="the next month to close is 2026-11"):
        refuse(known, month, at("2027-06-01T00:00"))


def test_a_month_that_was_interrupted_is_finished_first():
    known = books(*many(501))
    known = replace(known, pages=(written(next_page(known, "2026-10")),))

    with pytest.raises(CannotCloseError, match="the next month to close is 2026-10"):
        refuse(known, "2026-11", at("2027-06-01T00:00"))
    refuse(known, "2026-10", at("2027-06-01T00:00"))


def test_nothing_is_closed_on_a_chain_whose_beginning_is_not_known():
    known = close(close(books(work()), "2026-10"), "2026-11")

    with pytest.raises(CannotCloseError, match="kunde-a-2026-10 is not there"):
        next_page(replace(known, pages=known.chain[1:]), "2026-12")


def test_months_follow_each_other_over_the_turn_of_the_year():
    assert [following(month) for month in ("2026-01", "2026-11", "2026-12")] == [
        "2026-02",
        "2026-12",
        "2027-01",
    ]


def test_a_month_begins_and_ends_by_the_wall_clock():
    october = period("2026-10", "Europe/Berlin")

    assert (october.begin, october.until) == (at("2026-09-30T22:00"), at("2026-10-31T23:00"))
    assert period("2026-12", "Europe/Berlin").until == at("2026-12-31T23:00")


@examples(100)
@given(st.integers(-(10**9), 10**9), st.sampled_from(["0", "7", "19", "7.7", "8.25"]))
def test_the_tax_on_a_credit_mirrors_that_on_a_bill(net, percent):
    assert value_added_tax(net, percent) == -value_added_tax(-net, percent)
    assert abs(value_added_tax(net, percent) * 10000 - net * parse_minor(percent)) <= 5000


@st.composite
def histories(draw):
    """Yield months, each with the work that comes to be known in it; some of it is of an earlier month."""
    number, told = 0, []
    for month in (10, 11, 12):
        entries = []
        for _ in range(draw(st.integers(0, 6))):
            number += 1
            began = draw(st.integers(10, month))
            moment = f"2026-{began}-{draw(st.integers(2, 27)):02}T{draw(st.integers(0, 23)):02}:00"
            minutes = draw(st.integers(1, 300))
            hourly = draw(st.integers(1, 30000))
            late = began < month
            entry = work(
                f"work-{number}",
                moment,
                minutes,
                by="operator" if late else "t@x",
                recorded=f"2026-{month}-28T12:00",
                charge={"hourly": hourly},
            )
            entries.append(entry)
            if draw(st.booleans()):
                entries.append(reversal(entry, f"2026-{month}-28T13:00"))
        told.append((f"2026-{month}", entries))
    return told


@examples(60)
@given(histories())
def test_all_accepted_work_is_billed_exactly_once_and_the_sums_are_those_of_the_lines(history):
    known = books(request(asked="2026-10-01T00:00"))
    for month, entries in history:
        known = close(replace(known, work=(*known.work, *entries)), month)

    billed = [line.work_entry_ref.name for line in lines(known)]
    assert sorted(billed) == sorted(entry.metadata.name for entry in known.work)
    for month, entries in history:
        mine = lines(known, month)
        assert {line.work_entry_ref.name for line in mine} == {entry.metadata.name for entry in entries}
        sums = totals(known, month)
        assert parse_minor(sums.net) == sum(parse_minor(line.amount) for line in mine)
        assert parse_minor(sums.gross) == parse_minor(sums.net) + parse_minor(sums.vat)
    assert verify(ledger(known)) == ()
