"""Guests of the lab: machines with a real inside, made from this machine's own Debian, where a container engine is."""

from lab.guests.settings import clean, prepare

__all__ = ["clean", "prepare"]
