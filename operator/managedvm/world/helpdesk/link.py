"""The way to the helpdesk of the Helpdesk object: its Secret, its port, and whether it is there.

While it is away only the Helpdesk's own pass knocks; everybody else is told so at once, so that a helpdesk that does not
answer holds up nothing else.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import SecretStr

from managedvm.api.helpdesk import HelpdeskSpec
from managedvm.api.tls import DEFAULT_CA_KEY
from managedvm.errors import (
    InvalidCredentialsError,
    NoPermissionError,
    NotActiveError,
    RefusedError,
    StaleError,
    StalledError,
    TlsNotTrustedError,
    UnknownOutcomeError,
    WaitingError,
)
from managedvm.planning.reasons import Reason
from managedvm.world.helpdesk.port import HelpdeskPort
from managedvm.world.helpdesk.zammad import Zammad
from managedvm.world.kube import Kube, NotFoundError
from managedvm.world.secrets import hidden, plain
from managedvm.world.vsphere.soap import tls_context

logger = logging.getLogger(__name__)

T = TypeVar("T")


class HelpdeskAwayError(WaitingError):
    """The helpdesk does not answer, or refuses us altogether; it is knocked at again, and who waits is told."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a person must act before the helpdesk can be used."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _Credentials:
    """What the Secret holds; no part of it is ever shown."""

    token: SecretStr
    webhook: SecretStr | None
    ca: str | None


class Link:
    """The one way to the helpdesk. `clock` is read when it goes away; `may_act` is asked before each mutating call."""

    def __init__(
        self, kube: Kube, *, namespace: str, clock: Callable[[], datetime], may_act: Callable[[], bool]
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._clock = clock
        self._may_act = may_act
        self._made_of: tuple[HelpdeskSpec, _Credentials] | None = None
        self._port: HelpdeskPort | None = None
        self.down_since: datetime | None = None
        self.why = ""
        self.trouble: Trouble | None = None
        self.is_up = False

    @property
    def webhook_secret(self) -> SecretStr | None:
        """The secret of the webhook, while one is known."""
        return self._made_of[1].webhook if self._made_of else None

    @property
    def port(self) -> HelpdeskPort:
        """The port to a helpdesk that answers; raises HelpdeskAwayError at once where it does not."""
        if self._port is None or not self.is_up:
            raise HelpdeskAwayError("the helpdesk is away")
        return self._port

    async def connect(self, spec: HelpdeskSpec) -> HelpdeskPort:
        """Return the port for the Helpdesk as it stands, with the Secret as it stands: a new token needs no restart.

        Raises:
            HelpdeskAwayError: the Secret is not usable; `trouble` says why.
        """
        try:
            credentials = await self._credentials(spec)
            if self._port is None or self._made_of != (spec, credentials):
                await self.close()
                self._port = Zammad(
                    spec.url,
                    credentials.token,
                    tls_context(credentials.ca),
                    group=spec.new_tickets.group,
                    attributes=spec.attributes.model_dump().values(),
                    may_act=self._may_act,
                )
                self._made_of = (spec, credentials)
        except (InvalidCredentialsError, TlsNotTrustedError) as error:
            is_missing = isinstance(error, InvalidCredentialsError)
            raise self._in_trouble(
                Reason.CREDENTIALS_MISSING if is_missing else Reason.TLS_NOT_TRUSTED, error
            ) from error
        return self._port

    async def close(self) -> None:
        """Close the connections; the webhook's secret is not known any more."""
        if self._port is not None:
            await self._port.close()
        self._port, self._made_of, self.is_up = None, None, False

    def is_back(self) -> bool:
        """Note that the helpdesk answers; returns whether it did not before."""
        was_away = not self.is_up
        self.is_up, self.down_since, self.why, self.trouble = True, None, "", None
        return was_away

    async def ask(self, call: Awaitable[T], *, is_vital: bool = False) -> T:
        """Return the answer of a call of the port; where a vital one is refused, nothing can be done with the helpdesk.

        Raises:
            HelpdeskAwayError: it does not answer, or takes nothing from us; from now on only `connect` gives the port.
            UnknownOutcomeError: as above, and what was sent may have had its effect.
            RefusedError, StaleError, NotActiveError: this one call was refused.
        """
        try:
            return await call
        except (RefusedError, StaleError, NotActiveError) as error:
            if is_vital and isinstance(error, RefusedError):
                raise self._in_trouble(Reason.REFUSED, error) from error
            raise
        except StalledError as error:
            raise self._in_trouble(_REASONS.get(type(error), Reason.REFUSED), error) from error
        except WaitingError as error:
            self.is_up, self.why = False, str(error)
            self.down_since = self.down_since or self._clock()
            logger.warning("The helpdesk is away: %s", error)
            if isinstance(error, UnknownOutcomeError):
                raise
            raise HelpdeskAwayError(f"the helpdesk is away: {error}") from error

    def _in_trouble(self, reason: Reason, error: StalledError) -> HelpdeskAwayError:
        self.is_up, self.trouble = False, Trouble(reason, str(error))
        logger.warning("The helpdesk cannot be used: %s", error)
        return HelpdeskAwayError(str(error))

    async def _credentials(self, spec: HelpdeskSpec) -> _Credentials:
        name = spec.credentials_secret_ref.name
        try:
            secret = await self._kube.get("Secret", self._namespace, name)
        except NotFoundError:
            raise InvalidCredentialsError(
                f"Secret {self._namespace}/{name} is missing. Create it with token, webhookSecret and ca.crt"
            ) from None
        token, webhook = hidden(secret, "token"), hidden(secret, "webhookSecret")
        if not token:
            raise InvalidCredentialsError(f"Secret {self._namespace}/{name} needs the key token")
        ca = plain(secret, spec.tls.ca_key) or None
        if ca is None and spec.tls.ca_key != DEFAULT_CA_KEY:
            raise InvalidCredentialsError(
                f"Secret {self._namespace}/{name} has no key {spec.tls.ca_key}, and spec.tls.caKey asks for it"
            )
        return _Credentials(SecretStr(token), SecretStr(webhook) if webhook else None, ca)


_REASONS = {
    InvalidCredentialsError: Reason.INVALID_CREDENTIALS,
    NoPermissionError: Reason.NO_PERMISSION,
    TlsNotTrustedError: Reason.TLS_NOT_TRUSTED,
}
