"""PriceList: dated hourly rates; the rate is the one valid when the work was done (clause 4)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import ApiModel, Column, Duration, Kind, Money, Resource, Rule, Timestamp, list_map


class AutomatedWork(StrEnum):
    """How work that the operator does itself counts."""

    FREE = "Free"
    INCREMENT = "Increment"


class HourlyRate(ApiModel):
    """The price of an hour from a date on, until the next entry's date."""

    from_: Timestamp = Field(alias="from", description="From when this rate is valid.")
    hourly: Money = Field(description="Price of one hour, net. Example: '120.00'.")
    increment: Duration = Field(description="Work is counted in steps of this. Example: 15m.")
    minimum: Duration = Field(description="A piece of work counts at least this. Example: 15m.")


class PriceListSpec(ApiModel):
    """Dated rates in one currency."""

    currency: Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")] = Field(
        description="ISO 4217 code with two decimals. Example: EUR."
    )
    vat_percent: Annotated[str, Field(max_length=5, pattern=r"^[0-9]{1,2}(\.[0-9]{1,2})?$")] = Field(
        description="Value added tax in percent. Example: '19'."
    )
    automated_work: AutomatedWork = Field(
        description="Free: the operator's own work costs nothing. Increment: it counts like a technician's."
    )
    rates: Annotated[
        tuple[HourlyRate, ...], Field(min_length=1, max_length=64, json_schema_extra=list_map("from"))
    ] = Field(description="The rates. An entry is never changed or removed; add one for a new price.")


class PriceList(Resource):
    """Dated hourly rates, how they are counted, currency and tax."""

    KIND: ClassVar[Kind] = Kind(
        kind="PriceList",
        plural="pricelists",
        short="prices",
        scope="Cluster",
        categories=("msp",),
        columns=(
            Column("Currency", ".spec.currency"),
            Column("Automated-Work", ".spec.automatedWork"),
            Column("Hourly", ".spec.rates[-1].hourly", description="The rate listed last"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                "oldSelf.spec.rates.all(o, self.spec.rates.exists(n, n == o))",
                "spec.rates: an entry is never changed or removed, work done under it is billed by it (clause 4); "
                "add an entry with a later `from`",
            ),
            Rule(
                "self.spec.rates.all(a, self.spec.rates.exists_one(b, timestamp(b.from) == timestamp(a.from)))",
                "spec.rates: two rates begin at the same instant, so nobody can say which one is valid (clause 4); "
                "leave one of them out",
            ),
            Rule(
                "self.spec.rates.all(r, duration(r.increment) > duration('0s'))",
                "spec.rates[].increment: work is counted in steps of a length (clause 4); write for example 15m",
            ),
            Rule(
                "self.spec.currency == oldSelf.spec.currency",
                "spec.currency: never changes (clause 4); create another PriceList",
            ),
        ),
    )

    spec: PriceListSpec = Field(description="Dated rates in one currency.")
