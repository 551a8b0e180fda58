"""The one way the lab waits: ask again until the answer is yes, with a deadline; never sleep and hope."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from lab.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(check: Callable[[], T | None], what: str, *, seconds: float, every: float = 0.05) -> T:
    """Return the first answer of `check` that is neither None nor False.

    Raises:
        DeadlineError: `seconds` went by; the message names `what` was awaited.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() >= deadline:
            raise DeadlineError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)  # noqa: TID251 - the pause between two looks; the deadline above decides
