"""Which passes a change asks for, and how urgently. Only lookups in the store; no reading, no deciding."""

from collections.abc import Hashable, Iterable, Iterator, Mapping

from managedvm.api.changerequest import FINAL_STATES
from managedvm.api.policies import REQUIRED_POLICIES, binding_of
from managedvm.engine.objects import Change, Object, ObjectKey, What
from managedvm.engine.queue import Lane
from managedvm.engine.store import Index, Store
from managedvm.ticketing.passes import CORRESPONDENCE
from managedvm.world.outages import lasting, planned, subject
from managedvm.world.tickets import (
    HELPDESK,
    UNTOLD,
    of_ticket,
    request_worked_on,
    untold_request,
    untold_work,
)
from managedvm.world.work import UNSETTLED, is_settled, person_days, rivals, state

Wanted = Iterator[tuple[ObjectKey, Lane]]

_LANES = {What.CREATED: Lane.PERSON, What.SPEC: Lane.PERSON}

_ADMISSION = frozenset(each for kind in REQUIRED_POLICIES for each in (kind, binding_of(kind)))

_OF_ALL = frozenset({"ServiceLevel", "PriceList"}) | _ADMISSION
"""Kinds that any ManagedVM may depend on."""

_ALL = ""
"""Under this the index of open requests has all of them."""

_OF_ALL_WORK = frozenset({"PriceList", "Customer"}) | _ADMISSION
"""Kinds that any WorkEntry may wait for."""


def _vm_names(body: Object) -> Iterable[Hashable]:
    """Return under what the inventory may name the VM of a ManagedVM: path or UUID, with the VCenter."""
    vm = body["spec"]["vm"]
    vcenter = vm["vCenterRef"]["name"]
    seen = ((body.get("status") or {}).get("vm") or {}).get("instanceUUID")
    return [(vcenter, name) for name in (vm.get("inventoryPath"), vm.get("instanceUUID"), seen) if name]


def _request_named(body: Object) -> Iterable[Hashable]:
    """Return the request that a record is about: its namespace and name."""
    return [(body["metadata"]["namespace"], body["spec"]["changeRequestRef"]["name"])]


def _open_under(body: Object) -> Iterable[Hashable]:
    """Return under what a request is found while it is open; the others are too many to be looked at for nothing."""
    if (body.get("status") or {}).get("state") in FINAL_STATES:
        return ()
    namespace = body["metadata"]["namespace"]
    return (_ALL, namespace, (namespace, body["spec"]["managedVMRef"]["name"]))


def _slip(body: Object) -> Iterable[Hashable]:
    """Return under what a request is found by the order slip that it was made for: with the ManagedVM that has it."""
    change = body["spec"].get("change")
    return (
        [(body["metadata"]["namespace"], body["spec"]["managedVMRef"]["name"], change["id"])]
        if change
        else []
    )


INDEXES: Mapping[str, Mapping[str, Index]] = {
    "Customer": {"namespace": lambda body: body["spec"].get("namespaces", ())},
    "ManagedVM": {
        "customer": lambda body: [body["spec"]["customerRef"]["name"]],
        "vcenter": lambda body: [body["spec"]["vm"]["vCenterRef"]["name"]],
        "vm": _vm_names,
    },
    "VMClaim": {
        "owner": lambda body: [(body["spec"]["owner"]["namespace"], body["spec"]["owner"]["name"])],
        "vm": lambda body: [body["spec"]["instanceUUID"]],
    },
    "ChangeRequest": {
        "open": _open_under,
        "slip": _slip,
        "planned": planned,
        "ticket": of_ticket,
        UNTOLD: untold_request,
    },
    "RequestDecision": {"request": _request_named},
    "Outage": {"subject": subject, "lasting": lasting},
    "WorkEntry": {"request": _request_named, "person": person_days, "state": state, UNTOLD: untold_work},
}
"""The indexes of the store."""


def affected(change: Change, store: Store) -> Wanted:
    """Yield the passes that a change of an object asks for."""
    key, lane = change.key, _LANES.get(change.what, Lane.DRIFT)
    yield from _unsettled_work(change, store)
    match key.kind:
        case "ManagedVM":
            yield from _around_managed_vm(key, change.what, lane, store)
        case "Helpdesk" if change.what is not What.STATUS:
            yield key, Lane.DRIFT
        case "VCenter":
            yield key, lane
            yield from ((vm, lane) for vm in _managed_vms(store, "vcenter", key.name))
        case "Customer":
            yield from _around_customer(key, lane, store)
        case "CustomerContacts" | "Namespace":
            yield from _around_namespace(key, lane, store)
        case "ChangeRequest":
            yield from _around_request(key, lane, store)
        case "RequestDecision" | "WorkEntry" | "Outage":
            yield from _around_record(key, lane, store)
        case "VMClaim":
            yield key, Lane.DRIFT
            yield from _around_claim(key, change.what, store)
        case kind if kind in _OF_ALL:
            yield from ((vm, Lane.DRIFT) for vm in store.keys("ManagedVM"))
            yield from ((vcenter, Lane.DRIFT) for vcenter in store.keys("VCenter"))
            yield from ((request, Lane.RESYNC) for request in _open(store, _ALL))


def _unsettled_work(change: Change, store: Store) -> Wanted:
    """Yield all work that is still to be accepted, where that may depend on what has changed."""
    is_new_rule = change.key.kind == HELPDESK and change.what in (What.CREATED, What.GONE)
    if is_new_rule or change.key.kind in _OF_ALL_WORK:
        yield from ((_key(body), Lane.DRIFT) for body in store.by_index("WorkEntry", "state", UNSETTLED))


def _correspondence(request: ObjectKey, store: Store) -> Wanted:
    """Yield what brings the ticket of a request up to date, last of all: it is for people to read."""
    if store.count(HELPDESK):
        yield ObjectKey(CORRESPONDENCE, request.namespace, request.name), Lane.RESYNC


def _around_customer(key: ObjectKey, lane: Lane, store: Store) -> Wanted:
    yield from ((vm, lane) for vm in _managed_vms(store, "customer", key.name))
    customer = store.get(*key)
    namespaces = customer["spec"].get("namespaces", ()) if customer is not None else ()
    yield from ((request, lane) for name in namespaces for request in _open(store, name))


def _around_namespace(key: ObjectKey, lane: Lane, store: Store) -> Wanted:
    """Yield what is in a namespace, and for a list in all of its customer's: one list tells that the customer has one."""
    own = key.namespace or key.name
    parties = store.by_index("Customer", "namespace", own) if key.kind == "CustomerContacts" else ()
    named = (name for party in parties for name in party["spec"]["namespaces"])
    for namespace in dict.fromkeys([own, *named]):
        yield from ((_key(body), lane) for body in store.in_namespace("ManagedVM", namespace))
        yield from ((request, lane) for request in _open(store, namespace))


def _around_managed_vm(key: ObjectKey, what: What, lane: Lane, store: Store) -> Wanted:
    yield key, lane
    vm = store.get(*key)
    if vm is None or vm["metadata"].get("deletionTimestamp"):
        for body in store.by_index("VMClaim", "owner", (key.namespace, key.name)):
            yield _key(body), Lane.DRIFT
        for body in store.by_index("Outage", "lasting", (key.namespace, key.name)):
            yield _key(body), Lane.DRIFT
    if what in (What.CREATED, What.SPEC, What.GONE):
        yield from ((request, Lane.DRIFT) for request in _open(store, (key.namespace, key.name)))


def _around_record(key: ObjectKey, lane: Lane, store: Store) -> Wanted:
    """Yield what a record is about: a request, for a decision the VM too that may be waiting for it, for an outage VMs."""
    if key.kind == "Outage":
        yield from _around_outage(key, store)
        return
    if key.kind == "WorkEntry":
        yield from _around_work(key, lane, store)
    record = store.get(*key)
    name = record["spec"]["changeRequestRef"]["name"] if record is not None else ""
    request = store.get("ChangeRequest", key.namespace, name)
    if request is None:
        return
    yield ObjectKey("ChangeRequest", key.namespace, name), lane
    if key.kind == "RequestDecision":
        yield ObjectKey("ManagedVM", key.namespace, request["spec"]["managedVMRef"]["name"]), lane
        # What is billed of a fault is released also after its end, when the request has no pass any more.
        yield from _work_waiting_for(key.namespace, name, lane, store)


def _around_outage(key: ObjectKey, store: Store) -> Wanted:
    """Yield an outage, which may have to be ended, and the VMs that it tells of."""
    yield key, Lane.DRIFT
    spec = (store.get(*key) or {}).get("spec", {})
    if "managedVMRef" in spec:
        yield ObjectKey("ManagedVM", key.namespace, spec["managedVMRef"]["name"]), Lane.DRIFT
    else:
        yield from ((vcenter, Lane.DRIFT) for vcenter in store.keys("VCenter"))
        yield from ((_key(body), Lane.RESYNC) for body in store.in_namespace("ManagedVM", key.namespace))


def _around_work(key: ObjectKey, lane: Lane, store: Store) -> Wanted:
    """Yield an entry, and those that may be accepted now, or not any more: its counterpart, and others of its time."""
    yield key, lane
    entry = store.get(*key)
    if entry is not None and tuple(untold_work(entry)):
        yield from _correspondence(request_worked_on(entry), store)
    if entry is not None:
        yield from ((_key(body), lane) for body in rivals(store, entry) if not is_settled(body))


def _around_request(key: ObjectKey, lane: Lane, store: Store) -> Wanted:
    """Yield a request, its VM, and the work that waits for what becomes of it."""
    yield key, lane
    request = store.get(*key)
    if request is not None:
        yield ObjectKey("ManagedVM", key.namespace, request["spec"]["managedVMRef"]["name"]), lane
    if request is not None and tuple(untold_request(request)):
        yield from _correspondence(key, store)
    yield from _work_waiting_for(key.namespace, key.name, lane, store)


def _work_waiting_for(namespace: str, request: str, lane: Lane, store: Store) -> Wanted:
    for body in store.by_index("WorkEntry", "request", (namespace, request)):
        if not is_settled(body):
            yield _key(body), lane


def _around_claim(key: ObjectKey, what: What, store: Store) -> Wanted:
    """Yield the owner of a claim, and once a claim is gone everybody: some may have waited for it."""
    body = store.get(*key)
    if what is What.GONE or body is None:
        yield from ((vm, Lane.RESYNC) for vm in store.keys("ManagedVM"))
        return
    owner = body["spec"]["owner"]
    yield ObjectKey("ManagedVM", owner["namespace"], owner["name"]), Lane.PERSON
    if what is What.CREATED:
        # A request that names a VM by identity waits until its ManagedVM has one.
        yield from ((request, Lane.DRIFT) for request in _open(store, (owner["namespace"], owner["name"])))


def affected_by_inventory(store: Store, vcenter: str, names: Iterable[str]) -> Wanted:
    """Yield the passes that changed VMs ask for; `names` are instance UUIDs and inventory paths."""
    for name in names:
        for body in store.by_index("ManagedVM", "vm", (vcenter, name)):
            yield _key(body), Lane.DRIFT
        for body in store.by_index("VMClaim", "vm", name):
            owner = body["spec"]["owner"]
            yield ObjectKey("ManagedVM", owner["namespace"], owner["name"]), Lane.DRIFT


def affected_by_vcenter(store: Store, vcenter: str) -> Wanted:
    """Yield the passes of the VMs that a VCenter's coming or going asks for: of all, so nobody in particular is meant."""
    yield from ((vm, Lane.RESYNC) for vm in _managed_vms(store, "vcenter", vcenter))


def _open(store: Store, under: Hashable) -> Iterator[ObjectKey]:
    return (_key(body) for body in store.by_index("ChangeRequest", "open", under))


def _managed_vms(store: Store, index: str, value: Hashable) -> Iterator[ObjectKey]:
    return (_key(body) for body in store.by_index("ManagedVM", index, value))


def _key(body: Object) -> ObjectKey:
    meta = body["metadata"]
    return ObjectKey(body["kind"], meta.get("namespace", ""), meta["name"])
