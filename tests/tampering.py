"""What somebody could do to a ledger, each with what `verify` must say of it and where."""

from dataclasses import replace

from managedvm.api.changerequest import Billing
from managedvm.api.statement import Previous, SealedRecord, Statement
from managedvm.planning.ledger import RecordKey, digest, hash_of, sealed
from managedvm.planning.statement import summed
from managedvm.planning.verification import Fault
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
    sums = summed(changed.spec.lines, stated.vat_percent, stated.currency)
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


def without(of, *names):
    return replace(of, pages=tuple(page for page in of.pages if page.metadata.name not in names))


def missing(of, *keys):
    return replace(of, records={key: value for key, value in of.records.items() if key not in keys})


def rechained(of):
    """Return the ledger with all hashes made anew: what somebody could do who may write everything here."""
    before, pages = None, []
    for one in sorted(of.pages, key=lambda page: (page.spec.month, page.spec.page)):
        link = Previous(name=before.metadata.name, hash=before.spec.hash) if before else None
        before = rehashed(one.model_copy(update={"spec": one.spec.model_copy(update={"previous": link})}))
        pages.append(before)
    return replace(of, pages=tuple(pages))


WORK = RecordKey("WorkEntry", "kunde-a", "work-nov")
ASKED = RecordKey("ChangeRequest", "kunde-a", "chg-2")
QUIET = RecordKey("ChangeRequest", "kunde-a", "quiet")


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
            "previous": Previous(name=DECEMBER, hash=empty.spec.hash),
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


def new_digest(of, key, name):
    """Return the ledger with the digest of a record made to fit what it says, and all hashes after it."""
    records = tuple(
        SealedRecord(**{**r.model_dump(), "digest": digest(of.records[key])}) if r.name == key.name else r
        for r in page(of, name).spec.records
    )
    return rechained(put(of, said(of, name, records=records)))


TAMPERINGS = {
    # A record is edited.
    "who did the work": (lambda of: record(of, WORK, performed_by="x@x"), Fault.EDITED, "work-nov"),
    "when the work began": (
        lambda of: record(of, WORK, begin=at("2026-11-03T08:00")),
        Fault.EDITED,
        "work-nov",
    ),
    "what was done": (lambda of: record(of, WORK, activity="Nothing."), Fault.EDITED, "work-nov"),
    "what the work cost": (
        lambda of: status(of, WORK, charge=charged(of, amount="9.00")),
        Fault.EDITED,
        "work-nov",
    ),
    "the clause of the work": (
        lambda of: status(of, WORK, charge=charged(of, clause="4.1")),
        Fault.EDITED,
        "work-nov",
    ),
    "who ordered": (lambda of: record(of, ASKED, requested_by="z@x"), Fault.EDITED, "chg-2"),
    "what was ordered": (lambda of: record(of, ASKED, description="Nothing."), Fault.EDITED, "chg-2"),
    "what was assessed": (lambda of: status(of, ASKED, assessment=None), Fault.EDITED, "chg-2"),
    "by whose authority": (lambda of: status(of, ASKED, authority=None), Fault.EDITED, "chg-2"),
    "a request without work": (lambda of: record(of, QUIET, ticket="1"), Fault.EDITED, "quiet"),
    # A record is deleted or comes from outside.
    "work deleted": (lambda of: missing(of, WORK), Fault.DELETED, "work-nov"),
    "request deleted": (lambda of: missing(of, QUIET), Fault.DELETED, "quiet"),
    "work smuggled into a closed month": (smuggled_work, Fault.INSERTED, "late"),
    "work left out": (hidden_work, Fault.LEFT_OUT, "hidden"),
    # A line is edited.
    "amount of a line": (lambda of: put(of, line(of, NOVEMBER, amount="9.00")), Fault.EDITED, NOVEMBER),
    "amount, sums and hash": (lambda of: forged(of, NOVEMBER, amount="9.00"), Fault.EDITED, "line 1"),
    "rate, sums and hash": (lambda of: forged(of, NOVEMBER, hourly_rate="1.00"), Fault.EDITED, "line 1"),
    "orderer of a line of the last month": (
        lambda of: forged(of, DECEMBER, requested_by="z@x"),
        Fault.EDITED,
        "line 1",
    ),
    "billing of a line": (
        lambda of: forged(of, DECEMBER, billing=Billing.INCLUDED),
        Fault.EDITED,
        "line 1",
    ),
    "line deleted": (
        lambda of: put(of, rehashed(resummed(said(of, DECEMBER, lines=())))),
        Fault.DELETED,
        DECEMBER,
    ),
    "line inserted": (inserted_line, Fault.INSERTED, NOVEMBER),
    "work made up": (inserted_work, Fault.DELETED, "made-up"),
    "lines reordered": (
        lambda of: put(of, rehashed(said(of, NOVEMBER, lines=page(of, NOVEMBER).spec.lines[::-1]))),
        Fault.REORDERED,
        NOVEMBER,
    ),
    "records reordered": (
        lambda of: put(of, rehashed(said(of, DECEMBER, records=page(of, NOVEMBER).spec.records[::-1]))),
        Fault.REORDERED,
        DECEMBER,
    ),
    "work billed twice": (billed_again, Fault.BILLED_TWICE, "work-nov"),
    # What a page says besides.
    "net": (
        lambda of: put(
            of,
            rehashed(
                said(
                    of,
                    DECEMBER,
                    totals=page(of, DECEMBER).spec.totals.model_copy(update={"net": "0.00"}),
                )
            ),
        ),
        Fault.WRONG_SUM,
        DECEMBER,
    ),
    "tax": (
        lambda of: put(
            of,
            rehashed(
                said(
                    of,
                    DECEMBER,
                    totals=page(of, DECEMBER).spec.totals.model_copy(update={"vat": "-1.00"}),
                )
            ),
        ),
        Fault.WRONG_SUM,
        DECEMBER,
    ),
    "tax rate": (
        lambda of: put(
            of,
            said(
                of,
                NOVEMBER,
                totals=page(of, NOVEMBER).spec.totals.model_copy(update={"vat_percent": "7"}),
            ),
        ),
        Fault.EDITED,
        NOVEMBER,
    ),
    "recipient": (
        lambda of: put(
            of,
            said(
                of,
                NOVEMBER,
                recipient=page(of, NOVEMBER).spec.recipient.model_copy(update={"vat_id": None}),
            ),
        ),
        Fault.EDITED,
        NOVEMBER,
    ),
    "hash of one page": (lambda of: put(of, said(of, NOVEMBER, hash="0" * 64)), Fault.EDITED, NOVEMBER),
    "content and hash of one page": (
        lambda of: put(of, rehashed(said(of, NOVEMBER, pending=(), time_zone="UTC"))),
        Fault.BROKEN_CHAIN,
        DECEMBER,
    ),
    "hash of the one before": (
        lambda of: put(of, rehashed(said(of, DECEMBER, previous=Previous(name=NOVEMBER, hash="1" * 64)))),
        Fault.BROKEN_CHAIN,
        DECEMBER,
    ),
    "no page before": (
        lambda of: put(of, rehashed(said(of, NOVEMBER, previous=None))),
        Fault.BROKEN_CHAIN,
        NOVEMBER,
    ),
    "record, digest and all hashes": (
        lambda of: new_digest(record(of, WORK, performed_by="x@x"), WORK, NOVEMBER),
        Fault.EDITED,
        "line 1",
    ),
    # Whole pages.
    "first page deleted": (lambda of: without(of, OCTOBER), Fault.DELETED, OCTOBER),
    "second page deleted": (lambda of: without(of, PAGE_2), Fault.DELETED, NOVEMBER),
    "middle month deleted": (lambda of: without(of, NOVEMBER), Fault.DELETED, DECEMBER),
    "last month deleted": (lambda of: without(of, DECEMBER), Fault.DELETED, NOVEMBER),
    "all deleted": (lambda of: replace(of, pages=()), Fault.DELETED, "statements"),
    "last month inserted": (inserted_statement, Fault.INSERTED, "kunde-a-2027-01"),
    "two months swapped": (swapped, Fault.REORDERED, NOVEMBER),
    "two months swapped with their names": (renamed_swap, Fault.EDITED, DECEMBER),
    "a page twice": (
        lambda of: replace(of, pages=(*of.pages, said(of, NOVEMBER, pending=(), lines=()))),
        Fault.INSERTED,
        NOVEMBER,
    ),
}
