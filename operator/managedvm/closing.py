"""How a month is closed: first no more work is taken in, then page after page is written, each worked out from what is there.

Nothing is kept between the steps, so a close that ends anywhere is taken up by the next one, whoever runs it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from managedvm.api.base import API_VERSION, Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import Customer, CustomerStatus
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.pricelist import PriceList
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.servicelevel import ServiceLevel
from managedvm.api.statement import COVERS, Statement
from managedvm.api.workentry import WorkEntry
from managedvm.errors import StaleError
from managedvm.planning.ledger import RecordKey, key_of
from managedvm.planning.statement import (
    Books,
    CannotCloseError,
    is_complete,
    next_page,
    reference_to,
    refuse,
    sealed_by,
)
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

    async def list(self, kind: str, namespace: str, field: str = "", label: str = "") -> list[Object]:
        """List a namespace, or all of them where it is empty; only what has a value in a field, or a label."""

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

    `archived` are pages that were pruned from the cluster, of this customer and of others.

    Raises:
        CannotCloseError: the month is not over, not the next one, or something is missing; nothing more was written.
        ManagedVMError, NotFoundError: the API server did not answer as needed; closing again goes on from there.
    """
    written = unlucky = 0
    await _stop_intake(kube, name, month, now, archived)
    while True:
        books = await read_books(kube, name, archived)
        page = next_page(books, month)
        try:
            if page is None:
                await _note_the_last(kube, books)
                return Closed(tuple(p for p in books.chain if p.spec.month == month), written)
            await kube.create({"apiVersion": API_VERSION, "kind": Statement.KIND.kind, **page.to_json()})
            written += 1
        except (AlreadyExistsError, StaleError):
            # Somebody else closes this month too; the next look shows what was written.
            unlucky += 1
            if unlucky == _ATTEMPTS:
                words = f"{month} of {name} is written by somebody else again and again"
                raise StaleError(words) from None


async def read_books(kube: Kube, name: str, archived: tuple[Statement, ...] = ()) -> Books:
    """Return the books of a customer: its pages in all namespaces, and the records of its own.

    Raises:
        CannotCloseError: one of its namespaces is another customer's too.
    """
    customer = Customer.of(await kube.get("Customer", "", name))
    await _only_this_customers(kube, customer)
    own = (page for page in archived if page.spec.customer_ref.name == name)
    pages = {page.metadata.name: page for page in (*own, *await read_pages(kube, name))}
    others = [page for page in archived if page.spec.customer_ref.name != name]
    others += await read_others(kube, name, customer.spec.namespaces)
    records = (await read_records(kube, customer.spec.namespaces)).values()
    return Books(
        customer=customer,
        prices=await read_prices(kube),
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
        elsewhere=sealed_by(others),
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


async def read_others(kube: Kube, name: str, namespaces: Iterable[str]) -> tuple[Statement, ...]:
    """Return the pages of other customers that cover records of these namespaces."""
    found: dict[str, Statement] = {}
    for namespace in namespaces:
        for body in await kube.list(Statement.KIND.kind, "", label=f"{COVERS}{namespace}"):
            page = Statement.of(body)
            if page.spec.customer_ref.name != name:
                found[page.key] = page
    return tuple(found.values())


async def read_prices(kube: Kube) -> dict[str, PriceList]:
    """Return all price lists by name."""
    return {prices.metadata.name: prices for prices in map(PriceList.of, await kube.list("PriceList", ""))}


async def read_ledger(kube: Kube, name: str) -> tuple[Ledger, CustomerStatus | None]:
    """Return pages and records of a customer as they are in the cluster, and how far its Customer says it is settled.

    None where the Customer is gone.
    """
    pages = await read_pages(kube, name)
    found = [Customer.of(body) for body in await kube.list("Customer", "", field=f"metadata.name={name}")]
    own = {namespace for customer in found for namespace in customer.spec.namespaces}
    namespaces = own | {record.namespace for page in pages for record in page.spec.records}
    records, sealed = await read_records(kube, tuple(sorted(namespaces))), sealed_by(pages)
    ledger = Ledger(
        pages=pages,
        # Of a namespace that was moved, only what was billed before is this customer's.
        records={key: record for key, record in records.items() if key.namespace in own or key in sealed},
        others=await read_others(kube, name, sorted(namespaces)),
        prices=await read_prices(kube),
    )
    return ledger, found[0].status if found else None


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
    until = books.period_of(month).until
    before = books.customer.status.closed_until
    if before is None or before < until:
        version = books.customer.metadata.resource_version
        await kube.patch_status("Customer", "", name, {"closedUntil": shown(until)}, version)


async def _note_the_last(kube: Kube, books: Books) -> None:
    """Let the Customer say which page was written last: without that nobody could tell that all of them are gone."""
    last, known = books.chain[-1], books.customer.status.last_statement
    if last.spec.pages is None or (known is not None and known not in map(reference_to, books.chain[:-1])):
        return
    name, until = books.customer.metadata.name, last.spec.until
    closed_until = max(until, books.customer.status.closed_until or until)
    status = {"closedUntil": shown(closed_until), "lastStatement": reference_to(last).to_json()}
    await kube.patch_status("Customer", "", name, status, books.customer.metadata.resource_version)


async def _only_this_customers(kube: Kube, customer: Customer) -> None:
    mine = set(customer.spec.namespaces)
    for body in await kube.list("Customer", ""):
        other = Customer.of(body)
        shared = mine.intersection(other.spec.namespaces)
        if other.metadata.name != customer.metadata.name and shared:
            raise CannotCloseError(
                f"namespace {min(shared)} is on the lists of {customer.metadata.name} and {other.metadata.name}, so "
                "nobody can say whose bill its work belongs to (clause 1); take it off one of them, with an identity that "
                "holds the verb prune"
            )
