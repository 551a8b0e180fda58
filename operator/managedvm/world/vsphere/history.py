"""What vCenter's own history tells of each VM: the latest HA restarts, and the latest changes of power."""

from collections.abc import Collection
from typing import Generic, Protocol, TypeVar


class _Event(Protocol):
    """An event of vCenter's; keys only ever grow."""

    @property
    def key(self) -> int: ...


E = TypeVar("E", bound=_Event)

_KEPT = 16
"""Events of one sort remembered per VM; the contract allows three restarts in a row."""


class Log(Generic[E]):
    """The latest events of one sort, by the reference of the VM and in the order of their keys."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[E, ...]] = {}

    def of(self, moref: str) -> tuple[E, ...]:
        """Return the events of a VM."""
        return self._of.get(moref, ())

    def put(self, moref: str, event: E) -> bool:
        """Take an event in; return whether it was not known."""
        seen = self.of(moref)
        # What is older than all that is kept was known once.
        if any(known.key == event.key for known in seen) or (len(seen) == _KEPT and event.key < seen[0].key):
            return False
        self._of[moref] = tuple(sorted((*seen, event), key=lambda one: one.key))[-_KEPT:]
        return True

    def drop(self, moref: str) -> None:
        """Forget a VM."""
        self._of.pop(moref, None)

    def keep(self, morefs: Collection[str]) -> None:
        """Forget all other VMs."""
        self._of = {moref: seen for moref, seen in self._of.items() if moref in morefs}
