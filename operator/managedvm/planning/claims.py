"""When a claim ends: its ManagedVM is gone. Only a complete view of the API server may say so."""

from managedvm.api.vmclaim import VMClaim
from managedvm.planning.actions import ReleaseClaim


def plan(claim: VMClaim, *, owner_exists: bool) -> ReleaseClaim | None:
    """Return the release of a claim whose owner is gone; the VM and its settings are left as they are."""
    return None if owner_exists else ReleaseClaim(claim.metadata.name, claim.metadata.uid)
