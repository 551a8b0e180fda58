"""A real Kubernetes control plane on loopback: etcd, API server, controller manager; no node, so nothing is run.

etcd does not sync to disk: a lab is disposable, and its figures shall not depend on a laptop's disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from lab import kubeconfig
from lab.daemons import Daemon, answers
from lab.pki import Pair, new_authority, new_signing_key, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from lab.facts import Lab

_SERVICES = "10.96.0.0/16"
_API_HOSTS = (
    "127.0.0.1",
    "localhost",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
# Those that need no node. The policy status controller is what finds type errors in our admission policies.
_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "validatingadmissionpolicy-status-controller",
)
_ETCD_BYTES = 8 * 2**30  # the largest size that etcd's authors recommend: 40,000 VMs and their records fit
_HEALTH = ["/healthz*", "/livez*", "/readyz*"]


def prepare(lab: Lab) -> None:
    """Write what the control plane starts from: certificates, kubeconfigs, the audit policy."""
    etcd = new_authority(lab.certificates("etcd"), "managedvm-lab-etcd")
    etcd.server("server", hosts=("127.0.0.1",), also_client=True)
    etcd.client("apiserver", user="apiserver")
    kubernetes = new_authority(lab.certificates("kubernetes"), "managedvm-lab-kubernetes")
    kubernetes.server("apiserver", hosts=_API_HOSTS)
    kubernetes.server("controller-manager", hosts=("127.0.0.1",))
    new_signing_key(lab.certificates("kubernetes"), "service-accounts")
    admin = kubernetes.client("admin", user="lab-admin", group="system:masters")
    manager = kubernetes.client("manager", user="system:kube-controller-manager")
    _write_kubeconfig(lab, lab.kubeconfig, admin, "lab-admin")
    _write_kubeconfig(lab, _manager_kubeconfig(lab), manager, "controller-manager")
    write_private(_audit_policy(lab), yaml.safe_dump(audit_policy()).encode())


def audit_policy() -> dict[str, object]:
    """Return the audit policy: every request once, without bodies; health polling tells nothing and is left out."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "None", "nonResourceURLs": _HEALTH}, {"level": "Metadata"}],
    }


def daemons(lab: Lab) -> tuple[Daemon, ...]:
    """Return the control plane's daemons in the order in which they depend on each other."""
    return (_etcd(lab), _apiserver(lab), _controller_manager(lab))


def _etcd(lab: Lab) -> Daemon:
    trust = lab.certificates("etcd")
    client = f"https://127.0.0.1:{lab.ports['etcd']}"
    peer = f"https://127.0.0.1:{lab.ports['etcd-peer']}"
    argv = (
        str(lab.binaries / "etcd"),
        "--name=lab",
        f"--data-dir={lab.directory / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=lab={peer}",
        f"--cert-file={trust / 'server.crt'}",
        f"--key-file={trust / 'server.key'}",
        f"--trusted-ca-file={trust / 'ca.crt'}",
        "--client-cert-auth",
        f"--peer-cert-file={trust / 'server.crt'}",
        f"--peer-key-file={trust / 'server.key'}",
        f"--peer-trusted-ca-file={trust / 'ca.crt'}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",
        f"--quota-backend-bytes={_ETCD_BYTES}",
        "--log-level=warn",
    )
    pair = Pair(trust / "apiserver.crt", trust / "apiserver.key")
    return Daemon(
        "etcd",
        lambda: argv,
        lambda: answers(f"{client}/health", authority=trust / "ca.crt", pair=pair),
        patience=60,
    )


def _apiserver(lab: Lab) -> Daemon:
    trust = lab.certificates("kubernetes")
    etcd = lab.certificates("etcd")
    argv = (
        str(lab.binaries / "kube-apiserver"),
        f"--etcd-servers=https://127.0.0.1:{lab.ports['etcd']}",
        f"--etcd-cafile={etcd / 'ca.crt'}",
        f"--etcd-certfile={etcd / 'apiserver.crt'}",
        f"--etcd-keyfile={etcd / 'apiserver.key'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={lab.ports['apiserver']}",
        f"--tls-cert-file={trust / 'apiserver.crt'}",
        f"--tls-private-key-file={trust / 'apiserver.key'}",
        f"--client-ca-file={trust / 'ca.crt'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={trust / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={trust / 'service-accounts.key'}",
        f"--service-cluster-ip-range={_SERVICES}",
        # There is no node to route to, and a loopback address is refused as an endpoint.
        "--endpoint-reconciler-type=none",
        f"--audit-policy-file={_audit_policy(lab)}",
        f"--audit-log-path={lab.audit_log}",
        "--audit-log-maxsize=0",  # never rotated: readers remember an offset
        "--allow-privileged",  # as every cluster has it: what a pod may be is for pod security to say
        "--shutdown-watch-termination-grace-period=1s",  # else a restart waits for watches that never end
        "--profiling=false",
    )
    admin = Pair(trust / "admin.crt", trust / "admin.key")
    ready = f"{lab.api_url}/readyz"
    return Daemon(
        "apiserver",
        lambda: argv,
        lambda: answers(ready, authority=trust / "ca.crt", pair=admin),
        patience=120,
    )


def _controller_manager(lab: Lab) -> Daemon:
    trust = lab.certificates("kubernetes")
    port = lab.ports["controller-manager"]
    argv = (
        str(lab.binaries / "kube-controller-manager"),
        f"--kubeconfig={_manager_kubeconfig(lab)}",
        f"--controllers={','.join(_CONTROLLERS)}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={trust / 'controller-manager.crt'}",
        f"--tls-private-key-file={trust / 'controller-manager.key'}",
        f"--root-ca-file={trust / 'ca.crt'}",
        f"--service-account-private-key-file={trust / 'service-accounts.key'}",
        # Each controller acts under its own account: the audit log tells who deleted what.
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--profiling=false",
    )
    health = f"https://127.0.0.1:{port}/healthz"
    return Daemon(
        "controller-manager", lambda: argv, lambda: answers(health, authority=trust / "ca.crt"), patience=60
    )


def _write_kubeconfig(lab: Lab, path: Path, pair: Pair, user: str) -> None:
    authority = lab.certificates("kubernetes") / "ca.crt"
    write_private(path, kubeconfig.with_certificate(lab.api_url, authority, pair, user=user).encode())


def _manager_kubeconfig(lab: Lab) -> Path:
    return lab.certificates("kubernetes") / "manager.kubeconfig"


def _audit_policy(lab: Lab) -> Path:
    return lab.directory / "audit-policy.yaml"
