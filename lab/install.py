"""Our product in the lab: kinds, policies, roles, and the few objects that only this lab can know.

The control plane knows nothing of us; whatever a user's cluster would get, the lab gets in the same way.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab import kube
from lab.facts import VCENTER
from lab.paths import ROOT
from lab.polling import wait_until

if TYPE_CHECKING:
    from lab.facts import Lab
    from lab.kube import Kube

NAMESPACE = "managedvm-system"
VCENTER_SECRET = "vcenter-berlin"  # noqa: S105 - the name of a Secret, not what is in it
_KINDS = ROOT / "crds"
_NOT_YET = ("failed to configure policy", "no matches for kind", "ServiceUnavailable")
_OVERLAYS = (ROOT / "manifests" / "overlays" / "lab", ROOT / "manifests" / "base")


def product(lab: Lab) -> None:
    """Install or update everything; may be called any number of times.

    Raises:
        KubectlError: the API server refused something, with its reason.
    """
    cluster = kube.admin(lab)
    namespace(cluster)
    kinds(cluster)
    overlay = next(path for path in _OVERLAYS if (path / "kustomization.yaml").is_file())
    cluster.run("apply", "--server-side", "--force-conflicts", f"--kustomize={overlay}")
    credentials(cluster, lab)
    if VCENTER in lab.daemons:
        vcenter(cluster, lab)
    wait_until(lambda: judges(cluster), "the API server to judge by our policies", seconds=90)


def judges(cluster: Kube) -> bool:
    """Say whether objects of ours are judged: an API server that has just met our kinds refuses what it cannot judge yet.

    Whether the object that is tried would be taken is not asked, only whether anything but that stood in its way.
    """
    order = {"reference": "tried", "serviceLevel": "basic", "from": "2026-01-01T00:00:00Z"}
    tried = {
        "apiVersion": "managedvm.dev/v1alpha1",
        "kind": "ManagedVM",
        "metadata": {"namespace": NAMESPACE, "name": "tried"},
        "spec": {
            "customerRef": {"name": "tried"},
            "vm": {"vCenterRef": {"name": "berlin"}, "inventoryPath": "/Berlin/vm/tried"},
            "orders": [order],
        },
    }
    said = cluster.run("create", "--dry-run=server", "--filename=-", stdin=json.dumps(tried), check=False)
    return said.returncode == 0 or not any(words in said.stderr for words in _NOT_YET)


def namespace(cluster: Kube) -> None:
    """Make the operator's namespace unless it is there: the overlay may say more about it than we do."""
    if not cluster.exists("namespace", NAMESPACE):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})


def kinds(cluster: Kube) -> None:
    """Apply our CRDs and return when the API server serves them."""
    files = [
        f"--filename={path}" for path in sorted(_KINDS.glob("*.yaml")) if path.name != "kustomization.yaml"
    ]
    if not files:
        return
    cluster.run("apply", "--server-side", "--force-conflicts", *files)
    cluster.run("wait", *files, "--for=condition=Established", "--timeout=60s", seconds=90)


def credentials(cluster: Kube, lab: Lab) -> None:
    """Hand the vCenter's address of trust and the operator's password over, as a provider would."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": VCENTER_SECRET, "namespace": NAMESPACE},
        "stringData": {
            "server": urlsplit(lab.vcenter_url).netloc,
            "username": lab.vcenter_username,
            "password": lab.vcenter_password,
            "ca.crt": lab.vcenter_ca.read_text(),
        },
    }
    cluster.apply(secret)


def vcenter(cluster: Kube, lab: Lab) -> None:
    """Declare the lab's vCenter, with everything allowed and a folder granted to each namespace of the samples."""
    grants = [{"namespace": name, "folder": f"/Berlin/vm/{name}"} for name in ("kunde-a", "kunde-b")]
    cluster.apply(
        {
            "apiVersion": "managedvm.dev/v1alpha1",
            "kind": "VCenter",
            "metadata": {"name": "berlin"},
            "spec": {
                "server": urlsplit(lab.vcenter_url).netloc,
                "credentialsSecretRef": {"name": VCENTER_SECRET},
                "maximumMode": "Enforce",
                "clusterSettings": "Enforce",
                "grants": grants,
            },
        }
    )
