"""A statement as rows: for a terminal with rich, and as CSV whose columns have the names of FOCUS where they fit."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Rich

from managedvm.api.changerequest import Billing
from managedvm.api.statement import RecoveryLine, StatementLine, Totals
from managedvm.planning.bill import Bill
from managedvm.planning.wallclock import shown
from managedvm.statements.words import (
    Language,
    Text,
    hours,
    kind_of,
    money,
    month_name,
    percent,
    share,
    span,
)

_HOUR = timedelta(hours=1)


def terminal(bill: Bill, language: Language) -> RenderableType:
    """Return the statement for a terminal."""
    title = (
        f"{Text.STATEMENT.in_(language)} {month_name(bill.month, language)} – {bill.recipient.display_name}"
    )
    parts: list[RenderableType] = [Rich(title, style="bold"), Rich(f"{bill.name} ({bill.zone})"), Rich()]
    for heading, lines in ((Text.BY_EFFORT, bill.effort), (Text.INCLUDED, bill.included)):
        if lines:
            parts += [_table(bill, lines, heading.in_(language), language), Rich()]
    if not bill.lines:
        parts += [Rich(Text.NO_LINES.in_(language)), Rich()]
    parts += [_totals(bill, language)]
    for promise, kept in kept_promises(bill, language):
        parts += [Rich(), Rich(promise, style="bold"), *(Rich(f"  {line}") for line in kept)]
    if bill.pending:
        parts += [Rich(), Rich(Text.PENDING_WHY.in_(language), style="bold")]
        parts += [Rich(f"  {entry.namespace}/{entry.name}: {entry.reason}") for entry in bill.pending]
    parts += [Rich(), Rich(f"{Text.CHECKSUM.in_(language)}: {bill.hash}", style="dim")]
    return Group(*parts)


def kept_promises(bill: Bill, language: Language) -> list[tuple[str, list[str]]]:
    """Return what the month says of availability and of faults: each heading with its lines; none where there are none."""
    unknown = Text.NOT_KNOWN.in_(language)

    def time(length: timedelta | None) -> str:
        return unknown if length is None else hours(length)

    def number(percentage: str | None) -> str:
        return unknown if percentage is None else share(percentage, language)

    available = [
        f"{one.namespace}/{one.managed_vm_ref.name} · {one.service_level} ({one.order}): "
        + Text.AVAILABLE.in_(
            language,
            number(one.availability_percent),
            number(one.promised_percent),
            time(one.counted),
            time(one.excluded),
            time(one.unmeasured),
        )
        for one in bill.availability
    ]
    faults = [_fault(bill, one, language) for one in bill.recoveries]
    listed = ((Text.AVAILABILITY, available), (Text.FAULTS, faults))
    return [(heading.in_(language), lines) for heading, lines in listed if lines]


def _fault(bill: Bill, fault: RecoveryLine, language: Language) -> str:
    due = span(fault.due_at, fault.due_at, bill.zone, language)
    if fault.recovered_at is None:
        how = Text.NOT_MENDED.in_(language, due)
    else:
        how = Text.MENDED.in_(
            language, span(fault.recovered_at, fault.recovered_at, bill.zone, language), due
        )
    late = f" – {Text.TOO_LATE.in_(language)}" if fault.is_missed else ""
    return f"{fault.namespace}/{fault.managed_vm_ref.name} · {fault.change_request_ref.name}: {how}{late}"


def _table(bill: Bill, lines: tuple[StatementLine, ...], heading: str, language: Language) -> Table:
    table = Table(title=heading, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(Text.POSITION.in_(language), justify="right")
    table.add_column(Text.DATE.in_(language), no_wrap=True)
    table.add_column(Text.SERVICE.in_(language), overflow="fold", ratio=1)
    table.add_column(Text.TIME.in_(language), justify="right", no_wrap=True)
    table.add_column(Text.RATE.in_(language), justify="right", no_wrap=True)
    table.add_column(Text.AMOUNT.in_(language), justify="right", no_wrap=True)
    currency = bill.totals.currency
    for line in lines:
        about = (
            f"{line.text}\n{kind_of(line.kind, language)} · {line.namespace}/{line.managed_vm_ref.name} · "
        )
        about += f"{Text.CLAUSE.in_(language, line.clause)} · {line.change_request_ref.name}"
        table.add_row(
            str(line.number),
            span(line.begin, line.end, bill.zone, language),
            Rich(about),  # what people wrote is text, and no markup
            hours(time_of(line)),
            rate(line, currency, language),
            money(line.amount, currency, language),
        )
    return table


def time_of(line: StatementLine) -> timedelta:
    """Return the time to show: what counts, and for included work, where nothing needs counting, what was worked."""
    return line.counted if line.billing is Billing.EFFORT else line.end - line.begin


def rate(line: StatementLine, currency: str, language: Language) -> str:
    """Return the rate of a line with its surcharge; nothing where no rate was applied."""
    if line.hourly_rate is None:
        return ""
    more = f" +{percent(line.surcharge_percent, language)} %" if line.surcharge_percent else ""
    return money(line.hourly_rate, currency, language) + more


def _totals(bill: Bill, language: Language) -> Table:
    sums = bill.totals
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_row(
        Text.NET.in_(language) + f" ({Text.COUNTED.in_(language)} {hours(sums.counted)})",
        money(sums.net, sums.currency, language),
    )
    for label, vat in tax_rows(sums, language):
        table.add_row(label, money(vat, sums.currency, language))
    table.add_row(Text.GROSS.in_(language), money(sums.gross, sums.currency, language), style="bold")
    return table


def tax_rows(sums: Totals, language: Language) -> tuple[tuple[str, str], ...]:
    """Return for each rate of the value added tax its label and its amount; of several, with the sum that it is on."""
    rows = []
    for tax in sums.taxes:
        label = Text.VAT.in_(language, percent(tax.percent, language))
        if len(sums.taxes) > 1:
            label = Text.VAT_ON.in_(language, label, money(tax.net, sums.currency, language))
        rows.append((label, tax.vat))
    return tuple(rows)


FOCUS_COLUMNS = (
    "InvoiceId",
    "BillingAccountId",
    "BillingAccountName",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "BillingCurrency",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ServiceName",
    "ResourceId",
    "ResourceName",
    "SubAccountId",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "BilledCost",
)
"""Columns of the FinOps Open Cost and Usage Specification that a line has an answer to; ours follow with its prefix `x_`."""

OWN_COLUMNS = (
    "x_Line",
    "x_Billing",
    "x_Clause",
    "x_Cause",
    "x_ChangeRequest",
    "x_WorkEntry",
    "x_Reverses",
    "x_OrderedBy",
    "x_OrderedAt",
    "x_Channel",
    "x_Ticket",
    "x_PerformedBy",
    "x_Surcharge",
    "x_SurchargePercent",
    "x_VatPercent",
)


def focus_csv(bill: Bill) -> str:
    """Return one row for each line; the same in every language, since programs read it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, (*FOCUS_COLUMNS, *OWN_COLUMNS), lineterminator="\r\n")
    writer.writeheader()
    for line in bill.lines:
        writer.writerow({name: _harmless(value) for name, value in _row(bill, line).items()})
    return out.getvalue()


def _row(bill: Bill, line: StatementLine) -> dict[str, str]:
    price = unit_price(line)
    return {
        "InvoiceId": bill.name,
        "BillingAccountId": bill.recipient.customer_number,
        "BillingAccountName": bill.recipient.display_name,
        "BillingPeriodStart": shown(bill.begin),
        "BillingPeriodEnd": shown(bill.until),
        "BillingCurrency": bill.totals.currency,
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if line.reverses else "",
        "ChargeDescription": line.text,
        "ChargePeriodStart": shown(line.begin),
        "ChargePeriodEnd": shown(line.end),
        "ServiceName": line.kind,
        "ResourceId": f"{line.namespace}/{line.managed_vm_ref.name}",
        "ResourceName": line.managed_vm_ref.name,
        "SubAccountId": line.namespace,
        "ConsumedQuantity": str(
            round(Decimal(line.counted // timedelta(seconds=1)) / (_HOUR // timedelta(seconds=1)), 6)
        ),
        "ConsumedUnit": "Hours",
        "ListUnitPrice": line.hourly_rate or "",
        "ContractedUnitPrice": price,
        "BilledCost": line.amount,
        "x_Line": str(line.number),
        "x_Billing": line.billing.value,
        "x_Clause": line.clause,
        "x_Cause": line.cause.value if line.cause else "",
        "x_ChangeRequest": line.change_request_ref.name,
        "x_WorkEntry": line.work_entry_ref.name,
        "x_Reverses": line.reverses.name if line.reverses else "",
        "x_OrderedBy": line.requested_by,
        "x_OrderedAt": shown(line.ordered_at),
        "x_Channel": line.channel.value,
        "x_Ticket": line.ticket or "",
        "x_PerformedBy": line.performed_by,
        "x_Surcharge": line.surcharge or "",
        "x_SurchargePercent": line.surcharge_percent or "",
        "x_VatPercent": line.vat_percent,
    }


def unit_price(line: StatementLine) -> str:
    """Return the price of an hour with its surcharge, exactly."""
    if line.hourly_rate is None or line.billing is not Billing.EFFORT:
        return ""
    return f"{Decimal(line.hourly_rate) * (100 + Decimal(line.surcharge_percent or 0)) / 100:f}"


def _harmless(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: what people wrote is text, whatever it begins with."""
    is_number = value.replace(".", "", 1).lstrip("-").isdigit()
    return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} and not is_number else value
