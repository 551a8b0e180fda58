"""`managedvm request`: what a person types to see a request and to decide about it, as who they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import wait_until
from tests.api.bodies import change_request, contacts, custom, requester
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON

pytestmark = pytest.mark.lab

PROGRAMS = Path(sys.executable).parent
STRANGER = "stranger@kunde.example"


@pytest.fixture
def vm(party):
    assert_done(party.stage.api.create(contacts(party.namespace, requester(PERSON))))
    return party.vm().settled()


@pytest.fixture
def typed(lab):
    """Run a command line of `managedvm request` as the lab's administrator, who holds every verb."""
    env = {
        "PATH": os.pathsep.join([str(PROGRAMS), os.environ["PATH"]]),
        "HOME": str(lab.directory),
        "KUBECONFIG": str(lab.kubeconfig),
    }

    def run(*words):
        line = ("managedvm", "request", *words)
        return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - the lab's own

    return run


def ask(vm, by=PERSON):
    body = change_request(vm.party.namespace, "question", by, kind="SupportQuestion", channel="Email")
    assert_done(vm.api.create(body))
    return f"{vm.party.namespace}/question"


def in_state(vm, state):
    def found():
        body = vm.api.read(custom("ChangeRequest", "question", vm.party.namespace, {})).body
        status = body.get("status", {})
        return status.get("state") == state and status.get("assessment")

    wait_until(found, f"the question to be {state}", seconds=PATIENCE, every=0.02)


def test_a_held_request_is_shown_released_completed_and_shown_again(typed, vm):
    name = ask(vm, STRANGER)
    in_state(vm, "Held")
    shown = typed("show", name)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "clause 4.1" in shown.stdout
    assert f"{STRANGER} was not an authorised requester" in shown.stdout
    words = " ".join(shown.stdout.split())
    assert f"managedvm request release {name}" in words

    released = typed("release", name, "--by", PERSON, "--reason", "Said so on the telephone")
    assert (released.returncode, released.stderr) == (0, "")
    in_state(vm, "Released")
    again = typed("release", name, "--by", PERSON, "--reason", "Said so on the telephone")
    assert again.stdout == released.stdout, "the same said twice is one decision"
    other = typed("release", name, "--by", PERSON, "--reason", "Another reason")
    assert other.returncode == 1
    assert "What was decided stands" in other.stderr

    assert typed("complete", name, "--reason", "Answered").returncode == 0
    in_state(vm, "Done")
    told = " ".join(typed("show", name).stdout.split())
    assert f"Released by {PERSON}" in told
    assert f"Release by {PERSON} (entered by " in told
    assert "as Staff at" in told
    assert "Said so on the telephone" in told


def test_a_request_is_withdrawn_by_who_asked(typed, vm):
    name = ask(vm)
    in_state(vm, "Ordered")
    done = typed("withdraw", name, "--by", PERSON, "--reason", "Solved by ourselves")
    assert (done.returncode, done.stderr) == (0, "")
    in_state(vm, "Withdrawn")
    again = typed("withdraw", name, "--staff", "--reason", "To be sure")
    assert again.returncode == 1
    assert f"ChangeRequest {name} is Withdrawn already" in again.stderr


def test_a_decision_that_would_change_nothing_is_not_recorded(typed, vm):
    name = ask(vm)
    in_state(vm, "Ordered")
    said = typed("release", name, "--staff", "--reason", "To be sure")
    assert (said.returncode, said.stderr.strip()) == (
        1,
        f"ChangeRequest {name} is Ordered and waits for no release.",
    )
    vm.order("more", by=STRANGER, resources={"memory": "8Gi"})
    own = f"{vm.party.namespace}/{vm.request('Memory', 'Held')['metadata']['name']}"
    said = typed("complete", own, "--reason", "Looks good")
    assert said.stderr.strip() == f"ChangeRequest {own} is carried out and closed by the operator itself."
    assert vm.party.records("RequestDecision") == []


def test_a_refusal_is_told_in_the_words_of_the_api_server(typed, vm):
    name = ask(vm, STRANGER)
    refused = typed("release", name, "--by", STRANGER, "--reason", "Please")
    assert refused.returncode == 1
    assert f"{STRANGER} is not an authorised requester" in refused.stderr
    assert "clause 4" in refused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("release", "nowhere", "--reason", "x"), "NAMESPACE/NAME"),
        (("release", "a/b", "--reason", " "), "say why"),
    ],
)
def test_what_is_typed_wrongly_is_told(typed, words, says):
    said = typed(*words)
    assert said.returncode == 2
    assert says in said.stderr


def test_a_decision_about_nothing_is_not_recorded(typed, party):
    said = typed("release", f"{party.namespace}/nothing", "--staff", "--reason", "Why not")
    assert (said.returncode, said.stderr.strip()) == (
        1,
        f"There is no ChangeRequest {party.namespace}/nothing.",
    )
    assert party.records("RequestDecision") == []


def test_explain_tells_of_authority_and_decisions(typed, vm, lab):
    name = ask(vm, STRANGER)
    in_state(vm, "Held")
    typed("release", name, "--staff", "--reason", "The boss said so")
    in_state(vm, "Released")
    env = {"PATH": str(PROGRAMS), "HOME": str(lab.directory), "KUBECONFIG": str(lab.kubeconfig)}
    line = [str(PROGRAMS / "managedvm"), "explain", f"{vm.party.namespace}/{vm.name}"]
    said = subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - the lab's own
    words = " ".join(said.stdout.split())
    assert "Decided" in words
    assert f"{STRANGER} was not an authorised requester" in words
    assert "The boss said so" in words
    assert "SupportQuestion" in words
