"""Every reason there is. A reason knows its effect on the whole: None, Reconciling (time will help) or Stalled (a person must act)."""

from enum import Enum


class Effect(Enum):
    """What a finding means for Ready: nothing, time will help, or a person must act."""

    NONE = 0
    RECONCILING = 1
    STALLED = 2


class Reason(Enum):
    """Every reason that a condition or an Event can have, with its effect and what it means."""

    AS_PROMISED = (
        "AsPromised",
        Effect.NONE,
        "Everything that this version keeps is as the contract promises.",
    )
    IN_FORCE = ("InForce", Effect.NONE, "An order is in force.")
    NOT_YET_IN_FORCE = (
        "NotYetInForce",
        Effect.NONE,  # months may pass, and a pipeline that waits for Ready must not wait for them
        "The order starts later; nothing is done before.",
    )
    ORDER_ENDED = ("OrderEnded", Effect.STALLED, "The last order has ended; nothing is done any more.")
    SERVICE_LEVEL_UNKNOWN = (
        "ServiceLevelUnknown",
        Effect.STALLED,
        "The order names a ServiceLevel that is not there.",
    )
    CUSTOMER_UNKNOWN = (
        "CustomerUnknown",
        Effect.STALLED,
        "The Customer is not there or has no VMs in this namespace.",
    )
    PACKAGE_ACTIVE = ("PackageActive", Effect.NONE, "A managed service package is active.")
    NO_PACKAGE_BOOKED = (
        "NoPackageBooked",
        Effect.NONE,
        "No package is booked, and the service level needs none.",
    )
    PACKAGE_MISSING = (
        "PackageMissing",
        Effect.STALLED,
        "The service level needs a package and none is booked.",
    )
    VM_FOUND = ("VMFound", Effect.NONE, "The VM is in the inventory.")
    MISSING_VM = ("MissingVM", Effect.STALLED, "A healthy inventory does not have the VM.")
    AMBIGUOUS_PATH = ("AmbiguousPath", Effect.STALLED, "The inventory path names more than one VM.")
    VM_NOT_CONNECTED = (
        "VMNotConnected",
        Effect.RECONCILING,
        "vCenter has lost sight of the VM; nothing is concluded.",
    )
    IS_TEMPLATE = ("IsTemplate", Effect.STALLED, "The path names a template, which is no VM.")
    VCENTER_UNKNOWN = ("VCenterUnknown", Effect.STALLED, "The VCenter object is not there.")
    VCENTER_UNREACHABLE = (
        "VCenterUnreachable",
        Effect.RECONCILING,
        "The vCenter cannot be read; nothing is concluded.",
    )
    IDENTITY_CHANGED = (
        "IdentityChanged",
        Effect.STALLED,
        "The path or the vCenter now means another VM; all is frozen.",
    )
    CLAIM_HELD = ("ClaimHeld", Effect.NONE, "This ManagedVM holds the claim to its VM.")
    CLAIM_PENDING = ("ClaimPending", Effect.RECONCILING, "The claim is being made.")
    CLAIM_NOT_NEEDED = ("ClaimNotNeeded", Effect.NONE, "Observe mode claims nothing.")
    CONFLICT = ("Conflict", Effect.STALLED, "Another ManagedVM holds the claim to this VM.")
    NOT_GRANTED = ("NotGranted", Effect.STALLED, "The VCenter grants this namespace no VM below that folder.")
    PERMITTED = ("Permitted", Effect.NONE, "Changes are permitted.")
    OBSERVE_ONLY = ("ObserveOnly", Effect.NONE, "Observe mode: everything is decided, nothing is done.")
    SUSPENDED = ("Suspended", Effect.NONE, "Suspended by spec.suspend: nothing is decided.")
    BEING_DELETED = ("BeingDeleted", Effect.STALLED, "The object is deleted; only a finalizer keeps it.")
    POLICY_BINDING_MISSING = (
        "PolicyBindingMissing",
        Effect.STALLED,
        "An admission policy is missing, or not bound as it ships.",
    )
    LEDGER_UNPROTECTED = ("LedgerUnprotected", Effect.STALLED, "The Namespace is not protected as a ledger.")
    TOOLS_RUNNING = ("ToolsRunning", Effect.NONE, "VMware Tools run.")
    TOOLS_NOT_RUNNING = (
        "ToolsNotRunning",
        Effect.STALLED,
        "VMware Tools do not run, so HA cannot see the guest fail.",
    )
    POWERED_OFF = ("PoweredOff", Effect.NONE, "The VM is powered off.")
    HA_AS_PROMISED = (
        "HighAvailabilityAsPromised",
        Effect.NONE,
        "vSphere HA is set as the service level says.",
    )
    HA_DRIFT = (
        "HighAvailabilityDrift",
        Effect.STALLED,
        "vSphere HA is not set as promised and we may not repair it.",
    )
    HA_REPAIRING = (
        "HighAvailabilityRepairing",
        Effect.RECONCILING,
        "vSphere HA was set differently; it is repaired.",
    )
    CLUSTER_DRIFT = (
        "ClusterDrift",
        Effect.STALLED,
        "The cluster is not set so that vSphere HA keeps the promise.",
    )
    NOT_IN_CLUSTER = (
        "NotInCluster",
        Effect.STALLED,
        "The VM is on no cluster, so vSphere HA cannot restart it.",
    )
    LEVELS_DISAGREE = (
        "ServiceLevelsDisagree",
        Effect.STALLED,
        "Service levels of VMs in one cluster ask for different cluster-wide values.",
    )
    NO_RESTARTS = ("NoRestarts", Effect.NONE, "vSphere HA has not restarted the VM lately.")
    RESTARTED = (
        "RestartedByHA",
        Effect.NONE,
        "vSphere HA has restarted the VM; fewer times in a row than the limit.",
    )
    RESTART_LIMIT = (
        "RestartLimitReached",
        Effect.STALLED,
        "vSphere HA has restarted the VM as often as is allowed.",
    )
    RESOURCES_AS_AGREED = ("AsAgreed", Effect.NONE, "The VM has the agreed size.")
    NO_SIZE_AGREED = ("NoSizeAgreed", Effect.NONE, "The ManagedVM names no size.")
    ADOPTION_PENDING = (
        "AdoptionPending",
        Effect.NONE,
        "The VM found differs from the YAML; done only after a spec.change.",
    )
    EXCEEDS_SPEC = (
        "ResourcesExceedSpec",
        Effect.NONE,
        "The VM is larger than agreed; never shrunk or billed by itself.",
    )
    BELOW_SPEC = (
        "ResourcesBelowSpec",
        Effect.STALLED,
        "The VM is smaller than agreed and no open order covers it.",
    )
    DISK_MISSING = ("DiskMissing", Effect.STALLED, "The VM has no disk at that device node.")
    DISK_CANNOT_SHRINK = ("DiskCannotShrink", Effect.STALLED, "A disk can only grow.")
    CHANGE_ID_REUSED = (
        "ChangeIDReused",
        Effect.STALLED,
        "The id of the order slip was used for another change.",
    )
    ORDER_USED_UP = (
        "OrderUsedUp",
        Effect.STALLED,
        "The order slip led to a request that was refused or withdrawn.",
    )
    CHANGE_IN_PROGRESS = ("ChangeInProgress", Effect.RECONCILING, "The change is being carried out.")
    CHANGE_FAILED = ("ChangeFailed", Effect.STALLED, "vCenter has refused the change.")
    WAITING_FOR_WINDOW = ("WaitingForWindow", Effect.NONE, "The change waits for a maintenance window.")
    NO_WINDOW = ("NoWindow", Effect.STALLED, "No maintenance window is agreed in which the change fits.")
    RESTART_NOT_ALLOWED = (
        "RestartNotAllowed",
        Effect.STALLED,
        "The change needs a power cycle, which is not allowed.",
    )
    VM_SUSPENDED = ("VMSuspended", Effect.STALLED, "A suspended VM takes no change.")
    LEFT_POWERED_OFF = (
        "LeftPoweredOff",
        Effect.STALLED,
        "The VM is off because we have shut it down for a change, and it does not start or may not be started now.",
    )
    SHUTDOWN_TIMED_OUT = (
        "GuestShutdownTimedOut",
        Effect.NONE,
        "The guest has not shut down; we pull no plug.",
    )
    REQUEST_HELD = ("RequestHeld", Effect.STALLED, "The requester may not order this for the customer.")
    PRICE_UNKNOWN = ("PriceUnknown", Effect.STALLED, "No price is valid for work that must be billed.")
    NOT_BILLED = (
        "NotBilled",
        Effect.STALLED,
        "A change has taken effect and cannot be billed as it stands.",
    )
    NO_ACTIVE_PACKAGE = (
        "NoActiveServicePackage",
        Effect.STALLED,
        "Services on request need an active package.",
    )
    OUT_OF_SCOPE_VM = ("OutOfScopeVM", Effect.STALLED, "A request reaches only the VM of its ManagedVM.")
    DOCUMENTED = ("Documented", Effect.NONE, "The request is documented and waits for a technician.")
    RELEASED = (
        "Released",
        Effect.NONE,
        "Somebody who may order has released what the requester could not order.",
    )
    WITHDRAWN = ("Withdrawn", Effect.NONE, "Somebody who may has withdrawn the request.")
    NOT_FROM_STANDARD_SOURCE = (
        "NotFromStandardSource",
        Effect.STALLED,
        "Software comes only as .deb or .rpm from freely accessible repositories.",
    )
    REACTION_MISSED = (
        "ReactionMissed",
        Effect.STALLED,
        "Nobody has reacted to a request within the time of the service level.",
    )
    AVAILABILITY_KEPT = (
        "AvailabilityKept",
        Effect.NONE,
        "No more downtime has counted this year than the service level allows.",
    )
    AVAILABILITY_MISSED = (
        "AvailabilityMissed",
        Effect.NONE,
        "More downtime has counted this year than the service level allows; nothing can mend that.",
    )
    RECOVERY_MISSED = (
        "RecoveryMissed",
        Effect.STALLED,
        "A fault was not mended within the recovery time of the service level.",
    )
    SCHEDULED = ("Scheduled", Effect.NONE, "The request has a slot.")
    IN_WORK = ("InWork", Effect.RECONCILING, "The request is being worked on.")
    DONE = ("Done", Effect.NONE, "The request is done.")
    TARGET_CHANGED = (
        "TargetChanged",
        Effect.NONE,
        "What was asked for is no longer wanted; nothing was done or billed.",
    )
    TARGET_GONE = ("TargetGone", Effect.NONE, "The ManagedVM or its VM is gone; nothing was done or billed.")
    ALREADY_IN_PLACE = (
        "AlreadyInPlace",
        Effect.NONE,
        "The VM has the wanted value by somebody else's hand; not billed.",
    )
    WORK_ACCEPTED = ("WorkAccepted", Effect.NONE, "The work is accepted, and its price stands.")
    WORK_PENDING = (
        "WorkPending",
        Effect.RECONCILING,
        "Whether the work is accepted depends on a record that is decided first.",
    )
    OVERLAP = (
        "Overlap",
        Effect.STALLED,
        "The person has recorded other work at the same time; this entry is not billed.",
    )
    UNKNOWN_RECORD = ("UnknownRecord", Effect.STALLED, "The record that the entry names is not there.")
    FOREIGN_RECORD = ("ForeignRecord", Effect.STALLED, "A counter-entry names a record of another request.")
    FUTURE_WORK = ("FutureWork", Effect.STALLED, "The work ends after it was recorded.")
    NOT_ORDERED = (
        "NotOrdered",
        Effect.STALLED,
        "Nobody who may had ordered the work: the request was refused, asked later, ended before, or never released.",
    )
    TAKEN_BACK = ("TakenBack", Effect.NONE, "A counter-entry takes the work back; it is not billed.")
    CONNECTED = ("Connected", Effect.NONE, "The vCenter is connected and its inventory complete.")
    CONNECTING = (
        "Connecting",
        Effect.RECONCILING,
        "The vCenter is being connected; where its spec was changed, the connection before serves until then.",
    )
    CREDENTIALS_MISSING = (
        "CredentialsMissing",
        Effect.STALLED,
        "The Secret with the credentials is not usable.",
    )
    NO_PERMISSION = (
        "NoPermission",
        Effect.STALLED,
        "The vCenter refuses our user a privilege, or the API server our account a rule; the message says which.",
    )
    INVALID_CREDENTIALS = (
        "InvalidCredentials",
        Effect.STALLED,
        "The vCenter refuses our user name or password.",
    )
    TLS_NOT_TRUSTED = ("TlsNotTrusted", Effect.STALLED, "The vCenter's certificate is not trusted.")
    CLUSTERS_AS_PROMISED = (
        "ClustersAsPromised",
        Effect.NONE,
        "All clusters are set so that vSphere HA keeps the promise.",
    )
    HELPDESK_REACHABLE = ("HelpdeskReachable", Effect.NONE, "The helpdesk answers.")
    HELPDESK_UNREACHABLE = (
        "HelpdeskUnreachable",
        Effect.RECONCILING,
        "The helpdesk does not answer; what it has to know waits.",
    )
    TICKETS_DOCUMENTED = ("TicketsDocumented", Effect.NONE, "Every ticket is documented as a ChangeRequest.")
    TICKETS_HELD = (
        "TicketsHeld",
        Effect.STALLED,
        "Tickets do not say which VM they are about, or what is asked for; a note in each says so.",
    )
    TICKET_MISSING = (
        "TicketMissing",
        Effect.RECONCILING,
        "The request has no ticket in the helpdesk yet, and nothing is billed before.",
    )
    HOST_KEY_GIVEN = (
        "HostKeyGiven",
        Effect.NONE,
        "The guest must show over SSH the host key that the spec names.",
    )
    HOST_KEY_PINNED = (
        "HostKeyPinned",
        Effect.NONE,
        "The host key of the first contact over SSH is kept; no other is accepted.",
    )
    HOST_KEY_AWAITED = (
        "HostKeyAwaited",
        Effect.NONE,
        "The guest has not been met over SSH yet; nothing is sent to it before.",
    )
    HOST_KEY_CHANGED = (
        "HostKeyChanged",
        Effect.STALLED,
        "The guest shows another host key than the one that is trusted; nothing is sent to it.",
    )
    GUEST_NETWORK_NOT_GRANTED = (
        "GuestNetworkNotGranted",
        Effect.STALLED,
        "The VCenter lets the operator open no SSH connection to that address.",
    )
    SNAPSHOT_IN_PROGRESS = ("SnapshotInProgress", Effect.RECONCILING, "vCenter is at a snapshot of ours.")
    SNAPSHOT_TAKEN = ("SnapshotTaken", Effect.NONE, "There is a way back; the message says how good.")
    SNAPSHOT_REVERTED = ("SnapshotReverted", Effect.NONE, "The VM is as it was before the change.")
    SNAPSHOT_REMOVED = ("SnapshotRemoved", Effect.NONE, "No snapshot of ours is left.")
    SNAPSHOT_REFUSED = ("SnapshotRefused", Effect.STALLED, "vCenter has refused a snapshot; tried again.")
    SNAPSHOT_IN_THE_WAY = ("SnapshotInTheWay", Effect.STALLED, "Another snapshot keeps us from taking ours.")
    SNAPSHOT_LOST = (
        "SnapshotLost",
        Effect.STALLED,
        "Somebody has removed our snapshot; no way back is left.",
    )
    SNAPSHOT_TOO_OLD = ("SnapshotTooOld", Effect.STALLED, "A snapshot of ours is older than it should get.")
    SNAPSHOT_TOO_LARGE = ("SnapshotTooLarge", Effect.STALLED, "A snapshot of ours fills the datastore.")
    CONSOLIDATION_NEEDED = ("ConsolidationNeeded", Effect.STALLED, "Disks of removed snapshots are left.")
    INVALID_SPEC = ("InvalidSpec", Effect.STALLED, "The object does not fit this version of the operator.")
    WAITING = ("Waiting", Effect.RECONCILING, "A call did not get through; it is tried again.")
    REFUSED = ("Refused", Effect.STALLED, "vCenter or the API server has refused a call.")
    INTERNAL_ERROR = ("InternalError", Effect.STALLED, "A bug of the operator; its log has the trace.")

    def __init__(self, word: str, effect: Effect, meaning: str) -> None:
        self.word = word
        self.effect = effect
        self.meaning = meaning
