"""How a month is closed: first no more work is taken in, then page after page is written, each worked out from what is there.

Nothing is kept between the steps, so a close that ends anywhere is taken up by the next one, whoever runs it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from managedvm.api.base import API_VERSION, Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import Customer
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.pricelist import PriceList
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.servicelevel import ServiceLevel
from managedvm.api.statement import Statement
from managedvm.api.workentry import WorkEntry
from managedvm.errors import StaleError
from managedvm.planning.ledger import RecordKey, key_of
from managedvm.planning.statement import Books, CannotCloseError, is_complete, next_page, period, refuse
from managedvm.planning.verification import Ledger, broken
from managedvm.planning.wallclock import shown
from managedvm.world.kube import AlreadyExistsError

RECORDS: tuple[type[Resource], ...] = (ChangeRequest, WorkEntry, RequestDecision, Outage)
"""The kinds that a statement covers."""

_ATTEMPTS = 5
"""How often others may be quicker at the same page before somebody is asked to look."""

Object = dict[str, Any]


class Kube(Protocol):
    """What closing asks of the API server; errors as in `world.kube`."""

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        """Read one object."""

    async def list(self, kind: str, namespace: str, field: str = "") -> list[Object]:
        """List a namespace, or all of them where it is empty."""

    async def create(self, body: Object) -> Object:
        """Create an object."""

    async def patch_status(
        self, kind: str, namespace: str, name: str, status: Object, resource_version: str
    ) -> Object:
        """Replace the given parts of a status."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing has done: all pages of the month, and how many of them are new."""

    pages: tuple[Statement, ...]
    written: int


async def close(
    kube: Kube, name: str, month: str, now: datetime, archived: tuple[Statement, ...] = ()
) -> Closed:
    """Close a month of a customer, or finish closing it; a closed one is returned as it is.

    `archived` are pages that were pruned from the cluster.

    Raises:
        CannotCloseError: the month is not over, not the next one, or something is missing; nothing more was written.
        ManagedVMError, NotFoundError: the API server did not answer as needed; closing again goes on from there.
    """
    written = unlucky = 0
    await _stop_intake(kube, name, month, now, archived)
    while True:
        books = await read_books(kube, name, archived)
        page = next_page(books, month)
        if page is None:
            return Closed(tuple(p for p in books.chain if p.spec.month == month), written)
        try:
            await kube.create({"apiVersion": API_VERSION, "kind": Statement.KIND.kind, **page.to_json()})
        except AlreadyExistsError:
            # Somebody else closes this month too; the next look shows what was written.
            unlucky += 1
            if unlucky == _ATTEMPTS:
                raise StaleError(
                    f"{page.metadata.name} is written by somebody else again and again"
                ) from None
        else:
            written += 1


async def read_books(kube: Kube, name: str, archived: tuple[Statement, ...] = ()) -> Books:
    """Return the books of a customer: its pages in all namespaces, and the records of its own.

    Raises:
        CannotCloseError: one of its namespaces is another customer's too.
    """
    customer = Customer.of(await kube.get("Customer", "", name))
    prices = PriceList.of(await kube.get("PriceList", "", customer.spec.price_list_ref.name))
    await _only_this_customers(kube, customer)
    pages = {page.metadata.name: page for page in (*archived, *await read_pages(kube, name))}
    records = (await read_records(kube, customer.spec.namespaces)).values()
    return Books(
        customer=customer,
        prices=prices,
        pages=tuple(pages.values()),
        requests={
            (r.metadata.namespace, r.metadata.name): r for r in records if isinstance(r, ChangeRequest)
        },
        work=tuple(record for record in records if isinstance(record, WorkEntry)),
        decisions=tuple(record for record in records if isinstance(record, RequestDecision)),
        outages=tuple(record for record in records if isinstance(record, Outage)),
        managed=await _read_managed(kube, customer),
        levels={
            level.metadata.name: level.spec
            for level in map(ServiceLevel.of, await kube.list("ServiceLevel", ""))
        },
    )


async def _read_managed(kube: Kube, customer: Customer) -> tuple[ManagedVM, ...]:
    found = [
        body for namespace in customer.spec.namespaces for body in await kube.list("ManagedVM", namespace)
    ]
    return tuple(vm for vm in map(ManagedVM.of, found) if vm.spec.customer_ref.name == customer.metadata.name)


async def read_pages(kube: Kube, name: str) -> tuple[Statement, ...]:
    """Return all pages of a customer in the cluster: the namespaces of a customer may change, its statements stay."""
    bodies = await kube.list(Statement.KIND.kind, "", field=f"spec.customerRef.name={name}")
    return tuple(Statement.of(body) for body in bodies)


async def read_ledger(kube: Kube, name: str) -> tuple[Ledger, datetime | None]:
    """Return pages and records of a customer as they are in the cluster, and until when its months are closed."""
    pages = await read_pages(kube, name)
    found = [Customer.of(body) for body in await kube.list("Customer", "", field=f"metadata.name={name}")]
    namespaces = {record.namespace for page in pages for record in page.spec.records}
    namespaces.update(namespace for customer in found for namespace in customer.spec.namespaces)
    records = await read_records(kube, tuple(sorted(namespaces)))
    closed_until = found[0].status.closed_until if found else None
    return Ledger(pages, records), closed_until


async def read_month(kube: Kube, pages: tuple[Statement, ...]) -> list[Object]:
    """Return the records that pages cover as the API server holds them; those that are gone are left out."""
    keys = {
        RecordKey(record.kind, record.namespace, record.name)
        for page in pages
        for record in page.spec.records
    }
    found: list[Object] = []
    for kind, namespace in sorted({(key.kind, key.namespace) for key in keys}):
        bodies = await kube.list(kind, namespace)
        found += [
            {"apiVersion": API_VERSION, "kind": kind, **body}
            for body in bodies
            if RecordKey(kind, namespace, body["metadata"]["name"]) in keys
        ]
    return found


async def read_records(kube: Kube, namespaces: tuple[str, ...]) -> dict[RecordKey, Resource]:
    """Return all records of the namespaces by what they are."""
    found: dict[RecordKey, Resource] = {}
    for namespace in namespaces:
        for kind in RECORDS:
            records = (kind.of(body) for body in await kube.list(kind.KIND.kind, namespace))
            found.update({key_of(record): record for record in records})
    return found


async def _stop_intake(
    kube: Kube, name: str, month: str, now: datetime, archived: tuple[Statement, ...]
) -> None:
    """Let no more work of the month in, before it is read what there is."""
    books = await read_books(kube, name, archived)
    if is_complete(books.pages, month):
        return
    refuse(books, month, now)
    for problem in broken(books.pages):
        raise CannotCloseError(
            f"the statements before are not whole: {problem.where}: {problem.text}; give the archive that holds what is "
            "missing, or verify"
        )
    until = period(month, books.prices.spec.time_zone).until
    before = books.customer.status.closed_until
    if before is None or before < until:
        version = books.customer.metadata.resource_version
        await kube.patch_status("Customer", "", name, {"closedUntil": shown(until)}, version)


async def _only_this_customers(kube: Kube, customer: Customer) -> None:
    mine = set(customer.spec.namespaces)
    for body in await kube.list("Customer", ""):
        other = Customer.of(body)
        shared = mine.intersection(other.spec.namespaces)
        if other.metadata.name != customer.metadata.name and shared:
            raise CannotCloseError(
                f"namespace {min(shared)} is on the lists of {customer.metadata.name} and {other.metadata.name}, so "
                "nobody can say whose bill its work belongs to (clause 1); take it off one of them"
            )
