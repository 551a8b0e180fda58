"""`make demo`: the main job told as a story, each line of it the real output of the real thing.

The lab is made anew, the operator runs under its shipped ServiceAccount, people are impersonated users with the shipped
roles. Without a terminal it ends by itself; with one it stays up for exploring; KEEP=1 leaves everything running.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import textwrap
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lab
from lab import demo_month, kube, operator, vcenter_admin
from lab.errors import LabError
from lab.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.facts import Lab
    from lab.kube import Kube
    from lab.operator import Operator
    from lab.vcenter_admin import VCenterAdmin

SAMPLES = ROOT / "manifests" / "samples"
PROVIDER = "platform@provider.example"
REQUESTER = "a.beispiel@kunde-a.example"
PIPELINE_B = "pipeline@kunde-b.example"
_WIDTH = 118


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story is told with."""

    world: Lab
    admin: Kube
    vcenter: VCenterAdmin
    replica: Operator

    def person(self, name: str) -> Kube:
        """Return the cluster as a person sees it."""
        return self.admin.impersonate(name)


def main() -> int:
    """Tell the story and return the exit code."""
    begin = time.monotonic()
    try:
        stage = _set_up()
        for number, (title, tell) in enumerate(STORY, start=1):
            print(
                f"\n\033[1m{number}. {title}\033[0m" if sys.stdout.isatty() else f"\n{number}. {title}",
                flush=True,
            )
            tell(stage)
        _say(f"The story took {time.monotonic() - begin:.0f} s.")
    except LabError as error:
        print(f"\nThe demo stops here: {error}", file=sys.stderr)
        return 1
    finally:
        _tear_down()
    return 0


def _set_up() -> Stage:
    if lab.running():
        print("A lab is running; the demo begins with a fresh one.")
        lab.down()
    print(
        "Starting a Kubernetes API server and a vCenter (the first time their programs are fetched or built) ..."
    )
    world = lab.up()
    admin = kube.admin(world)
    replica = operator.replica(world)
    replica.start()
    print(
        f"Up. The operator runs as process {replica.pid}, under its ServiceAccount, logging to {_shown(replica.log)}."
    )
    return Stage(world, admin, vcenter_admin.of(world), replica)


def _tear_down() -> None:
    keep = os.environ.get("KEEP") == "1"
    if sys.stdin.isatty() and sys.stdout.isatty() and not keep and lab.running():
        _say("It all stays up while you look round. In another terminal: source .lab/env")
        try:
            input("Enter ends the lab. ")
        except (EOFError, KeyboardInterrupt):
            print()
    if keep:
        _say("KEEP=1: everything stays up. source .lab/env to look, make lab-down to end it.")
    else:
        world = lab.running()
        if world is not None:
            operator.replica(world).stop()
        lab.down()


def declare(stage: Stage) -> None:
    """Two customers, seven VMs: applied, brought under contract, Ready."""
    _say("legacy-01 was set up by hand long ago, with the right HA settings; we will only observe it.")
    stage.vcenter.ha_override(
        "kunde-a/legacy-01",
        restartPriority="lowest",
        failureInterval=30,
        minUpTime=120,
        maxFailures=3,
        maxFailureWindow=-1,
        vmMonitoring="vmMonitoringOnly",
        clusterSettings=False,
    )
    _run(stage.admin, "apply", "-k", str(SAMPLES))
    begin = time.monotonic()
    for namespace in ("kunde-a", "kunde-b"):
        _run(
            stage.admin,
            "wait",
            "managedvm",
            "--all",
            "-n",
            namespace,
            "--for=condition=Ready",
            "--timeout=60s",
        )
    _say(f"All seven are Ready after {time.monotonic() - begin:.1f} s.")
    _run(stage.admin, "get", "mvm", "-A")


def refuse_premium_without_package(stage: Stage) -> None:
    """A mandatory package, refused by the API server itself."""
    order = {"reference": "A-2026-199", "serviceLevel": "premium", "from": "2026-11-01T00:00:00Z"}
    _apply(stage.person(PROVIDER), _managed_vm("kunde-a", "shop-01", "/Berlin/vm/kunde-a/web-01", order))


def refuse_foreign_vm(stage: Stage) -> None:
    """Tenant B reaches for tenant A's VM."""
    order = {
        "reference": "B-2026-299",
        "serviceLevel": "standard",
        "servicePackage": "Basic",
        "from": "2026-01-01T00:00:00Z",
    }
    body = _managed_vm("kunde-b", "not-mine", "/Berlin/vm/kunde-a/web-01", order)
    body["spec"].update(mode="Enforce", deletionProtection=False)
    pipeline = stage.person(PIPELINE_B)
    _apply(pipeline, body)
    said = _condition(stage, "kunde-b", "not-mine", "Claimed", "False")
    _say(f"Claimed is False, {said['reason']}: {said['message']}")
    _run(pipeline, "delete", "mvm", "not-mine", "-n", "kunde-b")


def repair_drift(stage: Stage) -> None:
    """HA settings changed behind our back."""
    _say(
        "Somebody with vCenter access gives app-01 the restart priority `low` and switches VM monitoring off:"
    )
    changed = time.time()  # noqa: TID251 - compared with the simulator's own wall clock
    done = len(stage.vcenter.calls()["mutations"])
    stage.vcenter.ha_override("kunde-b/app-01", restartPriority="low", vmMonitoring="vmMonitoringDisabled")

    def repaired() -> float | None:
        facts = stage.vcenter.vm("kunde-b/app-01")["haOverride"]
        is_right = facts["restartPriority"] == "medium" and facts["vmMonitoring"] == "vmMonitoringOnly"
        return time.time() - changed if is_right else None  # noqa: TID251 - as above

    took = lab.wait_until(repaired, "the repair", seconds=20, every=0.005)
    calls = stage.vcenter.calls()["mutations"][done:]
    _say(f"Repaired {took * 1000:.0f} ms after the change, by {len(calls)} call: {calls[-1]['method']}.")
    lab.wait_until(lambda: "Repairing" in _events(stage), "the Event", seconds=10)
    _run(
        stage.admin, "get", "events", "-n", "kunde-b", "--field-selector", "reason=HighAvailabilityRepairing"
    )


def observe_adopted(stage: Stage) -> None:
    """An adopted VM in Observe, with its difference."""
    said = _condition(stage, "kunde-a", "legacy-01", "ResourcesAsAgreed", "False")
    _say(f"ResourcesAsAgreed is False, {said['reason']}: {said['message']}")
    said = _condition(stage, "kunde-a", "legacy-01", "ChangesPermitted", "False")
    _say(f"ChangesPermitted is False, {said['reason']}: {said['message']}")


def bill_once(stage: Stage) -> None:
    """Memory grown in YAML, the operator killed between intent and effect."""
    _say("vCenter is busy with web-01 for a while, so that the change is recorded and cannot be done yet:")
    stage.vcenter.fault(
        "reject", method="ReconfigVM_Task", fault="TaskInProgress", count=1000, path="kunde-a/web-01"
    )
    change = {
        "resources": {"memory": "8Gi"},
        "change": {"id": "memory-for-november", "requestedBy": REQUESTER},
    }
    _run(
        stage.person(REQUESTER),
        "patch",
        "mvm",
        "web-01",
        "-n",
        "kunde-a",
        "--type=merge",
        "-p",
        _json({"spec": change}),
    )
    lab.wait_until(
        lambda: stage.admin.get("changerequests", namespace="kunde-a")["items"], "the record", seconds=20
    )
    _run(stage.admin, "get", "chg,work", "-n", "kunde-a")
    was = stage.replica.pid
    stage.replica.kill()
    _say(f"The operator (process {was}) was killed: SIGKILL. The intent is on record, nothing has been done.")
    stage.vcenter.clear_faults()
    stage.replica.start()
    _say(f"Started again as process {stage.replica.pid}.")
    lab.wait_until(
        lambda: stage.admin.get("workentries", namespace="kunde-a")["items"], "the work", seconds=60
    )
    _await_state(stage, "Done")
    _run(stage.admin, "get", "chg,work", "-n", "kunde-a")
    _say(
        f"vCenter shows web-01 with {stage.vcenter.vm('kunde-a/web-01')['memoryMiB']} MiB. One request, one work entry."
    )


def withdraw(stage: Stage) -> None:
    """A change that needs a power cycle waits for its window, and is reverted before."""
    _say("db-01 takes no memory while it runs, so this waits for its window, Sunday 02:00:")
    person = stage.person(REQUESTER)
    for change_id, memory in (("more-for-db", "16Gi"), ("back-again", "8Gi")):
        change = {"resources": {"memory": memory}, "change": {"id": change_id, "requestedBy": REQUESTER}}
        _run(person, "patch", "mvm", "db-01", "-n", "kunde-a", "--type=merge", "-p", _json({"spec": change}))
        state = "Scheduled" if change_id == "more-for-db" else "Withdrawn"
        _await_state(stage, state)
        _run(stage.admin, "get", "chg", "-n", "kunde-a", "-o", "wide")


def explain(stage: Stage) -> None:
    """Which clause made it act, wait, refuse or bill."""
    _say("app-02 has no package; its customer orders memory all the same:")
    change = {"resources": {"memory": "8Gi"}, "change": {"id": "memory-please", "requestedBy": PIPELINE_B}}
    patch = ("patch", "mvm", "app-02", "-n", "kunde-b", "--type=merge", "-p", _json({"spec": change}))
    _run(stage.person(PIPELINE_B), *patch)
    _await_state(stage, "Refused")
    for name in ("kunde-a/web-01", "kunde-b/app-02"):
        demo_month.typed(stage.world, "explain", name)


def overview(stage: Stage) -> None:
    """Everything that people steer."""
    _run(stage.admin, "get", "msp", "-A")
    _say(
        "What to try next: kubectl explain managedvm.spec.orders; kubectl describe mvm web-01 -n kunde-a; delete the "
        "ChangeRequest as platform@provider.example (--as) and read the refusal; .venv/bin/python -m lab stop vcenter, and "
        "see that nothing is concluded; README.md for your own cluster and vCenter."
    )


STORY: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("Two customers declare seven VMs, over all service levels and both packages", declare),
    ("A Premium order without a package is refused (clause 1)", refuse_premium_without_package),
    ("Customer B claims a VM of customer A, and is refused (clause 1)", refuse_foreign_vm),
    ("vSphere HA settings are changed behind our back, and repaired (clause 5.2)", repair_drift),
    (
        "An adopted VM is only observed: its difference is shown, nothing is done (clause 6.3)",
        observe_adopted,
    ),
    (
        "Memory grows by YAML; the operator is killed between intent and effect: recorded and billed once",
        bill_once,
    ),
    ("A change is reverted before its window: withdrawn, nothing billed (clause 5.1)", withdraw),
    (
        "A fault by telephone: taken in at once; what its cause costs waits until somebody releases it (4.1, 6.1)",
        lambda stage: demo_month.answer_a_call(stage.world, stage.admin),
    ),
    ("Why? Each promise, refusal and charge with its clause", explain),
    (
        "The month is over: closed, printed, verified, and one charge explained (clause 4)",
        lambda stage: demo_month.close_the_month(stage.world),
    ),
    ("The whole of it", overview),
)


def _managed_vm(namespace: str, name: str, path: str, order: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "managedvm.dev/v1alpha1",
        "kind": "ManagedVM",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "customerRef": {"name": namespace},
            "vm": {"vCenterRef": {"name": "berlin"}, "inventoryPath": path},
            "orders": [dict(order)],
        },
    }


def _condition(stage: Stage, namespace: str, name: str, kind: str, status: str) -> dict[str, Any]:
    """Return a condition once it has the status."""

    def found() -> dict[str, Any] | None:
        body = stage.admin.get("managedvm", name, namespace=namespace)
        conditions = body.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind and c["status"] == status), None)

    return lab.wait_until(found, f"{kind}={status} of {name}", seconds=20)


def _await_state(stage: Stage, state: str) -> None:
    lab.wait_until(lambda: state in _states(stage), f"a request in state {state}", seconds=20)


def _states(stage: Stage) -> list[str]:
    items = stage.admin.get("changerequests")["items"]
    return [item.get("status", {}).get("state", "") for item in items]


def _events(stage: Stage) -> str:
    return stage.admin.run("get", "events", "-n", "kunde-b").stdout


def _run(who: Kube, *arguments: str) -> None:
    """Show a kubectl command as a person would type it, and what it prints."""
    shown = [argument.replace(f"{ROOT}/", "") for argument in arguments]
    alias = ["--as", who.as_user] if who.as_user else []
    print("$ " + shlex.join(["kubectl", *shown, *alias]))
    done = who.run(*arguments, check=False, seconds=90)
    print(textwrap.indent((done.stdout + done.stderr).rstrip(), "  "), flush=True)


def _apply(who: Kube, body: Mapping[str, Any]) -> None:
    """Show the apply of one object, and what the API server says to it."""
    spec = body["spec"]
    order = spec["orders"][0]
    package = order.get("servicePackage", "none")
    print(f"$ kubectl apply -f - --as {who.as_user}")
    print(
        f"  # ManagedVM {body['metadata']['namespace']}/{body['metadata']['name']}: {spec['vm']['inventoryPath']}, ",
        end="",
    )
    print(f"level {order['serviceLevel']}, package {package}")
    done = who.apply(body, manager=None, check=False)
    print(textwrap.indent(textwrap.fill((done.stdout + done.stderr).strip(), _WIDTH - 2), "  "), flush=True)


def _say(text: str) -> None:
    print(textwrap.fill(text, _WIDTH, initial_indent="-> ", subsequent_indent="   "), flush=True)


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _shown(path: object) -> str:
    return str(path).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    sys.exit(main())
