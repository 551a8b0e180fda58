"""Deterministic names: the same fact has the same name for every replica and after every crash, so it is made once.

Names are hashed from what identifies the fact in the contract (vCenter, VM, kind, billing key), never from the UID of a
Kubernetes object: a re-created ManagedVM or a restored cluster is no new customer VM.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache

from managedvm.api.base import OPERATOR_RECORD_PREFIX
from managedvm.api.changerequest import RequestKind
from managedvm.api.requestdecision import RequestDecisionSpec
from managedvm.api.workentry import MOST_REVERSALS, REVERSAL_PREFIX
from managedvm.planning.wallclock import as_utc

_LENGTH = 26
"""130 bits: enough that two facts never share a name, short enough to be read out."""

_LONGEST_MARKER = 128
"""How much of a ticket's title, which takes 250 characters, is spent on finding it again."""

_LONGEST_PART = 200
"""How much of a name goes into another: the API server takes 253 characters."""


def _digest(*parts: str) -> str:
    # Each part is preceded by its length, so that no two lists of parts read the same.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:_LENGTH]


@lru_cache(maxsize=256)  # a pass asks for the same name several times
def claim_name(vcenter_uuid: str, instance_uuid: str) -> str:
    """Return the name of the VMClaim of a VM."""
    return f"vm-{_digest(vcenter_uuid, instance_uuid)}"


def change_request_name(vcenter_uuid: str, instance_uuid: str, change_id: str, aspect: str) -> str:
    """Return the name of the ChangeRequest of one aspect of one order slip."""
    kind = RequestKind.CONFIGURATION_CHANGE.value
    word = aspect.partition("/")[0].lower()
    return f"{OPERATOR_RECORD_PREFIX}{word}-{_digest(vcenter_uuid, instance_uuid, kind, change_id, aspect)}"


def ticket_request_name(number: str) -> str:
    """Return the name of the ChangeRequest of a ticket: only the operator may make it, so nobody else takes it."""
    readable = number.lower() if re.fullmatch("[A-Za-z0-9]{1,32}", number) else _digest(number)
    return f"{OPERATOR_RECORD_PREFIX}ticket-{readable}"


def ticket_marker(namespace: str, name: str) -> str:
    """Return by what the ticket of a ChangeRequest is found again in the helpdesk: part of its title."""
    key = f"{namespace}/{name}"
    return key if len(key) <= _LONGEST_MARKER else _digest(key)


def work_entry_name(change_request: str) -> str:
    """Return the name of the operator's own WorkEntry on a ChangeRequest: it works once on each."""
    return f"{change_request}-work"


def outage_name(vcenter_uuid: str, subject: str, cause: str, begin: datetime) -> str:
    """Return the name of an Outage; `subject` is the VM's instance UUID, or the namespace whose VMs were not seen."""
    return (
        f"{OPERATOR_RECORD_PREFIX}outage-{_digest(vcenter_uuid, subject, cause, as_utc(begin).isoformat())}"
    )


def decision_name(spec: RequestDecisionSpec) -> str:
    """Return the name of what somebody decides about a ChangeRequest: said twice, it is one decision."""
    request, decision = spec.change_request_ref.name, spec.decision.value
    kept = request[:_LONGEST_PART].rstrip("-.")
    return f"{decision.lower()}-{kept}-{_digest(request, decision, spec.decided_by, spec.decided_as)[:8]}"


def persons_work_name(request: str, person: str, begin: datetime, version: int = 1) -> str:
    """Return the name of a person's work on a ChangeRequest: nobody begins twice at once, so said twice it is one.

    What was taken back and is recorded anew with the same begin is a later version, counted from 1.
    """
    kept = request[:_LONGEST_PART].rstrip("-.")
    parts = (request, person, as_utc(begin).isoformat(), *([str(version)] if version > 1 else []))
    return f"work-{kept}-{_digest(*parts)[:8]}"


def reversal_name(record: str, version: int = 1) -> str:
    """Return the name of the counter-entry to a WorkEntry: it is taken back once.

    Where an earlier version, counted from 1, names a request that the record is not of, the next one is the right one.
    """
    return f"{REVERSAL_PREFIX if version == 1 else f'reversal-{version}-of-'}{record}"


def reversal_names(record: str) -> Iterator[str]:
    """Yield the names that counter-entries to a WorkEntry may have, the first one first."""
    return (reversal_name(record, version) for version in range(1, MOST_REVERSALS + 1))
