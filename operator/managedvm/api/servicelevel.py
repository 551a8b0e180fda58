"""ServiceLevel: one category of the SLA as data, changed by the provider, never written in code."""

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from managedvm.api.base import (
    ApiModel,
    Column,
    Duration,
    Kind,
    Resource,
    Rule,
    ShortText,
    TimeZone,
    WeeklyHours,
)

Hours = Annotated[
    tuple[WeeklyHours, ...], Field(max_length=14, json_schema_extra={"x-kubernetes-list-type": "atomic"})
]


class PackageRequirement(StrEnum):
    """Whether a VM of this level needs a managed service package (clause 1)."""

    OPTIONAL = "Optional"
    MANDATORY = "Mandatory"


class RestartPriority(StrEnum):
    """The order in which vSphere HA restarts VMs, in vSphere's own terms."""

    LOWEST = "Lowest"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    HIGHEST = "Highest"


class ServiceHours(ApiModel):
    """When the provider can be reached for faults (clause 4.1)."""

    time_zone: TimeZone = Field(description="IANA time zone of the hours. Example: Europe/Berlin.")
    hours: Hours = Field(description="The hours of intake; reaction clocks run only inside them.")


class Maintenance(ApiModel):
    """When work that disturbs a VM may be done (clause 5.1)."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.agreedIndividually != (has(self.windows) && size(self.windows) > 0)",
                    "message": "windows: list at least one window, or set agreedIndividually and list none (clause 5.1)",
                }
            ]
        }
    )

    time_zone: TimeZone = Field(description="IANA time zone of the windows. Example: Europe/Berlin.")
    windows: Hours = Field(default=(), description="The maintenance windows of this level.")
    agreed_individually: bool = Field(
        default=False,
        description="True where each VM has windows of its own, agreed with the customer in spec.maintenance.",
    )
    announce_to_customer: bool = Field(
        default=False, description="Whether a maintenance is announced to the customer by e-mail."
    )
    announce_days_before: Annotated[int, Field(ge=0, le=60)] = Field(
        default=0, description="How many local days before its begin a maintenance is announced."
    )


def _bounded(field: str, least: str, most: str, example: str) -> dict[str, Any]:
    """Return the CEL rule that a duration lies in bounds, with what to write in its place."""
    return {
        "rule": f"duration(self.{field}) >= duration('{least}') && duration(self.{field}) <= duration('{most}')",
        "message": f"{field}: must be {least} to {most} (clause 5.2); write for example {example}",
        "fieldPath": f".{field}",
    }


class HighAvailability(ApiModel):
    """What vSphere HA is set to for every VM of this level, with or without a package (clause 5.2)."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                _bounded(
                    "heartbeatFailureInterval",
                    "10s",
                    "10m",
                    "30s, and never 0s: each moment would be a failure",
                ),
                {
                    "rule": "duration(self.ioQuietInterval) == duration('120s')",
                    "message": "ioQuietInterval: the contract says 120s without disk and network activity (clause 5.2); "
                    "write 120s",
                    "fieldPath": ".ioQuietInterval",
                },
                _bounded(
                    "minimumUptime", "30s", "1h", "120s, and never 0s: a VM that starts would be restarted"
                ),
                _bounded(
                    "streakEndsAfter",
                    "10m",
                    "168h",
                    "1h, and never 0s: each restart would be the first, and the third in a row never come",
                ),
                {
                    "rule": "self.maximumRestarts <= 3",
                    "message": "maximumRestarts: a VM is restarted at most 3 times in a row (clause 5.2); write 3 or less",
                    "fieldPath": ".maximumRestarts",
                },
            ]
        }
    )

    restart_priority: RestartPriority = Field(description="Restart priority of the VM in its cluster.")
    heartbeat_failure_interval: Duration = Field(
        description="How long the VMware Tools heartbeat may fail before the I/O check (failureInterval)."
    )
    io_quiet_interval: Duration = Field(
        description="How long there must be no disk or network activity as well "
        "(cluster option das.iostatsInterval): 120s, as the contract says."
    )
    minimum_uptime: Duration = Field(
        description="How long after power-on VM monitoring waits for the first heartbeat (minUpTime)."
    )
    maximum_restarts: Annotated[int, Field(ge=1, le=10)] = Field(
        description="How often in a row a VM is restarted at most (maxFailures): 3 as the contract says, or less."
    )
    streak_ends_after: Duration = Field(
        description="How long the heartbeat must be green before the next restart counts as the first again."
    )


class ServiceLevelSpec(ApiModel):
    """The promises of one category."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"duration(self.{field}) > duration('0s')",
                    "message": f"{field}: nobody can keep 0s (clause 4.1: what is promised depends on the service level); "
                    f"write for example {example}",
                    "fieldPath": f".{field}",
                }
                for field, example in (("reactionTime", "30m"), ("recoveryTime", "2h"))
            ]
        }
    )

    display_name: ShortText = Field(description="Name as the customer knows it. Example: Premium.")
    availability_percent: Annotated[
        str, Field(max_length=7, pattern=r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)$")
    ] = Field(description="Promised availability over a year. Example: '99.98'.")
    maximum_downtime_per_year: Duration = Field(description="Longest downtime in a year. Example: 1h45m.")
    fault_intake: ServiceHours = Field(description="When faults are taken in (clause 4.1).")
    reaction_time: Duration = Field(description="Time from intake to reaction, inside the intake hours.")
    recovery_time: Duration = Field(description="Target time from intake to recovery.")
    maintenance: Maintenance = Field(description="When and how maintenance is done (clause 5.1).")
    high_availability: HighAvailability = Field(description="The vSphere HA settings (clause 5.2).")
    service_package: PackageRequirement = Field(
        description="Whether a managed service package is mandatory at this level (clause 1)."
    )


class ServiceLevel(Resource):
    """One category of the service level agreement (Basic, Standard, Professional, Premium) as data."""

    KIND: ClassVar[Kind] = Kind(
        kind="ServiceLevel",
        plural="servicelevels",
        short="slvl",
        scope="Cluster",
        categories=("msp",),
        columns=(
            Column("Availability", ".spec.availabilityPercent", description="Promised availability, percent"),
            Column("Reaction", ".spec.reactionTime"),
            Column("Recovery", ".spec.recoveryTime"),
            Column("Package", ".spec.servicePackage", description="Whether a package is mandatory"),
            Column("HA-Priority", ".spec.highAvailability.restartPriority"),
            Column("Age", ".metadata.creationTimestamp", type="date"),
            Column("Heartbeat", ".spec.highAvailability.heartbeatFailureInterval", wide=True),
        ),
        rules=(
            Rule(
                "self.metadata.name.matches('^[a-z][a-z0-9-]{0,62}$')",
                "metadata.name: use a short lower-case name; orders refer to it in spec.orders[].serviceLevel (clause 1)",
            ),
        ),
    )

    spec: ServiceLevelSpec = Field(description="The promises of this category.")
