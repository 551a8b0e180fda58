"""The credentials of a vCenter, out of the Secret that a VCenter names.

Whoever may write a VCenter may name any host and any Secret of ours, so the Secret itself says which servers it is for: a
password goes nowhere else.
"""

from pydantic import SecretStr

from managedvm.api.tls import DEFAULT_CA_KEY
from managedvm.api.vcenter import VCenterSpec
from managedvm.errors import InvalidCredentialsError
from managedvm.world.kube import Object
from managedvm.world.secrets import hidden, plain
from managedvm.world.vsphere.connection import Server

_HTTPS = 443


def server_of(spec: VCenterSpec, secret: Object) -> Server:
    """Return where a vCenter is and who we are there.

    Raises:
        InvalidCredentialsError: the Secret lacks a key, or is not for this server; its message is for a person.
    """
    meta = secret["metadata"]
    name = f"Secret {meta['namespace']}/{meta['name']}"
    servers, username, password = (
        plain(secret, "server"),
        plain(secret, "username"),
        hidden(secret, "password"),
    )
    if not servers or not username or not password:
        raise InvalidCredentialsError(
            f"{name} needs the keys server, username and password; server is what spec.server says, several with a space "
            "between them"
        )
    if address(spec.server) not in {address(each) for each in servers.split()}:
        raise InvalidCredentialsError(
            f"{name} is not for {spec.server}, so nothing of it is sent there. Correct spec.server, or add it to the key "
            "server of the Secret"
        )
    ca = plain(secret, spec.tls.ca_key) or None
    if ca is None and spec.tls.ca_key != DEFAULT_CA_KEY:
        raise InvalidCredentialsError(
            f"{name} has no key {spec.tls.ca_key}, and spec.tls.caKey asks for it. Add the CA certificates under it, or "
            "correct spec.tls.caKey"
        )
    host, port = address(spec.server)
    return Server(host=host, port=port, username=username, password=SecretStr(password), ca=ca)


def address(server: str) -> tuple[str, int]:
    """Return host and port of a server as a VCenter names it: `vcenter.example` is at port 443.

    A port that is no number is 0, which is no server's.
    """
    host, _, port = server.partition(":")
    return host.lower(), int(port) if port.isdecimal() else 0 if port else _HTTPS
