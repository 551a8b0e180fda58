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
from managedvm.api.changerequest import FINAL_STATES, Billing, ChangeRequest
from managedvm.api.customer import Customer
from managedvm.api.pricelist import PriceList
from managedvm.api.statement import (
    LINES_PER_PAGE,
    PENDING_PER_PAGE,
    RECORDS_PER_PAGE,
    PendingEntry,
    Previous,
    Recipient,
    SealedRecord,
    Statement,
    StatementLine,
    StatementSpec,
    Totals,
    statement_name,
)
from managedvm.api.workentry import WorkEntry
from managedvm.planning.helpdesk import number_of
from managedvm.planning.ledger import RecordKey, hash_of, key_of, sealed
from managedvm.planning.money import format_minor, parse_minor
from managedvm.planning.wallclock import first_instant, shown, zone_named

BYTES_PER_PAGE: Final = 768 * 1024
"""How much a page may say: etcd takes 1.5 MiB, and what the API server adds is little."""

_TEXT: Final = 256
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
    """All that is read of one customer: its pages in any order, and its records by namespace and name."""

    customer: Customer
    prices: PriceList
    pages: tuple[Statement, ...]
    requests: Mapping[tuple[str, str], ChangeRequest]
    work: tuple[WorkEntry, ...]
    decisions: tuple[Resource, ...] = ()

    @property
    def chain(self) -> tuple[Statement, ...]:
        """The pages in the order in which they were written."""
        return tuple(sorted(self.pages, key=position))


@dataclass(slots=True)
class _Item:
    """What goes into one page together: the lines of an entry with the records that they rest on."""

    lines: tuple[StatementLine, ...] = ()
    records: list[SealedRecord] = field(default_factory=list)
    pending: tuple[PendingEntry, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on the way to the API server, where a letter that is not ASCII takes six."""
        parts = (*self.lines, *self.records, *self.pending)
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
    zone = books.prices.spec.time_zone
    until = period(month, zone).until
    if now < until:
        raise CannotCloseError(
            f"{month} is not over: it ends at {shown(until)} ({zone}, the zone of the price list); close it then"
        )
    chain = books.chain
    if not chain or is_complete(books.pages, month):
        return
    latest = chain[-1].spec
    due = following(latest.month) if latest.pages is not None else latest.month
    if month != due:
        raise CannotCloseError(
            f"{month} does not follow: the next month to close is {due}, so that no work is left out (clause 4)"
        )


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
    items = tuple(_items(books, period(month, books.prices.spec.time_zone).until))
    taken = _fitting(items)
    page = _page(books, month, items[:taken])
    if taken == len(items):
        mine = (*_written(books, month), page)
        page = _with(page, pages=len(mine), totals=totals(mine, books.prices))
    return _with(page, hash=hash_of(page))


def lines_of(entry: WorkEntry, request: ChangeRequest) -> tuple[StatementLine, ...]:
    """Return the lines of an accepted entry, numbered from 1: one for each rate, or one where no rate was applied."""
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
        "ordered_at": request.metadata.creation_timestamp,
        "performed_by": spec.performed_by,
        "recorded_at": entry.metadata.creation_timestamp,
        "text": _shortened(spec.activity),
        "reverses": spec.reverses,
    }
    if not charge.lines:
        whole = {"begin": spec.begin, "end": spec.until, "counted": charge.counted, "amount": charge.amount}
        return (StatementLine(number=1, **common, **whole),)
    return tuple(
        StatementLine(number=number, **common, **line.model_dump(exclude={"rate_from"}))
        for number, line in enumerate(charge.lines, start=1)
    )


def line_order(first: StatementLine) -> tuple[datetime, bool, str, str]:
    """Return by what the work on a page is sorted, told by its first line: time, and what is taken back before its taking."""
    return first.begin, first.reverses is not None, first.namespace, first.work_entry_ref.name


def totals(pages: Iterable[Statement], prices: PriceList) -> Totals:
    """Return the sums of all lines of a month's pages; the tax is worked out of the sum and rounded once."""
    lines = [line for page in pages for line in page.spec.lines]
    return summed(lines, prices.spec.vat_percent, prices.spec.currency)


def summed(lines: Iterable[StatementLine], vat_percent: str, currency: str) -> Totals:
    """Return the sums of lines, whose amounts are in minor units of the currency."""
    lines = tuple(lines)
    net = sum(parse_minor(line.amount) for line in lines)
    vat = value_added_tax(net, vat_percent)
    counted = (line.counted for line in lines if line.billing is Billing.EFFORT)
    return Totals(
        net=format_minor(net),
        vat_percent=vat_percent,
        vat=format_minor(vat),
        gross=format_minor(net + vat),
        currency=currency,
        counted=sum(counted, timedelta()),
    )


def value_added_tax(net: int, percent: str) -> int:
    """Return the tax on an amount in minor units, half a unit rounded away from zero, so that a credit mirrors a bill."""
    scaled = abs(net) * parse_minor(percent)
    tax = (2 * scaled + 10_000) // 20_000
    return tax if net >= 0 else -tax


def sealed_by(pages: Iterable[Statement]) -> frozenset[RecordKey]:
    """Return the records that pages cover."""
    return frozenset(key_of(record) for page in pages for record in page.spec.records)


def is_settled(request: ChangeRequest) -> bool:
    """Return whether all has been written of a request that is written once."""
    status = request.status
    return status.state in FINAL_STATES or (status.assessment is not None and status.authority is not None)


def _items(books: Books, until: datetime) -> Iterator[_Item]:
    """Yield what no page has yet: work in the order of time, then the other records, then what is pending."""
    done = set(sealed_by(books.pages))
    billable, pending = _worked(books, done, until)
    for entry, request, lines in sorted(billable, key=lambda work: line_order(work[2][0])):
        item = _Item(lines=lines, records=[sealed(entry)])
        if key_of(request) not in done:
            item.records.append(sealed(request))
            done.add(key_of(request))
        yield item
    asked = (request for request in books.requests.values() if is_settled(request))
    for record in sorted((*asked, *books.decisions), key=key_of):
        created = record.metadata.creation_timestamp
        if key_of(record) not in done and created is not None and created < until:
            yield _Item(records=[sealed(record)])
    told = {(entry.namespace, entry.name) for page in books.pages for entry in page.spec.pending}
    yield from (_Item(pending=(entry,)) for entry in pending if (entry.namespace, entry.name) not in told)


def _worked(
    books: Books, done: AbstractSet[RecordKey], until: datetime
) -> tuple[list[tuple[WorkEntry, ChangeRequest, tuple[StatementLine, ...]]], list[PendingEntry]]:
    """Return the work that began before `until` and is on no page: with its lines, and what cannot be billed."""
    billable, pending = [], []
    for entry in books.work:
        if key_of(entry) in done or entry.spec.begin >= until:
            continue
        request = books.requests.get((entry.metadata.namespace, entry.spec.change_request_ref.name))
        reason = _hindrance(entry, request, books.prices)
        if request is None or reason:
            pending.append(_pending(entry, reason))
        else:
            billable.append((entry, request, lines_of(entry, request)))
    return billable, sorted(pending, key=lambda entry: (entry.namespace, entry.name))


def _hindrance(entry: WorkEntry, request: ChangeRequest | None, prices: PriceList) -> str:
    """Return why an entry cannot be billed yet; nothing where it can."""
    if entry.charge is None:
        verdict = next((c for c in entry.status.conditions if c.type == "Accepted"), None)
        return verdict.message if verdict else "The operator has not looked at it yet."
    if request is None:
        return f"Its ChangeRequest {entry.spec.change_request_ref.name} is not there."
    if not is_settled(request):
        return f"The operator has not assessed ChangeRequest {request.metadata.name} yet."
    if request.status.ticket is not None and request.status.ticket.number is None:
        return f"ChangeRequest {request.metadata.name} has no ticket in the helpdesk yet."
    if entry.charge.currency != prices.spec.currency:
        return f"It is priced in {entry.charge.currency}, and the price list is in {prices.spec.currency}."
    return ""


def _pending(entry: WorkEntry, reason: str) -> PendingEntry:
    meta = entry.metadata
    return PendingEntry(namespace=meta.namespace, name=meta.name, reason=_shortened(reason))


def _fitting(items: tuple[_Item, ...]) -> int:
    """Return how many of the items fit on one page; at least one, since one always does."""
    lines = records = pending = size = 0
    for taken, item in enumerate(items):
        lines += len(item.lines)
        records += len(item.records)
        pending += len(item.pending)
        size += item.size
        is_full = lines > LINES_PER_PAGE or records > RECORDS_PER_PAGE or pending > PENDING_PER_PAGE
        if taken and (is_full or size > BYTES_PER_PAGE):
            return taken
    return len(items)


def _written(books: Books, month: str) -> tuple[Statement, ...]:
    return tuple(page for page in books.chain if page.spec.month == month)


def _with(page: Statement, **said: Any) -> Statement:
    return page.model_copy(update={"spec": page.spec.model_copy(update=said)})


def _page(books: Books, month: str, items: tuple[_Item, ...]) -> Statement:
    """Return the next page without its hash, and without what only the last page says."""
    party, zone, written = books.customer, books.prices.spec.time_zone, _written(books, month)
    number = len(written) + 1
    follows = books.chain[-1] if books.pages else None
    offset = max((line.number for page in written for line in page.spec.lines), default=0)
    lines = (line for item in items for line in item.lines)
    spec = StatementSpec(
        customer_ref=LocalReference(name=party.metadata.name),
        month=month,
        time_zone=zone,
        until=period(month, zone).until,
        page=number,
        recipient=Recipient(
            customer_number=party.spec.customer_number,
            display_name=party.spec.display_name,
            address=party.spec.address,
            vat_id=party.spec.vat_id,
        ),
        price_list_ref=party.spec.price_list_ref,
        lines=tuple(
            line.model_copy(update={"number": at}) for at, line in enumerate(lines, start=offset + 1)
        ),
        records=tuple(sorted((record for item in items for record in item.records), key=key_of)),
        pending=tuple(entry for item in items for entry in item.pending),
        previous=Previous(name=follows.metadata.name, hash=follows.spec.hash) if follows else None,
        hash=_NO_HASH,
    )
    # The pages of a month stay together although the customer's list of namespaces changes meanwhile.
    namespace = written[0].metadata.namespace if written else party.spec.namespaces[0]
    meta = ObjectMeta(name=statement_name(party.metadata.name, month, number), namespace=namespace)
    return Statement(metadata=meta, spec=spec)


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
