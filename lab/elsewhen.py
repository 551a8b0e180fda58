"""Our program on another day: `python -m lab.elsewhen 2026-12-24T18:00:00Z run` is `managedvm run` as if started then.

From that instant on its clock goes on as all clocks do. Only what it calls the present differs: the API server, vCenter and
every deadline counted in seconds keep their own time. The image has no `lab`, so no operator of a user can do this.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from managedvm import clock

if TYPE_CHECKING:
    from collections.abc import Callable


def clock_from(begin: datetime, seconds: Callable[[], float] = time.monotonic) -> Callable[[], datetime]:
    """Return a clock that shows `begin` now and runs on at the rate of `seconds`.

    Raises:
        ValueError: `begin` has no time zone.
    """
    if begin.tzinfo is None:
        raise ValueError(f"{begin.isoformat()} needs a time zone: write for example {begin.isoformat()}Z")
    started = seconds()
    return lambda: begin + timedelta(seconds=seconds() - started)


def main() -> None:
    """Run `managedvm` with the arguments after the first, which is the instant to begin at."""
    begin = datetime.fromisoformat(sys.argv[1])
    # Before anything of the program is imported, since each module takes the clock by its name.
    vars(clock)["utc_now"] = clock_from(begin)
    from managedvm.__main__ import main as run  # noqa: PLC0415 - see above

    sys.argv = ["managedvm", *sys.argv[2:]]
    run()


if __name__ == "__main__":
    main()
