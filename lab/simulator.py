"""The vCenter of the lab: the simulator of `lab/vcenter`, its users and its inventory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab import guests, provision
from lab.daemons import Daemon, answers
from lab.errors import LabError
from lab.facts import ADMINISTRATOR_USER, OPERATOR_USER, READONLY_USER, VCENTER, Lab
from lab.paths import ROOT
from lab.pki import new_authority, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INVENTORY = ROOT / "lab" / "inventory.json"
OPERATOR_ROLE = ROOT / "manifests" / "vcenter" / "operator-role.json"


def prepare(lab: Lab, inventory: Mapping[str, object]) -> None:
    """Write what the simulator starts from: its certificate, its users, its inventory."""
    authority = new_authority(lab.certificates("vcenter"), "managedvm-lab-vcenter")
    authority.server("server", hosts=("127.0.0.1", "localhost"))
    write_users(lab)
    write_inventory(lab, inventory)


def write_users(lab: Lab, role: Path = OPERATOR_ROLE) -> None:
    """Write the users file; the operator has the role that ships, Administrator until one does."""
    roles: dict[str, list[str]] = {}
    operator = "Administrator"
    if role.exists():
        shipped = json.loads(role.read_bytes())
        operator = shipped["name"]
        roles[operator] = shipped["privileges"]
    role_of = {ADMINISTRATOR_USER: "Administrator", OPERATOR_USER: operator, READONLY_USER: "ReadOnly"}
    users = [{"name": name, "password": lab.passwords[name], "role": role} for name, role in role_of.items()]
    write_private(_file(lab, "users"), json.dumps({"roles": roles, "users": users}, indent=1).encode())


def write_inventory(lab: Lab, inventory: Mapping[str, object]) -> None:
    """Write the inventory that the simulator has from its next start on; its guests get this lab's password."""
    vms = [_with_password(vm, lab.guest_password) for vm in _vms(inventory)]
    write_private(_file(lab, "inventory"), json.dumps({**inventory, "vms": vms}, indent=1).encode())


def read_inventory(path: Path = INVENTORY, *, fleet: int = 0) -> dict[str, object]:
    """Return an inventory, the demo's by default, with `fleet` more VMs for measurements."""
    inventory: dict[str, object] = json.loads(path.read_bytes())
    if fleet:
        inventory["fleet"] = {"count": fleet, "folders": 10}
    return inventory


def without_guests(inventory: Mapping[str, object]) -> dict[str, object]:
    """Return an inventory in which no VM has an inside: nothing of a container engine is needed then."""
    vms = [{key: value for key, value in vm.items() if key != "guest"} for vm in _vms(inventory)]
    return {**inventory, "vms": vms}


def daemon(lab: Lab) -> Daemon:
    """Return the simulator; starting it builds it from this tree's sources if need be, and makes its guests.

    Raises:
        LabError: it does not build.
    """
    provision.vcenter()  # a source that does not compile is told before anything is started

    return Daemon(
        VCENTER, lambda: _command(lab), lambda: answers(f"{lab.vcenter_admin}/healthz"), patience=300
    )


def _command(lab: Lab) -> tuple[str, ...]:
    trust = lab.certificates("vcenter")
    settings = _make_guests(lab)
    return (
        str(provision.vcenter()),
        f"--listen=127.0.0.1:{lab.ports['vcenter']}",
        f"--admin=127.0.0.1:{lab.ports['vcenter-admin']}",
        f"--tls-cert={trust / 'server.crt'}",
        f"--tls-key={trust / 'server.key'}",
        f"--users={_file(lab, 'users')}",
        f"--inventory={_file(lab, 'inventory')}",
        f"--ready-file={_file(lab, 'ready')}",
        *([f"--guests={settings}"] if settings else []),
    )


def _make_guests(lab: Lab) -> Path | None:
    """Make what the guests of the inventory need and return the file that tells the simulator.

    What a killed simulator left is removed first. Returns None, having said why, when there can be no guests:
    those VMs are then simulated as all others are.
    """
    guests.clean(lab.directory)
    inventory = json.loads(_file(lab, "inventory").read_bytes())
    if not any("guest" in vm for vm in _vms(inventory)):
        return None
    try:
        return guests.prepare(lab.directory)
    except LabError as failure:
        print(f"  no guests: {failure}", flush=True)
        return None


def _vms(inventory: Mapping[str, object]) -> list[dict[str, object]]:
    vms = inventory.get("vms", [])
    if not isinstance(vms, list):
        raise LabError("an inventory's vms are a list, see lab/vcenter/README.md")
    return vms


def _with_password(vm: dict[str, object], password: str) -> dict[str, object]:
    guest = vm.get("guest")
    return {**vm, "guest": {"password": password, **guest}} if isinstance(guest, dict) else vm


def _file(lab: Lab, name: str) -> Path:
    return lab.directory / "vcenter" / f"{name}.json"
