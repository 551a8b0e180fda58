"""Kubeconfig files of the lab: self-contained, so that a copy of the file is all somebody needs."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab.pki import Pair

CONTEXT = "managedvm-lab"


def with_certificate(server: str, authority: Path, pair: Pair, *, user: str = "admin") -> str:
    """Return a kubeconfig (YAML) whose user proves itself by a client certificate."""
    identity = {"client-certificate-data": _data(pair.certificate), "client-key-data": _data(pair.key)}
    return _render({"server": server, "certificate-authority-data": _data(authority)}, user, identity)


def with_token(cluster: Mapping[str, object], token: str, *, user: str) -> str:
    """Return a kubeconfig (YAML) for the same `cluster` entry whose user proves itself by a bearer token."""
    return _render(cluster, user, {"token": token})


def current_cluster(kubeconfig: Path) -> dict[str, object]:
    """Return the `cluster` entry that a kubeconfig's current context points at.

    Raises:
        KeyError: the file has no current context, or the context names no cluster of the file.
    """
    document = yaml.safe_load(kubeconfig.read_text())
    contexts = {entry["name"]: entry["context"] for entry in document["contexts"]}
    clusters = {entry["name"]: entry["cluster"] for entry in document["clusters"]}
    cluster: dict[str, object] = clusters[contexts[document["current-context"]]["cluster"]]
    return cluster


def current_context(kubeconfig: Path) -> str:
    """Return the name of a kubeconfig's current context."""
    return str(yaml.safe_load(kubeconfig.read_text())["current-context"])


def _render(cluster: Mapping[str, object], user: str, identity: Mapping[str, object]) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
        "clusters": [{"name": CONTEXT, "cluster": dict(cluster)}],
        "users": [{"name": user, "user": dict(identity)}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
