"""What a running operator can be told, with its defaults. Read from the environment by `__main__` alone."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from managedvm.api.policies import OPERATOR_NAMESPACE


class Settings(BaseModel):
    """Settings of one process; each is an environment variable `MANAGEDVM_<NAME>`."""

    model_config = ConfigDict(frozen=True)

    namespace: str = Field(
        default=OPERATOR_NAMESPACE, description="The operator's own namespace: Lease and vCenter credentials."
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
    clock_tolerance_seconds: Annotated[int, Field(ge=45)] = Field(
        default=60,
        description="How far this machine's clock may be from the API server's; a replica beyond it does nothing.",
    )
    log_level: str = Field(default="INFO", description="Level of our own log lines.")

    @field_validator("namespace")
    @classmethod
    def _is_the_one_of_the_policies(cls, namespace: str) -> str:
        """Refuse to run where the API server would refuse each record, and believe whoever owns the other namespace."""
        if namespace != OPERATOR_NAMESPACE:
            raise ValueError(
                f"the admission policies know the operator as the ServiceAccount of namespace {OPERATOR_NAMESPACE}, and would "
                f"refuse every record that it writes from {namespace}. Install it in {OPERATOR_NAMESPACE}: set no `namespace:` in "
                "your kustomization"
            )
        return namespace
