"""A real world on one machine: a Kubernetes control plane, a vCenter, and our operator under its own account.

`up()` and `down()` make and end it, `running()` finds it; `lab.kube`, `lab.vcenter_admin`, `lab.audit` and
`lab.operator` are the hands and eyes that tests and the demo have in it.
"""

from __future__ import annotations

from lab.errors import DeadlineError, LabError
from lab.facts import Lab
from lab.lifecycle import down, kill, restart, running, start, stop, up
from lab.polling import wait_until

__all__ = [
    "DeadlineError",
    "Lab",
    "LabError",
    "down",
    "kill",
    "restart",
    "running",
    "start",
    "stop",
    "up",
    "wait_until",
]
