"""A way back by snapshot: whose it is stands in its name, each call is sent once, and nobody else's is touched."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.planning.actions import Reconfigure, RemoveSnapshot, RevertToSnapshot, TakeSnapshot
from managedvm.planning.observed import (
    CREATE_SNAPSHOT,
    RECONFIGURE,
    REMOVE_SNAPSHOT,
    REVERT_TO_SNAPSHOT,
    PowerState,
    SnapshotFacts,
    TaskState,
    Unknown,
)
from managedvm.planning.reasons import Effect, Reason
from managedvm.planning.snapshots import (
    LONGEST_REST,
    LOOK_AGAIN,
    METHODS,
    NOTE,
    SEEN_AFTER,
    SHORTEST_REST,
    SnapshotCase,
    Transaction,
    Wish,
    next_step,
    owner_of,
    snapshot_name,
)
from tests.factories import GIB, NOW, minutes, task, virtual_machine

RUN = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"
SINCE = NOW - minutes(2)
A_MINUTE_AGO = NOW - minutes(1)
JUST_NOW = NOW - timedelta(seconds=1)


def snapshot(owner=RUN, moref="snapshot-1", taken_at=A_MINUTE_AGO, **facts):
    return SnapshotFacts(moref, snapshot_name(owner) if owner else "before the migration", taken_at, **facts)


FOREIGN = snapshot(None, "snapshot-9")


def case(wish, *snapshots, marked=False, tasks=None, since=SINCE, held_bytes=None, **facts):
    """Return the case of a run; `marked`: it may have changed the guest; `tasks` are by method."""
    notes = {NOTE: RUN} if marked else {}
    vm = virtual_machine(snapshots=snapshots, notes=notes, **facts)
    transaction = Transaction(RUN, "the update run web-01-2026-11", wish, since)
    known = dict.fromkeys(METHODS) | (tasks or {})
    return SnapshotCase(transaction, vm, known, NOW, held_bytes)


def decided(*args, **facts):
    step = next_step(case(*args, **facts))
    finding = step.part.findings[0]
    assert "clause 5.1" in finding.text
    return step, (step.part.actions or (None,))[0], finding


def ended(state, seen_at=JUST_NOW, **facts):
    return task(state, end=seen_at, **facts)


def test_a_name_tells_whose_a_snapshot_is():
    assert owner_of(snapshot_name(RUN)) == RUN
    assert len(snapshot_name(RUN)) <= 80


@pytest.mark.parametrize(
    "name",
    [
        "",
        "managedvm-",
        "managedvm-backup",
        f"managedvm-{RUN}-2",
        f" managedvm-{RUN}",
        f"Managedvm-{RUN}",
        RUN,
    ],
)
def test_whatever_else_a_snapshot_is_called_it_is_foreign(name):
    assert owner_of(name) is None


def test_an_owner_that_is_no_uid_is_a_bug():
    with pytest.raises(ValueError, match="no UID"):
        snapshot_name("web-01")


def test_first_the_snapshot_is_taken_with_the_guest_at_rest():
    step, action, _ = decided(Wish.KEPT)
    assert (action.vm, action.name, action.quiesce) == ("vm-1", f"managedvm-{RUN}", True)
    assert "web-01-2026-11" in action.description
    assert not step.is_granted


@pytest.mark.parametrize(
    "facts",
    [{"power": PowerState.OFF}, {"tools_running": False}],
    ids=["off", "without VMware Tools"],
)
def test_a_guest_that_cannot_be_brought_to_rest_is_not_asked_to(facts):
    assert decided(Wish.KEPT, **facts)[1].quiesce is False


@pytest.mark.parametrize(
    "failed",
    [
        {"fault": "ApplicationQuiesceFault"},
        {"fault": "GenericVmConfigFault", "message": "msg.snapshot.error-QUIESCINGERROR"},
    ],
    ids=["its own fault", "a message"],
)
def test_where_bringing_it_to_rest_fails_the_snapshot_is_taken_without_and_at_once(failed):
    action = decided(Wish.KEPT, tasks={CREATE_SNAPSHOT: ended(TaskState.ERROR, **failed)})[1]
    assert action.quiesce is False


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"quiesced": True}, "had brought the guest's file systems to rest"),
        ({}, "like after a power failure"),
    ],
    ids=["at rest", "not at rest"],
)
def test_how_good_the_way_back_is_is_told(facts, words):
    step, action, finding = decided(Wish.KEPT, snapshot(**facts), marked=True)
    assert (step.is_granted, action, finding.reason) == (True, None, Reason.SNAPSHOT_TAKEN)
    assert words in finding.message
    assert step.snapshot == snapshot(**facts)


def test_before_the_guest_may_be_changed_it_is_noted_at_the_vm():
    step, action, _ = decided(Wish.KEPT, snapshot())
    assert action == Reconfigure("vm-1", "v1", action.clause, notes={NOTE: RUN})
    assert not step.is_granted


@pytest.mark.parametrize("wish", list(Wish))
@pytest.mark.parametrize("method", METHODS)
def test_while_a_task_runs_or_cannot_be_read_nothing_is_sent(wish, method):
    for open_outcome in (task(TaskState.RUNNING, end=None, method=method), Unknown("no answer")):
        step, action, finding = decided(wish, snapshot(), marked=True, tasks={method: open_outcome})
        assert (action, step.is_granted) == (None, False)
        assert (finding.reason, step.part.next_check) == (Reason.SNAPSHOT_IN_PROGRESS, NOW + LOOK_AGAIN)


@pytest.mark.parametrize("wish", list(Wish))
def test_another_task_of_ours_on_the_vm_is_waited_for(wish):
    running = task(TaskState.RUNNING, end=None, method="PowerOnVM_Task")
    assert decided(wish, snapshot(), marked=True, task=running)[1] is None


@pytest.mark.parametrize("wish", [Wish.KEPT, Wish.GONE])
def test_a_snapshot_that_was_just_taken_may_not_be_seen_yet(wish):
    step, action, _ = decided(wish, tasks={CREATE_SNAPSHOT: ended(TaskState.SUCCESS)})
    assert (action, step.is_granted) == (None, False)
    assert step.part.next_check == JUST_NOW + SEEN_AFTER


def test_a_snapshot_that_went_before_the_guest_was_changed_is_taken_again():
    long_ago = ended(TaskState.SUCCESS, NOW - minutes(1))
    assert isinstance(decided(Wish.KEPT, tasks={CREATE_SNAPSHOT: long_ago})[1], TakeSnapshot)


@pytest.mark.parametrize("wish", [Wish.KEPT, Wish.REVERTED])
def test_a_snapshot_that_somebody_removed_after_the_guest_was_changed_is_told_and_not_taken_again(wish):
    step, action, finding = decided(wish, marked=True)
    assert (action, step.is_granted) == (None, False)
    assert (finding.reason, finding.effect) == (Reason.SNAPSHOT_LOST, Effect.STALLED)


@pytest.mark.parametrize(
    ("other", "whose"), [(FOREIGN, "somebody else"), (snapshot(OTHER), "another change of ours")]
)
def test_only_one_snapshot_is_kept_at_a_time(other, whose):
    step, action, finding = decided(Wish.KEPT, other)
    assert (action, step.is_granted, finding.reason) == (None, False, Reason.SNAPSHOT_IN_THE_WAY)
    assert whose in finding.message


@pytest.mark.parametrize("other", [FOREIGN, snapshot(OTHER, "snapshot-9")])
def test_another_snapshot_is_never_gone_back_to_and_never_removed(other):
    assert decided(Wish.GONE, other)[:2] == (decided(Wish.GONE, other)[0], None)
    assert decided(Wish.GONE, other)[0].is_granted
    assert decided(Wish.GONE, other, snapshot(), other)[1].snapshot == "snapshot-1"
    assert decided(Wish.REVERTED, other, snapshot(), marked=True)[1].snapshot == "snapshot-1"


def test_going_back_goes_to_the_own_snapshot_once():
    assert decided(Wish.REVERTED, snapshot(), marked=True)[1] == RevertToSnapshot(
        "vm-1", "snapshot-1", decided(Wish.REVERTED, snapshot(), marked=True)[1].clause
    )
    step, action, finding = decided(Wish.REVERTED, snapshot())
    assert (step.is_granted, action, finding.reason) == (True, None, Reason.SNAPSHOT_REVERTED)


def test_a_server_that_keeps_the_note_over_a_revert_is_not_asked_for_another():
    done = ended(TaskState.SUCCESS, NOW - minutes(0.5))
    step, action, _ = decided(Wish.REVERTED, snapshot(), marked=True, tasks={REVERT_TO_SNAPSHOT: done})
    assert (step.is_granted, action) == (True, None)
    earlier = ended(TaskState.SUCCESS, NOW - minutes(3))
    again = decided(Wish.REVERTED, snapshot(), marked=True, tasks={REVERT_TO_SNAPSHOT: earlier})[1]
    assert isinstance(again, RevertToSnapshot)


def test_what_was_never_changed_need_not_be_gone_back_from():
    assert decided(Wish.REVERTED)[0].is_granted


def test_the_snapshot_is_removed_and_then_it_is_gone():
    assert isinstance(decided(Wish.GONE, snapshot(), marked=True)[1], RemoveSnapshot)
    step, action, finding = decided(Wish.GONE, marked=True)
    assert (step.is_granted, action, finding.reason) == (True, None, Reason.SNAPSHOT_REMOVED)


@pytest.mark.parametrize("wish", list(Wish))
def test_of_two_snapshots_of_one_owner_the_later_one_goes_first(wish):
    twice = (snapshot(), snapshot(moref="snapshot-2", taken_at=NOW))
    assert decided(wish, *twice, marked=True)[1].snapshot == "snapshot-2"
    refused = {REMOVE_SNAPSHOT: ended(TaskState.ERROR, fault="FileLocked")}
    assert decided(wish, *twice, marked=True, tasks=refused)[1] is None


@pytest.mark.parametrize(
    ("wish", "method", "marked"),
    [
        (Wish.KEPT, RECONFIGURE, False),
        (Wish.REVERTED, REVERT_TO_SNAPSHOT, True),
        (Wish.GONE, REMOVE_SNAPSHOT, True),
    ],
)
@pytest.mark.parametrize(
    ("tried", "rest"),
    [(minutes(0), SHORTEST_REST), (minutes(10), minutes(10)), (minutes(600), LONGEST_REST)],
    ids=["at first", "for ten minutes", "for hours"],
)
def test_the_longer_a_call_was_refused_the_longer_it_rests(wish, method, marked, tried, rest):
    failed = {method: ended(TaskState.ERROR, fault="FileLocked")}
    since = JUST_NOW - tried
    step, action, finding = decided(wish, snapshot(), marked=marked, tasks=failed, since=since)
    assert (action, finding.reason) == (None, Reason.SNAPSHOT_REFUSED)
    assert "FileLocked" in finding.message
    assert step.part.next_check == JUST_NOW + rest
    over = {method: ended(TaskState.ERROR, NOW - rest, fault="FileLocked")}
    assert decided(wish, snapshot(), marked=marked, tasks=over, since=NOW - rest - tried)[1] is not None


def test_a_snapshot_that_is_refused_rests_too():
    failed = {CREATE_SNAPSHOT: ended(TaskState.ERROR, fault="NoDiskSpace")}
    assert decided(Wish.KEPT, tasks=failed)[2].reason is Reason.SNAPSHOT_REFUSED


def test_a_note_that_came_too_late_is_written_again_at_once():
    outrun = {RECONFIGURE: ended(TaskState.ERROR, fault="ConcurrentAccess")}
    assert isinstance(decided(Wish.KEPT, snapshot(), tasks=outrun)[1], Reconfigure)


def test_a_clock_that_was_set_back_blocks_nothing():
    failed = {REMOVE_SNAPSHOT: ended(TaskState.ERROR, NOW + timedelta(days=1), fault="FileLocked")}
    assert isinstance(decided(Wish.GONE, snapshot(), tasks=failed)[1], RemoveSnapshot)


def reasons(step):
    return [finding.reason for finding in step.part.findings]


def test_a_snapshot_that_gets_old_is_told_and_kept():
    old = snapshot(taken_at=NOW - timedelta(hours=73))
    step = next_step(case(Wish.KEPT, old, marked=True))
    assert reasons(step) == [Reason.SNAPSHOT_TAKEN, Reason.SNAPSHOT_TOO_OLD]
    assert step.is_granted


@pytest.mark.parametrize(
    ("held", "is_told"), [(11 * GIB, True), (10 * GIB, False), (None, False), (Unknown("no answer"), False)]
)
def test_a_snapshot_that_fills_the_datastore_is_told(held, is_told):
    step = next_step(case(Wish.KEPT, snapshot(), marked=True, held_bytes=held))
    assert (Reason.SNAPSHOT_TOO_LARGE in reasons(step)) is is_told


def test_disks_that_stay_behind_are_told():
    step = next_step(case(Wish.GONE, consolidation_needed=True))
    assert reasons(step) == [Reason.SNAPSHOT_REMOVED, Reason.CONSOLIDATION_NEEDED]
    foreign = next_step(case(Wish.GONE, FOREIGN, consolidation_needed=True))
    assert reasons(foreign) == [Reason.SNAPSHOT_REMOVED]


def test_another_owners_note_says_nothing_about_this_one():
    foreign_note = case(Wish.REVERTED, snapshot())
    noted = replace(foreign_note, vm=replace(foreign_note.vm, notes={NOTE: OTHER}))
    assert next_step(noted).is_granted
