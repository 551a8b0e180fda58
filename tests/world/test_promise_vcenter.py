"""What the operator may not know or do, it says: nothing is concluded about a vCenter that is away, wrong or forbidden."""

import json
import uuid

import pytest

from lab import pki, wait_until
from lab.install import NAMESPACE
from tests.api.bodies import custom
from tests.api.server import assert_done
from tests.world.simulated import ADMINISTRATOR, PASSWORDS, READER, keep_credentials
from tests.world.stage import PATIENCE, Stage

pytestmark = pytest.mark.lab

MORE = {"memory": "8Gi"}
ROTATED_WITHIN = 60.0
"""Seconds in which other credentials are taken up."""


@pytest.fixture(scope="module")
def vcenters(stage, kube, simulator):
    """Make VCenter objects of this module at one simulator: `vcenters(username=...)`, or without a Secret."""
    made = []

    def make(*, with_secret=True, **values):
        name = f"vcenter-{uuid.uuid4().hex[:8]}"
        if with_secret:
            keep_credentials(kube, name, simulator, **values)
        server = {"server": f"127.0.0.1:{simulator.port}", "credentialsSecretRef": {"name": name}}
        spec = {**server, "maximumMode": "Enforce", "clusterSettings": "Enforce", "grants": []}
        body = custom("VCenter", name, None, spec)
        assert_done(stage.api.create(body))
        made.append(body)
        return Stage(stage.api, simulator.admin, name)

    yield make
    for body in made:
        assert_done(stage.api.delete(body))
        kube.delete("secret", body["metadata"]["name"], namespace=NAMESPACE)


def test_while_a_vcenter_is_away_nothing_is_concluded_and_all_goes_on_afterwards(guest_party, elsewhere):
    here, gone = guest_party.vm("here-01").settled(), guest_party.vm("gone-01").settled()
    elsewhere.vcenter.fault("refuse")
    elsewhere.until("Connected", status="Unknown", reason="VCenterUnreachable")
    elsewhere.vcenter.delete_vm(gone.path)
    elsewhere.vcenter.ha_override(here.path, restartPriority="low")
    here.order("more", resources=MORE)
    here.assert_left_alone()
    gone.look_again()
    for vm in (here, gone):
        said = vm.until("VMFound", status="Unknown", reason="VCenterUnreachable")
        assert "nothing is concluded" in said["message"]
        vm.until("Ready", status="Unknown", reason="VCenterUnreachable")
        vm.until("HighAvailabilityConfigured", status="True")
        assert vm.status["vm"]["powerState"] == "PoweredOn"
    assert here.requests() == []

    elsewhere.vcenter.clear_faults()

    elsewhere.until("Connected", status="True")
    gone.until("VMFound", status="False", reason="MissingVM")
    here.request("Memory", "Done")
    here.settled()
    assert here.facts["haOverride"]["restartPriority"] == "medium"
    assert len(here.work()) == 1


def test_sessions_that_vcenter_ends_are_begun_again_without_a_word(guest_party, elsewhere):
    vm = guest_party.vm().settled()
    since = vm.until("VMFound", status="True")["lastTransitionTime"]
    elsewhere.vcenter.fault("expire-sessions")
    elsewhere.vcenter.ha_override(vm.path, restartPriority="low")
    wait_until(lambda: vm.facts["haOverride"]["restartPriority"] == "medium", "the repair", seconds=PATIENCE)
    assert vm.until("VMFound", status="True")["lastTransitionTime"] == since
    assert elsewhere.vcenter.calls()["sessions"] <= 2 * len(
        elsewhere.api.list(custom("VCenter", "", None, {}))
    )


def test_an_account_without_the_privilege_is_told_which_one_is_missing(vcenters):
    reader = vcenters(username=READER, password=PASSWORDS[READER])
    party = reader.party()
    try:
        vm = party.vm()
        said = vm.until("ChangesPermitted", status="False", reason="NoPermission")
        assert "Host.Inventory.EditCluster" in said["message"]
        vm.until("Ready", status="False", reason="NoPermission")
        vm.until("VMFound", status="True")
        assert vm.facts["haOverride"] is None
    finally:
        party.close()


def test_a_vcenter_that_cannot_be_used_says_why_and_one_whose_secret_is_mended_is_used_without_a_restart(
    vcenters, kube, simulator, replica, tmp_path
):
    stranger = pki.new_authority(tmp_path, "stranger").bundle.read_text()
    broken = {
        "InvalidCredentials": vcenters(password="not-the-password"),
        "CredentialsMissing": vcenters(with_secret=False),
        "TlsNotTrusted": vcenters(**{"ca.crt": stranger}),
    }
    pid = replica.pid
    for reason, at in broken.items():
        said = at.until("Connected", status="False", reason=reason)
        assert "not-the-password" not in said["message"]
        at.until("Ready", status="False", reason=reason)
    party = broken["InvalidCredentials"].party()
    try:
        vm = party.vm()
        vm.until("VMFound", status="Unknown", reason="VCenterUnreachable")
        vm.assert_never_touched()
        for at in broken.values():
            keep_credentials(kube, at.name, simulator)
        for at in broken.values():
            at.until("Connected", seconds=ROTATED_WITHIN, status="True")
        vm.settled()
    finally:
        party.close()
    assert replica.pid == pid


def test_a_password_that_is_changed_in_vcenter_is_taken_up_from_its_secret(vcenters, kube, simulator):
    with_password = {"username": ADMINISTRATOR, "password": PASSWORDS[ADMINISTRATOR]}
    at = vcenters(**with_password)
    at.until("Connected", status="True")
    file = simulator.directory / "users.json"
    users = json.loads(file.read_bytes())
    for user in users["users"]:
        if user["name"] == ADMINISTRATOR:
            user["password"] = "rotated-4711"
    simulator.stop()
    file.write_text(json.dumps(users))
    simulator.start()
    at.until("Connected", seconds=ROTATED_WITHIN, status="False", reason="InvalidCredentials")
    keep_credentials(kube, at.name, simulator, **{**with_password, "password": "rotated-4711"})
    at.until("Connected", seconds=ROTATED_WITHIN, status="True")


def test_a_vcenter_that_gets_another_secret_is_seen_all_the_time(guest_party, elsewhere, kube, simulator):
    vm = guest_party.vm().settled()
    since = [vm.until("VMFound", status="True"), elsewhere.until("Connected", status="True")]
    was = elsewhere.object()["spec"]["credentialsSecretRef"]
    keep_credentials(kube, "vcenter-other", simulator)
    try:
        elsewhere.allow(credentialsSecretRef={"name": "vcenter-other"})
        elsewhere.vcenter.ha_override(vm.path, restartPriority="low")
        elsewhere.until("Connected", status="True", reason="Connected")
        wait_until(
            lambda: vm.facts["haOverride"]["restartPriority"] == "medium", "the repair", seconds=PATIENCE
        )
        now = [vm.until("VMFound", status="True"), elsewhere.until("Connected", status="True")]
        assert [c["lastTransitionTime"] for c in now] == [c["lastTransitionTime"] for c in since]
    finally:
        elsewhere.allow(credentialsSecretRef=was)
        elsewhere.until("Connected", status="True", reason="Connected")
        kube.delete("secret", "vcenter-other", namespace=NAMESPACE)


def test_another_vcenter_at_the_same_address_freezes_everything(elsewhere, simulator):
    """Its identity is what counts: the simulator's follows from the name of its datacenter."""
    party = elsewhere.party()
    file = simulator.directory / "inventory.json"
    before = file.read_bytes()
    try:
        vm = party.vm().settled()
        simulator.stop()
        file.write_text(json.dumps({**json.loads(before), "datacenter": "Hamburg"}))
        simulator.start()
        said = elsewhere.until("Connected", status="False", reason="IdentityChanged")
        assert "clause 1" in said["message"]
        vm.look_again()
        vm.until("VMFound", status="False", reason="IdentityChanged")
    finally:
        simulator.stop()
        file.write_bytes(before)
        simulator.start()
        party.machines.clear()
        party.close()
    elsewhere.until("Connected", status="True")


def test_without_a_binding_of_our_policies_nothing_is_done(party, stage):
    vm = party.vm().settled()
    binding = stage.api.read(
        {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "managedvm-records"}}
    ).body
    assert_done(stage.api.delete(binding))
    try:
        said = vm.until("ChangesPermitted", status="False", reason="PolicyBindingMissing")
        assert "managedvm-records (its binding is missing)" in said["message"]
        stage.vcenter.ha_override(vm.path, restartPriority="low")
        vm.order("more", resources=MORE)
        vm.assert_left_alone()
        assert vm.requests() == []
    finally:
        bound = {key: binding[key] for key in ("apiVersion", "kind", "spec")}
        assert_done(stage.api.create({**bound, "metadata": {"name": "managedvm-records"}}))
    vm.request("Memory", "Done")
    vm.settled()
    assert vm.facts["haOverride"]["restartPriority"] == "medium"


@pytest.mark.parametrize(
    ("kind", "change", "why"),
    [
        ("ValidatingAdmissionPolicyBinding", {"validationActions": ["Audit"]}, "its binding does not deny"),
        ("ValidatingAdmissionPolicy", None, "the policy is missing"),
    ],
    ids=["only noted", "without its policy"],
)
def test_a_policy_that_is_bound_and_refuses_nothing_is_none(party, stage, kind, change, why):
    vm = party.vm().settled()
    body = stage.api.read({"kind": kind, "metadata": {"name": "managedvm-requests"}}).body
    assert_done(stage.api.delete(body) if change is None else stage.api.patch(body, {"spec": change}))
    try:
        said = vm.until("ChangesPermitted", status="False", reason="PolicyBindingMissing")
        assert f"managedvm-requests ({why})" in said["message"]
    finally:
        kept = {key: body[key] for key in ("apiVersion", "kind", "spec")}
        kept = {**kept, "metadata": {"name": "managedvm-requests"}}
        assert_done(stage.api.apply(kept, force=True))
    vm.settled()


def test_in_a_namespace_that_is_no_ledger_nothing_is_done(party, stage):
    space = {"kind": "Namespace", "metadata": {"name": party.namespace}}
    label = "managedvm.dev/ledger"
    assert_done(stage.api.patch(space, {"metadata": {"labels": {label: None}}}))
    vm = party.vm()
    said = vm.until("ChangesPermitted", status="False", reason="LedgerUnprotected")
    assert label in said["message"]
    vm.order("more", resources=MORE)
    vm.assert_never_touched()
    assert_done(stage.api.patch(space, {"metadata": {"labels": {label: "true"}}}))
    vm.request("Memory", "Done")
    vm.settled()
