"""Checkpoints of trials that a later trial may continue, below the artifact root.

A file is named by job, round and trial, not by attempt: every attempt of a trial computes the same numbers. It may be
deleted once its job has ended; a trial whose checkpoint is missing is trained from the beginning.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workers.artifacts import job_folder, resolve, write_atomic

if TYPE_CHECKING:
    from s2e.train.checkpoint import Checkpoint


def checkpoint_path(job_id: str, m: int, k: int) -> str:
    """Path of the checkpoint of trial k of round m below the root. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/round-{m:d}/trial-{k:d}.checkpoint.safetensors"


def save_checkpoint(root: str | Path, job_id: str, m: int, k: int, checkpoint: Checkpoint) -> str:
    """Write where a trial stopped; the path below ``root``."""
    from safetensors.torch import save

    relative = checkpoint_path(job_id, m, k)
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    write_atomic(resolve(root, relative), save(tensors, checkpoint.header()))
    return relative


def load_checkpoint(root: str | Path, job_id: str, m: int, k: int) -> Checkpoint | None:
    """Where a trial stopped; None when there is no file."""
    from safetensors import safe_open

    from s2e.train.checkpoint import Checkpoint

    path = resolve(root, checkpoint_path(job_id, m, k))
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        return Checkpoint.from_file({name: file.get_tensor(name) for name in file.keys()}, file.metadata())  # noqa: SIM118
