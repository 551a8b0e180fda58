"""Where the lab keeps things: its world below one directory, what is costly to build in a cache outside the tree."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lab_directory() -> Path:
    """Return the directory of this lab's world: MANAGEDVM_LAB_DIR, else `.lab` at the root of the tree."""
    chosen = os.environ.get("MANAGEDVM_LAB_DIR")
    return Path(chosen).resolve() if chosen else ROOT / ".lab"


def cache_directory() -> Path:
    """Return the directory of binaries that outlive every lab and every clone."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "managedvm-lab"
