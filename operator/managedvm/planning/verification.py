"""Whether a ledger is what it was when its months were closed; each thing that is not is found and named.

Checked are the chain of the pages, and whether it is the one that the Customer names; what each page says of itself; every
record against the digest that covers it; every line against its record; and that no other customer's statement covers it. A
record may be in the cluster, in an archive, or in both; then both copies are looked at.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from managedvm.api.base import Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import CustomerStatus
from managedvm.api.pricelist import PriceList
from managedvm.api.statement import SealedRecord, Statement, StatementLine, statement_name
from managedvm.api.workentry import WorkEntry
from managedvm.planning.ledger import RecordKey, digest, hash_of, key_of
from managedvm.planning.records import OPERATOR
from managedvm.planning.statement import following, period, position, reference_to, sealed_by
from managedvm.planning.statementlines import NoTaxError, line_order, lines_of, summed, tax_on
from managedvm.planning.wallclock import shown

NOT_SEEN_AT_ONCE = timedelta(minutes=1)
"""How long the API server may take to see that a month is closed: work recorded meanwhile is late, and no forgery."""


class Fault(StrEnum):
    """What is wrong."""

    EDITED = "Edited"
    DELETED = "Deleted"
    INSERTED = "Inserted"
    REORDERED = "Reordered"
    BROKEN_CHAIN = "BrokenChain"
    WRONG_SUM = "WrongSum"
    BILLED_TWICE = "BilledTwice"
    LEFT_OUT = "LeftOut"
    INCOMPLETE = "Incomplete"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is not as it was: what is wrong, where, and in a sentence how it is seen."""

    fault: Fault
    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """One place that holds a customer's pages and records: the cluster, or archives.

    `others` are pages of other customers that may cover the same records; `prices` are price lists by name.
    """

    pages: tuple[Statement, ...] = ()
    records: Mapping[RecordKey, Resource] = field(default_factory=dict)
    others: tuple[Statement, ...] = ()
    prices: Mapping[str, PriceList] = field(default_factory=dict)


Found = Iterator[Discrepancy]


def verify(
    live: Ledger,
    archive: Ledger | None = None,
    *,
    settled: CustomerStatus | None = None,
    hashes: Iterable[str] = (),
) -> tuple[Discrepancy, ...]:
    """Return all that is not as it was; nothing where all is.

    `hashes` are those that documents in other hands carry, each must be in the chain: whoever can rewrite all that is
    here cannot rewrite those. `settled` is how far the Customer says that its months are closed, where it is known.
    """
    held = archive or Ledger()
    chain = tuple(sorted({_said(page): page for page in (*held.pages, *live.pages)}.values(), key=position))
    records = {**held.records, **live.records}
    found = [
        *(problem for page in chain for problem in _page_itself(page)),
        *_chain(chain),
        *(_as_settled(chain, settled) if settled else ()),
        *_hashes(chain, hashes),
        *_sums(chain),
        *_twice(chain, (*held.others, *live.others)),
        *_copies(chain, live.records, "in the cluster"),
        *_copies(chain, held.records, "in the archive"),
        *_missing(chain, records),
        *(problem for page in chain for problem in _lines(page, records, {**held.prices, **live.prices})),
        *_currencies(chain, records),
        *_around(chain, live.records, sealed_by((*held.others, *live.others))),
    ]
    return tuple(dict.fromkeys(found))


def broken(pages: Iterable[Statement]) -> tuple[Discrepancy, ...]:
    """Return what is wrong with pages by themselves; that the latest month is not finished is nothing wrong."""
    chain = tuple(sorted(pages, key=position))
    found = (*(problem for page in chain for problem in _page_itself(page)), *_chain(chain))
    return tuple(problem for problem in found if problem.fault is not Fault.INCOMPLETE)


def _said(page: Statement) -> tuple[str, str, str]:
    """Return what tells two copies of a page apart: place, name and content."""
    return page.metadata.namespace, page.metadata.name, hash_of(page)


def _page_itself(page: Statement) -> Found:
    spec, name = page.spec, page.metadata.name
    if hash_of(page) != spec.hash:
        yield Discrepancy(Fault.EDITED, name, "its content is not what its hash was made of")
    should = statement_name(spec.customer_ref.name, spec.month, spec.page)
    if name != should:
        yield Discrepancy(Fault.REORDERED, name, f"its content is that of {should}")
    if spec.until != period(spec.month, spec.time_zone).until:
        yield Discrepancy(Fault.EDITED, name, f"{spec.month} does not end at {shown(spec.until)}")
    keys = [key_of(record) for record in spec.records]
    if keys != sorted(set(keys)):
        yield Discrepancy(Fault.REORDERED, name, "its records do not stand in their order, each once")
    worked = {key for key in keys if key.kind == WorkEntry.KIND.kind}
    billed = [_entry_of(line) for line in spec.lines]
    for key in sorted(worked - set(billed)):
        yield Discrepancy(Fault.DELETED, name, f"it covers {key} and has no line of it")
    for key in sorted(set(billed) - worked):
        yield Discrepancy(Fault.INSERTED, name, f"it has a line of {key} and does not cover it")


def _chain(chain: tuple[Statement, ...]) -> Found:
    if not chain:
        return
    first, latest = chain[0], chain[-1]
    if first.spec.previous is not None:
        text = f"{first.metadata.name} follows it, and it is neither in the cluster nor in an archive"
        yield Discrepancy(Fault.DELETED, first.spec.previous.name, text)
    for before, page in pairwise(chain):
        yield from _follows(before, page)
    if latest.spec.pages is None:
        text = "the last page of the month is not there: it was deleted, or closing was interrupted; close the month again"
        yield Discrepancy(Fault.INCOMPLETE, latest.metadata.name, text)


def _as_settled(chain: tuple[Statement, ...], settled: CustomerStatus) -> Found:
    """Compare the chain with what the Customer says: how far its months are closed, and by which page last."""
    until, last = settled.closed_until, settled.last_statement
    if last is not None and all(page.metadata.name != last.name for page in chain):
        text = "it was written last, and it is neither in the cluster nor in an archive"
        yield Discrepancy(Fault.DELETED, last.name, text)
    elif last is not None and last not in map(reference_to, chain):
        text = (
            f"its hash was {last.hash[:12]}… when the month was closed: it was replaced, or all before it was"
        )
        yield Discrepancy(Fault.EDITED, last.name, text)
    if not chain:
        if until is not None:
            text = f"months are closed until {shown(until)}, and none of their statements is there"
            yield Discrepancy(Fault.DELETED, "statements", text)
        return
    latest = chain[-1]
    if until is None or latest.spec.until > until:
        text = f"months are closed until {shown(until)} only" if until else "no month is closed"
        text += ": it was put in, or the Customer was made anew; then close its month again"
        yield Discrepancy(Fault.INSERTED, latest.metadata.name, text)
    elif latest.spec.until < until:
        text = f"months are closed until {shown(until)}, and no statement of them follows"
        yield Discrepancy(Fault.DELETED, latest.metadata.name, text)
    if latest.spec.pages is not None and (last is None or last in map(reference_to, chain[:-1])):
        text = "the Customer does not name it yet: it was put in, or closing was interrupted; close the month again"
        yield Discrepancy(Fault.INCOMPLETE, latest.metadata.name, text)


def _follows(before: Statement, page: Statement) -> Found:
    name, previous = page.metadata.name, page.spec.previous
    if position(before) == position(page):
        yield Discrepancy(Fault.INSERTED, name, f"there are two of {page.spec.month}, page {page.spec.page}")
        return
    is_next = (
        position(page) == (before.spec.month, before.spec.page + 1)
        if before.spec.pages is None
        else position(page) == (following(before.spec.month), 1)
    )
    if not is_next:
        text = f"after {before.metadata.name} comes {name}: what belongs between them is not there"
        yield Discrepancy(Fault.DELETED, name, text)
    if previous != reference_to(before):
        said = f"{previous.name} with hash {previous.hash[:12]}…" if previous else "nothing"
        text = f"it follows {said}, and what stands before it is {before.metadata.name} with hash {before.spec.hash[:12]}…"
        yield Discrepancy(Fault.BROKEN_CHAIN, name, text)


def _hashes(chain: tuple[Statement, ...], hashes: Iterable[str]) -> Found:
    there = {page.spec.hash for page in chain}
    for wanted in hashes:
        if wanted not in there:
            text = "a document carries this hash, and no statement has it: what was handed out was replaced"
            yield Discrepancy(Fault.EDITED, wanted, text)


def _sums(chain: tuple[Statement, ...]) -> Found:
    for page in chain:
        month, stated = [p for p in chain if p.spec.month == page.spec.month], page.spec.totals
        lines = [line for one in month for line in one.spec.lines]
        if stated is not None:
            right = summed(lines, stated.currency)
            for name, said in stated.to_json().items():
                if (should := right.to_json()[name]) != said:
                    text = f"totals.{name} is {said}, and the lines make {should}"
                    yield Discrepancy(Fault.WRONG_SUM, page.metadata.name, text)
            numbers = [line.number for line in lines]
            if numbers != list(range(1, len(lines) + 1)):
                yield Discrepancy(
                    Fault.REORDERED, page.metadata.name, "its lines are not numbered one by one"
                )
        order = [line_order(lines[0]) for lines in _entries(page).values()]
        if order != sorted(order):
            yield Discrepancy(
                Fault.REORDERED, page.metadata.name, "its lines do not stand in the order of time"
            )


def _twice(chain: tuple[Statement, ...], others: tuple[Statement, ...]) -> Found:
    times = Counter(key_of(record) for page in chain for record in page.spec.records)
    for key, count in times.items():
        if count > 1:
            yield Discrepancy(Fault.BILLED_TWICE, str(key), f"it is covered {count} times")
    for page in {page.key: page for page in others}.values():
        for key in sorted(sealed_by([page]) & times.keys()):
            text = f"{page.metadata.name} of customer {page.spec.customer_ref.name} covers it too"
            yield Discrepancy(Fault.BILLED_TWICE, str(key), text)


def _copies(chain: tuple[Statement, ...], records: Mapping[RecordKey, Resource], place: str) -> Found:
    for page in chain:
        for record in page.spec.records:
            copy = records.get(key_of(record))
            if copy is not None and digest(copy) != record.digest:
                text = f"{place} it says something else than when {page.metadata.name} was closed"
                yield Discrepancy(Fault.EDITED, str(key_of(record)), text)


def _missing(chain: tuple[Statement, ...], records: Mapping[RecordKey, Resource]) -> Found:
    """Name each record that is gone, or the month alone where all of its records are: then they were pruned."""
    for month in dict.fromkeys(page.spec.month for page in chain):
        sealed: list[SealedRecord] = [r for p in chain if p.spec.month == month for r in p.spec.records]
        gone = [key_of(record) for record in sealed if key_of(record) not in records]
        if gone and len(gone) == len(sealed):
            text = f"none of its {len(gone)} records is there: give the archive that they were exported to"
            yield Discrepancy(Fault.DELETED, month, text)
            continue
        for key in gone:
            text = f"{month} covers it, and it is neither in the cluster nor in an archive"
            yield Discrepancy(Fault.DELETED, str(key), text)


def _lines(page: Statement, records: Mapping[RecordKey, Resource], prices: Mapping[str, PriceList]) -> Found:
    """Compare each line with what its record makes of it; what is not there is told elsewhere."""
    for key, lines in _entries(page).items():
        entry = records.get(key)
        asked = records.get(
            RecordKey(ChangeRequest.KIND.kind, key.namespace, lines[0].change_request_ref.name)
        )
        if not isinstance(entry, WorkEntry) or not isinstance(asked, ChangeRequest):
            continue
        right = _right(entry, asked, lines, prices)
        if len(right) != len(lines):
            text = f"{key} makes {len(right)} lines, and {len(lines)} are there"
            yield Discrepancy(
                Fault.INSERTED if len(lines) > len(right) else Fault.DELETED, page.metadata.name, text
            )
            continue
        for line, should in zip(lines, right, strict=True):
            said, meant = line.to_json(), should.to_json()
            for name in sorted((said.keys() | meant.keys()) - {"number"}):
                if said.get(name) != meant.get(name):
                    text = f"{name} is {said.get(name)}, and {key} says {meant.get(name)}"
                    yield Discrepancy(Fault.EDITED, f"{page.metadata.name} line {line.number}", text)


def _right(
    entry: WorkEntry, asked: ChangeRequest, lines: list[StatementLine], prices: Mapping[str, PriceList]
) -> tuple[StatementLine, ...]:
    """Return the lines that an entry makes; where its price list is not there, with the tax that stands in them."""
    try:
        return lines_of(entry, asked, tax_on(entry, prices))
    except NoTaxError:
        stated = {line.begin: line.vat_percent for line in lines}
        return lines_of(entry, asked, lambda begin: stated.get(begin, lines[0].vat_percent))


def _currencies(chain: tuple[Statement, ...], records: Mapping[RecordKey, Resource]) -> Found:
    """Compare the currency of each month with that of its records: a line has none of its own."""
    stated = {page.spec.month: page.spec.totals.currency for page in chain if page.spec.totals is not None}
    for page in chain:
        for key in _entries(page):
            entry, said = records.get(key), stated.get(page.spec.month)
            charge = entry.charge if isinstance(entry, WorkEntry) else None
            if said is not None and charge is not None and charge.currency != said:
                text = f"totals.currency is {said}, and {key} is priced in {charge.currency}"
                yield Discrepancy(Fault.EDITED, page.metadata.name, text)


def _around(
    chain: tuple[Statement, ...], records: Mapping[RecordKey, Resource], elsewhere: frozenset[RecordKey]
) -> Found:
    """Find work that came into a closed month from outside, and work that a close did not take although it was there."""
    sealed = sealed_by(chain) | elsewhere
    told = {(entry.namespace, entry.name) for page in chain for entry in page.spec.pending}
    closes = [page for page in chain if page.spec.pages is not None and page.metadata.creation_timestamp]
    for key, entry in records.items():
        recorded = entry.metadata.creation_timestamp
        if not isinstance(entry, WorkEntry) or recorded is None or entry.charge is None:
            continue
        after = [page for page in closes if entry.spec.begin < page.spec.until]
        late = [page for page in after if recorded > _written(page) + NOT_SEEN_AT_ONCE]
        early = [page for page in after if recorded < _written(page) - NOT_SEEN_AT_ONCE]
        if late and entry.spec.performed_by != OPERATOR:
            text = f"it was recorded at {shown(recorded)}, after {late[0].metadata.name} had closed its month"
            yield Discrepancy(Fault.INSERTED, str(key), text)
        if early and key not in sealed and (key.namespace, key.name) not in told:
            text = f"it was there when {early[0].metadata.name} was closed, and no statement has it"
            yield Discrepancy(Fault.LEFT_OUT, str(key), text)


def _written(page: Statement) -> datetime:
    if page.metadata.creation_timestamp is None:
        raise ValueError(f"{page.metadata.name} was never written")
    return page.metadata.creation_timestamp


def _entry_of(line: StatementLine) -> RecordKey:
    return RecordKey(WorkEntry.KIND.kind, line.namespace, line.work_entry_ref.name)


def _entries(page: Statement) -> dict[RecordKey, list[StatementLine]]:
    """Return the lines of each entry, in the order in which they stand."""
    found: dict[RecordKey, list[StatementLine]] = {}
    for line in page.spec.lines:
        found.setdefault(_entry_of(line), []).append(line)
    return found
