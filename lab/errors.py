"""What can go wrong in the lab, each with a message that says what to look at."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the message is for the person who asked."""


class DeadlineError(LabError):
    """Something awaited did not happen in time."""
