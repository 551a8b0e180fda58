"""A daemon of the lab: how it is started, and how it is known to serve."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import processes
from lab.errors import DeadlineError, LabError
from lab.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.facts import Lab
    from lab.pki import Pair


@dataclass(frozen=True, slots=True)
class Daemon:
    """One program of the lab that runs until it is stopped."""

    name: str
    command: Callable[[], tuple[str, ...]]
    """Makes what it needs and returns how it is started; called only when it is."""
    serves: Callable[[], bool]
    """Whether it answers; asked until it does."""
    patience: float
    """Seconds after which a daemon that does not serve is an error."""
    grace: float = 20
    """Seconds it may take to end by itself."""


def launch(lab: Lab, daemon: Daemon) -> None:
    """Start a daemon unless it lives; it need not serve yet.

    Raises:
        LabError: its program could not be started.
    """
    if lab.process(daemon.name) is None:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(lab.directory)}
        processes.start(
            daemon.command(), env=environment, log=lab.log(daemon.name), pid_file=lab.pid_file(daemon.name)
        )


def await_serving(lab: Lab, daemon: Daemon) -> None:
    """Return when a launched daemon serves.

    Raises:
        LabError: it ended, or does not serve in its time; the message holds the end of its log.
    """

    def serves_or_died() -> bool:
        if lab.process(daemon.name) is None:
            raise LabError(f"{daemon.name} ended:\n{processes.tail(lab.log(daemon.name))}")
        return daemon.serves()

    try:
        wait_until(serves_or_died, f"{daemon.name} to serve", seconds=daemon.patience)
    except DeadlineError as late:
        raise LabError(f"{late}:\n{processes.tail(lab.log(daemon.name))}") from late


def answers(url: str, *, authority: Path | None = None, pair: Pair | None = None) -> bool:
    """Say whether a health endpoint answers 200 within a second."""
    context = None
    if authority is not None:
        context = ssl.create_default_context(cafile=str(authority))
        if pair is not None:
            context.load_cert_chain(pair.certificate, pair.key)
    try:
        with urllib.request.urlopen(url, timeout=1, context=context) as response:  # noqa: S310 - our own daemons
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except OSError:
        return False
