"""CustomerContacts: who may order for the customer, kept by the customer, ended but never removed (clause 4)."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Identity,
    Kind,
    Resource,
    Rule,
    ShortText,
    Timestamp,
    list_map,
)
from managedvm.api.changerequest import RequestKind

SINGLETON = "contacts"
MOST_REQUESTERS = 64


class Requester(ApiModel):
    """A person whose requests are orders, from and until when."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.scope) == has(oldSelf.scope) && (!has(self.scope) || self.scope == oldSelf.scope)",
                    "message": "the `scope` of an entry never changes, so that past orders stay explained (clause 4); set "
                    "`until` and add an entry with a later `from`",
                }
            ]
        }
    )

    email: Identity = Field(
        description="E-mail address; the same as the person's user name where they use kubectl."
    )
    name: ShortText = Field(description="The person's name.")
    phone: Annotated[str, Field(max_length=24, pattern=r"^\+[0-9 ]{6,22}$")] | None = Field(
        default=None,
        description="Phone number with country code, for requests by phone. Example: +49 30 123456.",
    )
    scope: Annotated[
        tuple[RequestKind, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default=(),
        description="Which kinds of requests this person may order; empty means all. It never changes: end the entry "
        "and add another one.",
    )
    from_: Timestamp = Field(alias="from", description="From when this person may order.")
    until: Timestamp | None = Field(default=None, description="Until when; set it to end the authority.")


class CustomerContactsSpec(ApiModel):
    """The customer's people."""

    requesters: Annotated[
        tuple[Requester, ...],
        Field(
            max_length=MOST_REQUESTERS + 8,  # so that the rule below is heard, which says what to do
            json_schema_extra={
                **list_map("email", "from"),
                "x-kubernetes-validations": [
                    {
                        "rule": f"size(self) <= {MOST_REQUESTERS}",
                        "message": f"requesters: at most {MOST_REQUESTERS} (clause 4: past orders stay explained); export "
                        "this list, delete it with an identity that holds the verb prune, and create it again with the "
                        "entries that are in force",
                    }
                ],
            },
        ),
    ] = Field(default=(), description="Authorised requesters. An entry is ended by `until`, never removed.")


class CustomerContacts(Resource):
    """The people of the customer whom this namespace belongs to; one object per namespace, named `contacts`."""

    KIND: ClassVar[Kind] = Kind(
        kind="CustomerContacts",
        plural="customercontacts",
        short="contacts",
        scope="Namespaced",
        categories=("msp",),
        columns=(
            Column("Requesters", ".spec.requesters[*].email"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                f"self.metadata.name == '{SINGLETON}'",
                f"metadata.name: must be '{SINGLETON}'; a namespace has one list of people (clause 4)",
            ),
            Rule(
                "!has(oldSelf.spec.requesters) || (has(self.spec.requesters) && oldSelf.spec.requesters.all(o, "
                "self.spec.requesters.exists(n, n.email == o.email && n.from == o.from)))",
                "spec.requesters: an entry is never removed and its `from` never changes, so that past orders stay "
                "explained (clause 4); set `until` to end it",
            ),
            Rule(
                "!has(oldSelf.spec.requesters) || !has(self.spec.requesters) || oldSelf.spec.requesters.all(o, "
                "!has(o.until) || self.spec.requesters.exists(n, n.email == o.email && n.from == o.from && "
                "has(n.until) && n.until == o.until))",
                "spec.requesters: an `until` that is set stays as it is (clause 4); add an entry with a later `from` "
                "to authorise again",
            ),
        ),
    )

    spec: CustomerContactsSpec = Field(default=CustomerContactsSpec(), description="The customer's people.")
