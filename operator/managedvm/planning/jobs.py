"""What is known of a command in a guest: frozen facts that a decision rests on."""

from __future__ import annotations

from dataclasses import dataclass

from managedvm.planning.observed import Unknown


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The command was never begun: starting it is safe."""


@dataclass(frozen=True, slots=True)
class Running:
    """The command runs."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The command ended. `exit_code` is the shell's: 124 after its time was up, 128 and the number after a signal.

    `output` holds what it wrote to both of its outputs. Where that was too much, the middle is left out and
    `truncated` is true.
    """

    exit_code: int
    output: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The command was begun, runs no more and left no result: the guest restarted or ran out of memory or disk."""


Job = NotStarted | Running | Finished | Lost | Unknown
"""The states of one command; Unknown where the guest could not be asked."""
