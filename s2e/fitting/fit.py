"""A fit beyond rows of numbers without a budget: on files of one's own, within seconds, or of a plan that was stored.

Legend: S rows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from s2e.chosen import choice_report
from s2e.data.splits import stratified
from s2e.deadline import Deadline
from s2e.door.stored import read_job
from s2e.fitting.race import with_hasty, with_steady
from s2e.fitting.trained import Trained, trained
from s2e.labels.free_issues import free_issues
from s2e.labels.issues import LabelIssues
from s2e.labels.sources import AllRows, all_rows, source_issues
from s2e.pace import MOST_MODELS, judged_in_time, measured, planned, worth_their_start
from s2e.prepare import in_words
from s2e.stages import shares_of
from s2e.words import SPEC_VERSION, DataError, DataSpec, JobSpec, UnreadableError, derive_seed, replace, to_json

MOST_OF_ESTIMATE = 0.6
"""Of a budget: an estimate that has taken more is given up. A plan gives it four tenths at most."""
Chooses = Callable[[JobSpec], JobSpec]
"""Makes of a job that knows its noise one that chooses among candidates."""


@dataclass(frozen=True)
class _Within:
    """A budget of seconds and the use that is made of it."""

    deadline: Deadline
    busy: float
    chooses: Chooses | None
    is_blind: bool
    """True if nobody knows anything of the noise but by an estimate, and nobody has named candidates."""


@dataclass(frozen=True)
class Fit:
    """The outcome that an estimator takes over."""

    trained: Trained
    issues: LabelIssues
    job: dict[str, Any]
    """The plan that was run, as plain JSON."""
    notes: tuple[str, ...]
    """On how files were read, where that is not plain."""

    @property
    def spec(self) -> JobSpec:
        return self.trained.spec

    @property
    def report(self) -> dict[str, Any]:
        """As :class:`s2e.sklearn.NoisyLabelClassifier` has it."""
        pairs = [
            pair for record in self.trained.history for pair in zip(record.round.trials, record.results, strict=True)
        ]
        trials = [
            {"keep_rate": trial.keep_rate, "validation_accuracy": result.validation_accuracy} for trial, result in pairs
        ]
        more: dict[str, Any] = {
            "n_models": self.trained.n_models,
            "noise": self.spec.data.estimate,
            "notes": self.notes,
        }
        if self.spec.compare is not None:
            more |= choice_report(self.spec, self.trained.history)
        return {"trials": trials, "recommended": self.trained.recommended, **more}


def fit_job(spec: JobSpec, data_root: str | None, noise_rate: float | None, n_jobs: int = 1) -> Fit:
    """The job as it is: as many rounds as it says, and one model."""
    every = all_rows(spec.data, data_root)
    asked = (0, 0) if noise_rate is not None else (len(every), 5)
    return _fitted(spec, data_root, asked, every, 1, n_jobs, None)


def fit_within(
    spec: JobSpec,
    data_root: str | None,
    noise_rate: float | None,
    deadline: Deadline,
    n_jobs: int = 1,
    chooses: Chooses | None = None,
    *,
    names_candidates: bool = False,
) -> Fit:
    """As much of the job as the budget lets it have: of its search, or of the race that ``chooses`` makes of it, where
    something is known of the noise by which to choose, or ``names_candidates``.

    Raises SpecError for a budget that is too small for anything."""
    every = all_rows(spec.data, data_root)
    read_s = deadline.seconds - deadline.left
    pace, n_jobs = worth_their_start(measured(spec, data_root, n_jobs), deadline, read_s, n_jobs)
    asked = (0, 0)
    if noise_rate is None:
        asked = judged_in_time(pace, spec.train.batch_size, deadline, len(every))
        if asked == (0, 0):
            text = f"noise_rate is taken as 0: no estimate of it fits into {deadline.seconds:g} s; say it, or give more"
            warnings.warn(text, UserWarning, stacklevel=6)
    planned_spec = planned(spec, pace, deadline, n_jobs)
    within = _Within(deadline, pace.busy, chooses, noise_rate is None and not names_candidates)
    return _fitted(planned_spec, data_root, asked, every, MOST_MODELS, n_jobs, within)


def fit_again(job: Mapping[str, Any], data: DataSpec, data_root: str | None, n_jobs: int = 1) -> Fit:
    """A stored plan once more: the same numbers, however many processes train. Raises DataError for other rows."""
    try:
        spec = read_job(job["spec"], SPEC_VERSION)
        asked, n_models = (int(job["audit"]["n_rows"]), int(job["audit"]["n_folds"])), int(job["n_models"])
        said = str(job["rows"])
    except (KeyError, TypeError, ValueError, UnreadableError) as error:
        raise DataError(f"job is none that a fit has stored as job_: {error}") from error
    # where the rows lie may have changed since, and their labels are what counts
    spec = replace(spec, data=replace(spec.data, params=data.params, trusted=data.trusted))
    every = all_rows(spec.data, data_root)
    if _digest(every) != said:
        raise DataError("job was stored by a fit of other rows or labels: it says which numbers follow from its own")
    return _fitted(spec, data_root, asked, every, n_models, n_jobs, None)


def _fitted(
    spec: JobSpec,
    data_root: str | None,
    asked: tuple[int, int],
    every: AllRows,
    n_models: int,
    n_jobs: int,
    within: _Within | None,
) -> Fit:
    verdict, spec, asked = _judged(spec, data_root, asked, every, None if within is None else within.deadline)
    if within is not None and within.chooses is not None:
        # without an estimate held-out labels choose by agreement, and would prefer what learns their noise
        if spec.data.estimate is not None or not within.is_blind:
            spec = within.chooses(spec)
        else:
            spec = with_steady(spec) if asked[0] else with_hasty(spec)
    limits = () if within is None else (within.deadline, within.busy)
    run = trained(spec, data_root, n_models, n_jobs, *limits)
    _warn_of_chance(run, every)
    if verdict is None:
        free = free_issues(run.spec.data, data_root, float(run.spec.report.tau or 0), run.margins)
        verdict = replace(free, id=every.id_S)
    job = {
        "spec": to_json(run.spec),
        "n_models": run.n_models,
        "audit": {"n_rows": asked[0], "n_folds": asked[1]},
        "rows": _digest(every),
    }
    return Fit(run, verdict, job, tuple(every.data.notes))


def _warn_of_chance(run: Trained, every: AllRows) -> None:
    """A warning where nothing shows that the model has learned more than which label is the most frequent: within one
    standard error, for under much noise a good model agrees with few labels more. A few labels would show nothing."""
    m, k = run.recommended
    agreement, n = run.history[m].results[k].validation_accuracy, run.spec.data.n_validation
    share = float(np.bincount(every.label_S).max() / len(every))
    error = math.sqrt(share * (1 - share) / max(1, n))
    if agreement is not None and agreement <= share + error and error <= (1 - share) / 4:
        text = (
            f"the model agrees with {agreement:.0%} of {n} held-out labels, no more than the most frequent label alone "
            f"with {share:.0%}: it may have learned nothing. Give it more time, or see whether the rows tell the labels"
        )
        warnings.warn(text, UserWarning, stacklevel=7)


def _judged(
    spec: JobSpec, data_root: str | None, asked: tuple[int, int], every: AllRows, deadline: Deadline | None
) -> tuple[LabelIssues | None, JobSpec, tuple[int, int]]:
    """The verdict on every row, None where only some could be asked; the job with the estimate; and what was asked: of
    an estimate that takes far longer than a few steps have shown nothing, as if there had been no time for it."""
    n_rows, n_folds = asked
    if not n_rows:
        return None, spec, asked
    rows = np.arange(len(every))
    if n_rows < len(every):
        rows, _ = stratified(every.label_S, n_rows, np.random.default_rng(derive_seed(spec.seed, "judged rows")))
    done = shares_of(f"how many labels are wrong: {n_folds} folds of {len(rows)} rows")

    def progress(share: float) -> None:
        done(share)
        if deadline is not None:
            _require_time(deadline)

    try:
        verdict = source_issues(
            spec.data, data_root, spec.train, n_folds=n_folds, seed=spec.seed, rows=rows, progress=progress
        )
    except _GivenUpError:
        warnings.warn("noise_rate is taken as 0: the estimate of it takes too long; say it, or give more", stacklevel=7)
        return None, spec, (0, 0)
    except DataError as error:
        warnings.warn(f"noise_rate is taken as 0: {error}", UserWarning, stacklevel=7)
        return None, spec, asked
    assert verdict.noise is not None
    estimate = in_words(verdict.noise)
    data, report = replace(spec.data, estimate=estimate), replace(spec.report, tau=estimate.noise_rate)
    return verdict if n_rows == len(every) else None, replace(spec, data=data, report=report), asked


class _GivenUpError(Exception):
    """An estimate has taken more of a budget than it may."""


def _require_time(deadline: Deadline) -> None:
    if deadline.left < (1 - MOST_OF_ESTIMATE) * deadline.seconds:
        raise _GivenUpError


def _digest(every: AllRows) -> str:
    """Of all rows with their labels."""
    digest = sha256(every.label_S.astype("<i8").tobytes())
    for part in (every.data.train_images, every.data.test_images):
        for chunk in part.split(1_024):
            digest.update(chunk.contiguous().numpy().tobytes())
    return digest.hexdigest()
