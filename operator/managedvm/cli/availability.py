"""`managedvm availability`: works out, at the moment asked, what became of the promise of each order in a month or year."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from managedvm.api.base import format_duration
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.servicelevel import ServiceLevel, ServiceLevelSpec
from managedvm.cli.connection import Context, answer, api_server, fail, namespaced
from managedvm.clock import utc_now
from managedvm.planning.calendar import Interval
from managedvm.planning.entitlement import order_in_force
from managedvm.planning.sla import Account, accounts, month_at, outages_in, year_at, zone_of
from managedvm.planning.uptime import shown_percent
from managedvm.planning.wallclock import first_instant, shown, zone_named

_WIDTH = 140
_COLUMNS = ("order", "level", "promised", "availability", "counted", "allowed", "excluded", "not measured")


def availability_command(
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The ManagedVM.")],
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="A month; without it this year.")
    ] = None,
    context: Context = None,
) -> None:
    """Say how available a VM was: what counted as downtime, what did not and why, and what was not measured."""
    begin = _first_of(month) if month else None
    vm, levels, found = answer(_read(*namespaced(name), context), missing=f"There is no ManagedVM {name}.")
    now = utc_now()
    order = order_in_force(vm.spec.orders, now)
    zone = zone_of(levels.get(order.service_level) if order else None)
    within = first_instant(begin, zone_named(zone)) if begin else now
    period = month_at(within, zone) if begin else year_at(within, zone)
    measured = vm.status.availability.measured_since if vm.status.availability else None
    listed = accounts(vm.spec.orders, levels.get, measured, found, period=period, now=now)
    if not listed:
        fail(f"No order of {name} with a known service level was in force between {_span(period)} and now.")
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDTH)
    console.print(f"{name}, {_span(period)} ({zone}), as of {shown(now)}", style="bold")
    console.print(
        f"Measured since {shown(measured)}"
        if measured
        else "Not measured: it was never seen up under a claim"
    )
    console.print(_sums(listed))
    console.print(_told(outages_in(found, period)))


def _first_of(month: str) -> datetime:
    try:
        return datetime.strptime(month, "%Y-%m")  # noqa: DTZ007 - a month has no instant
    except ValueError:
        raise typer.BadParameter("write it as YYYY-MM") from None


async def _read(
    namespace: str, name: str, context: str | None
) -> tuple[ManagedVM, dict[str, ServiceLevelSpec], list[Outage]]:
    async with api_server(context) as kube:
        vm = ManagedVM.of(await kube.get("ManagedVM", namespace, name))
        known = [ServiceLevel.of(body) for body in await kube.list("ServiceLevel", "")]
        all_of = [Outage.of(body) for body in await kube.list("Outage", namespace)]
    seen = vm.status.vm
    mine = [
        one
        for one in all_of
        if seen is not None
        and one.spec.v_center_uuid == seen.v_center_uuid
        and one.spec.instance_uuid in (None, seen.instance_uuid)
    ]
    return vm, {level.metadata.name: level.spec for level in known}, mine


def _span(period: Interval) -> str:
    return f"{shown(period.begin)} to {shown(period.end)}"


def _sums(listed: tuple[Account, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for account in listed:
        uptime = account.uptime
        is_known = uptime.availability is not None
        share = (
            f"{shown_percent(uptime.availability)} %" if uptime.availability is not None else "not measured"
        )
        table.add_row(
            account.order.reference,
            account.order.service_level,
            f"{account.level.availability_percent} %",
            f"{share}, missed" if is_known and account.is_missed else share,
            format_duration(uptime.counted),
            format_duration(account.allowed),
            ", ".join(
                f"{format_duration(length)} {reason}" for reason, length in sorted(uptime.excused.items())
            ),
            format_duration(uptime.unmeasured),
        )
    return table


def _told(outages: tuple[Outage, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("outage", "cause", "by", "begin", "end", "does not count"):
        table.add_column(column, overflow="fold")
    for one in outages:
        spec, status = one.spec, one.status
        parts = [f"{shown(part.begin)} to {shown(part.end)} {part.reason}" for part in status.excluded]
        table.add_row(
            one.metadata.name,
            spec.cause.value,
            spec.by or "",
            shown(spec.begin),
            shown(status.end) if status.end else "lasts",
            "; ".join(
                [
                    *([spec.exclusion.value] if spec.exclusion else []),
                    *parts,
                    *(["ran on"] if status.ran_on else []),
                ]
            ),
        )
    return table
