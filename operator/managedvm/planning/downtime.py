"""What a ManagedVM shows of its availability (clause 1): since when it is measured, what has counted, what is promised.

Sums are of outages that have ended, so that nothing changes while nothing happens; a percentage is worked out when
somebody asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from managedvm.api.base import format_duration
from managedvm.api.managedvm import AvailabilityStatus, DowntimeStatus
from managedvm.api.outage import Outage
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.planning.calendar import Interval
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds, some
from managedvm.planning.outages import Measured, ended, is_up, plan_outages
from managedvm.planning.plan import Part, earliest
from managedvm.planning.reasons import Reason
from managedvm.planning.sla import Account, accounts, month_at, year_at, zone_of
from managedvm.planning.wallclock import shown, wall_clock, zone_named

Levels = Mapping[str, ServiceLevelSpec]
_SECOND = timedelta(seconds=1)


def plan_availability(
    measured: Measured, levels: Levels, now: datetime
) -> tuple[Part, AvailabilityStatus | None]:
    """Return the records to write, what is found, and what status shows; a VM is measured once it was seen up."""
    before = measured.vm.status.availability
    if before is None and (measured.level is None or not is_up(measured.facts)):
        return Part(), None
    since = before.measured_since if before is not None else now
    measured = replace(measured, since=since)
    part, zone = plan_outages(measured, now), zone_of(measured.level)
    year, month = year_at(now, zone), month_at(now, zone)
    found, spent_at = _kept(measured, levels, year, now)
    lasting = min(_lasting(measured.records), key=lambda one: one.spec.begin, default=None)
    status = AvailabilityStatus(
        measured_since=since,
        down_since=lasting.spec.begin if lasting else None,
        cause=lasting.spec.cause.value if lasting else None,
        month=_sums(measured, levels, month, now),
        year=_sums(measured, levels, year, now),
    )
    # Sums of a month or year that is over are taken away with it.
    turns = month.end if status.month else year.end if status.year else None
    return Part((found,), part.actions, earliest((part.next_check, spent_at, turns))), status


def _kept(
    measured: Measured, levels: Levels, year: Interval, now: datetime
) -> tuple[Finding, datetime | None]:
    """Return whether the promise of the year can still be kept, and when it cannot any more if the outage lasts."""
    lasting = _lasting(measured.records)
    known = [_as_if_over(measured, one, now) if one in lasting else one for one in measured.records]
    found = accounts(measured.vm.spec.orders, levels.get, measured.since, known, period=year, now=now)
    spent = [account for account in found if account.is_spent]
    if spent:
        words = "; ".join(
            f"under order {one.order.reference} {one.level.availability_percent} % allow {format_duration(one.allowed)} "
            "of downtime, and more has counted"
            for one in spent
        )
        text = f"In {_name(year, zone_of(measured.level), '%Y')} {words}. The Outages of this VM say when and why"
        return fails(Aspect.AVAILABILITY_KEPT, Reason.AVAILABILITY_MISSED, text, Clause.AVAILABILITY), None
    left = [one.allowed - one.uptime.counted for one in found if one.order == measured.order]
    spent_at = now + min(left) + _SECOND if lasting and left else None
    causes = some([f"{one.spec.cause} since {shown(one.spec.begin)}" for one in lasting])
    words = f"Measured since {shown(measured.since)}" + (f"; {causes}" if causes else "")
    return holds(Aspect.AVAILABILITY_KEPT, Reason.AVAILABILITY_KEPT, words, Clause.AVAILABILITY), spent_at


def _sums(measured: Measured, levels: Levels, period: Interval, now: datetime) -> DowntimeStatus | None:
    over = [one for one in measured.records if one.status.end is not None]
    found = accounts(measured.vm.spec.orders, levels.get, measured.since, over, period=period, now=now)
    counted, excluded = (
        sum((part(account) for account in found), timedelta()) for part in (_counted, _excluded)
    )
    if not counted and not excluded:
        return None
    zone = zone_of(measured.level)
    is_year = period == year_at(now, zone)
    return DowntimeStatus(
        period=_name(period, zone, "%Y" if is_year else "%Y-%m"),
        counted=counted,
        excluded=excluded,
        allowed=sum((account.allowed for account in found), timedelta()) if is_year else None,
    )


def _counted(account: Account) -> timedelta:
    return account.uptime.counted


def _excluded(account: Account) -> timedelta:
    return account.uptime.excluded


def _lasting(records: Iterable[Outage]) -> list[Outage]:
    """Return the outages of the VM itself that have not ended."""
    return [one for one in records if one.status.end is None and one.spec.instance_uuid is not None]


def _as_if_over(measured: Measured, record: Outage, now: datetime) -> Outage:
    return record.model_copy(update={"status": ended(measured, record, now, now).after})


def _name(period: Interval, zone: str, form: str) -> str:
    return f"{wall_clock(period.begin, zone_named(zone)):{form}}"
