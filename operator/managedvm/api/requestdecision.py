"""RequestDecision: what a person decides about a request that is there. A record of its own, since the request never changes."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Identity,
    Kind,
    LocalReference,
    LongText,
    Resource,
    Rule,
)


class Decision(StrEnum):
    """What is decided: a held request goes on, a request ends without or with its work done."""

    RELEASE = "Release"
    WITHDRAW = "Withdraw"
    COMPLETE = "Complete"


class Capacity(StrEnum):
    """In which capacity somebody decides: as a requester by the customer's list, or as the provider's staff."""

    REQUESTER = "Requester"
    STAFF = "Staff"


class RequestDecisionSpec(ApiModel):
    """Who decided what about which request."""

    change_request_ref: LocalReference = Field(
        description="The ChangeRequest in this namespace that is decided about."
    )
    decision: Decision = Field(
        description="Release: a held request goes on; Withdraw: it ends, what was done until then is billed; Complete: "
        "its work is done."
    )
    decided_by: Identity = Field(
        description="Who decided. Naming somebody other than the user who writes the record needs the verb `attest`."
    )
    decided_as: Capacity = Field(
        default=Capacity.REQUESTER,
        description="Requester: an authorised requester of the customer, or for Withdraw who asked; Staff: somebody of "
        "the provider, which needs the verb `attest`.",
    )
    reason: LongText = Field(description="Why, in words that can be read later.")


class RequestDecision(Resource):
    """A decision about a request: who released, withdrew or completed it, when and why. Immutable."""

    KIND: ClassVar[Kind] = Kind(
        kind="RequestDecision",
        plural="requestdecisions",
        short="dec",
        scope="Namespaced",
        categories=("msp-records",),
        columns=(
            Column("Request", ".spec.changeRequestRef.name"),
            Column("Decision", ".spec.decision"),
            Column("By", ".spec.decidedBy"),
            Column("As", ".spec.decidedAs"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Reason", ".spec.reason", wide=True),
        ),
        selectable=(".spec.changeRequestRef.name", ".spec.decidedBy"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 4: what was decided is documented); write a new RequestDecision",
            ),
            Rule(
                "self.spec.decision != 'Complete' || self.spec.decidedAs == 'Staff'",
                "spec.decidedAs: only the provider's staff says that work is done (clause 4: effort is documented by "
                "who did it); set Staff, or withdraw the request",
            ),
        ),
    )

    spec: RequestDecisionSpec = Field(description="Who decided what about which request. It never changes.")
