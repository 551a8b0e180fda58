"""What a closed month says: every accepted piece of work that no earlier page names, once, with its sums.

Pages are written one after the other, and each is worked out from the pages there are. So whoever was interrupted goes on,
two who close at once write the same, and what comes late is in the next page or month.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from managedvm.api.base import LocalReference, ObjectMeta, Resource
from managedvm.api.changerequest import FINAL_STATES, ChangeRequest
from managedvm.api.customer import Customer, StatementReference
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.pricelist import PriceList
from managedvm.api.servicelevel import ServiceLevelSpec
from managedvm.api.statement import (
    AVAILABILITY_PER_PAGE,
    COVERS,
    LINES_PER_PAGE,
    PENDING_PER_PAGE,
    RECORDS_PER_PAGE,
    RECOVERIES_PER_PAGE,
    AvailabilityLine,
    PendingEntry,
    Recipient,
    RecoveryLine,
    SealedRecord,
    Statement,
    StatementLine,
    StatementSpec,
    Totals,
    statement_name,
)
from managedvm.api.workentry import WorkEntry
from managedvm.planning.calendar import Interval
from managedvm.planning.ledger import RecordKey, hash_of, key_of, sealed
from managedvm.planning.statementlines import NoTaxError, line_order, lines_of, shortened, summed, tax_on
from managedvm.planning.uptimelines import availability_lines, key_of_line, recovery_lines
from managedvm.planning.wallclock import first_instant, shown, zone_named

BYTES_PER_PAGE: Final = 768 * 1024
"""How much a page may say: etcd takes 1.5 MiB, and what the API server adds is little."""

_NO_HASH: Final = "0" * 64


class CannotCloseError(Exception):
    """The month cannot be closed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Period:
    """A month in a zone: from `begin`, and before `until`."""

    begin: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Books:
    """All that is read of one customer: its pages in any order, its records by namespace and name, price lists by name.

    `elsewhere` are the records that statements of other customers cover.
    """

    customer: Customer
    prices: Mapping[str, PriceList]
    pages: tuple[Statement, ...]
    requests: Mapping[tuple[str, str], ChangeRequest]
    work: tuple[WorkEntry, ...]
    decisions: tuple[Resource, ...] = ()
    outages: tuple[Outage, ...] = ()
    managed: tuple[ManagedVM, ...] = ()
    levels: Mapping[str, ServiceLevelSpec] = field(default_factory=dict)
    elsewhere: frozenset[RecordKey] = frozenset()

    @property
    def chain(self) -> tuple[Statement, ...]:
        """The pages in the order in which they were written."""
        return tuple(sorted(self.pages, key=position))

    def prices_of(self, month: str) -> PriceList:
        """Return the price list that is valid at the end of a month; raises CannotCloseError where there is none."""
        for agreed in sorted(self.customer.spec.price_lists, key=lambda entry: entry.from_, reverse=True):
            prices = self.prices.get(agreed.name)
            if agreed.from_ >= period(month, prices.spec.time_zone if prices else "UTC").until:
                continue
            if prices is None:
                raise CannotCloseError(f"PriceList {agreed.name} is not there; create it again as it was")
            return prices
        raise CannotCloseError(
            f"spec.priceLists of the Customer names none for {month}; add an entry with an earlier `from`"
        )

    def period_of(self, month: str) -> Period:
        """Return a month in the zone of its price list; raises CannotCloseError where there is none."""
        return period(month, self.prices_of(month).spec.time_zone)


@dataclass(slots=True)
class _Item:
    """What goes into one page together: the lines of an entry with the records that they rest on."""

    lines: tuple[StatementLine, ...] = ()
    records: list[SealedRecord] = field(default_factory=list)
    pending: tuple[PendingEntry, ...] = ()
    availability: tuple[AvailabilityLine, ...] = ()
    recoveries: tuple[RecoveryLine, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on the way to the API server, where a letter that is not ASCII takes six."""
        parts = (*self.lines, *self.records, *self.pending, *self.availability, *self.recoveries)
        return sum(len(json.dumps(part.to_json())) for part in parts)


def period(month: str, zone: str) -> Period:
    """Return a month such as `2026-11` in an IANA zone; raises UnknownZoneError."""
    year, number = int(month[:4]), int(month[5:])
    after = (year + 1, 1) if number == 12 else (year, number + 1)  # noqa: PLR2004 - December
    place = zone_named(zone)
    begin, until = (first_instant(datetime(*start, 1), place) for start in ((year, number), after))  # noqa: DTZ001 - a wall clock's
    return Period(begin, until)


def following(month: str) -> str:
    """Return the month after a month: `2027-01` after `2026-12`."""
    after = datetime(int(month[:4]), int(month[5:]), 28, tzinfo=UTC) + timedelta(days=7)
    return f"{after:%Y-%m}"


def position(page: Statement) -> tuple[str, int]:
    """Return where a page stands among those of its customer."""
    return page.spec.month, page.spec.page


def is_complete(pages: Iterable[Statement], month: str) -> bool:
    """Return whether the last page of a month is there."""
    return any(page.spec.month == month and page.spec.pages is not None for page in pages)


def refuse(books: Books, month: str, now: datetime) -> None:
    """Raise CannotCloseError where a month is not over, or is not the next one."""
    zone = books.prices_of(month).spec.time_zone
    until = period(month, zone).until
    if now < until:
        raise CannotCloseError(
            f"{month} is not over: it ends at {shown(until)} ({zone}, the zone of the price list); close it then"
        )
    _refuse_a_new_beginning(books, until)
    chain = books.chain
    if not chain or is_complete(books.pages, month):
        return
    latest = chain[-1].spec
    due = following(latest.month) if latest.pages is not None else latest.month
    if month != due:
        raise CannotCloseError(
            f"{month} does not follow: the next month to close is {due}, so that no work is left out (clause 4)"
        )


def _refuse_a_new_beginning(books: Books, until: datetime) -> None:
    """Raise CannotCloseError where the Customer says that more was closed than is there: all of it would be billed again."""
    last, closed_until = books.customer.status.last_statement, books.customer.status.closed_until
    if last is not None and last not in (reference_to(page) for page in books.pages):
        raise CannotCloseError(
            f"{last.name} with hash {last.hash[:12]}… was closed last and is not there, so nobody can say what was billed "
            "before (clause 4); give the archive that holds it (--archive)"
        )
    # A first close that was interrupted has stopped the intake and written nothing.
    if not books.pages and closed_until not in (None, until):
        raise CannotCloseError(
            f"the months until {shown(closed_until)} are closed and none of their statements is there, so nobody can say "
            "what was billed before (clause 4); give the archives that hold them (--archive)"
        )


def reference_to(page: Statement) -> StatementReference:
    """Return how the next page, and the Customer, name a page."""
    return StatementReference(name=page.metadata.name, hash=page.spec.hash)


def next_page(books: Books, month: str) -> Statement | None:
    """Return the page of the month that is missing next; None where the month is closed completely.

    Raises:
        CannotCloseError: the pages begin in the middle, so what was billed before is not known.
    """
    if is_complete(books.pages, month):
        return None
    chain = books.chain
    if chain and chain[0].spec.previous is not None:
        raise CannotCloseError(
            f"{chain[0].spec.previous.name} is not there, so nobody can say what was billed before; give the archive "
            "that holds it"
        )
    span = books.period_of(month)
    items = (*_items(books, month), *_kept(books, month, Interval(span.begin, span.until)))
    taken = _fitting(items)
    page = _page(books, month, items[:taken])
    if taken == len(items):
        mine = (*_written(books, month), page)
        page = _with(page, pages=len(mine), totals=totals(mine, books.prices_of(month)))
    return _with(page, hash=hash_of(page))


def totals(pages: Iterable[Statement], prices: PriceList) -> Totals:
    """Return the sums of all lines of a month's pages."""
    return summed((line for page in pages for line in page.spec.lines), prices.spec.currency)


def sealed_by(pages: Iterable[Statement]) -> frozenset[RecordKey]:
    """Return the records that pages cover."""
    return frozenset(key_of(record) for page in pages for record in page.spec.records)


def is_settled(request: ChangeRequest) -> bool:
    """Return whether all has been written of a request that is written once; of a held one its release is missing."""
    status = request.status
    if status.state in FINAL_STATES:
        return True
    is_decided = status.authority is not None and (status.authority.may_proceed or status.release is not None)
    return status.assessment is not None and is_decided


def _items(books: Books, month: str) -> Iterator[_Item]:
    """Yield what no page has yet: work in the order of time, then the other records, then what is pending."""
    until = books.period_of(month).until
    done = {*sealed_by(books.pages), *books.elsewhere}
    billable, pending = _worked(books, done, month)
    for entry, request, lines in sorted(billable, key=lambda work: line_order(work[2][0])):
        item = _Item(lines=lines, records=[sealed(entry)])
        if key_of(request) not in done:
            item.records.append(sealed(request))
            done.add(key_of(request))
        yield item
    asked = (request for request in books.requests.values() if is_settled(request))
    over = (outage for outage in books.outages if outage.status.end is not None)
    for record in sorted((*asked, *books.decisions, *over), key=key_of):
        created = record.metadata.creation_timestamp
        if key_of(record) not in done and created is not None and created < until:
            yield _Item(records=[sealed(record)])
    told = {(entry.namespace, entry.name) for page in books.pages for entry in page.spec.pending}
    yield from (_Item(pending=(entry,)) for entry in pending if (entry.namespace, entry.name) not in told)


def _kept(books: Books, month: str, span: Interval) -> Iterator[_Item]:
    """Yield what no page of the month says yet of availability and of faults: no more than fits on one page each."""
    written = _written(books, month)
    told = {key_of_line(line) for page in written for line in page.spec.availability}
    for line in availability_lines(books.managed, books.levels, books.outages, span):
        if key_of_line(line) not in told:
            yield _Item(availability=(line,))
    mended = {
        (one.namespace, one.change_request_ref.name) for page in written for one in page.spec.recoveries
    }
    for fault in recovery_lines(books.requests.values(), span):
        if (fault.namespace, fault.change_request_ref.name) not in mended:
            yield _Item(recoveries=(fault,))


def _worked(
    books: Books, done: AbstractSet[RecordKey], month: str
) -> tuple[list[tuple[WorkEntry, ChangeRequest, tuple[StatementLine, ...]]], list[PendingEntry]]:
    """Return the work that began before the month's end and is on no page: with its lines, and what cannot be billed."""
    prices, until = books.prices_of(month), books.period_of(month).until
    billable, pending = [], []
    for entry in books.work:
        if key_of(entry) in done or entry.spec.begin >= until:
            continue
        request = books.requests.get((entry.metadata.namespace, entry.spec.change_request_ref.name))
        reason = _hindrance(entry, request, prices)
        if request is None or reason:
            pending.append(_pending(entry, reason))
            continue
        try:
            billable.append((entry, request, lines_of(entry, request, tax_on(entry, books.prices))))
        except NoTaxError as error:
            pending.append(_pending(entry, str(error)))
    return billable, sorted(pending, key=lambda entry: (entry.namespace, entry.name))


def _hindrance(entry: WorkEntry, request: ChangeRequest | None, prices: PriceList) -> str:
    """Return why an entry cannot be billed yet; nothing where it can."""
    if entry.charge is None:
        verdict = next((c for c in entry.status.conditions if c.type == "Accepted"), None)
        return verdict.message if verdict else "The operator has not looked at it yet."
    if request is None:
        return f"Its ChangeRequest {entry.spec.change_request_ref.name} is not there."
    if not is_settled(request):
        return f"ChangeRequest {request.metadata.name} is not assessed yet, or held."
    if request.status.ticket is not None and request.status.ticket.number is None:
        return f"ChangeRequest {request.metadata.name} has no ticket in the helpdesk yet."
    if entry.charge.currency != prices.spec.currency:
        return f"It is priced in {entry.charge.currency}, and the price list is in {prices.spec.currency}."
    return ""


def _pending(entry: WorkEntry, reason: str) -> PendingEntry:
    meta = entry.metadata
    return PendingEntry(namespace=meta.namespace, name=meta.name, reason=shortened(reason))


def _fitting(items: tuple[_Item, ...]) -> int:
    """Return how many of the items fit on one page; at least one, since one always does."""
    limits = (LINES_PER_PAGE, RECORDS_PER_PAGE, PENDING_PER_PAGE, AVAILABILITY_PER_PAGE, RECOVERIES_PER_PAGE)
    counts = [0] * len(limits)
    size = 0
    for taken, item in enumerate(items):
        parts = (item.lines, item.records, item.pending, item.availability, item.recoveries)
        counts = [count + len(part) for count, part in zip(counts, parts, strict=True)]
        size += item.size
        is_full = any(count > most for count, most in zip(counts, limits, strict=True))
        if taken and (is_full or size > BYTES_PER_PAGE):
            return taken
    return len(items)


def _written(books: Books, month: str) -> tuple[Statement, ...]:
    return tuple(page for page in books.chain if page.spec.month == month)


def _with(page: Statement, **said: Any) -> Statement:
    return page.model_copy(update={"spec": page.spec.model_copy(update=said)})


def _page(books: Books, month: str, items: tuple[_Item, ...]) -> Statement:
    """Return the next page without its hash, and without what only the last page says."""
    party, prices, written = books.customer, books.prices_of(month), _written(books, month)
    records = sorted((record for item in items for record in item.records), key=key_of)
    number = len(written) + 1
    follows = books.chain[-1] if books.pages else None
    offset = max((line.number for page in written for line in page.spec.lines), default=0)
    lines = (line for item in items for line in item.lines)
    spec = StatementSpec(
        customer_ref=LocalReference(name=party.metadata.name),
        month=month,
        time_zone=prices.spec.time_zone,
        until=books.period_of(month).until,
        page=number,
        recipient=Recipient(
            customer_number=party.spec.customer_number,
            display_name=party.spec.display_name,
            address=party.spec.address,
            vat_id=party.spec.vat_id,
        ),
        price_list_ref=LocalReference(name=prices.metadata.name),
        lines=tuple(
            line.model_copy(update={"number": at}) for at, line in enumerate(lines, start=offset + 1)
        ),
        records=tuple(records),
        pending=tuple(entry for item in items for entry in item.pending),
        availability=tuple(line for item in items for line in item.availability),
        recoveries=tuple(line for item in items for line in item.recoveries),
        previous=reference_to(follows) if follows else None,
        hash=_NO_HASH,
    )
    # The pages of a month stay together although the customer's list of namespaces changes meanwhile.
    namespace = written[0].metadata.namespace if written else party.spec.namespaces[0]
    meta = ObjectMeta(
        name=statement_name(party.metadata.name, month, number),
        namespace=namespace,
        labels={f"{COVERS}{record.namespace}": "true" for record in records},
    )
    return Statement(metadata=meta, spec=spec)
