"""Decision 0025: what we have shut down we start again, whatever is refused, and whatever becomes of the permission."""

from dataclasses import replace

import pytest

from managedvm.api.changerequest import RequestState
from managedvm.planning.actions import (
    EFFECTS,
    AdvanceRequest,
    ConfirmUnchanged,
    PowerOn,
    Reconfigure,
    RecordWork,
    ShutDownGuest,
)
from managedvm.planning.findings import Aspect
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import NO_PERMISSION, POWER_ON, RECONFIGURE, SHUT_DOWN, PowerState, TaskState
from managedvm.planning.reasons import Effect, Reason
from managedvm.planning.retry import LONGEST_REST, RETRY_AFTER
from tests import laws
from tests.factories import (
    at,
    change_request,
    claim,
    customer,
    managed_vm,
    minutes,
    observed,
    slip,
    task,
    vcenter_spec,
    virtual_machine,
)

BEGIN, END = at("2026-11-24T04:00"), at("2026-11-24T06:00")
SECOND = minutes(1 / 60)
WINDOW = {"begin": BEGIN, "end": END}
OFF = virtual_machine(power=PowerState.OFF, tools_running=False)


def wants(memory="8Gi", change="c-1", **spec):
    return managed_vm(
        resources={"memory": memory}, change=slip(change), **{"restartPolicy": "InWindow", **spec}
    )


def planned(vm, found, now):
    """Return a plan that keeps every law."""
    decided = plan(vm, found, now)
    laws.check(vm, found, now, decided)
    return decided


def kinds(decided) -> list[type]:
    return [type(action) for action in decided.actions]


def said(decided):
    (finding,) = (f for f in decided.findings if f.aspect is Aspect.RESOURCES_AS_AGREED)
    return finding


def asked(aspect="Memory", after="8Gi", **status):
    return change_request(aspect, after, **{"state": "InWork", "slot": WINDOW, "startedAt": BEGIN, **status})


def noted(cause, **more):
    """Return a request whose VM was started again without the change, a quarter of an hour after it was asked."""
    note = {"at": BEGIN + minutes(15), "cause": cause, "message": "vCenter has refused it: no"}
    return asked(interruption=note, **more)


def refusal(method, fault="no", **facts):
    """Return what the inventory shows of a call that vCenter refused at once."""
    return task(TaskState.ERROR, method=method, moref="", end=BEGIN + minutes(1), fault=fault, **facts)


# A change that is refused


@pytest.mark.parametrize("fault", [NO_PERMISSION, ""], ids=["may not", "at once"])
def test_a_change_that_is_refused_at_once_is_noted_and_the_vm_started(fault):
    found = replace(OFF, refused={RECONFIGURE: refusal(RECONFIGURE, fault)})
    decided = planned(wants(), observed(found, requests=[asked()]), BEGIN + minutes(2))
    note, start = decided.actions
    assert isinstance(start, PowerOn)
    assert (note.after.interruption.cause, note.after.state) == ("Refused", RequestState.IN_WORK)
    assert "vCenter has refused it" in note.after.interruption.message


def test_a_task_that_came_too_late_does_not_hide_a_refusal_that_followed():
    late = task(TaskState.ERROR, end=BEGIN, fault="ConcurrentAccess")
    found = replace(OFF, task=late, refused={RECONFIGURE: refusal(RECONFIGURE, NO_PERMISSION)})
    assert PowerOn in kinds(planned(wants(), observed(found, requests=[asked()]), BEGIN + minutes(2)))


def test_when_it_runs_again_the_request_ends_as_refused_with_the_words_of_vcenter():
    decided = planned(wants(), observed(requests=[noted("Refused")]), BEGIN + minutes(20))
    (end,) = decided.actions
    assert (end.after.state, end.finding.reason) == (RequestState.REFUSED, Reason.CHANGE_FAILED)
    assert "vCenter has refused it: no" in end.finding.message
    assert "Order again" in end.finding.message


def test_no_guest_is_shut_down_a_second_time_for_what_was_refused():
    used = noted("Refused").model_copy(update={"status": noted("Refused", state="Refused").status})
    for now in (BEGIN + minutes(20), END, BEGIN + minutes(24 * 60)):
        decided = planned(wants(), observed(requests=[used]), now)
        assert decided.actions == ()
        assert (said(decided).reason, said(decided).effect) == (Reason.ORDER_USED_UP, Effect.STALLED)
        assert "vCenter has refused it: no" in said(decided).message


def test_the_inventory_is_given_time_to_catch_up_with_a_note():
    soon = planned(wants(), observed(requests=[noted("Refused")]), BEGIN + minutes(15) + SECOND)
    assert (soon.actions, soon.next_check) == ((), BEGIN + minutes(15) + 10 * SECOND)


def test_what_was_stopped_by_something_else_waits_for_the_next_window():
    decided = planned(wants(), observed(requests=[noted("Stopped")]), BEGIN + minutes(20))
    (end,) = decided.actions
    assert (end.after.state, end.after.slot) == (RequestState.IN_WORK, None)
    later = planned(wants(), observed(requests=[noted("Stopped", slot=None)]), END)
    (planned_anew,) = later.actions
    assert planned_anew.after.slot.begin == at("2026-11-25T04:00")


def test_after_the_slot_a_vm_that_is_still_off_is_started_and_not_changed():
    decided = planned(wants(), observed(OFF, requests=[asked()]), END)
    assert kinds(decided) == [AdvanceRequest, PowerOn]


def test_a_refusal_that_came_hot_rests_longer_each_time():
    def again(many):
        refused = virtual_machine(
            memory_hot_add=True, refused={RECONFIGURE: refusal(RECONFIGURE, refusals=many)}
        )
        return planned(wants(), observed(refused, requests=[change_request()]), BEGIN + minutes(2)).next_check

    rests = [again(many) - BEGIN - minutes(1) for many in (0, 1, 2, 3, 99)]
    assert rests == [RETRY_AFTER, RETRY_AFTER, 2 * RETRY_AFTER, 4 * RETRY_AFTER, LONGEST_REST]


# A guest that vCenter does not ask


def test_of_a_guest_that_vcenter_did_not_ask_it_is_not_said_that_it_shuts_down():
    denied = virtual_machine(refused={SHUT_DOWN: refusal(SHUT_DOWN, NO_PERMISSION)})
    decided = planned(wants(), observed(denied, requests=[asked()]), BEGIN + minutes(2))
    assert (said(decided).reason, decided.actions) == (Reason.CHANGE_FAILED, ())
    assert "cannot be asked to shut down" in said(decided).message
    assert decided.next_check == BEGIN + minutes(1) + RETRY_AFTER
    again = planned(wants(), observed(denied, requests=[asked()]), BEGIN + minutes(1) + RETRY_AFTER)
    assert ShutDownGuest in kinds(again)


def test_at_the_end_of_the_slot_it_is_said_that_it_was_never_asked():
    denied = virtual_machine(refused={SHUT_DOWN: refusal(SHUT_DOWN, NO_PERMISSION)})
    decided = planned(wants(), observed(denied, requests=[asked()]), END)
    assert "could not be asked" in said(decided).message


# A VM that does not start with its change

MARK = {"managedvm.change.memory": asked().metadata.name}
CHANGED = replace(OFF, memory_mib=8192, notes={**OFF.notes, **MARK})
STUCK = replace(
    CHANGED, task=task(TaskState.ERROR, method=POWER_ON, end=BEGIN + minutes(1), fault="NoMemory")
)


def test_a_vm_that_does_not_start_with_its_change_gets_its_former_size():
    decided = planned(wants(), observed(STUCK, requests=[asked()]), BEGIN + minutes(2))
    assert kinds(decided) == [AdvanceRequest, ConfirmUnchanged, Reconfigure]
    note, _, former = decided.actions
    assert note.after.interruption.cause == "Refused"
    assert "NoMemory" in note.after.interruption.message
    assert (former.memory_mib, former.cpus) == (4096, None)
    assert former.notes["managedvm.change.memory"] == ""


def test_with_its_former_size_it_is_started_at_once():
    back = task(end=BEGIN + minutes(3), seen_at=BEGIN + minutes(3))
    again = replace(OFF, task=back, refused={POWER_ON: STUCK.task})
    decided = planned(wants(), observed(again, requests=[noted("Refused")], task=back), BEGIN + minutes(3))
    assert kinds(decided) == [PowerOn]


def test_a_change_that_cannot_be_undone_leaves_the_start_to_be_tried():
    both = {POWER_ON: STUCK.task, RECONFIGURE: refusal(RECONFIGURE, NO_PERMISSION)}
    stuck = replace(CHANGED, refused=both)
    soon = planned(wants(), observed(stuck, requests=[noted("Refused")]), BEGIN + minutes(2))
    assert (said(soon).reason, soon.actions) == (Reason.LEFT_POWERED_OFF, ())
    later = planned(wants(), observed(stuck, requests=[noted("Refused")]), BEGIN + minutes(1) + RETRY_AFTER)
    assert PowerOn in kinds(later)


def test_what_we_may_not_start_is_not_undone():
    may_not = replace(CHANGED, refused={POWER_ON: refusal(POWER_ON, NO_PERMISSION)})
    decided = planned(wants(), observed(may_not, requests=[asked()]), BEGIN + minutes(2))
    assert (said(decided).reason, decided.actions) == (Reason.LEFT_POWERED_OFF, ())


def test_a_disk_stays_grown_and_is_billed():
    disk = asked("Disk/system", "50Gi", before="40Gi")
    marks = {**MARK, "managedvm.change.disk.system": disk.metadata.name}
    both = replace(STUCK, notes={**STUCK.notes, **marks})
    decided = planned(wants(), observed(both, requests=[asked(), disk]), BEGIN + minutes(2))
    former = decided.actions[-1]
    assert (former.memory_mib, former.disks) == (4096, {})
    assert former.notes["managedvm.effort.disk.system"] == f"{disk.metadata.name} {disk.metadata.name}"
    assert "managedvm.change.disk.system" not in former.notes


def test_a_vm_that_starts_after_all_keeps_its_change_and_is_billed():
    running = replace(CHANGED, power=PowerState.ON)
    decided = planned(
        wants(), observed(running, requests=[noted("Refused")], task=task()), BEGIN + minutes(20)
    )
    assert kinds(decided) == [RecordWork, AdvanceRequest]


# Whatever becomes of the permission

LOST = {
    "in Observe mode": (wants(mode="Observe"), {}),
    "suspended": (wants(suspend=True), {}),
    "its Customer is gone": (wants(), {"customer": None}),
    "its namespace is the customer's no more": (wants(), {"customer": customer(["kunde-b"])}),
    "its grant is gone": (wants(), {"vcenter": vcenter_spec(grants=[])}),
    "the vCenter is for watching only": (wants(), {"vcenter": vcenter_spec(maximumMode="Observe")}),
    "an admission policy is missing": (wants(), {"missing_policies": ("managedvm-records",)}),
    "the ledger is not protected": (wants(), {"is_ledger": False}),
    "moved to another folder": (wants(), {"facts": replace(OFF, path="/Berlin/vm/x/web-01")}),
}


@pytest.mark.parametrize("case", LOST)
def test_within_its_slot_it_is_started_though(case):
    vm, read = LOST[case]
    found = observed(**{"facts": OFF, **read}, requests=[asked()])
    assert kinds(planned(vm, found, BEGIN + minutes(2))) == [PowerOn]


@pytest.mark.parametrize("case", LOST)
def test_after_its_slot_it_is_said_that_somebody_must_start_it_where(case):
    vm, read = LOST[case]
    decided = planned(vm, observed(**{"facts": OFF, **read}, requests=[asked()]), END)
    assert [a for a in decided.actions if isinstance(a, EFFECTS)] == []
    assert said(decided).reason is Reason.LEFT_POWERED_OFF


def test_a_vm_that_another_managed_vm_has_now_is_not_started_and_that_is_said():
    somebody = claim(namespace="kunde-b")
    read = {"claims": {somebody.metadata.name: somebody}, "own_claim": None}
    decided = planned(wants(), observed(OFF, requests=[asked()], **read), BEGIN + minutes(2))
    assert (said(decided).reason, decided.actions) == (Reason.LEFT_POWERED_OFF, ())


def test_while_it_is_off_its_bill_waits_for_the_start_also_when_suspended():
    found = observed(CHANGED, requests=[asked()], task=task())
    assert kinds(planned(wants(suspend=True), found, BEGIN + minutes(2))) == [PowerOn]


def test_what_the_customer_has_switched_off_stays_off_in_every_case():
    for vm, read in LOST.values():
        found = observed(**{"facts": OFF, **read}, requests=[change_request()])
        assert PowerOn not in kinds(planned(vm, found, BEGIN + minutes(2)))
