"""WorkEntry: who worked when on which request. A record: create-only."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Identity,
    Kind,
    LocalReference,
    LongText,
    Money,
    Resource,
    Rule,
    ShortText,
    Timestamp,
)
from managedvm.api.changerequest import Billing


class Cause(StrEnum):
    """What the work was found to be due to; with the kind of the request it decides the clause (6.1, 6.2, 6.4)."""

    PROVIDER = "Provider"
    CUSTOMER_CHANGE = "CustomerChange"
    DDOS = "DDoS"
    MALWARE = "Malware"
    SECURITY_CHECK = "SecurityCheck"
    OVERUSE = "Overuse"
    CUSTOMER_SOFTWARE = "CustomerSoftware"


class ChargeLine(ApiModel):
    """Work at one hourly rate."""

    begin: Timestamp = Field(description="From when.")
    end: Timestamp = Field(description="Until when.")
    counted: Duration = Field(description="Time that counts, after increments and minimum.")
    hourly_rate: Money = Field(description="Price of one hour, net.")
    rate_from: Timestamp = Field(description="The `from` of the rate in the price list.")
    amount: Money = Field(description="Amount, net.")


class Charge(ApiModel):
    """What the work costs, by the price list valid when it was done; written with the operator's own entries."""

    billing: Billing = Field(description="Included, or billed by effort.")
    clause: Annotated[str, Field(max_length=8)] = Field(description="The clause that decides.")
    counted: Duration = Field(description="Time that counts in all.")
    amount: Money = Field(description="Amount in all, net.")
    currency: Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")] = Field(
        description="ISO 4217 code."
    )
    price_list_ref: LocalReference = Field(description="The PriceList that the rates are from.")
    lines: Annotated[
        tuple[ChargeLine, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(default=(), description="One line per rate; none where nothing is charged.")
    explanation: Annotated[str, Field(max_length=256)] = Field(
        description="How the amount came about, in a sentence."
    )


class Evidence(ApiModel):
    """Where the work can be seen outside of this record."""

    task: Annotated[str, Field(max_length=64)] = Field(description="Task in the vCenter. Example: task-117.")


class WorkEntrySpec(ApiModel):
    """Who worked when on which request."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "timestamp(self.begin) <= timestamp(self.end)",
                    "message": "end must not be before begin (clause 4: effort is the time actually spent)",
                }
            ]
        }
    )

    change_request_ref: LocalReference = Field(
        description="The ChangeRequest in this namespace that was worked on."
    )
    performed_by: Identity = Field(description="Who did the work; `operator` for automated work.")
    begin: Timestamp = Field(description="Begin of the work.")
    end: Timestamp = Field(description="End of the work.")
    activity: LongText = Field(description="What was done.")
    cause: Cause | None = Field(
        default=None,
        description="What the work was found to be due to; a cause of clause 6 is billed by effort whatever was asked.",
    )
    evidence: Evidence | None = Field(default=None, description="Where it can be seen.")
    charge: Charge | None = Field(
        default=None,
        description="What it costs; only the operator writes it. A person's work is priced when billed.",
    )
    ticket: ShortText | None = Field(default=None, description="Ticket number, where there is one.")


class WorkEntry(Resource):
    """A piece of work on a request: who, when, what. Immutable; corrected by a counter-entry only."""

    KIND: ClassVar[Kind] = Kind(
        kind="WorkEntry",
        plural="workentries",
        short="work",
        scope="Namespaced",
        categories=("msp-records",),
        columns=(
            Column("Request", ".spec.changeRequestRef.name"),
            Column("By", ".spec.performedBy"),
            Column("Begin", ".spec.begin"),
            Column("Counted", ".spec.charge.counted"),
            Column("Amount", ".spec.charge.amount"),
            Column("Currency", ".spec.charge.currency"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Activity", ".spec.activity", wide=True),
            Column("Task", ".spec.evidence.task", wide=True),
        ),
        selectable=(".spec.changeRequestRef.name", ".spec.performedBy"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 4: effort is documented); correct it by a counter-entry",
            ),
        ),
    )

    spec: WorkEntrySpec = Field(description="Who worked when on which request. It never changes.")
