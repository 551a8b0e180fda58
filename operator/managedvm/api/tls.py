"""Whom we trust to be the server that a cluster kind names. Certificates are always verified."""

from typing import Annotated

from pydantic import Field

from managedvm.api.base import ApiModel

DEFAULT_CA_KEY = "ca.crt"


class Tls(ApiModel):
    """Whom we trust to be this server. Certificates are always verified."""

    ca_key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        default=DEFAULT_CA_KEY,
        description="Key of the credentials Secret that holds the CA certificates in PEM. Without a key ca.crt there the "
        "system's own trust store decides; any other key must be there.",
    )
