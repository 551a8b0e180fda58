"""How kopf is used: it watches, starts and cleans up. Every body is one call; nothing is decided here.

Per-object timers, daemons, indices and change handlers are left out on purpose: each costs writes and memory per object
(docs/decisions/0001-kopf-for-events-only.md).
"""

from typing import Any, Protocol

import kopf

from managedvm.api.base import GROUP, VERSION
from managedvm.api.kinds import KINDS, UNWATCHED

_ADMISSION = ("admissionregistration.k8s.io", "v1")

WATCHED: tuple[tuple[str, str, str], ...] = (
    *((GROUP, VERSION, kind.KIND.plural) for kind in KINDS if kind.KIND.kind not in UNWATCHED),
    ("", "v1", "namespaces"),
    (*_ADMISSION, "validatingadmissionpolicies"),
    (*_ADMISSION, "validatingadmissionpolicybindings"),
    (*_ADMISSION, "mutatingadmissionpolicies"),
    (*_ADMISSION, "mutatingadmissionpolicybindings"),
)
"""What is watched: group, version, plural."""


class Process(Protocol):
    """What handlers call."""

    async def start(self) -> None:
        """Start the engine; watching has not begun yet."""

    async def stop(self) -> None:
        """Stop the engine in an orderly way."""

    async def saw(self, body: dict[str, Any], *, is_gone: bool) -> None:
        """Take notice of an object."""


def registry(process: Process) -> kopf.OperatorRegistry:
    """Return the handlers of one process."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await process.start()

    @kopf.on.cleanup(registry=handlers)
    async def stop(**_: Any) -> None:
        await process.stop()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    async def saw(event: kopf.RawEvent, **_: Any) -> None:
        await process.saw(dict(event["object"]), is_gone=event["type"] == "DELETED")

    for group, version, plural in WATCHED:
        kopf.on.event(group, version, plural, registry=handlers, id=f"saw-{plural}")(saw)
    return handlers


class _NoDiffs(kopf.DiffBaseStorage):
    """Remembers no former state. kopf would copy each object on each event, to compare what no handler asks about."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return an object's essence: nothing."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return the essence that was stored: none."""

    def store(self, **_: Any) -> None:
        """Store nothing."""


def configure(settings: kopf.OperatorSettings) -> None:
    """Set kopf for tens of thousands of objects and for nothing but watching."""
    settings.scanning.disabled = (
        True  # what we watch is fixed, so CRDs and namespaces need not be followed for it
    )
    settings.posting.enabled = False  # `report` is the one pen
    settings.peering.standalone = True  # a Lease elects, see engine.lease
    settings.watching.chunk_size = 500  # a list of everything in one answer would block the loop
    settings.watching.initial_streaming = True  # and a streamed one needs no big answer on either side
    settings.watching.server_timeout = 270
    settings.watching.client_timeout = 285
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    # Each event leaves a task behind for so long, which holds the parsed object; a limit of tasks would make objects
    # wait for them to end, parsed, all of a list.
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.process.ultimate_exiting_timeout = 25  # below the pod's terminationGracePeriodSeconds
