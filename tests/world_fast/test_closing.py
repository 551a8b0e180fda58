"""Clause 4: a month is closed once, however often somebody tries and wherever an attempt ends."""

import asyncio
from datetime import timedelta

import pytest

from managedvm.api.statement import Statement
from managedvm.closing import close, read_ledger, read_month
from managedvm.errors import StaleError, UnknownOutcomeError
from managedvm.planning import statement
from managedvm.planning.statement import CannotCloseError
from managedvm.planning.verification import Fault, verify
from tests.bookkeeping import customer, end_of, prices, request, work
from tests.factories import at
from tests.world_fast.fakes import FakeKube
from tests.world_fast.register import (
    CUSTOMER,
    NOW,
    WRITES,
    CrashedError,
    Register,
    body,
    closing,
    pages,
    register,
)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(statement, "LINES_PER_PAGE", 3)


def test_a_month_is_closed_to_new_work_and_then_written_page_by_page():
    kube = register()

    done = closing(kube)

    assert done.written == 3
    assert [page.metadata.name for page in done.pages] == [
        "kunde-a-2026-10",
        "kunde-a-2026-10-p2",
        "kunde-a-2026-10-p3",
    ]
    assert [call[:2] for call in kube.calls if call[0] != "get"] == [
        ("patch", "Customer"),
        *[("create", "Statement")] * 3,
        ("patch", "Customer"),
    ]
    last = done.pages[-1]
    assert kube.objects[CUSTOMER]["status"] == {
        "closedUntil": "2026-10-31T23:00:00Z",
        "lastStatement": {"name": "kunde-a-2026-10-p3", "hash": last.spec.hash},
    }


def test_a_closed_month_is_returned_as_it_is():
    kube = register()
    first = closing(kube)

    again = closing(kube)

    assert (again.written, again.pages) == (0, first.pages)
    assert kube.writes == WRITES


@pytest.mark.parametrize("loses_answer", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("write", range(1, WRITES + 1))
def test_a_close_that_ended_at_any_write_is_finished_by_the_next_with_the_same_result(write, loses_answer):
    undisturbed = register()
    closing(undisturbed)
    kube = register()
    kube.dies_at, kube.loses_answer = write, loses_answer

    with pytest.raises((CrashedError, UnknownOutcomeError)):
        closing(kube)
    closing(kube)

    assert pages(kube) == pages(undisturbed)
    assert kube.objects[CUSTOMER]["status"] == undisturbed.objects[CUSTOMER]["status"]


def test_work_that_comes_between_two_pages_is_billed_once_too():
    kube = register()
    kube.dies_at = 3
    with pytest.raises(CrashedError):
        closing(kube)
    late = work("late", "2026-10-07T09:00", by="operator", recorded="2026-11-01T00:00")
    asyncio.run(FakeKube.create(kube, body(late)))

    closing(kube)

    billed = [line["workEntryRef"]["name"] for page in pages(kube).values() for line in page["lines"]]
    assert sorted(billed) == sorted(["late", *(f"work-{number}" for number in range(7))])
    live, known = asyncio.run(read_ledger(kube, "kunde-a"))
    assert verify(live, settled=known) == ()


def test_two_who_close_at_once_write_each_page_once():
    kube = register()

    async def both():
        return await asyncio.gather(*(close(kube, "kunde-a", "2026-10", NOW) for _ in range(2)))

    one, other = asyncio.run(both())

    assert one.pages == other.pages
    assert one.written + other.written == 3


def test_whoever_is_always_too_late_is_told():
    class Contested(Register):
        async def list(self, kind, namespace, field="", label=""):
            return [] if kind == "Statement" else await super().list(kind, namespace, field, label)

    kube = Contested(*(body(one) for one in (customer(), prices(), request(), work())))
    asyncio.run(
        kube.create({"kind": "Statement", "metadata": {"namespace": "kunde-a", "name": "kunde-a-2026-10"}})
    )

    with pytest.raises(StaleError, match="again and again"):
        closing(kube)


def test_a_month_that_is_not_over_stays_open():
    kube = register()

    with pytest.raises(CannotCloseError, match="is not over"):
        closing(kube, now=end_of("2026-10") - timedelta(seconds=1))

    assert kube.writes == 0


def test_a_namespace_of_two_customers_has_no_statement():
    other = body(customer("kunde-b", "kunde-a"))
    other["metadata"] = {"name": "kunde-b"}
    kube = register()
    asyncio.run(FakeKube.create(kube, other))

    with pytest.raises(CannotCloseError, match="namespace kunde-a is on the lists of kunde-a and kunde-b"):
        closing(kube)

    assert kube.writes == 0


def test_statements_that_were_pruned_are_taken_from_the_archive():
    kube = register()
    october = closing(kube).pages
    closing(kube, "2026-11", end_of("2026-11"))
    for page in october:
        del kube.objects["Statement", "kunde-a", page.metadata.name]

    with pytest.raises(
        CannotCloseError, match=r"not whole: kunde-a-2026-10-p3: kunde-a-2026-11 follows it.*give the archive"
    ):
        closing(kube, "2026-12", end_of("2026-12"))
    with pytest.raises(CannotCloseError, match="what belongs between them is not there"):
        closing(kube, "2026-12", end_of("2026-12"), archived=october[:1])
    done = closing(kube, "2026-12", end_of("2026-12"), archived=october)

    assert done.pages[0].spec.lines == ()
    assert done.pages[0].spec.previous.name == "kunde-a-2026-11"


def test_nothing_is_built_on_a_statement_that_was_edited():
    kube = register()
    closing(kube)
    kube.objects["Statement", "kunde-a", "kunde-a-2026-10"]["spec"]["lines"][0]["amount"] = "1.00"

    with pytest.raises(
        CannotCloseError, match="kunde-a-2026-10: its content is not what its hash was made of"
    ):
        closing(kube, "2026-11", end_of("2026-11"))


def test_the_intake_is_not_opened_again():
    kube = register()
    closing(kube)
    kube.objects[CUSTOMER]["status"]["closedUntil"] = "2026-12-31T23:00:00Z"

    closing(kube, "2026-11", end_of("2026-11"))

    assert kube.objects[CUSTOMER]["status"]["closedUntil"] == "2026-12-31T23:00:00Z"


def test_the_records_of_a_month_are_read_as_they_are():
    kube = register(work("november", "2026-11-06T09:00"))
    month = closing(kube).pages

    names = [record["metadata"]["name"] for record in asyncio.run(read_month(kube, month))]

    assert names == ["chg-1", *(f"work-{number}" for number in range(7))]


def test_what_was_deleted_after_the_close_is_found():
    kube = register()
    closing(kube)
    del kube.objects["WorkEntry", "kunde-a", "work-3"]

    live, known = asyncio.run(read_ledger(kube, "kunde-a"))

    (found,) = verify(live, settled=known)
    assert (found.fault, found.where) == (Fault.DELETED, "WorkEntry kunde-a/work-3")


def test_a_customer_that_is_gone_has_its_statements_all_the_same():
    kube = register()
    closing(kube)
    del kube.objects[CUSTOMER]

    live, known = asyncio.run(read_ledger(kube, "kunde-a"))

    assert (len(live.pages), known) == (3, None)
    assert verify(live, settled=known) == ()


def test_a_page_reads_the_same_when_it_comes_back():
    kube = register()
    page = closing(kube).pages[0]

    assert Statement.of(body(page)) == page
    assert page.spec.lines[0].ordered_at == at("2026-10-05T08:00")
