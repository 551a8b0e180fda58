"""Work that people record: what is accepted and priced, what is not and why, and how a mistake comes to nothing."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.workentry import WorkEntry
from managedvm.planning.money import parse_minor
from managedvm.planning.names import reversal_names
from managedvm.planning.work import SETTLES_WITHIN, ObservedWork, judge
from managedvm.report import judged_status
from tests.examples import examples
from tests.factories import (
    NOW,
    at,
    counter_entry,
    persons_request,
    price_book,
    rate,
    work_entry,
)

LATER = NOW + SETTLES_WITHIN
ASSESSED = {
    "assessment": {"clause": "6.3", "billing": "Effort", "reason": "a change", "assessedAt": NOW},
    "authority": {"decidedAt": NOW, "mayProceed": True, "mayOrder": True, "explanation": "listed"},
}
MAY_NOT = {"decidedAt": NOW, "mayProceed": False, "mayOrder": False, "explanation": "not listed"}
TAKEN_IN = {**MAY_NOT, "mayProceed": True}
RELEASE = {"releasedAt": NOW, "releasedBy": "a@x", "explanation": "released by a@x"}
MORNING = "2026-11-23T00:00:00Z"


def request(kind="ConfigurationChange", state="Ordered", *, assessed=True, asked_at=MORNING, **status):
    """Return a request that was asked in the morning and written down at NOW; `status` replaces fields of its status."""
    status = {"state": state, **(ASSESSED if assessed else {}), **status}
    return persons_request(kind=kind, askedAt=asked_at, status=status)


def seen(**read):
    return ObservedWork(**{"request": request(), "prices": price_book(), **read})


def judged(entry, now=LATER, **read):
    return judge(entry, seen(**read), now)


def after(entry, now=LATER, **read):
    """Return the entry as it is after its pass."""
    status = judged_status(entry.status, judged(entry, now, **read), now)
    return entry.model_copy(update={"status": status})


def assert_refused(judgement, reason, *words):
    assert judgement.finding is not None
    assert judgement.finding.truth == "False"
    assert judgement.finding.reason.word == reason
    assert judgement.charge is None
    assert [word for word in (*words, "clause") if word not in judgement.finding.text] == []


def assert_pending(judgement):
    assert judgement.finding is not None
    assert (judgement.finding.truth, judgement.finding.reason.word) == ("Unknown", "WorkPending")
    assert judgement.charge is None


def test_work_on_a_request_that_is_not_in_the_helpdesk_waits_and_says_so_when_that_lasts():
    early = judged(work_entry(), NOW, awaits_ticket=True)
    assert (early.finding, early.charge, early.next_check) == (None, None, LATER)
    late = judged(work_entry(), LATER, awaits_ticket=True)
    assert (late.finding.truth, late.finding.reason.word, late.charge) == ("Unknown", "TicketMissing", None)
    assert judged(work_entry()).charge is not None


class TestAcceptance:
    def test_work_on_an_order_is_accepted_and_priced(self):
        entry = after(work_entry(worked=20))
        (said,) = entry.status.conditions
        assert (said.type, said.status, said.reason) == ("Accepted", "True", "WorkAccepted")
        assert (entry.charge.amount, entry.charge.clause, entry.charge.billing) == ("60.00", "6.3", "Effort")
        assert "Effort, 60.00 EUR" in said.message

    def test_work_is_told_by_its_end_or_by_its_minutes(self):
        by_minutes, by_end = (
            judged(one).charge for one in (work_entry(), work_entry(worked=None, end=at("2026-11-23T09:30")))
        )
        assert by_minutes == by_end

    @pytest.mark.parametrize(
        ("kind", "cause", "amount", "clause"),
        [
            ("FaultReport", None, "0.00", "4.1"),
            ("FaultReport", "CustomerChange", "60.00", "6.1"),
            ("FaultReport", "Overuse", "60.00", "6.4"),
            ("ConfigurationChange", "Provider", "0.00", "4.1"),
            ("Restore", None, "0.00", "3.2"),
            ("SecurityCheck", "Provider", "60.00", "6.1"),
        ],
    )
    def test_kind_and_cause_decide_whether_work_is_billed(self, kind, cause, amount, clause):
        charge = judged(work_entry(cause=cause), request=request(kind)).charge
        assert (charge.amount, charge.clause) == (amount, clause)
        assert bool(charge.lines) == (charge.billing == "Effort")

    def test_the_price_is_that_of_the_time_of_the_work(self):
        prices = price_book(rate(), rate("2026-11-23T10:00", hourly=99900))
        assert judged(work_entry(), prices=prices).charge.amount == "60.00"

    def test_work_without_a_price_waits_for_one(self):
        for prices, words in ((None, "PriceList"), (price_book(rate("2026-11-23T09:01")), "Add a rate")):
            assert_refused(judged(work_entry(), prices=prices), "PriceUnknown", words)

    def test_included_work_needs_no_rate(self):
        later = price_book(rate("2026-11-24T00:00"))
        assert judged(work_entry(), request=request("Restore"), prices=later).charge.amount == "0.00"

    def test_nothing_is_accepted_while_a_policy_is_missing(self):
        judgement = judged(work_entry(), missing_policies=("managedvm-work",))
        assert (judgement.finding.truth, judgement.finding.reason.word) == ("Unknown", "PolicyBindingMissing")
        assert judgement.charge is None


class TestOverlaps:
    def other(self, begin="2026-11-23T09:15", **more):
        return work_entry("work-0", begin, **{"recorded_at": NOW - timedelta(minutes=1), **more})

    def test_nobody_works_on_two_things_at_once(self):
        judgement = judged(work_entry(), others=(after(self.other()),))
        assert_refused(judgement, "Overlap", "work-0", "2026-11-23T09:15:00Z", "managedvm work reverse")

    @pytest.mark.parametrize("begin", ["2026-11-23T08:30", "2026-11-23T09:30"])
    def test_work_that_touches_other_work_does_not_overlap_it(self, begin):
        assert judged(work_entry(), others=(after(self.other(begin)),)).charge is not None

    def test_of_another_namespace_only_the_time_is_told(self):
        judgement = judged(work_entry(), others=(after(self.other(namespace="kunde-b")),))
        times = ("2026-11-23T09:15:00Z", "2026-11-23T09:45:00Z")
        way = "managedvm work list --person t@provider.example --day 2026-11-23"
        assert_refused(judgement, "Overlap", *times, "recorded elsewhere", way)
        for secret in ("kunde-b", "work-0", "helpdesk-1"):
            assert secret not in judgement.finding.text

    def test_who_came_first_is_judged_first(self):
        first, second = self.other(), work_entry()
        assert_pending(judged(second, others=(first,)))
        assert judged(first, others=(second,)).charge is not None

    def test_work_that_was_refused_is_in_nobodys_way(self):
        refused = after(self.other(), request=request(state="Refused", completedAt=NOW))
        assert judged(work_entry(), others=(refused,)).charge is not None


class TestCounterEntries:
    def test_a_counter_entry_takes_back_what_was_accepted_to_the_cent(self):
        wrong = after(work_entry(worked=50))
        counter = after(counter_entry(wrong), original=wrong)
        assert (counter.charge.amount, counter.charge.counted) == ("-120.00", -timedelta(hours=1))
        assert [line.amount for line in counter.charge.lines] == ["-120.00"]
        assert "Takes work-1 back" in counter.charge.explanation

    def test_a_counter_entry_reads_back_as_it_was_written(self):
        counter = after(counter_entry(work_entry()), original=after(work_entry()))
        again = WorkEntry.of({**counter.to_json()})
        assert again.charge == counter.charge

    def test_what_was_never_accepted_is_taken_back_for_nothing_and_never_accepted_later(self):
        wrong = work_entry()
        counter = counter_entry(wrong)
        assert_pending(judged(counter, original=wrong))
        void = after(wrong, reversal=counter)
        assert (void.status.conditions[0].reason, void.charge) == ("TakenBack", None)
        assert judged(counter, original=void).charge.amount == "0.00"
        assert judged(void, reversal=counter).charge is None

    def test_work_that_was_refused_is_taken_back_only_when_that_is_said_of_it(self):
        refused = after(work_entry(), request=request(state="Held", authority=MAY_NOT))
        assert_pending(judged(counter_entry(refused), original=refused))

    def test_a_counter_entry_of_another_request_takes_nothing_back(self):
        wrong = after(work_entry(of="helpdesk-2"))
        counter = counter_entry(wrong, of="helpdesk-1")
        assert_refused(judged(counter, original=wrong), "ForeignRecord", "helpdesk-2", "helpdesk-1")
        assert judged(work_entry(of="helpdesk-2"), reversal=counter).charge is not None

    def test_a_wrong_counter_entry_does_not_stand_in_the_way_of_the_right_one(self):
        accepted = after(work_entry(of="helpdesk-2"))
        wrong, right = counter_entry(accepted, of="helpdesk-1"), counter_entry(accepted, version=2)
        assert_refused(
            judged(wrong, original=accepted, reversal=right), "ForeignRecord", "another counter-entry"
        )
        assert judged(right, original=accepted, reversal=right).charge.amount == "-60.00"

    def test_a_second_counter_entry_takes_nothing_back_twice(self):
        accepted = after(work_entry())
        first, second = counter_entry(accepted), counter_entry(accepted, version=2)
        assert_refused(judged(second, original=accepted, reversal=first), "TakenBack", "reversal-of-work-1")
        assert judged(first, original=accepted, reversal=first).charge.amount == "-60.00"

    def test_a_later_name_counts_only_where_the_first_one_is_there(self):
        accepted = after(work_entry())
        judgement = judged(counter_entry(accepted, version=2), original=accepted, reversal=None)
        assert_refused(judgement, "UnknownRecord", "reversal-of-work-1", "managedvm work reverse")

    def test_a_counter_entry_is_in_the_currency_of_what_it_takes_back(self):
        accepted = after(work_entry())
        francs = replace(price_book(), name="franken", currency="CHF")
        back = judged(counter_entry(accepted), original=accepted, prices=francs).charge
        assert (back.amount, back.currency, back.price_list_ref.name) == ("-60.00", "EUR", "standard")

    def test_what_was_accepted_is_taken_back_without_any_price_list(self):
        accepted = after(work_entry())
        assert judged(counter_entry(accepted), original=accepted, prices=None).charge.currency == "EUR"

    def test_a_counter_entry_waits_for_its_record(self):
        counter = counter_entry(work_entry())
        assert judged(counter, NOW).next_check == LATER
        assert_refused(judged(counter), "UnknownRecord", "WorkEntry work-1")

    def test_what_the_operator_did_is_taken_back_by_the_price_in_its_spec(self):
        charge = judged(work_entry()).charge.to_json()
        own = work_entry("op-x-work", by="operator", charge=charge)
        assert judged(counter_entry(own), original=own).charge.amount == "-60.00"


@st.composite
def histories(draw):
    """Draw entries of one person, some of them taken back, and an order in which passes see them.

    Some counter-entries name a wrong request first, so that a second one is the right one.
    """
    entries = [
        work_entry(
            f"work-{number}",
            f"2026-11-23T0{draw(st.integers(1, 3))}:{draw(st.integers(0, 5))}0",
            draw(st.integers(1, 90)),
            recorded_at=NOW + timedelta(seconds=draw(st.integers(0, 2))),
        )
        for number in range(5)
    ]
    wrong = draw(st.sets(st.sampled_from(range(5)), max_size=3))
    mistaken = draw(st.sets(st.sampled_from(sorted(wrong)), max_size=2)) if wrong else set()
    counters = [counter_entry(entries[number], 2 if number in mistaken else 1) for number in sorted(wrong)]
    counters += [counter_entry(entries[number], of="helpdesk-2") for number in sorted(mistaken)]
    order = draw(
        st.lists(st.sampled_from([*entries, *counters]).map(lambda one: one.metadata.name), max_size=30)
    )
    return [*entries, *counters], order


def reversal(there, name):
    """Return the counter-entry that counts: the first that names the right request, if those before it are there."""
    for counter in map(there.get, reversal_names(name)):
        if counter is None or counter.spec.change_request_ref.name == "helpdesk-1":
            return counter
    return None


def settle(records, order):
    """Give each record its passes in this order and then until nothing changes, with all that is there so far."""
    there = {}
    world = {record.metadata.name: record for record in records}

    def look(name):
        there.setdefault(name, world[name])
        entry = there[name]
        if entry.charge is not None:
            return False
        back = {of for of in world if reversal(there, of) is not None}
        others = tuple(
            r for r in there.values() if r.spec.reverses is None and r.metadata.name not in {name, *back}
        )
        original = there.get(entry.spec.reverses.name) if entry.spec.reverses else None
        read = {"others": others, "original": original}
        read["reversal"] = reversal(there, original.metadata.name if original is not None else name)
        there[name] = after(entry, **read)
        return there[name] != entry

    for name in order:
        look(name)
    for _ in range(len(world) * 3):
        if sum(look(name) for name in world) == 0:
            return there
    raise AssertionError("it does not come to rest")


def taken_back(there):
    """Return the right counter-entries by the names of what they take back."""
    counters = {name: reversal(there, name) for name in there}
    return {name: counter for name, counter in counters.items() if counter is not None}


@examples(60)
@given(histories())
def test_however_work_arrives_no_time_is_billed_twice_and_what_is_taken_back_comes_to_nothing(history):
    there = settle(*history)
    back = taken_back(there)
    stands = [
        record
        for name, record in there.items()
        if record.charge is not None and record.spec.reverses is None and name not in back
    ]
    for one, other in itertools.combinations(stands, 2):
        assert one.spec.until <= other.spec.begin or other.spec.until <= one.spec.begin
    for name, counter in back.items():
        original = there[name].charge
        total = parse_minor(counter.charge.amount) + (parse_minor(original.amount) if original else 0)
        assert total == 0


@examples(60)
@given(histories())
def test_whatever_is_free_of_other_work_is_accepted(history):
    there = settle(*history)
    back = taken_back(there)
    for name, record in there.items():
        if record.charge is None and name not in back and record.spec.reverses is None:
            rivals = [
                other
                for key, other in there.items()
                if key != name and key not in back and other.charge is not None and not other.spec.reverses
            ]
            assert any(
                record.spec.begin < other.spec.until and other.spec.begin < record.spec.until
                for other in rivals
            )


def test_the_price_book_of_a_judgement_is_not_read_again():
    entry = after(work_entry())
    dearer = replace(price_book(), rates=(rate(hourly=99900),))
    assert entry.charge.amount == "60.00"
    assert judged(counter_entry(entry), original=entry, prices=dearer).charge.amount == "-60.00"
