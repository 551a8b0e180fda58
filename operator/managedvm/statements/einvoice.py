"""The invoice that programs read: EN 16931 in the syntax of Factur-X and ZUGFeRD, embedded in the PDF that people read.

Only what is billed by effort is in it. Time is counted in minutes and priced per sixty of them, so that quantity times
price is the amount to the cent; what is taken back has a negative quantity, since a price is never negative (BR-27).
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from drafthorse.models.accounting import ApplicableTradeTax
from drafthorse.models.document import Document
from drafthorse.models.party import TaxRegistration, TradeParty
from drafthorse.models.payment import PaymentMeans, PaymentTerms
from drafthorse.models.tradelines import LineItem
from facturx import generate_from_binary

from managedvm.api.statement import StatementLine
from managedvm.planning.bill import Bill
from managedvm.planning.wallclock import wall_clock, zone_named
from managedvm.statements.pdf import pdf
from managedvm.statements.provider import Provider
from managedvm.statements.table import unit_price
from managedvm.statements.words import Language, Text, kind_of, month_name, span

_GUIDELINE: Final = "urn:cen.eu:en16931:2017"
_INVOICE, _CREDIT_NOTE = "380", "381"
_STANDARD_RATE: Final = "S"
_SEPA_TRANSFER: Final = "58"
_MINUTES: Final = "MIN"
_PER_HOUR: Final = Decimal(60)
_FOUR_DECIMALS: Final = Decimal("0.0001")


class NotAnInvoiceError(ValueError):
    """The month cannot be an electronic invoice; the message says what is missing."""


def einvoice(bill: Bill, language: Language, provider: Provider, number: str) -> bytes:
    """Return the month as PDF/A-3 with the invoice of that number embedded as XML, checked against its schema.

    Raises:
        NotAnInvoiceError: there is nothing to bill, or something that an invoice must say is not known.
    """
    xml = invoice_xml(bill, language, provider, number)
    about = {
        "author": provider.name,
        "keywords": "Factur-X, ZUGFeRD",
        "title": f"{number} {bill.recipient.display_name}",
        "subject": f"{Text.INVOICE.in_(language)} {month_name(bill.month, language)}",
    }
    return bytes(
        generate_from_binary(
            pdf(bill, language, provider, invoice=number),
            xml,
            flavor="factur-x",
            level="en16931",
            check_xsd=True,
            pdf_metadata=about,
            lang=language.value,
            afrelationship="alternative",
        )
    )


def invoice_xml(bill: Bill, language: Language, provider: Provider, number: str) -> bytes:
    """Return the month as XML of EN 16931 in the syntax CII; raises NotAnInvoiceError."""
    _refuse(bill)
    # A month in which more was taken back than done is a credit note, whose amounts are positive again.
    sign = -1 if bill.totals.gross.startswith("-") else 1
    document = Document()
    document.context.guideline_parameter.id = _GUIDELINE
    document.header.id = number
    document.header.type_code = _INVOICE if sign > 0 else _CREDIT_NOTE
    document.header.issue_date_time = _day(bill.closed_at, bill.zone)
    _parties(document, bill, provider)
    for line in bill.effort:
        document.trade.items.add(_item(bill, line, sign, language))
    _settlement(document, bill, provider, sign)
    return bytes(document.serialize(schema="FACTUR-X_EN16931"))


def _refuse(bill: Bill) -> None:
    if not bill.effort:
        raise NotAnInvoiceError(f"{bill.name} has nothing that is billed by effort, so there is no invoice")
    if bill.recipient.address is None:
        raise NotAnInvoiceError(
            "spec.address of the Customer was not set when the month was closed, and an invoice needs it"
        )
    if any(Decimal(tax.percent) == 0 for tax in bill.totals.taxes):
        raise NotAnInvoiceError("the price list has no value added tax; why none is due is not known here")


def _parties(document: Document, bill: Bill, provider: Provider) -> None:
    agreement, buyer = document.trade.agreement, bill.recipient
    agreement.buyer_reference = buyer.customer_number
    seller = agreement.seller
    seller.name = provider.name
    seller.contact.person_name = provider.contact
    seller.contact.telephone.number = provider.phone
    seller.contact.email.address = provider.email
    _address(seller, provider.street, provider.postal_code, provider.city, provider.country)
    seller.electronic_address.uri_ID = ("EM", provider.email)
    _vat(seller, provider.vat_id)
    customer, place = agreement.buyer, buyer.address
    customer.id = buyer.customer_number
    customer.name = buyer.display_name
    if place is not None:
        _address(customer, place.street, place.postal_code, place.city, place.country)
    if buyer.vat_id:
        _vat(customer, buyer.vat_id)


def _address(party: TradeParty, street: str, postal_code: str, city: str, country: str) -> None:
    party.address.line_one = street
    party.address.postcode = postal_code
    party.address.city_name = city
    party.address.country_id = country


def _vat(party: TradeParty, number: str) -> None:
    registration = TaxRegistration()
    registration.id = ("VA", number)
    party.tax_registrations.add(registration)


def _item(bill: Bill, line: StatementLine, sign: int, language: Language) -> LineItem:
    item = LineItem()
    item.document.line_id = str(line.number)
    item.product.name = f"{kind_of(line.kind, language)}: {line.managed_vm_ref.name}"
    when = span(line.begin, line.end, bill.zone, language)
    item.product.description = f"{line.text} ({when}, {Text.CLAUSE.in_(language, line.clause)})"
    item.agreement.net.amount = Decimal(unit_price(line) or "0")
    item.agreement.net.basis_quantity = (_PER_HOUR, _MINUTES)
    minutes = Decimal(line.counted // timedelta(seconds=1)) / _PER_HOUR
    item.delivery.billed_quantity = ((sign * minutes).quantize(_FOUR_DECIMALS), _MINUTES)
    item.settlement.trade_tax.type_code = "VAT"
    item.settlement.trade_tax.category_code = _STANDARD_RATE
    item.settlement.trade_tax.rate_applicable_percent = Decimal(line.vat_percent)
    item.settlement.monetary_summation.total_amount = sign * Decimal(line.amount)
    return item


def _settlement(document: Document, bill: Bill, provider: Provider, sign: int) -> None:
    settlement, sums = document.trade.settlement, bill.totals
    net, vat, gross = (sign * Decimal(amount) for amount in (sums.net, sums.vat, sums.gross))
    settlement.currency_code = sums.currency
    settlement.payment_reference = document.header.id._text  # noqa: SLF001 - the library gives no other way to read it
    means = PaymentMeans()
    means.type_code = _SEPA_TRANSFER
    means.payee_account.iban = provider.iban
    means.payee_account.account_name = provider.name
    if provider.bic:
        means.payee_institution.bic = provider.bic
    settlement.payment_means.add(means)
    for one in sums.taxes:
        tax = ApplicableTradeTax()
        tax.calculated_amount = sign * Decimal(one.vat)
        tax.type_code = "VAT"
        tax.basis_amount = sign * Decimal(one.net)
        tax.category_code = _STANDARD_RATE
        tax.rate_applicable_percent = Decimal(one.percent)
        settlement.trade_tax.add(tax)
    settlement.period.start = _day(bill.begin, bill.zone)
    settlement.period.end = _day(bill.until - timedelta(seconds=1), bill.zone)
    terms = PaymentTerms()
    terms.due = _day(bill.closed_at + timedelta(days=provider.payment_days), bill.zone)
    settlement.terms.add(terms)
    summation = settlement.monetary_summation
    summation.line_total = net
    summation.charge_total = Decimal("0.00")
    summation.allowance_total = Decimal("0.00")
    summation.tax_basis_total = net
    summation.tax_total = (vat, sums.currency)
    summation.grand_total = gross
    summation.due_amount = gross


def _day(instant: datetime, zone: str) -> datetime:
    """Return the date of an instant in a zone; the library writes the date of what it is given."""
    return wall_clock(instant, zone_named(zone))
