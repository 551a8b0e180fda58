"""Log lines as JSON, one per event, and never with a secret: what is registered here is blotted out in every line."""

import logging

from pythonjsonlogger.json import JsonFormatter

_BLOT = "[secret]"
_SHORTEST = 4
"""Shorter values would blot out ordinary words; a password that short protects nothing anyway."""


class Redaction(logging.Filter):
    """Blots registered secrets out of messages, arguments and traces."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()

    def register(self, secret: str) -> None:
        """Blot this value out of every line from now on."""
        if len(secret) >= _SHORTEST:
            self._secrets.add(secret)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; never drops one."""
        if self._secrets:
            record.msg, record.args = self.clean(record.getMessage()), ()
            if record.exc_info and not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            if record.exc_text:
                record.exc_text = self.clean(record.exc_text)
            for name, value in list(vars(record).items()):
                if isinstance(value, str) and name not in ("msg", "exc_text"):
                    setattr(record, name, self.clean(value))
        return True

    def clean(self, text: str) -> str:
        """Return the text with every registered secret blotted out."""
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return text


redaction = Redaction()
"""The one filter of the process: whoever reads a secret registers it here."""


def configure(level: str) -> None:
    """Send all loggers, kopf's and other libraries' too, to standard error as redacted JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    handler.addFilter(redaction)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("managedvm").setLevel(level)
    # kopf formats whole bodies eagerly at DEBUG: never below INFO.
    logging.getLogger("kopf").setLevel(logging.WARNING)
