"""The admission policies that must be bound before anything is done; their YAML is in `manifests/base/policies`."""

OPERATOR_NAMESPACE = "managedvm-system"
"""Where the operator's ServiceAccount is that the policies let write records; a test compares it with the manifests."""

REQUIRED_BINDINGS: dict[str, frozenset[str]] = {
    "ValidatingAdmissionPolicyBinding": frozenset(
        {
            "managedvm-agreements",
            "managedvm-applied-by",
            "managedvm-changes",
            "managedvm-closed-months",
            "managedvm-crds",
            "managedvm-customer-namespace",
            "managedvm-customer-namespaces-of-one",
            "managedvm-customer-namespaces-stay",
            "managedvm-customer-status",
            "managedvm-dated-prices",
            "managedvm-dated-taxes",
            "managedvm-decisions",
            "managedvm-deletion-protection",
            "managedvm-ledger-namespaces",
            "managedvm-levels",
            "managedvm-outage-status",
            "managedvm-outages",
            "managedvm-owners",
            "managedvm-package-required",
            "managedvm-record-status",
            "managedvm-records",
            "managedvm-releases",
            "managedvm-requests",
            "managedvm-statements",
            "managedvm-vcenters",
            "managedvm-work",
            "managedvm-work-status",
        }
    ),
    "MutatingAdmissionPolicyBinding": frozenset({"managedvm-applied-by"}),
}
"""Names of the bindings by their kind; a test compares them with the manifests."""
