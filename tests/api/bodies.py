"""Objects as people would write them, small and valid; a test changes the one thing that it is about."""

from copy import deepcopy
from typing import Any

from managedvm.api.base import API_VERSION

Object = dict[str, Any]

KINDS = {
    "ManagedVM": "managedvms",
    "ChangeRequest": "changerequests",
    "RequestDecision": "requestdecisions",
    "WorkEntry": "workentries",
    "Statement": "statements",
    "Outage": "outages",
    "VMClaim": "vmclaims",
    "CustomerContacts": "customercontacts",
    "Customer": "customers",
    "ServiceLevel": "servicelevels",
    "PriceList": "pricelists",
    "VCenter": "vcenters",
    "Helpdesk": "helpdesks",
}
"""Our kinds with their plurals."""

VCENTER_UUID = "11111111-1111-4111-8111-111111111111"
INSTANCE_UUID = "22222222-2222-4222-8222-222222222222"


def custom(kind: str, name: str, namespace: str | None, spec: Object) -> Object:
    """Return an object of one of our kinds."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": deepcopy(spec)}


def order(reference: str = "A-1", level: str = "standard", **more: str) -> Object:
    """Return an order from 2026 on, without a package unless `servicePackage` says so."""
    return {"reference": reference, "serviceLevel": level, "from": "2026-01-01T00:00:00Z", **more}


def managed_vm(namespace: str, name: str, **spec: Any) -> Object:
    """Return a VM at level Standard; `spec` replaces fields."""
    return custom(
        "ManagedVM",
        name,
        namespace,
        {
            "customerRef": {"name": namespace},
            "vm": {"vCenterRef": {"name": "nowhere"}, "inventoryPath": f"/Berlin/vm/{namespace}/{name}"},
            "orders": [order()],
            "resources": {"cpus": 2, "memory": "4Gi"},
            **spec,
        },
    )


def change_request(namespace: str, name: str, requested_by: str, **spec: Any) -> Object:
    """Return a request by `requested_by`, entered through Git."""
    wish = {"kind": "ConfigurationChange", "managedVMRef": {"name": "web-01"}, "channel": "Git"}
    wish |= {"requestedBy": requested_by, "description": "Two more CPUs, please."}
    return custom("ChangeRequest", name, namespace, wish | spec)


def request_decision(namespace: str, name: str, decided_by: str, **spec: Any) -> Object:
    """Return the withdrawal of a request by `decided_by`; `spec` replaces fields."""
    said = {"changeRequestRef": {"name": "request"}, "decision": "Withdraw", "reason": "Not needed any more."}
    return custom("RequestDecision", name, namespace, {**said, "decidedBy": decided_by, **spec})


def software(**fields: Any) -> Object:
    """Return the spec of a request to install a package that clause 6.2 allows; `fields` replace parts, None removes."""
    what = {
        "name": "redis-server",
        "source": "Repository",
        "format": "deb",
        "repository": "https://deb.debian.org/debian",
        "isFreelyAccessible": True,
        **fields,
    }
    kept = {key: value for key, value in what.items() if value is not None}
    return {"kind": "SoftwareInstallation", "software": kept}


def work_entry(namespace: str, name: str, performed_by: str, **spec: Any) -> Object:
    """Return a quarter of an hour of work by `performed_by`, long ago."""
    work = {
        "changeRequestRef": {"name": "request"},
        "performedBy": performed_by,
        "activity": "Looked at the log.",
    }
    work |= {"begin": "2026-01-05T09:00:00Z", "end": "2026-01-05T09:15:00Z"}
    given = {key: value for key, value in (work | spec).items() if value is not None}
    return custom("WorkEntry", name, namespace, given)


def reversal(
    entry: Object, performed_by: str, begin: str = "2026-01-05T10:00:00Z", version: int = 1, **spec: Any
) -> Object:
    """Return the counter-entry that takes a WorkEntry back; `spec` replaces fields."""
    meta, of = entry["metadata"], entry["spec"]["changeRequestRef"]
    return custom(
        "WorkEntry",
        f"reversal-{version}-of-{meta['name']}" if version > 1 else f"reversal-of-{meta['name']}",
        meta["namespace"],
        {
            "changeRequestRef": of,
            "performedBy": performed_by,
            "begin": begin,
            "activity": "Recorded by mistake.",
            "reverses": {"name": meta["name"]},
            **spec,
        },
    )


def statement(namespace: str, month: str = "2026-01", page: int = 1, **spec: Any) -> Object:
    """Return a month of the namespace's customer in which no work was done; its only page unless told otherwise."""
    nothing = {
        "net": "0.00",
        "vat": "0.00",
        "gross": "0.00",
        "currency": "EUR",
        "counted": "0s",
    }
    closed = {
        "customerRef": {"name": namespace},
        "month": month,
        "timeZone": "Europe/Berlin",
        "until": f"{month}-28T23:00:00Z",
        "page": page,
        "pages": page,
        "recipient": {"customerNumber": "K-1", "displayName": "Kunde GmbH"},
        "priceListRef": {"name": "standard"},
        "totals": nothing,
        "hash": "0" * 64,
    }
    name = f"{namespace}-{month}" + (f"-p{page}" if page > 1 else "")
    return custom("Statement", name, namespace, closed | spec)


def outage(namespace: str, name: str, **spec: Any) -> Object:
    """Return an outage of `web-01`, long ago; `spec` replaces fields, None removes."""
    seen = {
        "cause": "PoweredOff",
        "begin": "2026-01-05T09:00:00Z",
        "vCenterUUID": VCENTER_UUID,
        "instanceUUID": INSTANCE_UUID,
        "managedVMRef": {"name": "web-01"},
        "order": "A-1",
        "serviceLevel": "standard",
    }
    given = {key: value for key, value in (seen | spec).items() if value is not None}
    return custom("Outage", name, namespace, given)


def claim(name: str, namespace: str) -> Object:
    """Return the claim of a VM for `web-01`."""
    owner = {"namespace": namespace, "name": "web-01"}
    return custom(
        "VMClaim", name, None, {"vCenterUUID": VCENTER_UUID, "instanceUUID": INSTANCE_UUID, "owner": owner}
    )


def customer(name: str, *namespaces: str) -> Object:
    """Return a contract party whose VMs are in `namespaces`."""
    return custom(
        "Customer",
        name,
        None,
        {
            "customerNumber": "K-1",
            "displayName": "Kunde GmbH",
            "namespaces": list(namespaces),
            "priceLists": [agreed_prices("standard")],
        },
    )


def agreed_prices(name: str, since: str = "2026-01-01T00:00:00Z") -> Object:
    """Return an entry of a customer's list: this PriceList from a time on."""
    return {"name": name, "from": since}


def requester(email: str, since: str = "2026-01-01T00:00:00Z", **more: Any) -> Object:
    """Return a person who may order."""
    return {"email": email, "name": "Anna Beispiel", "from": since, **more}


def contacts(namespace: str, *requesters: Object) -> Object:
    """Return the people of the customer of a namespace."""
    return custom("CustomerContacts", "contacts", namespace, {"requesters": list(requesters)})


def service_level(name: str, **spec: Any) -> Object:
    """Return a level that leaves the package to the customer."""
    always = {"days": ["Mon"], "start": "00:00", "end": "00:00"}
    availability = {
        "restartPriority": "Medium",
        "heartbeatFailureInterval": "30s",
        "ioQuietInterval": "120s",
        "minimumUptime": "120s",
        "maximumRestarts": 3,
        "streakEndsAfter": "1h",
    }
    promises = {
        "displayName": name,
        "availabilityPercent": "99.9",
        "maximumDowntimePerYear": "8h",
        "faultIntake": {"timeZone": "Europe/Berlin", "hours": [always]},
        "reactionTime": "2h",
        "recoveryTime": "8h",
        "maintenance": {"timeZone": "Europe/Berlin", "windows": [always]},
        "highAvailability": availability,
        "servicePackage": "Optional",
    }
    return custom("ServiceLevel", name, None, promises | spec)


def price_list(name: str) -> Object:
    """Return a price list with one rate."""
    rate = {"from": "2026-01-01T00:00:00Z", "hourly": "120.00", "increment": "15m", "minimum": "15m"}
    return custom(
        "PriceList",
        name,
        None,
        {
            "currency": "EUR",
            "vat": [{"from": "2007-01-01T00:00:00Z", "percent": "19"}],
            "timeZone": "Europe/Berlin",
            "automatedWork": "Increment",
            "rates": [rate],
        },
    )


def vcenter(name: str, **spec: Any) -> Object:
    """Return a vCenter that nobody reaches."""
    return custom(
        "VCenter",
        name,
        None,
        {"server": "vcenter.example", "credentialsSecretRef": {"name": "absent"}, **spec},
    )


def helpdesk(**spec: Any) -> Object:
    """Return a helpdesk that nobody reaches."""
    given = {
        "url": "https://helpdesk.example",
        "credentialsSecretRef": {"name": "absent"},
        "newTickets": {"group": "Support", "customer": "platform@provider.example"},
        **spec,
    }
    return custom("Helpdesk", "helpdesk", None, given)
