"""`python -m lab`: the lab from a shell."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import lab
from lab import facts, provision, simulator
from lab.errors import LabError
from lab.paths import lab_directory

_WITHOUT = {
    "vcenter": "only the control plane",
    "guests": "no VM has an inside: no container engine is needed",
    "product": "install none of our kinds, policies and roles",
}


def main() -> int:
    """Run one command and return the exit code: 1 when the lab refused, its reason on stderr."""
    arguments = parser().parse_args()
    try:
        return int(arguments.run(arguments) or 0)
    except LabError as refusal:
        print(f"lab: {refusal}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser; `run` of what it parses is the command."""
    top = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="command")
    up = commands.add_parser("up", help="start what does not run; may be repeated")
    for what, meaning in _WITHOUT.items():
        up.add_argument(f"--without-{what}", action="store_true", help=meaning)
    up.add_argument("--inventory", type=Path, default=simulator.INVENTORY, help="the vCenter's inventory")
    up.add_argument("--fleet", type=int, default=0, metavar="N", help="add N VMs for measurements")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="end all of it; may be repeated").set_defaults(run=_down)
    commands.add_parser("status", help="what runs; exit code 0 when all does").set_defaults(run=_status)
    commands.add_parser("provision", help="get or build the programs, start none").set_defaults(
        run=_provision
    )
    for name, what in (
        ("start", "start"),
        ("stop", "end"),
        ("restart", "end and start"),
        ("kill", "SIGKILL"),
    ):
        one = commands.add_parser(name, help=f"{what} one daemon, on its own ports")
        one.add_argument("daemon", choices=(*facts.CONTROL_PLANE, facts.VCENTER))
        one.set_defaults(run=_one, action=name)
    return top


def _up(arguments: argparse.Namespace) -> None:
    begin = time.monotonic()
    inventory = simulator.read_inventory(arguments.inventory, fleet=arguments.fleet)
    if arguments.without_guests:
        inventory = simulator.without_guests(inventory)
    world = lab.up(
        with_vcenter=not arguments.without_vcenter,
        with_product=not arguments.without_product,
        inventory=inventory,
    )
    print(f"the lab is up ({time.monotonic() - begin:.1f} s)")
    _tell(world)
    print(f"\nto use it: source {world.env_file}")


def _down(_: argparse.Namespace) -> None:
    print("the lab is down" if lab.down() else "no lab runs here")


def _status(_: argparse.Namespace) -> int:
    world = facts.load(lab_directory())
    if world is None:
        print("there is no lab here")
        return 1
    _tell(world)
    return 0 if lab.running() else 1


def _provision(_: argparse.Namespace) -> None:
    print(f"control plane: {provision.control_plane().directory}")
    print(f"vCenter: {provision.vcenter()}")


def _one(arguments: argparse.Namespace) -> None:
    world = facts.load(lab_directory())
    if world is None:
        raise LabError("there is no lab here: `python -m lab up` first")
    action = {"start": lab.start, "stop": lab.stop, "restart": lab.restart, "kill": lab.kill}[
        arguments.action
    ]
    action(world, arguments.daemon)
    _tell(world)


def _tell(world: lab.Lab) -> None:
    for name in world.daemons:
        process = world.process(name)
        print(f"  {name:<20} {f'pid {process.pid}' if process else 'does not run'}")
    if world.own_control_plane:
        print(f"  API server           {world.api_url}")
    if facts.VCENTER in world.daemons:
        print(f"  vCenter              {world.vcenter_url}  (admin {world.vcenter_admin})")


if __name__ == "__main__":
    sys.exit(main())
