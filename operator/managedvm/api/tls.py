"""Whom we trust to be the server that a cluster kind names. Certificates are always verified."""

from typing import Annotated

from pydantic import Field

from managedvm.api.base import ApiModel


class Tls(ApiModel):
    """Whom we trust to be this server. Certificates are always verified."""

    ca_key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")] = Field(
        default="ca.crt",
        description="Key of the credentials Secret that holds the CA certificates in PEM; without such a key the "
        "system's own trust store decides.",
    )
