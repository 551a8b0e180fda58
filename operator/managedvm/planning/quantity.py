"""Sizes of memory and disks: Kubernetes quantities outside, whole bytes and MiB inside, never rounded."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

MEBIBYTE: Final = 1 << 20
"""Bytes in 1 MiB, the unit in which vSphere counts memory."""

LARGEST: Final = (1 << 63) - 1
"""The largest number of bytes that Kubernetes itself can tell."""

_BINARY: Final = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_SUFFIXES: Final = _BINARY | _DECIMAL
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:([KMGTPE]i|[kMGTPE]?)|[eE]([0-9]{1,2}))")


class NotASizeError(ValueError):
    """The text is no size, or not one of whole units; the message names it."""


@lru_cache(maxsize=1024)  # ten thousand VMs have a few sizes
def parse_bytes(text: str) -> int:
    """Return the number of bytes of a quantity such as ``8Gi``, ``1.5Gi``, ``500M``, ``2e9`` or ``1048576``.

    Raises:
        NotASizeError: the text is no such quantity (a sign and thousandths have no place in a size), not a whole
            number of bytes, or beyond ``LARGEST``.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise NotASizeError(f"{text!r} is not a size such as '8Gi' or '500M'")
    number, suffix, exponent = match.groups()
    size = Fraction(number) * (10 ** int(exponent) if exponent else _SUFFIXES[suffix])
    if size.denominator != 1:
        raise NotASizeError(f"{text!r} is not a whole number of bytes")
    if size > LARGEST:
        raise NotASizeError(f"{text!r} is more than {LARGEST} bytes")
    return int(size)


def parse_mebibytes(text: str) -> int:
    """Return the number of MiB of a quantity, as ``parse_bytes`` reads it.

    Raises:
        NotASizeError: as ``parse_bytes``, or not a whole number of MiB.
    """
    mebibytes, rest = divmod(parse_bytes(text), MEBIBYTE)
    if rest:
        raise NotASizeError(f"{text!r} is not a whole number of MiB: write for example '512Mi' or '8Gi'")
    return mebibytes


def format_bytes(size: int) -> str:
    """Return a number of bytes as Kubernetes writes it: a whole number of the largest binary unit that divides it.

    ``8589934592`` is ``8Gi``, ``1610612736`` is ``1536Mi``, ``1000`` is ``1000``.

    Raises:
        ValueError: the size is negative.
    """
    if size < 0:
        raise ValueError(f"a size of {size} bytes is negative")
    fitting = [suffix for suffix, unit in _BINARY.items() if size and size % unit == 0]
    return f"{size // _BINARY[fitting[-1]]}{fitting[-1]}" if fitting else str(size)


def format_mebibytes(mebibytes: int) -> str:
    """Return a number of MiB as ``format_bytes`` writes it: 8192 is ``8Gi``.

    Raises:
        ValueError: the size is negative.
    """
    return format_bytes(mebibytes * MEBIBYTE)
