"""Times in which no VM of a vCenter could be seen (clause 1): not up, not down, but not measured, and recorded as that.

One record for each namespace with measured VMs: its customer may read it, and a thousand VMs do not cost a thousand writes.
It is begun once nobody has seen them for longer than a short gap, and ended when somebody does, by whichever process.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from managedvm.api.outage import Outage, OutageCause, OutageSpec, OutageStatus
from managedvm.planning.names import outage_name
from managedvm.planning.outages import SHORT_GAP, end_of, record_of
from managedvm.planning.plan import Part

_A_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Unseen:
    """What decides about the gaps of one vCenter.

    `namespaces` have measured VMs of it, `records` are the gaps that are recorded. `unwatched_since` is when an operator
    last watched before this one took over, None where what was missed is recorded.
    """

    namespaces: tuple[str, ...] = ()
    records: tuple[Outage, ...] = ()
    unwatched_since: datetime | None = None


def plan_gaps(unseen: Unseen, vcenter_uuid: str, unseen_since: datetime | None, now: datetime) -> Part:
    """Return the gaps to begin or end. `unseen_since` is when the vCenter was last seen, None while it is.

    A plan without actions and without a next check has nothing left to catch up with.
    """
    begins = [at for at in (unseen.unwatched_since, unseen_since) if at is not None]
    lasting = [one for one in unseen.records if one.status.end is None]
    if unseen_since is None:
        ends = tuple(end_of(one, OutageStatus(end=max(now, one.spec.begin))) for one in lasting)
        if ends:
            return Part(actions=ends)
    if not begins or not unseen.namespaces:
        return Part()
    begin = min(begins).replace(microsecond=0)
    # Whoever began to make up for it and ended has recorded a part.
    begin = max(
        [begin, *(one.status.end for one in unseen.records if one.status.end and begin <= one.spec.begin)]
    )
    if now - begin <= SHORT_GAP:
        # One that is over was short; one that lasts may yet be long.
        return Part() if unseen_since is None else Part(next_check=begin + SHORT_GAP + _A_MOMENT)
    names = {one.metadata.name for one in unseen.records}
    held = {one.metadata.namespace for one in lasting}
    actions = []
    for namespace in unseen.namespaces:
        name = outage_name(vcenter_uuid, namespace, OutageCause.NOT_MEASURED, begin)
        if name not in names and namespace not in held:
            spec = OutageSpec(cause=OutageCause.NOT_MEASURED, begin=begin, v_center_uuid=vcenter_uuid)
            actions.append(record_of(namespace, name, spec))
    return Part(actions=tuple(actions))
