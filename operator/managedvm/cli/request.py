"""`managedvm request`: shows a ChangeRequest, and records what somebody decides about it."""

from typing import Annotated

import typer

from managedvm.api.base import LONGEST_TEXT, LocalReference
from managedvm.api.changerequest import FINAL_STATES, ChangeRequest, RecordOrigin
from managedvm.api.requestdecision import Capacity, Decision, RequestDecision, RequestDecisionSpec
from managedvm.api.workentry import WorkEntry
from managedvm.cli.connection import Context, answer, api_server, fail, namespaced
from managedvm.cli.explain import print_statements
from managedvm.errors import ConflictError
from managedvm.planning.explanation import Statement, explain_request
from managedvm.planning.records import request_decision
from managedvm.planning.standing import orders
from managedvm.world.apply import create_once

request_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Show a ChangeRequest, release, withdraw or complete it."
)

Named = Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The ChangeRequest.")]
Why = Annotated[
    str, typer.Option("--reason", "-r", help="Why, in words that can be read later.", prompt=True)
]
By = Annotated[
    str | None,
    typer.Option(help="Who decided, where that is not you: it needs the verb attest on changerequests."),
]
Staff = Annotated[
    bool, typer.Option("--staff", help="Decide as the provider's staff, which needs the verb attest.")
]


@request_app.command()
def show(name: Named, context: Context = None) -> None:
    """Say what was asked, how far it got, by which clause, who decided what, and what work there is."""
    question = _story(*namespaced(name), context)
    print_statements(f"ChangeRequest {name}", answer(question, missing=f"There is no ChangeRequest {name}."))


@request_app.command()
def release(name: Named, reason: Why, by: By = None, staff: Staff = False, context: Context = None) -> None:
    """Let a held request go on, or what is billed of a fault, as somebody on the customer's list or as staff."""
    _decide(name, Decision.RELEASE, reason, by, _capacity(staff=staff), context)


@request_app.command()
def withdraw(name: Named, reason: Why, by: By = None, staff: Staff = False, context: Context = None) -> None:
    """End a request that is not wanted any more; what was worked on it until then is billed as its clause says."""
    _decide(name, Decision.WITHDRAW, reason, by, _capacity(staff=staff), context)


@request_app.command()
def complete(name: Named, reason: Why, by: By = None, context: Context = None) -> None:
    """Say as the provider's staff that the work on a request is done."""
    _decide(name, Decision.COMPLETE, reason, by, Capacity.STAFF, context)


def _capacity(*, staff: bool) -> Capacity:
    return Capacity.STAFF if staff else Capacity.REQUESTER


def _decide(  # noqa: PLR0917 - private, and all of it is the decision
    name: str, decision: Decision, reason: str, by: str | None, capacity: Capacity, context: str | None
) -> None:
    """Record a decision and say under which name; exits with 1 and the API server's words where it refuses."""
    namespace, request = namespaced(name)
    if not 0 < len(reason.strip()) <= LONGEST_TEXT:
        raise typer.BadParameter(f"say why in 1 to {LONGEST_TEXT} characters", param_hint="--reason")

    async def record() -> str:
        async with api_server(context, writes=True) as kube:
            known = ChangeRequest.of(await kube.get("ChangeRequest", namespace, request))
            spec = RequestDecisionSpec(
                change_request_ref=LocalReference(name=request),
                decision=decision,
                decided_by=by or await kube.whoami(),
                decided_as=capacity,
                reason=reason.strip(),
            )
            body = request_decision(namespace, spec)
            why = _nothing_to_decide(known, decision)
            own = body["metadata"]["name"]
            if why is not None and await kube.find("RequestDecision", namespace, own) is None:
                fail(f"ChangeRequest {name} {why}.")
            try:
                stored = await create_once(kube, body)
            except ConflictError as error:
                fail(f"{error}. What was decided stands; see `managedvm request show {name}`")
            return str(stored["metadata"]["name"])

    recorded = answer(record(), missing=f"There is no ChangeRequest {name}.")
    typer.echo(
        f"Recorded as RequestDecision {recorded}. `managedvm request show {name}` says what becomes of it."
    )


def _nothing_to_decide(request: ChangeRequest, decision: Decision) -> str | None:
    """Return why such a decision would change nothing: the ledger is spared a record that says nothing."""
    status, known = request.status, request.status.authority
    is_ordered = status.release is not None or (known is not None and orders(known))
    if decision is Decision.RELEASE and known is not None and known.may_proceed and not is_ordered:
        return None  # what a cause made billable is released after the fault is removed, too
    if status.state in FINAL_STATES:
        return f"is {status.state} already, and there is nothing left to decide"
    if decision is Decision.RELEASE and status.assessment is not None and is_ordered:
        return f"is {status.state} and waits for no release"
    if decision is Decision.COMPLETE and request.spec.origin is RecordOrigin.OPERATOR:
        return "is carried out and closed by the operator itself"
    return None


async def _story(namespace: str, name: str, context: str | None) -> tuple[Statement, ...]:
    async with api_server(context) as kube:
        request = ChangeRequest.of(await kube.get("ChangeRequest", namespace, name))
        about = f"spec.changeRequestRef.name={name}"
        work = [WorkEntry.of(body) for body in await kube.list("WorkEntry", namespace, field=about)]
        decided = [
            RequestDecision.of(body) for body in await kube.list("RequestDecision", namespace, field=about)
        ]
    return explain_request(request, work, decided)
