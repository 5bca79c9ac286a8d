"""Can artifacts be kept where they should be, and how much room has a folder?"""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from s2e.files import files_below, is_address, shown
from s2e.words import S2EError

LITTLE_BYTES, FULL_BYTES = 2 * 10**9, 10**8
"""Free space of a disk that is worth a warning, and that stops the service."""


STORE_LOOK_S = 10.0
"""An object store is asked no more often: every look is two requests."""
_PROBE = ".s2e-can-write"


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


def trouble(root: str) -> str:
    """Why nothing can be kept below an artifact root; empty when it can."""
    if is_address(root):
        return _store_trouble(root, int(time.monotonic() / STORE_LOOK_S))
    place = existing(Path(root))
    if reason := not_writable(place):
        return f"the artifact disk cannot be written to: {reason} ({place})"
    free = free_bytes(place)
    return f"the artifact disk is full: {free / 1e6:.0f} MB free ({place})" if free < FULL_BYTES else ""


@lru_cache(maxsize=1)
def _store_trouble(root: str, _period: int) -> str:
    return store_not_writable(root)


def store_not_writable(root: str) -> str:
    """Why nothing can be kept at an address; empty when it can."""
    try:
        files = files_below(root)
        files.write(_PROBE, b"s2e")
        files.delete(_PROBE)
    except (OSError, S2EError) as error:
        return f"the artifact store cannot be written to: {shown(str(error))[:400]} ({shown(root)})"
    return ""
