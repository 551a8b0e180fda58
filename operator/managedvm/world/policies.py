"""Whether the admission policies that protect orders and records are in force, read from what is held in memory."""

from managedvm.api.policies import REQUIRED_POLICIES, binding_of, why_not_in_force
from managedvm.engine.store import Store


class PoliciesInForce:
    """Looks at policies and bindings again only where one of them has changed: every pass asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: tuple[int | None, ...] = ()
        self._missing: tuple[str, ...] = ()

    def missing(self) -> tuple[str, ...]:
        """Return what is not in force, each with the reason: without it anybody could write anything in any name."""
        seen = tuple(
            self._store.version(each, "", name)
            for kind, names in REQUIRED_POLICIES.items()
            for name in names
            for each in (kind, binding_of(kind))
        )
        if seen != self._seen:
            self._seen, self._missing = seen, self._look()
        return self._missing

    def _look(self) -> tuple[str, ...]:
        found = (
            (name, why_not_in_force(kind, name, self._get(kind, name), self._get(binding_of(kind), name)))
            for kind, names in REQUIRED_POLICIES.items()
            for name in sorted(names)
        )
        return tuple(f"{name} ({why})" for name, why in found if why is not None)

    def _get(self, kind: str, name: str) -> dict[str, object] | None:
        return self._store.get(kind, "", name)
