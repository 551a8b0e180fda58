"""Clause 4: each month is billed by the price list that is valid in it, and each piece of work taxed as of its own time."""

from dataclasses import replace
from typing import ClassVar

import pytest

from managedvm.api.customer import AgreedPriceList
from managedvm.planning.statement import CannotCloseError, next_page, refuse
from managedvm.planning.verification import verify
from tests.bookkeeping import books, close, customer, ledger, prices, reversal, totals, work
from tests.factories import at

SIXTEEN = [
    {"from": "2007-01-01T00:00:00Z", "percent": "19"},
    {"from": "2026-10-31T23:00:00Z", "percent": "16"},
]


class TestTheValueAddedTax:
    """Is that of the time of the work, in whatever month it is billed."""

    TAXED: ClassVar = {"standard": prices(vat=SIXTEEN)}

    def test_of_a_month_is_the_one_valid_in_it(self):
        known = close(books(work(), work("later", "2026-11-06T09:00"), prices=self.TAXED), "2026-10")
        known = close(known, "2026-11")

        assert [tax.to_json() for tax in totals(known).taxes] == [
            {"percent": "19", "net": "90.00", "vat": "17.10"}
        ]
        assert [tax.percent for tax in totals(known, "2026-11").taxes] == ["16"]

    def test_of_late_work_is_that_of_its_own_month_beside_the_other(self):
        known = close(books(prices=self.TAXED), "2026-10")
        late = (work(by="operator"), work("new", "2026-11-06T09:00"))
        known = close(replace(known, work=late), "2026-11")

        sums = totals(known, "2026-11")
        assert [(tax.percent, tax.net, tax.vat) for tax in sums.taxes] == [
            ("16", "90.00", "14.40"),
            ("19", "90.00", "17.10"),
        ]
        assert (sums.net, sums.vat, sums.gross) == ("180.00", "31.50", "211.50")
        assert verify(ledger(known)) == ()

    def test_of_what_is_taken_back_is_the_one_that_was_billed(self):
        entry = work()
        known = close(books(entry, prices=self.TAXED), "2026-10")
        known = close(replace(known, work=(entry, reversal(entry, "2026-11-03T10:00"))), "2026-11")

        assert [(tax.percent, tax.vat) for tax in totals(known, "2026-11").taxes] == [("19", "-17.10")]

    @pytest.mark.parametrize(
        ("known", "words"),
        [
            (
                {"standard": prices(vat=[{"from": "2026-11-01T00:00:00Z", "percent": "19"}])},
                "spec.vat of PriceList standard",
            ),
            ({"standard": prices(), "other": prices(name="other")}, "PriceList gone is not there"),
        ],
        ids=["none listed", "list gone"],
    )
    def test_that_nobody_knows_leaves_the_work_pending(self, known, words):
        entry = work(charge={"priceListRef": {"name": "gone" if "gone" in words else "standard"}})
        page = next_page(books(entry, prices=known), "2026-10")

        assert page.spec.lines == ()
        assert words in page.spec.pending[0].reason


class TestThePriceListOfAMonth:
    AGREED: ClassVar = (
        ("standard", "2026-01-01T00:00:00Z"),
        ("dear", "2026-11-01T00:00:00Z"),
        ("gone", "2099-01-01T00:00:00Z"),
    )

    def known(self, *names):
        party = customer()
        agreed = tuple(AgreedPriceList.model_validate({"name": n, "from": f}) for n, f in self.AGREED)
        spec = party.spec.model_copy(update={"price_lists": agreed})
        lists = {name: prices(name=name) for name in names}
        return books(customer=party.model_copy(update={"spec": spec}), prices=lists)

    def test_is_the_one_valid_at_its_end(self):
        known = close(close(self.known("standard", "dear"), "2026-10"), "2026-11")

        assert [page.spec.price_list_ref.name for page in known.chain] == ["standard", "dear"]

    def test_must_be_there(self):
        with pytest.raises(CannotCloseError, match="PriceList dear is not there"):
            refuse(self.known("standard"), "2026-11", at("2027-01-01T00:00"))

    def test_must_have_been_agreed(self):
        with pytest.raises(CannotCloseError, match=r"spec.priceLists of the Customer names none for 2025-12"):
            refuse(self.known("standard", "dear"), "2025-12", at("2027-01-01T00:00"))
