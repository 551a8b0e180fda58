"""Clause 1, over several passes: which VM was meant is remembered while it may not be looked at, and none takes its place."""

from dataclasses import replace

import pytest

from managedvm.api.managedvm import VMStatus
from managedvm.planning.findings import Aspect
from managedvm.planning.identity import Sight
from managedvm.planning.managedvm import plan
from managedvm.planning.reasons import Reason
from managedvm.planning.targets import size_of
from tests import laws
from tests.factories import (
    NOW,
    OTHER_UUID,
    VCENTER_UUID,
    VM_UUID,
    claim,
    managed_vm,
    observed,
    slip,
    virtual_machine,
)


def planned(vm, found):
    """Return a plan that keeps every law."""
    decided = plan(vm, found, NOW)
    laws.check(vm, found, NOW, decided)
    return decided


def reason(decided, aspect) -> Reason:
    return next(finding.reason for finding in decided.findings if finding.aspect is aspect)


def test_of_somebody_elses_vm_status_says_no_more_than_which_one_it_was():
    vm = managed_vm().model_copy(update={"status": planned(managed_vm(), observed()).status})
    somebody = {claim().metadata.name: claim(namespace="kunde-b")}
    known = planned(vm, observed(claims=somebody, own_claim=None)).status.vm
    assert known == VMStatus(instance_uuid=VM_UUID, v_center_uuid=VCENTER_UUID)
    assert planned(managed_vm(), observed(claims=somebody, own_claim=None)).status.vm is None


MOVED_AWAY = replace(virtual_machine(), path="/Berlin/vm/archive/web-01")
IN_ITS_PLACE = virtual_machine(instance_uuid=OTHER_UUID, moref="vm-2", has_baseline=False)


@pytest.mark.parametrize(
    ("held", "first_seen"),
    [
        (claim(uid="uid-of-an-earlier-object"), virtual_machine()),
        (claim(uid="uid-of-an-earlier-object"), None),
        (claim(uid="uid-web-01"), virtual_machine()),
        (None, virtual_machine()),
    ],
    ids=["made again", "made again and not seen yet", "with its own claim", "that only observes"],
)
def test_a_vm_that_left_its_folder_is_not_exchanged_for_one_that_takes_its_place(held, first_seen):
    claims = {held.metadata.name: held} if held else {}
    read = {"own_claim": held, "held": tuple(claims.values()), "claims": claims}
    vm = managed_vm(mode="Enforce" if held else "Observe", resources={"cpus": 4}, change=slip())
    if first_seen is not None:
        vm = vm.model_copy(update={"status": planned(vm, observed(first_seen, **read)).status})
    away = planned(vm, observed(MOVED_AWAY, sight=Sight(VCENTER_UUID, MOVED_AWAY, None), **read))
    assert reason(away, Aspect.CLAIMED) is Reason.NOT_GRANTED
    assert away.status.vm == VMStatus(instance_uuid=VM_UUID, v_center_uuid=VCENTER_UUID)

    vm = vm.model_copy(update={"status": away.status})
    replaced = Sight(VCENTER_UUID, MOVED_AWAY, IN_ITS_PLACE)
    later = planned(vm, observed(MOVED_AWAY, **{**read, "sight": replaced, "claims": {}}))
    assert reason(later, Aspect.VM_FOUND) is Reason.IDENTITY_CHANGED
    assert later.actions == ()


def test_the_size_agreed_for_one_vm_is_never_that_of_another():
    seen = planned(managed_vm(), observed(virtual_machine(cpus=8))).status
    other = claim(OTHER_UUID)
    read = {"own_claim": other, "claims": {other.metadata.name: other}}
    vm = managed_vm().model_copy(update={"status": seen})
    decided = planned(vm, observed(IN_ITS_PLACE, **read))
    assert decided.status.configuration is not None
    assert decided.status.configuration.baseline == size_of(IN_ITS_PLACE)
