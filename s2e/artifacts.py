"""Model and schedule files below one artifact root, each written whole or not at all (:mod:`s2e.files`).

    <job>/round-<m>/trial-<k>-attempt-<a>.safetensors    the trained networks of one trial
    <job>/round-<m>/trial-<k>-attempt-<a>.json           their description: network, data, schedule, result
    <job>/round-<m>/trial-<k>.checkpoint.safetensors     the state of a stopped trial that may be continued
    <job>/round-<m>/unfinished-<population>.safetensors  the state of a population while it trains
    <job>/noise-<seed>.json                              a noise draw: matrix, flipped samples, realised rate
    <job>/schedule.json                                  the recommended R(t) of a search without a service

Databases and reports hold paths below the root only, so the root may move.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from s2e.extras import needs
from s2e.files import files_below, is_address, job_folder, shown, write_atomic
from s2e.words import DataError, Population, Report, TrainSpec, TrialResult, TrialSpec, read, to_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from s2e.data.inputs import NetworkShape
    from s2e.data.record import NoiseRecord
    from s2e.model import Model

SCRIPT, SCRIPT_DESCRIPTION = ".pt", "s2e.json"
"""Suffix of a model exported as TorchScript, and the file inside it that describes the model."""
AVERAGES = "averages"
"""In the description: true if the file's networks are one model, whose probabilities are their mean."""


def model_path(job_id: str, m: int, k: int, attempt: int) -> str:
    """Path of the networks of trial k of round m below the root. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/round-{m:d}/trial-{k:d}-attempt-{attempt:d}.safetensors"


def description_path(model: str) -> str:
    """Path of what a model is, from that of the model."""
    return str(PurePosixPath(model).with_suffix(".json"))


def checkpoint_path(job_id: str, m: int, k: int) -> str:
    """Path of the checkpoint of trial k of round m below the root. Raises ArtifactError for a bad job id.

    It has no attempt in it: every attempt of a trial computes the same numbers. The file may be deleted once its job
    has ended; a trial whose checkpoint is missing is trained from the beginning.
    """
    return f"{job_folder(job_id)}/round-{m:d}/trial-{k:d}.checkpoint.safetensors"


def unfinished_path(job_id: str, m: int, population: str) -> str:
    """Path of where a population of round m is, while it trains. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/round-{m:d}/unfinished-{population}.safetensors"


def noise_path(job_id: str, noise_seed: int) -> str:
    """Path of a noise draw's record below the root. Raises ArtifactError for a bad job id."""
    return f"{job_folder(job_id)}/noise-{noise_seed:d}.json"


def delete_files(root: str | Path, job_id: str) -> None:
    """Delete all files of a job; nothing happens where it has none. Raises ArtifactError for a bad job id."""
    files_below(root).delete_folder(job_folder(job_id))


# --- writing ----------------------------------------------------------------------------------------------------------


def save_model(
    root: str | Path,
    job_id: str,
    attempt: int,
    population: Population,
    trial: TrialSpec,
    result: TrialResult,
    model: Mapping[str, Tensor],
    shape: NetworkShape,
) -> str:
    """Write one trial's networks and their description; the path below ``root``."""
    with needs("train"):
        from safetensors.torch import save

    relative = model_path(job_id, trial.round, trial.k, attempt)
    described = {
        "model": relative,
        "noise": noise_path(job_id, trial.noise_seed) if population.data.truth_is_known else None,
        "job_id": job_id,
        "attempt": attempt,
        "network": population.train.network,
        "shape": to_json(shape),
        "data": to_json(population.data),
        "train": to_json(population.train),
        "plan": to_json(population.plan),
        "trial": to_json(trial),
        "result": {**to_json(result), "model": relative},
    }
    files = files_below(root)
    files.write(description_path(relative), as_json(described))
    files.write(relative, save({name: tensor.contiguous() for name, tensor in model.items()}, {"model": relative}))
    return relative


def save_schedule(root: str | Path, job_id: str, report: Report) -> str:
    """Write the recommended schedule of a finished search; the path below ``root``."""
    relative = f"{job_folder(job_id)}/schedule.json"
    content = {
        "job_id": job_id,
        "recommended": to_json(report.recommended),
        "model": report.recommended_model,
        "keep_rate": to_json(report.keep_rate),
        "train": report.train,
    }
    files_below(root).write(relative, as_json(content))
    return relative


def save_noise(root: str | Path, job_id: str, noise_seed: int, make_record: Callable[[], NoiseRecord]) -> str:
    """Write the record of a noise draw unless it is there already; the path below ``root``."""
    relative = noise_path(job_id, noise_seed)
    files = files_below(root)
    if files.look(relative) is None:
        files.write(relative, as_json(to_json(make_record())))
    return relative


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """``content`` as an indented JSON file, whole or not at all."""
    write_atomic(path, as_json(content))


def as_json(content: Mapping[str, Any]) -> bytes:
    """``content`` as indented JSON."""
    return json.dumps(content, allow_nan=False, indent=1).encode()


# --- reading ----------------------------------------------------------------------------------------------------------


def read_model(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a model file, and the description beside it. Raises DataError where one of them is missing or
    unreadable."""
    with needs("train"):
        from safetensors import SafetensorError
        from safetensors.torch import load

    try:
        model, description = _pair(path)
        return load(model), json.loads(description)
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path} is not a model: {error}") from error
    except FileNotFoundError as error:
        missing = error.filename or shown(path)
        raise DataError(f"{missing} is missing: a model is a .safetensors file and a .json beside it") from error


def _pair(path: str | Path) -> tuple[bytes, bytes]:
    """A model file and the description beside it."""
    if is_address(path):
        folder, _, name = str(path).rpartition("/")
        files = files_below(folder)
        return files.read(name), files.read(description_path(name))
    file = Path(path)
    return file.read_bytes(), file.with_suffix(".json").read_bytes()


def load_model(path: str | Path, network: int | None = None) -> Model:
    """A trained network from its model file, in evaluation mode.

        model = s2e.load_model("s2e-output/search/round-7/trial-0-attempt-1.safetensors")     # or s3://bucket/...
        labels = model.predict(rows)            # rows of the table, or pixels as the data set has them
        classes = model(images).argmax(-1)      # the plain torch module: samples of the shape that the JSON file states

    ``network`` is its number (Co-teaching has two); None: 0, or the mean of all in a file that an estimator has saved.
    Everything that new rows need, means and categories of a table's columns, the scale of pixels and the names of the
    classes, stands in the JSON file. A fitted model (``svc``, ``forest``) has no number. Raises DataError for a file
    that is missing, or a number that the trial does not have.
    """
    if Path(path).suffix == SCRIPT:
        return _load_script(Path(path))
    tensors, described = read_model(path)
    from s2e.fitted_model import FittedNetwork, is_fitted
    from s2e.model import Averaged, Model

    if is_fitted(tensors):
        return Model(FittedNetwork(tensors, described), described)
    numbers = sorted({int(name.split(".")[0].removeprefix("network")) for name in tensors})
    if network is None and described.get(AVERAGES):
        return Model(Averaged([_module(tensors, described, number) for number in numbers]), described)
    number = network or 0
    if number not in numbers:
        raise DataError(f"network = {number}: the trial has networks {', '.join(map(str, numbers))}")
    return Model(_module(tensors, described, number), described)


def _module(tensors: Mapping[str, Tensor], described: Mapping[str, Any], number: int) -> nn.Module:
    """One network of a model file."""
    from s2e.networks.build import build

    prefix, shape = f"network{number}.", described["shape"]
    state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    module = build(read(TrainSpec, described["train"]), shape["input_shape"], shape["n_classes"]).make_module()
    module.load_state_dict(state, strict=False)  # batch norm's step counter is not stored
    return module


def _load_script(path: Path) -> Model:
    """A model that was exported as TorchScript: one network, which scales by itself."""
    with needs("train"):
        import torch
    from s2e.model import Model

    extra = {SCRIPT_DESCRIPTION: ""}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as TorchScript: {str(error).splitlines()[0]}") from error
    if not extra[SCRIPT_DESCRIPTION]:
        raise DataError(f"{path} was not written by s2e export: nothing in it says what it is")
    return Model(network, json.loads(extra[SCRIPT_DESCRIPTION]))
