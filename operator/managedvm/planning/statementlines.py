"""What a record is on a statement: its lines with the value added tax, and what lines come to."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from managedvm.api.base import LocalReference
from managedvm.api.changerequest import Billing, ChangeRequest
from managedvm.api.pricelist import PriceList
from managedvm.api.statement import StatementLine, TaxTotal, Totals
from managedvm.api.workentry import WorkEntry
from managedvm.planning.helpdesk import number_of
from managedvm.planning.money import format_minor, parse_minor, vat_percent
from managedvm.planning.wallclock import shown

_TEXT: Final = 256


class NoTaxError(LookupError):
    """Nobody can say which value added tax is due on a piece of work."""


def tax_on(entry: WorkEntry, prices: Mapping[str, PriceList]) -> Callable[[datetime], str]:
    """Return who tells the value added tax of the lines of an entry, by the price list that it was priced by."""
    name = entry.charge.price_list_ref.name if entry.charge else ""

    def percent_at(begin: datetime) -> str:
        if name not in prices:
            raise NoTaxError(f"PriceList {name} is not there, so its value added tax is not known.")
        percent = vat_percent(prices[name], begin)
        if percent is None:
            raise NoTaxError(f"spec.vat of PriceList {name} has no entry that is valid at {shown(begin)}.")
        return percent

    return percent_at


def lines_of(
    entry: WorkEntry, request: ChangeRequest, percent_at: Callable[[datetime], str]
) -> tuple[StatementLine, ...]:
    """Return the lines of an accepted entry, numbered from 1: one for each rate, or one where no rate was applied.

    `percent_at` gives the value added tax for work that began at an instant.
    """
    charge = entry.charge
    if charge is None:
        return ()
    spec, asked = entry.spec, request.spec
    common = {
        "namespace": entry.metadata.namespace,
        "work_entry_ref": LocalReference(name=entry.metadata.name),
        "change_request_ref": spec.change_request_ref,
        "managed_vm_ref": asked.managed_vm_ref,
        "kind": asked.kind.value,
        "clause": charge.clause,
        "billing": charge.billing,
        "cause": spec.cause,
        "requested_by": asked.requested_by,
        "channel": asked.channel,
        "ticket": number_of(request) or spec.ticket,
        "ordered_at": request.asked_at,
        "performed_by": spec.performed_by,
        "recorded_at": entry.metadata.creation_timestamp,
        "text": shortened(spec.activity),
        "reverses": spec.reverses,
    }
    if not charge.lines:
        whole = {"begin": spec.begin, "end": spec.until, "counted": charge.counted, "amount": charge.amount}
        return (StatementLine(number=1, vat_percent=percent_at(spec.begin), **common, **whole),)
    return tuple(
        StatementLine(
            number=number,
            vat_percent=percent_at(line.begin),
            **common,
            **line.model_dump(exclude={"rate_from"}),
        )
        for number, line in enumerate(charge.lines, start=1)
    )


def lines_made(entry: WorkEntry) -> int:
    """Return how many lines an entry makes."""
    return max(1, len(entry.charge.lines)) if entry.charge else 0


def line_order(first: StatementLine) -> tuple[datetime, bool, str, str]:
    """Return by what the work on a page is sorted, told by its first line: time, and what is taken back before its taking."""
    return first.begin, first.reverses is not None, first.namespace, first.work_entry_ref.name


def summed(lines: Iterable[StatementLine], currency: str) -> Totals:
    """Return the sums of lines in one currency; the tax at each rate is worked out of its sum and rounded once."""
    billed = sorted((line for line in lines if line.billing is Billing.EFFORT), key=_tax_rate)
    taxes = tuple(_taxed(tuple(group)) for _, group in groupby(billed, key=_tax_rate))
    net, vat = (sum(parse_minor(getattr(one, what)) for one in taxes) for what in ("net", "vat"))
    return Totals(
        net=format_minor(net),
        taxes=taxes,
        vat=format_minor(vat),
        gross=format_minor(net + vat),
        currency=currency,
        counted=sum((line.counted for line in billed), timedelta()),
    )


def _tax_rate(line: StatementLine) -> int:
    """Return the tax on a line in hundredths of a percent: `19` and `19.00` are one rate."""
    return parse_minor(line.vat_percent)


def _taxed(lines: tuple[StatementLine, ...]) -> TaxTotal:
    """Return the tax on lines of one rate."""
    net, percent = sum(parse_minor(line.amount) for line in lines), lines[0].vat_percent
    return TaxTotal(percent=percent, net=format_minor(net), vat=format_minor(value_added_tax(net, percent)))


def value_added_tax(net: int, percent: str) -> int:
    """Return the tax on an amount in minor units, half a unit rounded away from zero, so that a credit mirrors a bill."""
    scaled = abs(net) * parse_minor(percent)
    tax = (2 * scaled + 10_000) // 20_000
    return tax if net >= 0 else -tax


def shortened(text: str) -> str:
    """Return a text as short as a statement has it."""
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
