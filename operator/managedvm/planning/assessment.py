"""What the contract makes of a request and of each piece of work on it: kind and cause decide clause and billing.

This is the one table. The kind alone is `status.assessment` of a request, written once when it is documented; the kind
and the cause that the work found decide about each WorkEntry, since billing goes by WorkEntry.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from managedvm.api.changerequest import Billing, RequestKind
from managedvm.api.workentry import Cause
from managedvm.planning.clauses import Clause


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether work is included in the package or billed by effort, by which clause, and why in a sentence."""

    clause: Clause
    billing: Billing
    reason: str


def _included(clause: Clause, reason: str) -> Verdict:
    return Verdict(clause, Billing.INCLUDED, reason)


def _effort(clause: Clause, reason: str) -> Verdict:
    return Verdict(clause, Billing.EFFORT, reason)


_KINDS: Mapping[RequestKind, Verdict] = {
    RequestKind.SUPPORT_QUESTION: _effort(Clause.SUPPORT, Clause.SUPPORT.sentence),
    RequestKind.FAULT_REPORT: _included(
        Clause.FAULT_INTAKE,
        "Removing a fault is included, unless the work finds a cause that is billed (clauses 6.1 and 6.4).",
    ),
    RequestKind.CONFIGURATION_CHANGE: _effort(Clause.CHANGE_BY_EFFORT, Clause.CHANGE_BY_EFFORT.sentence),
    RequestKind.UPDATE_ORDER: _included(
        Clause.UPDATE_ON_ORDER,
        "Installing updates on order is included; compatibility with the customer's software is not checked.",
    ),
    RequestKind.UPDATE_APPOINTMENT: _included(
        Clause.UPDATE_BY_APPOINTMENT,
        "Installing updates is included, outside of the windows by appointment; compatibility is not checked.",
    ),
    RequestKind.DDOS_MITIGATION: _effort(
        Clause.CUSTOMER_CAUSED, "Preventing and mitigating DDoS attacks is billed by effort in any case."
    ),
    RequestKind.SECURITY_CHECK: _effort(
        Clause.CUSTOMER_CAUSED, "A security check is billed by effort in any case."
    ),
    RequestKind.MALWARE_REMOVAL: _effort(
        Clause.CUSTOMER_CAUSED, "Removing what malware has left behind is billed by effort in any case."
    ),
    RequestKind.SOFTWARE_INSTALLATION: _effort(Clause.USER_SOFTWARE, Clause.USER_SOFTWARE.sentence),
    RequestKind.CAPACITY_ADVICE: _included(
        Clause.CAPACITY,
        "Looking and recommending is free; what is to be done about it is ordered and billed.",
    ),
    RequestKind.CLEAN_UP: _effort(
        Clause.CAPACITY, "Mending what comes of overused resources is not included and billed by effort."
    ),
    RequestKind.SUITABILITY_REVIEW: _effort(
        Clause.SUITABILITY,
        "Reviewing whether a service suits a purpose is not included and billed by effort.",
    ),
    RequestKind.RESTORE: _included(Clause.OPERATION, "Restoring from an agreed backup is included."),
}
"""What a request is by its kind, as long as the work on it finds no cause."""

_CAUSES: Mapping[Cause, Verdict] = {
    Cause.PROVIDER: _included(
        Clause.FAULT_INTAKE, "What is due to the provider itself is mended at its own cost."
    ),
    Cause.CUSTOMER_CHANGE: _effort(
        Clause.CUSTOMER_CAUSED, "Correcting what the customer has changed is billed by effort in any case."
    ),
    Cause.DDOS: _KINDS[RequestKind.DDOS_MITIGATION],
    Cause.MALWARE: _KINDS[RequestKind.MALWARE_REMOVAL],
    Cause.SECURITY_CHECK: _KINDS[RequestKind.SECURITY_CHECK],
    Cause.OVERUSE: _KINDS[RequestKind.CLEAN_UP],
    Cause.CUSTOMER_SOFTWARE: _effort(
        Clause.CUSTOMER_CAUSED, "Faults in software of the customer's own are billed by effort in any case."
    ),
}
"""What the cause makes of the work, wherever the kind does not decide already."""

_ALWAYS_EFFORT = frozenset(
    {
        RequestKind.DDOS_MITIGATION,
        RequestKind.SECURITY_CHECK,
        RequestKind.MALWARE_REMOVAL,
        RequestKind.SOFTWARE_INSTALLATION,
        RequestKind.SUITABILITY_REVIEW,
    }
)

_KIND_DECIDES = frozenset(
    {
        *((kind, Cause.PROVIDER) for kind in _ALWAYS_EFFORT),
        (RequestKind.SOFTWARE_INSTALLATION, Cause.CUSTOMER_SOFTWARE),
        (RequestKind.CAPACITY_ADVICE, Cause.OVERUSE),
    }
)
"""Where the cause changes nothing: billed in any case, or advice about the very overuse that was found."""


def assess(kind: RequestKind) -> Verdict:
    """Return what a request of this kind is, before anybody has worked on it."""
    return _KINDS[kind]


def assess_work(kind: RequestKind, cause: Cause | None) -> Verdict:
    """Return what work on a request of this kind is, with the cause that it found; None where it found none."""
    if cause is None or (kind, cause) in _KIND_DECIDES:
        return _KINDS[kind]
    return _CAUSES[cause]
