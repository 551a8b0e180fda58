"""Which clusters hold managed VMs, of which service levels: a cluster counts while a VM in it is managed, and no longer."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from managedvm.engine.objects import ObjectKey


@dataclass(frozen=True, slots=True)
class Place:
    """Where a managed VM is: the VCenter by name and by identity, the cluster by reference; and the level of its order.

    `may_act`: its claim is held and it may be changed. A cluster is kept for such VMs alone.
    """

    vcenter: str
    vcenter_uuid: str
    cluster: str
    level: str
    may_act: bool


class ManagedClusters:
    """The place of each managed VM as its latest pass has found it."""

    def __init__(self) -> None:
        self._of: dict[ObjectKey, Place] = {}
        self._shared: dict[Place, Place] = {}
        self._count: defaultdict[str, defaultdict[str, Counter[Place]]] = defaultdict(
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

    def of(self, vcenter_uuid: str, *, acting_only: bool = False) -> Mapping[str, frozenset[str]]:
        """Return the levels in each cluster of a vCenter that holds managed VMs, by the cluster's reference.

        With `acting_only` the levels of those VMs alone that may be changed; none where there is no such VM.
        """
        if vcenter_uuid not in self._count:
            return {}
        clusters = self._count[vcenter_uuid]
        return {
            cluster: frozenset(place.level for place in places if place.may_act or not acting_only)
            for cluster, places in sorted(clusters.items())
        }

    def _more(self, place: Place) -> bool:
        places = self._count[place.vcenter_uuid][place.cluster]
        places[place] += 1
        return places[place] == 1

    def _less(self, place: Place) -> bool:
        clusters = self._count[place.vcenter_uuid]
        places = clusters[place.cluster]
        places[place] -= 1
        if places[place]:
            return False
        del places[place]
        self._shared.pop(place, None)
        if not places:
            del clusters[place.cluster]
        return True
