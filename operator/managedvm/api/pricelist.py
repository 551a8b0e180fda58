"""PriceList: dated hourly rates; the rate is the one valid when the work was done (clause 4)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Kind,
    Money,
    Percent,
    Resource,
    Rule,
    ShortText,
    Timestamp,
    TimeZone,
    WallTime,
    Weekday,
    dated,
    list_map,
)


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


class ValueAddedTax(ApiModel):
    """The value added tax from a date on, until the next entry's date."""

    from_: Timestamp = Field(alias="from", description="From when it is due on work that begins then.")
    percent: Annotated[str, Field(max_length=5, pattern=r"^[0-9]{1,2}(\.[0-9]{1,2})?$")] = Field(
        description="Value added tax in percent. Example: '19'."
    )


_CALENDAR_DATE = r"^([12][0-9]{3}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class Surcharge(ApiModel):
    """What is added to the hourly rate for people's work at certain hours; where several apply, the highest does."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.days) || has(self.dates)",
                    "message": "days, dates: a surcharge needs days of the week or dates on which its hours begin "
                    "(clause 4: the rate valid at the time)",
                },
                {
                    "rule": "!has(self.until) || timestamp(self.from) <= timestamp(self.until)",
                    "message": "until must not be before from (clause 4: the rate valid at the time)",
                },
                {
                    "rule": "self.percent == oldSelf.percent && has(self.days) == has(oldSelf.days) && "
                    "(!has(self.days) || self.days == oldSelf.days) && has(self.dates) == has(oldSelf.dates) && "
                    "(!has(self.dates) || self.dates == oldSelf.dates) && self.start == oldSelf.start && self.end == oldSelf.end && "
                    "(!has(oldSelf.until) || (has(self.until) && self.until == oldSelf.until))",
                    "message": "spec.surcharges[]: an entry never changes, work done under it is billed by it (clause "
                    "4); set `until` to end it, and add another one",
                },
            ]
        }
    )

    name: ShortText = Field(description="Name as it stands in the bill. Example: evening.")
    percent: Percent = Field(description="What it adds to the hourly rate, in percent. Example: '25'.")
    from_: Timestamp = Field(alias="from", description="From when this surcharge is valid.")
    until: Timestamp | None = Field(default=None, description="Until when; set it to end the surcharge.")
    days: (
        Annotated[
            tuple[Weekday, ...],
            Field(min_length=1, max_length=7, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = Field(default=None, description="Days of the week on which its hours begin. Example: [Sat, Sun].")
    dates: (
        Annotated[
            tuple[Annotated[str, Field(min_length=5, max_length=10, pattern=_CALENDAR_DATE)], ...],
            Field(min_length=1, max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
        ]
        | None
    ) = Field(
        default=None,
        description="Dates on which its hours begin: MM-DD in each year, or YYYY-MM-DD. Example: ['12-25', '2027-03-26'].",
    )
    start: WallTime = Field(default="00:00", description="Begin of its hours as local wall time HH:MM.")
    end: WallTime = Field(
        default="00:00",
        description="End of its hours as local wall time HH:MM; not after the start means the next day, and 00:00 to "
        "00:00 the whole day.",
    )


class PriceListSpec(ApiModel):
    """Dated rates in one currency."""

    time_zone: TimeZone = Field(
        description="IANA zone of the surcharges' hours and of the months that are billed. Example: Europe/Berlin."
    )

    currency: Annotated[str, Field(min_length=3, max_length=3, pattern=r"^[A-Z]{3}$")] = Field(
        description="ISO 4217 code with two decimals. Example: EUR."
    )
    automated_work: AutomatedWork = Field(
        description="Free: the operator's own work costs nothing. Increment: it counts like a technician's. It never "
        "changes."
    )
    rates: Annotated[
        tuple[HourlyRate, ...], Field(min_length=1, max_length=64, json_schema_extra=list_map("from"))
    ] = Field(description="The rates. An entry is never changed or removed; add one for a new price.")
    vat: Annotated[
        tuple[ValueAddedTax, ...], Field(min_length=1, max_length=32, json_schema_extra=list_map("from"))
    ] = Field(
        description="The value added tax. An entry is never changed or removed; add one for a new rate."
    )
    surcharges: Annotated[
        tuple[Surcharge, ...], Field(max_length=16, json_schema_extra=list_map("name", "from"))
    ] = Field(
        default=(),
        description="Surcharges by calendar. An entry is ended by `until`, never changed or removed.",
    )


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
            *dated("rates", "rates"),
            *dated("vat", "rates"),
            Rule(
                "self.spec.rates.all(r, duration(r.increment) > duration('0s'))",
                "spec.rates[].increment: work is counted in steps of a length (clause 4); write for example 15m",
            ),
            Rule(
                "!has(oldSelf.spec.surcharges) || (has(self.spec.surcharges) && oldSelf.spec.surcharges.all(o, "
                "self.spec.surcharges.exists(n, n.name == o.name && n.from == o.from)))",
                "spec.surcharges: an entry is never removed and its `from` never changes, work done under it is billed "
                "by it (clause 4); set `until` to end it",
            ),
            Rule(
                "self.spec.timeZone == oldSelf.spec.timeZone",
                "spec.timeZone: never changes, months are billed by it (clause 4); create another PriceList",
            ),
            Rule(
                "self.spec.automatedWork == oldSelf.spec.automatedWork",
                "spec.automatedWork: never changes, it decides what work costs that is done already (clause 4); create "
                "another PriceList, and name it in spec.priceLists of the customers from a date on",
            ),
            Rule(
                "self.spec.currency == oldSelf.spec.currency",
                "spec.currency: never changes (clause 4); create another PriceList",
            ),
        ),
    )

    spec: PriceListSpec = Field(description="Dated rates in one currency.")
