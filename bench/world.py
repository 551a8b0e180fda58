"""The world that is measured in: a fresh lab of N equal VMs, ten namespaces of one customer, a ManagedVM for each VM.

One cluster holds 500 VMs, as a hosting cluster does: its overrides are one property, sent whole when one changes.
"""

from __future__ import annotations

import shutil
from math import gcd
from typing import TYPE_CHECKING, Any

import lab
from bench.api import GROUP
from lab import kube
from lab.paths import ROOT, lab_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.facts import Lab

PEERS = ROOT / "bench" / "peers"
NAMESPACES = 10
VMS_PER_CLUSTER = 500
_HOSTS_PER_CLUSTER = 8
_SLOTS = 64
"""Tasks of the operator that may run in the vCenter at one time."""


def directory() -> Path:
    """Return where the lab of the measurements is kept: beside the lab that may be running."""
    usual = lab_directory()
    return usual.with_name(f"{usual.name}-bench")


def fresh(size: int) -> Lab:
    """Return a new lab of `size` VMs, after the end of the one before."""
    end()
    clusters = max(2, -(-size // VMS_PER_CLUSTER))
    inventory: dict[str, object] = {
        "datacenter": "Berlin",
        "clusters": [{"name": f"cluster-{n:02}", "hosts": _HOSTS_PER_CLUSTER} for n in range(clusters)],
        "fleet": {"count": size, "folders": NAMESPACES},
    }
    world = lab.up(directory=directory(), inventory=inventory)
    _declare(world)
    return world


def end() -> None:
    """End the lab of the measurements and remove it."""
    lab.down(directory())
    shutil.rmtree(directory(), ignore_errors=True)


def managed_vms(size: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the body of each ManagedVM."""
    for number in range(1, size + 1):
        namespace = _namespace((number - 1) % NAMESPACES)
        body = {
            "apiVersion": "managedvm.dev/v1alpha1",
            "kind": "ManagedVM",
            "metadata": {"name": f"vm-{number:05}", "namespace": namespace},
            "spec": _spec(number),
        }
        yield f"{GROUP}/namespaces/{namespace}/managedvms", body


def name_of(number: int) -> str:
    """Return namespace/name of the ManagedVM of a number from 1 on."""
    return f"{_namespace((number - 1) % NAMESPACES)}/vm-{number:05}"


def path_of(number: int) -> str:
    """Return the API path of the ManagedVM of a number."""
    namespace, name = name_of(number).split("/")
    return f"{GROUP}/namespaces/{namespace}/managedvms/{name}"


def vm_of(number: int) -> str:
    """Return the path of the VM of a number, as the simulator's admin endpoint has it."""
    return f"fleet/{(number - 1) % NAMESPACES:02}/vm-{number:05}"


def spread(count: int, size: int, offset: int = 0) -> list[int]:
    """Return `count` different numbers of VMs, spread evenly over all namespaces and clusters."""
    step = max(1, size // count)
    while gcd(step, NAMESPACES) > 1:  # else it would lead from one namespace to the same again
        step -= 1
    return [(offset + index * step) % size + 1 for index in range(min(count, size))]


def _namespace(index: int) -> str:
    return f"bench-{index:02}"


def _spec(number: int) -> dict[str, Any]:
    return {
        "customerRef": {"name": "bench"},
        "vm": {"vCenterRef": {"name": "berlin"}, "inventoryPath": f"/Berlin/vm/{vm_of(number)}"},
        "orders": [
            {
                "reference": f"B-{number:05}",
                "serviceLevel": "standard",
                "servicePackage": "Advanced",
                "from": "2026-01-01T00:00:00Z",
            }
        ],
        "mode": "Enforce",
        "resources": {
            "cpus": 2,
            "memory": "4Gi",
            "disks": [{"name": "system", "deviceNode": "SCSI(0:0)", "size": "40Gi"}],
        },
    }


def _declare(world: Lab) -> None:
    """Declare the customer, its namespaces and what each may claim; the operator does not run yet."""
    admin = kube.admin(world)
    names = [_namespace(index) for index in range(NAMESPACES)]
    label = {"managedvm.dev/ledger": "true"}
    admin.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": label}}
        for name in names
    )
    admin.apply(
        {
            "apiVersion": "managedvm.dev/v1alpha1",
            "kind": "Customer",
            "metadata": {"name": "bench"},
            "spec": {
                "customerNumber": "K-1000",
                "displayName": "Bench GmbH",
                "namespaces": names,
                "priceLists": [{"name": "standard", "from": "2026-01-01T00:00:00Z"}],
            },
        }
    )
    grants = [
        {"namespace": name, "folder": f"/Berlin/vm/fleet/{index:02}"} for index, name in enumerate(names)
    ]
    admin.patch("vcenter", "berlin", {"spec": {"grants": grants, "budget": {"concurrentTasks": _SLOTS}}})
