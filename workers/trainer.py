"""The body of a trainer process: one population, one plain-JSON event per epoch, failures as data."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator, Iterator
from typing import Any

from s2e.words import Population, S2EError, TrialError, read
from workers.backend import (
    EpochReported,
    Event,
    PopulationFinished,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
)
from workers.wire import encode

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
        population = read(Population, population_json)
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
    from s2e.train.keep import BelowRoot, train_kept
    from s2e.train.trial import PopulationEpoch

    for step in train_kept(population, BelowRoot(artifact_root, key.job_id, key.attempt, data_root), data_root):
        if isinstance(step, PopulationEpoch):
            yield EpochReported(key, step.epochs)
        else:
            yield PopulationFinished(key, step.results)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, S2EError) else f"{type(error).__name__}: {error}"


def _retryable(error: Exception) -> bool:
    """True if the cause was the place (disk, memory, device, installation) and not the training itself."""
    if isinstance(error, TrialError):
        return error.retryable
    return isinstance(error, _OF_THE_PLACE) or type(error).__name__ in _OF_THE_DEVICE
