"""Many billable orders under fire, and the driver's own list that the ledger is compared with at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.api.bodies import Object, custom
from tests.faults.faultlab import NAMESPACE, REQUESTER

if TYPE_CHECKING:
    from tests.faults.faultlab import FaultLab

PRICE = Decimal("30.00")
"""What one automated change costs by the price list of the catalogue: a quarter of an hour at 120.00."""

_FIRST_GIB = 4


@dataclass(frozen=True, slots=True)
class Order:
    """One order of the driver: GiB of memory before and after, with its slip and ticket."""

    vm: str
    number: int

    @property
    def slip(self) -> str:
        """The id of the order slip."""
        return f"order-{self.number:05}"

    @property
    def ticket(self) -> str:
        """The ticket that the order names."""
        return f"T-{self.vm}-{self.number}"

    @property
    def before(self) -> str:
        """The memory that the VM has when it is ordered."""
        return f"{_FIRST_GIB + self.number - 1}Gi"

    @property
    def after(self) -> str:
        """The memory that is ordered."""
        return f"{_FIRST_GIB + self.number}Gi"


@dataclass(slots=True)
class Driver:
    """Orders one change after the other for each VM, as soon as the one before has come to rest."""

    lab: FaultLab
    vms: tuple[str, ...]
    placed: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    done: int = 0

    @property
    def orders(self) -> list[Order]:
        """All that was ordered so far."""
        return [order for orders in self.placed.values() for order in orders]

    def go_on(self, count: int) -> int:
        """Place an order for each VM at rest until `count` were placed in all; return how many have come to rest."""
        at_rest = {vm for vm, body in self._bodies().items() if vm in self.vms and _is_at_rest(body)}
        busy = len(self.vms) - len(at_rest)
        done = max(0, len(self.orders) - busy)
        for vm in sorted(at_rest)[: max(0, count - len(self.orders))]:
            order = Order(vm, len(self.placed[vm]) + 1)
            self.placed[vm].append(order)
            slip = {"id": order.slip, "requestedBy": REQUESTER, "ticket": order.ticket}
            self.lab.patch(vm, resources={"memory": order.after}, change=slip)
        return done

    def _bodies(self) -> dict[str, Object]:
        listed = self.lab.client.list(custom("ManagedVM", "-", NAMESPACE, {}))
        return {body["metadata"]["name"]: body for body in listed}


@dataclass(frozen=True, slots=True)
class Audit:
    """What of the ledger is not as the driver's own list has it, in words; and the two totals."""

    missing: tuple[str, ...]
    doubled: tuple[str, ...]
    altered: tuple[str, ...]
    billed: Decimal
    ordered: Decimal
    not_once: tuple[str, ...]
    """VMs that vCenter has changed more or less often than was ordered."""

    @property
    def is_clean(self) -> bool:
        """Whether the ledger is exactly the driver's list."""
        return (
            not (self.missing or self.doubled or self.altered or self.not_once)
            and self.billed == self.ordered
        )


def audit(lab: FaultLab, orders: list[Order]) -> Audit:
    """Compare every ChangeRequest and WorkEntry in the API server, and vCenter's tasks, with the list."""
    vms = {order.vm for order in orders}
    requests: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for body in lab.client.list(custom("ChangeRequest", "-", NAMESPACE, {})):
        if body["spec"]["managedVMRef"]["name"] in vms:
            requests[body["spec"]["managedVMRef"]["name"], body["spec"]["change"]["id"]].append(body)
    work: dict[str, list[Object]] = defaultdict(list)
    for body in lab.client.list(custom("WorkEntry", "-", NAMESPACE, {})):
        work[body["spec"]["changeRequestRef"]["name"]].append(body)
    wanted = {(order.vm, order.slip): order for order in orders}
    missing = [str(key) for key in wanted if key not in requests]
    doubled = [str(key) for key, found in requests.items() if len(found) > 1 or key not in wanted]
    altered, billed = [], Decimal(0)
    for key, order in wanted.items():
        for request in requests.get(key, ()):
            entries = work[request["metadata"]["name"]]
            missing += [f"work on {key}"] if not entries else []
            doubled += [f"work on {key}"] if len(entries) > 1 else []
            altered += [f"{key}: {what}" for what in _differences(order, request, entries)]
            billed += sum((Decimal(entry["spec"]["charge"]["amount"]) for entry in entries), Decimal(0))
    changes = Counter(order.vm for order in orders)
    taken = lab.mutations(*vms)
    # One reconfiguration more for each VM: the note of what it had when it was adopted.
    not_once = [vm for vm in vms if taken[vm]["ReconfigVM_Task"] != changes[vm] + 1]
    return Audit(*map(tuple, (missing, doubled, altered)), billed, PRICE * len(orders), tuple(not_once))


def _differences(order: Order, request: Object, entries: list[Object]) -> list[str]:
    spec, status = request["spec"], request.get("status", {})
    wanted = {
        "requestedBy": REQUESTER,
        "ticket": order.ticket,
        "aspect": "Memory",
        "before": order.before,
        "after": order.after,
        "state": "Done",
        "billing": "Effort",
    }
    found: dict[str, Any] = {
        **{name: spec.get(name) for name in ("requestedBy", "ticket")},
        **{name: spec["change"][name] for name in ("aspect", "before", "after")},
        "state": status.get("state"),
        "billing": status.get("assessment", {}).get("billing"),
    }
    wrong = [
        f"{name} is {found[name]!r}, not {value!r}" for name, value in wanted.items() if found[name] != value
    ]
    amounts = {entry["spec"]["charge"]["amount"] for entry in entries} - {str(PRICE)}
    return wrong + [f"billed {amount}" for amount in amounts]


def _is_at_rest(body: Object) -> bool:
    status = body.get("status", {})
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return False
    said = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    return said.get("ResourcesAsAgreed") == "True"
