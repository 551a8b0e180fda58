"""Crash anywhere: the operator is killed at every call that changes something, and nothing is lost, doubled or half done.

Each story is told without a fault, which lists its calls. Then it is told again for each call and each moment of its
way (before it leaves, after its effect, after its answer), and there the operator is killed and started again.
"""

from collections import Counter

import pytest

from tests.faults.crashes import Campaign
from tests.faults.stories import STORIES

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def campaign(told):
    made = Campaign(told)
    made.run()
    return made


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_crash_at_any_call_ends_as_if_there_had_been_none(campaign, story):
    results = [result for result in campaign.results if result.point.story is story]
    wrong = [f"{result.point} ({result.name}): {why}" for result in results for why in result.wrong]
    assert wrong == []


def test_every_call_was_met_at_every_moment(campaign, say):
    moments = Counter(result.point.moment.value for result in campaign.results)
    slowest = max(campaign.results, key=lambda result: result.seconds)
    say(f"{len(campaign.results)} crash points by {campaign.kills} kills: {dict(moments)}")
    for story in STORIES:
        reference = campaign.told.references[story.name]
        steps = [dict(reference.most(step)) for step in range(len(story.steps))]
        say(f"  {story.name}: {'; then '.join(map(str, steps))}")
    say(f"  slowest to recover: {slowest.point}, {slowest.seconds:.1f} s after the kill")
    assert [str(point) for point in campaign.missed] == []
