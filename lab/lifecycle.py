"""From nothing to a world and back: `up` and `down` may each be called twice, at any time, after any accident.

A lab lives from `up` to `down`. While any part of it runs, `up` completes it on the same ports with the same
data; when nothing runs any more, after `down` or a reboot, `up` begins anew.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab import controlplane, facts, guests, install, processes, provision, simulator
from lab.daemons import Daemon, await_serving, launch
from lab.errors import LabError
from lab.facts import CONTROL_PLANE, GUEST_USER, VCENTER, VCENTER_USERS, Lab
from lab.kubeconfig import CONTEXT, current_context
from lab.locks import exclusive
from lab.paths import lab_directory
from lab.pki import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

_PORTS = ("etcd", "etcd-peer", "apiserver", "controller-manager", "vcenter", "vcenter-admin")
# Below the range from which the kernel draws ports for outgoing connections: a restart finds its port free.
_PORT_RANGE = (20_000, 29_999)
_PRIVATE_DIRECTORY = 0o700


def up(
    *,
    directory: Path | None = None,
    with_vcenter: bool = True,
    inventory: Mapping[str, object] | None = None,
    with_product: bool = True,
) -> Lab:
    """Start what of the lab does not run, and return it when all of it serves.

    Args:
        directory: Where the world is kept; default `lab_directory()`.
        with_vcenter: Whether the lab has a vCenter.
        inventory: What the vCenter begins with; default the demo's. A vCenter that runs keeps its own.
        with_product: Whether our kinds, policies and roles are installed.

    Raises:
        LabError: something does not start; what started stays, for a look at its logs and a second `up`.
    """
    directory = directory or lab_directory()
    with exclusive(directory / "lock", "another process is starting or stopping this lab"):
        lab = _alive(directory) or _make(directory, inventory or simulator.read_inventory(), with_vcenter)
        if with_vcenter and VCENTER not in lab.daemons:
            raise LabError("this lab was made without a vCenter: `down` first")
        _start(lab, list(lab.daemons))
        if with_product:
            install.product(lab)
    return lab


def down(directory: Path | None = None) -> bool:
    """End every process of the lab, its operators too; return whether any lived. Logs stay to be read."""
    directory = directory or lab_directory()
    if not directory.exists():
        return False
    with exclusive(directory / "lock", "another process is starting or stopping this lab"):
        return _end_all(directory)


def running(directory: Path | None = None) -> Lab | None:
    """Return the lab when every one of its daemons lives, else None."""
    lab = facts.load(directory or lab_directory())
    if lab is None or any(lab.process(name) is None for name in lab.daemons):
        return None
    return lab


def start(lab: Lab, name: str) -> None:
    """Start one daemon on the ports it always had and return when it serves.

    Raises:
        LabError: the lab has no such daemon, or it does not start.
    """
    _known(lab, name)
    _start(lab, [name])


def stop(lab: Lab, name: str) -> bool:
    """End one daemon as a shutdown does; return whether it lived."""
    return processes.stop(lab.pid_file(_known(lab, name)), grace=20)


def kill(lab: Lab, name: str) -> bool:
    """End one daemon as a crash does; return whether it lived."""
    return processes.kill(lab.pid_file(_known(lab, name)))


def restart(lab: Lab, name: str) -> None:
    """End one daemon and start it on the same ports: etcd and API server keep their data, the vCenter does not."""
    stop(lab, name)
    start(lab, name)


def _start(lab: Lab, names: list[str]) -> None:
    """Launch what does not live and wait for all of it: what waits for nothing is launched first."""
    daemons = {name: _daemon(lab, name) for name in names}
    for name in ("etcd", "apiserver", VCENTER):
        if name in daemons:
            launch(lab, daemons[name])
    for name in ("etcd", "apiserver"):
        if name in daemons:
            await_serving(lab, daemons[name])
    # Without an API server to talk to, the controller manager would end.
    for name in ("controller-manager", VCENTER):
        if name in daemons:
            launch(lab, daemons[name])
            await_serving(lab, daemons[name])


def _end_all(directory: Path) -> bool:
    """End every process that has a pid file in a lab's directory; return whether any lived."""
    # The API server ends before etcd, else it spends its grace asking for it.
    last = {"etcd": 2, "apiserver": 1}
    pid_files = (directory / "pids").glob("*.pid")
    ordered = sorted(pid_files, key=lambda pid_file: (last.get(pid_file.stem, 0), pid_file.stem))
    lived = [processes.stop(pid_file, grace=20) for pid_file in ordered]
    guests.clean(directory)
    return any(lived)


def _daemon(lab: Lab, name: str) -> Daemon:
    if name == VCENTER:
        return simulator.daemon(lab)
    return next(daemon for daemon in controlplane.daemons(lab) if daemon.name == name)


def _known(lab: Lab, name: str) -> str:
    if name not in lab.daemons:
        raise LabError(f"this lab has no {name}; it has {', '.join(lab.daemons)}")
    return name


def _alive(directory: Path) -> Lab | None:
    """Return the lab of `directory` while any of its daemons lives: then it is to be completed, not made anew."""
    lab = facts.load(directory)
    if lab is None or all(lab.process(name) is None for name in lab.daemons):
        return None
    return lab


def _make(directory: Path, inventory: Mapping[str, object], with_vcenter: bool) -> Lab:
    """Write everything a new lab starts from, in place of whatever an old one left."""
    named = os.environ.get("MANAGEDVM_LAB_KUBECONFIG")
    binaries = provision.control_plane()
    _end_all(directory)  # an operator may have outlived its world
    _clear(directory)
    lab = Lab(
        directory=directory,
        binaries=binaries.directory,
        context=CONTEXT,
        daemons=(() if named else CONTROL_PLANE) + ((VCENTER,) if with_vcenter else ()),
        ports=dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)),
        passwords={user: secrets.token_urlsafe(18) for user in (*VCENTER_USERS, GUEST_USER)},
    )
    facts.save(lab)  # first: it marks the directory as a lab's, should this be cut short
    if named:
        lab = _with_named_cluster(lab, Path(named), os.environ.get("MANAGEDVM_LAB_CONTEXT"))
        facts.save(lab)
    else:
        controlplane.prepare(lab)
    simulator.prepare(lab, inventory)
    write_private(lab.env_file, lab.env_lines().encode())
    return lab


def _with_named_cluster(lab: Lab, kubeconfig: Path, context: str | None) -> Lab:
    """Return the lab over a cluster of the user's; only the one context that was named is copied."""
    argv = [
        str(lab.kubectl),
        "config",
        "view",
        "--minify",
        "--flatten",
        "--raw",
        f"--kubeconfig={kubeconfig}",
    ]
    if context:
        argv.append(f"--context={context}")
    view = subprocess.run(argv, capture_output=True, check=False)
    if view.returncode != 0:
        raise LabError(f"MANAGEDVM_LAB_KUBECONFIG={kubeconfig}: {view.stderr.decode().strip()}")
    write_private(lab.kubeconfig, view.stdout)
    return replace(lab, context=current_context(lab.kubeconfig))


def _clear(directory: Path) -> None:
    """Empty a lab's directory but for its lock; one that is not a lab's is left alone.

    Raises:
        LabError: the directory holds something that no lab wrote.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_DIRECTORY)
    directory.chmod(_PRIVATE_DIRECTORY)
    left = [path for path in directory.iterdir() if path.name != "lock"]
    if left and not (directory / "lab.json").exists():
        raise LabError(
            f"{directory} is not empty and not a lab's: remove it, or choose another MANAGEDVM_LAB_DIR"
        )
    # The facts go last: a removal that was cut short can be taken up again.
    for path in sorted(left, key=lambda path: path.name == "lab.json"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens, each another one."""
    with ExitStack() as held:
        found: list[int] = []
        first, last = _PORT_RANGE
        while len(found) < count:
            port = first + secrets.randbelow(last - first + 1)
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
        return found
