"""`explain`: every line stands under its topic and names its clause."""

from managedvm.planning.explanation import Topic, explain
from managedvm.planning.findings import Aspect, Reason, fails, holds
from managedvm.report import reported
from tests.factories import NOW, managed_vm


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
