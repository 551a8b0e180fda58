"""The manifests as they lie in the tree, for tests that ask no API server."""

from typing import Any

import yaml

from lab.paths import ROOT

Object = dict[str, Any]
MANIFESTS = ROOT / "manifests"
OPERATOR = MANIFESTS / "base" / "operator"
RBAC = MANIFESTS / "base" / "rbac"
PRODUCTION = MANIFESTS / "overlays" / "production"


def bodies(path) -> list[Object]:
    """Return the objects of one file."""
    return list(yaml.safe_load_all(path.read_text()))


def deployment() -> Object:
    """Return the operator's Deployment."""
    (body,) = bodies(OPERATOR / "deployment.yaml")
    return body


def pod() -> Object:
    """Return the spec of the operator's pods."""
    return dict(deployment()["spec"]["template"]["spec"])


def container() -> Object:
    """Return their one container."""
    (one,) = pod()["containers"]
    return dict(one)
