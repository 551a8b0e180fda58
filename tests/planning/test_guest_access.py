"""Over SSH a guest is known by one key: given in the spec, or kept from the first contact. No other is accepted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.planning.findings import Aspect
from managedvm.planning.guestaccess import ASK_AGAIN, contact_is_due, fingerprint, plan_guest, trusted_key
from managedvm.planning.managedvm import plan
from managedvm.planning.observed import PowerState, Unknown
from managedvm.planning.reasons import Effect, Reason
from tests.factories import NOW, managed_vm, observed, vcenter_spec, virtual_machine

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqiKNRV49jmlUPrbfO3mWmD9TU7QDTb7C6B1HNZA4EP"
PRINT = "SHA256:2gU1wk/1Yka5gVdA9S9CmQpSy/fXZgd9+cVSuvnvUY8"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
NETWORK = vcenter_spec(guestNetworks=["192.0.2.0/24"])
PLACE = "192.0.2.7 port 22"


def over_ssh(pinned=None, **ssh):
    """Return web-01 reached over SSH; `pinned` is the key of its first contact, a week ago."""
    way = {"access": "SSH", "credentialsSecretRef": {"name": "g"}, "ssh": {"address": "192.0.2.7", **ssh}}
    week_ago = NOW - timedelta(days=7)
    guest = {
        "hostKey": pinned,
        "fingerprint": fingerprint(pinned or ""),
        "trustedAt": week_ago.isoformat(),
        "address": PLACE,
    }
    return managed_vm(guest=way, status={"guest": guest} if pinned else {})


def planned(vm, seen=None, vcenter=NETWORK, **facts):
    part, status = plan_guest(vm, virtual_machine(**facts), vcenter, seen, NOW)
    (finding,) = part.findings
    assert finding.aspect is Aspect.GUEST_IDENTIFIED
    assert "clause 1" in finding.text
    return finding, status, part.next_check


def test_a_fingerprint_is_the_one_that_ssh_keygen_prints():
    assert fingerprint(KEY) == PRINT


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 no-base64!"])
def test_what_is_no_key_has_no_fingerprint(text):
    assert fingerprint(text) == "no key"


def test_the_key_of_the_first_contact_is_kept_and_shown():
    finding, status, _ = planned(over_ssh(), seen=KEY)
    assert (finding.reason, status.host_key, status.fingerprint) == (Reason.HOST_KEY_PINNED, KEY, PRINT)
    assert (status.trusted_at, status.address) == (NOW, PLACE)
    assert PRINT in finding.message


def test_a_kept_key_stays_as_it_was_and_nobody_is_asked_again():
    vm = over_ssh(pinned=KEY)
    finding, status, again = planned(vm)
    assert (finding.reason, status, again) == (Reason.HOST_KEY_PINNED, vm.status.guest, None)
    assert not contact_is_due(vm, virtual_machine(), NETWORK)


def test_another_key_is_refused_and_the_kept_one_stays():
    vm = over_ssh(pinned=KEY)
    finding, status, again = planned(vm, seen=OTHER)
    assert (finding.reason, finding.effect) == (Reason.HOST_KEY_CHANGED, Effect.STALLED)
    assert fingerprint(OTHER) in finding.message
    assert "spec.guest.ssh.hostKey" in finding.message
    assert (status, again) == (vm.status.guest, NOW + ASK_AGAIN)
    assert trusted_key(vm) == KEY


def test_a_new_address_must_show_the_kept_key():
    vm = over_ssh(pinned=KEY, address="192.0.2.8")
    assert contact_is_due(vm, virtual_machine(), NETWORK)
    finding, status, _ = planned(vm, seen=KEY)
    assert (finding.reason, status.address) == (Reason.HOST_KEY_PINNED, "192.0.2.8 port 22")
    assert status.trusted_at == vm.status.guest.trusted_at
    assert planned(vm, seen=OTHER)[0].reason is Reason.HOST_KEY_CHANGED
    assert planned(vm, seen=Unknown("off"))[:2] == (planned(vm, seen=Unknown("off"))[0], vm.status.guest)


def test_a_key_in_the_spec_takes_the_place_of_the_kept_one_and_needs_no_contact():
    vm = over_ssh(pinned=KEY, hostKey=OTHER)
    finding, status, _ = planned(vm)
    assert (finding.reason, status.host_key, status.trusted_at) == (Reason.HOST_KEY_GIVEN, OTHER, NOW)
    assert trusted_key(vm) == OTHER
    assert not contact_is_due(vm, virtual_machine(), NETWORK)


def test_a_guest_that_cannot_be_met_is_asked_again_and_nothing_is_concluded():
    finding, status, again = planned(over_ssh(), seen=Unknown("no answer"))
    assert (finding.reason, finding.truth, status) == (Reason.HOST_KEY_AWAITED, "Unknown", None)
    assert again == NOW + ASK_AGAIN
    assert trusted_key(over_ssh()) is None


def test_a_vm_that_is_off_is_met_when_it_runs():
    vm = over_ssh()
    assert not contact_is_due(vm, virtual_machine(power=PowerState.OFF), NETWORK)
    assert "off" in planned(vm, power=PowerState.OFF)[0].message
    assert contact_is_due(vm, virtual_machine(), NETWORK)


@pytest.mark.parametrize(
    ("ssh", "is_due"),
    [
        ({}, True),
        ({"address": "192.0.3.7"}, False),
        ({"address": "2001:db8::7"}, False),
        ({"address": "192.0.3.7", "jumpHost": {"address": "192.0.2.1"}}, True),
        ({"jumpHost": {"address": "192.0.3.1"}}, False),
    ],
    ids=["inside", "outside", "of another kind", "behind a jump host inside", "behind a jump host outside"],
)
def test_the_first_connection_goes_only_where_the_provider_lets_it(ssh, is_due):
    if "jumpHost" in ssh:
        ssh["jumpHost"] |= {"hostKey": OTHER, "credentialsSecretRef": {"name": "j"}}
    vm = over_ssh(**ssh)
    assert contact_is_due(vm, virtual_machine(), NETWORK) is is_due
    assert (planned(vm, seen=KEY)[0].reason is Reason.GUEST_NETWORK_NOT_GRANTED) is not is_due


def test_by_default_the_operator_connects_nowhere():
    finding, status, _ = planned(over_ssh(), vcenter=vcenter_spec())
    assert (finding.reason, finding.effect, status) == (
        Reason.GUEST_NETWORK_NOT_GRANTED,
        Effect.STALLED,
        None,
    )
    assert "spec.guestNetworks" in finding.message


def test_through_vmware_tools_no_key_is_needed():
    vm = managed_vm(guest={"credentialsSecretRef": {"name": "g"}})
    part, status = plan_guest(vm, virtual_machine(), NETWORK, None, NOW)
    assert (part.findings, status) == ((), None)


def test_a_kept_key_is_not_forgotten_when_the_way_changes():
    pinned = over_ssh(pinned=KEY)
    tools = pinned.model_copy(update={"spec": managed_vm().spec})
    assert plan_guest(tools, virtual_machine(), NETWORK, None, NOW)[1] == pinned.status.guest


def test_a_pass_shows_the_key_in_status():
    read = replace(observed(), vcenter=NETWORK, host_key=KEY)
    found = plan(over_ssh(), read, NOW)
    assert found.status.guest.host_key == KEY
    assert found.actions == ()
