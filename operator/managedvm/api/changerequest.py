"""ChangeRequest: what was asked, by whom, for which VM. A record: its spec never changes, its status only advances."""

from enum import StrEnum
from typing import Annotated, ClassVar

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
    ShortText,
    Status,
    Timestamp,
    Uuid,
)


class RequestKind(StrEnum):
    """What kind of service is asked for."""

    CONFIGURATION_CHANGE = "ConfigurationChange"


class Channel(StrEnum):
    """How the request reached the provider (clause 4: each is documented)."""

    GIT = "Git"
    HELPDESK = "Helpdesk"
    EMAIL = "Email"
    PHONE = "Phone"


class RecordOrigin(StrEnum):
    """Who wrote the record: a person, or the operator for a person's YAML."""

    PERSON = "Person"
    OPERATOR = "Operator"


class Billing(StrEnum):
    """Whether the package includes the work or it is billed by effort."""

    INCLUDED = "Included"
    EFFORT = "Effort"


class RequestState(StrEnum):
    """Where a request stands; derived from what was decided and done, and only ever moving on."""

    ORDERED = "Ordered"
    HELD = "Held"
    SCHEDULED = "Scheduled"
    IN_WORK = "InWork"
    DONE = "Done"
    WITHDRAWN = "Withdrawn"
    REFUSED = "Refused"


FINAL_STATES = frozenset({RequestState.DONE, RequestState.WITHDRAWN, RequestState.REFUSED})


class RequestedVM(ApiModel):
    """The VM that the request is for, by identity and not by name."""

    v_center_uuid: Uuid = Field(alias="vCenterUUID", description="Identity of the vCenter Server.")
    instance_uuid: Uuid = Field(alias="instanceUUID", description="Identity of the VM.")


class RequestedChange(ApiModel):
    """One aspect of the configuration, before and after."""

    id: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="The ManagedVM's spec.change.id."
    )
    aspect: Annotated[str, Field(min_length=1, max_length=48, pattern=r"^(CPUs|Memory|Disk/[a-z0-9-]+)$")] = (
        Field(description="What changes: CPUs, Memory or Disk/<name>.")
    )
    before: Annotated[str, Field(max_length=32)] = Field(description="The value found when it was asked for.")
    after: Annotated[str, Field(max_length=32)] = Field(description="The value asked for.")


class ChangeRequestSpec(ApiModel):
    """What was asked."""

    kind: RequestKind = Field(description="What kind of service is asked for.")
    managed_vm_ref: LocalReference = Field(
        alias="managedVMRef", description="The ManagedVM in this namespace that the request is for."
    )
    vm: RequestedVM | None = Field(
        default=None,
        description="The VM meant, where the request names one; it must be that ManagedVM's own.",
    )
    requested_by: Identity = Field(
        description="Who asked. Naming somebody other than the user who writes the record needs the verb `attest`."
    )
    channel: Channel = Field(description="How the request arrived.")
    origin: RecordOrigin = Field(default=RecordOrigin.PERSON, description="Who wrote this record.")
    applied_by: Identity | None = Field(
        default=None,
        description="The authenticated user who applied the YAML; only in records of the operator.",
    )
    ticket: ShortText | None = Field(
        default=None, description="Ticket number; without a helpdesk this record's name is the number."
    )
    description: LongText | None = Field(default=None, description="The request in the requester's words.")
    change: RequestedChange | None = Field(default=None, description="The change of configuration asked for.")
    wanted_at: Timestamp | None = Field(default=None, description="When the requester would like it done.")


class Slot(ApiModel):
    """When the work is planned."""

    begin: Timestamp = Field(description="Begin of the maintenance window, or now.")
    end: Timestamp = Field(description="End of the maintenance window.")


class Assessment(ApiModel):
    """What the contract makes of the request; written once."""

    clause: Annotated[str, Field(max_length=8)] = Field(description="The clause that decides.")
    billing: Billing = Field(description="Included in the package, or billed by effort.")
    reason: Annotated[str, Field(max_length=256)] = Field(description="Why, in a sentence.")
    assessed_at: Timestamp = Field(description="When it was decided.")


class ChangeRequestStatus(Status):
    """How far it got."""

    state: RequestState = Field(
        default=RequestState.ORDERED,
        description="Where the request stands; Ordered at birth, since the request is the order (clause 4).",
    )
    assessment: Assessment | None = Field(default=None, description="Clause and billing; written once.")
    slot: Slot | None = Field(default=None, description="When the work is planned.")
    started_at: Timestamp | None = Field(
        default=None, description="When work in the slot was begun; written before the VM is touched."
    )
    completed_at: Timestamp | None = Field(default=None, description="When a final state was reached.")


class ChangeRequest(Resource):
    """A request for a service: who asked for what, for which VM, through which channel. Immutable."""

    KIND: ClassVar[Kind] = Kind(
        kind="ChangeRequest",
        plural="changerequests",
        short="chg",
        scope="Namespaced",
        categories=("msp-records",),
        columns=(
            Column("VM", ".spec.managedVMRef.name"),
            Column("Aspect", ".spec.change.aspect"),
            Column("From", ".spec.change.before"),
            Column("To", ".spec.change.after"),
            Column("State", ".status.state"),
            Column("Billing", ".status.assessment.billing"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Requested-By", ".spec.requestedBy", wide=True),
            Column("Clause", ".status.assessment.clause", wide=True),
            Column("Slot", ".status.slot.begin", wide=True),
            Column("Channel", ".spec.channel", wide=True),
            Column("Ticket", ".spec.ticket", wide=True),
        ),
        selectable=(".spec.managedVMRef.name", ".spec.requestedBy", ".status.state"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 4: what was ordered is documented); write a new ChangeRequest",
            ),
            Rule(
                "self.spec.kind != 'ConfigurationChange' || self.spec.origin == 'Operator' || has(self.spec.description)",
                "spec.description: say what is asked for (clause 4: each request is documented)",
            ),
        ),
    )

    spec: ChangeRequestSpec = Field(description="What was asked. It never changes.")
    status: ChangeRequestStatus = Field(
        default=ChangeRequestStatus(), description="How far it got. It only advances."
    )
