"""Surcharges by example and by law: the local clock decides, the highest applies alone, and no second is lost."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.changerequest import Billing
from managedvm.api.pricelist import AutomatedWork, PriceList
from managedvm.planning.assessment import Verdict
from managedvm.planning.charges import persons_charge, taken_back
from managedvm.planning.clauses import Clause
from managedvm.planning.money import PriceBook, Rate, automated_charge, charge, parse_minor
from tests.examples import examples

BERLIN = ZoneInfo("Europe/Berlin")
EFFORT = Verdict(Clause.CHANGE_BY_EFFORT, Billing.EFFORT, "A later change is billed.")
VAT = {"from": "2007-01-01T00:00:00Z", "percent": "19"}
WORKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]
EVENING = {"name": "evening", "percent": "25", "days": WORKDAYS, "start": "18:00", "end": "08:00"}
WEEKEND = {"name": "weekend", "percent": "50", "days": ["Sat", "Sun"]}
HOLIDAY = {"name": "holiday", "percent": "100", "dates": ["12-25", "2026-04-03"]}


def prices(*surcharges, increment="1m", zone="Europe/Berlin", **more):
    rates = [{"from": "2026-01-01T00:00:00Z", "hourly": "120.00", "increment": increment, "minimum": "0s"}]
    spec = {"currency": "EUR", "vat": [VAT], "timeZone": zone, "automatedWork": "Increment"}
    listed = [{"from": "2026-01-01T00:00:00Z", **one} for one in surcharges]
    body = {"metadata": {"name": "standard"}, "spec": {**spec, "rates": rates, "surcharges": listed, **more}}
    return PriceBook.of(PriceList.of(body))


def berlin(text, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def lines(book, begin, end):
    """Return the lines of a charge as people read them: local begin, minutes, surcharge, amount."""
    return [
        (
            f"{line.begin.astimezone(BERLIN):%H:%M}",
            line.counted / timedelta(minutes=1),
            line.surcharge.name if line.surcharge else "",
            line.amount,
        )
        for line in charge(book, begin, end).lines
    ]


def test_work_into_the_evening_is_split_at_the_very_minute():
    found = lines(prices(EVENING), berlin("2026-11-24T17:40"), berlin("2026-11-24T18:20"))
    assert found == [("17:40", 20, "", 4000), ("18:00", 20, "evening", 5000)]


def test_hours_over_midnight_belong_to_the_day_on_which_they_begin():
    friday, saturday = (
        lines(prices(EVENING), berlin(f"2026-11-{day}T07:30"), berlin(f"2026-11-{day}T08:30"))
        for day in ("27", "29")
    )
    assert [name for _, _, name, _ in friday] == ["evening", ""]
    assert [name for _, _, name, _ in saturday] == [""]
    assert lines(prices(EVENING), berlin("2026-11-28T07:30"), berlin("2026-11-28T08:30"))[0][2] == "evening"


def test_where_surcharges_meet_the_highest_applies_alone():
    found = lines(prices(EVENING, WEEKEND, HOLIDAY), berlin("2026-12-24T23:30"), berlin("2026-12-25T00:30"))
    assert found == [("23:30", 30, "evening", 7500), ("00:00", 30, "holiday", 12000)]
    both = lines(prices(EVENING, WEEKEND), berlin("2026-11-28T06:00"), berlin("2026-11-28T09:00"))
    assert both == [("06:00", 180, "weekend", 54000)]


@pytest.mark.parametrize(
    ("begin", "name"),
    [
        ("2026-04-03T12:00", "holiday"),
        ("2027-04-03T12:00", ""),
        ("2027-12-25T12:00", "holiday"),
        ("2027-12-26T12:00", ""),
    ],
)
def test_a_date_is_of_one_year_or_of_each(begin, name):
    begins = berlin(begin)
    assert lines(prices(HOLIDAY), begins, begins + timedelta(hours=1))[0][2] == name


def test_a_date_that_the_year_does_not_have_never_comes():
    odd = {**HOLIDAY, "dates": ["02-29", "2027-02-29"]}
    for day in ("2027-02-28", "2027-03-01"):
        assert lines(prices(odd), berlin(f"{day}T12:00"), berlin(f"{day}T13:00"))[0][2] == ""
    assert lines(prices(odd), berlin("2028-02-29T12:00"), berlin("2028-02-29T13:00"))[0][2] == "holiday"


def test_a_surcharge_applies_while_it_is_valid():
    ended = {**WEEKEND, "from": "2026-11-28T11:00:00Z", "until": "2026-11-28T12:00:00Z"}
    found = lines(prices(ended), berlin("2026-11-28T11:30"), berlin("2026-11-28T13:30"))
    assert found == [("11:30", 30, "", 6000), ("12:00", 60, "weekend", 18000), ("13:00", 30, "", 6000)]


def test_the_same_instant_is_evening_in_one_zone_and_not_in_another():
    at = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)
    names = [
        lines(prices(EVENING, zone=zone), at, at + timedelta(minutes=10))[0][2]
        for zone in ("Europe/Berlin", "Europe/London")
    ]
    assert names == ["evening", ""]


NIGHT = {"name": "night", "percent": "50", "days": ["Sun"], "start": "02:00", "end": "03:00"}


class TestWhenClocksChange:
    def test_an_hour_that_is_skipped_is_no_hour(self):
        found = lines(prices(NIGHT), berlin("2027-03-28T01:30"), berlin("2027-03-28T03:30"))
        assert found == [("01:30", 60, "", 12000)]

    def test_an_hour_that_comes_twice_counts_twice(self):
        found = lines(prices(NIGHT), berlin("2027-10-31T01:30"), berlin("2027-10-31T03:30"))
        assert [minutes for _, minutes, name, _ in found if name] == [120]
        assert sum(minutes for _, minutes, _, _ in found) == 180

    def test_an_end_that_comes_twice_is_the_last_one(self):
        early = {**NIGHT, "start": "01:00", "end": "02:30"}
        found = lines(prices(early), berlin("2027-10-31T00:30"), berlin("2027-10-31T03:30"))
        assert [(begin, minutes) for begin, minutes, name, _ in found if name] == [("01:00", 150)]


def test_increment_and_minimum_count_once_for_the_whole_entry():
    found = charge(prices(EVENING, increment="15m"), berlin("2026-11-24T17:55"), berlin("2026-11-24T18:01"))
    assert found.counted == timedelta(minutes=15)
    assert [(line.counted / timedelta(minutes=1), line.amount) for line in found.lines] == [
        (5, 1000),
        (10, 2500),
    ]


def test_the_operators_own_work_has_no_surcharge():
    at_night = berlin("2026-11-24T22:00"), berlin("2026-11-24T23:00")
    assert automated_charge(prices(EVENING), *at_night).total == 12000
    assert charge(prices(EVENING), *at_night).total == 15000


def test_a_charge_in_a_record_names_the_surcharge_and_explains_itself():
    done = persons_charge(
        prices({**EVENING, "percent": "12.50"}),
        EFFORT,
        berlin("2026-11-24T17:59:00"),
        berlin("2026-11-24T18:01"),
    )
    assert [(line.surcharge, line.surcharge_percent) for line in done.lines] == [
        (None, None),
        ("evening", "12.5"),
    ]
    assert "1m at 120.00 an hour plus 12.5% (evening) is 2.25" in done.explanation
    assert done.amount == "4.25"


def test_seconds_are_the_smallest_part_of_a_charge():
    begin, end = berlin("2026-11-24T17:59:59.900000"), berlin("2026-11-24T18:00:00.100000")
    done = persons_charge(prices(EVENING, increment="1s"), EFFORT, begin, end)
    assert [line.counted for line in done.lines] == [timedelta(seconds=1)]


# Laws: a day and a half of a person's work around a change of clocks, under whatever surcharges.

ZONES = {
    "Europe/Berlin": ("2027-03-28T01:00", "2027-10-31T01:00", "2026-12-24T12:00"),
    "America/Santiago": ("2027-04-04T03:00", "2027-09-05T04:00", "2026-12-24T12:00"),
    "Australia/Lord_Howe": ("2027-04-03T15:00", "2027-10-02T15:30", "2026-12-24T12:00"),
    "Pacific/Apia": ("2026-12-31T10:00", "2026-12-24T12:00", "2027-01-01T10:00"),
}
clocks = st.integers(0, 95).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")


@st.composite
def listed(draw, number):
    days = draw(st.lists(st.sampled_from([*WORKDAYS, "Sat", "Sun"]), unique=True, max_size=4))
    dates = draw(st.lists(st.sampled_from(["12-24", "12-25", "2027-03-28", "10-31", "12-31"]), unique=True))
    body = {
        "name": f"s{number}",
        "percent": draw(st.sampled_from(["0", "25", "33.33", "50", "100", "250.5"])),
    }
    body |= {"days": days or ["Mon"], "start": draw(clocks), "end": draw(clocks)}
    return body | ({"dates": dates} if dates else {})


@st.composite
def pieces_of_work(draw):
    """Draw a price list with surcharges and two rates, and work near a change of clocks."""
    zone = draw(st.sampled_from(sorted(ZONES)))
    near = datetime.fromisoformat(draw(st.sampled_from(ZONES[zone]))).replace(tzinfo=UTC)
    begin = near + timedelta(seconds=draw(st.integers(-100_000, 100_000)))
    end = begin + timedelta(seconds=draw(st.integers(0, 86_400)))
    surcharges = [draw(listed(number)) for number in range(draw(st.integers(0, 4)))]
    book = prices(*surcharges, zone=zone, increment=draw(st.sampled_from(["1s", "1m", "15m", "1h"])))
    change = begin + timedelta(seconds=draw(st.integers(-3_600, 90_000)))
    later = Rate(change, draw(st.integers(0, 30_000)), timedelta(minutes=10), timedelta(minutes=20))
    rates = (*book.rates, later) if change > book.rates[0].valid_from else book.rates
    return PriceBook(book.name, book.currency, rates, AutomatedWork.INCREMENT, 2, book.surcharges), begin, end


deterministic = examples(150)


@deterministic
@given(pieces_of_work())
def test_lines_lie_end_to_end_and_count_what_the_whole_counts(work):
    book, begin, end = work
    found = charge(book, begin, end).lines
    assert (found[0].begin, found[-1].end) == (begin, end)
    assert all(one.end == other.begin for one, other in pairwise(found))
    assert sum((line.end - line.begin for line in found), timedelta()) == end - begin
    whole = book.rates_between(begin, end)[0].counted(end - begin)
    assert sum((line.counted for line in found), timedelta()) == whole
    assert all(one.begin < one.end for one in found) or len(found) == 1


@deterministic
@given(pieces_of_work())
def test_a_surcharge_moves_no_minute_from_one_rate_to_another(work):
    book, begin, end = work
    bare = PriceBook(book.name, book.currency, book.rates, book.automated_work)

    def by_rate(found):
        spent = dict.fromkeys((line.rate_valid_from for line in found.lines), timedelta())
        for line in found.lines:
            spent[line.rate_valid_from] += line.counted
        return spent

    assert by_rate(charge(book, begin, end)) == by_rate(charge(bare, begin, end))


@deterministic
@given(pieces_of_work(), st.integers(0, 86_399))
def test_each_moment_has_the_highest_surcharge_of_its_local_time(work, second):
    book, begin, end = work
    moment = begin + timedelta(seconds=second)
    if not begin <= moment < end:
        return
    line = next(one for one in charge(book, begin, end).lines if one.begin <= moment < one.end)
    applying = [one.hundredths for one in book.surcharges if witness(one, moment)]
    assert (line.surcharge.hundredths if line.surcharge else None) == max(applying, default=None)


def witness(surcharge, moment):
    """Return whether a person with a clock of the zone sees the surcharge's hours at the moment.

    The clock is read by both of the offsets that are in use around the moment, since a begin at a time that comes twice is
    the first one and an end the last.
    """
    zone = ZoneInfo(surcharge.zone)
    local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
    day = timedelta(days=1)
    for date in (local.date() - day, local.date(), local.date() + day):
        is_on = (
            date.weekday() in surcharge.weekdays
            or (date.month, date.day) in surcharge.yearly
            or date in surcharge.dates
        )
        ends = date + day if surcharge.end <= surcharge.start else date
        first = min(instants(datetime.combine(date, surcharge.start), zone))
        last = max(instants(datetime.combine(ends, surcharge.end), zone))
        if is_on and first <= moment < last:
            return True
    return False


def instants(wall, zone):
    """Return the instants at which the zone's clock shows this time; of a time that it skips, when the gap is over."""
    read = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [one for one in read if one.astimezone(zone).replace(tzinfo=None, fold=0) == wall]
    if shown:
        return shown
    minute, low = timedelta(minutes=1), min(read).replace(second=0, microsecond=0)
    while low.astimezone(zone).replace(tzinfo=None, fold=0) < wall:
        low += minute
    return [low]


@deterministic
@given(pieces_of_work())
def test_what_stands_in_a_record_adds_up_to_the_cent_and_the_second(work):
    book, begin, end = work
    done = persons_charge(book, EFFORT, begin, end)
    assert sum(parse_minor(line.amount) for line in done.lines) == parse_minor(done.amount)
    assert sum((line.counted for line in done.lines), timedelta()) == done.counted
    back = taken_back(done, "work-1")
    assert parse_minor(done.amount) + parse_minor(back.amount) == 0
    assert done.counted + back.counted == timedelta()
    assert [
        parse_minor(a.amount) + parse_minor(b.amount) for a, b in zip(done.lines, back.lines, strict=True)
    ] == [0] * len(done.lines)
