"""What a decision found, as values: which condition, which reason, and the sentence for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from managedvm.planning.clauses import Clause
from managedvm.planning.reasons import Effect, Reason


class Aspect(StrEnum):
    """The condition types besides Ready, Reconciling and Stalled; all in positive polarity."""

    ORDER_IN_FORCE = "OrderInForce"
    SERVICE_PACKAGE_ACTIVE = "ServicePackageActive"
    VM_FOUND = "VMFound"
    CLAIMED = "Claimed"
    CHANGES_PERMITTED = "ChangesPermitted"
    TOOLS_RUNNING = "ToolsRunning"
    HIGH_AVAILABILITY_CONFIGURED = "HighAvailabilityConfigured"
    RESTARTS_WITHIN_LIMIT = "RestartsWithinLimit"
    GUEST_IDENTIFIED = "GuestIdentified"
    SNAPSHOT_SETTLED = "SnapshotSettled"
    RESOURCES_AS_AGREED = "ResourcesAsAgreed"
    CONNECTED = "Connected"
    CLUSTERS_CONFIGURED = "ClustersConfigured"
    AVAILABILITY_KEPT = "AvailabilityKept"
    SUCCEEDED = "Succeeded"
    ACCEPTED = "Accepted"
    REACTED_IN_TIME = "ReactedInTime"
    RECOVERED_IN_TIME = "RecoveredInTime"
    REACHABLE = "Reachable"
    TICKETS_DOCUMENTED = "TicketsDocumented"


class Truth(StrEnum):
    """The status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about one aspect, with the clause that it follows from."""

    aspect: Aspect
    truth: Truth
    reason: Reason
    message: str
    clause: Clause | None = None

    @property
    def effect(self) -> Effect:
        """What it means for Ready."""
        return self.reason.effect

    @property
    def text(self) -> str:
        """The message with its clause."""
        return f"{self.message} ({self.clause})" if self.clause else self.message


def holds(aspect: Aspect, reason: Reason, message: str, clause: Clause | None = None) -> Finding:
    """Return the finding that `aspect` holds."""
    return Finding(aspect, Truth.TRUE, reason, message, clause)


def fails(aspect: Aspect, reason: Reason, message: str, clause: Clause | None = None) -> Finding:
    """Return the finding that `aspect` does not hold."""
    return Finding(aspect, Truth.FALSE, reason, message, clause)


def unknown(aspect: Aspect, reason: Reason, message: str, clause: Clause | None = None) -> Finding:
    """Return the finding that nobody can tell whether `aspect` holds."""
    return Finding(aspect, Truth.UNKNOWN, reason, message, clause)


def some(items: Sequence[str], most: int = 5) -> str:
    """Return the items as a list in words that stays short: `a, b and 7 more`."""
    rest = len(items) - most
    return ", ".join(items) if rest <= 0 else f"{', '.join(items[:most])} and {rest} more"


def shortened(text: str, longest: int = 256) -> str:
    """Return a text of somebody else's so that it leaves room for ours in a message."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
