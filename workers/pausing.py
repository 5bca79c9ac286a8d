"""Asking a trainer to pause: a file beside its checkpoints, wherever it runs and whoever leads it.

Its name contains the attempt, so a file left over from an earlier try stops nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from s2e.files import files_below, is_address
from workers.backend import PopulationKey

LOOK_S = 1.0
"""Between two looks into an object store, where each is a request."""


def ask(root: str | Path, key: PopulationKey) -> None:
    """Let the trainer of a population stop at its next epoch."""
    files_below(root).write(_path(key), b"")


def asked(root: str | Path, key: PopulationKey) -> Callable[[], bool]:
    """A function that says, after every epoch, if a population shall pause."""
    files, path, every_s = files_below(root), _path(key), LOOK_S if is_address(root) else 0.0
    next_s = time.monotonic()

    def look() -> bool:
        nonlocal next_s
        if time.monotonic() < next_s:
            return False
        next_s = time.monotonic() + every_s
        try:
            return files.look(path) is not None
        except OSError:  # where the store is away, nothing could be kept to go on from
            return False

    return look


def forget(root: str | Path, key: PopulationKey) -> None:
    """The trainer has stopped, or ended. What is left is of an attempt that is over."""
    with suppress(OSError):
        files_below(root).delete(_path(key))


def _path(key: PopulationKey) -> str:
    return f"{key.job_id}/pause/{key.round}-{key.group}-{key.attempt}"
