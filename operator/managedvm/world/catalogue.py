"""The contract's parties, figures and prices, read from what is held in memory; parsed once per version."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from managedvm.api.base import Resource
from managedvm.api.customer import Customer, CustomerSpec
from managedvm.api.customercontacts import SINGLETON, CustomerContacts, Requester
from managedvm.api.pricelist import PriceList
from managedvm.api.servicelevel import ServiceLevel, ServiceLevelSpec
from managedvm.engine.store import Store
from managedvm.planning.money import Prices
from managedvm.planning.plan import earliest

R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True)
class _Parsed:
    version: int
    model: Resource


class Catalogue:
    """What many VMs have in common: service levels, customers and their lists, price lists."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parsed: dict[tuple[str, str, str], _Parsed] = {}

    def customer_of(self, namespace: str) -> CustomerSpec | None:
        """Return the customer whose VMs are in a namespace, None unless it is just one."""
        bodies = self._store.by_index("Customer", "namespace", namespace)
        found = [self.customer(body["metadata"]["name"]) for body in bodies]
        return found[0] if len(found) == 1 else None

    def levels(self) -> dict[str, ServiceLevelSpec]:
        """Return every service level by its name."""
        return {name: level.spec for name, level in self._all(ServiceLevel)}

    def customer(self, name: str) -> CustomerSpec | None:
        """Return a customer, None where there is none of that name."""
        found = self.one(Customer, name)
        return found.spec if found else None

    def requesters(self, namespace: str) -> tuple[Requester, ...]:
        """Return whom the list of a namespace names; nobody where there is no list."""
        found = self.one(CustomerContacts, SINGLETON, namespace)
        return found.spec.requesters if found else ()

    def elsewhere_since(self, namespace: str, customer: CustomerSpec | None) -> datetime | None:
        """Return since when the customer of a namespace lists anybody in another one of its own, None where it does not."""
        others = (name for name in (customer.namespaces if customer else ()) if name != namespace)
        return earliest(one.from_ for name in others for one in self.requesters(name))

    def prices(self, customer: CustomerSpec | None) -> Prices:
        """Return the price lists that were agreed with a customer, by the time from which each is valid."""
        agreed = customer.price_lists if customer else ()
        return Prices.of(agreed, lambda name: self.one(PriceList, name))

    def _all(self, model: type[R]) -> Iterator[tuple[str, R]]:
        for key in self._store.keys(model.KIND.kind):
            found = self.one(model, key.name, key.namespace)
            if found is not None:
                yield key.name, found

    def one(self, model: type[R], name: str, namespace: str = "") -> R | None:
        """Return an object of the catalogue, parsed once per version: many VMs ask for the same few."""
        key = (model.KIND.kind, namespace, name)
        version = self._store.version(*key)
        held = self._parsed.get(key)
        if held is None or held.version != version:
            body = self._store.get(*key)
            if body is None or version is None:
                self._parsed.pop(key, None)
                return None
            held = self._parsed[key] = _Parsed(version, model.of(body))
        return held.model if isinstance(held.model, model) else None
