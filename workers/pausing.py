"""Asking a trainer to pause: a file beside its checkpoints, wherever it runs and whoever leads it.

The name has the attempt in it, so what was left of an earlier try stops nobody.
"""

from __future__ import annotations

from pathlib import Path

from s2e.artifacts import resolve
from workers.backend import PopulationKey


def ask(root: str | Path, key: PopulationKey) -> None:
    """Let the trainer of a population stop at its next epoch."""
    path = _path(root, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def is_asked(root: str | Path, key: PopulationKey) -> bool:
    return _path(root, key).exists()


def forget(root: str | Path, key: PopulationKey) -> None:
    """The trainer has stopped, or ended."""
    _path(root, key).unlink(missing_ok=True)


def _path(root: str | Path, key: PopulationKey) -> Path:
    return resolve(root, f"{key.job_id}/pause/{key.round}-{key.group}-{key.attempt}")
