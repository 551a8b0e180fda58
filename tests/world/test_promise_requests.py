"""Clause 4: what people ask for is documented, assessed, held where they may not order, and goes on as is decided."""

import urllib.request

import pytest

from lab import wait_until
from tests.api.bodies import (
    change_request,
    contacts,
    custom,
    request_decision,
    requester,
    software,
    work_entry,
)
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, condition, instant

pytestmark = pytest.mark.lab

STRANGER = "stranger@kunde.example"
STAFF = "t.technik@provider.example"


@pytest.fixture
def vm(party):
    """A VM under contract, whose customer lists one person."""
    assert_done(party.stage.api.create(contacts(party.namespace, requester(PERSON))))
    return party.vm().settled()


def ask(vm, name, by=PERSON, **spec):
    """Ask for something as the helpdesk enters it."""
    kind = {"kind": "SupportQuestion", "channel": "Phone", "managedVMRef": {"name": vm.name}}
    assert_done(vm.api.create(change_request(vm.party.namespace, name, by, **{**kind, **spec})))


def decide(vm, name, decision, by=STAFF, decided_as="Staff"):
    body = request_decision(
        vm.party.namespace,
        f"{decision}-{name}".lower(),
        by,
        decision=decision,
        decidedAs=decided_as,
        changeRequestRef={"name": name},
    )
    assert_done(vm.api.create(body))


def work(vm, name, begin, end, **spec):
    body = work_entry(
        vm.party.namespace,
        f"{name}-work",
        STAFF,
        changeRequestRef={"name": name},
        begin=begin,
        end=end,
        **spec,
    )
    assert_done(vm.api.create(body))


def until(vm, name, what, check):
    """Wait until the status of a request is as `check` says, and return the request."""

    def found():
        answer = vm.api.read(custom("ChangeRequest", name, vm.party.namespace, {}))
        return answer.body if check(answer.body.get("status", {})) else None

    return wait_until(found, f"{name} of {vm.path} to be {what}", seconds=PATIENCE, every=0.02)


def in_state(vm, name, state):
    return until(vm, name, state, lambda s: s["state"] == state and s.get("assessment"))["status"]


def said(vm, name):
    """Return what the condition of a request says, empty while it says nothing."""
    body = vm.api.read(custom("ChangeRequest", name, vm.party.namespace, {})).body
    return condition(body, "Succeeded") or {"reason": "", "message": ""}


@pytest.mark.parametrize(
    ("kind", "clause", "billing"),
    [
        ("SupportQuestion", "4.1", "Effort"),
        ("FaultReport", "4.1", "Included"),
        ("SecurityCheck", "6.1", "Effort"),
        ("CapacityAdvice", "6.4", "Included"),
        ("CleanUp", "6.4", "Effort"),
        ("SuitabilityReview", "6.5", "Effort"),
        ("Restore", "3.2", "Included"),
    ],
)
def test_a_request_is_documented_as_an_order_with_clause_and_billing(vm, kind, clause, billing):
    ask(vm, "ask", kind=kind)
    status = until(vm, "ask", "assessed", lambda s: s.get("assessment"))["status"]
    assert (status["assessment"]["clause"], status["assessment"]["billing"]) == (clause, billing)
    assert status["state"] == "Ordered"
    assert status["authority"]["entry"] == {"email": PERSON, "from": "2026-01-01T00:00:00Z"}


def test_a_question_is_worked_on_by_people_and_nothing_is_done_to_the_vm(vm):
    before = vm.done_to_vm()
    ask(vm, "question", description="How do I set up a second web server?")
    in_state(vm, "question", "Ordered")
    assert "A technician works on it" in said(vm, "question")["message"]
    vm.look_again()
    assert vm.done_to_vm() == before
    assert vm.requests() == []
    assert vm.work() == []


def test_nothing_that_is_said_about_a_vm_judges_whether_it_suits(vm):
    ask(vm, "review", kind="SuitabilityReview")
    in_state(vm, "review", "Ordered")
    words = " ".join(one["message"] for one in vm.status["conditions"]).lower()
    assert "suit" not in words
    assert "A technician works on it" in said(vm, "review")["message"]


def test_individual_software_is_an_order_that_is_billed_also_for_a_vm_that_is_just_provisioned(party):
    party.machine()
    vm = party.declare(vm={**declared(party), "origin": "Provisioned"}).settled()
    ask(vm, "redis", **software())
    status = in_state(vm, "redis", "Ordered")
    assert (status["assessment"]["clause"], status["assessment"]["billing"]) == ("6.2", "Effort")


def declared(party, name="web-01"):
    return {"vCenterRef": {"name": party.stage.name}, "inventoryPath": f"{party.folder}/{name}"}


def test_software_from_elsewhere_that_was_documented_all_the_same_is_refused(vm):
    body = change_request(vm.party.namespace, "op-tarball", PERSON, managedVMRef={"name": vm.name})
    body["spec"] |= {"channel": "Helpdesk", **software(source="SourceCode")}
    operator = vm.api.impersonate("system:serviceaccount:managedvm-system:managedvm-operator")
    assert_done(operator.create(body))
    until(vm, "op-tarball", "refused", lambda s: s["state"] == "Refused")
    outcome = said(vm, "op-tarball")
    assert outcome["reason"] == "NotFromStandardSource"
    assert "clause 6.2" in outcome["message"]


def test_a_fault_is_taken_in_without_a_package_and_a_question_is_refused(party):
    vm = party.vm(orders=[plain()]).settled()
    ask(vm, "fault", kind="FaultReport")
    ask(vm, "question")
    in_state(vm, "fault", "Ordered")
    until(vm, "question", "refused", lambda s: s["state"] == "Refused")
    assert "clause 4" in said(vm, "question")["message"]


def plain():
    return {"reference": "A-1", "serviceLevel": "standard", "from": "2026-01-01T00:00:00Z"}


def test_a_stranger_is_held_until_somebody_on_the_list_releases_the_request(vm):
    ask(vm, "held", STRANGER)
    status = in_state(vm, "held", "Held")
    assert status["authority"]["mayProceed"] is False
    assert f"managedvm request release {vm.party.namespace}/held" in said(vm, "held")["message"]
    assert PERSON in said(vm, "held")["message"]

    decide(vm, "held", "Release", PERSON, "Requester")
    status = in_state(vm, "held", "Released")
    assert status["release"]["releasedBy"] == PERSON
    assert status["release"]["decisionRef"] == {"name": "release-held"}
    assert status["authority"]["mayProceed"] is False


def test_without_a_list_the_word_of_a_customer_releases_nothing_and_that_of_staff_does(party):
    customers = custom("Customer", party.namespace, None, {})
    assert_done(party.stage.api.patch(customers, {"spec": {"requests": {"noRequesterListed": "Hold"}}}))
    vm = party.vm().settled()
    ask(vm, "held", STRANGER)
    in_state(vm, "held", "Held")
    decide(vm, "held", "Release", STRANGER, "Requester")
    wait_until(
        lambda: "does not count" in said(vm, "held")["message"],
        "the void release to be told",
        seconds=PATIENCE,
    )
    assert in_state(vm, "held", "Held").get("release") is None
    body = request_decision(vm.party.namespace, "staff", STAFF, decision="Release", decidedAs="Staff")
    body["spec"]["changeRequestRef"] = {"name": "held"}
    assert_done(vm.api.create(body))
    in_state(vm, "held", "Released")


def test_in_observe_mode_what_people_ask_for_is_documented_as_usual(party):
    vm = party.vm(mode="Observe")
    vm.until("ChangesPermitted", status="False", reason="ObserveOnly")
    ask(vm, "question")
    assert in_state(vm, "question", "Ordered")["assessment"]["billing"] == "Effort"
    vm.assert_left_alone()
    assert vm.done_to_vm() == []


def test_a_scope_holds_what_it_does_not_name(party):
    people = contacts(party.namespace, requester(PERSON, scope=["SupportQuestion"]))
    assert_done(party.stage.api.create(people))
    vm = party.vm().settled()
    ask(vm, "question")
    ask(vm, "restore", kind="Restore")
    in_state(vm, "question", "Ordered")
    in_state(vm, "restore", "Held")


def test_an_order_of_the_yaml_that_is_held_is_carried_out_once_it_is_released(vm):
    vm.order("more", by=STRANGER, resources={"memory": "8Gi"})
    held = vm.request("Memory", "Held")
    name = held["metadata"]["name"]
    assert f"request release {vm.party.namespace}/{name}" in condition(held, "Succeeded")["message"]
    assert vm.facts["memoryMiB"] == 4096

    decide(vm, name, "Release", PERSON, "Requester")
    done = vm.request("Memory", "Done")
    assert vm.facts["memoryMiB"] == 8192
    assert done["status"]["release"]["releasedBy"] == PERSON
    assert len(vm.work()) == 1


def test_an_order_of_the_yaml_that_is_withdrawn_is_never_carried_out(vm):
    vm.order("more", by=STRANGER, resources={"memory": "8Gi"})
    name = vm.request("Memory", "Held")["metadata"]["name"]
    decide(vm, name, "Withdraw", STRANGER, "Requester")
    vm.request("Memory", "Withdrawn")
    vm.until("ResourcesAsAgreed", status="False", reason="OrderUsedUp")
    assert vm.facts["memoryMiB"] == 4096
    assert vm.work() == []


def test_work_moves_a_request_into_work_and_staff_closes_it(vm):
    ask(vm, "question")
    in_state(vm, "question", "Ordered")
    begin = instant(-1)
    work(vm, "question", begin, begin)
    status = in_state(vm, "question", "InWork")
    assert status["startedAt"] == begin
    assert f"managedvm request complete {vm.party.namespace}/question" in said(vm, "question")["message"]

    decide(vm, "question", "Complete")
    status = in_state(vm, "question", "Done")
    assert STAFF in said(vm, "question")["message"]
    assert status["completedAt"] >= begin


def test_who_asked_takes_it_back_and_a_stranger_does_not(vm):
    ask(vm, "mine", STRANGER)
    ask(vm, "others")
    in_state(vm, "mine", "Held")
    in_state(vm, "others", "Ordered")
    decide(vm, "mine", "Withdraw", STRANGER, "Requester")
    decide(vm, "others", "Withdraw", STRANGER, "Requester")
    in_state(vm, "mine", "Withdrawn")
    wait_until(
        lambda: "does not count" in said(vm, "others")["message"],
        "the void withdrawal to be told",
        seconds=PATIENCE,
    )
    assert in_state(vm, "others", "Ordered")


def test_an_update_on_order_is_planned_for_the_next_window_and_nothing_is_updated(vm):
    ask(vm, "update", kind="UpdateOrder")
    status = in_state(vm, "update", "Scheduled")
    assert status["assessment"]["billing"] == "Included"
    assert status["slot"]["begin"] > status["assessment"]["assessedAt"]
    assert "this version installs none by itself" in said(vm, "update")["message"]
    done = vm.done_to_vm()
    vm.look_again()
    assert vm.done_to_vm() == done


def test_a_missed_reaction_is_seen_and_one_in_time_is_none(party, replica):
    level = party.level("standard", reactionTime="3s")
    vm = party.vm(orders=[{**plain(), "serviceLevel": level, "servicePackage": "Basic"}]).settled()
    ask(vm, "unheard", kind="FaultReport")
    ask(vm, "heard", kind="FaultReport")
    begin = instant(1)
    wait_until(lambda: instant() > begin, "the work to be over", seconds=PATIENCE)
    work(vm, "heard", begin, begin)

    heard = until(vm, "heard", "reacted to", lambda s: s.get("reaction", {}).get("reactedAt"))["status"]
    missed = until(vm, "unheard", "missed", lambda s: s.get("reaction", {}).get("isMissed"))["status"]
    assert (heard["reaction"]["reactedAt"], heard["reaction"]["isMissed"]) == (begin, False)
    assert "reactedAt" not in missed["reaction"]
    wait_until(lambda: missed_reactions(replica) == 1, "the missed reaction to be counted", seconds=PATIENCE)
    vm.look_again()
    assert missed_reactions(replica) == 1
    replica.restart()
    wait_until(lambda: missed_reactions(replica) == 1, "it to be counted after a restart", seconds=PATIENCE)
    vm.look_again()
    assert missed_reactions(replica) == 1


def missed_reactions(replica):
    """Return how many missed reactions the metric counts."""
    series = 'managedvm_findings{aspect="ReactedInTime",kind="ChangeRequest",reason="ReactionMissed",status="False"}'
    with urllib.request.urlopen(f"http://127.0.0.1:{replica.health_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))
