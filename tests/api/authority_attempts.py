"""How each act of the authority matrix is tried: what must be there first, and the one request."""

from collections.abc import Callable
from dataclasses import dataclass

from managedvm.clock import utc_now
from tests.api import bodies
from tests.api.authority_matrix import Verdict
from tests.api.bodies import Object
from tests.api.server import Answer, Client, assert_done
from tests.api.tenancy import Tenant, namespace

ELSE = "somebody-else@kunde-a.example"
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "33333333-3333-4333-8333-333333333333"}
LABEL = "attempt"
PERSON = {"ChangeRequest": "requestedBy", "RequestDecision": "decidedBy", "WorkEntry": "performedBy"}
"""The field of a record that names who asked, decided or worked."""

CATALOGUE: dict[str, Callable[[str], Object]] = {
    "ServiceLevel": bodies.service_level,
    "PriceList": bodies.price_list,
    "VCenter": bodies.vcenter,
    "Helpdesk": lambda _: bodies.helpdesk(),
}
"""What the provider offers, by its name alone."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One cell: who tries, on what."""

    tenant: Tenant
    identity: str
    name: str

    @property
    def client(self) -> Client:
        """The API server as who tries sees it."""
        return self.tenant.client(self.identity)

    @property
    def me(self) -> str:
        """Who tries, as the API server knows them."""
        if self.identity != "cluster-admin":
            return self.tenant.user(self.identity)
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self.client.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        return str(answer.body["status"]["userInfo"]["username"])

    def draft(self, kind: str) -> Object:
        """Return an object of a kind as who tries would write it."""
        here, name = self.tenant.namespace, self.name
        match kind:
            case "ManagedVM":
                body = bodies.managed_vm(here, name)
            case "ChangeRequest":
                body = bodies.change_request(here, name, self.me)
            case "WorkEntry":
                body = bodies.work_entry(here, name, "operator" if self.identity == "operator" else self.me)
            case "RequestDecision":
                body = bodies.request_decision(here, name, self.me)
            case "Statement":
                body = bodies.statement(here)
            case "VMClaim" | "Outage":
                body = bodies.claim(name, here) if kind == "VMClaim" else bodies.outage(here, name)
            case "CustomerContacts":
                body = bodies.contacts(here, bodies.requester("a@x"), bodies.requester("b@x"))
            case "Customer":
                body = bodies.customer(f"{name}-{here}", f"{name}-{here}")
            case "ServiceLevel" | "PriceList" | "VCenter" | "Helpdesk":
                body = CATALOGUE[kind](name)
            case _:
                body = namespace(f"{name}-{here}", ledger="true")
        body["metadata"]["labels"] = {**body["metadata"].get("labels", {}), LABEL: name}
        return body

    def existing(self, kind: str, **spec: object) -> Object:
        """Return an object that is there, made by whoever may."""
        body = self.draft(kind)
        if spec:
            body["spec"] |= spec
        if kind in PERSON:
            body["spec"][PERSON[kind]] = ELSE
        maker = self.tenant.operator if kind == "Outage" else self.tenant.admin
        answer = maker.create(body)
        assert_done(answer)
        return {**answer.body, "kind": kind if kind in bodies.KINDS else "Namespace"}


Act = Callable[[Attempt, str], Answer]


def _create(attempt: Attempt, kind: str) -> Answer:
    return attempt.client.create(attempt.draft(kind))


def _create_for_another(attempt: Attempt, kind: str) -> Answer:
    body = attempt.draft(kind)
    body["spec"][PERSON[kind]] = ELSE
    return attempt.client.create(body)


def _say_it_was_asked(attempt: Attempt, kind: str) -> Answer:
    body = attempt.draft(kind)
    body["spec"]["askedAt"] = f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"
    return attempt.client.create(body)


def _release(**spec: str) -> Act:
    def release(attempt: Attempt, kind: str) -> Answer:
        body = attempt.draft(kind)
        body["spec"] |= {"decision": "Release", **spec}
        return attempt.client.create(body)

    return release


def _create_as_operator(attempt: Attempt, kind: str) -> Answer:
    body = attempt.draft(kind)
    body["metadata"]["name"] = f"op-{attempt.name}"
    return attempt.client.create(body)


def _release_unlisted(attempt: Attempt, kind: str) -> Answer:
    people = bodies.contacts(attempt.tenant.namespace, bodies.requester("a@x"))
    assert_done(attempt.tenant.admin.create(people))
    try:
        return _release()(attempt, kind)
    finally:
        attempt.tenant.admin.delete(people)


def _patch(patch: Object) -> Act:
    return lambda attempt, kind: attempt.client.patch(attempt.existing(kind), patch)


SPEC: dict[str, Object] = {
    "ManagedVM": {"suspend": True},
    "ChangeRequest": {"ticket": "4711"},
    "RequestDecision": {"reason": "Another one."},
    "WorkEntry": {"ticket": "4711"},
    "Statement": {"hash": "1" * 64},
    "Outage": {"cause": "Suspended"},
    "VMClaim": {"owner": {"name": "web-02"}},
    "CustomerContacts": {"requesters": [bodies.requester(email) for email in ("a@x", "b@x", "c@x")]},
    "Customer": {"displayName": "Kunde AG"},
    "ServiceLevel": {"displayName": "Other"},
    "PriceList": {
        "vat": [*bodies.price_list("p")["spec"]["vat"], {"from": "2099-01-01T00:00:00Z", "percent": "7"}]
    },
    "VCenter": {"budget": {"concurrentTasks": 3}},
    "Helpdesk": {"pollInterval": "5m"},
}


def _change_spec(attempt: Attempt, kind: str) -> Answer:
    return attempt.client.patch(attempt.existing(kind), {"spec": SPEC[kind]})


def _apply_with_force(attempt: Attempt, kind: str) -> Answer:
    there = attempt.existing(kind)
    meta = {key: there["metadata"][key] for key in ("name", "namespace") if key in there["metadata"]}
    wanted = {
        "apiVersion": there["apiVersion"],
        "kind": kind,
        "metadata": meta,
        "spec": there["spec"] | SPEC[kind],
    }
    if kind == "VMClaim":
        wanted["spec"]["owner"] = {**there["spec"]["owner"], **SPEC[kind]["owner"]}
    return attempt.client.apply(wanted, force=True)


def _order(by: str) -> Act:
    def order(attempt: Attempt, kind: str) -> Answer:
        slip = {"id": "more", "requestedBy": by or attempt.me}
        return attempt.client.patch(
            attempt.existing(kind), {"spec": {"resources": {"cpus": 8}, "change": slip}}
        )

    return order


def _write_status(attempt: Attempt, kind: str) -> Answer:
    status = {"state": "Held"} if kind == "ChangeRequest" else {"observedGeneration": 1}
    return attempt.client.patch(attempt.existing(kind), {"status": status}, "/status")


def _close(until: str, before: str = "") -> Act:
    """Return the attempt to close a customer's work until a time, `before` saying what was closed already."""

    def close(attempt: Attempt, kind: str) -> Answer:
        there = attempt.existing(kind)
        if before:
            closed = attempt.tenant.admin.patch(there, {"status": {"closedUntil": before}}, "/status")
            assert_done(closed)
        return attempt.client.patch(there, {"status": {"closedUntil": until}}, "/status")

    return close


def _take_away(attempt: Attempt, kind: str) -> Answer:
    kept = f"{attempt.name}-kept"
    there = attempt.existing(kind, namespaces=[kept, f"{attempt.name}-taken"])
    return attempt.client.patch(there, {"spec": {"namespaces": [kept]}})


def _re_price(attempt: Attempt, kind: str) -> Answer:
    there = attempt.existing(kind)
    field = "priceLists" if kind == "Customer" else "rates"
    dated = there["spec"][field]
    return attempt.client.patch(
        there, {"spec": {field: [*dated, {**dated[0], "from": "2026-02-01T00:00:00Z"}]}}
    )


def _delete(**spec: object) -> Act:
    return lambda attempt, kind: attempt.client.delete(attempt.existing(kind, **spec))


def _delete_all(attempt: Attempt, kind: str) -> Answer:
    there = attempt.existing(kind, **({"deletionProtection": False} if kind == "ManagedVM" else {}))
    return attempt.client.delete_all(there, labelSelector=f"{LABEL}={attempt.name}")


def _delete_crd(attempt: Attempt, kind: str) -> Answer:
    crd = {"kind": "CustomResourceDefinition", "metadata": {"name": f"{bodies.KINDS[kind]}.managedvm.dev"}}
    dry = {"dryRun": "All"} if attempt.identity == "cluster-admin" else {}
    return attempt.client.delete(crd, **dry)


def _seen(attempt: Attempt, kind: str) -> Object:
    """Return a VCenter as the operator leaves it that has seen it."""
    there = attempt.existing(kind)
    status = {"instanceUUID": "5a1b0000-0000-4000-8000-0000000000bb"}
    assert_done(attempt.tenant.admin.patch(there, {"status": status}, "/status"))
    return there


def _delete_seen(attempt: Attempt, kind: str) -> Answer:
    return attempt.client.delete(_seen(attempt, kind))


def _delete_all_seen(attempt: Attempt, kind: str) -> Answer:
    return attempt.client.delete_all(_seen(attempt, kind), labelSelector=f"{LABEL}={attempt.name}")


def _unlabel(attempt: Attempt, kind: str) -> Answer:
    label = {"metadata": {"labels": {"managedvm.dev/ledger": None}}}
    return attempt.client.patch(attempt.existing(kind), label)


ACTS: dict[str, Act] = {
    "create": _create,
    "create for another": _create_for_another,
    "say it was asked": _say_it_was_asked,
    "create as op-...": _create_as_operator,
    "release unlisted": _release_unlisted,
    "release as staff": _release(decidedAs="Staff"),
    "change spec": _change_spec,
    "change orders": _patch({"spec": {"orders": [bodies.order(until="2027-01-01T00:00:00Z")]}}),
    "order in own name": _order(""),
    "order for another": _order(ELSE),
    "change identity": _patch({"spec": {"vm": {"inventoryPath": "/a/b"}}}),
    "change the number": _patch({"spec": {"customerNumber": "K-2"}}),
    "take a namespace away": _take_away,
    "re-price the past": _re_price,
    "remove an entry": _patch({"spec": {"requesters": [bodies.requester("a@x")]}}),
    "write status": _write_status,
    "close a month": _close("2026-02-01T00:00:00Z"),
    "open it again": _close("2026-01-01T00:00:00Z", before="2026-02-01T00:00:00Z"),
    "set labels": _patch({"metadata": {"labels": {"team": "a"}}}),
    "set other labels": _patch({"metadata": {"labels": {"team": "a"}}}),
    "set annotations": _patch({"metadata": {"annotations": {"note": "b"}}}),
    "set finalizers": _patch({"metadata": {"finalizers": ["example.com/hold"]}}),
    "set ownerReferences": _patch({"metadata": {"ownerReferences": [OWNER]}}),
    "apply with force": _apply_with_force,
    "delete": _delete(),
    "delete protected": _delete(),
    "delete unprotected": _delete(deletionProtection=False),
    "delete one never seen": _delete(),
    "delete one that was seen": _delete_seen,
    "delete all that were seen": _delete_all_seen,
    "deletecollection": _delete_all,
    "delete the CRD": _delete_crd,
    "take the label away": _unlabel,
}


def verdict(answer: Answer) -> Verdict:
    """Return how an attempt ended, by the words of who refused it."""
    if answer.ok:
        return Verdict.YES
    if answer.code in {404, 405}:
        return Verdict.ABSENT
    if (
        answer.code == 403
        and " cannot " in answer.message
        and "ValidatingAdmissionPolicy" not in answer.message
    ):
        return Verdict.NO_RIGHT
    if answer.code in {403, 422}:
        return Verdict.REFUSED
    raise AssertionError(f"{answer.code}: {answer.message}")
