"""What a closed month says of availability (clause 1) and of the recovery of faults (clause 4.1), VM by VM."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby

from managedvm.api.base import LocalReference
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.statement import AvailabilityLine, RecoveryLine
from managedvm.planning.calendar import Interval
from managedvm.planning.sla import accounts
from managedvm.planning.uptime import Spans, Uptime, of_records, shown_percent

Key = tuple[str, str, str]
"""Namespace, ManagedVM and order of a line: there is one of each in a month."""


def availability_lines(
    managed: Iterable[ManagedVM],
    levels: Mapping[str, ServiceLevelSpec],
    outages: Iterable[Outage],
    month: Interval,
) -> tuple[AvailabilityLine, ...]:
    """Return one line for each order of each VM in the month, sorted; of a ManagedVM that is gone, what its records tell."""
    listed = tuple(outages)
    found = {key_of_line(line): line for vm in managed for line in _of_vm(vm, levels, listed, month)}
    for line in _of_others(listed, month):
        found.setdefault(key_of_line(line), line)
    return tuple(line for _, line in sorted(found.items()))


def recovery_lines(requests: Iterable[ChangeRequest], month: Interval) -> tuple[RecoveryLine, ...]:
    """Return one line for each fault that was reported in the month, by the time of its report."""
    found = [
        RecoveryLine(
            namespace=request.metadata.namespace,
            change_request_ref=LocalReference(name=request.metadata.name),
            managed_vm_ref=request.spec.managed_vm_ref,
            reported_at=reported,
            due_at=request.status.recovery.due_at,
            recovered_at=request.status.recovery.recovered_at,
            is_missed=request.status.recovery.is_missed,
        )
        for request in requests
        if request.status.recovery is not None
        and (reported := request.metadata.creation_timestamp) is not None
        and reported in month
    ]
    return tuple(
        sorted(found, key=lambda line: (line.reported_at, line.namespace, line.change_request_ref.name))
    )


def key_of_line(line: AvailabilityLine) -> Key:
    """Return what tells the lines of a month apart."""
    return line.namespace, line.managed_vm_ref.name, line.order


def _of_vm(
    vm: ManagedVM, levels: Mapping[str, ServiceLevelSpec], outages: tuple[Outage, ...], month: Interval
) -> Iterator[AvailabilityLine]:
    seen, namespace = vm.status.vm, vm.metadata.namespace
    mine = [
        one
        for one in outages
        if seen is not None
        and (one.metadata.namespace, one.spec.v_center_uuid) == (namespace, seen.v_center_uuid)
        and one.spec.instance_uuid in (None, seen.instance_uuid)
    ]
    since = vm.status.availability.measured_since if vm.status.availability else None
    for account in accounts(vm.spec.orders, levels.get, since, mine, period=month, now=month.end):
        yield _line(
            (namespace, vm.metadata.name, account.order.reference),
            account.order.service_level,
            account.uptime,
            promised=account.level.availability_percent,
            is_known=True,
        )


def _of_others(outages: tuple[Outage, ...], month: Interval) -> Iterator[AvailabilityLine]:
    """Yield what the records tell by themselves: how long the VM was agreed for and measured, nobody knows from them."""
    named = [one for one in outages if one.spec.managed_vm_ref is not None and one.spec.order is not None]
    for (key, level), group in groupby(sorted(named, key=_told), key=_told):
        uptime = of_records(
            Spans((month,)), datetime.min.replace(tzinfo=month.begin.tzinfo), group, month.end
        )
        if uptime.counted or uptime.excluded:
            yield _line(key, level, uptime, promised=None, is_known=False)


def _told(outage: Outage) -> tuple[Key, str]:
    spec, vm = outage.spec, outage.spec.managed_vm_ref
    key = (outage.metadata.namespace, vm.name if vm else "", spec.order or "")
    return key, spec.service_level or ""


def _line(key: Key, level: str, uptime: Uptime, *, promised: str | None, is_known: bool) -> AvailabilityLine:
    namespace, name, order = key
    share = uptime.availability if is_known else None
    return AvailabilityLine(
        namespace=namespace,
        managed_vm_ref=LocalReference(name=name),
        order=order,
        service_level=level,
        promised_percent=promised,
        agreed=uptime.agreed if is_known else None,
        counted=uptime.counted,
        excluded=uptime.excluded,
        unmeasured=uptime.unmeasured if is_known else None,
        availability_percent=shown_percent(share) if share is not None else None,
    )
