"""Log lines as JSON, one per event, and never with a secret: what is registered here is blotted out of every line."""

import json
import logging

from pythonjsonlogger.json import JsonFormatter

_BLOT = "[secret]"
_SHORTEST = 4
"""Shorter values would blot out ordinary words; a password that short protects nothing anyway."""


class Redaction:
    """Blots registered secrets out of finished lines, so that no field, argument or trace is forgotten."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def register(self, secret: str) -> None:
        """Blot this value out of every line from now on, also as Python and JSON write it."""
        if len(secret) >= _SHORTEST:
            for written in (secret, repr(secret)[1:-1]):
                self._secrets |= {written, json.dumps(written)[1:-1]}

    def clean(self, text: str) -> str:
        """Return the text with every registered secret blotted out, the longest first."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _BLOT)
        return text


redaction = Redaction()
"""The one of the process: whoever reads a secret registers it here."""


class RedactedJson(JsonFormatter):
    """JSON lines from which secrets are blotted out last."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished line."""
        return redaction.clean(super().format(record))


def configure(level: str) -> None:
    """Send all loggers, kopf's and other libraries' too, to standard error as redacted JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        RedactedJson(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("managedvm").setLevel(level)
    # kopf formats whole bodies eagerly at DEBUG: never below INFO.
    logging.getLogger("kopf").setLevel(logging.WARNING)
