"""Customers with VMs under contract, declared as people declare them, and what the running operator made of them.

Every test has its own customer, namespace and VMs; API server, vCenter and operator are shared.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from lab import wait_until
from lab.errors import DeadlineError
from lab.vcenter_admin import VCenterAdmin, VCenterAdminError
from managedvm.clock import utc_now
from tests.api.bodies import custom, customer, managed_vm, order
from tests.api.server import Client, assert_done

RESYNC_SECONDS = 10
"""The shortest that the operator takes: each VM is looked at again every 5 to 10 seconds though nothing changed."""

SETTINGS = {
    "MANAGEDVM_RESYNC_SECONDS": str(RESYNC_SECONDS),
    "MANAGEDVM_RELIST_SECONDS": "10",
    "MANAGEDVM_LOG_LEVEL": "DEBUG",
}

PATIENCE = 20.0
"""Seconds until a test gives up waiting; what is waited for takes a fraction of one where nothing is said."""

MACHINE = {
    "cluster": "cluster-1",
    "cpus": 2,
    "memoryMiB": 4096,
    "disks": [{"sizeGiB": 10}],
    "cpuHotAdd": True,
    "memoryHotAdd": True,
    "memoryHotAddIncrementMiB": 1024,
    "memoryHotAddLimitMiB": 65536,
}
"""A VM that takes more CPUs and memory while it runs."""

COLD = {"cpuHotAdd": False, "memoryHotAdd": False}
"""What makes it one that does not."""

PERSON = "a.beispiel@kunde.example"

BERLIN = ZoneInfo("Europe/Berlin")
"""Where the catalogue's price list has its hours."""


def instant(seconds: float = 0) -> str:
    """Return the instant so many seconds from now as YAML writes it."""
    return f"{utc_now() + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}Z"


def working_day(clock: str) -> str:
    """Return a time by the clock in Berlin, HH:MM, on the latest day before today that has no surcharge in the catalogue."""
    holidays = {"01-01", "05-01", "10-03", "12-25", "12-26"}
    back = (utc_now().astimezone(BERLIN).date() - timedelta(days=days) for days in range(1, 31))
    day = next(one for one in back if one.isoweekday() <= 5 and f"{one:%m-%d}" not in holidays)
    wall = datetime.combine(day, time.fromisoformat(clock), BERLIN)
    return f"{wall.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def advanced(**more: str) -> dict[str, Any]:
    """Return an order in force with level Standard and package Advanced."""
    return order(**{"level": "standard", "servicePackage": "Advanced", **more})


def window(begins_in: timedelta, lasts: timedelta = timedelta(hours=2)) -> dict[str, Any]:
    """Return an agreement on one weekly window, in UTC, that begins so long from now."""
    begin = utc_now() + begins_in
    hours = {"days": [f"{begin:%a}"], "start": f"{begin:%H:%M}", "end": f"{begin + lasts:%H:%M}"}
    agreed = {"timeZone": "UTC", "windows": [hours], "agreedBy": "Anna", "agreedAt": "2026-01-01T00:00:00Z"}
    return {"agreed": agreed}


OPEN_FOR_AN_HOUR = timedelta(hours=-1)
"""When a window of two hours has begun that is open for one more."""


@dataclass(slots=True)
class Stage:
    """One API server, one vCenter and the hand behind it; `name` is that of the VCenter object."""

    api: Client
    vcenter: VCenterAdmin
    name: str = "berlin"

    def party(self, **spec: Any) -> "Party":
        """Return a new customer; `spec` replaces fields of the Customer."""
        party = Party(self, f"kunde-{secrets.token_hex(4)}")
        party.open(spec)
        return party

    def object(self) -> dict[str, Any]:
        """Return the VCenter object as it is."""
        return self.api.read(custom("VCenter", self.name, None, {})).body

    def until(self, kind: str, *, seconds: float = PATIENCE, **wanted: str) -> dict[str, Any]:
        """Wait until a condition of the VCenter is as `wanted` says, and return it."""
        return _until(self.object, f"VCenter {self.name}", kind, wanted, seconds)

    def allow(self, **spec: Any) -> None:
        """Change the VCenter's spec, and return when the operator has taken notice."""
        answer = self.api.patch(custom("VCenter", self.name, None, {}), {"spec": spec})
        assert_done(answer)
        asked = answer.body["metadata"]["generation"]
        wait_until(
            lambda: self.object().get("status", {}).get("observedGeneration", -1) >= asked,
            f"VCenter {self.name} to be looked at",
            seconds=PATIENCE,
        )


@dataclass(slots=True)
class Party:
    """One customer with one namespace."""

    stage: Stage
    namespace: str
    machines: set[str] = field(default_factory=set)
    levels: list[dict[str, Any]] = field(default_factory=list)

    @property
    def folder(self) -> str:
        """The inventory folder that is granted to this customer."""
        return f"/Berlin/vm/{self.namespace}"

    def open(self, spec: dict[str, Any]) -> None:
        """Make namespace, Customer and grant."""
        labels = {"managedvm.dev/ledger": "true"}
        space = {"apiVersion": "v1", "kind": "Namespace"}
        party = customer(self.namespace, self.namespace)
        party["spec"] |= spec
        for body in ({**space, "metadata": {"name": self.namespace, "labels": labels}}, party):
            assert_done(self.stage.api.create(body))
        self.grant()

    def grant(self) -> None:
        """Let the namespace claim what is in its folder."""
        grant = {"namespace": self.namespace, "folder": self.folder}
        add = {"op": "add", "path": "/spec/grants/-", "value": grant}
        assert_done(self.stage.api.patch(self.stage.object(), [add]))

    def revoke(self) -> None:
        """Take the grant away."""
        found = self.stage.object()
        for at, grant in enumerate(found["spec"]["grants"]):
            if grant["namespace"] == self.namespace:
                where = f"/spec/grants/{at}"
                test = {"op": "test", "path": f"{where}/namespace", "value": self.namespace}
                assert_done(self.stage.api.patch(found, [test, {"op": "remove", "path": where}]))
                return

    def machine(self, name: str = "web-01", **how: Any) -> str:
        """Create a VM in vCenter and return its path as the hand behind it takes it."""
        path = f"{self.namespace}/{name}"
        self.stage.vcenter.create_vm(path=path, **{**MACHINE, **how})
        self.machines.add(path)
        return path

    def declare(self, name: str = "web-01", **spec: Any) -> "Managed":
        """Declare a ManagedVM for the VM of that name: Standard with Advanced, Enforce; `spec` replaces fields."""
        where = {"vCenterRef": {"name": self.stage.name}, "inventoryPath": f"{self.folder}/{name}"}
        given = {"vm": where, "orders": [advanced()], "mode": "Enforce", "deletionProtection": False}
        given |= {"resources": None, "customerRef": {"name": self.namespace}} | spec
        body = managed_vm(self.namespace, name, **given)
        body["spec"] = {key: value for key, value in body["spec"].items() if value is not None}
        made = Managed(self, name, f"{self.namespace}/{name}")
        answer = self.stage.api.create(body)
        assert_done(answer)
        return made

    def vm(self, name: str = "web-01", machine: dict[str, Any] | None = None, **spec: Any) -> "Managed":
        """Create a VM and declare it."""
        self.machine(name, **(machine or {}))
        return self.declare(name, **spec)

    def level(self, like: str = "standard", **spec: Any) -> str:
        """Make a ServiceLevel that is like another but for what `spec` says; return its name."""
        found = self.stage.api.read(custom("ServiceLevel", like, None, {}))
        assert_done(found)
        promises = found.body["spec"]
        for key, value in spec.items():
            promises[key] = {**promises[key], **value} if isinstance(value, dict) else value
        body = custom("ServiceLevel", f"{like}-{secrets.token_hex(4)}", None, promises)
        assert_done(self.stage.api.create(body))
        self.levels.append(body)
        return str(body["metadata"]["name"])

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Return the records of this customer."""
        return self.stage.api.list({"kind": kind, "metadata": {"namespace": self.namespace}})

    def events(self) -> list[dict[str, Any]]:
        """Return the Events of this customer's namespace."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        answer = self.stage.api.ask("GET", path)
        assert_done(answer)
        return list(answer.body["items"])

    def close(self) -> None:
        """Take everything away again, records too, as only an administrator can."""
        here, api = {"namespace": self.namespace}, self.stage.api
        for vm in api.list({"kind": "ManagedVM", "metadata": here}):
            if vm["spec"]["deletionProtection"]:
                assert_done(api.patch({"kind": "ManagedVM", **vm}, {"spec": {"deletionProtection": False}}))
        for kind in (
            "ManagedVM",
            "ChangeRequest",
            "RequestDecision",
            "WorkEntry",
            "Outage",
            "CustomerContacts",
        ):
            assert_done(api.delete_all({"kind": kind, "metadata": here}))
        self.revoke()
        for body in (
            *self.levels,
            customer(self.namespace),
            {"kind": "Namespace", "metadata": {"name": self.namespace}},
        ):
            assert_done(api.delete(body))
        for path in self.machines:
            self._destroy(path)

    def _destroy(self, path: str) -> None:
        try:
            self.stage.vcenter.delete_vm(path)
        except VCenterAdminError:
            return  # a test has destroyed or renamed it


@dataclass(slots=True)
class Managed:
    """One ManagedVM; `path` is that of its VM for the hand behind the vCenter."""

    party: Party
    name: str
    path: str

    @property
    def api(self) -> Client:
        """The API server as its administrator sees it."""
        return self.party.stage.api

    @property
    def named(self) -> dict[str, Any]:
        """What names this object to the API server."""
        return {"kind": "ManagedVM", "metadata": {"namespace": self.party.namespace, "name": self.name}}

    @property
    def body(self) -> dict[str, Any]:
        """The object as it is."""
        answer = self.api.read(self.named)
        assert_done(answer)
        return answer.body

    @property
    def status(self) -> dict[str, Any]:
        """Its status as it is."""
        return dict(self.body.get("status", {}))

    @property
    def facts(self) -> dict[str, Any]:
        """The VM as vCenter has it."""
        return dict(self.party.stage.vcenter.vm(self.path))

    def until(self, kind: str, **wanted: str) -> dict[str, Any]:
        """Wait until a condition is as `wanted` says (status, reason), and return it."""
        return _until(lambda: self.body, f"{self.party.namespace}/{self.name}", kind, wanted)

    def shows(self, check: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Wait until `check` of the status is true, and return the status."""

        def found() -> dict[str, Any] | None:
            status = self.status
            return status if check(status) else None

        return wait_until(found, f"{what} in the status of {self.path}", seconds=PATIENCE, every=0.02)

    def settled(self) -> "Managed":
        """Wait until everything is as promised, and return self."""
        self.until("Ready", status="True")
        return self

    def patch(self, **spec: Any) -> None:
        """Change the spec."""
        assert_done(self.api.patch(self.named, {"spec": spec}))

    def order(self, slip: str, by: str = PERSON, **spec: Any) -> None:
        """Change the spec with an order slip, as a pipeline that may attest does."""
        self.patch(change={"id": slip, "requestedBy": by}, **spec)

    def delete(self) -> None:
        """Delete the ManagedVM."""
        assert_done(self.api.delete(self.named))

    def shake(self, **changes: Any) -> None:
        """Change the VM behind everybody's back."""
        self.party.stage.vcenter.vm(self.path, **changes)

    def look_again(self) -> None:
        """Return when a pass has looked at this ManagedVM that began after this call."""
        is_protected = self.body["spec"]["deletionProtection"]
        answer = self.api.patch(self.named, {"spec": {"deletionProtection": not is_protected}})
        assert_done(answer)
        wanted = answer.metadata["generation"]
        wait_until(
            lambda: self.status.get("observedGeneration", -1) >= wanted,
            "a pass",
            seconds=PATIENCE,
            every=0.02,
        )

    def done_to_vm(self) -> list[str]:
        """Return the methods of all calls that changed or tried to change the VM, in their order."""
        calls = self.party.stage.vcenter.calls()["mutations"]
        return [call["method"] for call in calls if call["path"] == self.path]

    def requests(self) -> list[dict[str, Any]]:
        """Return the operator's ChangeRequests for this ManagedVM, oldest first."""
        found = self.party.records("ChangeRequest")
        mine = [
            r
            for r in found
            if r["spec"]["origin"] == "Operator" and r["spec"]["managedVMRef"]["name"] == self.name
        ]
        return sorted(mine, key=lambda r: r["metadata"]["creationTimestamp"])

    def request(self, aspect: str, state: str) -> dict[str, Any]:
        """Wait until there is a request for an aspect in a state, and return it."""

        def found() -> dict[str, Any] | None:
            states = ((r, r.get("status", {}).get("state")) for r in self.requests())
            return next(
                (r for r, is_in in states if is_in == state and r["spec"]["change"]["aspect"] == aspect), None
            )

        return wait_until(found, f"{aspect} of {self.path} to be {state}", seconds=PATIENCE, every=0.02)

    def work(self) -> list[dict[str, Any]]:
        """Return the WorkEntries for this ManagedVM's requests."""
        names = {request["metadata"]["name"] for request in self.requests()}
        entries = self.party.records("WorkEntry")
        return [entry for entry in entries if entry["spec"]["changeRequestRef"]["name"] in names]

    def assert_left_alone(self) -> None:
        """Fail if anything is done about the VM or recorded, though passes look at it again and again."""
        before = self._all_there_is()
        for _ in range(2):
            self.shake(heartbeat="yellow")
            self.shake(heartbeat=before["facts"]["heartbeat"])
            self.look_again()
        assert self._all_there_is() == before

    def assert_never_touched(self) -> None:
        """Fail if anything ever was done about the VM or recorded, or is now that passes look at it."""
        self.assert_left_alone()
        assert self.done_to_vm() == []
        assert self.facts["haOverride"] is None
        assert self.requests() == []
        assert self.party.records("WorkEntry") == []

    def _all_there_is(self) -> dict[str, Any]:
        records = [
            r["metadata"]["name"] for kind in ("ChangeRequest", "WorkEntry") for r in self.party.records(kind)
        ]
        return {"facts": self.facts, "done": self.done_to_vm(), "records": sorted(records)}


def condition(body: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """Return a condition of an object, None where it has none of this type."""
    found = body.get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), None)


def _until(
    read: Callable[[], dict[str, Any]],
    what: str,
    kind: str,
    wanted: dict[str, str],
    seconds: float = PATIENCE,
) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        one = condition(read(), kind)
        return one if one and all(one[key] == value for key, value in wanted.items()) else None

    try:
        return wait_until(found, f"{kind} of {what} to be {wanted}", seconds=seconds, every=0.02)
    except DeadlineError as error:
        said = json.dumps(read().get("status", {}).get("conditions"), indent=1)
        raise AssertionError(f"{error}; it says {said}") from error
