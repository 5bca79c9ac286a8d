"""The body of a trainer: one population, one plain-JSON event per epoch, failures as data."""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2e.files import is_address, shown
from s2e.words import DataError, Estimate, Population, S2EError, TrialError, read, replace
from workers import pausing
from workers.backend import (
    DATA_MISSING,
    DEVICE_FAILED,
    DISK_FAILED,
    INCOMPLETE,
    OUT_OF_MEMORY,
    PAUSED,
    PLACE_FAILED,
    EpochReported,
    Event,
    PopulationChecked,
    PopulationFinished,
    PopulationHeld,
    PopulationKey,
    PopulationLost,
    PopulationStarted,
)
from workers.logged import Lines
from workers.wire import EPOCHS, encode

if TYPE_CHECKING:
    from s2e.train.together import Train

log = logging.getLogger(__name__)

CHECKPOINT_S = 2.0
"""Between two checkpoints of a population: the cost of a lost trainer, or one epoch if that takes longer. (They are
further apart if writing them would take more than 1/20 of the training.)"""
HOLD_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between tries to write results; the last one again and again."""
HOLD_S = 3600.0
"""After this somebody else may train it: the disk of another machine may not be full."""
_DISKS = {
    errno.ENOSPC: "artifact disk full",
    errno.EDQUOT: "artifact disk quota used up",
    errno.EROFS: "artifact disk read-only",
    errno.EACCES: "artifact disk not writable",
}
_OF_THE_DEVICE = {"OutOfMemoryError": OUT_OF_MEMORY, "AcceleratorError": DEVICE_FAILED}
"""torch's names; torch itself may be what could not be imported."""


def worker_name() -> str:
    """This process for people: ``host:pid``."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_population(
    key_json: dict[str, Any],
    population_json: dict[str, Any],
    artifact_root: str,
    data_root: str | None,
    check: bool = False,
    train: Train | None = None,
) -> Generator[dict[str, Any]]:
    """Train or check one population; the events of :mod:`workers.wire`, the last one finished, checked or lost. What it
    logged comes before the event that follows. ``train`` stands in for :func:`s2e.train.trial.train_population`."""
    key = PopulationKey(**key_json)
    yield encode(PopulationStarted(key, worker_name()))
    events, lines = _events(key, population_json, artifact_root, data_root, check, train), Lines(key)
    try:
        while True:
            with lines.listening():
                event = next(events, None)
            if (logged := lines.take()) is not None:
                yield encode(logged)
            if event is None:
                return
            yield encode(event)
    finally:
        events.close()


def run_together(
    orders: Sequence[tuple[dict[str, Any], dict[str, Any]]],
    artifact_root: str,
    data_root: str | None,
    left: Callable[[], Iterable[PopulationKey]],
) -> Generator[dict[str, Any]]:
    """Train populations (key, population) as one program, each with the events that it would have alone. ``left``,
    asked between two epochs, has those that are not wanted any more."""
    from s2e.train.together import Together

    program = Together([read(Population, population) for _, population in orders], data_root)
    runs = {
        PopulationKey(**key): run_population(key, population, artifact_root, data_root, False, program.member(i))
        for i, (key, population) in enumerate(orders)
    }
    try:
        while runs:
            for key in left():
                if key in runs:
                    runs.pop(key).close()
            for key, run in list(runs.items()):
                if not (yield from _up_to_an_epoch(run)):
                    del runs[key]
    finally:
        for run in runs.values():
            run.close()


def _up_to_an_epoch(run: Generator[dict[str, Any]]) -> Generator[dict[str, Any], None, bool]:
    """The events of a run up to its next epoch, which the others of its program have at the same time; False where it
    ends instead."""
    for event in run:
        yield event
        if event["kind"] == EPOCHS:
            return True
    return False


def _events(
    key: PopulationKey,
    population_json: dict[str, Any],
    artifact_root: str,
    data_root: str | None,
    check: bool,
    train: Train | None,
) -> Generator[Event]:
    try:
        population = read(Population, population_json)
        work = _work(check, population) if train is None else partial(_train, train=train)
        yield from work(key, population, artifact_root, data_root)
    except Exception as error:
        log.exception("round %d, population %d, attempt %d was lost", key.round, key.group, key.attempt)
        cause = cause_of(error, data_root)
        yield PopulationLost(key, _reason(error, cause, data_root), bool(cause), cause)


def _work(check: bool, population: Population) -> Callable[..., Iterator[Event]]:
    """The function for what is asked for: a training, a look before it, the sizes that suit its data, or the plan."""
    if not check:
        return _train
    if population.data.sizes is not None and population.data.sizes.n_test is None:
        return _size
    return _check if population.choose is None else _choose


def warm_up() -> None:
    """Import the training engine, so that this process starts its next population at once."""
    try:
        import s2e.train.trial  # noqa: F401
    except KeyboardInterrupt:
        # A cancelled import leaves half a module behind, which would break every later population of this process.
        os._exit(1)


def cause_of(error: Exception, data_root: str | None) -> str:
    """The fault of this place, in a few words; empty where the training itself is at fault."""
    if isinstance(error, TrialError):
        return PLACE_FAILED if error.retryable else ""
    if isinstance(error, DataError):
        return DATA_MISSING if data_root is not None and not Path(data_root).is_dir() else ""
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if isinstance(error, ImportError):
        return INCOMPLETE
    if isinstance(error, OSError):
        return OUT_OF_MEMORY if error.errno == errno.ENOMEM else DISK_FAILED
    return _OF_THE_DEVICE.get(type(error).__name__, "")


def _train(
    key: PopulationKey, population: Population, artifact_root: str, data_root: str | None, train: Train | None = None
) -> Iterator[Event]:
    from s2e.train.keep import BelowRoot, NotKept, Paused, train_patiently
    from s2e.train.trial import PopulationEpoch

    keeper, holding = BelowRoot(artifact_root, key.job_id, key.attempt, data_root, CHECKPOINT_S), _Holding()
    paused = pausing.asked(artifact_root, key)
    for step in train_patiently(population, keeper, data_root, paused, train):
        if isinstance(step, NotKept):
            yield _held(key, step.error, artifact_root)
            holding.wait(step.error)
            continue
        holding = _Holding()
        if isinstance(step, PopulationEpoch):
            yield EpochReported(key, step.epochs)
            continue
        pausing.forget(artifact_root, key)
        if isinstance(step, Paused):
            yield PopulationLost(key, PAUSED, True, PAUSED)
        else:
            yield PopulationFinished(key, step.results)


class _Holding:
    """The wait of something that could not be written."""

    def __init__(self) -> None:
        self._began_s, self._n = time.monotonic(), 0

    def wait(self, error: OSError) -> None:
        """Until the next try. Raises ``error`` after the last."""
        if time.monotonic() - self._began_s > HOLD_S:
            raise error
        time.sleep(HOLD_AGAIN_S[min(self._n, len(HOLD_AGAIN_S) - 1)])
        self._n += 1


def _choose(key: PopulationKey, population: Population, _root: str, data_root: str | None) -> Iterator[Event]:
    """The plan of a job that leaves it to its machine; the checks that follow train by it."""
    from s2e.calibrate import chosen_plan

    wanted = population.choose
    assert wanted is not None
    plan = chosen_plan(wanted.job, data_root, n_machines=wanted.n_machines)
    yield PopulationChecked(key, Estimate(worker=worker_name(), epoch_s=0.0, memory_bytes=0), plan)


def _size(key: PopulationKey, population: Population, _root: str, data_root: str | None) -> Iterator[Event]:
    """The sizes of a job that leaves them to its data; the checks that follow have them."""
    from s2e.sizes import sizes_of

    sizes = sizes_of(population.data, data_root)
    yield PopulationChecked(key, Estimate(worker=worker_name(), epoch_s=0.0, memory_bytes=0), sizes=sizes)


def _check(key: PopulationKey, population: Population, artifact_root: str, data_root: str | None) -> Iterator[Event]:
    from s2e.prepare import NoEstimateError, counted, estimated
    from s2e.train.check import check_population

    if not is_address(artifact_root):
        Path(artifact_root).mkdir(parents=True, exist_ok=True)
    data = counted(population.data, data_root)
    if population.noise_seed is not None:
        from s2e.labels.kept import cross_fitted_path, save

        keep = partial(save, artifact_root, cross_fitted_path(key.job_id))
        try:
            noise = estimated(data, population.train, population.plan, population.noise_seed, data_root, keep)
        except NoEstimateError as error:
            if error.n_rows >= population.lacks_noise_below:
                raise
            data = replace(data, unestimated=str(error))
        else:
            data = replace(data, estimate=noise)
    measured = check_population(replace(population, data=data), data_root)
    estimate = Estimate(
        worker=worker_name(),
        epoch_s=measured.epoch_s,
        memory_bytes=measured.memory_bytes,
        noise=data.estimate,
        unestimated=data.unestimated,
        trusted=data.trusted.counted,
    )
    yield PopulationChecked(key, estimate)


def _held(key: PopulationKey, error: OSError, artifact_root: str) -> PopulationHeld:
    cause = _DISKS.get(error.errno or 0, "artifact disk failed")
    said = f"{error.strerror or error} ({shown(artifact_root)} on {socket.gethostname()})"
    return PopulationHeld(key, f"{cause}: {said}", cause)


def _reason(error: Exception, cause: str, data_root: str | None) -> str:
    if cause == DATA_MISSING:
        return f"data root {data_root} missing on {socket.gethostname()}"
    return str(error) if isinstance(error, S2EError) else f"{type(error).__name__}: {error}"
