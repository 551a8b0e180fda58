"""Clause 4: what was billed is billed once, also when a chain was pruned, or a namespace became another customer's."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from managedvm.api.statement import Statement
from managedvm.closing import close, read_ledger
from managedvm.planning.statement import CannotCloseError
from managedvm.planning.verification import Fault, Ledger, verify
from tests.bookkeeping import customer, end_of, work
from tests.world_fast.fakes import FakeKube
from tests.world_fast.register import (
    CUSTOMER,
    NOW,
    body,
    closing,
    register,
)


class TestAChainThatWasPruned:
    @pytest.fixture
    def pruned(self):
        """All statements are gone, from October to December; the records of the last month are still there."""
        kube = register(work("november", "2026-11-06T09:00"), work("december", "2026-12-06T09:00"))
        written = [
            page
            for month in ("2026-10", "2026-11", "2026-12")
            for page in closing(kube, month, end_of(month)).pages
        ]
        for page in written:
            del kube.objects["Statement", "kunde-a", page.metadata.name]
        return kube, tuple(written)

    @pytest.mark.parametrize("month", ["2026-10", "2026-12", "2027-01"])
    def test_is_not_begun_anew(self, pruned, month):
        kube, _ = pruned
        before = kube.writes

        with pytest.raises(
            CannotCloseError, match=r"kunde-a-2026-12 with hash .* was closed last.*--archive"
        ):
            closing(kube, month, end_of("2027-01"))

        assert kube.writes == before

    def test_is_not_begun_anew_where_only_the_closed_months_are_known(self, pruned):
        kube, _ = pruned
        del kube.objects[CUSTOMER]["status"]["lastStatement"]

        with pytest.raises(CannotCloseError, match=r"until 2026-12-31T23:00:00Z are closed.*--archive"):
            closing(kube, "2027-01", end_of("2027-01"))

    def test_is_not_continued_by_an_archive_that_was_edited(self, pruned):
        kube, written = pruned
        last = written[-1].model_copy(update={"spec": written[-1].spec.model_copy(update={"hash": "0" * 64})})

        with pytest.raises(CannotCloseError, match="was closed last and is not there"):
            closing(kube, "2027-01", end_of("2027-01"), archived=(*written[:-1], last))

    def test_is_continued_with_its_archive_and_bills_nothing_again(self, pruned):
        kube, written = pruned

        done = closing(kube, "2027-01", end_of("2027-01"), archived=written)

        (page,) = done.pages
        assert (page.spec.lines, page.spec.previous.name) == ((), "kunde-a-2026-12")

    def test_is_said_to_be_gone(self, pruned):
        kube, written = pruned
        live, known = asyncio.run(read_ledger(kube, "kunde-a"))

        found = verify(live, settled=known)

        assert [(problem.fault, problem.where) for problem in found] == [
            (Fault.DELETED, "kunde-a-2026-12"),
            (Fault.DELETED, "statements"),
        ]
        assert verify(live, Ledger(written), settled=known) == ()

    def test_is_said_to_begin_in_the_middle(self, pruned):
        kube, written = pruned
        asyncio.run(FakeKube.create(kube, body(written[-1])))
        live, known = asyncio.run(read_ledger(kube, "kunde-a"))

        (found,) = verify(replace(live, records={}), settled=known)[:1]

        assert (found.fault, found.where) == (Fault.DELETED, "kunde-a-2026-11")


class TestANamespaceThatWasMoved:
    """By who may take it off a list; each record is in one statement all the same."""

    @pytest.fixture
    def moved(self):
        kube = register()
        closing(kube)
        del kube.objects[CUSTOMER]
        other = body(customer("kunde-a"))
        asyncio.run(FakeKube.create(kube, {**other, "metadata": {"name": "kunde-b"}}))
        return kube

    def test_is_not_billed_again(self, moved):
        asyncio.run(FakeKube.create(moved, body(work("new", "2026-10-20T09:00"))))

        done = asyncio.run(close(moved, "kunde-b", "2026-10", NOW))

        (page,) = done.pages
        assert [line.work_entry_ref.name for line in page.spec.lines] == ["new"]
        assert [record.name for record in page.spec.records] == ["new"]
        live, known = asyncio.run(read_ledger(moved, "kunde-b"))
        assert verify(live, settled=known) == ()

    def test_is_none_of_the_first_customers_business_any_more(self, moved):
        elsewhere = body(customer("other", closedUntil="2026-10-31T23:00:00Z"))
        elsewhere["metadata"].pop("resourceVersion")
        moved._store(elsewhere)
        asyncio.run(FakeKube.create(moved, body(work("november", "2026-11-06T09:00"))))
        closing(moved, "2026-11", end_of("2026-11") + timedelta(days=1))
        live, known = asyncio.run(read_ledger(moved, "kunde-a"))

        assert verify(live, settled=known) == ()

    def test_is_not_billed_again_where_the_other_customers_statements_were_pruned(self, moved):
        gone = [key for key in moved.objects if key[0] == "Statement"]
        pages = tuple(Statement.of(moved.objects.pop(key)) for key in gone)

        done = asyncio.run(close(moved, "kunde-b", "2026-10", NOW, pages))

        assert done.pages[0].spec.lines == ()

    def test_is_found_where_it_was_billed_to_both(self, moved):
        pages = [moved.objects.pop(key) for key in list(moved.objects) if key[0] == "Statement"]
        asyncio.run(close(moved, "kunde-b", "2026-10", NOW))
        for page in pages:
            asyncio.run(FakeKube.create(moved, page))
        live, known = asyncio.run(read_ledger(moved, "kunde-b"))

        found = verify(live, settled=known)

        assert {problem.fault for problem in found} == {Fault.BILLED_TWICE}
        assert len(found) == 8
        assert "of customer kunde-a covers it too" in found[0].text
