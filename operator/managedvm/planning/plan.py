"""The outcome of deciding: actions in order, findings, what status should show, and when to look again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from managedvm.planning.actions import Action
from managedvm.planning.findings import Finding


@dataclass(frozen=True, slots=True)
class Part:
    """What one promise contributes to a plan."""

    findings: tuple[Finding, ...] = ()
    actions: tuple[Action, ...] = ()
    next_check: datetime | None = None


def joined(parts: Iterable[Part]) -> Part:
    """Return the parts as one: findings and actions in order, the earliest next check."""
    listed = tuple(parts)
    return Part(
        findings=tuple(finding for part in listed for finding in part.findings),
        actions=tuple(action for part in listed for action in part.actions),
        next_check=earliest(part.next_check for part in listed),
    )


def earliest(instants: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest of the instants that are there, or None."""
    return min((instant for instant in instants if instant is not None), default=None)
