"""Cores and memory that this process may use. Imports no torch."""

from __future__ import annotations

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a container, by the second and the first version of control groups."""
_MEMORY = Path("/proc/meminfo")


def usable_cores() -> int:
    """Processors this process may use: those it is bound to, and no more than the quota of its container pays for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return cores


def usable_bytes() -> int | None:
    """Memory this process and others like it may still take: the machine's free memory, and no more than the limit of
    its container; None where neither is known."""
    known = [value for value in (_free_bytes(), _limit_bytes()) if value is not None]
    return min(known) if known else None


def _free_bytes() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # not Linux
        return None


def _limit_bytes() -> int | None:
    for file in _MEMORY_LIMITS:
        try:
            return int(file.read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None
