"""Order: a single order of the contract as it stands in a ManagedVM. What was in force when never changes."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema

from managedvm.api.base import ApiModel, Rule, Timestamp, list_map


class ServicePackage(StrEnum):
    """The managed service package of clause 2."""

    BASIC = "Basic"
    ADVANCED = "Advanced"


OrderedPackage = Annotated[
    ServicePackage,
    # A rule and not an enum: the server's own refusal of an enum value could not name the clause.
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [
                {
                    "rule": "self in ['Basic', 'Advanced']",
                    "message": "there is no such managed service package (clause 2): write Basic or Advanced",
                }
            ],
        }
    ),
]


class Order(ApiModel):
    """One single order of the contract: a service level, and a package where one is booked."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.until) || timestamp(self.from) < timestamp(self.until)",
                    "message": "until must be later than from (clause 1: an order is valid for a time)",
                }
            ]
        }
    )

    reference: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")
    ] = Field(description="The provider's reference of the order. Example: A-2026-117.")
    service_level: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9-]*$")] = Field(
        description="Name of the ServiceLevel. Example: premium."
    )
    service_package: OrderedPackage | None = Field(
        default=None,
        description="The managed service package (clause 2), Basic or Advanced; absent where none is booked, which the level must allow.",
    )
    from_: Timestamp = Field(
        alias="from", description="From when the order is in force. Nothing is done before."
    )
    until: Timestamp | None = Field(
        default=None, description="Until when; set once to end the order. Nothing is done after."
    )


MOST_ORDERS = 16

Orders = Annotated[
    tuple[Order, ...],
    Field(
        min_length=1,
        max_length=MOST_ORDERS + 4,  # so that the rule below is heard, which says what to do
        json_schema_extra={
            **list_map("reference"),
            "x-kubernetes-validations": [
                {
                    "rule": f"size(self) <= {MOST_ORDERS}",
                    "message": f"orders: at most {MOST_ORDERS} (clause 1: what was in force when stays known); with "
                    "deletionProtection false delete this ManagedVM and create it again with the orders that are in force "
                    "or to come: the VM and all records stay",
                },
                {
                    "rule": "self.all(a, self.all(b, a.reference == b.reference || "
                    "(has(a.until) && timestamp(a.until) <= timestamp(b.from)) || "
                    "(has(b.until) && timestamp(b.until) <= timestamp(a.from))))",
                    "message": "orders must not overlap, a VM has at most one package at a time (clause 1): "
                    "set `until` of the earlier order to the `from` of the later one",
                },
            ],
        },
    ),
]

ORDER_RULES = (
    Rule(
        "oldSelf.spec.orders.all(o, self.spec.orders.exists(n, n.reference == o.reference))",
        "spec.orders: an order is never removed (clause 1: what was in force when is part of the contract); "
        "set its `until` to end it",
    ),
    Rule(
        "oldSelf.spec.orders.all(o, self.spec.orders.all(n, n.reference != o.reference || "
        "(n.serviceLevel == o.serviceLevel && n.from == o.from && "
        "has(n.servicePackage) == has(o.servicePackage) && "
        "(!has(o.servicePackage) || n.servicePackage == o.servicePackage) && "
        "(!has(o.until) || (has(n.until) && n.until == o.until)))))",
        "spec.orders: level, package, `from` and an `until` once set never change (clause 1); "
        "end the order by `until` and add a new one",
    ),
)
"""What of the orders is for ever; written at the root, since a transition rule is skipped where its field goes away."""
