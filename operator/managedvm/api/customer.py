"""Customer: the contract party. Cluster-scoped, because a contract outlives any namespace."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Hash,
    Kind,
    Name,
    NamespaceName,
    Resource,
    Rule,
    ShortText,
    Timestamp,
    dated,
    list_map,
)


class RequestPolicy(StrEnum):
    """What happens to a request that nobody on the customer's list has made (clause 4)."""

    HOLD = "Hold"
    PROCEED = "Proceed"


class Requests(ApiModel):
    """Clause 4 asks the customer to name who may order; this is what we do where the list does not answer."""

    unlisted_requester: RequestPolicy = Field(
        default=RequestPolicy.HOLD,
        description="A list exists and the requester is not on it: Hold documents the request and waits, "
        "Proceed documents and does it. A FaultReport is never held (clause 4.1): only what its cause makes billable is.",
    )
    no_requester_listed: RequestPolicy = Field(
        default=RequestPolicy.PROCEED,
        description="The customer has named nobody: any support request is an implicit order (clause 4), "
        "unless this is set to Hold.",
    )


class PostalAddress(ApiModel):
    """Where the customer is reached by mail."""

    street: ShortText = Field(description="Street and number.")
    postal_code: Annotated[str, Field(min_length=1, max_length=16)] = Field(description="Postal code.")
    city: ShortText = Field(description="City.")
    country: Annotated[str, Field(min_length=2, max_length=2, pattern=r"^[A-Z]{2}$")] = Field(
        description="Country, ISO 3166-1 alpha-2. Example: DE."
    )


class AgreedPriceList(ApiModel):
    """The PriceList by which work is billed that begins from a date on, until the next entry's date."""

    name: Name = Field(description="Name of the PriceList.")
    from_: Timestamp = Field(alias="from", description="From when it is valid for this customer.")


class CustomerSpec(ApiModel):
    """The contract party and what is agreed with it for all of its VMs."""

    customer_number: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9-]+$")] = Field(
        description="The provider's number for this customer; it never changes."
    )
    display_name: ShortText = Field(description="Name as on the contract. Example: Kunde A GmbH.")
    address: PostalAddress | None = Field(default=None, description="Postal address, for statements.")
    vat_id: Annotated[str, Field(max_length=20, pattern=r"^[A-Z]{2}[A-Z0-9]{2,18}$")] | None = Field(
        default=None, alias="vatID", description="VAT identification number. Example: DE123456789."
    )
    namespaces: Annotated[
        tuple[NamespaceName, ...],
        Field(min_length=1, max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(
        description="Namespaces whose ManagedVMs may name this customer, and whose records are billed to it. Each is one "
        "customer's, and for good."
    )
    price_lists: Annotated[
        tuple[AgreedPriceList, ...], Field(min_length=1, max_length=16, json_schema_extra=list_map("from"))
    ] = Field(
        description="The PriceLists that effort is billed by (clause 4), each from a date on. An entry is never changed or "
        "removed; add one for other prices. Example: [{name: standard, from: '2026-01-01T00:00:00Z'}]."
    )
    requests: Requests = Field(
        default=Requests(), description="Policy for requests outside the customer's list."
    )


class StatementReference(ApiModel):
    """A page of a statement, and the hash of what it says."""

    name: Name = Field(description="Its name.")
    hash: Hash = Field(description="Its hash.")


class CustomerStatus(ApiModel):
    """How far the customer's work is settled."""

    closed_until: Timestamp | None = Field(
        default=None,
        description="Work that begins earlier is in a statement already, and no more is taken in. Moved on, never back, "
        "by who may use the verb `close` on customers.",
    )
    last_statement: StatementReference | None = Field(
        default=None,
        description="The last page of the month that was closed last: the next one follows it, and no other. Moved on, never "
        "back.",
    )


class Customer(Resource):
    """The contract party: number, name, address, namespaces, price list and request policy."""

    KIND: ClassVar[Kind] = Kind(
        kind="Customer",
        plural="customers",
        short="cust",
        scope="Cluster",
        categories=("msp",),
        columns=(
            Column("Number", ".spec.customerNumber"),
            Column("Name", ".spec.displayName"),
            Column("Prices", ".spec.priceLists[-1].name", description="The price list named last"),
            Column("Closed-Until", ".status.closedUntil"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Namespaces", ".spec.namespaces", wide=True),
        ),
        rules=(
            Rule(
                "self.spec.customerNumber == oldSelf.spec.customerNumber",
                "spec.customerNumber: never changes, records refer to it (clause 1); create another Customer",
            ),
            *dated("priceLists", "price lists"),
        ),
    )

    spec: CustomerSpec = Field(description="The contract party.")
    status: CustomerStatus = Field(
        default=CustomerStatus(), description="How far the customer's work is settled."
    )
