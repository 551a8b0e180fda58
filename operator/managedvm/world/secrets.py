"""Values of Secrets. Whoever reads one registers it, so that it is blotted out of every log line."""

from base64 import b64decode
from binascii import Error as Base64Error

from managedvm.logs import redaction
from managedvm.world.kube import Object


def plain(secret: Object, key: str) -> str:
    """Return a value of a Secret that need not be kept secret, empty where it is missing or no text."""
    try:
        return b64decode((secret.get("data") or {}).get(key, ""), validate=True).decode().strip()
    except (Base64Error, UnicodeDecodeError):
        return ""


def hidden(secret: Object, key: str) -> str:
    """Return a value of a Secret that is never told, empty where it is missing or no text."""
    value = plain(secret, key)
    redaction.register(value)
    return value
