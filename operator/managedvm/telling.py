"""Telling what happened: Events for people, counts for Prometheus. A failure to tell never fails a pass."""

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from managedvm.engine.objects import ObjectKey
from managedvm.errors import ManagedVMError
from managedvm.metrics import Metrics
from managedvm.planning.findings import Finding
from managedvm.planning.reasons import Effect
from managedvm.report import Notice
from managedvm.world.kube import AlreadyExistsError, Kube, NotFoundError

logger = logging.getLogger(__name__)

CONTROLLER = "managedvm.dev/operator"
_NAMESPACE_OF_CLUSTER_KINDS = "default"


class Teller(Protocol):
    """Tells people and Prometheus; it never fails a pass."""

    async def tell(self, about: dict[str, Any], told: tuple[Notice, ...]) -> None:
        """Tell the notices about an object as Events."""

    def found(self, key: ObjectKey, findings: tuple[Finding, ...]) -> None:
        """Note what the latest pass of this object found, for metrics."""


class Telling:
    """Writes Events and keeps the counts of findings. `instance` names this replica in Events."""

    def __init__(self, kube: Kube, metrics: Metrics, clock: Callable[[], datetime], instance: str) -> None:
        self._kube = kube
        self._metrics = metrics
        self._clock = clock
        self._instance = instance
        self._found: dict[ObjectKey, frozenset[tuple[str, ...]]] = {}
        self._same: dict[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]] = {}

    async def tell(self, about: dict[str, Any], told: tuple[Notice, ...]) -> None:
        """Write one Event per notice; its name is made of what it says, so that a repetition is none."""
        for notice in told:
            try:
                await self._kube.create(self._event(about, notice))
            except (AlreadyExistsError, NotFoundError):
                continue  # told already, or the namespace is going away
            except ManagedVMError as error:
                self._metrics.events_dropped.inc()
                logger.warning("An Event could not be written: %s", error)

    def found(self, key: ObjectKey, findings: tuple[Finding, ...]) -> None:
        """Count the findings of an object's latest pass in the place of those of the one before."""
        now = frozenset(
            (key.kind, f.aspect.value, f.truth.value, f.reason.word) for f in findings
        ) | frozenset(
            (f.clause.number, f.reason.word) for f in findings if f.clause and f.effect is Effect.STALLED
        )
        before = self._found.get(key, frozenset())
        for labels, step in [(labels, 1) for labels in now - before] + [
            (labels, -1) for labels in before - now
        ]:
            gauge = self._metrics.findings if len(labels) == 4 else self._metrics.refusals  # noqa: PLR2004 - as above
            gauge.labels(*labels).inc(step)
        if now:
            # Ten thousand VMs have found the same few things: each is held once.
            self._found[key] = self._same.setdefault(now, now)
        else:
            self._found.pop(key, None)

    def _event(self, about: dict[str, Any], notice: Notice) -> dict[str, Any]:
        meta = about["metadata"]
        at = self._clock()
        namespace = meta.get("namespace") or _NAMESPACE_OF_CLUSTER_KINDS
        said = f"{meta['uid']}|{notice.condition}|{notice.reason}|{notice.message}|{at:%Y-%m-%dT%H:%M}"
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name'][:200].rstrip('-.')}.{digest}", "namespace": namespace},
            "eventTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
            "action": notice.condition,
            "reason": notice.reason,
            "type": notice.type,
            "note": notice.message[:1024],
            "regarding": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta.get("namespace", ""),
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
            },
        }
