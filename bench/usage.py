"""What one process costs: CPU seconds and memory, as the kernel counts them. Linux only."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_USER_FIELD, _SYSTEM_FIELD = 11, 12  # counted from the field after the command's closing parenthesis


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in bytes: now, and the most there ever was."""

    now: int
    peak: int


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and all its threads have used so far."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[_USER_FIELD]) + int(fields[_SYSTEM_FIELD])) / _TICKS


def memory(pid: int) -> Memory:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return Memory(_bytes(values["VmRSS"]), _bytes(values["VmHWM"]))


def wall() -> float:
    """Return the wall clock in seconds since the epoch, to compare with what other programs have noted."""
    return time.time()  # noqa: TID251 - other programs' notes are in wall time


def machine() -> dict[str, object]:
    """Return what figures depend on: processors, system, Python, and how busy the machine is right now."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
    }


def _bytes(kib: str) -> int:
    return int(kib.split(maxsplit=1)[0]) * 1024
