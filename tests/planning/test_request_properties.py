"""Whatever people do about a request, in whatever order: it only moves on, and nothing is worked on that nobody may order.

A history is thrown by dice. After each event the request is planned and its status stored, as the API server would.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, RequestKind, RequestState
from managedvm.api.customer import Requests
from managedvm.api.workentry import Cause, WorkEntry
from managedvm.planning.decisions import counted
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.reaction import Worked
from managedvm.planning.requestcase import ObservedRequest
from managedvm.planning.requests import next_check, plan
from managedvm.planning.work import ObservedWork, judge
from managedvm.report import judged_status
from tests import billing_laws, laws
from tests.api.bodies import software
from tests.examples import examples
from tests.factories import (
    NOW,
    REQUESTER,
    managed_vm,
    minutes,
    persons_request,
    price_book,
    request_decision,
    requester,
    service_level,
    work_entry,
)
from tests.planning.test_requests import GONE, observed

STRANGER, STAFF = "somebody@else.example", "t.technik@provider.example"
WINDOWS = maintenance_calendar(service_level().maintenance, managed_vm().spec.maintenance)
KINDS = [kind.value for kind in RequestKind]
POLICIES = [{}, {}, {"unlistedRequester": "Proceed"}, {"noRequesterListed": "Hold"}]
EVENTS = ("time", "time", "work", "work", "decision", "decision", "list", "elsewhere", "gone", "back")
CAUSES = (None, None, *Cause)


@dataclass
class History:
    """One request with the work on it, what is observed of it now, and the time."""

    dice: Random
    request: ChangeRequest
    observed: ObservedRequest
    now: datetime = NOW
    work: list[WorkEntry] = field(default_factory=list)
    could_order: bool = False
    is_covered: bool = False

    def happens(self, event):
        """Let one thing happen."""
        seen = self.observed
        match event:
            case "time":
                self.now += minutes(self.dice.choice((1, 60, 121, 1440)))
            case "work":
                begin = self.now - minutes(self.dice.choice((0, 5, 100)))
                self.observed = replace(seen, work=(*seen.work, Worked(begin, self.now)))
                lasts = int((self.now - begin).total_seconds()) // 60 or None
                times = {"minutes": lasts} if lasts else {"minutes": None, "end": begin}
                self.work.append(
                    work_entry(
                        f"work-{len(self.work)}",
                        begin.isoformat(),
                        by=f"{len(self.work)}@provider.example",
                        recorded_at=self.now,
                        cause=self.dice.choice(CAUSES),
                        **times,
                    )
                )
            case "decision":
                what = self.dice.choice(("Release", "Release", "Withdraw", "Complete"))
                who, role = self.dice.choice(
                    ((REQUESTER, "Requester"), (STRANGER, "Requester"), (STAFF, "Staff"))
                )
                made_at = self.dice.choice((self.now, self.now, NOW - minutes(1)))
                made = request_decision(what, who, decided_as=role, made_at=made_at)
                self.observed = replace(seen, decisions=(*seen.decisions, made))
            case "list":
                since = self.dice.choice(("2026-01-01T00:00", "2026-11-24T00:00"))
                self.observed = replace(seen, requesters=(*seen.requesters, requester(STRANGER, since=since)))
            case "elsewhere":
                since = self.dice.choice((NOW, NOW + minutes(1)))
                self.observed = replace(seen, elsewhere_since=since)
            case "several":  # the operator was away
                for one in self.dice.choices(EVENTS, k=4):
                    self.happens(one)
            case "gone":
                self.observed = replace(seen, **GONE)
            case _:
                there = observed()
                self.observed = replace(
                    seen, exists=True, identity=there.identity, entitlement=there.entitlement
                )

    def planned(self):
        """Plan once and store what comes of it; returns the action."""
        self.could_order |= billing_laws.people_of(self.observed).let_order(self.request)
        self.is_covered |= billing_laws.covers(self.observed, self.request)
        action = plan(self.request, self.observed, self.now)
        if action is not None:
            self.request = self.request.model_copy(update={"status": action.after})
        return action

    def judged(self):
        """Let all work be judged that is not accepted yet, see that it keeps the law, and store what comes of it."""
        spec, seen = self.request.spec, self.observed
        said = counted(seen.decisions, spec.kind, spec.requested_by, seen.requesters, recorded_at=NOW)
        for place, entry in enumerate(self.work):
            if entry.charge is None:
                read = ObservedWork(self.request, price_book(), decisions=said)
                status = judged_status(entry.status, judge(entry, read, self.now), self.now)
                self.work[place] = after = entry.model_copy(update={"status": status})
                if after.charge is not None:
                    billing_laws.what_is_billed_was_ordered(
                        after, self.request, seen, could_order=self.could_order, is_covered=self.is_covered
                    )


def history(seed):
    """Return the history of this seed at its begin."""
    dice = Random(seed)  # noqa: S311 - a die, not a secret
    kind = dice.choice(KINDS)
    more = {"software": software()["software"]} if kind == "SoftwareInstallation" else {}
    if kind.startswith("Update") and (kind == "UpdateAppointment" or dice.random() < 0.5):
        more["wantedAt"] = NOW + minutes(dice.choice((60, 3000)))
    if dice.random() < 0.3:
        more["askedAt"] = NOW - minutes(dice.choice((1, 90)))
    request = persons_request(dice.choice((REQUESTER, STRANGER)), kind=kind, **more)
    listed = dice.choice(((), (requester(),), (requester(scope=("SupportQuestion", "Restore")),)))
    seen = observed(
        package=dice.choice(("Basic", "Basic", None)),
        requesters=listed,
        elsewhere_since=dice.choice((None, None, NOW - minutes(100))),
        policy=Requests.model_validate(dice.choice(POLICIES)),
        windows=dice.choice((WINDOWS, None)),
    )
    return History(dice, request, seen)


def steps(seed):
    """Yield before, action and history for each event of a history; the first look is mostly before any event."""
    one = history(seed)
    first = one.dice.choice((None, None, "several"))
    for event in (first, *one.dice.choices((*EVENTS, "several", "several"), k=8)):
        if event is not None:
            one.happens(event)
        before = one.request.status
        # Nobody promises in which order passes come.
        if one.dice.random() < 0.5:
            one.judged()
        yield before, one.planned(), one
        one.judged()


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
        assert known.due_at == one.request.asked_at + minutes(120)
        if known.reacted_at is not None:
            assert known.is_missed == (known.due_at < known.reacted_at)
        else:
            ended = one.request.status.completed_at
            assert known.is_missed == (known.due_at <= (ended or one.now))


@examples(400)
@given(seeds)
@example(361)  # withdrawn before anybody had seen that no package covers it
@example(409)  # released after it was withdrawn
@example(1030)  # worked on past a withdrawal that its request does not show yet
def test_whatever_happens_only_what_somebody_may_order_is_billed(seed):
    for _ in steps(seed):
        pass  # each entry that gets a price is held to the law when it does: lists may say something else later


def test_the_dice_reach_work_that_is_billed_and_work_that_is_not():
    entries = [entry for seed in range(200) for entry in finished(seed).work]
    reasons = {entry.status.conditions[0].reason for entry in entries if entry.status.conditions}
    assert {"WorkAccepted", "RequestHeld", "NotOrdered"} <= reasons
    assert any(entry.charge is not None and entry.charge.lines for entry in entries)


def finished(seed):
    """Return a history at its end."""
    *_, (_, _, one) = steps(seed)
    return one


def test_the_dice_reach_every_state():
    reached = {one.request.status.state for seed in range(300) for _, _, one in steps(seed)}
    assert reached == set(RequestState)


@pytest.mark.parametrize("seed", range(3))
def test_a_history_is_always_the_same(seed):
    first, second = ([action for _, action, _ in steps(seed)] for _ in range(2))
    assert first == second
