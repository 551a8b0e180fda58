"""Clause 1: one package per VM, and only for the VM that it is attached to: identity, claims, grants."""

import pytest

from lab import wait_until
from tests.api.bodies import custom
from tests.api.server import assert_done
from tests.world.stage import PATIENCE

pytestmark = pytest.mark.lab

MORE = {"memory": "8Gi"}


def claims_of(party):
    """Return the claims that ManagedVMs of this customer hold, by the name of the ManagedVM."""
    found = party.stage.api.list(custom("VMClaim", "", None, {}))
    return {
        claim["spec"]["owner"]["name"]: claim
        for claim in found
        if claim["spec"]["owner"]["namespace"] == party.namespace
    }


def at(vm):
    """Return the field `vm` of a spec that names the VM of another ManagedVM."""
    return {"vCenterRef": {"name": vm.party.stage.name}, "inventoryPath": f"/Berlin/vm/{vm.path}"}


def test_a_vm_is_claimed_by_its_identity(party):
    vm = party.vm().settled()
    vm.until("Claimed", status="True", reason="ClaimHeld")
    spec = claims_of(party)["web-01"]["spec"]
    assert spec["instanceUUID"] == vm.facts["instanceUuid"] == vm.status["vm"]["instanceUUID"]
    assert spec["vCenterUUID"] == party.stage.object()["status"]["instanceUUID"]


def test_a_second_managed_vm_for_a_vm_is_a_conflict_and_does_nothing(party):
    first = party.vm().settled()
    second = party.declare(
        "rival",
        vm=at(first),
        resources=MORE,
        orders=[{**first.body["spec"]["orders"][0], "serviceLevel": "premium"}],
    )
    second.path = first.path
    said = second.until("Claimed", status="False", reason="Conflict")
    assert "web-01" in said["message"]
    assert "clause 1" in said["message"]
    second.order("mine", resources={"memory": "16Gi"})
    second.assert_left_alone()
    assert second.requests() == []
    assert "vm" not in second.status
    assert first.facts["haOverride"]["restartPriority"] == "medium"
    assert set(claims_of(party)) == {"web-01"}


def test_a_conflict_is_found_under_whatever_name_the_vm_is_given(party):
    first = party.vm().settled()
    where = {"vCenterRef": {"name": party.stage.name}, "instanceUUID": first.status["vm"]["instanceUUID"]}
    second = party.declare("rival", vm=where)
    second.until("Claimed", status="False", reason="Conflict")
    assert set(claims_of(party)) == {"web-01"}


def test_a_conflict_with_a_stranger_does_not_say_who_it_is(party, stage):
    first = party.vm().settled()
    other = stage.party()
    try:
        stage.allow(
            grants=[*stage.object()["spec"]["grants"], {"namespace": other.namespace, "folder": party.folder}]
        )
        said = other.declare("rival", vm=at(first)).until("Claimed", status="False", reason="Conflict")
        assert party.namespace not in said["message"]
        assert "web-01" not in said["message"]
    finally:
        other.close()
        other.revoke()


def test_a_claim_is_released_with_its_managed_vm_and_taken_by_the_next(party):
    first = party.vm().settled()
    second = party.declare("heir", vm=at(first))
    second.until("Claimed", status="False", reason="Conflict")
    first.delete()
    second.settled()
    assert set(claims_of(party)) == {"heir"}


def test_a_name_that_was_given_to_another_vm_while_nobody_looked_lets_the_first_one_go(party, replica):
    first = party.vm().settled()
    was = claims_of(party)["web-01"]["spec"]["instanceUUID"]
    party.machine("web-02")
    replica.stop()
    try:
        first.delete()
        party.declare("web-01", vm={**at(first), "inventoryPath": f"{party.folder}/web-02"})
    finally:
        replica.start()
    again = party.declare("heir", vm=at(first)).settled()
    assert claims_of(party)["heir"]["spec"]["instanceUUID"] == was == again.status["vm"]["instanceUUID"]
    first.settled()
    assert first.status["vm"]["inventoryPath"] == f"{party.folder}/web-02"
    assert set(claims_of(party)) == {"web-01", "heir"}


def test_a_managed_vm_that_was_made_again_for_the_same_vm_keeps_its_claim(party, replica):
    vm = party.vm().settled()
    before = claims_of(party)["web-01"]
    replica.stop()
    try:
        vm.delete()
        party.declare("web-01")
    finally:
        replica.start()
    vm.settled()
    assert claims_of(party)["web-01"] == before
    assert before["spec"]["owner"]["uid"] != vm.body["metadata"]["uid"]


def test_a_finalizer_of_somebodys_prolongs_no_claim(party):
    first = party.vm().settled()
    assert_done(first.api.patch(first.named, {"metadata": {"finalizers": ["example.com/hold"]}}))
    second = party.declare("heir", vm=at(first))
    second.until("Claimed", status="False", reason="Conflict")
    first.patch(deletionProtection=False)
    assert_done(first.api.delete(first.named))
    second.settled()
    assert set(claims_of(party)) == {"heir"}
    said = first.until("Ready", status="False", reason="BeingDeleted")
    assert "example.com/hold" in said["message"]
    assert_done(first.api.patch(first.named, {"metadata": {"finalizers": []}}))


def test_who_guesses_a_uuid_learns_nothing(party, stage):
    other = stage.party()
    try:
        theirs = other.vm().settled()
        guessed = {"vCenterRef": {"name": stage.name}, "instanceUUID": theirs.status["vm"]["instanceUUID"]}
        wrong = {**guessed, "instanceUUID": "42000000-0000-4000-8000-00000000beef"}
        said = [
            party.declare(name, vm=where)
            .until("Claimed", status="False", reason="NotGranted")["message"]
            .replace(where["instanceUUID"], "UUID")
            for name, where in (("right", guessed), ("wrong", wrong))
        ]
        assert said[0] == said[1]
    finally:
        other.close()


def test_deleting_a_managed_vm_never_touches_the_vm(party):
    vm = party.vm().settled()
    before, done = vm.facts, vm.done_to_vm()
    vm.delete()
    wait_until(lambda: not claims_of(party), "the release of the claim", seconds=PATIENCE)
    assert vm.facts == before
    assert vm.done_to_vm() == done


def test_a_vm_outside_the_granted_folders_is_not_touched(party, stage):
    other = stage.party()
    try:
        theirs = other.machine("web-01")
        vm = party.declare(
            "theirs", vm={"vCenterRef": {"name": stage.name}, "inventoryPath": f"/Berlin/vm/{theirs}"}
        )
        vm.path = theirs
        said = vm.until("Claimed", status="False", reason="NotGranted")
        assert "clause 1" in said["message"]
        assert "vm" not in vm.status
        vm.order("mine", resources=MORE)
        vm.assert_never_touched()
        assert claims_of(party) == {}
    finally:
        other.close()


def test_a_folder_whose_name_only_begins_alike_is_not_granted(party, stage):
    path = f"{party.namespace}-2/web-01"
    stage.vcenter.create_vm(path=path, cluster="cluster-1")
    party.machines.add(path)
    vm = party.declare(
        "alike", vm={"vCenterRef": {"name": stage.name}, "inventoryPath": f"/Berlin/vm/{path}"}
    )
    vm.path = path
    vm.until("Claimed", status="False", reason="NotGranted")
    vm.assert_never_touched()


def test_a_grant_that_is_taken_away_ends_all_work_until_it_is_given_again(party, stage):
    vm = party.vm().settled()
    party.revoke()
    vm.until("Claimed", status="False", reason="NotGranted")
    stage.vcenter.ha_override(vm.path, restartPriority="low")
    vm.assert_left_alone()
    assert vm.facts["haOverride"]["restartPriority"] == "low"
    party.grant()
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


def test_a_vm_that_is_renamed_is_followed(party):
    vm = party.vm().settled()
    claim = claims_of(party)["web-01"]["metadata"]["uid"]
    rename(vm, "web-99")
    vm.shows(lambda status: status["vm"]["inventoryPath"].endswith("/web-99"), "the new name")
    vm.until("Claimed", status="True")
    vm.party.stage.vcenter.ha_override(vm.path, restartPriority="low")
    wait_until(lambda: vm.facts["haOverride"]["restartPriority"] == "medium", "the repair", seconds=PATIENCE)
    assert claims_of(party)["web-01"]["metadata"]["uid"] == claim


def rename(vm, name):
    vm.shake(rename=name)
    vm.party.machines.discard(vm.path)
    vm.path = f"{vm.party.namespace}/{name}"
    vm.party.machines.add(vm.path)


def test_a_vm_that_is_moved_is_followed_as_far_as_the_grant_reaches(party, stage):
    vm = party.vm().settled()
    vm.shake(moveTo=f"{party.namespace}/inner")
    vm.path = f"{party.namespace}/inner/web-01"
    vm.shows(lambda status: status["vm"]["inventoryPath"].endswith("/inner/web-01"), "the new folder")
    vm.until("Claimed", status="True")
    vm.shake(moveTo="nobodys")
    vm.path = "nobodys/web-01"
    party.machines.add(vm.path)
    vm.until("Claimed", status="False", reason="NotGranted")
    stage.vcenter.ha_override(vm.path, restartPriority="low")
    vm.assert_left_alone()
    assert set(claims_of(party)) == {"web-01"}


def test_a_vm_that_left_its_folder_is_not_exchanged_for_one_that_takes_its_place(party, replica):
    vm = party.vm().settled()
    identity = vm.status["vm"]["instanceUUID"]
    replica.stop()
    try:
        vm.delete()
        party.declare("web-01")
        vm.shake(moveTo="nobodys")
        party.machines.add("nobodys/web-01")
    finally:
        replica.start()
    vm.until("Claimed", status="False", reason="NotGranted")
    vm.path = party.machine("web-new")
    rename(vm, "web-01")
    said = vm.until("VMFound", status="False", reason="IdentityChanged")
    assert "clause 1" in said["message"]
    assert vm.status["vm"] == {"instanceUUID": identity, "vCenterUUID": vm.status["vm"]["vCenterUUID"]}
    vm.assert_left_alone()
    assert vm.facts["haOverride"] is None
    assert set(claims_of(party)) == {"web-01"}


def test_a_path_that_means_another_vm_now_freezes_everything(party, stage):
    vm = party.vm().settled()
    identity = vm.status["vm"]["instanceUUID"]
    rename(vm, "web-old")
    impostor = party.machine("web-new")
    stage.vcenter.vm(impostor, rename="web-01")
    party.machines.add(f"{party.namespace}/web-01")
    said = vm.until("VMFound", status="False", reason="IdentityChanged")
    assert "clause 1" in said["message"]
    vm.order("more", resources=MORE)
    for path in (vm.path, f"{party.namespace}/web-01"):
        stage.vcenter.ha_override(path, restartPriority="low")
        vm.path = path
        vm.assert_left_alone()
    assert vm.requests() == []
    assert vm.status["vm"]["instanceUUID"] == identity
    stage.vcenter.delete_vm(f"{party.namespace}/web-01")
    vm.path = f"{party.namespace}/web-old"
    vm.look_again()
    vm.until("VMFound", status="True")
    vm.request("Memory", "Done")


def test_a_vm_that_is_gone_is_missing_and_its_claim_stays(party, stage):
    vm = party.vm().settled()
    identity = vm.status["vm"]
    stage.vcenter.delete_vm(vm.path)
    said = vm.until("VMFound", status="False", reason="MissingVM")
    assert "healthy" in said["message"]
    vm.until("Ready", status="False", reason="MissingVM")
    assert set(claims_of(party)) == {"web-01"}
    assert vm.status["vm"] == identity
    party.machine("web-01")
    vm.settled()


def test_a_vm_that_never_was_is_missing(party):
    vm = party.declare("ghost")
    vm.until("VMFound", status="False", reason="MissingVM")
    assert claims_of(party) == {}
    party.machine("ghost")
    vm.settled()


def test_a_template_is_no_vm(party, stage):
    path = party.machine("golden", poweredOn=False)
    stage.vcenter.vm(path, template=True)
    vm = party.declare("golden")
    vm.until("VMFound", status="False", reason="IsTemplate")
    vm.assert_never_touched()
    stage.vcenter.vm(path, template=False)
    vm.until("VMFound", status="True")
    vm.until("Claimed", status="True")


def test_of_a_vm_that_vcenter_has_lost_sight_of_nothing_is_concluded(party):
    vm = party.vm().settled()
    vm.shake(connection="inaccessible")
    vm.until("VMFound", status="Unknown", reason="VMNotConnected")
    vm.order("more", resources=MORE)
    vm.assert_left_alone()
    assert vm.requests() == []
    vm.shake(connection="connected")
    vm.request("Memory", "Done")


def test_an_unknown_vcenter_is_told(party):
    vm = party.declare("lost", vm={"vCenterRef": {"name": "nowhere"}, "inventoryPath": "/Berlin/vm/x/y"})
    vm.until("VMFound", status="False", reason="VCenterUnknown")
