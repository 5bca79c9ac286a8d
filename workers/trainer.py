"""What runs inside a trainer process: one population, one plain-JSON event per epoch, failures as data."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import s2e.parts  # noqa: F401  the names in a population are checked against its registries
from s2e.words import Population, S2EError, TrialError, TrialResult, parse, replace
from workers.artifacts import save_model, save_noise
from workers.backend import (
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
)
from workers.checkpoints import load_checkpoint, save_checkpoint
from workers.wire import encode

if TYPE_CHECKING:
    from s2e.train.checkpoint import Checkpoint

log = logging.getLogger(__name__)

_OF_THE_PLACE = (OSError, MemoryError, ImportError)
_OF_THE_DEVICE = frozenset({"OutOfMemoryError", "AcceleratorError"})
"""torch's names; torch itself may be what could not be imported."""


def worker_name() -> str:
    """This process for people: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_population(
    key_json: dict[str, Any], population_json: dict[str, Any], artifact_root: str, data_root: str | None
) -> Generator[dict[str, Any]]:
    """Train one population; the events of :mod:`workers.wire`, the last one ``finished`` or ``lost``."""
    key = PopulationKey(**key_json)
    yield encode(PopulationStarted(key, worker_name()))
    try:
        population = parse(Population, population_json)
        for event in _train(key, population, artifact_root, data_root):
            yield encode(event)
    except Exception as error:
        log.exception("population %s was lost", key)
        yield encode(PopulationLost(key, _reason(error), _retryable(error)))


def run_on_ray(
    key_json: dict[str, Any], population_json: dict[str, Any], artifact_root: str, data_root: str | None
) -> Generator[dict[str, Any]]:
    """``run_population`` as the body of a Ray task, led by the id of the node it was placed on."""
    import ray

    yield {"kind": "placed", "node": ray.get_runtime_context().get_node_id()}
    if population_json["plan"]["device"] == "cpu":
        # Ray leaves the variable unset for a task without GPUs, and such a task would see all of them.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    warm_up()
    yield from run_population(key_json, population_json, artifact_root, data_root)


def warm_up() -> None:
    """Import the training engine, so that this process starts its next population at once."""
    try:
        import torch._dynamo  # noqa: F401  the first optimiser of a process imports it, which takes seconds

        import s2e.train.trial  # noqa: F401
    except KeyboardInterrupt:
        # A cancelled import leaves half a module behind, which would break every later population of this process.
        os._exit(1)


def _train(key: PopulationKey, population: Population, artifact_root: str, data_root: str | None) -> Iterator[Event]:
    from s2e.data.record import noise_record
    from s2e.train.trial import PopulationEpoch, train_population

    for seed in dict.fromkeys(trial.noise_seed for trial in population.trials):
        save_noise(artifact_root, key.job_id, seed, partial(noise_record, population.data, seed, data_root))
    start = _start(key, population, artifact_root)
    for step in train_population(population, data_root=data_root, start=start):
        if isinstance(step, PopulationEpoch):
            if step.epochs[0].epoch + 1 == population.n_epochs_run < population.train.n_epochs:
                _save_checkpoints(key, population, artifact_root, step.checkpoints())
            yield EpochReported(key, step.epochs)
            continue
        trials = {trial.k: trial for trial in population.trials}
        results: list[TrialResult] = []
        for result, model in zip(step.results, step.models, strict=True):
            if model is None:
                results.append(result)
                continue
            path = save_model(artifact_root, key, population, trials[result.k], result, model, step.network)
            results.append(replace(result, model=path))
        yield PopulationFinished(key, tuple(results))


def _start(key: PopulationKey, population: Population, artifact_root: str) -> list[Checkpoint] | None:
    """The checkpoints of the trials this population continues. Where one is missing (another machine trained it), all
    start from initial weights: their seeds are the same, so the numbers are too."""
    found = []
    for trial in population.trials:
        resume = trial.fidelity.resume
        checkpoint = None if resume is None else load_checkpoint(artifact_root, key.job_id, *resume)
        if checkpoint is None or checkpoint.n_epochs_done != trial.fidelity.resumed_epochs:
            if resume is not None:
                log.warning("no checkpoint of trial %s of job %s: trained anew", resume, key.job_id)
            return None
        found.append(checkpoint)
    return found


def _save_checkpoints(
    key: PopulationKey, population: Population, artifact_root: str, checkpoints: Sequence[Checkpoint | None]
) -> None:
    for trial, checkpoint in zip(population.trials, checkpoints, strict=True):
        if checkpoint is not None:
            save_checkpoint(artifact_root, key.job_id, trial.round, trial.k, checkpoint)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, S2EError) else f"{type(error).__name__}: {error}"


def _retryable(error: Exception) -> bool:
    """Whether the cause was the place (disk, memory, device, installation) and not the training itself."""
    if isinstance(error, TrialError):
        return error.retryable
    return isinstance(error, _OF_THE_PLACE) or type(error).__name__ in _OF_THE_DEVICE
