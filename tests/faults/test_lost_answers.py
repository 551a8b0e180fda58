"""Nothing dies, but requests and answers get lost, come twice, or are refused: each story ends as if nothing had been."""

from contextlib import suppress
from itertools import count

import pytest

import lab as world
from lab import faults, wait_until
from lab.faults import Moment
from tests.api.bodies import custom
from tests.faults.faultlab import NAMESPACE, managed_vm, slip
from tests.faults.stories import ADOPTED, COLD, HOT, REVERTED, THREE

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("replica")]

FAULTS = {
    "lost on the way": faults.lost_before,
    "answer lost": faults.lost_after,
    "delivered twice": faults.doubled,
    "delivered twice, answered once": faults.doubled_unseen,
    "late": faults.late(1.5, Moment.AFTER_EFFECT),
    "429": faults.refused_before(429),
    "500 after all": faults.refused_after(500),
}
"""What can happen to one request. vCenter answers no 429 or 500, so these strike calls to the API server only."""

STRUCK = (HOT, THREE, COLD, REVERTED, ADOPTED)


@pytest.fixture
def replica(told):
    """The operator, lists of metadata every 10 seconds; it is started again when it ends, as a kubelet does."""
    process = told.lab.replica(1, MANAGEDVM_RELIST_SECONDS="10")
    process.start()
    yield process
    process.kill()
    told.lab.free_lease()
    told.lab.vcenter.clear_faults()


def of(name, what):
    """Return what wants the calls of a kind for a VM."""
    about = f"{NAMESPACE}/{name}"
    return lambda call: call.changes and call.about == about and call.what == what


def recovered(told, names, seconds=90, kept=None):
    """Wait until each story has ended as it should, and all is quiet; return what is wrong all the same.

    `kept` is a replica that is started again whenever it has ended, as a kubelet does.
    """

    waiting = list(names)

    def have_ended():
        if kept is not None:
            kept.start()
        waiting[:] = [(s, name) for s, name in waiting if not told.has_ended(s, len(s.steps) - 1, name)]
        return not waiting

    with suppress(world.DeadlineError):  # what is wrong says it better
        wait_until(have_ended, "the stories to end", seconds=seconds, every=0.3)
    told.await_quiet()
    return {name: why for name, why in told.wrong(names).items() if why}


def may_be_one_with_another(call, nth):
    """Return whether a call may be left out when hundreds of VMs are looked at.

    What two looks say one after the other is then said at once, and the overrides of many VMs are one order.
    """
    return call == "ReconfigureComputeResource_Task" or (call.endswith("/status") and nth > 1)


def test_a_fault_at_any_call_leaves_no_trace(told, say):
    """Each call of each story meets each fault once, all at the same time, each at a VM of its own."""
    points = [
        (story, call, nth, fault)
        for story in STRUCK
        for call, times in told.references[story.name].most(0).items()
        for nth in range(1, times + 1)
        for fault in FAULTS
        if " " in call or not fault[0].isdigit()
    ]
    made = told.made(story for story, *_ in points)
    rules = []
    for (story, call, nth, fault), (_, name) in zip(points, made, strict=True):
        rules.append(told.lab.proxy.inject(of(name, call), FAULTS[fault], nth=nth))
        story.steps[0](told.lab, name)
    one_step = [(story, name) for story, name in made if len(story.steps) == 1]
    later = [(story, name) for story, name in made if len(story.steps) > 1]
    for story, name in later:
        wait_until(lambda s=story, n=name: told.has_ended(s, 0, n), f"{name}, step 1", seconds=90)
        for step in range(1, len(story.steps)):
            told.do(story, step, name)
    wrong = recovered(told, [*one_step, *later])
    told.lab.proxy.remove(*rules)
    struck = sum(len(rule.struck) for rule in rules)
    say(
        f"{struck} of {len(points)} faults struck: {len(FAULTS)} faults at every call of {len(STRUCK)} stories"
    )
    named = dict(zip((name for _, name in made), points, strict=True))
    assert not wrong, "\n".join(
        f"{named[name][0].name} {named[name][1:]} {name}: {why}" for name, why in wrong.items()
    )
    missed = [point for point, rule in zip(points, rules, strict=True) if not rule.struck]
    needed = [point for point in missed if told.references[point[0].name].needs(0, *point[1:3])]
    certain = [point for point in needed if not may_be_one_with_another(*point[1:3])]
    assert [f"{story.name}: {rest}" for story, *rest in certain] == []


def test_the_api_server_is_restarted_in_the_middle_of_changes(told, replica):
    made = told.made([HOT, HOT, THREE, COLD])
    name = made[0][1]
    rule = told.lab.proxy.inject(of(name, "POST workentries"), faults.lost_before)
    for story, vm in made:
        story.steps[0](told.lab, vm)
    wait_until(lambda: rule.struck, "the first change to be made", seconds=30)
    world.restart(told.lab.lab, "apiserver")
    wait_until(
        lambda: told.lab.client.create(managed_vm("tried"), dryRun="All").ok, "policies that work", seconds=60
    )
    # Without an API server for longer than its lease lasts it ends, at a moment of its own.
    assert recovered(told, made, seconds=300, kept=replica) == {}
    replica.start()


@pytest.mark.parametrize("how", ["hidden", "lost in a 410"])
def test_a_deletion_that_no_watch_tells_is_found_by_the_next_list(told, how):
    lab = told.lab
    ((_, name),) = told.made([HOT])
    claims = custom("VMClaim", "-", None, {})

    def claimed():
        return [claim for claim in lab.client.list(claims) if claim["spec"]["owner"]["name"] == name]

    assert len(claimed()) == 1
    rule = None
    if how == "hidden":
        lab.proxy.hides = lambda event: event["type"] == "DELETED"
    else:
        rule = lab.proxy.inject(
            lambda call: call.is_watch and call.what == "GET managedvms", faults.too_old, times=None
        )
        lab.proxy.cut_watches()
    assert lab.client.delete(managed_vm(name)).ok
    if rule is not None:
        wait_until(lambda: rule.struck, "a watch that is told 410", seconds=30)
        lab.proxy.remove(rule)
    wait_until(lambda: not claimed(), "the claim to be released", seconds=40)
    lab.proxy.hides = None


def test_sessions_end_at_every_order(told):
    lab, numbers = told.lab, count()

    async def expired(exchange):
        """End all sessions before the first order and after the second one, and so on."""
        if next(numbers) % 2:
            answer = await exchange.forward()
            lab.vcenter.fault("expire-sessions")
            return answer
        lab.vcenter.fault("expire-sessions")
        return await exchange.forward()

    made = told.made([HOT, COLD, ADOPTED] * 2)
    rule = lab.proxy.inject(lambda call: call.door == "vcenter" and call.changes, expired, times=None)
    for story, name in made:
        story.steps[0](lab, name)
    wrong = recovered(told, made)
    lab.proxy.remove(rule)
    assert wrong == {}
    assert len(rule.struck) >= len(made)


def test_nothing_is_concluded_while_vcenter_is_away(told):
    """An outage of more than a minute, silent first and then refusing, with changes at every stage."""
    lab = told.lab
    made = told.made([HOT, HOT, COLD])
    (_, bystander), (_, changing), (_, going_down) = made
    lab.vcenter.vm(f"{NAMESPACE}/{going_down}", ignoreShutdown=True)
    COLD.steps[0](lab, going_down)
    wait_until(lambda: "ShutdownGuest" in lab.calls(going_down), "the guest to be asked", seconds=30)
    lab.vcenter.fault("silence")
    HOT.steps[0](lab, changing)
    wait_until(lambda: "ReconfigVM_Task" in lab.calls(changing)[4:], "an order into silence", seconds=30)
    lab.vcenter.fault("refuse")
    wait_until(lambda: said(lab, bystander, "VMFound") == "VCenterUnreachable", "the outage", seconds=150)
    for name, expected in ((bystander, []), (changing, ["Ordered"]), (going_down, ["InWork"])):
        wait_until(lambda n=name: said(lab, n, "VMFound") == "VCenterUnreachable", name, seconds=30)
        assert said(lab, name, "Claimed") == "ClaimHeld", name
        assert lab.status(name)["status"]["vm"]["instanceUUID"], name
        assert states(lab, name) == expected, name
        assert lab.work(lab.requests(name)) == [], name
    lab.vcenter.clear_faults()
    lab.vcenter.vm(f"{NAMESPACE}/{going_down}", ignoreShutdown=False)
    HOT.steps[0](lab, bystander)
    assert recovered(told, made, seconds=120) == {}


def said(lab, name, condition):
    """Return the reason of a condition."""
    conditions = lab.status(name)["status"].get("conditions", ())
    return next((c["reason"] for c in conditions if c["type"] == condition), "")


def test_a_target_that_is_deleted_between_intent_and_act_is_left_alone(told):
    lab = told.lab
    ((_, name),) = told.made([HOT])
    between = faults.Crash(lab.proxy, lambda: None)
    between.join(of(name, "POST changerequests"), 1, Moment.AFTER_RESPONSE)
    HOT.steps[0](lab, name)
    wait_until(lambda: between.held[0], "the intent to be recorded", seconds=30)
    assert lab.client.delete(managed_vm(name)).ok
    between.strike()
    wait_until(lambda: states(lab, name) == ["Withdrawn"], "the request to be withdrawn", seconds=60)
    told.await_quiet()
    assert lab.work(lab.requests(name)) == []
    assert lab.vcenter.vm(f"{NAMESPACE}/{name}")["memoryMiB"] == 4096
    assert lab.mutations(name)[name]["ReconfigVM_Task"] == 1  # the note of the baseline


@pytest.mark.parametrize("dies", [False, True], ids=["", "and the operator dies"])
def test_what_has_taken_effect_is_billed_although_its_target_was_deleted(told, replica, dies):
    lab = told.lab
    ((_, name),) = told.made([HOT])
    before = faults.Crash(lab.proxy, replica.kill if dies else lambda: None)
    before.join(of(name, "POST workentries"), 1, Moment.BEFORE)
    HOT.steps[0](lab, name)
    wait_until(lambda: before.held[0], "the change to be made", seconds=30)
    assert lab.client.delete(managed_vm(name)).ok
    before.strike()
    if dies:
        lab.free_lease()
        replica.start()
    wait_until(lambda: states(lab, name) == ["Done"], "the request to be closed", seconds=60)
    (entry,) = lab.work(lab.requests(name))
    assert (entry["spec"]["charge"]["amount"], entry["spec"]["evidence"]["task"][:5]) == ("30.00", "task-")


def states(lab, name):
    return [request["status"]["state"] for request in lab.requests(name)]


def test_a_vm_that_was_shut_down_is_started_although_its_target_was_deleted(told):
    lab = told.lab
    ((_, name),) = told.made([COLD])
    down = faults.Crash(lab.proxy, lambda: None)
    down.join(of(name, "ReconfigVM_Task"), 1, Moment.BEFORE)
    COLD.steps[0](lab, name)
    wait_until(lambda: down.held[0], "the guest to be down", seconds=30)
    assert lab.vcenter.vm(f"{NAMESPACE}/{name}")["power"] == "poweredOff"
    assert lab.client.delete(managed_vm(name)).ok
    down.strike()
    wait_until(
        lambda: lab.vcenter.vm(f"{NAMESPACE}/{name}")["power"] == "poweredOn", "the VM to run", seconds=90
    )
    wait_until(lambda: states(lab, name) == ["Withdrawn"], "the request to be withdrawn", seconds=90)
    assert lab.work(lab.requests(name)) == []


def test_a_slip_that_arrives_while_another_change_is_made_is_a_change_of_its_own(told):
    lab = told.lab
    ((_, name),) = told.made([HOT])
    made = faults.Crash(lab.proxy, lambda: None)
    made.join(of(name, "ReconfigVM_Task"), 1, Moment.AFTER_EFFECT)
    HOT.steps[0](lab, name)
    wait_until(lambda: made.held[0], "the first change to be sent", seconds=30)
    lab.patch(name, resources={"memory": "16Gi"}, change=slip("more-still"))
    made.strike()
    wait_until(lambda: states(lab, name) == ["Done", "Done"], "both to be closed", seconds=60)
    assert sorted(
        (r["spec"]["change"]["before"], r["spec"]["change"]["after"]) for r in lab.requests(name)
    ) == [
        ("4Gi", "8Gi"),
        ("8Gi", "16Gi"),
    ]
    assert [entry["spec"]["charge"]["amount"] for entry in lab.work(lab.requests(name))] == ["30.00"] * 2
