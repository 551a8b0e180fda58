"""The part of the demo's story that is about money: a request by telephone, a technician's work, and the month's end."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import lab
from lab.paths import ROOT
from managedvm.clock import utc_now

if TYPE_CHECKING:
    from datetime import datetime

    from lab.facts import Lab
    from lab.kube import Kube

TECHNICIAN = "t.technik@provider.example"
CALLER = "c.anrufer@kunde-a.example"
REQUESTER = "a.beispiel@kunde-a.example"
_REQUEST = "kunde-a/call-0815"
_ZONE = ZoneInfo("Europe/Berlin")


def typed(world: Lab, *words: str, at: datetime | None = None) -> None:
    """Show a command of ours as a person would type it, and what it prints; `at` is the day on which it is typed."""
    print(f"$ managedvm {' '.join(f'{word!r}' if ' ' in word else word for word in words)}", flush=True)
    elsewhen = ("lab.elsewhen", at.isoformat()) if at else ("managedvm",)
    paths = os.pathsep.join([str(ROOT / "operator"), str(ROOT)])
    environment = {**os.environ, "KUBECONFIG": str(world.kubeconfig), "PYTHONPATH": paths}
    subprocess.run((sys.executable, "-m", *elsewhen, *words), env=environment, check=False)


def answer_a_call(world: Lab, admin: Kube) -> None:
    """Enter a fault that somebody reported by telephone, work on it at once, and bill its cause once that is released."""
    called = utc_now() - timedelta(minutes=25)
    asked = {
        "apiVersion": "managedvm.dev/v1alpha1",
        "kind": "ChangeRequest",
        "metadata": {"name": "call-0815", "namespace": "kunde-a"},
        "spec": {
            "kind": "FaultReport",
            "managedVMRef": {"name": "web-01"},
            "requestedBy": CALLER,
            "channel": "Phone",
            "askedAt": f"{called:%Y-%m-%dT%H:%M:%SZ}",
            "description": "The shop answers with 502 since this morning",
        },
    }
    print(f"The call was at {called:%H:%M} UTC; the technician began at once, and enters it now:")
    admin.impersonate(TECHNICIAN).create(asked)
    _await(admin, "changerequest", "call-0815", lambda status: "authority" in status)
    typed(world, "request", "show", _REQUEST)
    print(
        "A change in the web server's configuration that the customer has made was the cause (clause 6.1), and who called "
        "may not order what is billed:"
    )
    typed(
        world, "work", "add", _REQUEST, "--by", TECHNICIAN, "--minutes", "20",
        "--cause", "CustomerChange", "--activity", "Rewrite rule of the customer mended",
    )  # fmt: skip
    work = admin.get("workentries", namespace="kunde-a")["items"]
    name = next(w["metadata"]["name"] for w in work if w["spec"]["performedBy"] == TECHNICIAN)
    _await(admin, "workentry", name, lambda status: _is_judged(status, "RequestHeld"))
    typed(world, "work", "list", _REQUEST)
    typed(world, "request", "release", _REQUEST, "--by", REQUESTER, "--reason", "Confirmed by telephone")
    _await(admin, "workentry", name, lambda status: _is_judged(status, "WorkAccepted"))
    typed(world, "request", "complete", _REQUEST, "--by", TECHNICIAN, "--reason", "The shop answers again")
    _await(admin, "changerequest", "call-0815", lambda status: status.get("state") == "Done")
    print(admin.run("get", "chg,work", "-n", "kunde-a").stdout, end="", flush=True)


def _is_judged(status: dict[str, Any], reason: str) -> bool:
    return any(said["reason"] == reason for said in status.get("conditions", []))


def close_the_month(world: Lab) -> None:
    """Close the story's month on the first day of the next one, show it, verify it, and answer a dispute about a line."""
    today = utc_now().astimezone(_ZONE)
    month = f"{today:%Y-%m}"
    first = today.replace(day=1, hour=9, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=32)).replace(day=1)
    print(f"It is {after:%Y-%m-%d} by the lab's other clock; the accountant closes {month}:", flush=True)
    typed(world, "statement", "close", "kunde-a", month, at=after)
    typed(world, "statement", "show", "kunde-a", month, at=after)
    pdf = world.directory / f"kunde-a-{month}.pdf"
    typed(world, "statement", "export", "kunde-a", month, "-f", "pdf", "-o", str(pdf), at=after)
    typed(world, "statement", "verify", "kunde-a", at=after)
    print("(Silent: nothing was edited, deleted, inserted or reordered.)", flush=True)
    typed(world, "explain-charge", _REQUEST, at=after)


def _await(admin: Kube, kind: str, name: str, is_so: Any) -> None:
    def found() -> bool:
        return bool(is_so(admin.get(kind, name, namespace="kunde-a").get("status", {})))

    lab.wait_until(found, f"{kind} {name}", seconds=20)
