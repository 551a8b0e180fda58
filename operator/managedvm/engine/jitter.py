"""Spread, never random: the same key gets the same share in each process and after each restart."""

from __future__ import annotations

from hashlib import blake2b

_FRACTION_BITS = 53  # as many as a float holds: one more and the largest share would round up to 1.0


def fraction(*parts: object) -> float:
    """Return the share of these parts: a float in [0, 1), evenly spread over different parts.

    The parts' `repr` must not change between processes: strings, numbers, enums, and tuples or
    dataclasses of them. Python's own `hash` is salted per process and would move every check at a restart.
    """
    digest = blake2b(repr(parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - _FRACTION_BITS)) / (1 << _FRACTION_BITS)
