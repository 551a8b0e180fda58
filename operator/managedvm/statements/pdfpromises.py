"""The part of a printed statement that says what was promised and kept: availability and faults."""

from typing import Final, Protocol

from managedvm.planning.bill import Bill
from managedvm.statements.promises import Row, availability_head, availability_rows, fault_lines
from managedvm.statements.words import Language, Text

_COLUMNS: Final = (42.0, 40.0, 17.0, 17.0, 15.0, 17.0, 17.0)
"""Widths in mm, as much together as the page has between its margins."""

_NUMBERS_FROM: Final = 2
"""The column from which on numbers stand, to the right."""


class Paper(Protocol):
    """What is drawn on; see `pdf`."""

    def needs(self, height: float) -> None:
        """Begin a new page unless so much fits on this one."""

    def heading(self, text: str) -> None:
        """Print the heading of a part."""

    def row(self, cells: Row, widths: tuple[float, ...], numbers_from: int, *, quiet: bool = False) -> None:
        """Print cells beside each other, folded within their widths."""

    def rule(self, gap: float = 1.0) -> None:
        """Draw a line over the width."""

    def paragraph(self, text: str, size: float = 9, *, quiet: bool = False) -> None:
        """Print text over the width."""

    def ln(self, h: float | None = None) -> None:
        """Leave a gap."""


def draw_promises(paper: Paper, bill: Bill, language: Language) -> None:
    """Print availability and faults of the month, each where there is any."""
    if bill.availability:
        paper.needs(30)
        paper.heading(Text.AVAILABILITY.in_(language))
        paper.row(availability_head(language), _COLUMNS, _NUMBERS_FROM, quiet=True)
        paper.rule()
        for cells in availability_rows(bill, language):
            paper.row(cells, _COLUMNS, _NUMBERS_FROM)
        paper.ln(4)
    if bill.recoveries:
        paper.needs(22)
        paper.heading(Text.FAULTS.in_(language))
        for line in fault_lines(bill, language):
            paper.needs(9)
            paper.paragraph(line, 8)
        paper.ln(4)
