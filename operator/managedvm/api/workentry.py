"""WorkEntry: who worked when on which request. A record: its spec never changes, its status only advances."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, JsonValue

from managedvm.api.base import (
    ApiModel,
    Column,
    Identity,
    Kind,
    LocalReference,
    LongText,
    Money,
    Percent,
    Resource,
    Rule,
    ShortText,
    SignedDuration,
    SignedMoney,
    Status,
    Timestamp,
)
from managedvm.api.changerequest import Billing

REVERSAL_PREFIX = "reversal-of-"
"""The name of a counter-entry is this and the name of the record that it takes back, so there is one at the most."""

MOST_REVERSALS = 9
"""How many counter-entries may name a record: a wrong one stays, and the next is `reversal-2-of-` and the name."""

_REVERSAL = f"^reversal(-[2-{MOST_REVERSALS}])?-of-"
"""How the name of a counter-entry begins, as the API server matches it."""

MOST_LINES = 192
"""Lines of a charge: within a day of work, the changes of 64 rates and the hours of 16 surcharges, with room to spare."""


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
    """Work at one hourly rate with one surcharge or none; negative where a counter-entry takes it back."""

    begin: Timestamp = Field(description="From when.")
    end: Timestamp = Field(description="Until when.")
    counted: SignedDuration = Field(description="Time that counts, after increments and minimum.")
    hourly_rate: Money = Field(description="Price of one hour, net, without the surcharge.")
    rate_from: Timestamp = Field(description="The `from` of the rate in the price list.")
    surcharge: ShortText | None = Field(
        default=None, description="Name of the surcharge in the price list, where one applies."
    )
    surcharge_percent: Percent | None = Field(
        default=None, description="What it adds to the rate, in percent."
    )
    amount: SignedMoney = Field(description="Amount, net.")


class Charge(ApiModel):
    """What the work costs by the price list valid when it was done; of a counter-entry, what it takes back."""

    billing: Billing = Field(description="Included, or billed by effort.")
    clause: Annotated[str, Field(max_length=8)] = Field(description="The clause that decides.")
    counted: SignedDuration = Field(description="Time that counts in all.")
    amount: SignedMoney = Field(description="Amount in all, net; negative in a counter-entry.")
    currency: Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")] = Field(
        description="ISO 4217 code."
    )
    price_list_ref: LocalReference = Field(description="The PriceList that the rates are from.")
    lines: Annotated[
        tuple[ChargeLine, ...],
        Field(max_length=MOST_LINES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(default=(), description="One line per rate and surcharge; none where nothing is charged.")
    explanation: Annotated[str, Field(max_length=1024)] = Field(
        description="How the amount came about, in a sentence."
    )


class Evidence(ApiModel):
    """Where the work can be seen outside of this record."""

    task: Annotated[str, Field(max_length=64)] = Field(description="Task in the vCenter. Example: task-117.")


_SPEC_RULES: list[JsonValue] = [
    {
        "rule": "has(self.reverses) ? !has(self.end) && !has(self.minutes) && !has(self.cause) : "
        "has(self.end) != has(self.minutes)",
        "message": "end, minutes: say when the work ended or how many minutes it took (clause 4: effort is the time "
        "actually spent); a counter-entry has neither, nor a cause: it takes back those of the record it names",
    },
    {
        "rule": "!has(self.end) || timestamp(self.begin) <= timestamp(self.end)",
        "message": "end must not be before begin (clause 4: effort is the time actually spent)",
    },
    {
        "rule": "!has(self.end) || self.performedBy == 'operator' || "
        "timestamp(self.end) - timestamp(self.begin) <= duration('24h')",
        "message": "end: nobody works for more than 24 hours on end (clause 4: effort is the time actually spent); "
        "write one entry for each piece of work",
    },
]


class WorkEntrySpec(ApiModel):
    """Who worked when on which request."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": _SPEC_RULES})

    change_request_ref: LocalReference = Field(
        description="The ChangeRequest in this namespace that was worked on."
    )
    managed_vm_ref: LocalReference | None = Field(
        default=None,
        alias="managedVMRef",
        description="The ManagedVM that was worked on, where the entry names it; it must be that of the request.",
    )
    performed_by: Identity = Field(description="Who did the work; `operator` for automated work.")
    begin: Timestamp = Field(
        description="Begin of the work; of a counter-entry, when the mistake was put right."
    )
    end: Timestamp | None = Field(default=None, description="End of the work; or give `minutes`.")
    minutes: Annotated[int, Field(ge=1, le=1440)] | None = Field(
        default=None, description="How long the work took, from `begin` on; or give `end`."
    )
    activity: LongText = Field(description="What was done; of a counter-entry, what was wrong.")
    cause: Cause | None = Field(
        default=None,
        description="What the work was found to be due to; a cause of clause 6 is billed by effort whatever was asked.",
    )
    reverses: LocalReference | None = Field(
        default=None,
        description="Makes this a counter-entry: it takes back the WorkEntry named, completely. What was really done "
        "is a new entry.",
    )
    evidence: Evidence | None = Field(default=None, description="Where it can be seen.")
    charge: Charge | None = Field(
        default=None,
        description="What the operator's own work costs; only the operator writes it. A person's is in the status.",
    )
    ticket: ShortText | None = Field(default=None, description="Ticket number, where there is one.")

    @property
    def until(self) -> datetime:
        """When the work ended, whether its end or its minutes were given; of a counter-entry, its begin."""
        return self.end if self.end is not None else self.begin + timedelta(minutes=self.minutes or 0)


class WorkEntryStatus(Status):
    """Whether the entry stands, and what it costs."""

    charge: Charge | None = Field(
        default=None,
        description="What it costs by the prices valid when the work was done; written once, when it is accepted.",
    )
    ticketed_at: Timestamp | None = Field(
        default=None,
        description="When it was seen in the ticket of its request, with its time; written once.",
    )


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
            # The operator's own work is priced in the spec, a person's in the status; each entry has one of them.
            Column("Counted", "..charge.counted"),
            Column("Amount", "..charge.amount"),
            Column("Accepted", ".status.conditions[?(@.type=='Accepted')].status"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Currency", "..charge.currency", wide=True),
            Column("Activity", ".spec.activity", wide=True),
            Column("Cause", ".spec.cause", wide=True),
            Column("Reverses", ".spec.reverses.name", wide=True),
            Column("Task", ".spec.evidence.task", wide=True),
        ),
        selectable=(".spec.changeRequestRef.name", ".spec.performedBy"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 4: effort is documented); correct it by a counter-entry",
            ),
            Rule(
                f"!has(self.spec.reverses) || (self.metadata.name.matches('{_REVERSAL}') && "
                "self.metadata.name.substring(self.metadata.name.indexOf('-of-') + 4) == self.spec.reverses.name)",
                f"metadata.name: a counter-entry is named '{REVERSAL_PREFIX}' and the name of the record that it takes "
                "back, so that nothing is taken back twice (clause 4: effort is the time actually spent); where that one is "
                f"there and names a wrong request, 'reversal-2-of-', up to 'reversal-{MOST_REVERSALS}-of-'",
            ),
            Rule(
                f"has(self.spec.reverses) || !self.metadata.name.matches('{_REVERSAL}')",
                f"metadata.name: '{REVERSAL_PREFIX}' begins the name of a counter-entry (clause 4); choose another "
                "name, or say in spec.reverses what is taken back",
            ),
            Rule(
                f"!has(self.spec.reverses) || !self.spec.reverses.name.matches('{_REVERSAL}')",
                "spec.reverses: a counter-entry is not taken back (clause 4: effort is documented); record the work "
                "anew in an entry of its own",
            ),
        ),
    )

    spec: WorkEntrySpec = Field(description="Who worked when on which request. It never changes.")
    status: WorkEntryStatus = Field(
        default=WorkEntryStatus(),
        description="Whether the entry stands, and what it costs. It only advances.",
    )

    @property
    def charge(self) -> Charge | None:
        """What the entry costs, negative for a counter-entry; None while it is not accepted (and then not billed)."""
        return self.spec.charge or self.status.charge
