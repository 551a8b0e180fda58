"""`python -m lab.guests build | check | clean`: the guests apart from the rest of the lab."""

from __future__ import annotations

import argparse
import sys

from lab.errors import LabError
from lab.guests import clean, host, image, prepare
from lab.guests.podman import ulimits


def main() -> int:
    """Run one command; return 0 when it did what it says."""
    parser = argparse.ArgumentParser(prog="python -m lab.guests", description=__doc__)
    parser.add_argument("command", choices=("build", "check", "clean"))
    command = parser.parse_args().command
    try:
        if command == "build":
            file = prepare()
            print(f"settings for the simulator: {file}" if file else "nothing was built")
            return 0 if file else 1
        if command == "clean":
            clean()
            return 0
        return _check()
    except LabError as error:
        print(f"lab.guests: {error}", file=sys.stderr)
        return 1


def _check() -> int:
    """Say what this machine can do; nothing is changed."""
    obstacle = host.obstacle()
    lacking = host.missing()
    print(f"guests possible:    {'no: ' + obstacle if obstacle else 'yes'}")
    print(f"packages missing:   {', '.join(lacking) or 'none'}")
    print(f"memory controller:  {host.memory_controller() or 'none'}")
    print(f"limits of a guest:  {', '.join(f'{name}={value}' for name, value in ulimits().items())}")
    print(f"packages in a guest: {', '.join(image.PACKAGES)}")
    return 1 if obstacle else 0


if __name__ == "__main__":
    sys.exit(main())
