"""The one pen: it alone turns findings into conditions and Events. Pure; what has not changed is not written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, TypeVar

from managedvm.api.base import Condition, Status
from managedvm.api.workentry import WorkEntryStatus
from managedvm.errors import InvalidCredentialsError, ManagedVMError, NoPermissionError, TlsNotTrustedError
from managedvm.planning.actions import AdvanceRequest, EndOutage
from managedvm.planning.availability import BEING_REPAIRED
from managedvm.planning.findings import Aspect, Finding, Truth, fails
from managedvm.planning.reasons import Effect, Reason
from managedvm.planning.work import Judgement

S = TypeVar("S", bound=Status)

READY, RECONCILING, STALLED = "Ready", "Reconciling", "Stalled"

_LONGEST = 1024
"""Longest message of a condition and of an Event; the CRDs and the API server say the same."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told once, as an Event: a condition has changed its status or its reason."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    condition: str


def reported(
    status: S, before: tuple[Condition, ...], findings: Iterable[Finding], generation: int, now: datetime
) -> S:
    """Return `status` with the conditions that the findings make, `before` deciding when each last changed."""
    listed = tuple(findings)
    conditions = tuple(
        _condition(text, before, generation, now) for text in (*_summary(listed), *_aspects(listed))
    )
    if _is_inconclusive(listed):
        # What was known stays known.
        said = {condition.type for condition in conditions} | {READY, RECONCILING, STALLED}
        conditions += tuple(condition for condition in before if condition.type not in said)
    return status.model_copy(update={"conditions": conditions, "observed_generation": generation})


def advanced_status(action: AdvanceRequest | EndOutage, now: datetime) -> dict[str, Any] | None:
    """Return the merge patch for the status of a record, or None when it says nothing new."""
    # The spec of a record never changes, so its generation is always the first.
    if isinstance(action, EndOutage):
        return status_patch(action.before, action.after.model_copy(update={"observed_generation": 1}))
    texts = (_text(action.finding.aspect.value, action.finding.truth, action.finding),)
    conditions = tuple(_condition(text, action.before.conditions, 1, now) for text in texts)
    after = action.after.model_copy(update={"conditions": conditions, "observed_generation": 1})
    return status_patch(action.before, after)


def judged_status(before: WorkEntryStatus, judged: Judgement, now: datetime) -> WorkEntryStatus:
    """Return the status of a WorkEntry after it was judged; what cannot be told yet changes nothing."""
    if judged.finding is None:
        return before
    text = _text(judged.finding.aspect.value, judged.finding.truth, judged.finding)
    # The spec of a record never changes, so its generation is always the first.
    conditions = (_condition(text, before.conditions, 1, now),)
    changes = {"conditions": conditions, "charge": judged.charge, "observed_generation": 1}
    return before.model_copy(update=changes)


def status_patch(before: Status, after: Status) -> dict[str, Any] | None:
    """Return the merge patch that turns one status into another, or None when they are the same."""
    if before == after:
        return None
    return merge_patch(before.to_json(), after.to_json()) or None


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON merge patch (RFC 7396) that turns `before` into `after`; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif old != value:
            patch[key] = value
    return patch


def notices(before: Status, after: Status) -> tuple[Notice, ...]:
    """Return what is worth an Event: changes, and from the first look only what a person must know."""
    told = {condition.type: condition for condition in before.conditions}
    found = []
    for condition in after.conditions:
        if condition.type in (RECONCILING, STALLED):
            continue
        old = told.get(condition.type)
        if old is not None and (old.status, old.reason) == (condition.status, condition.reason):
            continue
        is_bad = condition.status == Truth.FALSE.value and _EFFECTS.get(condition.reason) is Effect.STALLED
        if old is not None or is_bad:
            kind: Literal["Normal", "Warning"] = "Warning" if is_bad else "Normal"
            found.append(Notice(kind, condition.reason, condition.message, condition.type))
    # Ready repeats the worst of the others; it is told only where nothing else is.
    others = tuple(notice for notice in found if notice.condition != READY)
    return others or tuple(found)


def repairs(before: Status, findings: Iterable[Finding]) -> tuple[Notice, ...]:
    """Return what a pass tells at once though its status write waits: a promise that held is being restored."""
    held = {condition.type for condition in before.conditions if condition.status == Truth.TRUE.value}
    return tuple(
        Notice("Normal", finding.reason.word, finding.text, finding.aspect.value)
        for finding in findings
        if finding.reason is Reason.HA_REPAIRING and finding.aspect.value in held
    )


_NOT_REPAIRED = {
    Aspect.HIGH_AVAILABILITY_CONFIGURED: Reason.HA_DRIFT,
    Aspect.CLUSTERS_CONFIGURED: Reason.CLUSTER_DRIFT,
}


def not_repaired(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings where what was said to be repaired is said to have drifted: its repair was refused."""
    return tuple(
        replace(f, reason=_NOT_REPAIRED[f.aspect], message=f.message.removesuffix(BEING_REPAIRED))
        if f.reason is Reason.HA_REPAIRING
        else f
        for f in findings
    )


_EFFECTS = {reason.word: reason.effect for reason in Reason}


@dataclass(frozen=True, slots=True)
class _Text:
    type: str
    truth: Truth
    reason: str
    message: str


def _text(kind: str, truth: Truth, finding: Finding) -> _Text:
    return _Text(kind, truth, finding.reason.word, finding.text)


def _summary(findings: tuple[Finding, ...]) -> tuple[_Text, ...]:
    """Return Ready, and with it Stalled or Reconciling while they are true (kstatus)."""
    worst = max(findings, key=lambda f: f.effect.value, default=None)
    if _is_suspended(findings) and worst is not None and worst.effect is not Effect.STALLED:
        return (_Text(READY, Truth.UNKNOWN, Reason.SUSPENDED.word, Reason.SUSPENDED.meaning),)
    if worst is None or worst.effect is Effect.NONE:
        return (_Text(READY, Truth.TRUE, Reason.AS_PROMISED.word, Reason.AS_PROMISED.meaning),)
    if worst.effect is Effect.STALLED:
        return _text(READY, Truth.FALSE, worst), _text(STALLED, Truth.TRUE, worst)
    truth = Truth.UNKNOWN if worst.truth is Truth.UNKNOWN else Truth.FALSE
    return _text(READY, truth, worst), _text(RECONCILING, Truth.TRUE, worst)


def _aspects(findings: tuple[Finding, ...]) -> tuple[_Text, ...]:
    """Return one text per aspect; where an aspect has several findings, the worst decides and all are told."""
    texts = []
    for aspect in Aspect:
        about = [finding for finding in findings if finding.aspect is aspect]
        if about:
            worst = max(about, key=lambda f: f.effect.value)
            message = ". ".join(dict.fromkeys(finding.text for finding in (worst, *about)))
            texts.append(_Text(aspect.value, worst.truth, worst.reason.word, message))
    return tuple(texts)


def _condition(text: _Text, before: tuple[Condition, ...], generation: int, now: datetime) -> Condition:
    old = next((condition for condition in before if condition.type == text.type), None)
    since = old.last_transition_time if old is not None and old.status == text.truth.value else now
    message = text.message if len(text.message) <= _LONGEST else f"{text.message[: _LONGEST - 1]}…"
    if old is not None and (old.status, old.reason, old.message, old.observed_generation) == (
        text.truth.value,
        text.reason,
        message,
        generation,
    ):
        return old
    return Condition(
        type=text.type,
        status=text.truth.value,
        reason=text.reason,
        message=message,
        last_transition_time=since,
        observed_generation=generation,
    )


_NOTHING_DECIDED = frozenset({Reason.SUSPENDED, Reason.INVALID_SPEC, Reason.INTERNAL_ERROR, Reason.WAITING})


def _is_inconclusive(findings: tuple[Finding, ...]) -> bool:
    """Return whether nothing is concluded: the vCenter cannot be read, or nothing was decided at all."""
    return any(
        f.reason in _NOTHING_DECIDED or (f.aspect is Aspect.VM_FOUND and f.truth is Truth.UNKNOWN)
        for f in findings
    )


def _is_suspended(findings: tuple[Finding, ...]) -> bool:
    return any(finding.reason is Reason.SUSPENDED for finding in findings)


def refused(error: ManagedVMError) -> Finding:
    """Return what is said of a call that was refused, where a person must act."""
    match error:
        case NoPermissionError():
            reason = Reason.NO_PERMISSION
        case InvalidCredentialsError():
            reason = Reason.INVALID_CREDENTIALS
        case TlsNotTrustedError():
            reason = Reason.TLS_NOT_TRUSTED
        case _:
            reason = Reason.REFUSED
    return fails(Aspect.CHANGES_PERMITTED, reason, str(error))
