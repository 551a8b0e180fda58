"""How somebody changes a ledger who may write whatever `verify` reads."""

from dataclasses import replace

from managedvm.api.base import APPLIED_BY, LocalReference
from managedvm.api.customer import StatementReference
from managedvm.api.statement import SealedRecord, Statement
from managedvm.planning.ledger import RecordKey, digest, hash_of, sealed
from managedvm.planning.statementlines import summed
from tests.bookkeeping import end_of, work
from tests.factories import at

OCTOBER, NOVEMBER, DECEMBER = "kunde-a-2026-10", "kunde-a-2026-11", "kunde-a-2026-12"
PAGE_2 = f"{OCTOBER}-p2"


def page(of, name):
    return next(page for page in of.pages if page.metadata.name == name)


def put(of, *changed):
    """Return the ledger with pages in the place of those of the same name."""
    names = {page.metadata.name: page for page in changed}
    return replace(of, pages=tuple(names.get(page.metadata.name, page) for page in of.pages))


def said(of, name, **spec):
    """Return a page that says something else; its hash stays as it was."""
    before = page(of, name)
    return before.model_copy(update={"spec": before.spec.model_copy(update=spec)})


def rehashed(changed):
    """Return a page with the hash that fits what it says now."""
    return changed.model_copy(update={"spec": changed.spec.model_copy(update={"hash": hash_of(changed)})})


def line(of, name, at=0, **values):
    """Return the page with one line changed."""
    lines = list(page(of, name).spec.lines)
    lines[at] = lines[at].model_copy(update=values)
    return said(of, name, lines=tuple(lines))


def resummed(changed):
    """Return a page whose totals fit its lines again."""
    stated = changed.spec.totals
    sums = summed(changed.spec.lines, stated.currency)
    return changed.model_copy(update={"spec": changed.spec.model_copy(update={"totals": sums})})


def record(of, key, **spec):
    """Return the ledger with a record that says something else."""
    before = of.records[key]
    return replace(
        of,
        records={
            **of.records,
            key: before.model_copy(update={"spec": before.spec.model_copy(update=spec)}),
        },
    )


def status(of, key, **values):
    before = of.records[key]
    after = before.model_copy(update={"status": before.status.model_copy(update=values)})
    return replace(of, records={**of.records, key: after})


def created(of, key, moment):
    """Return the ledger with a record that was deleted and created again, or that says so."""
    before = of.records[key]
    meta = before.metadata.model_copy(update={"creation_timestamp": at(moment)})
    return replace(of, records={**of.records, key: before.model_copy(update={"metadata": meta})})


def stamped(of, key, who):
    """Return the ledger with a record that says that somebody else wrote it."""
    before = of.records[key]
    meta = before.metadata.model_copy(update={"annotations": {APPLIED_BY: who}})
    return replace(of, records={**of.records, key: before.model_copy(update={"metadata": meta})})


def release(of, **values):
    """Return the ledger with a held request that was released otherwise."""
    return status(of, HELD, release=of.records[HELD].status.release.model_copy(update=values))


def accepted(of, **values):
    """Return the ledger with work that was accepted otherwise."""
    (verdict,) = of.records[WORK].status.conditions
    return status(of, WORK, conditions=(verdict.model_copy(update=values),))


def without(of, *names):
    return replace(of, pages=tuple(page for page in of.pages if page.metadata.name not in names))


def missing(of, *keys):
    return replace(of, records={key: value for key, value in of.records.items() if key not in keys})


def rechained(of):
    """Return the ledger with all hashes made anew: what somebody could do who may write everything here."""
    before, pages = None, []
    for one in sorted(of.pages, key=lambda page: (page.spec.month, page.spec.page)):
        link = StatementReference(name=before.metadata.name, hash=before.spec.hash) if before else None
        before = rehashed(one.model_copy(update={"spec": one.spec.model_copy(update={"previous": link})}))
        pages.append(before)
    return replace(of, pages=tuple(pages))


WORK = RecordKey("WorkEntry", "kunde-a", "work-nov")
ASKED = RecordKey("ChangeRequest", "kunde-a", "chg-2")
QUIET = RecordKey("ChangeRequest", "kunde-a", "quiet")
HELD = RecordKey("ChangeRequest", "kunde-a", "by-phone")
RELEASE = RecordKey("RequestDecision", "kunde-a", "by-phone-release")
BACK = RecordKey("WorkEntry", "kunde-a", "reversal-of-work-nov")


MOVED = RecordKey("WorkEntry", "kunde-b", "work-nov")


def charged(of, **values):
    return of.records[WORK].charge.model_copy(update=values)


def forged(of, name, **values):
    """Return the ledger with a line changed, the sums and this page's hash made to fit."""
    return put(of, rehashed(resummed(line(of, name, **values))))


def swapped(of):
    november, december = page(of, NOVEMBER), page(of, DECEMBER)
    return put(
        of,
        november.model_copy(update={"spec": december.spec}),
        december.model_copy(update={"spec": november.spec}),
    )


def renamed_swap(of):
    """Two months whose content, name included, changed places: each claims to be the other month."""
    november = said(of, NOVEMBER, month="2026-12", previous=page(of, DECEMBER).spec.previous)
    december = said(of, DECEMBER, month="2026-11", previous=page(of, NOVEMBER).spec.previous)
    first = november.model_copy(update={"metadata": december.metadata})
    second = december.model_copy(update={"metadata": november.metadata})
    return replace(
        without(of, NOVEMBER, DECEMBER), pages=(*without(of, NOVEMBER, DECEMBER).pages, first, second)
    )


def inserted_statement(of):
    empty = page(of, DECEMBER)
    spec = empty.spec.model_copy(
        update={
            "month": "2027-01",
            "until": end_of("2027-01"),
            "lines": (),
            "records": (),
            "previous": StatementReference(name=DECEMBER, hash=empty.spec.hash),
        }
    )
    meta = empty.metadata.model_copy(update={"name": "kunde-a-2027-01"})
    return replace(of, pages=(*of.pages, rehashed(resummed(Statement(metadata=meta, spec=spec)))))


def inserted_line(of):
    november = page(of, NOVEMBER)
    extra = november.spec.lines[0].model_copy(update={"number": 3})
    return put(of, rehashed(resummed(said(of, NOVEMBER, lines=(*november.spec.lines, extra)))))


def inserted_work(of):
    """A made-up entry with a line, a digest, sums and hashes that all fit."""
    extra = work("made-up", "2026-11-03T09:00", on="chg-2", recorded="2026-12-20T00:00")
    november = page(of, NOVEMBER)
    new = november.spec.lines[0].model_copy(update={"work_entry_ref": extra.spec.change_request_ref})
    new = new.model_copy(update={"number": 2})
    lines = (*november.spec.lines, new)
    records = tuple(
        sorted((*november.spec.records, sealed(extra)), key=lambda r: (r.kind, r.namespace, r.name))
    )
    return put(of, rehashed(resummed(said(of, NOVEMBER, lines=lines, records=records))))


def smuggled_work(of):
    """Work that came past the policies into a month that is closed."""
    late = work("late", "2026-11-10T09:00", recorded="2026-12-20T00:00")
    return replace(of, records={**of.records, RecordKey("WorkEntry", "kunde-a", "late"): late})


def hidden_work(of):
    """Work that was there and that whoever closed the month left out."""
    hidden = work("hidden", "2026-11-10T09:00", recorded="2026-11-11T00:00")
    return replace(of, records={**of.records, RecordKey("WorkEntry", "kunde-a", "hidden"): hidden})


def billed_again(of):
    """The same work in two months, with all hashes made to fit."""
    november, december = page(of, NOVEMBER), page(of, DECEMBER)
    lines = (november.spec.lines[0], december.spec.lines[0].model_copy(update={"number": 2}))
    records = sorted(
        {*december.spec.records, *(r for r in november.spec.records if r.name == "work-nov")},
        key=lambda r: (r.kind, r.namespace, r.name),
    )
    return rechained(put(of, resummed(said(of, DECEMBER, lines=lines, records=tuple(records)))))


def left_out(of):
    """Work taken out of its month with its line and digest; numbers, sums and all hashes are made to fit."""
    november = page(of, NOVEMBER)
    lines = [line for line in november.spec.lines if line.work_entry_ref.name != "work-nov"]
    lines = tuple(line.model_copy(update={"number": n}) for n, line in enumerate(lines, start=1))
    records = tuple(record for record in november.spec.records if record.name != "work-nov")
    return rechained(put(of, resummed(said(of, NOVEMBER, lines=lines, records=records))))


def swapped_lines(of):
    """Two lines that changed places, and their numbers with them; all hashes fit."""
    first, second = page(of, NOVEMBER).spec.lines
    lines = (second.model_copy(update={"number": 1}), first.model_copy(update={"number": 2}))
    return rechained(put(of, said(of, NOVEMBER, lines=lines)))


def swapped_pages(of):
    """The two pages of a month that changed places."""
    first, second = page(of, OCTOBER), page(of, PAGE_2)
    return put(
        of,
        first.model_copy(update={"spec": second.spec}),
        second.model_copy(update={"spec": first.spec}),
    )


def written_by(of, name, customer):
    """Return a page that another customer's close might have written."""
    return said(of, name, customer_ref=LocalReference(name=customer))


def taxed(of, percent):
    """The tax of a line of the last month, with all sums and hashes made to fit."""
    return rechained(put(of, resummed(line(of, DECEMBER, vat_percent=percent))))


def in_another_currency(of):
    """The currency of the last month's totals, with its hash."""
    totals = page(of, DECEMBER).spec.totals.model_copy(update={"currency": "CHF"})
    return put(of, rehashed(said(of, DECEMBER, totals=totals)))


def new_digest(of, key, name):
    """Return the ledger with the digest of a record made to fit what it says, and all hashes after it."""
    records = tuple(
        SealedRecord(**{**r.model_dump(), "digest": digest(of.records[key])}) if r.name == key.name else r
        for r in page(of, name).spec.records
    )
    return rechained(put(of, said(of, name, records=records)))
