"""One HTTP exchange per call, never two: pyVmomi's plain stub, with what it leaves out.

It tells a request that was never sent from one whose answer was lost, and hands over the pages of the update stream
as they came: pyVmomi's own decoder, an object for each XML element, costs ten times the CPU.
"""

import contextlib
import socket
import ssl
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from pyVmomi import SoapAdapter, VmomiSupport, vmodl

from managedvm.errors import ManagedVMError, TlsNotTrustedError
from managedvm.world.vsphere.faults import error_of_connection

API = VmomiSupport.versionMap["vim25/7.0.0.0"]
"""The vSphere API that we speak. Newer servers keep their answers to what it knows, so none can surprise us."""

_IDLE_SECONDS = 15
"""A kept connection that is older is not used again: the server may just be closing it, and an order would be lost."""


class NotSentError(Exception):
    """The request did not leave: `error` says why, and nothing was done."""

    def __init__(self, error: ManagedVMError) -> None:
        super().__init__(str(error))
        self.error = error


def tls_context(ca: str | None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name against `ca` (PEM), or the system's authorities.

    Raises:
        TlsNotTrustedError: `ca` is no certificate.
    """
    try:
        return ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError) as error:
        raise TlsNotTrustedError("the certificate authority given for vCenter is not PEM text") from error


class Stub(SoapAdapter.SoapStubAdapter):
    """A connection pool to one vCenter. Its methods may be called from any thread."""

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext, user_agent: str, seconds: float
    ) -> None:
        super().__init__(
            host=host,
            port=port,
            version=API,
            sslContext=context,
            httpConnectionTimeout=seconds,
            connectionPoolTimeout=_IDLE_SECONDS,
            customHeaders={"User-Agent": user_agent},
        )
        self._user_agent = user_agent
        self._waiting: HTTPConnection | None = None

    def GetConnection(self) -> HTTPConnection:  # noqa: N802 - pyVmomi's name
        """Return a connection that is established.

        Raises:
            NotSentError: there is none to be had.
        """
        try:
            connection: HTTPConnection = super().GetConnection()
        except (OSError, HTTPException) as error:
            raise NotSentError(error_of_connection(error)) from error
        return connection

    def forget_session(self) -> None:
        """Send no session cookie any more."""
        self.SetSessionId(None)

    def drop_connections(self) -> None:
        """Close the connections that are not in use."""
        self.DropConnections()

    def abort_wait(self) -> None:
        """Break the connection of a `wait_for_updates` that is under way, which then raises at once."""
        waiting = self._waiting
        if waiting is not None and waiting.sock is not None:
            with contextlib.suppress(OSError):
                # The plain method, because SSLSocket's own takes the TLS state away under the reader's feet.
                socket.socket.shutdown(waiting.sock, socket.SHUT_RDWR)

    def wait_for_updates(self, collector: vmodl.query.PropertyCollector, version: str, seconds: int) -> bytes:
        """Return the SOAP envelope that answers WaitForUpdatesEx, an empty answer included.

        Raises:
            vmodl.MethodFault: the server answered with a fault.
            NotSentError: no connection.
            OSError, HTTPException: the connection broke, or nothing came in time.
        """
        options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=seconds)
        method = vmodl.query.PropertyCollector.WaitForUpdatesEx.info  # type: ignore[attr-defined]  # its stubs leave it out
        request = self.SerializeRequest(collector, method, (version, options))
        status, body = self._post(request)
        if status == HTTPStatus.OK:
            return body
        fault = SoapAdapter.SoapResponseDeserializer(self).Deserialize(body, object)
        raise fault if isinstance(fault, vmodl.MethodFault) else HTTPException(f"status {status}")

    def _post(self, request: bytes) -> tuple[int, bytes]:
        connection = self.GetConnection()
        headers = {
            "Cookie": self.cookie,
            "SOAPAction": self.versionId,
            "Content-Type": "text/xml; charset=UTF-8",
            "User-Agent": self._user_agent,
        }
        self._waiting = connection
        try:
            connection.request("POST", self.path, request, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException):
            connection.close()
            self.DropConnections()
            raise
        finally:
            self._waiting = None
        if response.status not in (HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR):
            connection.close()
            raise HTTPException(f"status {response.status}")
        self.ReturnConnection(connection)
        return response.status, body
