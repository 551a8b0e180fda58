"""What somebody could do to a ledger, each with what `verify` must say of it and where."""

from dataclasses import replace
from datetime import timedelta

from managedvm.api.base import LocalReference
from managedvm.api.changerequest import Billing
from managedvm.api.customer import StatementReference
from managedvm.planning.verification import Fault
from tests.bookkeeping import end_of
from tests.factories import at
from tests.forgery import (
    ASKED,
    BACK,
    DECEMBER,
    HELD,
    MOVED,
    NOVEMBER,
    OCTOBER,
    PAGE_2,
    QUIET,
    RELEASE,
    WORK,
    accepted,
    billed_again,
    charged,
    created,
    forged,
    hidden_work,
    in_another_currency,
    inserted_line,
    inserted_statement,
    inserted_work,
    left_out,
    line,
    missing,
    new_digest,
    page,
    put,
    rechained,
    record,
    rehashed,
    release,
    renamed_swap,
    resummed,
    said,
    smuggled_work,
    stamped,
    status,
    swapped,
    swapped_lines,
    swapped_pages,
    taxed,
    without,
    written_by,
)

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
    "who released": (lambda of: release(of, released_by="z@x"), Fault.EDITED, "by-phone"),
    "by which decision it was released": (
        lambda of: release(of, decision_ref=LocalReference(name="other")),
        Fault.EDITED,
        "by-phone",
    ),
    "that it was released": (lambda of: status(of, HELD, release=None), Fault.EDITED, "by-phone"),
    "that a request was held and released": (
        lambda of: status(of, ASKED, release=of.records[HELD].status.release),
        Fault.EDITED,
        "chg-2",
    ),
    "who decided": (lambda of: record(of, RELEASE, decided_by="z@x"), Fault.EDITED, "by-phone-release"),
    "why it was accepted": (lambda of: accepted(of, message="Trust me."), Fault.EDITED, "work-nov"),
    "that it was not accepted": (lambda of: accepted(of, status="False"), Fault.EDITED, "work-nov"),
    "that nobody accepted it": (lambda of: status(of, WORK, conditions=()), Fault.EDITED, "work-nov"),
    "when the work ended": (
        lambda of: record(of, WORK, end=at("2026-11-03T11:00")),
        Fault.EDITED,
        "work-nov",
    ),
    "the currency of the work": (
        lambda of: status(of, WORK, charge=charged(of, currency="CHF")),
        Fault.EDITED,
        "work-nov",
    ),
    "the price list of the work": (
        lambda of: status(of, WORK, charge=charged(of, price_list_ref=LocalReference(name="dear"))),
        Fault.EDITED,
        "work-nov",
    ),
    "the request of the work": (
        lambda of: record(of, WORK, change_request_ref=LocalReference(name="quiet")),
        Fault.EDITED,
        "work-nov",
    ),
    "what a counter-entry takes back": (
        lambda of: record(of, BACK, reverses=LocalReference(name="free")),
        Fault.EDITED,
        "reversal-of-work-nov",
    ),
    "when the work was recorded": (
        lambda of: created(of, WORK, "2026-11-20T00:00"),
        Fault.EDITED,
        "work-nov",
    ),
    "when a request without work was written": (
        lambda of: created(of, QUIET, "2026-11-01T00:00"),
        Fault.EDITED,
        "quiet",
    ),
    "when it was decided": (
        lambda of: created(of, RELEASE, "2026-11-01T00:00"),
        Fault.EDITED,
        "by-phone-release",
    ),
    "who wrote it down": (lambda of: stamped(of, QUIET, "z@x"), Fault.EDITED, "quiet"),
    "a request without work": (lambda of: record(of, QUIET, ticket="1"), Fault.EDITED, "quiet"),
    # A record is deleted or comes from outside.
    "work deleted": (lambda of: missing(of, WORK), Fault.DELETED, "work-nov"),
    "request deleted": (lambda of: missing(of, QUIET), Fault.DELETED, "quiet"),
    "decision deleted": (lambda of: missing(of, RELEASE), Fault.DELETED, "by-phone-release"),
    "work moved to another customer's namespace": (
        lambda of: replace(missing(of, WORK), records={**missing(of, WORK).records, MOVED: of.records[WORK]}),
        Fault.DELETED,
        "work-nov",
    ),
    "work billed by another customer's statement": (
        lambda of: replace(of, others=(written_by(of, NOVEMBER, "kunde-b"),)),
        Fault.BILLED_TWICE,
        "work-nov",
    ),
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
    "minutes, sums and hash": (
        lambda of: forged(of, DECEMBER, counted=timedelta(minutes=-5)),
        Fault.EDITED,
        "line 1",
    ),
    "clause of a line, sums and hash": (
        lambda of: forged(of, DECEMBER, clause="6.1"),
        Fault.EDITED,
        "line 1",
    ),
    "tax of a line, sums and all hashes": (lambda of: taxed(of, "7"), Fault.EDITED, "line 1"),
    "number of a line": (
        lambda of: put(of, rehashed(line(of, DECEMBER, number=7))),
        Fault.REORDERED,
        DECEMBER,
    ),
    "two lines swapped with their numbers and all hashes": (swapped_lines, Fault.REORDERED, NOVEMBER),
    "work left out with its line and all hashes": (left_out, Fault.LEFT_OUT, "work-nov"),
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
                totals=page(of, NOVEMBER).spec.totals.model_copy(update={"taxes": ()}),
            ),
        ),
        Fault.EDITED,
        NOVEMBER,
    ),
    "currency": (in_another_currency, Fault.EDITED, "priced in EUR"),
    "end of the month": (
        lambda of: put(of, rehashed(said(of, DECEMBER, until=end_of("2026-11")))),
        Fault.EDITED,
        DECEMBER,
    ),
    "recipient and hash of the last month": (
        lambda of: put(
            of,
            rehashed(
                said(
                    of,
                    DECEMBER,
                    recipient=page(of, DECEMBER).spec.recipient.model_copy(update={"vat_id": None}),
                )
            ),
        ),
        Fault.EDITED,
        DECEMBER,
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
        lambda of: put(
            of, rehashed(said(of, DECEMBER, previous=StatementReference(name=NOVEMBER, hash="1" * 64)))
        ),
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
    "pages of a month swapped": (swapped_pages, Fault.REORDERED, OCTOBER),
    "number of a page": (
        lambda of: put(of, rehashed(said(of, PAGE_2, page=3))),
        Fault.REORDERED,
        PAGE_2,
    ),
    "all but the last month deleted, which says that it is the first": (
        lambda of: rechained(without(of, OCTOBER, PAGE_2, NOVEMBER)),
        Fault.EDITED,
        DECEMBER,
    ),
    "last month replaced by an empty one": (
        lambda of: rechained(put(of, resummed(said(of, DECEMBER, lines=(), records=(), pending=())))),
        Fault.LEFT_OUT,
        "reversal-of-work-nov",
    ),
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
