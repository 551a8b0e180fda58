"""What a running operator can be told, with its defaults. Read from the environment by `__main__` alone."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Settings of one process; each is an environment variable `MANAGEDVM_<NAME>`."""

    model_config = ConfigDict(frozen=True)

    namespace: str = Field(
        default="managedvm-system", description="The operator's own namespace: Lease and vCenter credentials."
    )
    identity: str = Field(
        default="", description="Name of this replica; the host name and a random part when empty."
    )
    health_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=8080, description="Port of /healthz, /readyz and /metrics."
    )
    health_address: str = Field(default="0.0.0.0", description="Address of the same.")  # noqa: S104 - a pod's own
    webhook_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=8081, description="Port of the helpdesk's webhook, at the same address."
    )
    relist_seconds: Annotated[int, Field(ge=10)] = Field(
        default=300,
        description="How often the metadata of each kind is listed to find what the watch did not tell.",
    )
    resync_seconds: Annotated[int, Field(ge=10)] = Field(
        default=600, description="How often each ManagedVM and VCenter is evaluated although nothing changed."
    )
    stop_seconds: Annotated[int, Field(ge=1)] = Field(
        default=20, description="How long passes may run on after a request to stop."
    )
    log_level: str = Field(default="INFO", description="Level of our own log lines.")
