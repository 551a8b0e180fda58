"""The statement as PDF/A-3: a document that one sends to a customer and that can still be read in thirty years.

Drawn line by line, since a piece of work must not be torn apart by the end of a page. The same month gives the same bytes.
"""

from collections.abc import Iterable
from datetime import timedelta
from html import escape
from importlib.resources import files
from typing import Final, cast

from fpdf import FPDF
from fpdf.enums import Align, MethodReturnValue, XPos, YPos
from fpdf.fonts import TTFFont

from managedvm.api.statement import StatementLine
from managedvm.planning.bill import Bill
from managedvm.planning.records import OPERATOR
from managedvm.planning.wallclock import shown
from managedvm.statements.provider import Provider
from managedvm.statements.table import kept_promises, rate, tax_rows, time_of
from managedvm.statements.words import (
    Language,
    Text,
    day,
    hours,
    kind_of,
    money,
    month_name,
    span,
    through,
)

_PRODUCER: Final = "managedvm"
_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)
_FONT: Final = "OpenSans"
_FACES: Final = {"": "OpenSans-Regular.ttf", "B": "OpenSans-SemiBold.ttf"}

_LEFT: Final = 25.0
_RIGHT: Final = 20.0
_BOTTOM: Final = 28.0
_WIDTH: Final = 210 - _LEFT - _RIGHT
_COLUMNS: Final = (9.0, 92.0, 14.0, 27.0, 23.0)
"""Number, service, time, rate, amount; in millimetres, together the width between the margins."""

_LEADING: Final = 0.48
"""Height of a row for each point of its letters."""

_INK: Final = (25, 28, 33)
_QUIET: Final = (105, 112, 122)
_ACCENT: Final = (22, 78, 99)
_RULE: Final = (205, 210, 216)

_ADDRESS_TOP: Final = 50.0
"""Where the window of an envelope begins (DIN 5008, form B)."""


_METADATA: Final = """\
<x:xmpmeta xmlns:x="adobe:ns:meta/">
  <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
    xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
    <rdf:Description rdf:about="" xmp:CreateDate="{date}" xmp:ModifyDate="{date}" xmp:MetadataDate="{date}"
      pdf:Producer="{producer}">
      <pdfaid:part>3</pdfaid:part>
      <pdfaid:conformance>B</pdfaid:conformance>
      <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
      <dc:creator><rdf:Seq><rdf:li>{author}</rdf:li></rdf:Seq></dc:creator>
    </rdf:Description>
  </rdf:RDF>
</x:xmpmeta>"""
"""What PDF/A asks a document to say of itself; the library's own would hold the time of printing."""


class _Paper(FPDF):
    """A sheet with a letterhead on the first page and the seal's beginning on each."""

    def __init__(self, bill: Bill, language: Language, provider: Provider | None, pages: int) -> None:
        super().__init__(format="A4", enforce_compliance="PDF/A-3B")
        self._bill, self._language, self._provider, self._pages = bill, language, provider, pages
        folder = files("ttf_opensans") / "ttf"
        for style, face in _FACES.items():
            self.add_font(_FONT, style, str(folder / face))
        self.set_margins(_LEFT, 20, _RIGHT)
        self.c_margin = 0
        self.set_auto_page_break(auto=True, margin=_BOTTOM)
        self.set_creation_date(bill.closed_at)
        self.set_lang(language.value)

    def entitle(self, title: str) -> None:
        """Say in the document what it is, who wrote it and when, which is when the month was closed."""
        author = self._provider.name if self._provider else self._bill.customer
        said = {"title": title, "author": author, "producer": _PRODUCER, "date": shown(self._bill.closed_at)}
        self.set_title(title)
        self.set_author(author)
        self.set_producer(_PRODUCER)
        self.set_xmp_metadata(_METADATA.format(**{name: escape(text) for name, text in said.items()}))

    def put_away(self) -> None:
        """Close the files of the letters, which the library keeps open."""
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def write_as(self, size: float, *, bold: bool = False, color: tuple[int, int, int] = _INK) -> None:
        """Choose how the next text looks."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*color)

    def header(self) -> None:
        """Print the provider's name, and on later pages whose statement this is."""
        self.set_xy(_LEFT, 14)
        self.write_as(13 if self.page_no() == 1 else 9, bold=True, color=_ACCENT)
        self.cell(_WIDTH / 2, 7, self._provider.name if self._provider else "")
        if self.page_no() > 1:
            self.write_as(8, color=_QUIET)
            self.cell(
                _WIDTH / 2, 7, f"{self._bill.name} · {self._bill.recipient.display_name}", align=Align.R
            )
            self.set_xy(_LEFT, 26)

    def footer(self) -> None:
        """Print who the provider is, the beginning of the checksum and the page."""
        self.set_draw_color(*_RULE)
        self.line(_LEFT, 297 - 22, 210 - _RIGHT, 297 - 22)
        self.set_xy(_LEFT, -20)
        self.write_as(6.5, color=_QUIET)
        who = self._provider
        if who is not None:
            place = f"{who.street}, {who.postal_code} {who.city}"
            register = f" · {who.register_entry}" if who.register_entry else ""
            self.cell(
                _WIDTH,
                3.4,
                f"{who.name} · {place} · {who.vat_id}{register}",
                new_x=XPos.LMARGIN,
                new_y=YPos.NEXT,
            )
            account = " · ".join(part for part in (who.bank, who.iban, who.bic) if part)
            self.cell(
                _WIDTH, 3.4, f"{who.phone} · {who.email} · {account}", new_x=XPos.LMARGIN, new_y=YPos.NEXT
            )
        self.cell(_WIDTH / 2, 3.4, f"{self._bill.name} · SHA-256 {self._bill.hash[:16]}…")
        page = Text.PAGE.in_(self._language, self.page_no(), self._pages)
        self.cell(_WIDTH / 2, 3.4, page, align=Align.R)

    def needs(self, height: float) -> None:
        """Begin a new page unless so much fits on this one."""
        if self.get_y() + height > 297 - _BOTTOM:
            self.add_page()

    def height_of(self, text: str, width: float, size: float) -> float:
        """Return how high a text of that size is in a column."""
        self.write_as(size)
        height = self.multi_cell(
            width, size * _LEADING, text, align=Align.L, dry_run=True, output=MethodReturnValue.HEIGHT
        )
        return cast("float", height)

    def rule(self, gap: float = 1.0) -> None:
        """Draw a line over the width."""
        self.set_draw_color(*_RULE)
        self.line(_LEFT, self.get_y(), 210 - _RIGHT, self.get_y())
        self.ln(gap)

    def paragraph(self, text: str, size: float = 9, *, quiet: bool = False) -> None:
        """Print text over the width."""
        self.write_as(size, color=_QUIET if quiet else _INK)
        self.multi_cell(_WIDTH, size * _LEADING, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def pdf(bill: Bill, language: Language, provider: Provider | None = None, *, invoice: str = "") -> bytes:
    """Return the statement as PDF/A-3; with `invoice`, its number, it is an invoice."""
    # The number of pages stands on each of them, so they are counted first.
    draft = _drawn(bill, language, provider, invoice, 0)
    paper = _drawn(bill, language, provider, invoice, draft.pages_count)
    data = bytes(paper.output())
    for sheet in (draft, paper):
        sheet.put_away()
    return data


def _drawn(bill: Bill, language: Language, provider: Provider | None, invoice: str, pages: int) -> _Paper:
    paper = _Paper(bill, language, provider, pages)
    month = month_name(bill.month, language)
    paper.entitle(f"{_title(language, invoice)} {month} – {bill.recipient.display_name}")
    paper.add_page()
    _address(paper, bill, provider)
    _particulars(paper, bill, language, invoice)
    paper.set_xy(_LEFT, 100)
    paper.write_as(16, bold=True, color=_ACCENT)
    paper.cell(_WIDTH, 8, f"{_title(language, invoice)} {month}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.paragraph(Text.SUBTITLE.in_(language), 9, quiet=True)
    paper.ln(5)
    for title, lines in ((Text.BY_EFFORT, bill.effort), (Text.INCLUDED, bill.included)):
        if lines:
            _section(paper, bill, title.in_(language), lines, language)
    if not bill.lines:
        paper.paragraph(Text.NO_LINES.in_(language))
        paper.ln(4)
    _totals(paper, bill, language)
    _after(paper, bill, language, provider if invoice else None)
    return paper


def _title(language: Language, invoice: str) -> str:
    return (Text.INVOICE if invoice else Text.STATEMENT).in_(language)


def _address(paper: _Paper, bill: Bill, provider: Provider | None) -> None:
    """Print who it is for, where the envelope's window is."""
    paper.set_xy(_LEFT, _ADDRESS_TOP - 5)
    if provider is not None:
        paper.write_as(6.5, color=_QUIET)
        sender = f"{provider.name} · {provider.street} · {provider.postal_code} {provider.city}"
        paper.cell(85, 4, sender)
    to, where = bill.recipient, bill.recipient.address
    rows = [to.display_name]
    if where is not None:
        rows += [where.street, f"{where.postal_code} {where.city}"]
        rows += [where.country] if provider is not None and where.country != provider.country else []
    paper.set_xy(_LEFT, _ADDRESS_TOP)
    for at, row in enumerate(rows):
        paper.write_as(10, bold=at == 0)
        paper.multi_cell(85, 5.2, row, align=Align.L, new_x=XPos.LEFT, new_y=YPos.NEXT)


def _particulars(paper: _Paper, bill: Bill, language: Language, invoice: str) -> None:
    """Print number, customer, period and date beside the address."""
    until = bill.until.replace(microsecond=0)
    last = day(until - _SECOND, bill.zone, language)
    rows = [
        (Text.NUMBER, invoice or bill.name),
        (Text.CUSTOMER_NUMBER, bill.recipient.customer_number),
        (Text.VAT_ID, bill.recipient.vat_id or ""),
        (Text.PERIOD, f"{day(bill.begin, bill.zone, language)} – {last}"),
        (Text.DATE, day(bill.closed_at, bill.zone, language)),
        (Text.TIMES_IN, bill.zone),
    ]
    top = _ADDRESS_TOP
    for label, value in rows:
        if not value:
            continue
        paper.set_xy(118, top)
        paper.write_as(8, color=_QUIET)
        paper.cell(27, 5, label.in_(language))
        paper.write_as(8.5)
        paper.multi_cell(45, 5, value, align=Align.R, new_x=XPos.LEFT, new_y=YPos.NEXT)
        top = paper.get_y()


def _section(
    paper: _Paper, bill: Bill, title: str, lines: Iterable[StatementLine], language: Language
) -> None:
    paper.needs(32)
    paper.write_as(10.5, bold=True)
    paper.cell(_WIDTH, 7, title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    _head(paper, language)
    for line in lines:
        _line(paper, bill, line, language)
    paper.ln(4)


def _head(paper: _Paper, language: Language) -> None:
    paper.write_as(7.5, color=_QUIET)
    names = (Text.POSITION, Text.SERVICE, Text.TIME, Text.RATE, Text.AMOUNT)
    for at, (name, width) in enumerate(zip(names, _COLUMNS, strict=True)):
        paper.cell(width, 5, name.in_(language), align=Align.R if at > 1 else Align.L)
    paper.ln(5)
    paper.rule()


def _line(paper: _Paper, bill: Bill, line: StatementLine, language: Language) -> None:
    """Print one line: what it cost, and below in small letters why it is there."""
    service = _COLUMNS[1] - 4
    currency = bill.totals.currency
    what = f"{kind_of(line.kind, language)}: {line.text}"
    notes = (_when(bill, line, language), _ordered(line, language), _done(line, language))
    height = (
        paper.height_of(what, service, 9) + sum(paper.height_of(note, service, 7.2) for note in notes) + 2.5
    )
    before = paper.page_no()
    paper.needs(height)
    if paper.page_no() != before:
        _head(paper, language)
    top = paper.get_y()
    paper.write_as(9)
    cells = (
        str(line.number),
        "",
        hours(time_of(line)),
        rate(line, currency, language),
        money(line.amount, currency, language),
    )
    for at, (text, width) in enumerate(zip(cells, _COLUMNS, strict=True)):
        paper.write_as(9, bold=at == len(cells) - 1)
        paper.cell(width, 4.4, text, align=Align.R if at > 1 else Align.L)
    paper.set_xy(_LEFT + _COLUMNS[0], top)
    paper.write_as(9)
    paper.multi_cell(service, 9 * _LEADING, what, align=Align.L, new_x=XPos.LEFT, new_y=YPos.NEXT)
    paper.write_as(7.2, color=_QUIET)
    for note in notes:
        paper.multi_cell(service, 7.2 * _LEADING, note, align=Align.L, new_x=XPos.LEFT, new_y=YPos.NEXT)
    paper.set_xy(_LEFT, top + height - 1)
    paper.rule(1.5)


def _when(bill: Bill, line: StatementLine, language: Language) -> str:
    parts = [
        span(line.begin, line.end, bill.zone, language),
        line.managed_vm_ref.name,
        Text.CLAUSE.in_(language, line.clause),
    ]
    if line.reverses is not None:
        parts.append(Text.REVERSES.in_(language, line.reverses.name))
    return " · ".join(parts)


def _ordered(line: StatementLine, language: Language) -> str:
    ordered = Text.ORDERED.in_(language, line.requested_by, through(line.channel, language))
    return ordered + (f" ({Text.TICKET.in_(language, line.ticket)})" if line.ticket else "")


def _done(line: StatementLine, language: Language) -> str:
    if line.performed_by == OPERATOR:
        return Text.AUTOMATED.in_(language)
    return Text.DONE_BY.in_(language, line.performed_by)


def _totals(paper: _Paper, bill: Bill, language: Language) -> None:
    sums = bill.totals
    paper.needs(20 + 6 * len(sums.taxes))
    net = f"{Text.NET.in_(language)} ({Text.COUNTED.in_(language)} {hours(sums.counted)})"
    gross = Text.CREDIT if sums.gross.startswith("-") else Text.GROSS
    rows = (
        (net, sums.net, False),
        *((label, vat, False) for label, vat in tax_rows(sums, language)),
        (gross.in_(language), sums.gross, True),
    )
    for label, amount, strong in rows:
        if strong:
            paper.set_draw_color(*_INK)
            paper.line(_LEFT + 85, paper.get_y() + 0.5, 210 - _RIGHT, paper.get_y() + 0.5)
            paper.ln(1.5)
        paper.set_x(_LEFT + 85)
        paper.write_as(10.5 if strong else 9, bold=strong)
        paper.cell(_WIDTH - 85 - 32, 6, label)
        text = money(amount, sums.currency, language)
        paper.cell(32, 6, text, align=Align.R, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.ln(6)


def _after(paper: _Paper, bill: Bill, language: Language, payee: Provider | None) -> None:
    """Print how to pay, what is not billed yet, and what the checksum is for."""
    if payee is not None and not bill.totals.gross.startswith("-"):
        due = day(bill.closed_at + payee.payment_days * _DAY, bill.zone, language)
        paper.needs(14)
        paper.paragraph(Text.PAY_BY.in_(language, due, payee.iban))
        paper.paragraph(f"{Text.CONTACT.in_(language)}: {payee.contact}, {payee.phone}, {payee.email}")
        paper.ln(4)
    for heading, kept in kept_promises(bill, language):
        paper.needs(22)
        paper.write_as(9, bold=True)
        paper.cell(_WIDTH, 6, heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        for line in kept:
            paper.needs(9)
            paper.paragraph(line, 8)
        paper.ln(4)
    if bill.pending:
        paper.needs(22)
        paper.write_as(9, bold=True)
        paper.cell(_WIDTH, 6, Text.PENDING.in_(language), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        paper.paragraph(Text.PENDING_WHY.in_(language), 8, quiet=True)
        for entry in bill.pending:
            paper.needs(9)
            paper.paragraph(f"{entry.namespace}/{entry.name}: {entry.reason}", 8)
        paper.ln(4)
    paper.needs(24)
    paper.rule(2)
    paper.paragraph(Text.SEAL.in_(language, bill.covered), 7.5, quiet=True)
    paper.paragraph(f"{Text.CHECKSUM.in_(language)}: {bill.hash}", 7.5, quiet=True)
