"""A whole job in this process, without a service: ``s2e.search(job)`` and ``s2e.compare(job)``.

The rounds, the populations and the training are those of the service, so the same job and seed give the same theta and
the same report, bit for bit.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from s2e.artifacts import save_schedule
from s2e.calibrate import chosen_plan, needs_plan
from s2e.data.root import environment_root
from s2e.deadline import Deadline
from s2e.door import parse_job
from s2e.extras import require
from s2e.files import write_atomic
from s2e.jobfile import read_job_file
from s2e.jobs.loop import ended_after, n_rounds, n_trials, run_search
from s2e.labels.kept import cross_fitted_path, save
from s2e.local_pool import Ended, Kept, LocalPool, Rows, Trainer
from s2e.local_worker import keeper_of
from s2e.machine import usable_cores
from s2e.own_files import root_of
from s2e.parts import DATASETS, KINDS, METHODS, NETWORKS
from s2e.parts.registry import Registry
from s2e.prepare import N_FOLDS, needs_estimate, prepared
from s2e.sizes import needs_sizes, sized
from s2e.words import (
    CompareReport,
    JobSpec,
    Population,
    Problem,
    Report,
    Round,
    RoundRecord,
    SpecError,
    TrialResult,
    replace,
    to_json,
)

if TYPE_CHECKING:
    from s2e.progress import Listener
    from s2e.train.keep import Keeper
    from s2e.within import Within

WORTH_PROCESSES = 500
"""Epochs of trainings in a job from which on processes of their own are worth their start of some seconds."""

Job = JobSpec | Mapping[str, Any] | str | Path
"""A spec that ``parse_job`` made, a mapping of its fields, or the path of a TOML (or .json) file."""


def search(
    job: Job,
    *,
    data_root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    workers: int | None = None,
    seconds: str | float | None = None,
) -> Report:
    """Run a whole search and return its report: the recommended R(t), and its comparison on fresh seeds.

        report = s2e.search({"data": {"noise": {"noise_rate": 0.4}}, "search": {"n_rounds": 3}})
        print(report.verdict, report.keep_rate)

    Data sets other than digits lie below ``data_root``, or below S2E_DATA_ROOT. ``output`` is a folder for models, the
    schedule and every round; without it nothing is written. ``workers`` is the number of processes that train: 1 for
    this one, None for as many as there are cores, where the job is long enough for them. It changes no number.

    ``seconds`` (or "5 min") ends the job: where there is no time for all of it, rounds, trials and seeds become fewer
    before the first round, and no further round begins that would end too late. ``output`` then holds the job that was
    run, and running that one gives the same report. Its epochs stay as they are. Raises
    SpecError for a job that cannot be run, with every field at fault, DataError for data that are not there,
    MissingExtraError where torch is not installed.
    """
    spec, root = spec_of(job, "search"), root_of(job, data_root)
    report = run(spec, data_root=root, output=output, progress=progress, workers=workers, seconds=seconds)[1]
    assert isinstance(report, Report)
    return report


def compare(
    job: Job,
    *,
    data_root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    workers: int | None = None,
    seconds: str | float | None = None,
) -> CompareReport:
    """Train every entry of a comparison on every seed and return the report; see :func:`search`.

    report = s2e.compare({"compare": {"entries": [{"method": "standard"}, {"method": "coteaching"}]}})
    """
    spec, root = spec_of(job, "compare"), root_of(job, data_root)
    report = run(spec, data_root=root, output=output, progress=progress, workers=workers, seconds=seconds)[1]
    assert isinstance(report, CompareReport)
    return report


def auto(
    job: Job,
    *,
    data_root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    workers: int | None = None,
    seconds: str | float | None = None,
) -> CompareReport:
    """Choose a method with its schedule among candidates, and return the winner beside its rivals on fresh seeds; see
    :func:`search`.

    report = s2e.auto({"data": {"name": "csv", "csv": {"path": "mine.csv"}}})
    print(report.baseline, report.verdict)
    """
    spec, root = spec_of(job, "auto"), root_of(job, data_root)
    report = run(spec, data_root=root, output=output, progress=progress, workers=workers, seconds=seconds)[1]
    assert isinstance(report, CompareReport)
    return report


def spec_of(job: Job, kind: str | None = None) -> JobSpec:
    """The checked spec of a job, of ``kind`` where one is given: it need not say so itself. Raises SpecError."""
    if isinstance(job, JobSpec):
        spec = job
    else:
        data = read_job_file(job) if isinstance(job, str | Path) else job
        spec = parse_job(data if kind is None else {"kind": kind, **data})
    if kind is not None and spec.kind != kind:
        raise SpecError(Problem("kind", spec.kind, f"{kind}; s2e.{spec.kind}(job) runs this one"))
    return spec


def run(
    spec: JobSpec,
    *,
    data_root: str | Path | None = None,
    output: str | Path | None = None,
    progress: bool | Listener = True,
    workers: int | None = None,
    seconds: str | float | None = None,
) -> tuple[list[RoundRecord], Any]:
    """Every round of a job with its results, and the report. ``progress`` may be a listener of one's own."""
    root = environment_root() if data_root is None else str(data_root)
    if spec.budget.device_hours is not None:
        allowed = "null outside of a service, which alone knows its places; wall_clock is looked at between rounds"
        raise SpecError(Problem("budget.device_hours", spec.budget.device_hours, allowed))
    require("train")
    deadline = Deadline.of(seconds, "seconds")
    spec, within = _ready(spec, root, output, progress, partial(_within, workers=workers, deadline=deadline))
    with _listener(spec, progress) as listener, trainer(spec, output, root, workers) as train:

        def run_round(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
            if listener is not None:
                listener.round(round_.index, round_.kind, len(round_.trials))
            ends: dict[int, tuple[TrialResult, ...]] = {}
            began_s = time.monotonic()
            for step in train(populations):
                _tell(listener, round_, step)
                if isinstance(step, Ended):
                    ends[step.index] = step.results
            if within is not None:
                within.took(round_, time.monotonic() - began_s)
            return [result for _, results in sorted(ends.items()) for result in results]

        limits = () if within is None else (within.may_begin,)
        history, report = run_search(spec, run_round, *limits)
    if output is not None:
        _write(spec if within is None else ended_after(spec, history), Path(output), history, report)
    return history, report


def _ready(
    spec: JobSpec,
    root: str | None,
    output: str | Path | None,
    progress: bool | Listener,
    within_of: Callable[[JobSpec, str | None], Within | None],
) -> tuple[JobSpec, Within | None]:
    """The job before its first round: with its sizes, its plan, its estimate, and no larger than there is time for."""
    if needs_sizes(spec):
        spec = sized(spec, root)
        assert spec.data.sizes is not None
        for reason in spec.data.sizes.reasons:
            _say(f"Proposed: {reason}", progress)
    if needs_estimate(spec):
        _say("Estimating how wrong the given labels are", progress)
    if needs_plan(spec):
        _say("Measuring how this machine trains the job fastest", progress)
        spec = replace(spec, plan=chosen_plan(spec, root))
    keep = None if output is None else partial(save, output, cross_fitted_path(spec.kind))
    within = within_of(spec, root)
    spec = prepared(spec, root, keep, N_FOLDS if within is None else within.n_folds(spec))
    if within is not None:
        spec = within.planned(spec)
    return spec, within


def _within(spec: JobSpec, data_root: str | None, *, workers: int | None, deadline: Deadline | None) -> Within | None:
    if deadline is None:
        return None
    from s2e.within import Within

    return Within(spec, data_root, deadline, n_processes(spec) if workers is None else workers)


def _say(text: str, progress: bool | Listener) -> None:
    """A line on standard error, before there is a bar."""
    if progress is True:
        from rich.console import Console

        Console(file=sys.stderr, highlight=False).print(text)


@contextmanager
def trainer(spec: JobSpec, output: str | Path | None, data_root: str | None, workers: int | None) -> Iterator[Trainer]:
    """The trainer of a job: this process, or this one and others. Torch's threads are the caller's again afterwards."""
    require("train")
    from s2e.train.keep import BelowRoot, InMemory
    from s2e.train.runtime import threads_given_back

    n_workers = n_processes(spec) if workers is None else workers
    with threads_given_back():
        if n_workers == 1:
            keeper = InMemory() if output is None else BelowRoot(output, spec.kind, 1, data_root)
            yield partial(train_here, keeper, data_root)
            return
        with TemporaryDirectory(prefix="s2e-") as folder:
            kept = Kept(folder if output is None else str(output), spec.kind, output is not None, data_root)
            with LocalPool(n_workers - 1, kept, partial(train_here, keeper_of(kept), data_root)) as pool:
                yield pool.train


def n_processes(spec: JobSpec) -> int:
    """Default number of processes for a job: as many as its rounds can fill, on as many cores as there are.

    One, this one, where the job is too short to be worth their start, on a GPU, or with parts that only this process
    knows.
    """
    methods = {spec.train.method, *(entry.method for entry in (spec.compare.entries if spec.compare else ()))}
    named: list[tuple[Registry[Any], str]] = [(METHODS, method) for method in methods]
    named += [(NETWORKS, spec.train.network.partition(":")[0]), (DATASETS, spec.data.name)]
    known = all(name not in registry or registry.origin(name).version for registry, name in named)
    if spec.plan.device != "cpu" or not known or n_trials(spec) * spec.train.n_epochs < WORTH_PROCESSES:
        return 1
    n_most = min(KINDS[spec.kind].n_widest(spec), n_trials(spec))
    return max(1, min(usable_cores() // spec.plan.threads, -(-n_most // spec.plan.population)))


def train_here(keeper: Keeper, data_root: str | None, populations: Sequence[Population]) -> Iterator[Rows | Ended]:
    from s2e.train.keep import train_kept
    from s2e.train.trial import PopulationEnd

    for index, population in enumerate(populations):
        for step in train_kept(population, keeper, data_root):
            yield Ended(index, step.results) if isinstance(step, PopulationEnd) else Rows(index, step.epochs)


def _tell(listener: Listener | None, round_: Round, step: Rows | Ended) -> None:
    if listener is None:
        return
    if isinstance(step, Rows):
        for row in step.epochs:
            listener.epoch((round_.index, row.k), row.epoch)
        return
    trials = {trial.k: trial for trial in round_.trials}
    for result in step.results:
        trial = trials[result.k]
        listener.ended((round_.index, result.k), trial.label, trial.share, result.validation_accuracy)


@contextmanager
def _listener(spec: JobSpec, progress: bool | Listener) -> Iterator[Listener | None]:
    if not isinstance(progress, bool):
        yield progress
    elif progress:
        from rich.console import Console

        from s2e.progress import JobProgress

        console = Console(file=sys.stderr, highlight=False)
        sizes = n_rounds(spec), n_trials(spec), spec.train.n_epochs
        with JobProgress(console, *sizes, each_round=False) as bar:
            yield bar
    else:
        yield None


def _write(spec: JobSpec, output: Path, history: Sequence[RoundRecord], report: Any) -> None:
    """In the folder named for the job's kind: every round with its theta and results, the report, the schedule."""
    content = {"spec": to_json(spec), "rounds": to_json(list(history)), "report": to_json(report)}
    write_atomic(output / spec.kind / f"{spec.kind}.json", json.dumps(content, allow_nan=False, indent=1).encode())
    if KINDS[spec.kind].recommends:
        save_schedule(output, spec.kind, report)
