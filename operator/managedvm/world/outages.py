"""Outages, and the planned times that excuse them, read from what is held in memory."""

from collections.abc import Hashable, Iterable
from typing import Any

from managedvm.api.changerequest import RequestState, Slot
from managedvm.api.outage import Outage
from managedvm.engine.store import Store
from managedvm.planning.identity import Sight
from managedvm.planning.observed import Unknown, VirtualMachine

_GIVEN_UP = frozenset({RequestState.WITHDRAWN.value, RequestState.REFUSED.value})


def subject(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what an outage is found: its vCenter, and the VM, or the namespace where no VM could be seen."""
    spec = body["spec"]
    return [(spec["vCenterUUID"], spec.get("instanceUUID") or body["metadata"]["namespace"])]


def lasting(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return under what an outage is found while it lasts: its ManagedVM, or its vCenter where no VM could be seen."""
    if "end" in (body.get("status") or {}):
        return ()
    spec = body["spec"]
    if "managedVMRef" in spec:
        return [(body["metadata"]["namespace"], spec["managedVMRef"]["name"])]
    return [spec["vCenterUUID"]]


def outages_of(
    store: Store, namespace: str, sight: Sight | Unknown | None, vm: VirtualMachine | None
) -> tuple[Outage, ...]:
    """Return the outages of a VM, and the times in which none of its namespace and vCenter could be seen, by begin."""
    if vm is None or not isinstance(sight, Sight):
        return ()
    found = (
        Outage.of(body)
        for key in (vm.instance_uuid, namespace)
        for body in store.by_index("Outage", "subject", (sight.vcenter_uuid, key))
    )
    return tuple(sorted(found, key=lambda one: (one.spec.begin, one.metadata.name)))


def planned_for(store: Store, namespace: str, name: str) -> tuple[Slot, ...]:
    """Return the times that requests for a ManagedVM were planned for, unless they were given up."""
    stati = (body.get("status") or {} for body in store.by_index("ChangeRequest", "vm", (namespace, name)))
    return tuple(
        Slot.model_validate(status["slot"])
        for status in stati
        if status.get("slot") and status.get("state") not in _GIVEN_UP
    )
