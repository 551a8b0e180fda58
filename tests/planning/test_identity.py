"""Clause 1: which VM is meant, and whose it is."""

from dataclasses import replace

import pytest

from managedvm.planning import identity
from managedvm.planning.actions import ClaimVM
from managedvm.planning.findings import Finding, Truth
from managedvm.planning.identity import (
    Identified,
    Sight,
    Sticky,
    is_granted,
    outlived,
    plan_claim,
    sticky_identity,
)
from managedvm.planning.names import claim_name
from managedvm.planning.observed import Unknown
from managedvm.planning.reasons import Effect, Reason
from tests.factories import (
    OTHER_UUID,
    PATH,
    VCENTER_UUID,
    VM_UUID,
    claim,
    managed_vm,
    vcenter_spec,
    virtual_machine,
)

VM = virtual_machine()
OTHER = virtual_machine(instance_uuid=OTHER_UUID)
BY_PATH = managed_vm()
BY_UUID = managed_vm(vm={"vCenterRef": {"name": "berlin"}, "instanceUUID": VM_UUID})
FOREIGN_PATH = "/Berlin/vm/kunde-b/web-01"
FOREIGN = virtual_machine(instance_uuid=OTHER_UUID, path=FOREIGN_PATH)
STICKY = Sticky(VCENTER_UUID, VM_UUID)


def sight(by_uuid=None, at_path=None, **more) -> Sight:
    return Sight(VCENTER_UUID, by_uuid, at_path, **more)


def identify(vm, sticky, seen, vcenter=None):
    return identity.identify(vm, sticky, seen, vcenter or vcenter_spec())


def reason(found) -> Reason:
    assert isinstance(found, Finding), f"{found} was identified"
    return found.reason


def test_a_path_is_resolved_once():
    assert identify(BY_PATH, None, sight(at_path=VM)) == Identified(VM, VCENTER_UUID)


def test_from_then_on_the_uuid_counts_also_where_the_vm_has_moved():
    moved = replace(VM, path="/Berlin/vm/kunde-a/archive/web-01")
    assert identify(BY_PATH, STICKY, sight(by_uuid=moved)) == Identified(moved, VCENTER_UUID)


def test_a_path_that_means_another_vm_later_freezes_everything():
    assert reason(identify(BY_PATH, STICKY, sight(by_uuid=VM, at_path=OTHER))) is Reason.IDENTITY_CHANGED
    assert reason(identify(BY_PATH, STICKY, sight(at_path=OTHER))) is Reason.IDENTITY_CHANGED


def test_another_vcenter_under_the_same_name_freezes_everything():
    assert reason(identify(BY_PATH, STICKY, Sight(OTHER_UUID, VM, VM))) is Reason.IDENTITY_CHANGED


def test_a_uuid_in_the_spec_that_is_not_the_vm_we_have_freezes_everything():
    had_other = Sticky(VCENTER_UUID, OTHER_UUID)
    assert reason(identify(BY_UUID, had_other, sight(by_uuid=OTHER))) is Reason.IDENTITY_CHANGED


def test_a_uuid_needs_no_path():
    assert identify(BY_UUID, None, sight(by_uuid=VM)) == Identified(VM, VCENTER_UUID)


def test_a_vm_is_missing_only_in_a_healthy_inventory():
    assert reason(identify(BY_PATH, None, sight())) is Reason.MISSING_VM
    assert reason(identify(BY_PATH, STICKY, sight())) is Reason.MISSING_VM


def test_an_inventory_that_cannot_be_read_concludes_nothing():
    found = identify(BY_PATH, STICKY, Unknown("connection refused"))
    assert isinstance(found, Finding)
    assert (found.reason, found.truth) == (Reason.VCENTER_UNREACHABLE, Truth.UNKNOWN)
    assert found.effect is Effect.RECONCILING
    assert "connection refused" in found.message


def test_a_vcenter_that_is_not_there_is_for_a_person():
    assert reason(identify(BY_PATH, None, None)) is Reason.VCENTER_UNKNOWN


def test_a_path_of_several_vms_names_none():
    assert reason(identify(BY_PATH, None, sight(path_is_ambiguous=True))) is Reason.AMBIGUOUS_PATH


def test_a_path_that_became_ambiguous_does_not_matter_any_more():
    assert identify(BY_PATH, STICKY, sight(by_uuid=VM, path_is_ambiguous=True)) == Identified(
        VM, VCENTER_UUID
    )


def test_a_template_is_no_vm():
    assert reason(identify(BY_PATH, None, sight(at_path=replace(VM, is_template=True)))) is Reason.IS_TEMPLATE


def test_of_a_vm_that_vcenter_has_lost_sight_of_nothing_is_concluded():
    found = identify(BY_PATH, STICKY, sight(by_uuid=replace(VM, connected=False)))
    assert isinstance(found, Finding)
    assert (found.reason, found.truth) == (Reason.VM_NOT_CONNECTED, Truth.UNKNOWN)


def test_the_claim_tells_the_identity_and_else_the_status():
    known = {
        "vm": {
            "instanceUUID": OTHER_UUID,
            "vCenterUUID": VCENTER_UUID,
            "inventoryPath": PATH,
            "powerState": "",
        }
    }
    assert sticky_identity(managed_vm(status=known), claim()) == STICKY
    assert sticky_identity(managed_vm(status=known), None) == Sticky(VCENTER_UUID, OTHER_UUID)
    assert sticky_identity(managed_vm(), None) is None


@pytest.mark.parametrize(
    ("path", "granted"),
    [
        (PATH, True),
        ("/Berlin/vm/kunde-a/deep/er/web-01", True),
        ("/Berlin/vm/kunde-a", False),
        ("/Berlin/vm/kunde-ab/web-01", False),
        ("/Hamburg/vm/kunde-a/web-01", False),
    ],
)
def test_a_grant_reaches_below_its_folder_only(path, granted):
    assert is_granted(vcenter_spec(), "kunde-a", path) is granted


def test_a_grant_is_for_its_namespace_only():
    assert not is_granted(vcenter_spec(), "kunde-b", PATH)


FOUND = Identified(VM, VCENTER_UUID)


def claimed(held, vm=None, *, may_act=True):
    finding, action = plan_claim(vm or managed_vm(), FOUND, held, may_act=may_act)
    return finding.reason, action


def test_the_own_claim_is_held():
    assert claimed(claim()) == (Reason.CLAIM_HELD, None)


def test_a_second_claim_is_a_conflict_in_the_same_namespace():
    assert claimed(claim(name="web-02")) == (Reason.CONFLICT, None)


def test_a_claim_of_another_customer_is_a_conflict_that_does_not_name_him():
    finding, action = plan_claim(managed_vm(), FOUND, claim(namespace="kunde-b", name="secret"), may_act=True)
    assert (finding.reason, action) == (Reason.CONFLICT, None)
    assert "secret" not in finding.message
    assert "kunde-b" not in finding.message


def test_a_conflict_is_told_also_where_nothing_would_be_done():
    assert claimed(claim(name="web-02"), may_act=False) == (Reason.CONFLICT, None)


def test_where_nothing_is_done_nothing_is_claimed():
    assert claimed(None, may_act=False) == (Reason.CLAIM_NOT_NEEDED, None)


def test_a_claim_is_named_after_the_vm_and_says_whose_it_is():
    found, action = claimed(None)
    assert found is Reason.CLAIM_PENDING
    assert isinstance(action, ClaimVM)
    assert action.body["metadata"] == {"name": claim_name(VCENTER_UUID, VM_UUID)}
    assert action.body["spec"] == {
        "vCenterUUID": VCENTER_UUID,
        "instanceUUID": VM_UUID,
        "owner": {"namespace": "kunde-a", "name": "web-01", "uid": "uid-web-01"},
    }


NAMES_FOREIGN = managed_vm(vm={"vCenterRef": {"name": "berlin"}, "inventoryPath": FOREIGN_PATH})
GUESSES_UUID = managed_vm(vm={"vCenterRef": {"name": "berlin"}, "instanceUUID": OTHER_UUID})


@pytest.mark.parametrize(
    "there",
    [
        sight(by_uuid=FOREIGN, at_path=FOREIGN),
        sight(by_uuid=replace(FOREIGN, is_template=True), at_path=replace(FOREIGN, is_template=True)),
        sight(by_uuid=replace(FOREIGN, connected=False), at_path=replace(FOREIGN, connected=False)),
        sight(path_is_ambiguous=True),
        sight(),
    ],
    ids=["a VM", "a template", "a VM out of sight", "several", "nothing"],
)
@pytest.mark.parametrize("vm", [NAMES_FOREIGN, GUESSES_UUID], ids=["by path", "by UUID"])
def test_who_guesses_hears_the_same_whatever_is_there(vm, there):
    assert identify(vm, None, there) == identify(vm, None, sight())
    assert reason(identify(vm, None, there)) is Reason.NOT_GRANTED


def test_who_guesses_a_uuid_hears_the_same_while_some_vms_cannot_be_read():
    unread = replace(sight(), unidentified=3)
    assert identify(GUESSES_UUID, None, replace(unread, by_uuid=FOREIGN)) == identify(
        GUESSES_UUID, None, unread
    )


@pytest.mark.parametrize("away", [Unknown("vcenter-7.intern.example: connection refused"), sight(by_uuid=VM)])
def test_a_namespace_without_any_grant_hears_nothing_of_the_vcenter(away):
    found = identify(BY_UUID, None, away, vcenter_spec(grants=[]))
    assert reason(found) is Reason.NOT_GRANTED
    assert "intern" not in found.message


def test_what_is_at_a_path_that_was_given_to_somebody_else_is_not_looked_at():
    moved = replace(VM, path="/Berlin/vm/kunde-a-new/web-01")
    granted = vcenter_spec(grants=[{"namespace": "kunde-a", "folder": "/Berlin/vm/kunde-a-new"}])
    stranger = replace(FOREIGN, path=PATH)
    assert identify(BY_PATH, STICKY, sight(by_uuid=moved, at_path=stranger), granted) == Identified(
        moved, VCENTER_UUID
    )


def test_a_vm_that_has_left_the_grants_is_not_talked_about():
    gone = replace(VM, path="/Berlin/vm/kunde-b/web-01", is_template=True)
    found = identify(BY_PATH, STICKY, sight(by_uuid=gone))
    assert reason(found) is Reason.NOT_GRANTED
    assert VM_UUID not in found.message


def test_a_vm_that_may_be_among_those_that_cannot_be_read_is_not_missing():
    found = identify(BY_PATH, None, replace(sight(), unidentified=2))
    assert (reason(found), found.truth) == (Reason.VCENTER_UNREACHABLE, Truth.UNKNOWN)
    assert "2 VMs cannot be read" in found.message


LEFT = claim(OTHER_UUID, uid="uid-of-an-earlier-object")


def freed(vm=None, held=(LEFT,), seen=None, vcenter=None):
    at_path = sight(by_uuid=OTHER, at_path=VM)
    return outlived(vm or BY_PATH, held, seen or at_path, vcenter or vcenter_spec())


def test_a_claim_that_an_earlier_object_of_the_name_left_is_outlived_by_one_that_means_another_vm():
    assert freed() == (LEFT,)
    assert freed(BY_UUID, seen=sight(by_uuid=VM)) == (LEFT,)


def test_a_claim_to_the_same_vm_is_never_outlived():
    assert freed(seen=sight(by_uuid=OTHER, at_path=replace(OTHER, path=PATH))) == ()
    assert freed(seen=replace(sight(at_path=replace(OTHER, path=PATH)), vcenter_uuid=VM_UUID)) == ()


@pytest.mark.parametrize(
    "doubt",
    [
        {"held": (claim(OTHER_UUID, uid="uid-web-01"),)},
        {"held": (claim(OTHER_UUID),)},
        {"seen": sight(by_uuid=OTHER)},
        {"seen": Unknown("connection refused")},
        {"seen": replace(sight(at_path=VM), expected_vcenter=OTHER_UUID)},
        {"vcenter": vcenter_spec(grants=[])},
        {
            "vm": managed_vm(
                status={
                    "vm": {
                        "instanceUUID": VM_UUID,
                        "vCenterUUID": VCENTER_UUID,
                        "inventoryPath": PATH,
                        "powerState": "",
                    }
                }
            )
        },
    ],
    ids=["own", "unknown maker", "nothing there", "unseen", "another vCenter", "no grant", "known before"],
)
def test_in_doubt_no_claim_is_outlived(doubt):
    assert freed(**doubt) == ()
