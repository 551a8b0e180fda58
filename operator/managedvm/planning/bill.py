"""A closed month as a whole: what its pages say together, for whoever shows it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from managedvm.api.changerequest import Billing
from managedvm.api.statement import (
    AvailabilityLine,
    PendingEntry,
    Recipient,
    RecoveryLine,
    Statement,
    StatementLine,
    Totals,
)
from managedvm.planning.statement import period, position


class NotClosedError(Exception):
    """The month is not closed, or its pages are not all there; the message says which."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One customer's month; `closed_at` is when its last page was written, `covered` how many records it rests on."""

    name: str
    customer: str
    month: str
    zone: str
    begin: datetime
    until: datetime
    recipient: Recipient
    lines: tuple[StatementLine, ...]
    pending: tuple[PendingEntry, ...]
    totals: Totals
    covered: int
    hash: str
    previous: str
    closed_at: datetime
    availability: tuple[AvailabilityLine, ...] = ()
    recoveries: tuple[RecoveryLine, ...] = ()

    @property
    def effort(self) -> tuple[StatementLine, ...]:
        """The lines that are billed by effort."""
        return tuple(line for line in self.lines if line.billing is Billing.EFFORT)

    @property
    def included(self) -> tuple[StatementLine, ...]:
        """The lines that the package includes."""
        return tuple(line for line in self.lines if line.billing is Billing.INCLUDED)


def bill(pages: Iterable[Statement]) -> Bill:
    """Return what the pages of one month say together.

    Raises:
        NotClosedError: there is no page, or the pages are not those from the first to the last.
    """
    chain = sorted(pages, key=position)
    if not chain:
        raise NotClosedError("it is not closed")
    first, last = chain[0], chain[-1]
    numbers = [page.spec.page for page in chain]
    if last.spec.pages is None or last.spec.totals is None or numbers != list(range(1, last.spec.pages + 1)):
        raise NotClosedError(
            f"only its pages {', '.join(map(str, numbers))} are there; close it again, or verify"
        )
    month = period(last.spec.month, last.spec.time_zone)
    return Bill(
        name=first.metadata.name,
        customer=last.spec.customer_ref.name,
        month=last.spec.month,
        zone=last.spec.time_zone,
        begin=month.begin,
        until=last.spec.until,
        recipient=last.spec.recipient,
        lines=tuple(line for page in chain for line in page.spec.lines),
        pending=tuple(entry for page in chain for entry in page.spec.pending),
        totals=last.spec.totals,
        covered=sum(len(page.spec.records) for page in chain),
        hash=last.spec.hash,
        previous=first.spec.previous.hash if first.spec.previous else "",
        closed_at=last.metadata.creation_timestamp or last.spec.until,
        availability=tuple(line for page in chain for line in page.spec.availability),
        recoveries=tuple(line for page in chain for line in page.spec.recoveries),
    )
