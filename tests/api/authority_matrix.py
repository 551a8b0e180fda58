"""Who may do what: the one table. The documentation is rendered from it, and every cell of it is tried for real.

`python -m tests.api.authority_matrix > docs/authority.md` writes the documentation.
"""

from enum import Enum


class Verdict(Enum):
    """How an attempt ends; the value is what the documentation shows."""

    YES = "yes"
    NO_RIGHT = "-"
    REFUSED = "refused"
    ABSENT = "none"


IDENTITIES = (
    "operator",
    "customer",
    "requester",
    "technician",
    "provider",
    "archiver",
    "accountant",
    "auditor",
    "pipeline",
    "cluster-admin",
)

# One line per act, one word per identity in the order of IDENTITIES.
_KINDS = {
    "ManagedVM": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       yes     -       -       yes     -       -       -       yes     yes
        change orders         -       refused -       -       yes     -       -       -       yes     yes
        order in own name     -       yes     -       -       yes     -       -       -       yes     yes
        order for another     -       refused -       -       yes     -       -       -       refused yes
        change identity       -       refused -       -       refused -       -       -       refused refused
        write status          yes     -       -       -       -       -       -       -       yes     yes
        set labels            -       yes     -       -       yes     -       -       -       yes     yes
        set annotations       -       yes     -       -       yes     -       -       -       yes     yes
        set finalizers        -       refused -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       refused -       -       yes     -       -       -       yes     yes
        apply with force      -       yes     -       -       yes     -       -       -       yes     yes
        delete protected      -       -       -       -       refused -       -       -       refused refused
        delete unprotected    -       -       -       -       yes     -       -       -       yes     yes
        deletecollection      -       -       -       -       -       -       -       -       yes     yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "ChangeRequest": """
        create                yes     -       yes     yes     yes     -       -       -       yes     yes
        create for another    yes     -       refused yes     yes     -       -       -       refused yes
        say it was asked      yes     -       refused yes     yes     -       -       -       refused yes
        create as op-...      yes     -       refused refused refused -       -       -       refused refused
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          yes     -       -       -       -       -       -       -       refused refused
        set labels            -       -       -       -       -       -       -       -       refused refused
        set annotations       -       -       -       -       -       -       -       -       refused refused
        set finalizers        -       -       -       -       -       -       -       -       refused refused
        set ownerReferences   -       -       -       -       -       -       -       -       refused refused
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                -       -       -       -       -       yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "RequestDecision": """
        create                -       -       yes     yes     yes     -       -       -       yes     yes
        create for another    -       -       refused yes     yes     -       -       -       refused yes
        release unlisted      -       -       refused refused refused -       -       -       refused refused
        release as staff      -       -       refused yes     yes     -       -       -       refused yes
        create as op-...      -       -       refused refused refused -       -       -       refused refused
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       -       -       -       -       -       -       -       refused refused
        set annotations       -       -       -       -       -       -       -       -       refused refused
        set finalizers        -       -       -       -       -       -       -       -       refused refused
        set ownerReferences   -       -       -       -       -       -       -       -       refused refused
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                -       -       -       -       -       yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "WorkEntry": """
        create                yes     -       -       yes     yes     -       -       -       yes     yes
        create for another    yes     -       -       yes     yes     -       -       -       refused yes
        create as op-...      yes     -       -       refused refused -       -       -       refused refused
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          yes     -       -       -       -       -       -       -       refused refused
        set labels            -       -       -       -       -       -       -       -       refused refused
        set annotations       -       -       -       -       -       -       -       -       refused refused
        set finalizers        -       -       -       -       -       -       -       -       refused refused
        set ownerReferences   -       -       -       -       -       -       -       -       refused refused
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                -       -       -       -       -       yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "Statement": """
        create                -       -       -       -       -       -       yes     -       refused yes
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       -       -       -       -       -       -       -       refused refused
        set annotations       -       -       -       -       -       -       -       -       refused refused
        set finalizers        -       -       -       -       -       -       -       -       refused refused
        set ownerReferences   -       -       -       -       -       -       -       -       refused refused
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                -       -       -       -       -       yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "Outage": """
        create                yes     -       -       -       -       -       -       -       refused refused
        create as op-...      yes     -       -       -       -       -       -       -       refused refused
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          yes     -       -       -       -       -       -       -       refused refused
        set labels            -       -       -       -       -       -       -       -       refused refused
        set annotations       -       -       -       -       -       -       -       -       refused refused
        set finalizers        -       -       -       -       -       -       -       -       refused refused
        set ownerReferences   -       -       -       -       -       -       -       -       refused refused
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                -       -       -       -       -       yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "VMClaim": """
        create                yes     -       -       -       -       -       -       -       yes     yes
        change spec           -       -       -       -       -       -       -       -       refused refused
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       -       -       -       -       -       -       -       yes     yes
        set annotations       -       -       -       -       -       -       -       -       yes     yes
        set finalizers        -       -       -       -       -       -       -       -       yes     yes
        set ownerReferences   -       -       -       -       -       -       -       -       yes     yes
        apply with force      -       -       -       -       -       -       -       -       refused refused
        delete                yes     -       -       -       -       -       -       -       yes     yes
        deletecollection      -       -       -       -       -       -       -       -       yes     yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "CustomerContacts": """
        create                -       yes     -       -       yes     -       -       -       yes     yes
        change spec           -       yes     -       -       yes     -       -       -       yes     yes
        remove an entry       -       refused -       -       refused -       -       -       refused refused
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       yes     -       -       yes     -       -       -       yes     yes
        set annotations       -       yes     -       -       yes     -       -       -       yes     yes
        set finalizers        -       yes     -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       yes     -       -       yes     -       -       -       yes     yes
        apply with force      -       yes     -       -       yes     -       -       -       yes     yes
        delete                -       -       -       -       refused yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "Customer": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       -       -       -       yes     -       -       -       yes     yes
        change the number     -       -       -       -       refused -       -       -       refused refused
        take a namespace away -       -       -       -       refused -       -       -       refused yes
        re-price the past     -       -       -       -       refused -       -       -       refused refused
        close a month         -       -       -       -       -       -       yes     -       refused yes
        open it again         -       -       -       -       -       -       refused -       refused refused
        set labels            -       -       -       -       yes     -       -       -       yes     yes
        set annotations       -       -       -       -       yes     -       -       -       yes     yes
        set finalizers        -       -       -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       -       -       -       yes     -       -       -       yes     yes
        apply with force      -       -       -       -       yes     -       -       -       yes     yes
        delete                -       -       -       -       refused yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "ServiceLevel": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       -       -       -       yes     -       -       -       yes     yes
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       -       -       -       yes     -       -       -       yes     yes
        set annotations       -       -       -       -       yes     -       -       -       yes     yes
        set finalizers        -       -       -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       -       -       -       yes     -       -       -       yes     yes
        apply with force      -       -       -       -       yes     -       -       -       yes     yes
        delete                -       -       -       -       refused yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "PriceList": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       -       -       -       yes     -       -       -       yes     yes
        re-price the past     -       -       -       -       refused -       -       -       refused refused
        write status          none    none    none    none    none    none    none    none    none    none
        set labels            -       -       -       -       yes     -       -       -       yes     yes
        set annotations       -       -       -       -       yes     -       -       -       yes     yes
        set finalizers        -       -       -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       -       -       -       yes     -       -       -       yes     yes
        apply with force      -       -       -       -       yes     -       -       -       yes     yes
        delete                -       -       -       -       refused yes     -       -       refused yes
        deletecollection      -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "VCenter": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       -       -       -       yes     -       -       -       yes     yes
        write status          yes     -       -       -       -       -       -       -       yes     yes
        set labels            -       -       -       -       yes     -       -       -       yes     yes
        set annotations       -       -       -       -       yes     -       -       -       yes     yes
        set finalizers        -       -       -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       -       -       -       yes     -       -       -       yes     yes
        apply with force      -       -       -       -       yes     -       -       -       yes     yes
        delete one never seen -       -       -       -       yes     yes     -       -       yes     yes
        delete one that was seen -       -       -       -       refused yes     -       -       refused yes
        delete all that were seen -       -       -       -       -       -       -       -       refused yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "Helpdesk": """
        create                -       -       -       -       yes     -       -       -       yes     yes
        change spec           -       -       -       -       yes     -       -       -       yes     yes
        write status          yes     -       -       -       -       -       -       -       yes     yes
        set labels            -       -       -       -       yes     -       -       -       yes     yes
        set annotations       -       -       -       -       yes     -       -       -       yes     yes
        set finalizers        -       -       -       -       yes     -       -       -       yes     yes
        set ownerReferences   -       -       -       -       yes     -       -       -       yes     yes
        apply with force      -       -       -       -       yes     -       -       -       yes     yes
        delete                -       -       -       -       yes     -       -       -       yes     yes
        deletecollection      -       -       -       -       -       -       -       -       yes     yes
        delete the CRD        -       -       -       -       -       -       -       -       refused yes
    """,
    "Namespace (ledger)": """
        delete                -       -       -       -       -       -       -       -       refused yes
        take the label away   -       -       -       -       -       -       -       -       refused yes
        set other labels      -       -       -       -       -       -       -       -       yes     yes
    """,
}

Table = dict[tuple[str, str, str], Verdict]


def table() -> Table:
    """Return the verdict of each (kind, act, identity)."""
    cells: Table = {}
    for kind, text in _KINDS.items():
        for line in text.strip().splitlines():
            words = line.split()
            act, verdicts = " ".join(words[: -len(IDENTITIES)]), words[-len(IDENTITIES) :]
            for identity, verdict in zip(IDENTITIES, verdicts, strict=True):
                cells[kind, act, identity] = Verdict(verdict)
    return cells


_INTRODUCTION = """\
# Who may do what

This page is rendered from `tests/api/authority_matrix.py`; the lab tests try each of its {cells} cells against a real API
server, and a fast test compares this page with the table.

| | |
|---|---|
| yes | done |
| - | RBAC gives no right to try |
| refused | RBAC would allow it; a rule of the kind or an admission policy says no, naming field, clause and way out |
| none | the kind has no such part |

The identities are the roles of `manifests/base/rbac`, and two more:

- **pipeline** holds a careless role: every verb of Kubernetes on every resource of `managedvm.dev`, on Namespaces and on
  CRDs, but none of our own verbs (`attest`, `prune`, `close`). Its column shows what the policies hold where RBAC does not. Such a
  `resources: ["*"]` includes `managedvms/order` and `managedvms/status`: do not grant it to a customer.
- **cluster-admin** holds every verb there is, ours too. It can attest, prune, close months, and delete a CRD with all objects in it; it
  cannot edit a record or its status. It can also do what no policy sees: delete the policies or their bindings, change a
  CRD, impersonate the operator, write into etcd. The operator notices a policy that is missing or not bound as it ships, and
  then does nothing (what the rules of a policy say is not compared); everything else of this kind is a matter of whom you
  make cluster-admin, and of the API server's audit log.

A ledger Namespace that a cluster-admin deletes stays `Terminating` while it holds records: the controller that clears
Namespaces may not prune either. `delete the CRD` is tried as a dry run where it is allowed.
"""


def render() -> str:
    """Return the documentation page."""
    cells = table()
    page = [_INTRODUCTION.format(cells=len(cells))]
    for kind in _KINDS:
        acts = list(dict.fromkeys(act for of, act, _ in cells if of == kind))
        page.append(f"## {kind}\n")
        page.append(f"| | {' | '.join(IDENTITIES)} |")
        page.append("|---" * (len(IDENTITIES) + 1) + "|")
        page += [
            f"| {act} | {' | '.join(cells[kind, act, identity].value for identity in IDENTITIES)} |"
            for act in acts
        ]
        page.append("")
    return "\n".join(page)


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - the page is this program's output
