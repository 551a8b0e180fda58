"""ChangeRequest: what was asked, by whom, for which VM. A record: its spec never changes, its status only advances."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from managedvm.api.base import (
    EXACT_INTEGER,
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
    """What kind of service is asked for; what each costs is decided in `planning.assessment`."""

    SUPPORT_QUESTION = "SupportQuestion"
    FAULT_REPORT = "FaultReport"
    CONFIGURATION_CHANGE = "ConfigurationChange"
    UPDATE_ORDER = "UpdateOrder"
    UPDATE_APPOINTMENT = "UpdateAppointment"
    DDOS_MITIGATION = "DDoSMitigation"
    SECURITY_CHECK = "SecurityCheck"
    MALWARE_REMOVAL = "MalwareRemoval"
    SOFTWARE_INSTALLATION = "SoftwareInstallation"
    CAPACITY_ADVICE = "CapacityAdvice"
    CLEAN_UP = "CleanUp"
    SUITABILITY_REVIEW = "SuitabilityReview"
    RESTORE = "Restore"


class SoftwareSource(StrEnum):
    """Where software that is to be installed comes from (clause 6.2)."""

    REPOSITORY = "Repository"
    ARCHIVE = "Archive"
    SOURCE_CODE = "SourceCode"


class PackageFormat(StrEnum):
    """The formats of packages that are installed (clause 6.2), as their files are named."""

    DEB = "deb"
    RPM = "rpm"


class Channel(StrEnum):
    """How the request reached the provider (clause 4: each is documented)."""

    GIT = "Git"
    HELPDESK = "Helpdesk"
    EMAIL = "Email"
    PHONE = "Phone"
    OTHER = "Other"


class RecordOrigin(StrEnum):
    """Who wrote the record: a person, or the operator for a person's YAML or for a ticket."""

    PERSON = "Person"
    OPERATOR = "Operator"
    HELPDESK = "Helpdesk"


class Billing(StrEnum):
    """Whether the package includes the work or it is billed by effort."""

    INCLUDED = "Included"
    EFFORT = "Effort"


class RequestState(StrEnum):
    """Where a request stands; derived from what was decided and done, and only ever moving on."""

    ORDERED = "Ordered"
    HELD = "Held"
    RELEASED = "Released"
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


class RequestedSoftware(ApiModel):
    """The software that is to be installed, and where it comes from (clause 6.2)."""

    name: ShortText = Field(description="Name of the package or product. Example: redis-server.")
    source: SoftwareSource = Field(
        description="Repository: a package repository; Archive: a file to unpack; SourceCode: to be compiled. "
        "Only a Repository is taken (clause 6.2)."
    )
    format: PackageFormat | None = Field(default=None, description="Format of the package: deb or rpm.")
    repository: Annotated[str, Field(min_length=8, max_length=512, pattern=r"^https?://[^@\s]+$")] | None = (
        Field(
            default=None,
            description="URL of the repository, without credentials. Example: https://deb.debian.org/debian.",
        )
    )
    is_freely_accessible: bool = Field(
        default=False, description="Whether everybody can use the repository without account, key or payment."
    )


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
    asked_at: Timestamp | None = Field(
        default=None,
        description="When it was asked, where this record was written later: after a telephone call, say. None means when "
        "it was written. Saying another time needs the verb `attest`; it lies at most 31 days back. Of a ticket it is when "
        "that was opened.",
    )
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
    software: RequestedSoftware | None = Field(
        default=None, description="What is to be installed; just where kind is SoftwareInstallation."
    )
    wanted_at: Timestamp | None = Field(
        default=None,
        description="When the requester would like it done; with an UpdateAppointment the time agreed on.",
    )


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


class AuthorityEntry(ApiModel):
    """The entry of the customer's list that answers: CustomerContacts spec.requesters[] by its keys."""

    email: Identity = Field(description="The entry's email.")
    from_: Timestamp = Field(alias="from", description="The entry's from.")


class RequestAuthority(ApiModel):
    """Whether the requester could order when it was asked; written once, so that it can be told later."""

    decided_at: Timestamp = Field(description="When it was decided.")
    may_proceed: bool = Field(description="Whether the request is worked on, or held.")
    may_order: bool = Field(
        default=True,
        description="Whether the requester could order what is billed. A fault is taken in from anybody: there "
        "mayProceed is true and this may be false, and work with a cause that is billed waits for a release.",
    )
    entry: AuthorityEntry | None = Field(
        default=None, description="The entry by which the requester may order; none where a policy decided."
    )
    explanation: Annotated[str, Field(max_length=512)] = Field(description="Why, in a sentence.")


class Release(ApiModel):
    """Why a request goes on that was held; written once."""

    released_at: Timestamp = Field(description="When it was released.")
    released_by: Identity | None = Field(
        default=None, description="Who released it; none where the customer's list or policy did."
    )
    decision_ref: LocalReference | None = Field(
        default=None, description="The RequestDecision that releases it, where there is one."
    )
    explanation: Annotated[str, Field(max_length=512)] = Field(description="Why, in a sentence.")


class Reaction(ApiModel):
    """The reaction that the service level promises, counted in its hours from when it was asked."""

    due_at: Timestamp = Field(
        description="Until when somebody reacts; by the level in force at intake, written once."
    )
    reacted_at: Timestamp | None = Field(
        default=None, description="When somebody did: begin of the first work, or a decision; written once."
    )
    is_missed: bool = Field(description="Whether nobody has reacted in time.")


class Recovery(ApiModel):
    """The recovery that the service level aims at, counted in its hours from the creation of a FaultReport."""

    due_at: Timestamp = Field(
        description="Until when the fault is to be mended; by the level in force at intake, written once."
    )
    recovered_at: Timestamp | None = Field(
        default=None, description="When the provider's staff said that it is mended; written once."
    )
    is_missed: bool = Field(description="Whether it was not mended in time.")


class InterruptionCause(StrEnum):
    """What a power cycle without its change means for the request."""

    REFUSED = "Refused"
    STOPPED = "Stopped"


class Interruption(ApiModel):
    """Why the VM is started again without its change; written before it is started, and gone with the next power cycle."""

    at: Timestamp = Field(description="When that was decided, with the VM off.")
    cause: InterruptionCause = Field(
        description="Refused: vCenter refuses the change, or does not start the VM with it, so the request ends once the "
        "VM runs. Stopped: something else stood in the way, so it waits for the next window."
    )
    message: Annotated[str, Field(max_length=512)] = Field(description="What stood in the way, in words.")


class RequestTicket(ApiModel):
    """The ticket of the request in the helpdesk; without a number it is wanted and not there yet."""

    asked_at: Timestamp = Field(description="When it was last looked for or asked for; written before that.")
    id: Annotated[int, Field(ge=1, le=EXACT_INTEGER)] | None = Field(
        default=None, description="The helpdesk's own id of the ticket; written once."
    )
    number: ShortText | None = Field(default=None, description="Ticket number; written once.")
    told: ShortText | None = Field(
        default=None, description="The news of the request that the ticket has, as its note is headed."
    )


class ChangeRequestStatus(Status):
    """How far it got."""

    state: RequestState = Field(
        default=RequestState.ORDERED,
        description="Where the request stands; Ordered at birth, since the request is the order (clause 4).",
    )
    assessment: Assessment | None = Field(default=None, description="Clause and billing; written once.")
    authority: RequestAuthority | None = Field(
        default=None, description="Whether the requester could order; written once."
    )
    release: Release | None = Field(
        default=None, description="Why it goes on after it was held; written once."
    )
    reaction: Reaction | None = Field(
        default=None, description="Whether somebody has reacted in time; for requests that people work on."
    )
    recovery: Recovery | None = Field(
        default=None, description="Whether the fault was mended in time; of a FaultReport."
    )
    slot: Slot | None = Field(default=None, description="When the work is planned.")
    started_at: Timestamp | None = Field(
        default=None, description="When work in the slot was begun; written before the VM is touched."
    )
    interruption: Interruption | None = Field(
        default=None, description="Why the VM was started again without the change, where it was."
    )
    completed_at: Timestamp | None = Field(
        default=None, description="When it came to its end; by a decision of somebody, when that was made."
    )
    ticket: RequestTicket | None = Field(
        default=None,
        description="Its ticket, where there is a helpdesk; nothing is billed before it is there.",
    )


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
            Column("Kind", ".spec.kind"),
            Column("Aspect", ".spec.change.aspect"),
            Column("To", ".spec.change.after"),
            Column("State", ".status.state"),
            Column("Billing", ".status.assessment.billing"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Requested-By", ".spec.requestedBy", wide=True),
            Column("Clause", ".status.assessment.clause", wide=True),
            Column("From", ".spec.change.before", wide=True),
            Column("Slot", ".status.slot.begin", wide=True),
            Column("React-By", ".status.reaction.dueAt", wide=True),
            Column("Missed", ".status.reaction.isMissed", type="boolean", wide=True),
            Column("Recover-By", ".status.recovery.dueAt", wide=True),
            Column("Channel", ".spec.channel", wide=True),
            Column("Ticket", ".spec.ticket", wide=True),
            Column("Helpdesk-Ticket", ".status.ticket.number", wide=True),
        ),
        selectable=(".spec.managedVMRef.name", ".spec.requestedBy", ".status.state"),
        rules=(
            Rule(
                "self.spec == oldSelf.spec",
                "spec: a record never changes (clause 4: what was ordered is documented); write a new ChangeRequest",
            ),
            Rule(
                "self.spec.origin == 'Operator' || has(self.spec.description)",
                "spec.description: say what is asked for (clause 4: each request is documented)",
            ),
            Rule(
                "has(self.spec.software) == (self.spec.kind == 'SoftwareInstallation')",
                "spec.software: name the software of a SoftwareInstallation, and of no other kind (clause 6.2: it "
                "matters where software comes from)",
            ),
            Rule(
                "!has(self.spec.change) || self.spec.kind == 'ConfigurationChange'",
                "spec.change: belongs to a ConfigurationChange only (clause 4.2); leave it out",
            ),
            Rule(
                "self.spec.kind != 'UpdateAppointment' || has(self.spec.wantedAt)",
                "spec.wantedAt: an update outside of the maintenance windows needs a time that was agreed on (clause "
                "5.1); name it, or order an UpdateOrder for the next window",
            ),
        ),
    )

    spec: ChangeRequestSpec = Field(description="What was asked. It never changes.")
    status: ChangeRequestStatus = Field(
        default=ChangeRequestStatus(), description="How far it got. It only advances."
    )

    @property
    def asked_at(self) -> datetime | None:
        """When it was asked: as the record says, and never after the record was there; None where neither is known."""
        created, said = self.metadata.creation_timestamp, self.spec.asked_at
        return min((one for one in (said, created) if one is not None), default=None)
