"""How far this machine's clock is from the API server's: windows and orders are kept by a clock, so it had better be right."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Skew:
    """The latest comparison. `tolerance` must be well above what a slow answer makes of it: 30 s."""

    def __init__(self, clock: Callable[[], datetime], tolerance: timedelta) -> None:
        self._clock = clock
        self._tolerance = tolerance
        self._ahead = timedelta(0)

    @property
    def seconds(self) -> float:
        """How many seconds this machine is ahead of the API server; 0 before the first answer."""
        return self._ahead.total_seconds()

    def note(self, date: str | None) -> None:
        """Compare with the `Date` of an HTTP answer that has just come; one without it, or with another text, tells nothing."""
        try:
            theirs = parsedate_to_datetime(date or "")
        except ValueError:
            return
        if theirs.tzinfo is not None:
            self._ahead = self._clock() - theirs

    def objection(self) -> str | None:
        """Return in words that no decision by this clock is to be trusted, or None while it is right."""
        if abs(self._ahead) <= self._tolerance:
            return None
        where = "ahead of" if self._ahead > timedelta(0) else "behind"
        return (
            f"this machine's clock is {abs(round(self.seconds))} s {where} the API server's, so windows and orders would be "
            "kept at the wrong time; nothing is done until it is right. Set the clock of the node"
        )
