"""Values of Secrets as the API server hands them out."""

from base64 import b64decode
from binascii import Error as Base64Error

from managedvm.world.kube import Object


def secret_value(secret: Object, key: str) -> str:
    """Return a value of a Secret, empty where it is missing or no text."""
    try:
        return b64decode((secret.get("data") or {}).get(key, ""), validate=True).decode().strip()
    except (Base64Error, UnicodeDecodeError):
        return ""
