"""Whether a ManagedVM and all that was read for it are still as they were when its last pass found nothing to do.

A plan is pure: the same objects and the same facts, before the instant that it named itself, give the same plan. So what
was decided is compared with, not decided again; a mark of eight bytes is all that is kept of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from managedvm.api.customercontacts import CustomerContacts
from managedvm.api.managedvm import ManagedVM
from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.planning.names import claim_name
from managedvm.planning.vcenter import Connection
from managedvm.world.observe import View

_LISTS = CustomerContacts.KIND.kind

OF_ONE_VM = frozenset({"ManagedVM", "VMClaim", "ChangeRequest", "RequestDecision", "WorkEntry", "Outage"})
"""Kinds whose objects are about one VM each: a pass reads those about its own, so a change of others' is none for it."""


class Names(NamedTuple):
    """Under what a pass looks for its VM and its requests: VCenter, UUID, path, claim, and the id of its order slip."""

    vcenter: str
    instance_uuid: str
    path: str
    claim: str
    slip: str


@dataclass(frozen=True, slots=True)
class Sighted:
    """Which VM a pass was about, and the mark of all that it could read."""

    names: Names
    mark: int


@dataclass(frozen=True, slots=True)
class _Settled:
    sighted: Sighted
    until: datetime | None


class Unchanged:
    """Remembers for each ManagedVM whose pass found nothing to do what that was decided on."""

    def __init__(self, store: Store, view_of: Callable[[str], View | None]) -> None:
        self._store = store
        self._view_of = view_of
        self._settled: dict[ObjectKey, _Settled] = {}

    def sighted(self, key: ObjectKey, vm: ManagedVM) -> Sighted | None:
        """Return what a pass that begins now will be decided on, or None where no VM can be seen for certain."""
        if vm.status.vm is None:
            return None
        wanted, seen, change = vm.spec.vm, vm.status.vm, vm.spec.change
        claim = claim_name(seen.v_center_uuid, seen.instance_uuid)
        path, slip = wanted.inventory_path or "", change.id if change else ""
        names = Names(wanted.v_center_ref.name, seen.instance_uuid, path, claim, slip)
        mark = self._mark(key, names)
        return None if mark is None else Sighted(names, mark)

    def note(self, key: ObjectKey, sighted: Sighted | None, until: datetime | None) -> None:
        """Note that a pass had nothing to do and nothing to say, and until when that is so unless something changes."""
        if sighted is not None:
            self._settled[key] = _Settled(sighted, until)

    def holds(self, key: ObjectKey, now: datetime) -> bool:
        """Return whether a pass would find what the last one found; where not, that is forgotten."""
        settled = self._settled.get(key)
        if settled is None:
            return False
        seen = settled.sighted
        is_early = settled.until is None or now < settled.until
        if is_early and self._mark(key, seen.names) == seen.mark:
            return True
        del self._settled[key]
        return False

    def until(self, key: ObjectKey) -> datetime | None:
        """Return when the last pass wants to look again."""
        return self._settled[key].until

    def _mark(self, key: ObjectKey, names: Names) -> int | None:
        """Return a number that differs as soon as an object that a pass may read, or a fact of the VM does."""
        link = self._view_of(names.vcenter)
        if link is None or link.is_filling or not isinstance(link.connection, Connection):
            return None
        inventory = link.inventory
        vm = inventory.vm_by_uuid(names.instance_uuid)
        if vm is None:
            return None
        path = names.path
        at_path = inventory.vm_by_path(path) if path else None
        store, own = self._store, (key.namespace, key.name)
        read = (
            store.edition(key.namespace, but=OF_ONE_VM),
            store.edition("", but=OF_ONE_VM),
            store.version(*key),
            store.versions("VMClaim", "owner", own),
            store.version("VMClaim", "", names.claim),
            # Decisions and work count while a request is open, and then nothing is noted.
            store.versions("ChangeRequest", "open", own),
            store.versions("ChangeRequest", "slip", (*own, names.slip)),
            store.versions("ChangeRequest", "planned", own),
            # A customer's lists in its other namespaces count (planning.authority); a change of any list is rare.
            (store.newest(_LISTS), store.count(_LISTS)),
            *(
                store.versions("Outage", "subject", (link.connection.vcenter_uuid, of))
                for of in (names.instance_uuid, key.namespace)
            ),
            link.connection,
            vm,
            at_path.moref if at_path else None,
            inventory.is_ambiguous(path) if path else False,
            inventory.unidentified,
            inventory.cluster(vm.cluster) if vm.cluster else None,
        )
        return hash(repr(read))
