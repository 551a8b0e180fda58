"""Whether a ledger is what it was when its months were closed; each thing that is not is found and named.

Checked are the chain of the pages, what each page says of itself, every record against the digest that covers it, and every
line against its record. A record may be in the cluster, in an archive, or in both; then both copies are looked at.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from managedvm.api.base import Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.statement import Previous, SealedRecord, Statement, StatementLine, statement_name
from managedvm.api.workentry import WorkEntry
from managedvm.planning.ledger import RecordKey, digest, hash_of, key_of
from managedvm.planning.records import OPERATOR
from managedvm.planning.statement import following, line_order, lines_of, position, sealed_by, summed
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
    """One place that holds pages and records: the cluster, or archives."""

    pages: tuple[Statement, ...] = ()
    records: Mapping[RecordKey, Resource] = field(default_factory=dict)


Found = Iterator[Discrepancy]


def verify(
    live: Ledger,
    archive: Ledger | None = None,
    *,
    closed_until: datetime | None = None,
    hashes: Iterable[str] = (),
) -> tuple[Discrepancy, ...]:
    """Return all that is not as it was; nothing where all is.

    `hashes` are those that documents in other hands carry, each must be in the chain: whoever can rewrite all that is
    here cannot rewrite those. `closed_until` is how far the customer's months are closed.
    """
    held = archive or Ledger()
    chain = tuple(sorted({_said(page): page for page in (*held.pages, *live.pages)}.values(), key=position))
    records = {**held.records, **live.records}
    found = [
        *(problem for page in chain for problem in _page_itself(page)),
        *_chain(chain, closed_until),
        *_hashes(chain, hashes),
        *_sums(chain),
        *_twice(chain),
        *_copies(chain, live.records, "in the cluster"),
        *_copies(chain, held.records, "in the archive"),
        *_missing(chain, records),
        *(problem for page in chain for problem in _lines(page, records)),
        *_around(chain, live.records),
    ]
    return tuple(dict.fromkeys(found))


def broken(pages: Iterable[Statement]) -> tuple[Discrepancy, ...]:
    """Return what is wrong with pages by themselves; that the latest month is not finished is nothing wrong."""
    chain = tuple(sorted(pages, key=position))
    found = (*(problem for page in chain for problem in _page_itself(page)), *_chain(chain, None))
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
    keys = [key_of(record) for record in spec.records]
    if keys != sorted(set(keys)):
        yield Discrepancy(Fault.REORDERED, name, "its records do not stand in their order, each once")
    worked = {key for key in keys if key.kind == WorkEntry.KIND.kind}
    billed = [_entry_of(line) for line in spec.lines]
    for key in sorted(worked - set(billed)):
        yield Discrepancy(Fault.DELETED, name, f"it covers {key} and has no line of it")
    for key in sorted(set(billed) - worked):
        yield Discrepancy(Fault.INSERTED, name, f"it has a line of {key} and does not cover it")


def _chain(chain: tuple[Statement, ...], closed_until: datetime | None) -> Found:
    if not chain:
        if closed_until is not None:
            yield Discrepancy(
                Fault.DELETED,
                "statements",
                f"months are closed until {shown(closed_until)}, and none is there",
            )
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
    if closed_until is not None and latest.spec.until < closed_until:
        text = f"months are closed until {shown(closed_until)}, and no statement of them follows"
        yield Discrepancy(Fault.DELETED, latest.metadata.name, text)
    if closed_until is not None and latest.spec.until > closed_until:
        text = f"months are closed until {shown(closed_until)} only"
        yield Discrepancy(Fault.INSERTED, latest.metadata.name, text)


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
    if previous != Previous(name=before.metadata.name, hash=before.spec.hash):
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
            right = summed(lines, stated.vat_percent, stated.currency)
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


def _twice(chain: tuple[Statement, ...]) -> Found:
    times = Counter(key_of(record) for page in chain for record in page.spec.records)
    for key, count in times.items():
        if count > 1:
            yield Discrepancy(Fault.BILLED_TWICE, str(key), f"it is covered {count} times")


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


def _lines(page: Statement, records: Mapping[RecordKey, Resource]) -> Found:
    """Compare each line with what its record makes of it; what is not there is told elsewhere."""
    for key, lines in _entries(page).items():
        entry = records.get(key)
        asked = records.get(
            RecordKey(ChangeRequest.KIND.kind, key.namespace, lines[0].change_request_ref.name)
        )
        if not isinstance(entry, WorkEntry) or not isinstance(asked, ChangeRequest):
            continue
        right = lines_of(entry, asked)
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


def _around(chain: tuple[Statement, ...], records: Mapping[RecordKey, Resource]) -> Found:
    """Find work that came into a closed month from outside, and work that a close did not take although it was there."""
    sealed = sealed_by(chain)
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
