"""Values for tests, each a one-liner: everything is as the contract promises but for what the test names.

The world of the tests: customer kunde-a has the VM web-01 in vCenter berlin, ordered at level Standard with package
Basic, in Enforce mode, claimed, with vSphere HA as promised. It is Monday 12:00 UTC, outside the window 05:00-07:00.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from managedvm.api.base import Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import Customer, CustomerSpec
from managedvm.api.customercontacts import Requester
from managedvm.api.managedvm import ManagedVM
from managedvm.api.pricelist import AutomatedWork
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.servicelevel import ServiceLevel, ServiceLevelSpec
from managedvm.api.vcenter import VCenter, VCenterSpec
from managedvm.api.vmclaim import VMClaim
from managedvm.api.workentry import WorkEntry
from managedvm.planning.availability import promised
from managedvm.planning.identity import Sight
from managedvm.planning.managedvm import Observed
from managedvm.planning.money import PriceBook, Prices, Rate
from managedvm.planning.names import change_request_name, claim_name
from managedvm.planning.observed import (
    RECONFIGURE,
    ClusterFacts,
    DiskFacts,
    Heartbeat,
    PowerState,
    RestartEvent,
    TaskFacts,
    TaskState,
    Unknown,
    VirtualMachine,
)
from managedvm.planning.targets import Baseline, baseline_note, size_of

BASIC, STANDARD, PROFESSIONAL, PREMIUM = "basic", "standard", "professional", "premium"

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
VCENTER_UUID = "5a1b0000-0000-4000-8000-0000000000aa"
VM_UUID = "42000000-0000-4000-8000-000000000001"
OTHER_UUID = "42000000-0000-4000-8000-000000000002"
PATH = "/Berlin/vm/kunde-a/web-01"
REQUESTER = "a.beispiel@kunde-a.example"
GIB = 1 << 30

_CATALOGUE = Path(__file__).parent.parent / "manifests" / "catalogue"


def at(text: str) -> datetime:
    """Return a time in UTC: `at("2026-11-23T12:00")`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@cache
def service_levels() -> Mapping[str, ServiceLevelSpec]:
    """Return the levels of the shipped catalogue by name."""
    text = (_CATALOGUE / "service-levels.yaml").read_text()
    levels = (ServiceLevel.of(body) for body in yaml.safe_load_all(text))
    return {level.metadata.name: level.spec for level in levels}


def service_level(name: str = STANDARD) -> ServiceLevelSpec:
    return service_levels()[name]


def edited(resource: Any, **changes: Any) -> Any:
    """Return an API object with fields of its spec changed; values are as in YAML, None removes a field."""
    body = resource.to_json() if isinstance(resource, Resource) else {"spec": resource.to_json()}
    spec = {key: value for key, value in {**body["spec"], **changes}.items() if value is not None}
    if isinstance(resource, Resource):
        meta = {**body["metadata"], "generation": body["metadata"].get("generation", 0) + 1}
        return type(resource).of({**body, "metadata": meta, "spec": spec})
    return type(resource).model_validate(spec)


def order(
    reference: str = "A-1", level: str = STANDARD, package: str | None = "Basic", **more: Any
) -> dict[str, Any]:
    """Return an order as YAML: valid since January unless `from_` and `until` say otherwise."""
    body = {"reference": reference, "serviceLevel": level, "from": more.get("from_", "2026-01-01T00:00:00Z")}
    return (
        body
        | ({"servicePackage": package} if package else {})
        | ({"until": more["until"]} if "until" in more else {})
    )


def slip(name: str = "c-1", by: str = REQUESTER, **more: Any) -> dict[str, Any]:
    """Return an order slip for `change=`."""
    return {"id": name, "requestedBy": by, **more}


def managed_vm(
    *,
    level: str = STANDARD,
    package: str | None = "Basic",
    name: str = "web-01",
    namespace: str = "kunde-a",
    status: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
    **spec: Any,
) -> ManagedVM:
    """Return a ManagedVM; keyword arguments are fields of its spec as in YAML (`restartPolicy="InWindow"`)."""
    fields = {
        "customerRef": {"name": "kunde-a"},
        "vm": {"vCenterRef": {"name": "berlin"}, "inventoryPath": PATH},
        "orders": [order(level=level, package=package)],
        "mode": "Enforce",
        **spec,
    }
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "1",
        "annotations": dict(annotations or {}),
    }
    return ManagedVM.of(
        {
            "metadata": meta,
            "spec": {k: v for k, v in fields.items() if v is not None},
            "status": dict(status or {}),
        }
    )


def disk(size_gib: float = 40, key: int = 2000) -> DiskFacts:
    return DiskFacts(key, int(size_gib * GIB))


def virtual_machine(*, level: str = STANDARD, has_baseline: bool = True, **facts: Any) -> VirtualMachine:
    """Return the VM as found: 2 CPUs, 4 GiB, one disk of 40 GiB, running, without hot-add, HA as `level` promises."""
    found = VirtualMachine(
        **{
            "moref": "vm-1",
            "instance_uuid": VM_UUID,
            "path": PATH,
            "power": PowerState.ON,
            "power_since": NOW - timedelta(days=7),
            "connected": True,
            "connected_since": NOW - timedelta(days=7),
            "is_template": False,
            "tools_running": True,
            "heartbeat": Heartbeat.GREEN,
            "heartbeat_since": NOW - timedelta(days=7),
            "cpus": 2,
            "memory_mib": 4096,
            "disks": {"SCSI(0:0)": disk()},
            "change_version": "v1",
            "cpu_hot_add": False,
            "memory_hot_add": False,
            "hot_add_increment_mib": 0,
            "hot_add_limit_mib": 0,
            "cluster": "domain-c1",
            "ha_override": promised(service_level(level).high_availability),
            **facts,
        }
    )
    if not has_baseline:
        return found
    note = baseline_note(Baseline(size_of(found), NOW - timedelta(days=30)), found.instance_uuid)
    return replace(found, notes={**note, **found.notes})


def cluster(**facts: Any) -> ClusterFacts:
    fields = {
        "moref": "domain-c1",
        "name": "c1",
        "ha_enabled": True,
        "host_monitoring": "enabled",
        "vm_monitoring": "vmMonitoringOnly",
        "options": {"das.iostatsInterval": "120"},
    }
    return ClusterFacts(**{**fields, **facts})


def task(state: TaskState = TaskState.SUCCESS, *, end: datetime | None = NOW, **facts: Any) -> TaskFacts:
    """Return a reconfiguration that took three seconds; one that has not ended needs `end=None`."""
    begin = (end or NOW) - timedelta(seconds=3)
    fields = {
        "moref": "task-7",
        "method": RECONFIGURE,
        "state": state,
        "queued_at": begin,
        "seen_at": end or NOW,
        "begin": begin,
        "end": end,
    }
    return TaskFacts(**{**fields, **facts})


def restarts(*times: datetime) -> tuple[RestartEvent, ...]:
    return tuple(RestartEvent(key, time) for key, time in enumerate(times, start=1))


def rate(valid_from: str = "2026-01-01T00:00", hourly: int = 12000) -> Rate:
    return Rate(at(valid_from), hourly, minutes(15), minutes(15))


def price_book(*rates: Rate, automated_work: AutomatedWork = AutomatedWork.INCREMENT) -> PriceBook:
    return PriceBook("standard", "EUR", rates or (rate(),), automated_work)


def agreed(book: PriceBook | None) -> Prices:
    """Return the prices of a customer that has had one book since ever; None stands for a list that is gone."""
    return Prices(((at("2000-01-01T00:00"), book),))


def customer(namespaces: Iterable[str] = ("kunde-a",), **spec: Any) -> CustomerSpec:
    fields = {
        "customerNumber": "K-1",
        "displayName": "Kunde A GmbH",
        "namespaces": list(namespaces),
        "priceLists": [{"name": "standard", "from": "2026-01-01T00:00:00Z"}],
    }
    return Customer.of({"metadata": {"name": "kunde-a"}, "spec": {**fields, **spec}}).spec


def requester(
    email: str = REQUESTER,
    since: str = "2026-01-01T00:00",
    until: str | None = None,
    scope: Iterable[str] = (),
) -> Requester:
    entry = {"email": email, "name": "Anna Beispiel", "from": at(since), "scope": list(scope)}
    return Requester.model_validate(entry | ({"until": at(until)} if until else {}))


def vcenter(**spec: Any) -> VCenter:
    fields = {
        "server": "vcenter.example",
        "credentialsSecretRef": {"name": "vcenter-berlin"},
        "maximumMode": "Enforce",
        "grants": [{"namespace": "kunde-a", "folder": "/Berlin/vm/kunde-a"}],
    }
    return VCenter.of({"metadata": {"name": "berlin", "generation": 1}, "spec": {**fields, **spec}})


def vcenter_spec(**spec: Any) -> VCenterSpec:
    return vcenter(**spec).spec


def claim(
    uuid: str = VM_UUID, *, namespace: str = "kunde-a", name: str = "web-01", uid: str | None = None
) -> VMClaim:
    """Return the claim to a VM; `uid` is that of the ManagedVM that made it."""
    owner = {"namespace": namespace, "name": name, "uid": uid}
    spec = {"vCenterUUID": VCENTER_UUID, "instanceUUID": uuid, "owner": owner}
    return VMClaim.of(
        {"metadata": {"name": claim_name(VCENTER_UUID, uuid), "uid": "uid-claim"}, "spec": spec}
    )


def request_name(change_id: str = "c-1", aspect: str = "Memory", uuid: str = VM_UUID) -> str:
    return change_request_name(VCENTER_UUID, uuid, change_id, aspect)


def change_request(
    aspect: str = "Memory",
    after: str = "8Gi",
    *,
    before: str = "4Gi",
    change_id: str = "c-1",
    by: str = REQUESTER,
    uuid: str = VM_UUID,
    asked_at: datetime = NOW - timedelta(minutes=1),
    **status: Any,
) -> ChangeRequest:
    """Return the operator's request for one aspect; keyword arguments are fields of its status as in YAML."""
    meta = {
        "name": request_name(change_id, aspect, uuid),
        "namespace": "kunde-a",
        "uid": f"uid-{aspect}",
        "resourceVersion": "5",
        "creationTimestamp": asked_at,
    }
    spec = {
        "kind": "ConfigurationChange",
        "managedVMRef": {"name": "web-01"},
        "vm": {"vCenterUUID": VCENTER_UUID, "instanceUUID": uuid},
        "requestedBy": by,
        "channel": "Git",
        "origin": "Operator",
        "change": {"id": change_id, "aspect": aspect, "before": before, "after": after},
    }
    return ChangeRequest.of({"metadata": meta, "spec": spec, "status": status})


def persons_request(by: str = REQUESTER, **spec: Any) -> ChangeRequest:
    """Return a request that a person wrote; keyword arguments are fields of its spec as in YAML."""
    meta = {"name": "helpdesk-1", "namespace": "kunde-a", "resourceVersion": "5", "creationTimestamp": NOW}
    fields = {
        "kind": "ConfigurationChange",
        "managedVMRef": {"name": "web-01"},
        "requestedBy": by,
        "channel": "Phone",
        "description": "Please open port 443",
    }
    status = spec.pop("status", {})
    return ChangeRequest.of({"metadata": meta, "spec": {**fields, **spec}, "status": status})


def request_decision(
    decision: str = "Release",
    by: str = REQUESTER,
    *,
    of: str = "helpdesk-1",
    decided_as: str = "Requester",
    made_at: datetime = NOW,
    reason: str = "Agreed on the telephone",
) -> RequestDecision:
    """Return a decision about a request of web-01."""
    spec = {"changeRequestRef": {"name": of}, "decision": decision, "decidedBy": by}
    meta = {
        "name": f"{of}-{decision}-{by}".lower().replace("@", "-at-"),
        "namespace": "kunde-a",
        "creationTimestamp": made_at,
    }
    return RequestDecision.of({"metadata": meta, "spec": {**spec, "decidedAs": decided_as, "reason": reason}})


def work_entry(
    name: str = "work-1",
    begin: str = "2026-11-23T09:00",
    worked: float | None = 30,
    *,
    by: str = "t@provider.example",
    of: str = "helpdesk-1",
    namespace: str = "kunde-a",
    recorded_at: datetime = NOW,
    status: Mapping[str, Any] | None = None,
    **spec: Any,
) -> WorkEntry:
    """Return half an hour of a person's work on the request `helpdesk-1`; keyword arguments are fields of its spec."""
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "resourceVersion": "5",
        "creationTimestamp": recorded_at,
    }
    fields = {
        "changeRequestRef": {"name": of},
        "performedBy": by,
        "begin": at(begin),
        "minutes": worked,
        "activity": "Looked at the log.",
        **spec,
    }
    return WorkEntry.of({"metadata": meta, "spec": fields, "status": dict(status or {})})


def counter_entry(to: WorkEntry, version: int = 1, **more: Any) -> WorkEntry:
    """Return the counter-entry that takes an entry back."""
    meta = to.metadata
    fields = {"of": to.spec.change_request_ref.name, "namespace": meta.namespace, **more}
    name = f"reversal-{version}-of-{meta.name}" if version > 1 else f"reversal-of-{meta.name}"
    return work_entry(name, "2026-11-23T11:00", None, reverses={"name": meta.name}, **fields)


def observed(facts: VirtualMachine | Unknown | None = None, **read: Any) -> Observed:
    """Return all that is read for web-01; `facts` is its VM as found, keyword arguments replace other fields."""
    found = virtual_machine() if facts is None else facts
    sight = found if isinstance(found, Unknown) else Sight(VCENTER_UUID, by_uuid=found, at_path=found)
    held = claim() if isinstance(found, Unknown) else claim(found.instance_uuid)
    requests = {request.metadata.name: request for request in read.pop("requests", ())}
    prices = read.pop("prices", price_book())
    fields: dict[str, Any] = {
        "levels": service_levels(),
        "customer": customer(),
        "requesters": (requester(),),
        "prices": prices if isinstance(prices, Prices) else agreed(prices),
        "vcenter": vcenter_spec(),
        "sight": sight,
        "claims": {held.metadata.name: held},
        "own_claim": held,
        "cluster": cluster(),
        "requests": requests,
        "task": None,
        "missing_policies": (),
        "is_ledger": True,
    }
    return Observed(**{**fields, **read})
