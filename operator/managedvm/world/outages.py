"""Outages, and the planned times that excuse them, read from what is held in memory."""

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Any

from managedvm.api.changerequest import RecordOrigin, RequestState
from managedvm.api.outage import Outage
from managedvm.engine.store import Store
from managedvm.planning.gaps import Unseen
from managedvm.planning.identity import Sight
from managedvm.planning.observed import Unknown, VirtualMachine
from managedvm.planning.outages import Planned, is_up
from managedvm.world.records import is_ledger

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


def planned(body: dict[str, Any]) -> Iterable[Hashable]:
    """Return the ManagedVM for which a request was planned for a time, none where it was not."""
    is_planned = "slot" in (body.get("status") or {})
    return [(body["metadata"]["namespace"], body["spec"]["managedVMRef"]["name"])] if is_planned else []


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


def may_end(vm: VirtualMachine | None, outages: Iterable[Outage]) -> bool:
    """Return whether a pass may end an outage, so that it matters what was planned; of requests there are ever more."""
    is_troubled = vm is not None and (not is_up(vm) or vm.power_events)
    return bool(is_troubled) or any(one.status.end is None for one in outages)


def planned_for(store: Store, namespace: str, name: str) -> tuple[Planned, ...]:
    """Return the times that requests for a ManagedVM were planned for, unless they were given up."""
    bodies = store.by_index("ChangeRequest", "planned", (namespace, name))
    found = (_plan_of(body["spec"], body["status"]) for body in bodies)
    return tuple(plan for plan in found if plan is not None)


def _plan_of(spec: dict[str, Any], status: dict[str, Any]) -> Planned | None:
    begin, end = (datetime.fromisoformat(status["slot"][name]) for name in ("begin", "end"))
    # We have begun in the slot: the guest was asked to shut down, whatever became of the request then.
    is_begun = "startedAt" in status and begin <= datetime.fromisoformat(status["startedAt"])
    is_cycle = is_begun and spec.get("origin") == RecordOrigin.OPERATOR
    return None if status.get("state") in _GIVEN_UP and not is_cycle else Planned(begin, end, is_cycle)


def is_measured(store: Store, outage: Outage) -> bool:
    """Return whether the ManagedVM of an outage is there and may still have that VM."""
    ref = outage.spec.managed_vm_ref
    body = store.get("ManagedVM", outage.metadata.namespace, ref.name) if ref else None
    seen = ((body or {}).get("status") or {}).get("vm") or {}
    return body is not None and seen.get("instanceUUID") in (None, outage.spec.instance_uuid)


class Watch:
    """Since when nobody watched before this process did, for each VCenter until what was missed there is recorded."""

    def __init__(
        self,
        unwatched_since: Callable[[], datetime | None] = lambda: None,
        names: Callable[[], Iterable[str]] = tuple,
        all_done: Callable[[], object] = lambda: None,
    ) -> None:
        self._unwatched_since = unwatched_since
        self._names = names
        self._all_done = all_done
        self._done: set[str] = set()

    def since(self, vcenter: str) -> datetime | None:
        """Return since when nobody watched a vCenter, None where that is recorded."""
        return None if vcenter in self._done else self._unwatched_since()

    def note(self, vcenter: str) -> None:
        """Note that nothing of a vCenter is missing in the records any more."""
        self._done.add(vcenter)
        if self._unwatched_since() is not None and self._done.issuperset(self._names()):
            self._all_done()


def unseen(store: Store, vcenter: str, watch: Watch) -> Unseen:
    """Return what decides about the times in which no VM of a VCenter could be seen."""
    uuid = ((store.get("VCenter", "", vcenter) or {}).get("status") or {}).get("instanceUUID")
    measured = {
        body["metadata"]["namespace"]
        for body in store.by_index("ManagedVM", "vcenter", vcenter)
        if "availability" in (body.get("status") or {})
    }
    namespaces = tuple(sorted(name for name in measured if is_ledger(store, name)))
    records = (body for name in namespaces for body in store.by_index("Outage", "subject", (uuid, name)))
    return Unseen(namespaces, tuple(Outage.of(body) for body in records), watch.since(vcenter))
