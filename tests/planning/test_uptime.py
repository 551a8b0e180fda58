"""The sums of availability (clause 1), by laws that hold for all intervals and by cases that people have worked out."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.outage import OutageExclusion
from managedvm.planning.calendar import Interval
from managedvm.planning.statement import period
from managedvm.planning.uptime import Downtime, Spans, account, allowed, promised, shown_percent
from tests.examples import examples

START = datetime(2026, 11, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NOTHING = timedelta()
LAST = 24


def at(minute):
    return START + minute * MINUTE


def span(begin, end):
    return Interval(at(begin), at(end))


def minutes(spans):
    """Return a slow witness: the minutes that are in a set of instants."""
    return {m for m in range(LAST) if any(at(m) in interval for interval in spans.intervals)}


intervals = (
    st.tuples(st.integers(0, LAST - 1), st.integers(1, LAST))
    .filter(lambda t: t[0] < t[1])
    .map(lambda t: span(*t))
)
listed = st.lists(intervals, max_size=5)
spans = listed.map(Spans.of)
excuses = st.dictionaries(st.sampled_from(OutageExclusion), spans)
downtimes = st.lists(
    st.builds(Downtime, intervals, st.none() | st.sampled_from(OutageExclusion), st.booleans()), max_size=5
)


@given(first=spans, second=spans)
@examples(200)
def test_sets_of_instants_are_joined_cut_and_taken_away_minute_by_minute(first, second):
    assert minutes(first | second) == minutes(first) | minutes(second)
    assert minutes(first & second) == minutes(first) & minutes(second)
    assert minutes(first - second) == minutes(first) - minutes(second)
    for result in (first | second, first & second, first - second):
        assert result.length == len(minutes(result)) * MINUTE
        assert result == Spans.of(result.intervals)


@given(agreed=spans, down=downtimes, windows=excuses, unseen=spans)
@examples(200)
def test_each_instant_of_the_agreed_time_is_up_down_excused_or_not_measured_and_just_one_of_them(
    agreed, down, windows, unseen
):
    found = account(agreed, down, windows, unseen)
    assert found.up + found.counted + found.excluded + found.unmeasured == agreed.length
    assert min(found.up, found.counted, found.excluded, found.unmeasured) >= NOTHING


@given(agreed=spans, down=downtimes, windows=excuses, unseen=spans, data=st.data())
@examples(100)
def test_neither_the_order_of_outages_nor_telling_one_twice_nor_in_two_parts_changes_a_sum(
    agreed, down, windows, unseen, data
):
    told = []
    for one in data.draw(st.permutations(down + down[:1])):
        cut = data.draw(st.integers(0, LAST).map(at))
        parts = (
            Spans.between(one.interval.begin, min(cut, one.interval.end)),
            Spans.between(max(cut, one.interval.begin), one.interval.end),
        )
        told += [Downtime(part, one.excuse, one.is_told) for both in parts for part in both.intervals]
    assert account(agreed, told, windows, unseen) == account(agreed, down, windows, unseen)


@given(agreed=spans, cut=st.integers(0, LAST).map(at), down=downtimes, windows=excuses, unseen=spans)
@examples(100)
def test_two_parts_of_a_time_add_up_to_the_whole(agreed, cut, down, windows, unseen):
    whole = account(agreed, down, windows, unseen)
    halves = [
        account(agreed & Spans.between(*half), down, windows, unseen)
        for half in ((at(0), cut), (cut, at(LAST)))
    ]
    for part in ("agreed", "counted", "excluded", "unmeasured", "up"):
        assert sum((getattr(half, part) for half in halves), NOTHING) == getattr(whole, part)


@given(down=downtimes, windows=excuses, unseen=spans)
@examples(100)
def test_what_is_shown_is_never_better_than_what_was(down, windows, unseen):
    found = account(Spans.between(at(0), at(LAST)), down, windows, unseen)
    if found.availability is not None:
        assert Fraction(shown_percent(found.availability)) <= found.availability * 100
        assert (shown_percent(found.availability) == "100.0000") == (found.counted == NOTHING)


def test_downtime_in_an_announced_window_does_not_count():
    found = account(
        Spans.of([span(0, 20)]),
        [Downtime(span(3, 9))],
        excuses={OutageExclusion.ANNOUNCED_WINDOW: Spans.of([span(5, 7)])},
    )
    assert (found.counted, found.excused) == (4 * MINUTE, {OutageExclusion.ANNOUNCED_WINDOW: 2 * MINUTE})


def test_time_that_counts_for_one_cause_counts_although_another_is_excused():
    both = [Downtime(span(0, 6), OutageExclusion.BY_CUSTOMER), Downtime(span(4, 8))]
    found = account(Spans.of([span(0, 20)]), both)
    assert (found.counted, found.excused) == (4 * MINUTE, {OutageExclusion.BY_CUSTOMER: 4 * MINUTE})


def test_a_lost_heartbeat_is_not_believed_while_nobody_looked_and_vcenters_own_history_is():
    agreed, unseen = Spans.of([span(0, 20)]), Spans.of([span(5, 10)])
    seen = account(agreed, [Downtime(span(3, 12))], unseen=unseen)
    told = account(agreed, [Downtime(span(3, 12), is_told=True)], unseen=unseen)
    assert (seen.counted, seen.unmeasured) == (4 * MINUTE, 5 * MINUTE)
    assert (told.counted, told.unmeasured) == (9 * MINUTE, NOTHING)


def test_where_nothing_was_measured_there_is_no_availability_and_nothing_is_missed():
    found = account(Spans.of([span(0, 9)]), [], unseen=Spans.of([span(0, 9)]))
    assert found.availability is None
    assert not found.is_missed(promised("100"))


def test_availability_just_below_the_promise_is_missed_and_not_shown_as_kept():
    november = period("2026-11", "Europe/Berlin")
    agreed = Spans.between(november.begin, november.until)
    limit = allowed(agreed.length, "99.98")
    assert limit == timedelta(minutes=8, seconds=38)
    found = [
        account(agreed, [Downtime(Interval(november.begin, november.begin + down))])
        for down in (limit, limit + timedelta(seconds=1))
    ]
    assert [one.is_missed(promised("99.98")) for one in found] == [False, True]
    assert [shown_percent(one.availability) for one in found] == ["99.9800", "99.9799"]


def test_a_month_in_which_the_clock_changes_is_an_hour_longer_or_shorter():
    lengths = [
        Spans.between(month.begin, month.until).length
        for month in (period(name, "Europe/Berlin") for name in ("2026-03", "2026-10", "2026-12"))
    ]
    assert lengths == [timedelta(days=31, hours=-1), timedelta(days=31, hours=1), timedelta(days=31)]
