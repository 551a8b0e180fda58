"""How the inside of a ManagedVM's VM is reached, and how it proves that it is that VM."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from managedvm.api.base import ApiModel, HostKey, IpAddress, SecretReference, SshPort, Timestamp


class GuestAccess(StrEnum):
    """How commands reach the guest."""

    VMWARE_TOOLS = "VMwareTools"
    SSH = "SSH"


class SshJumpHost(ApiModel):
    """A host that the way to the guest leads through."""

    address: IpAddress = Field(
        description="IP address of the jump host, inside of spec.guestNetworks of the VCenter."
    )
    port: SshPort = Field(default=22, description="Port of its sshd.")
    host_key: HostKey = Field(
        description="The only key that it may show; all guests behind it depend on it, so it is never trusted by itself."
    )
    credentials_secret_ref: SecretReference = Field(
        description="Secret in the namespace of the ManagedVM with the keys username and ssh-privatekey or password."
    )


class SshAccess(ApiModel):
    """Where the guest's sshd is, and how it proves that it is the guest's."""

    address: IpAddress = Field(
        description="IP address of the guest, as agreed; what the guest itself reports is not believed. Without a jump "
        "host it must be inside of spec.guestNetworks of the VCenter."
    )
    port: SshPort = Field(default=22, description="Port of its sshd.")
    host_key: HostKey | None = Field(
        default=None,
        description="The only key that the guest may show, from /etc/ssh/ssh_host_ed25519_key.pub. Absent: the key of "
        "the first contact is kept in status, and no other is accepted afterwards.",
    )
    sudo: bool = Field(
        default=True,
        description="Whether the account becomes root by sudo, without a password. False: it is root.",
    )
    jump_host: SshJumpHost | None = Field(default=None, description="A host that the way leads through.")


class Guest(ApiModel):
    """How commands reach the guest, and as whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "(self.access == 'SSH') == has(self.ssh)",
                    "message": "ssh belongs to access SSH and to no other (clause 1: a package serves its own VM): write "
                    "ssh.address with access SSH, or leave ssh out",
                }
            ]
        }
    )

    access: GuestAccess = Field(
        default=GuestAccess.VMWARE_TOOLS,
        description="The way into the guest: VMware Tools through vCenter, or SSH over the network.",
    )
    credentials_secret_ref: SecretReference = Field(
        description="Secret in the namespace of the ManagedVM with the key username and, for VMware Tools, password, or "
        "for SSH ssh-privatekey or password."
    )
    ssh: SshAccess | None = Field(default=None, description="Where the sshd is; for access SSH only.")


class GuestStatus(ApiModel):
    """How the guest proves over SSH that it is itself."""

    host_key: HostKey = Field(description="The only key that the guest may show.")
    fingerprint: Annotated[str, Field(max_length=64)] = Field(
        description="Its fingerprint, as `ssh-keygen -lf` prints it in the guest."
    )
    trusted_at: Timestamp = Field(description="When it was first trusted.")
    address: Annotated[str, Field(max_length=64)] = Field(description="Where it was shown.")
