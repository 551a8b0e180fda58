"""Which clusters hold managed VMs, of which service levels: a cluster counts while a VM in it is managed, and no longer."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from managedvm.engine.objects import ObjectKey


@dataclass(frozen=True, slots=True)
class Place:
    """Where a managed VM is: the VCenter by name and by identity, the cluster by reference; and the level of its order."""

    vcenter: str
    vcenter_uuid: str
    cluster: str
    level: str


class ManagedClusters:
    """The place of each managed VM as its latest pass has found it."""

    def __init__(self) -> None:
        self._of: dict[ObjectKey, Place] = {}
        self._shared: dict[Place, Place] = {}
        self._count: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(
            lambda: defaultdict(Counter)
        )

    def note(self, key: ObjectKey, place: Place | None) -> tuple[str, ...]:
        """Note where a VM is, None where it is not managed; returns the VCenters for which that changes anything."""
        before = self._of.get(key)
        if before == place:
            return ()
        told = []
        if before is not None:
            del self._of[key]
            if self._less(before):
                told.append(before.vcenter)
        if place is not None:
            # Ten thousand VMs share a few places.
            self._of[key] = self._shared.setdefault(place, place)
            if self._more(place):
                told.append(place.vcenter)
        return tuple(dict.fromkeys(told))

    def of(self, vcenter_uuid: str) -> Mapping[str, frozenset[str]]:
        """Return the levels in each cluster of a vCenter that holds managed VMs, by the cluster's reference."""
        if vcenter_uuid not in self._count:
            return {}
        clusters = self._count[vcenter_uuid]
        return {cluster: frozenset(levels) for cluster, levels in sorted(clusters.items())}

    def _more(self, place: Place) -> bool:
        levels = self._count[place.vcenter_uuid][place.cluster]
        levels[place.level] += 1
        return levels[place.level] == 1

    def _less(self, place: Place) -> bool:
        clusters = self._count[place.vcenter_uuid]
        levels = clusters[place.cluster]
        levels[place.level] -= 1
        if levels[place.level]:
            return False
        del levels[place.level]
        self._shared.pop(place, None)
        if not levels:
            del clusters[place.cluster]
        return True
