"""A world for fault tests: a lab with a proxy before everything, replicas behind it, VMs and ManagedVMs on demand."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import lab as world
from lab import operator, simulator, vcenter_admin
from lab.facts import OPERATOR_USER
from lab.faultproxy import FaultProxy
from lab.install import NAMESPACE as HOME
from tests.api.bodies import Object, custom, customer, order
from tests.api.server import Client, assert_done, connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from lab.faultproxy import Door

NAMESPACE = "crash"
REQUESTER = "a.beispiel@crash.example"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"

_PATIENCE = {"MANAGEDVM_STOP_SECONDS": "5"}
_SCRUBBED = (
    (re.compile(r"op-[a-z]+-[a-z2-7]{26}"), "<request>"),
    (re.compile(r"vm-[a-z2-7]{26}"), "<claim>"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"task-\d+"), "<task>"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one ManagedVM, without names and times: two runs of the same story have equal ones."""

    conditions: tuple[tuple[str, str, str, str], ...]
    requests: tuple[tuple[str, ...], ...]
    """Aspect, before, after, state, reason, clause and billing of each ChangeRequest."""
    work: tuple[tuple[str, ...], ...]
    """Activity, hours, amount and currency of each WorkEntry, and whether it names a task."""
    size: tuple[object, ...]
    power: str


@dataclass(slots=True)
class FaultLab:
    """One lab, one proxy, and two places at which a replica may run."""

    lab: world.Lab
    proxy: FaultProxy
    client: Client
    vcenter: vcenter_admin.VCenterAdmin
    doors: dict[int, Door] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)

    def replica(self, number: int, begin: datetime | None = None, **settings: str) -> operator.Operator:
        """Return a replica that finds the world through the proxy; its door is `doors[number]`."""
        if number not in self.doors:
            self.doors[number] = self.proxy.to_api_server(f"replica-{number}")
        door = self.doors[number].url
        return operator.replica(self.lab, number, _PATIENCE | settings, through=door, begin=begin)

    def make_vm(self, story: str, **entry: Any) -> str:
        """Create a VM that can take everything while it runs, but for what `entry` says; return its name."""
        self.made[story] += 1
        name = f"{story}-{self.made[story]:03}"
        facts = self.vcenter.create_vm(
            **{
                "path": f"{NAMESPACE}/{name}",
                "cluster": "cluster-1",
                "cpus": 2,
                "memoryMiB": 4096,
                "disks": [{"sizeGiB": 40}],
                "cpuHotAdd": True,
                "memoryHotAdd": True,
                **entry,
            }
        )
        self.vcenter.vm(f"{NAMESPACE}/{name}", shutdownSeconds=0)
        self.proxy.know(facts["moid"], f"{NAMESPACE}/{name}")
        return name

    def declare(self, name: str, **spec: Any) -> None:
        """Create the ManagedVM of a VM."""
        assert_done(self.client.create(managed_vm(name, **spec)))

    def patch(self, name: str, **spec: Any) -> None:
        """Change the spec of a ManagedVM, as a person would."""
        assert_done(self.client.patch(managed_vm(name), {"spec": spec}))

    def status(self, name: str) -> Object:
        """Return a ManagedVM as it stands."""
        answer = self.client.read(managed_vm(name))
        assert_done(answer)
        return answer.body

    def requests(self, name: str) -> list[Object]:
        """Return the ChangeRequests of a ManagedVM."""
        kind = custom("ChangeRequest", "-", NAMESPACE, {})
        return self.client.list(kind, fieldSelector=f"spec.managedVMRef.name={name}")

    def work(self, requests: Iterable[Object]) -> list[Object]:
        """Return every WorkEntry on these ChangeRequests."""
        kind = custom("WorkEntry", "-", NAMESPACE, {})
        return [
            entry
            for request in requests
            for entry in self.client.list(
                kind, fieldSelector=f"spec.changeRequestRef.name={request['metadata']['name']}"
            )
        ]

    def outcome(self, name: str) -> Outcome | None:
        """Return what became of a ManagedVM, None while its latest spec was not looked at."""
        vm = self.status(name)
        status = vm.get("status", {})
        if status.get("observedGeneration") != vm["metadata"]["generation"]:
            return None
        requests = self.requests(name)
        facts = self.vcenter.vm(f"{NAMESPACE}/{name}")
        return Outcome(
            conditions=tuple(sorted(_said(c, name) for c in status.get("conditions", ()))),
            requests=tuple(sorted(_asked(request, name) for request in requests)),
            work=tuple(sorted(_worked(entry, name) for entry in self.work(requests))),
            size=(facts["cpus"], facts["memoryMiB"], tuple(disk["sizeGiB"] for disk in facts["disks"])),
            power=facts["power"],
        )

    def mutations(self, *names: str) -> dict[str, Counter[str]]:
        """Return for each VM how often the operator's orders to vCenter succeeded, by method."""
        paths = {f"{NAMESPACE}/{name}": name for name in names}
        found: dict[str, Counter[str]] = {name: Counter() for name in names}
        for order_ in self.vcenter.calls()["mutations"]:
            name = paths.get(order_["path"])
            if name and order_["user"] == OPERATOR_USER and order_["outcome"] == "success":
                found[name][order_["method"]] += 1
        return found

    def today(self) -> datetime:
        """Return the time by the clock of the API server, which is the one that windows are kept by."""
        home = self.client.read({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
        return datetime.fromisoformat(home.metadata["creationTimestamp"])

    def free_lease(self) -> None:
        """Delete the Lease, as if the time of its dead holder had run out."""
        self.client.ask("DELETE", f"{LEASE}/managedvm-operator")

    def calls(self, name: str, since: int = 0) -> list[str]:
        """Return what the operator did for a ManagedVM since the call of this number, in order."""
        about = f"{NAMESPACE}/{name}"
        return [call.what for call in self.proxy.calls[since:] if call.about == about]


class Relay:
    """Replicas that run one after the other: while one runs, the next has started and waits at a closed door.

    So a restart costs no more than reading the world. What waits has asked for everything and seen nothing.
    """

    def __init__(self, faultlab: FaultLab, **settings: str) -> None:
        self._lab = faultlab
        self._starter = ThreadPoolExecutor(1)
        self._places = [faultlab.replica(number, **settings) for number in (1, 2)]
        self._turn = 0
        self._next = self._start()

    @property
    def now(self) -> operator.Operator:
        """The replica that runs."""
        return self._places[self._turn]

    def begin(self) -> None:
        """Let the one that waits run, and start the one after it."""
        self._next.result(timeout=120)
        self._turn = 1 - self._turn
        self._lab.free_lease()
        self._lab.proxy.open(self._lab.doors[self._turn + 1])
        self._next = self._start()

    def end(self) -> None:
        """End all of them."""
        self._next.result(timeout=120)
        self._starter.shutdown()
        for number, place in enumerate(self._places):
            self._lab.proxy.open(self._lab.doors[number + 1])
            place.kill()

    def _start(self) -> Any:
        place = 1 - self._turn
        self._lab.proxy.close(self._lab.doors[place + 1])
        return self._starter.submit(self._places[place].start, seconds=120)


def managed_vm(name: str, **spec: Any) -> Object:
    """Return a ManagedVM at level Standard with a package, whose maintenance window is always open."""
    return custom(
        "ManagedVM",
        name,
        NAMESPACE,
        {
            "customerRef": {"name": NAMESPACE},
            "vm": {"vCenterRef": {"name": "berlin"}, "inventoryPath": f"/Berlin/vm/{NAMESPACE}/{name}"},
            "orders": [order(servicePackage="Basic")],
            "mode": "Enforce",
            "resources": {
                "cpus": 2,
                "memory": "4Gi",
                "disks": [{"name": "system", "deviceNode": "SCSI(0:0)", "size": "40Gi"}],
            },
            "restartPolicy": "InWindow",
            "deletionProtection": False,
            **spec,
        },
    )


def slip(slip_id: str = "more") -> Object:
    """Return an order slip of a person who may order."""
    return {"id": slip_id, "requestedBy": REQUESTER}


def windows(*days: str, begin: str = "00:00", end: str = "00:00") -> Object:
    """Return individually agreed maintenance windows; by default the whole of these days."""
    agreed = {
        "timeZone": "Etc/UTC",
        "windows": [{"days": list(days), "start": begin, "end": end}],
        "agreedBy": "Anna Beispiel",
        "agreedAt": "2026-01-01T09:00:00Z",
    }
    return {"agreed": agreed}


@contextmanager
def fault_lab(directory: Path) -> Iterator[FaultLab]:
    """Start a lab of its own with a proxy before it; it ends with the block."""
    inventory = simulator.without_guests(simulator.read_inventory())
    made = world.up(directory=directory, inventory=inventory)
    try:
        with FaultProxy(made) as proxy:
            client = connect(made.kubeconfig)
            _furnish(client, proxy.to_vcenter().address)
            yield FaultLab(made, proxy, client, vcenter_admin.of(made))
    finally:
        world.down(directory)


def _furnish(client: Client, vcenter: str) -> None:
    """Create a customer with a namespace, and lead the VCenter through the proxy."""
    ledger = {"name": NAMESPACE, "labels": {"managedvm.dev/ledger": "true"}}
    who = {"email": REQUESTER, "name": "Anna Beispiel", "from": "2026-01-01T00:00:00Z"}
    party = customer(NAMESPACE, NAMESPACE)
    grants = [{"namespace": NAMESPACE, "folder": f"/Berlin/vm/{NAMESPACE}"}]
    berlin = custom("VCenter", "berlin", None, {})
    # Where a VCenter points may only be changed while nothing is done there.
    moved = {"server": vcenter, "maximumMode": "Observe", "grants": grants, "budget": {"concurrentTasks": 16}}
    for answer in (
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": ledger}),
        client.create(party),
        client.create(custom("CustomerContacts", "contacts", NAMESPACE, {"requesters": [who]})),
        client.patch(berlin, {"spec": moved}),
        client.patch(berlin, {"spec": {"maximumMode": "Enforce"}}),
    ):
        assert_done(answer)


def _scrubbed(text: str, name: str) -> str:
    for pattern, word in _SCRUBBED:
        text = pattern.sub(word, text)
    return text.replace(name, "<vm>")


def _said(condition: Mapping[str, Any], name: str) -> tuple[str, str, str, str]:
    words = _scrubbed(condition["message"], name)
    return condition["type"], condition["status"], condition["reason"], words


def _asked(request: Object, name: str) -> tuple[str, ...]:
    change, status = request["spec"]["change"], request.get("status", {})
    succeeded = [_said(c, name) for c in status.get("conditions", ()) if c["type"] == "Succeeded"]
    assessment = status.get("assessment", {})
    return (
        change["aspect"],
        change["before"],
        change["after"],
        status.get("state", ""),
        str(succeeded),
        assessment.get("clause", ""),
        assessment.get("billing", ""),
    )


def _worked(entry: Object, name: str) -> tuple[str, ...]:
    spec = entry["spec"]
    charge = spec["charge"]
    told = "with its task" if spec.get("evidence", {}).get("task") else "without a task"
    return _scrubbed(spec["activity"], name), charge["counted"], charge["amount"], charge["currency"], told
