"""What a closed month looks like, in both languages, for people and for programs."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pypdfium2
import pytest
from facturx import get_xml_from_pdf, xml_check_xsd
from lxml import etree
from rich.console import Console

from managedvm.api.statement import AvailabilityLine, RecoveryLine
from managedvm.planning.bill import bill
from managedvm.statements.einvoice import NotAnInvoiceError, einvoice, invoice_xml
from managedvm.statements.pdf import pdf
from managedvm.statements.provider import NotALetterheadError, read_provider
from managedvm.statements.table import FOCUS_COLUMNS, focus_csv, terminal
from managedvm.statements.words import Language, Text, hours, kind_of, money, span
from tests.bookkeeping import books, close, customer, prices, reversal, work
from tests.factories import at, minutes

NO_TAX = {"from": "2007-01-01T00:00:00Z", "percent": "0"}
DE, EN = Language.DE, Language.EN
PROVIDER = read_provider(
    """
    name: Musterhosting GmbH
    street: Rechenzentrumsweg 1
    postalCode: "10999"
    city: Berlin
    vatID: DE987654321
    contact: Tanja Muster
    phone: +49 30 5550100
    email: rechnung@musterhosting.example
    registerEntry: Amtsgericht Charlottenburg HRB 12345
    bank: Beispielbank
    iban: DE02120300000000202051
    bic: BYLADEM1001
    """
)


def text_of(data):
    document = pypdfium2.PdfDocument(data)
    text = "\n".join(page.get_textpage().get_text_bounded() for page in document)
    document.close()
    return " ".join(text.split())


def printed(month, language):
    console = Console(width=140, file=io.StringIO())
    console.print(terminal(month, language))
    return console.file.getvalue().replace("\xa0", " ")


def test_the_german_pdf_says_what_a_customer_needs_to_know(month):
    text = text_of(pdf(month, DE, PROVIDER))

    for words in (
        "Abrechnung Oktober 2026",
        "Kunde A GmbH",
        "Beispielstraße 12",
        "Musterhosting GmbH · Rechenzentrumsweg 1 · 10999 Berlin",
        "01.10.2026 – 31.10.2026",
        "Konfigurationsänderung: Virtuellen Host",
        "06.10.2026 11:00–11:45 · web-01 · Ziff. 6.3",
        "beauftragt von a.beispiel@kunde-a.example per E-Mail (Ticket 4711)",
        "120,00 € +25 %",
        "Storno zu twice",
        "−120,00 €",
        "automatisch ausgeführt",
        "Im Paket enthalten",
        "Umsatzsteuer 19 %",
        "374,97 €",
        "Noch nicht abgerechnet",
        "kunde-a/waiting",
        month.hash,
        "Seite 1 von 2",
    ):
        assert words in text, words


def test_the_english_pdf_says_the_same(month):
    text = text_of(pdf(month, EN, PROVIDER))

    for words in (
        "Statement October 2026",
        "1 Oct 2026 – 31 Oct 2026",
        "clause 6.3",
        "VAT 19 %",
        "€374.97",
        "Page 2 of 2",
    ):
        assert words in text, words


def test_without_a_letterhead_the_pdf_is_a_statement_all_the_same(month):
    assert "Abrechnung Oktober 2026" in text_of(pdf(month, DE))


def test_an_invoice_says_until_when_and_how_it_is_paid(month):
    text = text_of(pdf(month, DE, PROVIDER, invoice="R-1017"))

    for words in ("Rechnung Oktober 2026", "R-1017", "bis zum 15.11.2026", "DE02120300000000202051"):
        assert words in text, words


def test_the_same_month_is_the_same_document(month):
    assert pdf(month, DE, PROVIDER) == pdf(month, DE, PROVIDER)


def test_the_pdf_may_be_archived(month):
    data = pdf(month, DE, PROVIDER)

    assert b"<pdfaid:part>3</pdfaid:part>" in data
    assert b"/OutputIntents" in data


def test_a_long_month_has_its_head_on_each_page_and_no_torn_line():
    many = [
        work(f"w-{number}", f"2026-10-{2 + number // 10:02}T{number % 10 + 6:02}:00") for number in range(60)
    ]
    data = pdf(bill(close(books(*many), "2026-10").pages), EN, PROVIDER)

    document = pypdfium2.PdfDocument(data)
    pages = [page.get_textpage().get_text_bounded() for page in document]
    document.close()
    assert len(pages) > 4
    for number, text in enumerate(pages[1:-1], start=2):
        assert "Hourly rate" in text
        assert f"Page {number} of {len(pages)}" in text
    for text in pages:
        assert text.count("ordered by") == text.count("done by")


def test_a_month_without_work_says_so():
    month = bill(close(books(), "2026-10").pages)

    assert Text.NO_LINES.in_(DE) in text_of(pdf(month, DE, PROVIDER))
    assert Text.NO_LINES.in_(EN) in printed(month, EN)


def test_the_terminal_shows_the_month_in_both_languages(month):
    german, english = printed(month, DE), printed(month, EN)

    assert "Abrechnung Oktober 2026 – Kunde A GmbH" in german
    assert "Gesamtbetrag" in german
    assert "374,97 €" in german
    assert "Malware removal · kunde-a/web-01" in english
    assert "€374.97" in english
    assert month.hash in english


def test_text_that_looks_like_markup_is_text():
    month = bill(close(books(work(activity="[red]x[/red] [link=file:///etc]y[/]")), "2026-10").pages)

    assert "[red]x[/red]" in printed(month, EN)


def rows(month):
    return list(csv.DictReader(io.StringIO(focus_csv(month))))


def test_the_csv_has_a_row_for_each_line_with_the_names_of_focus(month):
    found = rows(month)

    assert list(found[0])[: len(FOCUS_COLUMNS)] == list(FOCUS_COLUMNS)
    assert len(found) == len(month.lines)
    assert sum(Decimal(row["BilledCost"]) for row in found) == Decimal(month.totals.net)
    first = found[0]
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == (
        "2026-09-30T22:00:00Z",
        "2026-10-31T23:00:00Z",
    )
    assert (first["ConsumedQuantity"], first["ListUnitPrice"], first["ResourceId"]) == (
        "0.750000",
        "120.00",
        "kunde-a/web-01",
    )


def test_the_csv_marks_what_takes_back(month):
    (back,) = [row for row in rows(month) if row["x_Reverses"]]

    assert (back["ChargeClass"], back["BilledCost"], back["ConsumedQuantity"]) == (
        "Correction",
        "-120.00",
        "-1.000000",
    )


def test_a_surcharge_is_in_the_price_that_was_applied(month):
    (evening,) = [row for row in rows(month) if row["x_Surcharge"]]

    assert (evening["ListUnitPrice"], Decimal(evening["ContractedUnitPrice"])) == ("120.00", Decimal(150))


@pytest.mark.parametrize("begin", ["=1+1", "+1", "-x", "@sum", "\tx"])
def test_what_people_wrote_is_no_formula(begin):
    month = bill(close(books(work(activity=f"{begin} cmd")), "2026-10").pages)

    assert rows(month)[0]["ChargeDescription"] == f"'{begin} cmd"


NS = {"ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"}


def numbers(xml, path):
    return [Decimal(node.text) for node in etree.fromstring(xml).iterfind(f".//{path}", NS)]


def test_the_electronic_invoice_is_in_the_pdf_and_fits_its_schema(month):
    data = einvoice(month, DE, PROVIDER, "R-1017")

    name, xml = get_xml_from_pdf(data, check_xsd=True)
    assert name == "factur-x.xml"
    assert xml_check_xsd(xml, flavor="factur-x", level="en16931")
    assert b"urn:cen.eu:en16931:2017" in xml
    assert "Rechnung Oktober 2026" in text_of(data)
    assert b"OutputIntents" in data


def test_the_amounts_of_the_electronic_invoice_add_up(month):
    xml = invoice_xml(month, DE, PROVIDER, "R-1017")

    lines = numbers(xml, "ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount")
    assert sum(lines) == Decimal(month.totals.net)
    assert numbers(xml, "ram:GrandTotalAmount") == [Decimal(month.totals.gross)]
    assert numbers(xml, "ram:DuePayableAmount") == [Decimal(month.totals.gross)]
    assert numbers(xml, "ram:CalculatedAmount") == [Decimal(month.totals.vat)]


@pytest.fixture
def turn():
    """A month in which work of the month before is billed too, at another rate of the value added tax."""
    both = [
        {"from": "2007-01-01T00:00:00Z", "percent": "19"},
        {"from": "2026-10-31T23:00:00Z", "percent": "16"},
    ]
    known = close(books(prices={"standard": prices(vat=both)}), "2026-10")
    late = (work(by="operator"), work("new", "2026-11-06T09:00"))
    return bill(close(replace(known, work=late), "2026-11").pages[-1:])


def test_a_month_with_two_rates_of_value_added_tax_shows_both(turn):
    for text in (text_of(pdf(turn, DE, PROVIDER)), printed(turn, DE)):
        for words in (
            "Umsatzsteuer 16 % auf 90,00 €",
            "14,40 €",
            "Umsatzsteuer 19 % auf 90,00 €",
            "17,10 €",
            "211,50 €",
        ):
            assert words in text, words
    assert [row["x_VatPercent"] for row in rows(turn)] == ["19", "16"]


def test_the_electronic_invoice_breaks_down_two_rates_of_value_added_tax(turn):
    xml = invoice_xml(turn, DE, PROVIDER, "R-1")

    assert get_xml_from_pdf(einvoice(turn, DE, PROVIDER, "R-1"), check_xsd=True)
    assert numbers(xml, "ram:CalculatedAmount") == [Decimal("14.40"), Decimal("17.10")]
    assert numbers(xml, "ram:TaxTotalAmount") == [Decimal("31.50")]
    assert numbers(xml, "ram:GrandTotalAmount") == [Decimal("211.50")]


def test_quantity_times_price_is_the_amount_of_each_line(month):
    xml = invoice_xml(month, DE, PROVIDER, "R-1017")

    prices_of = numbers(xml, "ram:NetPriceProductTradePrice/ram:ChargeAmount")
    amounts = numbers(xml, "ram:SpecifiedTradeSettlementLineMonetarySummation/ram:LineTotalAmount")
    quantities = numbers(xml, "ram:BilledQuantity")
    assert min(prices_of) >= 0
    assert [
        (q * p / 60).quantize(Decimal("0.01")) for q, p in zip(quantities, prices_of, strict=True)
    ] == amounts


def test_a_month_in_which_more_was_taken_back_is_a_credit_note():
    entry = work()
    known = close(books(entry), "2026-10")
    month = bill(
        close(replace(known, work=(entry, reversal(entry, "2026-11-03T10:00"))), "2026-11").pages[-1:]
    )

    xml = invoice_xml(month, DE, PROVIDER, "G-1")

    assert b"<ram:TypeCode>381</ram:TypeCode>" in xml
    assert numbers(xml, "ram:GrandTotalAmount") == [Decimal("107.10")]
    assert numbers(xml, "ram:BilledQuantity") == [Decimal(45)]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "nothing that is billed by effort"),
        ({"work": (work(),), "prices": {"standard": prices(vat=[NO_TAX])}}, "no value added tax"),
    ],
)
def test_what_is_no_invoice_is_refused_with_the_reason(parts, words):
    known = close(replace(books(), **parts), "2026-10")

    with pytest.raises(NotAnInvoiceError, match=words):
        invoice_xml(bill(known.pages), DE, PROVIDER, "R-1")


def test_an_invoice_needs_the_customers_address():
    party = customer()
    spec = party.spec.model_copy(update={"address": None})
    known = close(replace(books(work()), customer=party.model_copy(update={"spec": spec})), "2026-10")

    with pytest.raises(NotAnInvoiceError, match=r"spec.address of the Customer"):
        invoice_xml(bill(known.pages), DE, PROVIDER, "R-1")


@pytest.mark.parametrize("text", ["name: x", "[", "a: b"])
def test_a_letterhead_that_says_too_little_is_refused(text):
    with pytest.raises(NotALetterheadError, match="is not complete"):
        read_provider(text)


@pytest.mark.parametrize(
    ("length", "text"), [(45, "0:45"), (90, "1:30"), (-60, "−1:00"), (0.05, "0:00:03"), (6000, "100:00")]
)
def test_a_length_of_time_is_hours_and_minutes(length, text):
    assert hours(minutes(length)) == text


def test_money_is_written_as_the_language_writes_it():
    assert [money("-1234.50", "EUR", language).replace("\xa0", " ") for language in Language] == [
        "−1.234,50 €",
        "−€1,234.50",
    ]


def test_a_span_over_midnight_has_both_dates():
    assert span(at("2026-10-06T21:30"), at("2026-10-06T22:30"), "Europe/Berlin", DE) == (
        "06.10.2026 23:30–07.10.2026 00:30"
    )


def test_a_kind_that_this_version_does_not_know_stays_as_it_is():
    assert [kind_of("Restore", DE), kind_of("Tomorrow", DE)] == ["Wiederherstellung", "Tomorrow"]


@pytest.mark.parametrize("text", Text)
def test_each_text_takes_the_same_values_in_both_languages(text):
    german, english = text.value

    assert german.count("{}") == english.count("{}")


def test_the_provider_of_the_documentation_is_one():
    page = (Path(__file__).parents[2] / "docs" / "statements.md").read_text()

    assert read_provider(page.partition("```yaml\n")[2].partition("```")[0]).name


def test_availability_and_faults_stand_in_the_statement_in_both_languages_and_never_look_better_than_they_were(
    month,
):
    vm = {"namespace": "kunde-a", "managed_vm_ref": {"name": "web-01"}}
    line = AvailabilityLine(
        **vm,
        order="A-1",
        service_level="premium",
        promised_percent="99.98",
        agreed=timedelta(days=31),
        counted=minutes(9),
        excluded=minutes(120),
        unmeasured=minutes(0),
        availability_percent="99.9799",
    )
    due = at("2026-10-05T10:00")
    late = RecoveryLine(
        **vm,
        change_request_ref={"name": "fault"},
        reported_at=due - minutes(120),
        due_at=due,
        recovered_at=due + minutes(5),
        is_missed=True,
    )
    told = replace(month, availability=(line,), recoveries=(late,))
    german = text_of(pdf(told, DE, PROVIDER))
    assert "web-01 · premium (A-1): 99,9799 von 99,98 %: 0:09 Ausfall gezählt, 2:00 nicht gezählt" in german
    assert "fault: behoben 05.10.2026 12:05, zugesagt bis 05.10.2026 12:00 – zu spät" in german
    english = printed(told, EN)
    assert "99.9799 of 99.98 %: 0:09 of downtime counted" in english
    assert "mended 5 Oct 2026 12:05, due by 5 Oct 2026 12:00 – too late" in english
