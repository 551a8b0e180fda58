"""Helpdesk: the provider's ticket system, where every request is documented whatever channel it came through (clause 4)."""

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, JsonValue

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Identity,
    Kind,
    LocalReference,
    Resource,
    Rule,
    ShortText,
    Status,
    Timestamp,
    list_map,
)
from managedvm.api.tls import Tls

SINGLETON = "helpdesk"

AttributeName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]

MOST_HELD = 100
"""How many tickets that cannot be taken in are named in the status."""


class TicketAttributes(ApiModel):
    """The custom attributes of a ticket that say what it asks for, by the names that Zammad has for them."""

    managed_vm: AttributeName = Field(
        default="managedvm",
        alias="managedVM",
        description="Names the ManagedVM: its name, or namespace/name where several namespaces have one of that name.",
    )
    request_kind: AttributeName = Field(
        default="request_kind",
        description="Names the kind of the request as spec.kind of a ChangeRequest does; empty means FaultReport.",
    )
    wanted_at: AttributeName = Field(
        default="wanted_at",
        description="When the customer would like it done, or the time agreed on for an UpdateAppointment.",
    )


def _bounded(field: str) -> JsonValue:
    """Return the rule that a length of time is at least a second, and an hour at most."""
    return {
        "rule": f"duration(self.{field}) >= duration('1s') && duration(self.{field}) <= duration('1h')",
        "message": f"{field}: from 1s to 1h (clause 4: what reaches the provider is documented); write for example 1m",
    }


class NewTickets(ApiModel):
    """How tickets are opened for requests that came through another channel."""

    group: ShortText = Field(description="Zammad group of the new tickets. Example: Managed Services.")
    customer: Identity = Field(
        description="E-mail address of the Zammad customer for requests whose requester has no e-mail address."
    )


class HelpdeskSpec(ApiModel):
    """How to reach the helpdesk, and what its tickets say where."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [*map(_bounded, ("pollInterval", "searchLag"))]}
    )

    url: Annotated[
        str, Field(min_length=9, max_length=256, pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")
    ] = Field(description="Address of Zammad, without a path. Example: https://helpdesk.example.")
    credentials_secret_ref: LocalReference = Field(
        description="Secret in the operator's own namespace with the keys token (access token of a Zammad agent of its "
        "own), webhookSecret (the webhook's HMAC SHA1 signature token) and usually ca.crt."
    )
    tls: Tls = Field(default=Tls(), description="Trust.")
    new_tickets: NewTickets = Field(description="How tickets are opened.")
    attributes: TicketAttributes = Field(
        default=TicketAttributes(), description="Which attributes of a ticket say what it asks for."
    )
    poll_interval: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        default=timedelta(minutes=1),
        json_schema_extra={"default": "1m"},
        description="How often it is asked which tickets have changed; what a webhook did not tell is found so.",
    )
    search_lag: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        default=timedelta(minutes=2),
        json_schema_extra={"default": "2m"},
        description="How far Zammad's search may lag behind. Where it is not known whether a ticket was opened, none is "
        "opened before this has passed.",
    )


class HeldTicket(ApiModel):
    """A ticket that cannot be taken in as it stands; a note in it says why."""

    id: Annotated[int, Field(ge=1, le=2**53 - 1)] = Field(description="Zammad's own id of the ticket.")
    number: ShortText = Field(description="Its number.")
    reason: Annotated[str, Field(max_length=256)] = Field(description="What is missing.")


class HelpdeskStatus(Status):
    """What was seen of the helpdesk."""

    seen_until: Timestamp | None = Field(
        default=None,
        description="Up to which change of a ticket all are looked at, by Zammad's clock; not moved for each ticket.",
    )
    held_tickets: Annotated[
        tuple[HeldTicket, ...], Field(max_length=MOST_HELD, json_schema_extra=list_map("id"))
    ] = Field(
        default=(),
        description="Tickets that name no VM, or one that is not there. They wait, and are looked at again when they or "
        "the VMs change.",
    )


class Helpdesk(Resource):
    """The provider's helpdesk (Zammad). There is one, named `helpdesk`."""

    KIND: ClassVar[Kind] = Kind(
        kind="Helpdesk",
        plural="helpdesks",
        short="helpdesk",
        scope="Cluster",
        categories=("msp",),
        columns=(
            Column("URL", ".spec.url"),
            Column("Reachable", ".status.conditions[?(@.type=='Reachable')].status"),
            Column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            Column("Reason", ".status.conditions[?(@.type=='Ready')].reason"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
        ),
        rules=(
            Rule(
                f"self.metadata.name == '{SINGLETON}'",
                f"metadata.name: must be '{SINGLETON}'; a provider documents its requests in one helpdesk (clause 4)",
            ),
        ),
    )

    spec: HelpdeskSpec = Field(description="How to reach it, and what its tickets say where.")
    status: HelpdeskStatus = Field(default=HelpdeskStatus(), description="What was seen of it.")
