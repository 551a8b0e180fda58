"""Outages of one VM (clause 1): what becomes a record, when it ends, and what of it does not count.

Decided by what vCenter tells and by the records there are, so that whoever looks writes the same. Power goes by vCenter's
own history, which tells also what happened while nobody looked; everything else by what was seen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from managedvm.api.base import API_VERSION, LocalReference
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import ManagedVM
from managedvm.api.order import Order
from managedvm.api.outage import (
    SPANS_PER_OUTAGE,
    ExcludedSpan,
    Outage,
    OutageCause,
    OutageExclusion,
    OutageSpec,
    OutageStatus,
)
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.planning.actions import EndOutage, RecordOutage
from managedvm.planning.authority import is_valid
from managedvm.planning.calendar import Calendar
from managedvm.planning.names import outage_name
from managedvm.planning.observed import Heartbeat, PowerEvent, PowerState, VirtualMachine
from managedvm.planning.plan import Part, earliest
from managedvm.planning.uptime import Spans

HISTORY_LAG = timedelta(seconds=10)
"""How long vCenter's history may be behind the state that it is the history of."""

SHORT_GAP = timedelta(seconds=30)
"""Not to be seen for no longer than this hides nothing that would have been called an outage."""

CLOCKS_AGREE = timedelta(minutes=2)
"""How long after its begin an outage is not ended by what was seen before it."""

_SHUTDOWN = timedelta(minutes=10)
"""How long after a guest was asked to shut down its power-off is believed to be the answer."""

_CAUSES = {PowerState.OFF: OutageCause.POWERED_OFF, PowerState.SUSPENDED: OutageCause.SUSPENDED}
_POWER = {cause: power for power, cause in _CAUSES.items()}
_BEATS = frozenset({Heartbeat.GREEN, Heartbeat.YELLOW})


@dataclass(frozen=True, slots=True)
class Planned:
    """A time that a request was planned for. `is_power_cycle`: we asked the guest to shut down for it."""

    begin: datetime
    end: datetime
    is_power_cycle: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What decides about the outages of one VM.

    `since` is when it was first seen up; `records` are all of this VM, and those of times in which nothing of its vCenter
    could be seen.

    `plans` are the times that requests for it were planned for and that were not given up.
    """

    vm: ManagedVM
    vcenter_uuid: str
    facts: VirtualMachine
    order: Order | None
    level: ServiceLevelSpec | None
    windows: Calendar | None
    since: datetime
    records: tuple[Outage, ...]
    plans: tuple[Planned, ...]
    requesters: tuple[Requester, ...]


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which the VM was not up; without an end it lasts. `by` is the user that vCenter names, or empty."""

    cause: OutageCause
    begin: datetime
    end: datetime | None = None
    by: str = ""


def is_up(facts: VirtualMachine) -> bool:
    """Return whether a VM is seen to be up."""
    return facts.connected and facts.power is PowerState.ON and facts.heartbeat is not Heartbeat.RED


def plan_outages(measured: Measured, now: datetime) -> Part:
    """Return the records that are to be begun or ended, and when to look again though nothing changed."""
    actions: list[RecordOutage | EndOutage] = []
    waits: list[datetime] = []
    records = [one for one in measured.records if one.spec.instance_uuid is not None]
    lasting = [record for record in records if record.status.end is None]
    for record in lasting:
        end = _end_of(record, measured.facts, now)
        if isinstance(end, _Wait):
            waits.append(end.until)
        elif end is not None:
            actions.append(ended(measured, record, end, now))
    present = _present(measured.facts, measured.level, now)
    if isinstance(present, _Wait):
        waits.append(present.until)
    elif present is not None and all(record.spec.cause is not present.cause for record in lasting):
        actions += _recorded(measured, present, now)
    for spell in told_by_history(measured.facts):
        if spell.end is not None and measured.since < spell.end and not _is_known(spell, records, now):
            actions += _recorded(measured, spell, now)
    return Part(actions=tuple(actions), next_check=earliest(waits))


def told_by_history(facts: VirtualMachine) -> tuple[Spell, ...]:
    """Return the times off and suspended that vCenter's history tells, by begin; the last one may last.

    They are in whole seconds, as records are.
    """
    found: list[Spell] = []
    asked: PowerEvent | None = None
    for event in (replace(one, at=one.at.replace(microsecond=0)) for one in facts.power_events):
        if event.power is None:
            asked = event
            continue
        cause = _CAUSES.get(event.power)
        if found and found[-1].end is None and found[-1].cause is not cause:
            found[-1] = Spell(found[-1].cause, found[-1].begin, event.at, found[-1].by)
        if cause is not None and (not found or found[-1].end is not None):
            is_answer = asked is not None and event.at - asked.at <= _SHUTDOWN
            found.append(Spell(cause, event.at, by=event.by or (asked.by if asked and is_answer else "")))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Wait:
    """It can be told at that time."""

    until: datetime


def _present(facts: VirtualMachine, level: ServiceLevelSpec | None, now: datetime) -> Spell | _Wait | None:
    """Return what is wrong with the VM now, None while nothing is."""
    if not facts.connected:
        cause = OutageCause.NOT_MEASURED if facts.host_responds else OutageCause.HOST_DOWN
        return _after(Spell(cause, facts.connected_since), SHORT_GAP, now)
    if facts.power is not PowerState.ON:
        told = next((spell for spell in told_by_history(facts) if spell.end is None), None)
        if told is not None and told.cause is _CAUSES[facts.power]:
            return told
        return _after(Spell(_CAUSES[facts.power], facts.power_since), HISTORY_LAG, now)
    if facts.heartbeat is Heartbeat.RED and level is not None:
        lost = Spell(OutageCause.HEARTBEAT_LOST, facts.heartbeat_since)
        return _after(lost, level.high_availability.heartbeat_failure_interval, now)
    return None


def _after(spell: Spell, time: timedelta, now: datetime) -> Spell | _Wait:
    until = spell.begin + time
    return _Wait(until) if now < until else spell


def _end_of(record: Outage, facts: VirtualMachine, now: datetime) -> datetime | _Wait | None:
    """Return when a lasting outage was over, None while it is not seen to be."""
    cause = record.spec.cause
    if not facts.connected:
        return None  # nothing is concluded of what cannot be seen
    if cause in (OutageCause.HOST_DOWN, OutageCause.NOT_MEASURED):
        return _seen(record, facts.connected_since, now)
    if cause is OutageCause.HEARTBEAT_LOST:
        if facts.power is not PowerState.ON:
            off = next((s.begin for s in told_by_history(facts) if s.end is None), facts.power_since)
            return _seen(record, off, now)
        # Gray is no heartbeat: what was lost is back when it beats.
        return _seen(record, facts.heartbeat_since, now) if facts.heartbeat in _BEATS else None
    return _end_of_power(record, facts, now)


def _end_of_power(record: Outage, facts: VirtualMachine, now: datetime) -> datetime | _Wait | None:
    """Return when a VM was switched on again, by vCenter's history as far as that tells."""
    cause = record.spec.cause
    told = [spell for spell in told_by_history(facts) if spell.cause is cause]
    same = next((spell for spell in reversed(told) if spell.begin == record.spec.begin), None)
    if same is not None:
        return same.end
    over = next(
        (spell.end for spell in told if spell.end is not None and record.spec.begin < spell.end), None
    )
    if over is not None or facts.power is _POWER[cause]:
        return over
    until = facts.power_since + HISTORY_LAG
    return _Wait(until) if now < until else _seen(record, facts.power_since, now)


def _seen(record: Outage, at: datetime, now: datetime) -> datetime | _Wait:
    """Return when an end was seen. One before the begin is old news, or the work of two clocks, which agree after a while."""
    until = record.spec.begin + CLOCKS_AGREE
    return _Wait(until) if at <= record.spec.begin and now < until else at


def _is_known(spell: Spell, records: Iterable[Outage], now: datetime) -> bool:
    """Return whether a record tells of this time already, by whatever clock."""
    return any(
        record.spec.cause is spell.cause
        and record.spec.begin <= (spell.end or now)
        and spell.begin <= (record.status.end or now)
        for record in records
    )


def _recorded(measured: Measured, spell: Spell, now: datetime) -> Iterator[RecordOutage | EndOutage]:
    """Yield the record of an outage, and its end where it is over; without an order nothing is promised."""
    if measured.order is None:
        return
    vm, uuid = measured.vm.metadata, measured.facts.instance_uuid
    begin = max(spell.begin, measured.since).replace(microsecond=0)
    taken = {one.metadata.name for one in measured.records}
    # Twice down within one second is two outages.
    while (name := outage_name(measured.vcenter_uuid, uuid, spell.cause, begin)) in taken:
        begin += timedelta(seconds=1)
    is_customer = spell.by and any(
        is_valid(one, begin) and one.email.casefold() == _address(spell.by) for one in measured.requesters
    )
    spec = OutageSpec(
        cause=spell.cause,
        begin=begin,
        v_center_uuid=measured.vcenter_uuid,
        instance_uuid=uuid,
        managed_vm_ref=LocalReference(name=vm.name),
        order=measured.order.reference,
        service_level=measured.order.service_level,
        by=spell.by or None,
        exclusion=OutageExclusion.BY_CUSTOMER if is_customer else None,
    )
    yield record_of(vm.namespace, name, spec)
    if spell.end is not None:
        record = Outage.of(dict(record_of(vm.namespace, name, spec).body))
        yield ended(measured, record, spell.end, now)


def record_of(namespace: str, name: str, spec: OutageSpec) -> RecordOutage:
    """Return the action that creates an outage."""
    meta = {"namespace": namespace, "name": name}
    return RecordOutage(
        {"apiVersion": API_VERSION, "kind": "Outage", "metadata": meta, "spec": spec.to_json()}
    )


def ended(measured: Measured, record: Outage, end: datetime, now: datetime) -> EndOutage:
    """Return the action that ends an outage, with what of it does not count by the windows and plans of now."""
    end = max(record.spec.begin, min(end, now)).replace(microsecond=0)
    facts = measured.facts
    ran_on = (
        record.spec.cause is OutageCause.HOST_DOWN
        and facts.booted_at is not None
        and facts.booted_at < record.spec.begin
    )
    status = OutageStatus(end=end, excluded=_excluded(measured, record.spec.begin, end), ran_on=ran_on)
    return end_of(record, status)


def abandoned(record: Outage, *, is_measured: bool, now: datetime) -> EndOutage | None:
    """Return the end of an outage whose VM nobody measures any more: what becomes of it is not known."""
    if record.status.end is not None or is_measured or record.spec.instance_uuid is None:
        return None
    return end_of(record, OutageStatus(end=max(now, record.spec.begin)))


def end_of(record: Outage, status: OutageStatus) -> EndOutage:
    """Return the action that writes how an outage ended."""
    meta = record.metadata
    return EndOutage(meta.namespace, meta.name, meta.resource_version, record.status, status)


def _excluded(measured: Measured, begin: datetime, end: datetime) -> tuple[ExcludedSpan, ...]:
    outage = Spans.between(begin, end)
    cycled, planned = (
        Spans.of(
            part
            for plan in measured.plans
            if plan.is_power_cycle is is_cycle
            for part in (outage & Spans.between(plan.begin, plan.end)).intervals
        )
        for is_cycle in (True, False)
    )
    # Where maintenance is announced, a window without an announcement is none.
    announces = measured.level is not None and measured.level.maintenance.announce_to_customer
    if measured.windows is not None and not announces:
        planned |= Spans.of(measured.windows.openings(begin, end))
    found = [
        ExcludedSpan(begin=part.begin, end=part.end, reason=reason)
        for reason, spans in (
            (OutageExclusion.POWER_CYCLE_ORDERED, cycled),
            (OutageExclusion.ANNOUNCED_WINDOW, planned - cycled),
        )
        for part in spans.intervals
    ]
    return tuple(sorted(found, key=lambda part: part.begin)[:SPANS_PER_OUTAGE])


def _address(user: str) -> str:
    """Return a user as vCenter names it, with a backslash behind the domain, as an address: `name@domain`."""
    domain, _, name = user.casefold().rpartition("\\")
    return f"{name}@{domain}" if domain else name
