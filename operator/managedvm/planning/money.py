"""What work costs: time spent times the hourly rate valid when it was done (clause 4).

Amounts are whole minor units (cents) and times are exact; a fraction of a minor unit is rounded half up, once per
line. Nothing here reads a clock, and a rate that begins after the work has no part in it.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from managedvm.api.customer import AgreedPriceList
from managedvm.api.pricelist import AutomatedWork, PriceList
from managedvm.planning.surcharges import Stretch, Surcharge, stretches
from managedvm.planning.wallclock import as_utc

_NOTHING: Final = timedelta()
_HOUR: Final = timedelta(hours=1)
_INSTANT: Final = timedelta(microseconds=1)
_WHOLE: Final = 100_00
"""A hundred percent in hundredths of a percent."""


class NoRateError(LookupError):
    """No rate of the price book was valid yet when the work began; a person must add one."""


class NotAnAmountError(ValueError):
    """The text is not an amount of money; the message names it."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of an hour, in minor units, from ``valid_from`` until a later rate; and how time is counted.

    Raises:
        ValueError: ``valid_from`` is naive, the price or the minimum is negative, or the increment is not positive.
    """

    valid_from: datetime
    hourly: int
    increment: timedelta
    minimum: timedelta

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid_from", as_utc(self.valid_from))
        if self.hourly < 0:
            raise ValueError(f"an hourly rate of {self.hourly} minor units is negative")
        if self.increment <= _NOTHING or self.minimum < _NOTHING:
            raise ValueError(f"work cannot count in steps of {self.increment} and at least {self.minimum}")

    def counted(self, worked: timedelta) -> timedelta:
        """Return the time that counts for a whole entry.

        Each increment begun counts in full, and beginning to work begins the first one; less than the minimum
        counts as the minimum.
        """
        begun = max(1, -(-worked // self.increment))
        return max(begun * self.increment, self.minimum)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Dated rates in one currency.

    Raises:
        ValueError: the rates do not ascend in time, each with a date of its own.
    """

    name: str
    currency: str
    rates: tuple[Rate, ...]
    automated_work: AutomatedWork
    minor_digits: int = 2
    surcharges: tuple[Surcharge, ...] = ()

    def __post_init__(self) -> None:
        for earlier, later in pairwise(self.rates):
            if earlier.valid_from >= later.valid_from:
                raise ValueError(
                    f"price list {self.name}: the rate of {later.valid_from.isoformat()} "
                    f"does not come after the one of {earlier.valid_from.isoformat()}"
                )

    @classmethod
    def of(cls, prices: PriceList) -> "PriceBook":
        """Return the book of a price list."""
        spec = prices.spec
        rates = (
            Rate(rate.from_, parse_minor(rate.hourly), rate.increment, rate.minimum) for rate in spec.rates
        )
        return cls(
            name=prices.metadata.name,
            currency=spec.currency,
            rates=tuple(sorted(rates, key=lambda rate: rate.valid_from)),
            automated_work=spec.automated_work,
            surcharges=tuple(Surcharge.of(one, spec.time_zone) for one in spec.surcharges),
        )

    def rates_between(self, begin: datetime, end: datetime) -> tuple[Rate, ...]:
        """Return the rate valid at ``begin`` and those that begin later and before ``end``.

        Raises:
            NoRateError: no rate is valid at ``begin``.
        """
        first = bisect_right(self.rates, begin, key=lambda rate: rate.valid_from) - 1
        if first < 0:
            raise NoRateError(f"price list {self.name} has no rate valid at {begin.isoformat()}")
        later = (rate for rate in self.rates[first + 1 :] if rate.valid_from < end)
        return (self.rates[first], *later)


@dataclass(frozen=True, slots=True)
class Prices:
    """The price books of a customer, each from an instant on until the next one's; None stands for a list that is not there.

    What begins under one book is priced by it to its end.
    """

    agreed: tuple[tuple[datetime, PriceBook | None], ...]

    @classmethod
    def of(cls, agreed: Iterable[AgreedPriceList], list_named: Callable[[str], PriceList | None]) -> "Prices":
        """Return the books of a customer's lists; `list_named` looks a PriceList up."""
        found = ((entry.from_, list_named(entry.name)) for entry in agreed)
        books = ((valid_from, PriceBook.of(known) if known else None) for valid_from, known in found)
        return cls(tuple(sorted(books, key=lambda entry: entry[0])))

    def at(self, instant: datetime) -> PriceBook | None:
        """Return the book valid for work that begins at an instant; None where none is, or its list is not there."""
        found = bisect_right(self.agreed, instant, key=lambda entry: entry[0])
        return self.agreed[found - 1][1] if found else None

    def next_change(self, now: datetime) -> datetime | None:
        """Return when another rate or another book begins, None if nothing is known to."""
        book = self.at(now)
        begins = [valid_from for valid_from, _ in self.agreed]
        begins += [rate.valid_from for rate in book.rates] if book else []
        return min((begin for begin in begins if now < begin), default=None)


NO_PRICES: Final = Prices(())
"""What is agreed with nobody."""


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """Work at one rate and one surcharge or none: from ``begin`` to ``end``, of which ``counted`` is charged.

    ``hourly`` is the rate in minor units without the surcharge. ``counted`` differs from the time worked in the last line
    of a charge only, by what rounding added.
    """

    begin: datetime
    end: datetime
    counted: timedelta
    hourly: int
    amount: int
    rate_valid_from: datetime
    surcharge: Surcharge | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What one entry costs: lines in order of time and their total in minor units.

    Without lines nothing is charged, and ``free_because`` says why; otherwise it is empty.
    """

    lines: tuple[ChargeLine, ...]
    currency: str
    free_because: str = ""

    @property
    def total(self) -> int:
        """The sum of the lines in minor units."""
        return sum(line.amount for line in self.lines)

    @property
    def counted(self) -> timedelta:
        """The time that is charged, over all lines."""
        return sum((line.counted for line in self.lines), _NOTHING)


def charge(book: PriceBook, begin: datetime, end: datetime) -> Charge:
    """Return what a person's work from ``begin`` to ``end`` costs.

    Work over a change of the rate or of the surcharge is one line for each, split at the very instant. Increment and
    minimum are those valid when the work began, and they round the whole entry up once; what rounding adds belongs to the
    last line, since it is the rest of the increment that was running when the work ended.

    Raises:
        NoRateError: no rate was valid when the work began.
        ValueError: ``end`` is before ``begin``, or a time is naive.
    """
    return _charge(book, begin, end, book.surcharges)


def automated_charge(book: PriceBook, begin: datetime, end: datetime) -> Charge:
    """Return what work done by the operator itself costs: nothing, or as much as a person's without any surcharge.

    A surcharge pays people for hours at which they would rather not work; the operator chooses nights on purpose.

    Raises:
        NoRateError: automated work is charged, and no rate was valid when it began.
        ValueError: ``end`` is before ``begin``, or a time is naive; both only where automated work is charged.
    """
    if book.automated_work is AutomatedWork.FREE:
        return Charge((), book.currency, f"automated work is free by price list {book.name}")
    return _charge(book, begin, end, ())


def vat_percent(prices: PriceList, begin: datetime) -> str | None:
    """Return the value added tax in percent on work that began at an instant; None where none is listed for it."""
    entries = sorted(prices.spec.vat, key=lambda entry: entry.from_)
    found = bisect_right(entries, begin, key=lambda entry: entry.from_)
    return entries[found - 1].percent if found else None


def format_minor(amount: int, digits: int = 2) -> str:
    """Return an amount in minor units as a decimal string: 3000 is ``30.00``, and -5 is ``-0.05``."""
    sign = "-" if amount < 0 else ""
    major, minor = divmod(abs(amount), 10**digits)
    return f"{sign}{major}.{minor:0{digits}}" if digits else f"{sign}{major}"


def parse_minor(text: str, digits: int = 2) -> int:
    """Return a decimal string as minor units: ``120.00`` is 12000, and ``120.5`` is 12050.

    Raises:
        NotAnAmountError: anything but digits, at most one point and a leading minus; or a fraction of a minor unit.
    """
    match = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?", text)
    if match is None:
        raise NotAnAmountError(f"{text!r} is not an amount such as {format_minor(12000, digits)!r}")
    sign, major, minor = match[1], match[2], match[3] or ""
    if len(minor) > digits:
        raise NotAnAmountError(f"{text!r} has more than {digits} decimals")
    amount = int(major + minor.ljust(digits, "0"))
    return -amount if sign else amount


def _charge(book: PriceBook, begin: datetime, end: datetime, surcharges: tuple[Surcharge, ...]) -> Charge:
    begin, end = as_utc(begin), as_utc(end)
    if end < begin:
        raise ValueError(f"work that began at {begin.isoformat()} cannot have ended at {end.isoformat()}")
    rates = book.rates_between(begin, end)
    added = rates[0].counted(end - begin) - (end - begin)
    edges = (begin, *(rate.valid_from for rate in rates[1:]), end)
    parts = [
        (rate, stretch)
        for rate, span in zip(rates, pairwise(edges), strict=True)
        for stretch in stretches(surcharges, *span)
    ]
    lines = [_line(rate, stretch, _NOTHING) for rate, stretch in parts[:-1]]
    return Charge((*lines, _line(*parts[-1], added)), book.currency)


def _line(rate: Rate, stretch: Stretch, added: timedelta) -> ChargeLine:
    counted = stretch.end - stretch.begin + added
    amount = _price(rate.hourly, counted, stretch.surcharge.hundredths if stretch.surcharge else 0)
    return ChargeLine(
        stretch.begin, stretch.end, counted, rate.hourly, amount, rate.valid_from, stretch.surcharge
    )


def _price(hourly: int, counted: timedelta, hundredths: int) -> int:
    """Return the price of the time in minor units, a half rounded up; all factors are whole numbers, so it is exact."""
    parts = hourly * (_WHOLE + hundredths) * (counted // _INSTANT)
    whole = _WHOLE * (_HOUR // _INSTANT)
    return (2 * parts + whole) // (2 * whole)
