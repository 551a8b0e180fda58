"""Times in which no VM of a vCenter could be seen (clause 1; decision 18): recorded once for each customer, and never lost."""

from datetime import timedelta

import pytest

from managedvm.api.outage import Outage, OutageCause
from managedvm.planning.actions import EndOutage, RecordOutage
from managedvm.planning.gaps import Unseen, plan_gaps
from tests.factories import NOW, VCENTER_UUID, minutes

LONG_AGO = NOW - minutes(10)


def decided(unseen_since=None, *records, unwatched=None, spaces=("kunde-a", "kunde-b"), now=NOW):
    unseen = Unseen(spaces, tuple(records), unwatched)
    return plan_gaps(unseen, VCENTER_UUID, unseen_since, now)


def stored(action, end=None):
    meta = {**action.body["metadata"], "resourceVersion": "3"}
    return Outage.of({**action.body, "metadata": meta, "status": {"end": end} if end else {}})


def test_a_vcenter_that_nobody_sees_is_one_gap_for_each_namespace():
    actions = decided(LONG_AGO).actions
    assert [type(one) for one in actions] == [RecordOutage, RecordOutage]
    found = [stored(one) for one in actions]
    assert [one.metadata.namespace for one in found] == ["kunde-a", "kunde-b"]
    assert {(one.spec.cause, one.spec.begin, one.spec.instance_uuid) for one in found} == {
        (OutageCause.NOT_MEASURED, LONG_AGO, None)
    }
    assert decided(LONG_AGO, *found).actions == (), "what is recorded is not recorded again"


def test_a_gap_ends_when_the_vcenter_is_seen_again():
    found = [stored(one) for one in decided(LONG_AGO).actions]
    ends = decided(None, *found).actions
    assert [(type(one), one.after.end) for one in ends] == [(EndOutage, NOW)] * 2


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_short_gap_hides_nothing_and_is_none(seconds):
    begin = NOW - timedelta(seconds=seconds)
    assert decided(None, unwatched=begin).actions == ()
    lasting = decided(begin)
    assert lasting.actions == ()
    assert lasting.next_check == begin + timedelta(seconds=31), "it may yet be long"


def test_an_operator_that_was_away_is_a_gap_that_is_over():
    (begin,) = decided(None, unwatched=LONG_AGO, spaces=("kunde-a",)).actions
    gap = stored(begin)
    assert gap.spec.begin == LONG_AGO
    (end,) = decided(None, gap, unwatched=LONG_AGO, spaces=("kunde-a",)).actions
    assert end.after.end == NOW
    over = stored(begin, end=NOW)
    caught_up = decided(None, over, unwatched=LONG_AGO, spaces=("kunde-a",), now=NOW + minutes(0.1))
    assert (caught_up.actions, caught_up.next_check) == ((), None)


def test_a_vcenter_that_is_not_seen_after_the_operator_was_away_was_not_seen_since_then():
    (begin,) = decided(NOW, unwatched=LONG_AGO, spaces=("kunde-a",)).actions
    assert stored(begin).spec.begin == LONG_AGO


def test_who_makes_up_for_a_gap_and_dies_leaves_the_rest_to_the_next():
    (first,) = decided(None, unwatched=LONG_AGO, spaces=("kunde-a",)).actions
    part = stored(first, end=NOW - minutes(5))
    (second,) = decided(None, part, unwatched=LONG_AGO, spaces=("kunde-a",)).actions
    assert stored(second).spec.begin == NOW - minutes(5)


def test_where_no_vm_is_measured_nothing_is_missed():
    found = decided(LONG_AGO, spaces=())
    assert (found.actions, found.next_check) == ((), None)
