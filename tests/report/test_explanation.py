"""`explain`: every line stands under its topic and names its clause."""

import pytest
from typer.testing import CliRunner

from managedvm.api.base import APPLIED_BY
from managedvm.cli import app
from managedvm.planning.explanation import Topic, explain, explain_request, is_looked_at
from managedvm.planning.findings import Aspect, fails, holds
from managedvm.planning.reasons import Reason
from managedvm.report import reported
from tests.factories import NOW, managed_vm, persons_request, request_decision, work_entry


def explained(*findings):
    vm = managed_vm()
    status = reported(vm.status, (), findings, 1, NOW)
    return explain(vm.model_copy(update={"status": status}), (), ())


def topics(*findings):
    return {s.about: s.topic for s in explained(*findings) if s.topic is not Topic.PROMISED}


def test_what_holds_is_kept():
    assert topics(holds(Aspect.VM_FOUND, Reason.VM_FOUND, "there")) == {"VMFound": Topic.KEPT}


def test_what_a_person_must_mend_is_refused():
    assert topics(fails(Aspect.CLAIMED, Reason.CONFLICT, "taken")) == {"Claimed": Topic.REFUSED}


def test_what_time_mends_is_waiting():
    assert topics(fails(Aspect.CLAIMED, Reason.CLAIM_PENDING, "soon")) == {"Claimed": Topic.WAITING}


def test_what_is_only_shown_is_not_done():
    assert topics(fails(Aspect.CHANGES_PERMITTED, Reason.OBSERVE_ONLY, "look")) == {
        "ChangesPermitted": Topic.NOT_DONE
    }


def test_statements_stand_in_the_order_of_their_topics():
    found = [
        s.topic
        for s in explained(
            fails(Aspect.CLAIMED, Reason.CONFLICT, "x"), holds(Aspect.VM_FOUND, Reason.VM_FOUND, "y")
        )
    ]

    assert found == sorted(found, key=list(Topic).index)


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        (-1, "has not looked at this ManagedVM"),
        (1, "generation 1 of the spec; generation 2 is not decided yet"),
    ],
)
def test_what_was_not_looked_at_is_said_before_what_is_over_can_read_as_the_present(observed, words):
    vm = managed_vm(status={"observedGeneration": observed})
    meta = vm.metadata.model_copy(update={"generation": 2})
    first, *_ = explain(vm.model_copy(update={"metadata": meta}), (), ())
    assert first.topic is Topic.UNSEEN
    assert words in first.text


@pytest.mark.parametrize(("observed", "code"), [(0, 2), (1, 0)])
def test_explain_ends_with_2_while_the_spec_as_it_is_was_not_decided_about(monkeypatch, observed, code):
    vm = managed_vm(status={"observedGeneration": observed})

    async def read(*_):
        return is_looked_at(vm), explain(vm, (), ())

    monkeypatch.setattr("managedvm.cli.explain._explain", read)
    assert CliRunner().invoke(app, ["explain", "kunde-a/web-01"]).exit_code == code


STRANGER = "somebody@else.example"
ASKED = {"decidedAt": NOW, "mayProceed": False, "explanation": "not on the list"}
RELEASED = {"releasedAt": NOW, "releasedBy": "chef@x", "explanation": "agreed"}


def asked(**status):
    return persons_request(STRANGER, kind="SupportQuestion", status={"state": "Held", **status})


def told(request, *decisions):
    return {s.about: s for s in explain_request(request, (), decisions)}


def test_a_request_tells_who_could_order_who_released_it_and_who_decided_what():
    release = request_decision("Release", "chef@x")
    found = told(asked(authority=ASKED, release=RELEASED), release)
    assert found["Authority"].text == (
        "May not be worked on: not on the list, decided at 2026-11-23T12:00:00Z"
    )
    assert found["Release"].text == "Released by chef@x at 2026-11-23T12:00:00Z: agreed"
    assert "Release by chef@x as Requester" in found[release.metadata.name].text
    assert {found[name].topic for name in ("Authority", "Release", release.metadata.name)} == {Topic.DECIDED}


def test_the_entry_by_which_somebody_could_order_is_named():
    entry = {"email": STRANGER, "from": "2026-01-01T00:00:00Z"}
    found = told(asked(authority={**ASKED, "mayProceed": True, "entry": entry}))
    assert (
        f"May be worked on: not on the list (entry {STRANGER} from 2026-01-01T00:00:00Z)"
        in found["Authority"].text
    )


def test_a_fault_of_somebody_who_may_not_order_is_told_as_what_it_is():
    authority = {**ASKED, "mayProceed": True, "mayOrder": False}
    found = told(asked(authority=authority))
    assert found["Authority"].text.startswith("May be worked on, but what is billed was not ordered: not on")


def test_when_somebody_called_is_told():
    called = persons_request(askedAt=NOW, channel="Phone")
    assert "through Phone at 2026-11-23T12:00:00Z: Ordered" in told(called)["helpdesk-1"].text


@pytest.mark.parametrize(
    ("reaction", "words"),
    [
        ({"isMissed": False}, "Awaited, due by 2026-11-23T12:00:00Z"),
        ({"isMissed": True}, "Missed, due by 2026-11-23T12:00:00Z"),
        ({"isMissed": False, "reactedAt": NOW}, "Somebody reacted at 2026-11-23T12:00:00Z, in time"),
        ({"isMissed": True, "reactedAt": NOW}, "Somebody reacted at 2026-11-23T12:00:00Z, too late"),
    ],
)
def test_the_reaction_clock_is_told(reaction, words):
    assert told(asked(reaction={"dueAt": NOW, **reaction}))["Reaction"].text.startswith(words)


@pytest.mark.parametrize(
    ("recovery", "words"),
    [
        ({"isMissed": False}, "Awaited, due by 2026-11-23T12:00:00Z"),
        ({"isMissed": True}, "Missed, due by 2026-11-23T12:00:00Z"),
        ({"isMissed": False, "recoveredAt": NOW}, "Mended at 2026-11-23T12:00:00Z, in time"),
        ({"isMissed": True, "recoveredAt": NOW}, "Mended at 2026-11-23T12:00:00Z, too late"),
    ],
)
def test_the_recovery_clock_of_a_fault_is_told(recovery, words):
    assert told(asked(recovery={"dueAt": NOW, **recovery}))["Recovery"].text.startswith(words)


def test_what_was_decided_stands_in_the_explanation_of_the_vm_too():
    request = asked(authority=ASKED)
    found = explain(managed_vm(), [request], (), [request_decision("Withdraw", STRANGER)])
    decided = [s for s in found if s.topic is Topic.DECIDED]
    assert [s.about for s in decided] == ["helpdesk-1 Authority", "helpdesk-1"]


def test_who_entered_a_record_for_somebody_else_is_named():
    release = request_decision("Release", "chef@x")
    noted = release.metadata.model_copy(update={"annotations": {APPLIED_BY: "t.technik@provider.example"}})
    entered = release.model_copy(update={"metadata": noted})
    found = told(asked(), entered)[release.metadata.name].text
    assert found.startswith("Release by chef@x (entered by t.technik@provider.example) as Requester")


def worked(reason=None, truth="False", **spec):
    """Return what is told of a piece of work that is judged so."""
    when = {"lastTransitionTime": NOW, "message": "on work-0 (clause 6.3)"}
    said = [{"type": "Accepted", "status": truth, "reason": reason, **when}] if reason else []
    work = work_entry(status={"conditions": said}, **spec)
    return next(s for s in explain(managed_vm(), [persons_request()], [work]) if s.about == "work-1")


def test_work_that_is_refused_says_why_it_is_not_billed():
    told_of = worked("Overlap")
    assert (told_of.topic, told_of.clause) == (Topic.REFUSED, "6.3")
    assert told_of.text.endswith("not billed. Overlap: on work-0")


def test_work_that_is_not_judged_yet_is_waiting():
    assert worked().topic is worked("WorkPending", "Unknown").topic is Topic.WAITING


def test_work_that_is_accepted_is_charged():
    charge = {"billing": "Effort", "clause": "6.3", "counted": "15m", "amount": "30.00", "currency": "EUR"}
    charge |= {"priceListRef": {"name": "standard"}, "explanation": "15m at 120.00"}
    work = work_entry(status={"charge": charge})
    told_of = next(s for s in explain(managed_vm(), [], [work]) if s.about == "work-1")
    assert (told_of.topic, told_of.clause) == (Topic.CHARGED, "6.3")
    assert "30.00 EUR (Effort): 15m at 120.00" in told_of.text
