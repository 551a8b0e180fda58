"""The outcome of deciding: actions in order, findings, what status should show, and when to look again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from managedvm.planning.actions import Action
from managedvm.planning.findings import Finding

Group = tuple[Action, ...]
"""Actions that rest on each other, in order: where one fails, the rest of its group is not done."""


@dataclass(frozen=True, slots=True, init=False)
class Part:
    """What one promise contributes to a plan. The actions that it is made of are one group."""

    findings: tuple[Finding, ...]
    groups: tuple[Group, ...]
    next_check: datetime | None

    def __init__(
        self,
        findings: tuple[Finding, ...] = (),
        actions: Group = (),
        next_check: datetime | None = None,
        *,
        beside: tuple[Group, ...] = (),
    ) -> None:
        """Take actions as one group, and groups that are carried out `beside` it, whatever becomes of it."""
        object.__setattr__(self, "findings", findings)
        object.__setattr__(self, "groups", ((actions,) if actions else ()) + beside)
        object.__setattr__(self, "next_check", next_check)

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions in order."""
        return flat(self.groups)


def flat(groups: Iterable[Group]) -> tuple[Action, ...]:
    """Return the actions of all groups in order."""
    return tuple(action for group in groups for action in group)


def joined(parts: Iterable[Part]) -> Part:
    """Return the parts as one: findings and groups in order, the earliest next check."""
    listed = tuple(parts)
    return Part(
        findings=tuple(finding for part in listed for finding in part.findings),
        next_check=earliest(part.next_check for part in listed),
        beside=tuple(group for part in listed for group in part.groups),
    )


def earliest(instants: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest of the instants that are there, or None."""
    return min((instant for instant in instants if instant is not None), default=None)
