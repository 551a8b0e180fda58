"""The vocabulary that all kinds share: bounded types, references, conditions, and how a kind is declared.

Every field has a description (`kubectl explain` is the manual) and a bound (the API server can price each CEL rule).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

GROUP = "managedvm.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

APPLIED_BY = f"{GROUP}/applied-by"
"""The annotation into which a MutatingAdmissionPolicy stamps the authenticated user."""

LEDGER_LABEL = f"{GROUP}/ledger"
"""The label of a Namespace that holds records and can therefore not simply be deleted."""

OPERATOR_RECORD_PREFIX = "op-"
"""Names of records that only the operator may create start with this."""

EXACT_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON understands exactly."""

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
INSTANT = r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$"
DURATION = r"^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"
SIGNED_DURATION = r"^-?([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"


class ApiModel(BaseModel):
    """A part of an object as it stands in YAML: camelCase outside, frozen inside.

    Unknown fields are ignored, so that an older operator survives a newer CRD.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that the API server takes, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_duration(value: object) -> object:
    """Return the timedelta of a Go-style duration such as `1h30m`; anything else goes on to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(DURATION, value)
    if not value or match is None:
        raise ValueError(f"{value!r} is not a duration such as 30s, 90m or 1h30m")
    hours, minutes, seconds = (int(part[:-1]) if part else 0 for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def parse_signed_duration(value: object) -> object:
    """Return the timedelta of a Go-style duration that may be negative: `-1h30m`; anything else goes on to pydantic."""
    if isinstance(value, str) and value.startswith("-"):
        length = parse_duration(value[1:])
        return -length if isinstance(length, timedelta) else length
    return parse_duration(value)


def format_duration(value: timedelta) -> str:
    """Return a timedelta of whole seconds as `1h30m`; zero is `0s`, less than nothing `-1h30m`."""
    if value < timedelta():
        return f"-{format_duration(-value)}"
    minutes, seconds = divmod(int(value.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if number]
    return "".join(parts) or "0s"


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
NamespaceName = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
ShortText = Annotated[str, Field(min_length=1, max_length=128)]
LONGEST_TEXT = 2048
"""The longest text in somebody's own words."""
LongText = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Identity = Annotated[str, Field(min_length=1, max_length=254)]
"""A person or service as the API server authenticates it; for people usually their e-mail address."""
Uuid = Annotated[
    str, Field(min_length=36, max_length=36, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
]
PATH_RULE: dict[str, Any] = {
    "x-kubernetes-validations": [
        {
            "rule": "!(self + '/').contains('/../') && !(self + '/').contains('/./')",
            "message": "an inventory path goes down only, folder by folder (clause 1: a package serves its own VM): "
            "write it without . and ..",
        }
    ]
}
InventoryPath = Annotated[
    str, Field(min_length=2, max_length=512, pattern=r"^/[^/]+(/[^/]+)*$", json_schema_extra=PATH_RULE)
]
Timestamp = Annotated[
    AwareDatetime,
    # The format alone would let years and offsets pass that Python's datetime cannot hold.
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 35, "pattern": INSTANT}),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 16, "pattern": DURATION}),
]
SignedDuration = Annotated[
    timedelta,
    BeforeValidator(parse_signed_duration),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "minLength": 2, "maxLength": 17, "pattern": SIGNED_DURATION}),
]
"""A length of time that a counter-entry takes back, and is negative then."""
Money = Annotated[str, Field(max_length=16, pattern=r"^[0-9]{1,12}\.[0-9]{2}$")]
SignedMoney = Annotated[str, Field(max_length=16, pattern=r"^-?[0-9]{1,12}\.[0-9]{2}$")]
"""An amount that a counter-entry takes back, and is negative then."""
Hash = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
"""SHA-256, in hexadecimal digits."""
Percent = Annotated[str, Field(max_length=6, pattern=r"^[0-9]{1,3}(\.[0-9]{1,2})?$")]
Quantity = Annotated[str, Field(min_length=2, max_length=16, pattern=r"^[1-9][0-9]*(Mi|Gi|Ti)$")]
"""A size in whole binary units: memory and disks are sold and configured in them."""
IpAddress = Annotated[
    str,
    Field(
        min_length=3,
        max_length=39,
        pattern=r"^[0-9a-f.:]+$",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    # No name: what a name means, somebody else can change at any time.
                    "rule": "isIP(self) && ip.isCanonical(self) && ip(self).isGlobalUnicast()",
                    "message": "not the address of a host on a network: write an IPv4 or IPv6 address in its usual form, "
                    "no name and no loopback, link-local or multicast address (clause 1: a package serves its own VM)",
                }
            ]
        },
    ),
]
Network = Annotated[
    str,
    Field(
        min_length=4,
        max_length=43,
        pattern=r"^[0-9a-f.:]+/[0-9]{1,3}$",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "isCIDR(self) && cidr(self) == cidr(self).masked()",
                    "message": "not a network: write for example 192.0.2.0/24, with no bit set behind the prefix "
                    "(clause 1: a package serves its own VM)",
                }
            ]
        },
    ),
]
"""A network by its prefix, as `192.0.2.0/24`."""
SshPort = Annotated[int, Field(ge=1, le=65535)]
HostKey = Annotated[
    str,
    Field(
        min_length=40,
        max_length=1024,
        pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+={0,2}$",
    ),
]
"""A public key as OpenSSH writes it, without a comment: `ssh-ed25519 AAAA...`."""

NOT_PLACES = ("Factory", "Local", "localtime", "posixrules")
"""Names that lead to some file of a zone database and to no place: what they mean depends on the machine."""

NOT_PLACES_BELOW = ("posix/", "right/")
"""Copies of the whole database; those below `right/` count leap seconds."""

ZONE_RULE: dict[str, Any] = {
    "x-kubernetes-validations": [
        {
            # The API server takes whatever its zone database has a file for.
            "rule": "timestamp('2020-01-01T00:00:00Z').getHours(self) >= 0 && "
            f"!(self in {list(NOT_PLACES)}) && !self.contains('//') && "
            + " && ".join(f"!self.startsWith('{folder}')" for folder in NOT_PLACES_BELOW),
            "message": "not a time zone of the IANA database: write for example Europe/Berlin "
            "(clause 5.1: windows are local times)",
        }
    ]
}
TimeZone = Annotated[
    str,
    Field(
        min_length=3,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+/-]+$",
        json_schema_extra=ZONE_RULE,
    ),
]
WallTime = Annotated[str, Field(min_length=5, max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Weekday(StrEnum):
    """A day of the week, in the order of ISO 8601."""

    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


class WeeklyHours(ApiModel):
    """Hours that recur each week, as wall time in the zone named beside them."""

    days: Annotated[
        tuple[Weekday, ...],
        Field(min_length=1, max_length=7, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(description="The days on which these hours begin. Example: [Sat, Sun].")
    start: WallTime = Field(description="Begin as local wall time HH:MM. Example: '21:00'.")
    end: WallTime = Field(
        description="End as local wall time HH:MM; not after the start means the next day, "
        "and 00:00 to 00:00 the whole day. Example: '08:00'."
    )


class LocalReference(ApiModel):
    """A reference to an object by its name alone."""

    name: Name = Field(description="Name of the object that is referred to.")


class SecretReference(ApiModel):
    """A reference to a Secret in the namespace that the kind prescribes, never another one."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!has(self.__namespace__)",
                    "message": "namespace cannot be chosen (clause 1: a package serves its own VM): remove it; "
                    "the Secret must be in the namespace of the ManagedVM",
                }
            ]
        }
    )

    name: Name = Field(description="Name of the Secret; it holds the keys `username` and `password`.")
    namespace: NamespaceName | None = Field(
        default=None, description="Always refused: it is declared only so that the refusal can say why."
    )


class Condition(ApiModel):
    """One aspect of the observed state, as in the Kubernetes API conventions."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z]*$")] = Field(
        description="The aspect, in positive polarity."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the aspect holds.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")] = Field(
        description="One word out of the documented reasons."
    )
    message: Annotated[str, Field(max_length=1024)] = Field(
        description="The fact, its consequence, the next step, and the clause that it follows from."
    )
    last_transition_time: Timestamp = Field(description="When the status last changed, not the message.")
    observed_generation: Annotated[int, Field(ge=0, le=EXACT_INTEGER)] | None = Field(
        default=None, description="The generation of the spec that this statement is about."
    )


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=24,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def list_map(*keys: str) -> dict[str, Any]:
    """Return the schema keywords of a list whose items are named by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class Status(ApiModel):
    """What every kind with a status has in common."""

    observed_generation: Annotated[int, Field(ge=-1, le=EXACT_INTEGER)] = Field(
        default=-1,
        description="The generation last looked at, moved on failure too; -1 until the first look.",
    )
    conditions: Conditions = Field(default=(), description="The observed state, one entry per aspect.")


class ObjectMeta(ApiModel):
    """The part of an object's metadata that decisions use."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL validation rule at the root of a kind."""

    rule: str
    message: str
    optional_old_self: bool = False


def dated(field: str, what: str) -> tuple[Rule, Rule]:
    """Return the rules of a list under `spec` whose entries are valid from `from` until the next one's: `what` are they.

    What was done in the time of an entry is billed by it, so an entry stays as it is. That a new one does not begin in the
    past is for the policy `managedvm-dated-prices`: a rule has no clock.
    """
    return (
        Rule(
            f"oldSelf.spec.{field}.all(o, self.spec.{field}.exists(n, n == o))",
            f"spec.{field}: an entry is never changed or removed, what was done under it is billed by it (clause 4); "
            "add an entry with a later `from`",
        ),
        Rule(
            f"self.spec.{field}.all(a, self.spec.{field}.exists_one(b, timestamp(b.from) == timestamp(a.from)))",
            f"spec.{field}: two {what} begin at the same instant, so nobody can say which one is valid (clause 4); "
            "leave one of them out",
        ),
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A printer column; `wide` columns show with `-o wide` only."""

    name: str
    path: str
    type: Literal["string", "integer", "date", "boolean"] = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind is served: its names, its scope, and what the API server itself checks and shows."""

    kind: str
    plural: str
    short: str
    scope: Literal["Namespaced", "Cluster"]
    categories: tuple[str, ...]
    columns: Sequence[Column] = ()
    selectable: tuple[str, ...] = ()
    rules: Sequence[Rule] = ()
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def singular(self) -> str:
        """The lower-case name that `kubectl get` takes."""
        return self.kind.lower()


class Resource(ApiModel):
    """A whole object: metadata, spec and, where the kind has one, status."""

    KIND: ClassVar[Kind]

    metadata: ObjectMeta

    @classmethod
    def of(cls, body: dict[str, Any]) -> Self:
        """Return the model of an object as the API server sent it; raises pydantic's ValidationError."""
        return cls.model_validate(body)

    @property
    def key(self) -> str:
        """`namespace/name`, or the name alone where there is no namespace."""
        return "/".join(filter(None, (self.metadata.namespace, self.metadata.name)))
