"""Model and schedule files below one artifact root: written under a temporary name, then renamed.

    <job>/round-<m>/trial-<k>-attempt-<a>.safetensors    the trained networks of one trial
    <job>/round-<m>/trial-<k>-attempt-<a>.json           what they are: network, data, schedule, result
    <job>/round-<m>/trial-<k>.checkpoint.safetensors     where a trial that may be continued stopped (``checkpoints``)
    <job>/noise-<seed>.json                              a noise draw: matrix, flipped samples, realised rate
    <job>/schedule.json                                  the recommended R(t) of a finished job

What is stored elsewhere is always the path below the root, so the root may move.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from s2e.words import Population, Report, S2EError, TrialResult, TrialSpec, to_json
from workers.backend import PopulationKey

if TYPE_CHECKING:
    from torch import Tensor

    from s2e.data.record import NoiseRecord
    from s2e.train.trial import NetworkShape

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


class ArtifactError(S2EError):
    """A path that does not name a file below the artifact root."""


def model_path(key: PopulationKey, k: int) -> str:
    """Path of trial k's networks below the root. Raises ArtifactError for a job id that is not a plain name."""
    return f"{job_folder(key.job_id)}/round-{key.round:d}/trial-{k:d}-attempt-{key.attempt:d}.safetensors"


def noise_path(job_id: str, noise_seed: int) -> str:
    """Path of a noise draw's record below the root. Raises ArtifactError for a job id that is not a plain name."""
    return f"{job_folder(job_id)}/noise-{noise_seed:d}.json"


def resolve(root: str | Path, relative: str) -> Path:
    """The file a stored path names. Raises ArtifactError for anything that would leave ``root``."""
    base = Path(root).resolve()
    parts = PurePosixPath(relative)
    path = base.joinpath(*parts.parts)
    if not relative or parts.is_absolute() or ".." in parts.parts or not path.resolve().is_relative_to(base):
        raise ArtifactError(f"not a path below the artifact root: {relative!r}")
    return path


def save_model(
    root: str | Path,
    key: PopulationKey,
    population: Population,
    trial: TrialSpec,
    result: TrialResult,
    model: Mapping[str, Tensor],
    shape: NetworkShape,
) -> str:
    """Write one trial's networks and, beside them, what they are; the path below ``root``."""
    from safetensors.torch import save  # torch is needed only where something is trained

    relative = model_path(key, trial.k)
    path = resolve(root, relative)
    described = {
        "model": relative,
        "noise": noise_path(key.job_id, trial.noise_seed),
        "job_id": key.job_id,
        "attempt": key.attempt,
        "network": population.train.network,
        "shape": to_json(shape),
        "data": to_json(population.data),
        "train": to_json(population.train),
        "plan": to_json(population.plan),
        "trial": to_json(trial),
        "result": {**to_json(result), "model": relative},
    }
    _write_json(path.with_suffix(".json"), described)
    write_atomic(path, save({name: tensor.contiguous() for name, tensor in model.items()}, {"model": relative}))
    return relative


def load_model(root: str | Path, relative: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of one trial and their description."""
    from safetensors.torch import load

    path = resolve(root, relative)
    return load(path.read_bytes()), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def save_schedule(root: str | Path, job_id: str, report: Report) -> str:
    """Write the recommended schedule of a finished job; the path below ``root``."""
    relative = f"{job_folder(job_id)}/schedule.json"
    content = {
        "job_id": job_id,
        "recommended": to_json(report.recommended),
        "model": report.recommended_model,
        "keep_rate": to_json(report.keep_rate),
        "train": report.train,
    }
    _write_json(resolve(root, relative), content)
    return relative


def save_noise(root: str | Path, job_id: str, noise_seed: int, make_record: Callable[[], NoiseRecord]) -> str:
    """Write the record of a noise draw unless it is there already; the path below ``root``."""
    relative = noise_path(job_id, noise_seed)
    path = resolve(root, relative)
    if not path.exists():
        _write_json(path, to_json(make_record()))
    return relative


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``path`` so that a reader sees all of it or nothing, whenever the writer dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # a cancelled trainer is interrupted anywhere, and leaves nothing behind
        temporary.unlink(missing_ok=True)
        raise


def job_folder(job_id: str) -> str:
    if not _JOB_ID.fullmatch(job_id):
        raise ArtifactError(f"not a plain name for a folder: {job_id!r}")
    return job_id


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(content, allow_nan=False, indent=1).encode())
