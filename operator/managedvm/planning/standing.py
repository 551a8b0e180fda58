"""What is decided once about a request and then stands (clause 4): its clause, who could order it, why it was released."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from managedvm.api.base import LocalReference
from managedvm.api.changerequest import (
    Assessment,
    ChangeRequest,
    ChangeRequestStatus,
    Release,
    RequestAuthority,
    RequestKind,
)
from managedvm.api.customer import Requests
from managedvm.api.customercontacts import Requester
from managedvm.api.requestdecision import RequestDecision
from managedvm.planning.authority import Authority, authority, who_may
from managedvm.planning.decisions import Decisions, counted, made_at
from managedvm.planning.findings import shortened, some
from managedvm.planning.records import assess


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides who may order it, also of one that is still to be recorded; `key` is namespace/name.

    It was asked `at`, and is on record since `recorded_at`: a call is written down later.
    """

    key: str
    kind: RequestKind
    by: str
    at: datetime
    recorded_at: datetime


def asked_of(request: ChangeRequest, now: datetime) -> Asked:
    """Return what of a request decides who may order it."""
    recorded_at = request.metadata.creation_timestamp or now
    at = request.asked_at or now
    return Asked(request.key, request.spec.kind, request.spec.requested_by, at, recorded_at)


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands, and what the list says by now (`today`): it may name somebody from an earlier day on."""

    assessment: Assessment
    authority: RequestAuthority
    release: Release | None
    decisions: Decisions
    today: Authority

    @property
    def is_held(self) -> bool:
        """Whether the requester could not order, and nobody has released the request."""
        return not self.authority.may_proceed and self.release is None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the status of the request."""
        return {"assessment": self.assessment, "authority": self.authority, "release": self.release}


def standing(
    asked: Asked,
    status: ChangeRequestStatus,
    *,
    requesters: tuple[Requester, ...],
    policy: Requests,
    decisions: Iterable[RequestDecision],
    now: datetime,
    elsewhere_since: datetime | None = None,
) -> Standing:
    """Return what stands of a request: what its status says already, and what is decided now for the first time."""
    today = authority(requesters, policy, asked.by, asked.at, asked.kind, elsewhere_since)
    said = counted(decisions, asked.kind, asked.by, requesters, recorded_at=asked.recorded_at)
    first = status.authority or today.recorded(now)
    release = status.release or (None if orders(first) else _release(today, said, now))
    assessment = status.assessment or assess(asked.kind, now)
    return Standing(assessment, first, release, said, today)


def orders(known: RequestAuthority) -> bool:
    """Return whether the requester could order what is billed; a fault is taken in also from who could not."""
    return known.may_proceed and known.may_order


def _release(today: Authority, said: Decisions, now: datetime) -> Release | None:
    """Return why a held request goes on: somebody decided so, or the customer's list names the requester after all.

    What was withdrawn is released by a decision from before that only: a list that is changed around then tells nothing.
    """
    if said.release is not None:
        spec = said.release.spec
        return Release(
            released_at=made_at(said.release) or now,
            released_by=spec.decided_by,
            decision_ref=LocalReference(name=said.release.metadata.name),
            explanation=shortened(spec.reason, 512),
        )
    if today.may_order and said.withdrawal is None:
        return Release(released_at=now, explanation=shortened(f"By now {today.explanation}", 512))
    return None


def way_out(asked: Asked, requesters: tuple[Requester, ...], now: datetime) -> str:
    """Return who may release a held request, and how."""
    listed = some([shortened(name, 64) for name in who_may(requesters, now, asked.kind)], most=2)
    who = f"An authorised requester ({listed}) or the provider's staff" if listed else "The provider's staff"
    return f"{who} releases it with `managedvm request release {asked.key}`"
