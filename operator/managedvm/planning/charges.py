"""Charges as they stand in records: money in minor units becomes amounts, with the clause and a sentence for a person."""

from datetime import datetime

from managedvm.api.base import LocalReference, format_duration
from managedvm.api.changerequest import Billing
from managedvm.api.workentry import Charge, ChargeLine
from managedvm.planning import money
from managedvm.planning.assessment import Verdict
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import shortened, some

_LONGEST = 1024
"""Longest explanation of a charge; the CRD says the same."""

_ROUNDED = "the time is rounded up to whole increments, the rate is the one valid at the work"


def automated_charge(book: money.PriceBook, begin: datetime, end: datetime) -> Charge:
    """Return what the operator's own work on a change costs. Raises money.NoRateError."""
    cost = money.automated_charge(book, begin, end)
    by = Clause.CHANGE_BY_EFFORT
    return _charge(book, cost, by, Billing.EFFORT, cost.free_because or _explained(book, cost))


def time_elsewhere(book: money.PriceBook, request: str) -> Charge:
    """Return the charge of a change that one task has made together with another, whose record has the time of both."""
    words = f"one task made this change together with that of request {request}, whose record has its time"
    return _charge(book, money.Charge((), book.currency), Clause.CHANGE_BY_EFFORT, Billing.EFFORT, words)


def persons_charge(book: money.PriceBook, verdict: Verdict, begin: datetime, end: datetime) -> Charge:
    """Return what a person's work costs: nothing where it is included, else its time at the rates valid then.

    Begin and end count to the second, as every time in a record does. Raises money.NoRateError, where it is billed.
    """
    if verdict.billing is Billing.INCLUDED:
        return _charge(book, money.Charge((), book.currency), verdict.clause, verdict.billing, verdict.reason)
    cost = money.charge(book, begin.replace(microsecond=0), end.replace(microsecond=0))
    words = f"{verdict.reason.rstrip('.')}: {_explained(book, cost)}"
    return _charge(book, cost, verdict.clause, verdict.billing, words)


def taken_back(charge: Charge, record: str) -> Charge:
    """Return the charge of the counter-entry that takes a record back: the same, and negative."""
    lines = tuple(
        line.model_copy(update={"counted": -line.counted, "amount": _negative(line.amount)})
        for line in charge.lines
    )
    changes = {
        "counted": -charge.counted,
        "amount": _negative(charge.amount),
        "lines": lines,
        "explanation": shortened(f"Takes {record} back. It said: {charge.explanation}", _LONGEST),
    }
    return charge.model_copy(update=changes)


def nothing_to_take_back(book: money.PriceBook, record: str) -> Charge:
    """Return the charge of the counter-entry to a record that was never accepted, and so never billed."""
    words = f"{record} was not accepted, so nothing of it is billed and nothing is to be taken back"
    return _charge(book, money.Charge((), book.currency), Clause.DOCUMENTED, Billing.INCLUDED, words)


def _charge(
    book: money.PriceBook, cost: money.Charge, clause: Clause, billing: Billing, words: str
) -> Charge:
    return Charge(
        billing=billing,
        clause=clause.number,
        counted=cost.counted,
        amount=money.format_minor(cost.total, book.minor_digits),
        currency=cost.currency,
        price_list_ref=LocalReference(name=book.name),
        lines=tuple(_line(line, book.minor_digits) for line in cost.lines),
        explanation=shortened(words, _LONGEST),
    )


def _line(line: money.ChargeLine, digits: int) -> ChargeLine:
    extra = line.surcharge
    return ChargeLine(
        begin=line.begin,
        end=line.end,
        counted=line.counted,
        hourly_rate=money.format_minor(line.hourly, digits),
        rate_from=line.rate_valid_from,
        surcharge=extra.name if extra else None,
        surcharge_percent=extra.percent if extra else None,
        amount=money.format_minor(line.amount, digits),
    )


def _explained(book: money.PriceBook, cost: money.Charge) -> str:
    parts = []
    for line in cost.lines:
        extra = f" plus {line.surcharge.percent}% ({line.surcharge.name})" if line.surcharge else ""
        hourly, amount = (money.format_minor(one, book.minor_digits) for one in (line.hourly, line.amount))
        parts.append(f"{format_duration(line.counted)} at {hourly} an hour{extra} is {amount}")
    return f"{some(parts)}; {_ROUNDED}"


def _negative(amount: str) -> str:
    """Return an amount with its sign turned; nothing stays nothing."""
    return money.format_minor(-money.parse_minor(amount))
