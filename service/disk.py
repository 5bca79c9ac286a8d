"""The service's folders: can they be written to, and how much room is left?"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

LITTLE_BYTES, FULL_BYTES = 2 * 10**9, 10**8
"""Free space of a disk that is worth a warning, and that stops the service."""


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def not_writable(folder: Path) -> str:
    """Why a file cannot be written there; empty when it can. Nothing is left behind."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"s2e")
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def trouble(folder: Path) -> str:
    """Why nothing can be kept below ``folder``; empty when it can."""
    place = existing(folder)
    if reason := not_writable(place):
        return f"the artifact disk cannot be written to: {reason} ({place})"
    free = free_bytes(place)
    return f"the artifact disk is full: {free / 1e6:.0f} MB free ({place})" if free < FULL_BYTES else ""
