"""The Lease of the election, read and written through the Kubernetes port."""

from datetime import datetime
from typing import Any

from managedvm.engine.lease import (
    LeaseConflictError,
    LeaseNotFoundError,
    LeaseRecord,
    LeaseUnavailableError,
)
from managedvm.errors import ManagedVMError, StaleError
from managedvm.world.kube import AlreadyExistsError, Kube, NotFoundError

NAME = "managedvm-operator"
_UNHELD_SINCE = "managedvm.dev/unheld-since"


class KubeLease:
    """One Lease object in the operator's namespace."""

    def __init__(self, kube: Kube, namespace: str, name: str = NAME) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name

    async def get(self) -> LeaseRecord:
        """Read the Lease."""
        try:
            return _record(await self._kube.get("Lease", self._namespace, self._name))
        except NotFoundError as error:
            raise LeaseNotFoundError(str(error)) from error
        except ManagedVMError as error:
            raise LeaseUnavailableError(str(error)) from error

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Create the Lease."""
        try:
            return _record(await self._kube.create(self._body(record)))
        except AlreadyExistsError as error:
            raise LeaseConflictError(str(error)) from error
        except (ManagedVMError, NotFoundError) as error:
            raise LeaseUnavailableError(str(error)) from error

    async def update(self, record: LeaseRecord) -> LeaseRecord:
        """Replace the Lease if it still has the record's resourceVersion."""
        try:
            return _record(await self._kube.replace(self._body(record)))
        except StaleError as error:
            raise LeaseConflictError(str(error)) from error
        except NotFoundError as error:
            raise LeaseNotFoundError(str(error)) from error
        except ManagedVMError as error:
            raise LeaseUnavailableError(str(error)) from error

    def _body(self, record: LeaseRecord) -> dict[str, Any]:
        meta: dict[str, Any] = {"namespace": self._namespace, "name": self._name}
        if record.unheld_since is not None:
            meta["annotations"] = {_UNHELD_SINCE: _micro(record.unheld_since)}
        if record.resource_version:
            meta["resourceVersion"] = record.resource_version
        spec = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.lease_seconds,
            "leaseTransitions": record.transitions,
            "acquireTime": _micro(record.acquired),
            "renewTime": _micro(record.renewed),
        }
        given = {key: value for key, value in spec.items() if value is not None}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": given}


def _record(body: dict[str, Any]) -> LeaseRecord:
    spec = body.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        lease_seconds=int(spec.get("leaseDurationSeconds") or 15),
        acquired=_instant(spec.get("acquireTime")),
        renewed=_instant(spec.get("renewTime")),
        transitions=int(spec.get("leaseTransitions") or 0),
        resource_version=body["metadata"]["resourceVersion"],
        unheld_since=_instant((body["metadata"].get("annotations") or {}).get(_UNHELD_SINCE)),
    )


def _micro(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
