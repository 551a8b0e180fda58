"""Statement: one customer, one month, closed. A record whose hash covers its lines, its records and the one before it.

A month may need several objects, since etcd bounds the size of one: pages. Each is complete in itself, so that a close
that was interrupted goes on behind the last page there is; the last page says how many there are, and the totals.
"""

import re
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Hash,
    Identity,
    Kind,
    LocalReference,
    Money,
    Name,
    NamespaceName,
    Percent,
    Resource,
    Rule,
    ShortText,
    SignedDuration,
    SignedMoney,
    Timestamp,
    TimeZone,
)
from managedvm.api.changerequest import Billing, Channel
from managedvm.api.customer import PostalAddress, StatementReference
from managedvm.api.workentry import Cause

LINES_PER_PAGE = 500
RECORDS_PER_PAGE = 2000
PENDING_PER_PAGE = 500
AVAILABILITY_PER_PAGE = 1000
RECOVERIES_PER_PAGE = 500
TAXES_PER_MONTH = 32

COVERS = "covers.managedvm.dev/"
"""With a namespace behind it, the label of a page that covers records of that namespace."""

Month = Annotated[str, Field(min_length=7, max_length=7, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Currency = Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")]

_PAGE_SUFFIX = re.compile(r"-p[0-9]+$")


class StatementLine(ApiModel):
    """One piece of work at one rate, with all that a reader needs to know why it is there."""

    number: Annotated[int, Field(ge=1, le=999_999)] = Field(
        description="Number of the line in the month, over all pages."
    )
    namespace: NamespaceName = Field(description="Namespace of the records.")
    work_entry_ref: LocalReference = Field(description="The WorkEntry that the line is made of.")
    change_request_ref: LocalReference = Field(description="The ChangeRequest that was worked on.")
    managed_vm_ref: LocalReference = Field(
        alias="managedVMRef", description="The ManagedVM it was asked for."
    )
    kind: Annotated[str, Field(max_length=48)] = Field(description="Kind of the request.")
    clause: Annotated[str, Field(max_length=8)] = Field(description="The clause that decides.")
    billing: Billing = Field(description="Included, or billed by effort.")
    cause: Cause | None = Field(default=None, description="What the work was found to be due to.")
    requested_by: Identity = Field(description="Who ordered.")
    channel: Channel = Field(description="How the order arrived.")
    ticket: ShortText | None = Field(default=None, description="Ticket number, where there is one.")
    ordered_at: Timestamp = Field(
        description="When it was asked: spec.askedAt of the ChangeRequest, else when it was written."
    )
    performed_by: Identity = Field(description="Who did the work; `operator` for automated work.")
    recorded_at: Timestamp = Field(description="When the WorkEntry was written.")
    begin: Timestamp = Field(description="Begin of the work at this rate.")
    end: Timestamp = Field(description="End of the work at this rate.")
    counted: SignedDuration = Field(description="Time that counts; negative where it is taken back.")
    hourly_rate: Money | None = Field(
        default=None, description="Price of one hour, net, where one was applied."
    )
    surcharge: ShortText | None = Field(default=None, description="Name of the surcharge that was applied.")
    surcharge_percent: Percent | None = Field(
        default=None, description="What the surcharge adds to the rate, in percent."
    )
    amount: SignedMoney = Field(description="Amount, net; negative where it is taken back.")
    vat_percent: Percent = Field(
        description="Value added tax on it in percent: the rate valid when the work began, of what is taken back too."
    )
    text: Annotated[str, Field(max_length=256)] = Field(
        description="What was done; the record has the whole text."
    )
    reverses: LocalReference | None = Field(
        default=None, description="The WorkEntry that this one takes back completely."
    )


class SealedRecord(ApiModel):
    """A record that this statement covers, with a digest of what it said when the month was closed."""

    kind: Annotated[str, Field(max_length=32, pattern=r"^[A-Z][A-Za-z]+$")] = Field(description="Its kind.")
    namespace: NamespaceName = Field(description="Its namespace.")
    name: Name = Field(description="Its name.")
    digest: Hash = Field(description="SHA-256 of its canonical content.")


class PendingEntry(ApiModel):
    """Work of the month that is not accepted, so that it is not billed; it can be in a later statement."""

    namespace: NamespaceName = Field(description="Namespace of the WorkEntry.")
    name: Name = Field(description="Name of the WorkEntry.")
    reason: Annotated[str, Field(max_length=256)] = Field(description="Why it is not in the lines.")


class AvailabilityLine(ApiModel):
    """The availability of one VM under one order in the month (clause 1)."""

    namespace: NamespaceName = Field(description="Namespace of the ManagedVM.")
    managed_vm_ref: LocalReference = Field(alias="managedVMRef", description="The ManagedVM.")
    order: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="Reference of the order.")
    service_level: Annotated[str, Field(max_length=63)] = Field(description="Name of its ServiceLevel.")
    promised_percent: Annotated[str, Field(max_length=8)] | None = Field(
        default=None, description="Availability that it promises over the year, when the month was closed."
    )
    agreed: Duration | None = Field(
        default=None,
        description="How much of the month the order was in force; absent where the ManagedVM is gone.",
    )
    counted: Duration = Field(description="Downtime that counts.")
    excluded: Duration = Field(description="Downtime that does not count; each Outage says why.")
    unmeasured: Duration | None = Field(
        default=None,
        description="Time that nobody could see, neither up nor down; absent where the ManagedVM is gone.",
    )
    availability_percent: Annotated[str, Field(max_length=8)] | None = Field(
        default=None,
        description="What is left of the measured time without what counted, in percent, rounded down; absent where not known.",
    )


class RecoveryLine(ApiModel):
    """A fault that was reported in the month, and whether it was mended in time (clause 4.1)."""

    namespace: NamespaceName = Field(description="Namespace of the ChangeRequest.")
    change_request_ref: LocalReference = Field(description="The ChangeRequest of kind FaultReport.")
    managed_vm_ref: LocalReference = Field(alias="managedVMRef", description="The ManagedVM.")
    reported_at: Timestamp = Field(description="When it was reported.")
    due_at: Timestamp = Field(description="Until when it was to be mended.")
    recovered_at: Timestamp | None = Field(default=None, description="When it was mended.")
    is_missed: bool = Field(description="Whether it was not mended in time.")


class TaxTotal(ApiModel):
    """The value added tax on all that is billed by effort at one rate."""

    percent: Percent = Field(description="Value added tax in percent.")
    net: SignedMoney = Field(description="Sum of the lines at this rate.")
    vat: SignedMoney = Field(description="Value added tax on that sum, rounded once.")


class Totals(ApiModel):
    """The sums of all lines of the month."""

    net: SignedMoney = Field(description="Sum of the lines.")
    taxes: Annotated[
        tuple[TaxTotal, ...],
        Field(max_length=TAXES_PER_MONTH, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(
        default=(),
        description="Value added tax by its rate, the lowest first; none where nothing is billed by effort.",
    )
    vat: SignedMoney = Field(description="Value added tax in all.")
    gross: SignedMoney = Field(description="What is to be paid.")
    currency: Currency = Field(description="ISO 4217 code.")
    counted: SignedDuration = Field(description="Time billed by effort.")


class Recipient(ApiModel):
    """The contract party as it was when the month was closed."""

    customer_number: Annotated[str, Field(max_length=32)] = Field(description="The provider's number.")
    display_name: ShortText = Field(description="Name as on the contract.")
    address: PostalAddress | None = Field(default=None, description="Postal address.")
    vat_id: Annotated[str, Field(max_length=20)] | None = Field(
        default=None, alias="vatID", description="VAT identification number."
    )


class StatementSpec(ApiModel):
    """One page of a closed month."""

    customer_ref: LocalReference = Field(description="The Customer.")
    month: Month = Field(description="The month. Example: 2026-11.")
    time_zone: TimeZone = Field(
        description="IANA zone of the price list, in which the month begins and ends."
    )
    until: Timestamp = Field(description="End of the month: work that began before it is closed.")
    page: Annotated[int, Field(ge=1, le=999)] = Field(description="Number of this page.")
    pages: Annotated[int, Field(ge=1, le=999)] | None = Field(
        default=None, description="How many pages there are; only on the last one, which ends the month."
    )
    recipient: Recipient = Field(description="The contract party as it was then.")
    price_list_ref: LocalReference = Field(
        description="The customer's PriceList at the end of the month; each record says by which one it was priced."
    )
    lines: Annotated[
        tuple[StatementLine, ...],
        Field(max_length=LINES_PER_PAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="The work, by begin.")
    records: Annotated[
        tuple[SealedRecord, ...],
        Field(max_length=RECORDS_PER_PAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="The records that this page covers, sorted.")
    pending: Annotated[
        tuple[PendingEntry, ...],
        Field(max_length=PENDING_PER_PAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="Work that was not accepted when the month was closed.")
    availability: Annotated[
        tuple[AvailabilityLine, ...],
        Field(max_length=AVAILABILITY_PER_PAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="The availability of the VMs in the month, order by order.")
    recoveries: Annotated[
        tuple[RecoveryLine, ...],
        Field(max_length=RECOVERIES_PER_PAGE, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="The faults that were reported in the month.")
    totals: Totals | None = Field(default=None, description="The sums of the month; only on the last page.")
    previous: StatementReference | None = Field(
        default=None, description="What this page follows; absent at the very first one."
    )
    hash: Hash = Field(description="SHA-256 of the canonical content of this page, `previous` included.")


class Statement(Resource):
    """What a customer is billed for a month, closed: lines, totals, and a hash that continues the one before."""

    KIND: ClassVar[Kind] = Kind(
        kind="Statement",
        plural="statements",
        short="stmt",
        scope="Namespaced",
        categories=("msp-records",),
        columns=(
            Column("Customer", ".spec.customerRef.name"),
            Column("Month", ".spec.month"),
            Column("Net", ".spec.totals.net"),
            Column("Gross", ".spec.totals.gross"),
            Column("Currency", ".spec.totals.currency"),
            Column("Page", ".spec.page", type="integer"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Pages", ".spec.pages", type="integer", wide=True),
            Column("Previous", ".spec.previous.name", wide=True),
            Column("Hash", ".spec.hash", wide=True),
        ),
        selectable=(".spec.customerRef.name", ".spec.month"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a closed month never changes (clause 4: what was billed is documented); correct it by a "
                "counter-entry in a later month",
            ),
            Rule(
                "has(self.spec.pages) == has(self.spec.totals) && "
                "(!has(self.spec.pages) || self.spec.pages == self.spec.page)",
                "spec.pages, spec.totals: are both on the last page, and on no other (clause 4: what is billed adds "
                "up); use `managedvm statement close`",
            ),
            Rule(
                "self.spec.page == 1 || has(self.spec.previous)",
                "spec.previous: a further page follows another one (clause 4: nothing is left out); use "
                "`managedvm statement close`",
            ),
        ),
    )

    spec: StatementSpec = Field(description="One page of a closed month. It never changes.")


def statement_name(customer: str, month: str, page: int = 1) -> str:
    """Return the name of a page of a month's statement."""
    return f"{customer}-{month}" + (f"-p{page}" if page > 1 else "")


def first_page_of(name: str) -> str:
    """Return the name that the statement has as a whole: that of its first page."""
    return _PAGE_SUFFIX.sub("", name)
