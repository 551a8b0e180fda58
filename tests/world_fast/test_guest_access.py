"""The way into a guest: which Secret is read, what is missing in words, and who is not asked."""

from base64 import b64encode

import pytest
from pydantic import SecretStr

from managedvm.errors import InvalidCredentialsError
from managedvm.logs import redaction
from managedvm.planning.guestaccess import fingerprint
from managedvm.planning.jobs import NotStarted, Running
from managedvm.planning.observed import Unknown
from managedvm.world.guests import Guest, GuestLogin, GuestUnavailableError, JumpHost, SshWay
from managedvm.world.guests.access import Access, EitherWay
from tests.factories import NOW, managed_vm, vcenter_spec, virtual_machine
from tests.world_fast.fakes import FakeKube

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKqiKNRV49jmlUPrbfO3mWmD9TU7QDTb7C6B1HNZA4EP"
NETWORK = vcenter_spec(guestNetworks=["192.0.2.0/24"])


class FakeSsh:
    """An sshd that shows a key, or an error; lists the ways that it was asked on."""

    def __init__(self, shows=KEY):
        self.shows = shows
        self.asked = []

    async def host_key(self, way):
        self.asked.append(way)
        if isinstance(self.shows, Exception):
            raise self.shows
        return self.shows


def secret(name="guest", **values):
    data = {key.replace("_", "-"): b64encode(value.encode()).decode() for key, value in values.items()}
    return {"kind": "Secret", "metadata": {"namespace": "kunde-a", "name": name}, "data": data}


def vm_with(mode="Enforce", status=None, **ssh):
    guest = {
        "access": "SSH",
        "credentialsSecretRef": {"name": "guest"},
        "ssh": {"address": "192.0.2.7", **ssh},
    }
    return managed_vm(guest=guest, mode=mode, status=status)


def pinned():
    return {
        "guest": {
            "hostKey": KEY,
            "fingerprint": fingerprint(KEY),
            "trustedAt": NOW.isoformat(),
            "address": "192.0.2.7 port 22",
        }
    }


async def test_the_way_is_the_specs_and_the_key_is_the_kept_one():
    kube = FakeKube(secret(username="managedvm", ssh_privatekey="-----BEGIN canary-of-a-key-----"))
    guest = await Access(kube, FakeSsh()).guest(vm_with(status=pinned(), port=2222), "vm-1")
    assert guest.ssh == SshWay("192.0.2.7", 2222, KEY)
    assert guest.login.username == "managedvm"
    assert guest.login.private_key.get_secret_value() == "-----BEGIN canary-of-a-key-----\n"
    assert guest.login.password is None
    assert "canary" not in redaction.clean(f"{guest} -----BEGIN canary-of-a-key-----")


async def test_through_vmware_tools_name_and_password_do():
    vm = managed_vm(guest={"credentialsSecretRef": {"name": "guest"}})
    kube = FakeKube(secret(username="root", password="canary-password"))
    guest = await Access(kube, FakeSsh()).guest(vm, "vm-1")
    assert guest == Guest("vm-1", GuestLogin("root", SecretStr("canary-password")))


async def test_a_jump_host_has_a_secret_of_its_own():
    jump = {"address": "192.0.2.1", "hostKey": KEY, "credentialsSecretRef": {"name": "jump"}}
    kube = FakeKube(
        secret(username="managedvm", password="of-guest"), secret("jump", username="j", password="of-jump")
    )
    guest = await Access(kube, FakeSsh()).guest(vm_with(jumpHost=jump), "vm-1")
    assert guest.ssh.jump == JumpHost("192.0.2.1", 22, KEY, GuestLogin("j", SecretStr("of-jump")))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((), "Secret kunde-a/guest is missing"),
        ((secret(username="root"),), "Secret kunde-a/guest needs"),
        ((secret(password="canary-password"),), "Secret kunde-a/guest needs"),
    ],
    ids=["no Secret", "no password", "no user"],
)
async def test_what_is_missing_is_named_and_nothing_told(there, words):
    with pytest.raises(InvalidCredentialsError, match=words) as caught:
        await Access(FakeKube(*there), FakeSsh()).guest(vm_with(), "vm-1")
    assert "canary" not in str(caught.value)


async def test_without_spec_guest_there_is_no_way():
    with pytest.raises(InvalidCredentialsError, match=r"spec\.guest"):
        await Access(FakeKube(), FakeSsh()).guest(managed_vm(), "vm-1")


async def test_a_first_contact_needs_no_credentials():
    ssh, kube = FakeSsh(), FakeKube()
    assert await Access(kube, ssh).host_key(vm_with(), virtual_machine(), NETWORK) == KEY
    assert ssh.asked == [SshWay("192.0.2.7")]
    assert kube.calls == []


@pytest.mark.parametrize(
    "vm",
    [
        managed_vm(),
        managed_vm(guest={"credentialsSecretRef": {"name": "guest"}}),
        vm_with(mode="Observe"),
        vm_with(hostKey=KEY),
        vm_with(status=pinned()),
        vm_with(address="198.51.100.7"),
    ],
    ids=["no guest", "VMware Tools", "Observe", "a key in the spec", "a kept key", "a network not granted"],
)
async def test_who_need_not_be_met_is_not_asked(vm):
    ssh = FakeSsh()
    assert await Access(FakeKube(), ssh).host_key(vm, virtual_machine(), NETWORK) is None
    assert ssh.asked == []


async def test_a_guest_that_does_not_answer_is_left_alone_for_a_while():
    ssh = FakeSsh(GuestUnavailableError("no answer"))
    access = Access(FakeKube(), ssh)
    for _ in range(3):
        assert await access.host_key(vm_with(), virtual_machine(), NETWORK) == Unknown("no answer")
    assert len(ssh.asked) == 1


class Way:
    """An executor that answers with what it is."""

    def __init__(self, found):
        self.found = found

    async def result(self, *_):
        return self.found


async def test_each_guest_is_reached_its_own_way():
    either = EitherWay(tools=Way(NotStarted()), ssh=Way(Running()))
    guest = Guest("vm-1", GuestLogin("root"))
    over_ssh = Guest("vm-1", GuestLogin("root"), SshWay("192.0.2.7"))
    assert (await either.result(guest, "a"), await either.result(over_ssh, "a")) == (NotStarted(), Running())
