"""The queue: who goes first, that nobody is worked on twice at once, and that nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.engine.queue import Backoff, KeyedQueue, Lane
from tests.engine.virtual import clock, until, virtual
from tests.examples import examples


class Hand:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def hand():
    return Hand()


@pytest.fixture
def queue(hand):
    return KeyedQueue(hand)


def drain(queue, worst=Lane.RESYNC):
    taken = []
    while (work := queue.take(worst)) is not None:
        taken.append(work.key)
        queue.done(work.key)
    return taken


def test_a_person_goes_before_a_window_before_drift_before_resync(queue):
    for key, lane in [("r", Lane.RESYNC), ("d", Lane.DRIFT), ("w", Lane.WINDOW), ("p", Lane.PERSON)]:
        queue.add(key, lane)

    assert drain(queue) == ["p", "w", "d", "r"]


def test_within_a_lane_who_came_first_goes_first(queue):
    for key in "cab":
        queue.add(key, Lane.DRIFT)

    assert drain(queue) == ["c", "a", "b"]


def test_a_key_added_many_times_is_taken_once(queue):
    for lane in (Lane.DRIFT, Lane.DRIFT, Lane.RESYNC):
        queue.add("web", lane)

    assert queue.depth() == {Lane.PERSON: 0, Lane.WINDOW: 0, Lane.DRIFT: 1, Lane.RESYNC: 0}
    assert drain(queue) == ["web"]


def test_a_waiting_key_is_promoted_and_never_demoted(queue):
    queue.add("web", Lane.RESYNC)
    queue.add("web", Lane.PERSON)
    queue.add("web", Lane.DRIFT)

    assert queue.take().lane == Lane.PERSON


def test_a_promoted_key_keeps_its_age(queue, hand):
    queue.add("web", Lane.RESYNC)
    hand.now += 5
    queue.add("web", Lane.PERSON)
    hand.now += 2

    assert queue.oldest_seconds() == 7
    assert queue.take().waited_seconds == 7
    assert queue.oldest_seconds() == 0


def test_a_key_that_is_worked_on_is_not_handed_out_again_before_it_is_done(queue):
    queue.add("web", Lane.DRIFT)
    queue.take()
    queue.add("web", Lane.RESYNC)
    queue.add("web", Lane.PERSON)

    assert queue.take() is None
    queue.done("web")
    assert queue.take().lane == Lane.PERSON


def test_a_worker_that_serves_only_good_lanes_leaves_the_others_alone(queue):
    queue.add("slow", Lane.RESYNC)

    assert queue.take(worst=Lane.WINDOW) is None
    assert queue.take(worst=Lane.RESYNC).key == "slow"


def test_to_be_done_with_what_nobody_works_on_is_an_error(queue):
    with pytest.raises(KeyError):
        queue.done("web")


def test_the_last_lane_gets_one_turn_of_eight_however_busy_people_are(queue):
    queue.add("old", Lane.RESYNC)
    turns = []
    for turn in range(KeyedQueue.FAIR_TURN):
        queue.add(f"person-{turn}", Lane.PERSON)
        turns.append(queue.take().lane)

    assert turns == [Lane.PERSON] * 7 + [Lane.RESYNC]


def test_a_delayed_key_waits_until_its_time_has_come(queue, hand):
    queue.add_after("web", 10, Lane.DRIFT)
    hand.now += 9.9
    assert queue.take() is None
    assert queue.resting() == 1

    hand.now += 0.1
    assert queue.take().key == "web"
    assert queue.resting() == 0


@pytest.mark.parametrize(
    "wishes", [[(10, Lane.RESYNC), (30, Lane.PERSON)], [(30, Lane.PERSON), (10, Lane.RESYNC)]]
)
def test_of_two_delays_the_earlier_time_and_the_better_lane_hold(queue, hand, wishes):
    for seconds, lane in wishes:
        queue.add_after("web", seconds, lane)
    hand.now += 10

    assert queue.take().lane == Lane.PERSON
    queue.done("web")
    hand.now += 100
    assert queue.take() is None


def test_each_failure_in_a_row_doubles_the_rest_up_to_the_cap(hand):
    queue = KeyedQueue(hand, Backoff(first_seconds=1, cap_seconds=60))
    rests = [queue.retry("web", Lane.DRIFT) for _ in range(200)]

    for failures, rest in enumerate(rests):
        whole = min(60, 2**failures)
        assert whole / 2 <= rest <= whole
    assert queue.failing() == Counter({200: 1})


def test_forgetting_a_key_ends_its_rest_and_starts_its_failures_anew(queue, hand):
    first = queue.retry("web", Lane.DRIFT)
    queue.retry("web", Lane.DRIFT)
    queue.forget("web")
    hand.now += 1000

    assert queue.take() is None
    assert queue.retry("web", Lane.DRIFT) == first


def test_a_rest_that_was_forgotten_does_not_shorten_the_next(queue, hand):
    queue.add_after("web", 5, Lane.DRIFT)
    queue.forget("web")
    queue.add_after("web", 20, Lane.DRIFT)
    hand.now += 10

    assert queue.take() is None
    hand.now += 10
    assert queue.take().key == "web"


def test_keys_that_fail_together_do_not_return_together(queue):
    rests = {queue.retry(("VM", f"web-{i}"), Lane.DRIFT) for i in range(1000)}

    assert len(rests) > 990


def test_the_rest_is_the_same_in_each_process():
    assert Backoff().rest_seconds(("VM", "a", "web"), 3) == pytest.approx(3.31697, abs=1e-5)


@virtual
async def test_a_waiting_worker_gets_a_key_when_it_is_added():
    queue = KeyedQueue(clock)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(5)
    queue.add("web", Lane.DRIFT)

    assert (await waiting).key == "web"
    assert clock() == 1005


@virtual
async def test_a_waiting_worker_gets_a_delayed_key_at_its_time():
    queue = KeyedQueue(clock)
    queue.add_after("late", 60, Lane.DRIFT)
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(1)
    queue.add_after("soon", 3, Lane.DRIFT)

    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result().key for task in done] == ["soon"]
    assert clock() == pytest.approx(1004)
    await asyncio.wait(waiting)
    assert clock() == pytest.approx(1060)


@virtual
async def test_a_key_is_not_lost_with_the_worker_that_was_woken_for_it():
    queue = KeyedQueue(clock)
    cancelled, other = (asyncio.create_task(queue.get()) for _ in range(2))
    await asyncio.sleep(1)
    queue.add("web", Lane.DRIFT)
    cancelled.cancel()

    async with asyncio.timeout(1):
        assert (await other).key == "web"


@virtual
async def test_a_person_gets_the_worker_that_serves_nobody_else():
    queue = KeyedQueue(clock)
    wide = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    narrow = asyncio.create_task(queue.get(Lane.PERSON))
    await asyncio.sleep(1)
    queue.add("person", Lane.PERSON)

    assert (await narrow).key == "person"
    assert not wide.done()
    wide.cancel()


@virtual
async def test_a_key_is_not_left_when_its_worker_took_a_better_one():
    queue = KeyedQueue(clock)
    narrow = asyncio.create_task(queue.get(Lane.PERSON))
    wide = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(1)
    queue.add("resync", Lane.RESYNC)  # wakes a wide worker
    queue.add("person", Lane.PERSON)  # wakes the narrow one, but the wide one is faster
    both, _ = await asyncio.wait([narrow, *wide], timeout=1)

    assert sorted(task.result().key for task in both) == ["person", "resync"]
    for task in (narrow, *wide):
        task.cancel()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 5), st.sampled_from(Lane)),
        st.tuples(st.just("add after"), st.integers(0, 5), st.sampled_from(Lane)),
        st.tuples(st.just("take"), st.just(0), st.sampled_from(Lane)),
        st.tuples(st.just("done"), st.integers(0, 5), st.just(Lane.PERSON)),
        st.tuples(st.just("wait"), st.integers(0, 5), st.just(Lane.PERSON)),
    ),
    max_size=80,
)


class Model:
    """What the queue means, without order: who waits in which lane, who is worked on, who rests until when."""

    def __init__(self):
        self.waiting, self.working, self.again, self.resting = {}, [], {}, {}

    def add(self, key, lane):
        place = self.again if key in self.working else self.waiting
        place[key] = min(lane, place.get(key, lane))

    def add_after(self, key, due, lane):
        old_due, old_lane = self.resting.get(key, (due, lane))
        self.resting[key] = (min(due, old_due), min(lane, old_lane))

    def end_rests(self, now):
        for key, (due, lane) in list(self.resting.items()):
            if due <= now:
                del self.resting[key]
                self.add(key, lane)

    def done(self, key):
        self.working.remove(key)
        if key in self.again:
            self.add(key, self.again.pop(key))


@examples(400)
@given(OPERATIONS)
def test_no_key_is_lost_doubled_or_shared(operations):
    hand, model = Hand(), Model()
    queue = KeyedQueue(hand)
    for operation, number, lane in operations:
        if operation == "add":
            queue.add(number, lane)
            model.add(number, lane)
        elif operation == "add after":
            queue.add_after(number, number, lane)
            model.add_after(number, hand.now + number, lane)
        elif operation == "take":
            work = queue.take(lane)
            model.end_rests(hand.now)
            served = {key for key, waits_in in model.waiting.items() if waits_in <= lane}
            assert (work is not None) == bool(served)
            if work is not None:
                assert model.waiting.pop(work.key) == work.lane <= lane
                model.working.append(work.key)
        elif operation == "done" and model.working:
            key = model.working[number % len(model.working)]
            queue.done(key)
            model.done(key)
        elif operation == "wait":
            hand.now += number
        assert queue.working() == len(model.working)

    hand.now += 10
    model.end_rests(hand.now)
    for key in list(model.working):
        queue.done(key)
        model.done(key)
    assert sorted(drain(queue)) == sorted(model.waiting)


@examples(60)
@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(Lane), st.integers(0, 3)), max_size=60))
@virtual
async def test_workers_look_at_each_key_after_its_last_change(changes):
    queue, state, seen, busy = KeyedQueue(clock), Counter(), {}, set()

    async def worker(worst):
        while True:
            work = await queue.get(worst)
            assert work.key not in busy
            busy.add(work.key)
            read = state[work.key]
            await asyncio.sleep(0.7)
            seen[work.key] = read
            busy.remove(work.key)
            queue.done(work.key)

    workers = [asyncio.create_task(worker(worst)) for worst in (Lane.RESYNC, Lane.DRIFT, Lane.PERSON)]
    for key, lane, pause in changes:
        state[key] += 1
        queue.add(key, lane)
        await asyncio.sleep(pause / 10)
    await until(lambda: not busy and not any(queue.depth().values()))

    assert seen == dict(state)
    for task in workers:
        task.cancel()
