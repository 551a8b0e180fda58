"""`managedvm work`: what a technician types to record work, see what it costs, and take a mistake back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab import wait_until
from tests.api.bodies import change_request, contacts, custom, requester, reversal
from tests.api.server import assert_done
from tests.world.stage import PATIENCE, PERSON, working_day

pytestmark = pytest.mark.lab

PROGRAMS = Path(sys.executable).parent
MORNING = ("--begin", working_day("10:00"))


@pytest.fixture
def person(party):
    """Who works for no other test at the same time."""
    return f"t.technik@{party.namespace}.example"


@pytest.fixture
def clock(tmp_path):
    """The file of the running clock."""
    return tmp_path / "managedvm" / "work-clock.json"


@pytest.fixture
def typed(lab, tmp_path):
    """Run a command line of `managedvm work` as the lab's administrator, who holds every verb."""
    env = {
        "PATH": os.pathsep.join([str(PROGRAMS), os.environ["PATH"]]),
        "HOME": str(lab.directory),
        "XDG_STATE_HOME": str(tmp_path),
        "TZ": "Europe/Berlin",
        "KUBECONFIG": str(lab.kubeconfig),
    }

    def run(*words):
        line = ("managedvm", "work", *words)
        return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - the lab's own

    return run


@pytest.fixture
def request_name(party):
    """A request that a listed person made, for a VM under contract."""
    assert_done(party.stage.api.create(contacts(party.namespace, requester(PERSON))))
    vm = party.vm().settled()
    asked = {"channel": "Email", "managedVMRef": {"name": vm.name}, "askedAt": working_day("09:00")}
    body = change_request(party.namespace, "ports", PERSON, **asked)
    assert_done(party.stage.api.create(body))
    wait_until(
        lambda: "assessment" in party.stage.api.read(body).body.get("status", {}),
        "the request to be assessed",
        seconds=PATIENCE,
    )
    return f"{party.namespace}/ports"


def done(said):
    assert (said.returncode, said.stderr) == (0, "")
    return " ".join(said.stdout.split())


def refused(said, *words):
    told = " ".join(said.stderr.split())
    assert (said.returncode, said.stdout) == (1, "")
    assert [word for word in words if word not in told] == [], told


def recorded(said):
    return done(said).split()[3].rstrip(".")


def listed(typed, name, words):
    """Return the list of work once it says these words."""

    def found():
        told = done(typed("list", name))
        return told if words in told else None

    return wait_until(found, f"{words!r} to be listed", seconds=PATIENCE, every=0.2)


def test_work_is_recorded_listed_taken_back_and_recorded_anew(typed, request_name, person, party):
    work = ("add", request_name, "--activity", "Opened the ports", "--by", person, *MORNING)
    wrong = recorded(typed(*work, "--minutes", "50"))
    assert recorded(typed(*work, "--minutes", "50")) == wrong, "the same said twice is one record"
    refused(typed(*work, "--minutes", "20"), "recorded already", wrong, "managedvm work reverse")
    assert "120.00 EUR yes" in listed(typed, request_name, "1h 120.00 EUR yes")

    back = recorded(
        typed("reverse", f"{party.namespace}/{wrong}", "--reason", "Typed 50 for 20", "--by", person)
    )
    refused(typed("reverse", f"{party.namespace}/{wrong}", "--reason", "Twice"), "taken back already", back)
    refused(
        typed("reverse", f"{party.namespace}/{back}", "--reason", "Back again"), "counter-entry", "clause 4"
    )
    right = recorded(typed(*work, "--minutes", "20"))
    assert right != wrong
    told = listed(typed, request_name, "30m 60.00 EUR yes")
    assert "-1h -120.00 EUR yes" in told
    body = party.stage.api.read(custom("WorkEntry", right, party.namespace, {})).body
    assert (body["spec"]["begin"], body["spec"]["minutes"]) == (working_day("10:00"), 20)
    assert body["spec"]["managedVMRef"] == {"name": "web-01"}


def test_a_wrong_counter_entry_does_not_keep_the_right_one_out(typed, request_name, person, party):
    work = ("add", request_name, "--activity", "Opened the ports", "--by", person, *MORNING)
    name = recorded(typed(*work, "--minutes", "50"))
    entry = party.stage.api.read(custom("WorkEntry", name, party.namespace, {})).body
    assert_done(party.stage.api.create(reversal(entry, person, changeRequestRef={"name": "another"})))
    back = recorded(typed("reverse", f"{party.namespace}/{name}", "--reason", "Typed 50 for 20"))
    assert back == f"reversal-2-of-{name}"
    refused(typed("reverse", f"{party.namespace}/{name}", "--reason", "Twice"), "taken back already", back)


def test_the_work_of_a_person_is_found_for_all_customers_by_its_day(typed, request_name, person, party):
    work = ("add", request_name, "--activity", "Opened the ports", "--by", person, *MORNING)
    name = recorded(typed(*work, "--minutes", "50"))
    day = working_day("10:00")[:10]
    assert f"{party.namespace}/{name}" in "".join(
        done(typed("list", "--person", person, "--day", day)).split()
    )
    assert name not in done(typed("list", "--person", person, "--day", "2026-01-05"))
    assert typed("list", "--person", person).returncode == 2
    assert typed("list", request_name, "--person", person, "--day", day).returncode == 2


def test_work_from_before_its_request_is_not_recorded(typed, request_name, person, party):
    early = ("--begin", working_day("08:59"), "--minutes", "5")
    words = ("before request ports was asked", "spec.askedAt", "clause 4")
    refused(typed("add", request_name, "--activity", "Too early", "--by", person, *early), *words)
    assert party.records("WorkEntry") == []


def test_a_clock_that_is_started_and_stopped_makes_one_record(typed, request_name, person, party, clock):
    assert f"runs for {request_name}" in done(typed("start", request_name))
    refused(typed("start", request_name), "runs already", request_name, "two things at once", "clause 4")
    begin = json.loads(clock.read_text())["begin"]
    kept = clock.read_text()

    first = recorded(typed("stop", "--activity", "Looked at it", "--cause", "Overuse", "--by", person))
    assert not clock.exists()
    body = party.stage.api.read(custom("WorkEntry", first, party.namespace, {})).body
    assert (body["spec"]["begin"], body["spec"]["cause"]) == (begin, "Overuse")
    assert body["spec"]["end"] >= begin

    # The machine went down after the record was made and before the clock was put away.
    clock.write_text(kept)
    assert (
        recorded(typed("stop", "--activity", "Looked at it", "--cause", "Overuse", "--by", person)) == first
    )
    assert len(party.records("WorkEntry")) == 1
    refused(typed("stop", "--activity", "Looked at it"), "No clock runs", "managedvm work start")


def test_a_clock_that_was_started_by_mistake_is_dropped(typed, request_name, party, clock):
    done(typed("start", request_name))
    assert request_name in done(typed("drop"))
    assert not clock.exists()
    assert done(typed("drop")) == "No clock runs."
    assert party.records("WorkEntry") == []


def test_what_would_not_be_accepted_is_not_recorded(typed, request_name, person, party):
    work = ("--activity", "Opened the ports", "--by", person)
    refused(typed("start", f"{party.namespace}/nowhere"), "no ChangeRequest", "clause 4")
    refused(typed("add", f"{party.namespace}/nowhere", "--minutes", "5", *work), "no ChangeRequest")
    future = ("--begin", "2126-01-05T10:00", "--minutes", "5")
    refused(typed("add", request_name, *future, *work), "2126-01-05T09:05:00Z", "clause 4")
    for times in (
        (),
        ("--begin", "10:00"),
        (*MORNING, "--end", "11:00", "--minutes", "5"),
        ("--end", "half past"),
    ):
        assert typed("add", request_name, *times, *work).returncode == 2
    assert party.records("WorkEntry") == []
