"""Two replicas: one acts. The other takes over in seconds; and where both act all the same, nothing is done twice."""

import signal
import time
from itertools import cycle

import pytest

from lab import faults, processes, wait_until
from lab.faults import Moment
from managedvm.engine.lease import LeaseTiming
from tests.faults.faultlab import NAMESPACE, slip
from tests.faults.pair import Pair, broken_election
from tests.faults.stories import ADOPTED, COLD, HOT, THREE

pytestmark = pytest.mark.lab

KILLED_SECONDS, STOPPED_SECONDS = 60.0, LeaseTiming().lease_seconds
"""How soon another replica acts, also on a busy machine: some time after a kill; after an orderly stop before the Lease
could have run out, so it was handed over. How long it takes is measured in `bench/`.
"""

LONGER_THAN_A_LEASE = 17.0


@pytest.fixture
def pair(told):
    made = Pair(told.lab)
    yield made
    made.end()


def doors(lab, since):
    """Return through which doors to the API server something was changed."""
    return {call.door for call in lab.proxy.calls[since:] if call.door != "vcenter"}


def sessions(lab, since):
    """Return in which sessions vCenter was given orders."""
    return {call.session for call in lab.proxy.calls[since:] if call.door == "vcenter"}


def memory(lab, name):
    return lab.vcenter.vm(f"{NAMESPACE}/{name}")["memoryMiB"]


def ended(told, names, seconds=60):
    """Wait until each story stands where it should, and return what is wrong all the same."""
    wait_until(
        lambda: all(told.has_ended(story, len(story.steps) - 1, name) for story, name in names),
        "the stories to end",
        seconds=seconds,
    )
    told.await_quiet()
    return {name: why for name, why in told.wrong(names).items() if why}


@pytest.mark.usefixtures("pair")
def test_only_one_of_two_replicas_writes(told):
    since = len(told.lab.proxy.calls)
    made = told.made([HOT, THREE, COLD, ADOPTED])
    for story, name in made:
        story.steps[0](told.lab, name)
    assert ended(told, made) == {}
    assert doors(told.lab, since) == {"replica-1"}
    assert len(sessions(told.lab, since)) == 1


def first_call(lab, door, since):
    """Return the first call by which something was changed through a door."""
    return next((call for call in lab.proxy.calls[since:] if call.door == door), None)


@pytest.mark.parametrize(
    ("how", "limit"), [(signal.SIGKILL, KILLED_SECONDS), (signal.SIGTERM, STOPPED_SECONDS)]
)
def test_the_other_takes_over(told, pair, say, how, limit):
    """Measured to the first call that changes something, while a person wants something at every moment."""
    lab, wishes = told.lab, cycle((True, False))
    ((_, name),) = told.made([HOT])
    since = len(lab.proxy.calls)
    begun = time.monotonic()
    assert processes.send(lab.lab.pid_file(pair.leader.name), how)

    def has_taken_over():
        lab.patch(name, suspend=next(wishes))
        return first_call(lab, "replica-2", since)

    call = wait_until(has_taken_over, "the other to act", seconds=60, every=0.1)
    say(f"the other took over {call.at - begun:.1f} s after {how.name}")
    assert call.at - begun <= limit
    wait_until(lambda: not pair.leader.alive, "the first to end", seconds=30)


@pytest.mark.parametrize("moment", list(Moment))
def test_a_change_that_its_leader_did_not_live_to_see_is_finished_by_the_other(told, pair, moment):
    made = told.made([HOT, COLD, THREE])
    crash = faults.Crash(told.lab.proxy, pair.leader.kill)
    for (story, name), what in zip(
        made, ("ReconfigVM_Task", "ShutdownGuest", "POST workentries"), strict=True
    ):
        about = f"{NAMESPACE}/{name}"
        crash.join(lambda call, a=about, w=what: call.about == a and call.what == w, 1, moment)
        story.steps[0](told.lab, name)
    wait_until(lambda: None not in crash.held, "all three to be at it", seconds=30)
    crash.strike()
    assert ended(told, made, seconds=90) == {}


def test_a_leader_that_was_frozen_for_longer_than_its_lease_does_nothing_any_more(told, pair):
    lab = told.lab
    ((_, name),) = told.made([HOT])
    about = f"{NAMESPACE}/{name}"
    held = faults.Crash(lab.proxy, lambda: None)
    held.join(
        lambda call: call.about == about and call.what == "POST changerequests", 1, Moment.AFTER_RESPONSE
    )
    HOT.steps[0](lab, name)
    wait_until(lambda: held.held[0], "the intent to be recorded", seconds=30)
    pair.leader.freeze()
    held.strike()  # the answer waits in its socket: thawed, it would go on with the act
    assert ended(told, [(HOT, name)]) == {}
    since = len(lab.proxy.calls)
    frozen = lab.proxy.calls[-1].at
    wait_until(lambda: time.monotonic() - frozen > LONGER_THAN_A_LEASE, "the lease to be over", seconds=60)
    lab.patch(name, resources={"memory": "16Gi"}, change=slip("more-still"))
    pair.leader.thaw()
    wait_until(lambda: not pair.leader.alive, "the thawed one to end itself", seconds=30)
    wait_until(lambda: memory(lab, name) == 16384, "the other to go on", seconds=30)
    told.await_quiet()
    assert first_call(lab, "replica-1", since) is None
    assert len(sessions(lab, since)) == 1


def test_two_that_act_at_once_make_one_record_and_one_change(told, say):
    """No Lease fences: names that follow from the fact and vCenter's changeVersion do."""
    lab = told.lab
    rules = broken_election(lab.proxy)
    pair = Pair(lab)
    try:
        wait_until(lambda: all(map(pair.active, pair.replicas.values())), "both to act", seconds=60)
        since = len(lab.proxy.calls)
        made = told.made([HOT] * 6 + [THREE] * 4 + [COLD] * 4 + [ADOPTED] * 2)
        for story, name in made:
            story.steps[0](lab, name)
        wrong = ended(told, made, seconds=120)
        both = {
            door: sum(c.door == door for c in lab.proxy.calls[since:]) for door in ("replica-1", "replica-2")
        }
        say(f"both acted: {both} calls to the API server, {len(sessions(lab, since))} sessions gave orders")
        assert wrong == {}
        assert all(both.values())
        assert len(sessions(lab, since)) == 2
    finally:
        pair.end()
        lab.proxy.remove(*rules)
