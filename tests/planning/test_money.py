"""Charges by example and by law: no second lost at a price change, no cent between lines and total."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.customer import AgreedPriceList
from managedvm.api.pricelist import AutomatedWork
from managedvm.planning.money import (
    NoRateError,
    NotAnAmountError,
    PriceBook,
    Prices,
    Rate,
    automated_charge,
    charge,
    format_minor,
    parse_minor,
    vat_percent,
)
from tests.bookkeeping import prices as price_list
from tests.examples import examples

deterministic = examples(100)

QUARTER = timedelta(minutes=15)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def rate(valid_from="2026-01-01", hourly=12000, increment=QUARTER, minimum=QUARTER) -> Rate:
    return Rate(utc(valid_from), hourly, increment, minimum)


def book(*rates: Rate, automated_work=AutomatedWork.INCREMENT) -> PriceBook:
    return PriceBook("standard", "EUR", rates, automated_work)


def test_a_begun_quarter_of_an_hour_counts_in_full():
    line = charge(book(rate()), utc("2026-11-05T10:00"), utc("2026-11-05T10:16")).lines[0]
    assert (line.counted, line.hourly, line.amount) == (minutes(30), 12000, 6000)
    assert (line.begin, line.end) == (utc("2026-11-05T10:00"), utc("2026-11-05T10:16"))
    assert line.rate_valid_from == utc("2026-01-01")


def test_a_full_quarter_of_an_hour_begins_no_second_one():
    done = charge(book(rate()), utc("2026-11-05T10:00"), utc("2026-11-05T10:15"))
    assert (done.counted, done.total, done.currency) == (minutes(15), 3000, "EUR")


def test_work_too_short_to_measure_has_begun_its_first_increment():
    at_once = charge(book(rate(minimum=timedelta())), utc("2026-11-05T10:00"), utc("2026-11-05T10:00"))
    assert (at_once.counted, at_once.total) == (minutes(15), 3000)


@pytest.mark.parametrize(
    ("worked", "counted"),
    [
        pytest.param(5, 20, id="less than the minimum"),
        pytest.param(16, 30, id="two increments are more than the minimum"),
    ],
)
def test_the_minimum_counts_as_it_stands(worked, counted):
    begin = utc("2026-11-05T10:00")
    done = charge(book(rate(minimum=minutes(20))), begin, begin + minutes(worked))
    assert done.counted == minutes(counted)


def test_work_over_new_year_is_priced_by_both_years():
    prices = book(rate(), rate("2027-01-01", hourly=15000))
    done = charge(prices, utc("2026-12-31T23:50"), utc("2027-01-01T00:06"))
    assert [(line.counted, line.hourly, line.amount) for line in done.lines] == [
        (minutes(10), 12000, 2000),
        (minutes(20), 15000, 5000),
    ]
    assert done.total == 7000


def test_what_rounding_adds_belongs_to_the_rate_under_which_the_work_ended():
    prices = book(rate(), rate("2027-01-01", hourly=15000))
    ended_before = charge(prices, utc("2026-12-31T23:50"), utc("2026-12-31T23:58"))
    assert [(line.counted, line.hourly) for line in ended_before.lines] == [(minutes(15), 12000)]


def test_a_rate_that_begins_when_the_work_ends_has_no_part_in_it():
    prices = book(rate(), rate("2027-01-01", hourly=15000))
    done = charge(prices, utc("2026-12-31T23:45"), utc("2027-01-01T00:00"))
    assert [line.hourly for line in done.lines] == [12000]


def test_a_rate_that_begins_with_the_work_is_the_only_one():
    prices = book(rate(), rate("2027-01-01", hourly=15000))
    done = charge(prices, utc("2027-01-01T00:00"), utc("2027-01-01T00:10"))
    assert [line.hourly for line in done.lines] == [15000]


def test_increment_and_minimum_are_those_valid_when_the_work_began():
    prices = book(rate(), rate("2027-01-01", increment=minutes(60), minimum=minutes(60)))
    assert charge(prices, utc("2026-12-31T23:50"), utc("2027-01-01T00:01")).counted == minutes(15)


@pytest.mark.parametrize(
    ("hourly", "seconds", "amount"),
    [
        pytest.param(1800, 1, 1, id="half a cent is rounded up"),
        pytest.param(1799, 1, 0, id="less than half a cent is nothing"),
        pytest.param(5400, 1, 2, id="one and a half cents are two"),
        pytest.param(0, 3600, 0, id="an hour may be free"),
    ],
)
def test_half_a_minor_unit_is_rounded_up(hourly, seconds, amount):
    by_the_second = rate(hourly=hourly, increment=timedelta(seconds=1), minimum=timedelta())
    begin = utc("2026-11-05T10:00")
    assert charge(book(by_the_second), begin, begin + timedelta(seconds=seconds)).total == amount


@pytest.mark.parametrize(
    "prices", [book(), book(rate("2026-11-05T10:00:01"))], ids=["no rate", "a later rate"]
)
def test_work_before_the_first_rate_has_no_price(prices):
    with pytest.raises(NoRateError, match=r"standard has no rate valid at 2026-11-05T10:00:00\+00:00"):
        charge(prices, utc("2026-11-05T10:00"), utc("2026-11-05T10:16"))


def test_automated_work_may_be_free_and_says_why():
    free = automated_charge(
        book(automated_work=AutomatedWork.FREE), utc("2026-11-05T10:00"), utc("2026-11-05T10:01")
    )
    assert (free.total, free.counted, free.lines) == (0, timedelta(), ())
    assert free.free_because == "automated work is free by price list standard"


def test_automated_work_may_count_as_a_persons_does():
    span = utc("2026-11-05T10:00"), utc("2026-11-05T10:01")
    counted = automated_charge(book(rate()), *span)
    assert counted == charge(book(rate()), *span)
    assert (counted.total, counted.free_because) == (3000, "")


def test_work_does_not_end_before_it_begins():
    with pytest.raises(ValueError, match="cannot have ended at 2026-11-05T09:59"):
        charge(book(rate()), utc("2026-11-05T10:00"), utc("2026-11-05T09:59"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(lambda: book(rate(), rate()), "does not come after", id="two rates of one date"),
        pytest.param(
            lambda: book(rate("2027-01-01"), rate("2026-01-01")), "does not come after", id="unsorted"
        ),
        pytest.param(lambda: rate(hourly=-1), "-1 minor units is negative", id="negative price"),
        pytest.param(lambda: rate(increment=timedelta()), "in steps of 0:00:00", id="no increment"),
        pytest.param(lambda: rate(minimum=timedelta(seconds=-1)), "at least -1 day", id="negative minimum"),
    ],
)
def test_what_makes_no_price_list_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("amount", "digits", "text"),
    [
        (3000, 2, "30.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (0, 2, "0.00"),
        (1234, 0, "1234"),
        (1, 3, "0.001"),
    ],
)
def test_minor_units_are_written_as_decimals(amount, digits, text):
    assert format_minor(amount, digits) == text


@pytest.mark.parametrize(
    ("text", "amount"), [("120.00", 12000), ("120.5", 12050), ("120", 12000), ("-0.05", -5)]
)
def test_decimals_are_read_as_minor_units(text, amount):
    assert parse_minor(text) == amount


@pytest.mark.parametrize(
    "text", ["", "12,50", "1.2.3", "1e3", " 1.00", "+1.00", ".50", "1.", "NaN", "\u0661.00", "1.001"]
)
def test_what_is_no_amount_is_refused_by_name(text):
    with pytest.raises(NotAnAmountError) as refusal:
        parse_minor(text)
    assert repr(text) in str(refusal.value)


moments = st.integers(0, 10**8).map(lambda seconds: EPOCH + timedelta(seconds=seconds))
worked_times = st.integers(0, 10**10).map(lambda micros: timedelta(microseconds=10 * micros))


@st.composite
def rates(draw, min_size=1, hourly=st.integers(0, 50_000)):  # noqa: B008 - a strategy is an immutable recipe
    spans = st.integers(0, 86_400).map(lambda seconds: timedelta(seconds=seconds))
    increments = st.integers(1, 7_200).map(lambda seconds: timedelta(seconds=seconds))
    dates = sorted(draw(st.sets(moments, min_size=min_size, max_size=5)))
    return [Rate(date, draw(hourly), draw(increments), draw(spans)) for date in dates]


@st.composite
def entries(draw):
    """Draw rates, and work that begins when there is one and often runs over the next."""
    dated = draw(rates())
    begin = draw(st.sampled_from(dated)).valid_from + draw(st.integers(0, 86_400)) * timedelta(seconds=1)
    until_a_change = [one.valid_from - begin for one in dated if one.valid_from > begin]
    past_a_change = st.sampled_from([*until_a_change, timedelta()]).flatmap(
        lambda change: st.integers(0, 7_200).map(lambda seconds: change + timedelta(seconds=seconds))
    )
    return dated, begin, begin + draw(st.one_of(worked_times, past_a_change))


@deterministic
@given(entries())
def test_lines_lie_end_to_end_and_lose_no_time(entry):
    dated, begin, end = entry
    lines = charge(book(*dated), begin, end).lines
    assert (lines[0].begin, lines[-1].end) == (begin, end)
    assert all(one.end == other.begin for one, other in pairwise(lines))
    assert all(line.counted == line.end - line.begin for line in lines[:-1])
    assert lines[-1].counted >= lines[-1].end - lines[-1].begin


@deterministic
@given(entries())
def test_each_line_has_the_rate_valid_when_the_work_was_done(entry):
    dated, begin, end = entry
    for line in charge(book(*dated), begin, end).lines:
        assert line.rate_valid_from == max(one.valid_from for one in dated if one.valid_from <= line.begin)
        assert not any(line.begin < one.valid_from < line.end for one in dated)


@deterministic
@given(entries())
def test_the_entry_is_rounded_up_once_as_a_whole(entry):
    dated, begin, end = entry
    terms = max((one for one in dated if one.valid_from <= begin), key=lambda one: one.valid_from)
    counted = charge(book(*dated), begin, end).counted
    assert counted >= max(end - begin, terms.minimum)
    assert counted == terms.minimum or (
        counted % terms.increment == timedelta() and counted - (end - begin) <= terms.increment
    )


@deterministic
@given(entries())
def test_the_total_is_the_sum_of_lines_each_rounded_once(entry):
    dated, begin, end = entry
    done = charge(book(*dated), begin, end)
    for line in done.lines:
        micros = line.counted // timedelta(microseconds=1)
        exact = Decimal(line.hourly) * micros / Decimal(3_600_000_000)
        assert line.amount == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    assert done.total == sum(line.amount for line in done.lines)


@deterministic
@given(rates(), moments, worked_times, worked_times)
def test_longer_work_at_one_rate_never_costs_less(dated, begin, first, more):
    prices = book(Rate(EPOCH, dated[0].hourly, dated[0].increment, dated[0].minimum))
    shorter, longer = charge(prices, begin, begin + first), charge(prices, begin, begin + first + more)
    assert shorter.counted <= longer.counted
    assert shorter.total <= longer.total


@deterministic
@given(entries(), rates())
def test_a_later_price_never_changes_an_earlier_charge(entry, announced):
    dated, begin, end = entry
    later = max(end, begin + timedelta(microseconds=1))
    known = [one for one in dated if one.valid_from < later]
    moved = [
        Rate(later + (one.valid_from - EPOCH), one.hourly, one.increment, one.minimum) for one in announced
    ]
    assert charge(book(*known, *moved), begin, end) == charge(book(*known), begin, end)


@deterministic
@given(st.integers(), st.integers(0, 4))
def test_an_amount_survives_being_written_and_read(amount, digits):
    assert parse_minor(format_minor(amount, digits), digits) == amount


class TestThePriceListsOfACustomer:
    OLD, NEW = book(rate()), book(rate(hourly=20000), rate("2027-06-01", 30000))
    BOTH = Prices(((utc("2026-01-01"), OLD), (utc("2027-01-01"), NEW)))

    @pytest.mark.parametrize(
        ("begin", "expected"),
        [
            ("2025-12-31T23:59:59", None),
            ("2026-01-01", OLD),
            ("2026-12-31T23:59:59", OLD),
            ("2027-01-01", NEW),
            ("2030-01-01", NEW),
        ],
    )
    def test_are_each_valid_from_a_date_on(self, begin, expected):
        assert self.BOTH.at(utc(begin)) is expected

    def test_one_that_is_not_there_prices_nothing(self):
        assert Prices(((utc("2026-01-01"), None),)).at(utc("2026-02-01")) is None
        assert Prices(()).at(utc("2026-02-01")) is None

    @pytest.mark.parametrize(
        ("now", "expected"),
        [
            ("2025-01-01", "2026-01-01"),
            ("2026-01-01", "2027-01-01"),
            ("2027-01-01", "2027-06-01"),
            ("2028-01-01", None),
        ],
    )
    def test_say_when_the_next_list_or_rate_begins(self, now, expected):
        assert self.BOTH.next_change(utc(now)) == (utc(expected) if expected else None)

    def test_are_read_in_any_order(self):
        agreed = customer_with(("dear", "2027-01-01T00:00:00Z"), ("standard", "2026-01-01T00:00:00Z"))
        lists = {name: price_list(name=name) for name in ("dear", "standard")}

        read = Prices.of(agreed, lists.get)

        assert [book.name for _, book in read.agreed] == ["standard", "dear"]


def customer_with(*entries):
    return [AgreedPriceList.model_validate({"name": name, "from": since}) for name, since in entries]


@pytest.mark.parametrize(
    ("begin", "expected"),
    [("2006-12-31T23:59:59", None), ("2007-01-01", "19"), ("2020-06-30", "19"), ("2020-07-01", "16")],
)
def test_the_value_added_tax_is_the_one_valid_when_work_began(begin, expected):
    entries = [
        {"from": "2020-07-01T00:00:00Z", "percent": "16"},
        {"from": "2007-01-01T00:00:00Z", "percent": "19"},
    ]

    assert vat_percent(price_list(vat=entries), utc(begin)) == expected
