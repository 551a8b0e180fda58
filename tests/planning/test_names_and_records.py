"""Names that are the same for every replica and after every crash, and the records that carry them."""

import re
from itertools import product
from zoneinfo import ZoneInfo

from managedvm.api.base import APPLIED_BY
from managedvm.api.changerequest import (
    ChangeRequest,
    ChangeRequestStatus,
    RequestedChange,
    RequestedVM,
    RequestKind,
    RequestState,
)
from managedvm.api.managedvm import Change
from managedvm.api.pricelist import AutomatedWork
from managedvm.api.workentry import MOST_REVERSALS, WorkEntry
from managedvm.planning.charges import automated_charge
from managedvm.planning.claims import plan as plan_claim
from managedvm.planning.names import (
    change_request_name,
    claim_name,
    persons_work_name,
    reversal_name,
    reversal_names,
    work_entry_name,
)
from managedvm.planning.records import advanced, assess, change_request, counter_entry, work_entry
from tests.factories import (
    NOW,
    REQUESTER,
    VCENTER_UUID,
    VM_UUID,
    claim,
    managed_vm,
    minutes,
    price_book,
    rate,
    request_name,
    slip,
    task,
)
from tests.factories import change_request as recorded_request
from tests.factories import work_entry as recorded_work

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def test_a_request_is_named_after_the_vm_the_slip_and_the_aspect_and_nothing_else():
    parts = list(
        product(("vc-1", "vc-2"), ("vm-1", "vm-2"), ("c-1", "c-2"), ("CPUs", "Memory", "Disk/a", "Disk/b"))
    )
    names = {change_request_name(*part) for part in parts}
    assert len(names) == len(parts)


def test_parts_that_read_the_same_when_joined_have_different_names():
    assert change_request_name("a", "bc", "d", "CPUs") != change_request_name("ab", "c", "d", "CPUs")
    assert claim_name("a", "bc") != claim_name("ab", "c")


def test_every_name_may_be_the_name_of_an_object():
    names = (
        request_name("x" * 63, f"Disk/{'y' * 32}"),
        claim_name(VCENTER_UUID, VM_UUID),
        work_entry_name(request_name()),
    )
    for name in names:
        assert DNS_LABEL.fullmatch(name)
        assert len(name) <= 63


def test_a_name_stays_what_it_was():
    # A name that changed with a version of the operator would bill everything again.
    assert request_name("c-1", "Memory") == "op-memory-m5dencryvtvnggo6yshngzr27i"
    assert claim_name(VCENTER_UUID, VM_UUID) == "vm-yjlaujpej45qm66huzy6ivmyfo"
    assert work_entry_name("op-cpus-abc") == "op-cpus-abc-work"


def test_a_change_request_says_who_asked_who_applied_and_what():
    vm = managed_vm(annotations={APPLIED_BY: "pipeline"})
    change = RequestedChange(id="c-1", aspect="Memory", before="4Gi", after="8Gi")
    body = change_request(
        "op-x",
        vm,
        Change.model_validate(slip(ticket="4711")),
        of=RequestedVM(v_center_uuid=VCENTER_UUID, instance_uuid=VM_UUID),
        change=change,
    )
    spec = ChangeRequest.of(body).spec
    assert (spec.requested_by, spec.applied_by, spec.ticket) == (REQUESTER, "pipeline", "4711")
    assert (spec.managed_vm_ref.name, spec.origin, spec.channel) == ("web-01", "Operator", "Git")
    assert spec.change == change
    assert body["metadata"] == {"namespace": "kunde-a", "name": "op-x"}


def test_a_work_entry_carries_the_times_of_the_task_and_its_price():
    request = recorded_request()
    done = task(end=NOW)
    charge = automated_charge(price_book(rate(hourly=12000)), NOW - minutes(20), NOW)
    entry = WorkEntry.of(
        work_entry(request, "Memory set to 8Gi", begin=NOW - minutes(20), end=NOW, task=done, charge=charge)
    )
    assert entry.metadata.name == f"{request.metadata.name}-work"
    assert (entry.spec.begin, entry.spec.end) == (NOW - minutes(20), NOW)
    assert entry.spec.evidence is not None
    assert entry.spec.evidence.task == "task-7"
    assert entry.spec.charge is not None
    assert (entry.spec.charge.amount, entry.spec.charge.currency) == ("60.00", "EUR")
    assert entry.spec.charge.counted == minutes(30)
    assert entry.spec.charge.clause == "6.3"


def test_automated_work_may_be_free_and_says_so():
    charge = automated_charge(price_book(automated_work=AutomatedWork.FREE), NOW, NOW)
    assert (charge.amount, charge.lines) == ("0.00", ())
    assert "free" in charge.explanation


def test_an_assessment_cites_the_clause():
    found = assess(RequestKind.CONFIGURATION_CHANGE, NOW)
    assert (found.clause, found.billing, found.assessed_at) == ("6.3", "Effort", NOW)


def test_an_advance_keeps_what_it_does_not_name():
    before = ChangeRequestStatus(assessment=assess(RequestKind.CONFIGURATION_CHANGE, NOW))
    after = advanced(before, RequestState.HELD)
    assert (after.state, after.assessment) == (RequestState.HELD, before.assessment)


def test_a_claim_is_released_when_its_owner_is_gone_and_only_the_one_that_was_seen():
    held = claim()
    action = plan_claim(held, owner_exists=False)
    assert action is not None
    assert (action.name, action.uid) == (held.metadata.name, held.metadata.uid)
    assert plan_claim(held, owner_exists=True) is None


class TestWorkOfPeople:
    BEGIN = NOW - minutes(20)

    def test_the_same_work_has_one_name_and_other_work_another(self):
        same = persons_work_name("helpdesk-1", "t@x", self.BEGIN)
        assert same == persons_work_name(
            "helpdesk-1", "t@x", self.BEGIN.astimezone(ZoneInfo("Europe/Berlin"))
        )
        others = [
            persons_work_name("helpdesk-2", "t@x", self.BEGIN),
            persons_work_name("helpdesk-1", "u@x", self.BEGIN),
            persons_work_name("helpdesk-1", "t@x", NOW),
            persons_work_name("helpdesk-1", "t@x", self.BEGIN, 2),
        ]
        assert len({same, *others}) == 5
        assert len(persons_work_name("r" * 253, "t@x", NOW)) <= 253 - len(reversal_name("", MOST_REVERSALS))

    def test_a_counter_entry_is_named_after_what_it_takes_back(self):
        body = counter_entry(recorded_work(), "t@x", NOW, "Typed 50 for 20")
        assert body["metadata"] == {"namespace": "kunde-a", "name": "reversal-of-work-1"}
        assert body["spec"]["reverses"] == {"name": "work-1"}
        again = counter_entry(recorded_work(), "t@x", NOW, "Typed 50 for 20", 2)
        assert again["metadata"]["name"] == "reversal-2-of-work-1"
        assert [*reversal_names("work-1")][:2] == ["reversal-of-work-1", "reversal-2-of-work-1"]
        assert "end" not in body["spec"]
        assert "minutes" not in body["spec"]
