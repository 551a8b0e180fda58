"""Over SSH a guest proves by its host key that it is the one that was ordered (clause 1): one key, and no other.

A key in the spec is believed. Without one the key of the first contact is kept in status, before anything is sent to the
guest, and moves from there only to a key that the spec names.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address, ip_network

from managedvm.api.guest import GuestStatus, SshAccess
from managedvm.api.managedvm import ManagedVM
from managedvm.api.vcenter import VCenterSpec
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, unknown
from managedvm.planning.observed import PowerState, Unknown, VirtualMachine
from managedvm.planning.plan import Part
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import shown

ASK_AGAIN = timedelta(minutes=5)
"""When a guest that could not be met, or that showed a foreign key, is asked again."""


def fingerprint(key: str) -> str:
    """Return the fingerprint of a public key as `ssh-keygen -l` prints it; of what is no key, that it is none."""
    try:
        blob = b64decode(key.split()[1], validate=True)
    except (Base64Error, IndexError):
        return "no key"
    return f"SHA256:{b64encode(sha256(blob).digest()).decode().rstrip('=')}"


def trusted_key(vm: ManagedVM) -> str | None:
    """Return the only host key that the guest may show; None before the first contact."""
    ssh = vm.spec.guest.ssh if vm.spec.guest else None
    pinned = vm.status.guest.host_key if vm.status.guest else None
    return ssh.host_key or pinned if ssh else None


def is_reachable(ssh: SshAccess, vcenter: VCenterSpec | None) -> bool:
    """Return whether the provider lets the operator open the first connection of the way to the guest."""
    address = ip_address(ssh.jump_host.address if ssh.jump_host else ssh.address)
    networks = vcenter.guest_networks if vcenter else ()
    return any(address in ip_network(network, strict=False) for network in networks)


def contact_is_due(vm: ManagedVM, facts: VirtualMachine | None, vcenter: VCenterSpec | None) -> bool:
    """Return whether the guest is to be asked for its host key: at a first contact, and at a new address."""
    ssh = vm.spec.guest.ssh if vm.spec.guest else None
    if ssh is None or ssh.host_key or facts is None or facts.power is not PowerState.ON:
        return False
    known = vm.status.guest
    return (known is None or known.address != _place(ssh)) and is_reachable(ssh, vcenter)


def plan_guest(
    vm: ManagedVM,
    facts: VirtualMachine,
    vcenter: VCenterSpec | None,
    seen: str | Unknown | None,
    now: datetime,
) -> tuple[Part, GuestStatus | None]:
    """Return what is found about the guest's identity, and what status keeps of it.

    `seen` is the key that it shows, None where it was not asked.
    """
    ssh, known = (vm.spec.guest.ssh if vm.spec.guest else None), vm.status.guest
    if ssh is None:
        return Part(), known
    if not is_reachable(ssh, vcenter):
        return Part(findings=(_not_granted(vm, ssh),)), known
    if ssh.host_key is not None:
        status = _trusted(ssh.host_key, known, ssh, now)
        words = f"The guest at {status.address} must show {status.fingerprint}, which spec.guest.ssh.hostKey names"
        return Part(findings=(_is(Reason.HOST_KEY_GIVEN, words),)), status
    if known is not None and isinstance(seen, str) and seen != known.host_key:
        return Part(findings=(_changed(known, seen, ssh),), next_check=now + ASK_AGAIN), known
    if isinstance(seen, str):
        known = _trusted(seen, known, ssh, now)
    if known is not None and known.address == _place(ssh):
        words = (
            f"The guest at {known.address} showed {known.fingerprint} at first, and no other key is accepted. Compare it "
            "with `ssh-keygen -lf` in the guest"
        )
        return Part(findings=(_is(Reason.HOST_KEY_PINNED, words),)), known
    return _not_met(facts, ssh, seen, now), known


def _not_met(facts: VirtualMachine, ssh: SshAccess, seen: str | Unknown | None, now: datetime) -> Part:
    """Return the wait for the guest; who is told nothing is asked when something changes."""
    if isinstance(seen, Unknown):
        why, again = f"{seen.reason}. It is asked again at {shown(now + ASK_AGAIN)}", now + ASK_AGAIN
    elif facts.power is not PowerState.ON:
        why, again = "the VM is off", None
    else:
        why, again = "nothing may be done here now", None
    words = f"The guest at {_place(ssh)} has not been met: {why}"
    finding = unknown(Aspect.GUEST_IDENTIFIED, Reason.HOST_KEY_AWAITED, words, Clause.DIRECTLY_ATTACHED_VM)
    return Part(findings=(finding,), next_check=again)


def _not_granted(vm: ManagedVM, ssh: SshAccess) -> Finding:
    address = ssh.jump_host.address if ssh.jump_host else ssh.address
    words = (
        f"VCenter {vm.spec.vm.v_center_ref.name} names no network with {address}, so no connection is made. The provider "
        "adds the network to spec.guestNetworks of the VCenter, or spec.guest.ssh is wrong"
    )
    reason = Reason.GUEST_NETWORK_NOT_GRANTED
    return fails(Aspect.GUEST_IDENTIFIED, reason, words, Clause.DIRECTLY_ATTACHED_VM)


def _changed(known: GuestStatus, seen: str, ssh: SshAccess) -> Finding:
    words = (
        f"{_place(ssh)} shows {fingerprint(seen)}, and {known.fingerprint} is trusted since {shown(known.trusted_at)}. "
        "Nothing is sent there. Where the guest was set up anew, put its new key into spec.guest.ssh.hostKey"
    )
    return fails(Aspect.GUEST_IDENTIFIED, Reason.HOST_KEY_CHANGED, words, Clause.DIRECTLY_ATTACHED_VM)


def _is(reason: Reason, words: str) -> Finding:
    return holds(Aspect.GUEST_IDENTIFIED, reason, words, Clause.DIRECTLY_ATTACHED_VM)


def _trusted(key: str, known: GuestStatus | None, ssh: SshAccess, now: datetime) -> GuestStatus:
    since = known.trusted_at if known is not None and known.host_key == key else now
    return GuestStatus(host_key=key, fingerprint=fingerprint(key), trusted_at=since, address=_place(ssh))


def _place(ssh: SshAccess) -> str:
    """Return where the guest's sshd is, as `192.0.2.7 port 22`."""
    return f"{ssh.address} port {ssh.port}"
