"""The agenda: what is due when, that moved instants count once, and that the waker notices a jumping clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.engine.agenda import Agenda, Due, Waker, jittered, next_tick
from tests.engine.virtual import clock, until, virtual
from tests.examples import examples

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def test_what_is_due_comes_earliest_first_and_only_once():
    agenda = Agenda()
    agenda.schedule("b", "check", at(2))
    agenda.schedule("a", "check", at(1))
    agenda.schedule("c", "check", at(3))

    assert agenda.due(at(2)) == [Due("a", "check"), Due("b", "check")]
    assert agenda.due(at(2)) == []
    assert len(agenda) == 1


def test_one_key_may_be_due_for_several_purposes():
    agenda = Agenda()
    agenda.schedule("a", "window", at(2))
    agenda.schedule("a", "backup", at(1))

    assert agenda.due(at(5)) == [Due("a", "backup"), Due("a", "window")]


@pytest.mark.parametrize("moved_to", [1, 9], ids=["earlier", "later"])
def test_a_moved_instant_counts_only_at_its_new_place(moved_to):
    agenda = Agenda()
    agenda.schedule("a", "check", at(5))
    agenda.schedule("a", "check", at(moved_to))

    assert agenda.due(at(moved_to - 1)) == []
    assert agenda.due(at(moved_to)) == [Due("a", "check")]
    assert agenda.due(at(100)) == []


def test_a_cancelled_instant_never_comes():
    agenda = Agenda()
    agenda.schedule("a", "window", at(1))
    agenda.schedule("a", "backup", at(1))
    agenda.cancel("a", "window")
    agenda.cancel("a", "unknown")
    assert agenda.due(at(1)) == [Due("a", "backup")]

    agenda.schedule("a", "window", at(2))
    agenda.schedule("a", "backup", at(2))
    agenda.cancel("a")
    assert agenda.due(at(100)) == []
    assert agenda.next() is None


def test_the_next_instant_is_told_in_utc_whatever_zone_it_came_in():
    agenda = Agenda()
    agenda.schedule("a", "check", datetime(2026, 11, 23, 13, 30, tzinfo=timezone(timedelta(hours=1))))

    assert agenda.next() == datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
    assert agenda.at("a", "check") == agenda.next()
    assert agenda.at("a", "backup") is None


def test_an_instant_without_a_zone_is_refused():
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        Agenda().schedule("a", "check", naive)
    with pytest.raises(ValueError, match="time zone"):
        Agenda().due(naive)


def test_no_more_than_the_limit_is_taken_and_the_rest_stays_due():
    agenda = Agenda()
    for number in range(5):
        agenda.schedule(number, "check", at(number))

    assert [due.key for due in agenda.due(at(10), limit=3)] == [0, 1, 2]
    assert [due.key for due in agenda.due(at(10))] == [3, 4]


def test_instants_that_were_moved_a_thousand_times_do_not_pile_up():
    agenda = Agenda()
    for number in range(100):
        for second in range(1000):
            agenda.schedule(number, "check", at(1000 + second))

    assert len(agenda) == 100
    assert len(agenda._heap) <= 2 * len(agenda) + 1


def test_a_keys_share_of_an_interval_lies_within_it_and_is_spread():
    hour = timedelta(hours=1)
    shares = [jittered(("VM", "a", f"web-{number}"), hour) for number in range(1200)]

    assert all(timedelta() <= share < hour for share in shares)
    per_quarter = [sum(1 for share in shares if share // (hour / 4) == quarter) for quarter in range(4)]
    assert min(per_quarter) > 240


def test_a_keys_rhythm_is_the_same_after_a_restart():
    hour = timedelta(hours=1)
    first = next_tick("web", hour, NOON)

    assert NOON < first <= NOON + hour
    assert next_tick("web", hour, first - timedelta(microseconds=1)) == first
    assert next_tick("web", hour, first) == first + hour
    assert next_tick("db", hour, NOON) != first


@examples(300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["schedule", "cancel", "cancel all", "due"]),
            st.integers(0, 4),
            st.sampled_from(["x", "y"]),
            st.integers(0, 20),
        ),
        max_size=80,
    )
)
def test_the_agenda_agrees_with_a_plain_table(operations):
    agenda, table, now = Agenda(), {}, 0
    for operation, key, what, seconds in operations:
        if operation == "schedule":
            agenda.schedule(key, what, at(now + seconds))
            table[key, what] = now + seconds
        elif operation == "cancel":
            agenda.cancel(key, what)
            table.pop((key, what), None)
        elif operation == "cancel all":
            agenda.cancel(key)
            table = {entry: due for entry, due in table.items() if entry[0] != key}
        else:
            now += seconds
            expected = {entry: due for entry, due in table.items() if due <= now}
            taken = [(due.key, due.what) for due in agenda.due(at(now))]
            assert sorted(taken) == sorted(expected)
            assert [expected[entry] for entry in taken] == sorted(expected.values())
            table = {entry: due for entry, due in table.items() if due > now}
        assert len(agenda) == len(table)
        assert agenda.next() == (at(min(table.values())) if table else None)


class Wall:
    """A wall clock that goes with the loop and can be set."""

    def __init__(self):
        self.shift = 0.0

    def __call__(self):
        return at(clock() - 1000 + self.shift)


def start_waker(agenda, wall, told):
    return asyncio.create_task(Waker(agenda, wall, lambda due: told.append((due.key, clock() - 1000))).run())


@virtual
async def test_the_waker_tells_each_instant_when_it_comes():
    agenda, told = Agenda(), []
    agenda.schedule("later", "check", at(100))
    waking = start_waker(agenda, Wall(), told)
    await asyncio.sleep(1)
    agenda.schedule("sooner", "check", at(3.5))
    await until(lambda: len(told) == 2)

    assert told == [("sooner", pytest.approx(3.5, abs=0.01)), ("later", pytest.approx(100, abs=0.01))]
    waking.cancel()


@virtual
async def test_a_clock_set_forward_is_noticed_within_one_doze():
    agenda, told, wall = Agenda(), [], Wall()
    agenda.schedule("tomorrow", "check", at(86400))
    waking = start_waker(agenda, wall, told)
    await asyncio.sleep(1)
    wall.shift = 86400
    await until(lambda: bool(told))

    assert told[0][1] <= 11
    waking.cancel()


@virtual
async def test_a_clock_set_back_tells_nothing_early():
    agenda, told, wall = Agenda(), [], Wall()
    agenda.schedule("soon", "check", at(30))
    waking = start_waker(agenda, wall, told)
    await asyncio.sleep(1)
    wall.shift = -3600
    await until(lambda: bool(told), seconds=7200, every=1)

    assert told == [("soon", pytest.approx(3630, abs=1))]
    waking.cancel()


@virtual
async def test_an_instant_that_is_always_in_the_past_is_told_once_a_second():
    agenda, told = Agenda(), []

    def ask_again(due):
        told.append(clock() - 1000)
        agenda.schedule(due.key, due.what, at(-60))

    agenda.schedule("a", "check", at(-60))
    waking = asyncio.create_task(Waker(agenda, Wall(), ask_again).run())
    await asyncio.sleep(10.5)

    assert told == pytest.approx(range(11), abs=0.01)
    assert len(agenda) == 1
    waking.cancel()


@virtual
async def test_many_instants_at_once_leave_the_loop_to_others_between():
    agenda, told = Agenda(), []
    for number in range(5 * Waker.BATCH):
        agenda.schedule(number, "check", at(0))
    waking = start_waker(agenda, Wall(), told)
    seen = []
    while len(told) < 5 * Waker.BATCH:
        seen.append(len(told))
        await asyncio.sleep(0)

    assert seen == [0] + [batch * Waker.BATCH for batch in range(1, 5)]
    waking.cancel()
