"""Clause 1: into which guest the operator goes is written down: an address, a key, and never more than the way needs."""

import pytest

from tests.api.bodies import custom, managed_vm
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqiKNRV49jmlUPrbfO3mWmD9TU7QDTb7C6B1HNZA4EP"
SECRET = {"credentialsSecretRef": {"name": "guest"}}
JUMP = {"address": "192.0.2.1", "hostKey": KEY, **SECRET}


def over_ssh(**ssh):
    return {"access": "SSH", **SECRET, "ssh": {"address": "192.0.2.7", **ssh}}


@pytest.fixture
def create(tenant, name):
    return lambda guest: tenant.provider.create(managed_vm(tenant.namespace, name, guest=guest))


@pytest.mark.parametrize(
    "guest",
    [
        SECRET,
        over_ssh(),
        over_ssh(address="2001:db8::7", port=2222, hostKey=KEY, sudo=False),
        over_ssh(jumpHost=JUMP),
    ],
    ids=["VMware Tools", "SSH", "SSH with all", "SSH through a jump host"],
)
def test_each_way_into_a_guest_can_be_written(create, guest):
    assert_done(create(guest))


@pytest.mark.parametrize(
    "guest",
    [{"access": "SSH", **SECRET}, {**SECRET, "ssh": {"address": "192.0.2.7"}}],
    ids=["SSH without an address", "an address without SSH"],
)
def test_ssh_and_its_address_belong_together(create, guest):
    assert_refused(create(guest), "spec.guest", "ssh.address", "clause 1")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "0.0.0.0",  # noqa: S104 - refused here
        "169.254.169.254",
        "224.0.0.1",
        "fe80::1",
        "192.0.2.007",
        "2001:DB8::7",
        "1.2.3",
        "web-01",
    ],
)
def test_an_address_is_that_of_a_host_on_a_network(create, address):
    assert_refused(create(over_ssh(address=address)), "spec.guest.ssh.address")
    assert_refused(create(over_ssh(jumpHost={**JUMP, "address": address})), "spec.guest.ssh.jumpHost.address")


def test_why_an_address_is_refused_is_said(create):
    assert_refused(create(over_ssh(address="127.0.0.1")), "no loopback", "clause 1")


@pytest.mark.parametrize(
    "key", ["ssh-ed25519", f"{KEY} root@web-01", "ssh-dss AAAAB3NzaC1kc3MAAACBAOjR", f"{KEY}\n{KEY}"]
)
def test_a_host_key_is_one_key_as_openssh_writes_it(create, key):
    assert_refused(create(over_ssh(hostKey=key)), "spec.guest.ssh.hostKey")


def test_a_jump_host_is_never_trusted_by_itself(create):
    trusting = {key: value for key, value in JUMP.items() if key != "hostKey"}
    assert_refused(create(over_ssh(jumpHost=trusting)), "spec.guest.ssh.jumpHost.hostKey", "Required")


def test_the_secret_of_a_jump_host_is_the_namespaces_own(create):
    foreign = {**JUMP, "credentialsSecretRef": {"name": "guest", "namespace": "kube-system"}}
    assert_refused(create(over_ssh(jumpHost=foreign)), "namespace", "clause 1", "remove it")


@pytest.mark.parametrize(
    ("network", "is_one"),
    [
        ("192.0.2.0/24", True),
        ("2001:db8::/32", True),
        ("192.0.2.7/24", False),
        ("192.0.2.7", False),
        ("192.0.2.0/33", False),
    ],
)
def test_a_network_is_written_by_its_prefix(tenant, name, network, is_one):
    spec = {"server": "vcenter.example", **SECRET, "guestNetworks": [network]}
    answer = tenant.admin.create(custom("VCenter", name, None, spec), dryRun="All")
    if is_one:
        assert_done(answer)
    else:
        assert_refused(answer, "spec.guestNetworks")
