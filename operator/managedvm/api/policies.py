"""The admission policies that must be in force before anything is done; their YAML is in `manifests/base/policies`."""

from collections.abc import Mapping
from typing import Any, Final

VALIDATING: Final = "ValidatingAdmissionPolicy"
MUTATING: Final = "MutatingAdmissionPolicy"

OPERATOR_NAMESPACE = "managedvm-system"
"""Where the operator's ServiceAccount is that the policies let write records; a test compares it with the manifests."""

ParamRef = Mapping[str, Any]

_EVERY_ONE: ParamRef = {"selector": {}, "parameterNotFoundAction": "Allow"}
_THE_LIST: ParamRef = {"name": "contacts", "parameterNotFoundAction": "Allow"}

REQUIRED_POLICIES: Mapping[str, Mapping[str, ParamRef | None]] = {
    VALIDATING: {
        "managedvm-agreements": None,
        "managedvm-applied-by": None,
        "managedvm-changes": None,
        "managedvm-closed-months": _EVERY_ONE,
        "managedvm-crds": None,
        "managedvm-customer-namespace": _EVERY_ONE,
        "managedvm-customer-namespaces-of-one": _EVERY_ONE,
        "managedvm-customer-namespaces-stay": None,
        "managedvm-customer-status": None,
        "managedvm-dated-prices": None,
        "managedvm-dated-taxes": _EVERY_ONE,
        "managedvm-decisions": None,
        "managedvm-deletion-protection": None,
        "managedvm-ledger-namespaces": None,
        "managedvm-levels": None,
        "managedvm-outage-status": None,
        "managedvm-outages": None,
        "managedvm-owners": None,
        "managedvm-package-required": _EVERY_ONE,
        "managedvm-record-status": None,
        "managedvm-records": None,
        "managedvm-releases": _THE_LIST,
        "managedvm-requests": None,
        "managedvm-statements": None,
        "managedvm-vcenters": None,
        "managedvm-work": None,
        "managedvm-work-status": None,
    },
    MUTATING: {"managedvm-applied-by": None},
}
"""The `paramRef` of each binding by kind and name of its policy, which is its own name too; a test compares with the manifests."""


def binding_of(kind: str) -> str:
    """Return the kind of the bindings of a kind of policy."""
    return f"{kind}Binding"


def why_not_in_force(
    kind: str, name: str, policy: Mapping[str, Any] | None, binding: Mapping[str, Any] | None
) -> str | None:
    """Return in a few words why a policy does not refuse what it should, None where it is in force as it ships.

    `policy` and `binding` are the objects of that name as the API server holds them, None where there is none. What the
    rules of a policy say is not compared.
    """
    if binding is None:
        return "its binding is missing"
    if policy is None:
        return "the policy is missing"
    bound = binding.get("spec") or {}
    checks = (
        (bound.get("policyName") == name, "its binding names another policy"),
        (kind != VALIDATING or "Deny" in bound.get("validationActions", ()), "its binding does not deny"),
        (bound.get("paramRef") == REQUIRED_POLICIES[kind][name], "its binding has another paramRef"),
        (not bound.get("matchResources"), "its binding has matchResources and so leaves something out"),
        (
            (policy.get("spec") or {}).get("failurePolicy", "Fail") == "Fail",
            "the policy lets through what it cannot judge",
        ),
    )
    return next((words for is_right, words in checks if not is_right), None)
