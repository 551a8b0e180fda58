"""What a statement says of availability (clause 1) and of faults (clause 4.1), cell by cell, for whatever draws it."""

from datetime import timedelta

from managedvm.api.statement import AvailabilityLine, RecoveryLine
from managedvm.planning.bill import Bill
from managedvm.statements.words import Language, Text, hours, share, span

Row = tuple[str, str, str, str, str, str, str]


def availability_head(language: Language) -> Row:
    """Return the names of the columns of `availability_rows`."""
    return (
        Text.VM.in_(language),
        Text.ORDER.in_(language),
        Text.PROMISED.in_(language),
        Text.REACHED.in_(language),
        Text.DOWNTIME.in_(language),
        Text.EXCUSED.in_(language),
        Text.UNMEASURED.in_(language),
    )


def availability_rows(bill: Bill, language: Language) -> list[Row]:
    """Return a row for each VM and order: VM, order, promised and reached percentage, and the times (h:mm)."""
    return [_row(line, language) for line in bill.availability]


def fault_lines(bill: Bill, language: Language) -> list[str]:
    """Return a line for each fault that was reported: whether it was mended, and in time."""
    return [_fault(bill, line, language) for line in bill.recoveries]


def _row(line: AvailabilityLine, language: Language) -> Row:
    unknown = Text.NOT_KNOWN.in_(language)

    def time(length: timedelta | None) -> str:
        return unknown if length is None else hours(length)

    def percent(value: str | None) -> str:
        return unknown if value is None else f"{share(value, language)} %"

    return (
        f"{line.namespace}/{line.managed_vm_ref.name}",
        f"{line.service_level} ({line.order})",
        percent(line.promised_percent),
        percent(line.availability_percent),
        time(line.counted),
        time(line.excluded),
        time(line.unmeasured),
    )


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
