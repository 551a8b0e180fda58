"""Moving one file over the URL that a vCenter hands out for it: one request, never repeated."""

from __future__ import annotations

from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from managedvm.errors import RefusedError, UnknownOutcomeError, UnreachableError
from managedvm.world.vsphere.faults import error_of_connection

if TYPE_CHECKING:
    import ssl


class Transfer:
    """Moves files of guests. The URL is the right to one transfer: it is in no message and no log."""

    def __init__(self, host: str, context: ssl.SSLContext, seconds: float) -> None:
        """Keep what every transfer needs.

        Args:
            host: The vCenter's own, for the URLs that leave the host open.
            context: Whom to trust; URLs may lead to an ESXi host, whose certificate the vCenter's authority signs.
            seconds: How long to wait for each part of an answer.
        """
        self._host = host
        self._context = context
        self._seconds = seconds

    def get(self, url: str, most_bytes: int) -> bytes:
        """Return the content behind `url`.

        Raises:
            RefusedError: it is larger than `most_bytes`.
            UnreachableError, TlsNotTrustedError: it cannot be had.
        """
        connection, path = self._connect(url)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            content = response.read(most_bytes + 1)
        except (OSError, HTTPException) as error:
            raise UnreachableError(f"a file could not be fetched: {type(error).__name__}") from None
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise UnreachableError(f"a file could not be fetched: {_answer(response)}")
        if len(content) > most_bytes:
            raise RefusedError(f"a file is larger than {most_bytes} bytes")
        return content

    def put(self, url: str, content: bytes) -> None:
        """Send `content` to `url`.

        Raises:
            UnreachableError, TlsNotTrustedError: nothing was sent.
            UnknownOutcomeError: the guest did not say that the file is there.
        """
        connection, path = self._connect(url)
        try:
            connection.request("PUT", path, content, {"Content-Type": "application/octet-stream"})
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            raise UnknownOutcomeError(f"a file may not have arrived: {type(error).__name__}") from None
        finally:
            connection.close()
        if response.status != HTTPStatus.OK:
            raise UnknownOutcomeError(f"a file did not arrive: {_answer(response)}")

    def _connect(self, url: str) -> tuple[HTTPSConnection, str]:
        parts = urlsplit(url.replace("://*", f"://{self._host}", 1))
        if parts.scheme != "https" or parts.hostname is None:
            raise RefusedError("the vCenter named a transfer that is not encrypted")
        connection = HTTPSConnection(parts.hostname, parts.port, timeout=self._seconds, context=self._context)
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            connection.close()
            raise error_of_connection(error) from None
        return connection, f"{parts.path}?{parts.query}"


def _answer(response: HTTPResponse) -> str:
    return f"status {response.status}"
