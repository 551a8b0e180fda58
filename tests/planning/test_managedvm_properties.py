"""The laws of every plan, tried on whatever can be observed; a seed is the whole of an example, and always the same."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from managedvm.planning.managedvm import plan
from tests import laws
from tests.examples import examples
from tests.factories import minutes
from tests.situations import situation

broadly = examples(300)
seeds = st.integers(0, 2**32)


@broadly
@given(seeds)
def test_a_plan_keeps_every_law(seed: int) -> None:
    one = situation(seed)
    laws.check(one.vm, one.observed, one.now, plan(one.vm, one.observed, one.now))


@broadly
@given(seeds)
def test_a_plan_depends_on_nothing_but_its_arguments(seed: int) -> None:
    one, same = situation(seed), situation(seed)
    shuffled = replace(same.observed, requests=dict(reversed(same.observed.requests.items())))
    assert plan(one.vm, one.observed, one.now) == plan(same.vm, shuffled, same.now)


@broadly
@given(seeds, st.integers(1, 60))
def test_nothing_becomes_due_before_the_next_check(seed: int, later: int) -> None:
    one = situation(seed)
    first = plan(one.vm, one.observed, one.now)
    instant = one.now + minutes(later)
    if first.actions or (first.next_check is not None and first.next_check <= instant):
        return
    seen = one.vm.model_copy(update={"status": first.status})
    assert plan(seen, one.observed, instant).actions == ()


@broadly
@given(seeds)
def test_a_status_comes_to_rest(seed: int) -> None:
    one = situation(seed)
    statuses = [one.vm.status]
    for _ in range(3):
        seen = one.vm.model_copy(update={"status": statuses[-1]})
        statuses.append(plan(seen, one.observed, one.now).status)
    assert statuses[-1] == statuses[-2], "a status that changes by being written is written for ever"
