"""Whatever people do about a request, in whatever order: it only moves on, and nothing is worked on that nobody may order.

A history is thrown by dice. After each event the request is planned and its status stored, as the API server would.
"""

from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, RequestKind, RequestState
from managedvm.api.customer import Requests
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.reaction import Worked
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.requests import next_check, plan
from tests import laws
from tests.api.bodies import software
from tests.examples import examples
from tests.factories import (
    NOW,
    REQUESTER,
    managed_vm,
    minutes,
    persons_request,
    request_decision,
    requester,
    service_level,
)
from tests.planning.test_requests import GONE, observed

STRANGER, STAFF = "somebody@else.example", "t.technik@provider.example"
WINDOWS = maintenance_calendar(service_level().maintenance, managed_vm().spec.maintenance)
KINDS = [kind.value for kind in RequestKind]
POLICIES = [{}, {}, {"unlistedRequester": "Proceed"}, {"noRequesterListed": "Hold"}]
EVENTS = ("time", "time", "work", "decision", "decision", "list", "gone", "back")


@dataclass
class History:
    """One request, what is observed of it now, and the time; `stored` are all statuses that were written."""

    dice: Random
    request: ChangeRequest
    observed: ObservedRequest
    now: object = NOW

    def happens(self, event):
        """Let one thing happen."""
        seen = self.observed
        match event:
            case "time":
                self.now += minutes(self.dice.choice((1, 60, 121, 1440)))
            case "work":
                begin = self.now - minutes(self.dice.choice((0, 5, 100)))
                self.observed = replace(seen, work=(*seen.work, Worked(begin, self.now)))
            case "decision":
                what = self.dice.choice(("Release", "Release", "Withdraw", "Complete"))
                who, role = self.dice.choice(
                    ((REQUESTER, "Requester"), (STRANGER, "Requester"), (STAFF, "Staff"))
                )
                made = request_decision(what, who, decided_as=role, made_at=self.now)
                self.observed = replace(seen, decisions=(*seen.decisions, made))
            case "list":
                since = self.dice.choice(("2026-01-01T00:00", "2026-11-24T00:00"))
                self.observed = replace(seen, requesters=(*seen.requesters, requester(STRANGER, since=since)))
            case "gone":
                self.observed = replace(seen, **GONE)
            case _:
                there = observed()
                self.observed = replace(
                    seen, exists=True, identity=there.identity, entitlement=there.entitlement
                )

    def planned(self):
        """Plan once and store what comes of it; returns the action."""
        action = plan(self.request, self.observed, self.now)
        if action is not None:
            self.request = self.request.model_copy(update={"status": action.after})
        return action


def history(seed):
    """Return the history of this seed at its begin."""
    dice = Random(seed)  # noqa: S311 - a die, not a secret
    kind = dice.choice(KINDS)
    more = {"software": software()["software"]} if kind == "SoftwareInstallation" else {}
    if kind.startswith("Update") and (kind == "UpdateAppointment" or dice.random() < 0.5):
        more["wantedAt"] = NOW + minutes(dice.choice((60, 3000)))
    request = persons_request(dice.choice((REQUESTER, STRANGER)), kind=kind, **more)
    listed = dice.choice(((), (requester(),), (requester(scope=("SupportQuestion", "Restore")),)))
    seen = observed(
        package=dice.choice(("Basic", "Basic", None)),
        requesters=listed,
        policy=Requests.model_validate(dice.choice(POLICIES)),
        windows=dice.choice((WINDOWS, None)),
    )
    return History(dice, request, seen)


def steps(seed):
    """Yield before, action and history for each event of a history, the first look before any event."""
    one = history(seed)
    for event in (None, *one.dice.choices(EVENTS, k=8)):
        if event is not None:
            one.happens(event)
        before = one.request.status
        yield before, one.planned(), one


seeds = st.integers(0, 2**32)


@examples(200)
@given(seeds)
def test_a_status_is_only_ever_moved_on_as_the_api_server_demands(seed):
    for before, action, _ in steps(seed):
        if action is not None:
            assert laws.refusal_of(before, action.after) is None
            assert len(action.finding.text) <= laws.LONGEST_MESSAGE
            assert action.finding.clause is not None


@examples(200)
@given(seeds)
def test_a_second_look_at_the_same_time_finds_nothing_new(seed):
    for _, _, one in steps(seed):
        stored = one.request.status
        again = one.planned()
        assert again is None or again.after == stored


@examples(200)
@given(seeds)
def test_nothing_is_put_to_work_that_nobody_may_order(seed):
    for before, action, one in steps(seed):
        status = one.request.status
        if action is None or status.state not in (RequestState.IN_WORK, RequestState.DONE):
            continue
        assert status.authority is not None
        assert status.authority.may_proceed or status.release is not None
        assert before.state is not RequestState.HELD or status.release is not None


@examples(200)
@given(seeds)
def test_each_end_has_its_time_and_nothing_happens_after_it(seed):
    for before, action, one in steps(seed):
        status = one.request.status
        assert (status.state in FINAL_STATES) == (status.completed_at is not None)
        assert before.state not in FINAL_STATES or action is None
        assert before.state not in FINAL_STATES or next_check(status, one.now) is None


@examples(200)
@given(seeds)
def test_the_next_look_is_always_in_the_future(seed):
    for _, _, one in steps(seed):
        due = next_check(one.request.status, one.now)
        assert due is None or one.now < due


@examples(200)
@given(seeds)
def test_whether_a_reaction_was_missed_is_what_a_clock_and_the_records_say(seed):
    for _, _, one in steps(seed):
        known = one.request.status.reaction
        if known is None:
            continue
        assert known.due_at == NOW + minutes(120)
        if known.reacted_at is not None:
            assert known.is_missed == (known.due_at < known.reacted_at)
        else:
            ended = one.request.status.completed_at
            assert known.is_missed == (known.due_at <= (ended or one.now))


def test_the_dice_reach_every_state():
    reached = {one.request.status.state for seed in range(300) for _, _, one in steps(seed)}
    assert reached == set(RequestState)


@pytest.mark.parametrize("seed", range(3))
def test_a_history_is_always_the_same(seed):
    first, second = ([action for _, action, _ in steps(seed)] for _ in range(2))
    assert first == second
