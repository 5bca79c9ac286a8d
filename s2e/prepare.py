"""Facts about its data that a job needs before its first round: above all, how wrong given labels are.

The estimate becomes part of the spec, so whatever follows is a pure function of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from s2e.parts import KINDS, SEARCHERS
from s2e.words import (
    DataError,
    DataSpec,
    Estimate,
    EstimatedNoise,
    JobSpec,
    PlanSpec,
    SearchSpec,
    SpecError,
    TrainSpec,
    replace,
)

if TYPE_CHECKING:
    from s2e.labels.kept import CrossFitted
    from s2e.labels.verdict import NoiseEstimate

BY_MATRIX = ("given", "corrected", "reweighted")
"""Values of a method's ``transition`` that need the noise's matrix."""
N_FOLDS = 5
"""Of the estimate, where time does not ask for fewer."""
MOST_ROWS = 2**63 - 1
"""More than there are."""
MOST = 0.999
"""tau stays below 1."""


FEW_ROWS = 200
"""Where the noise of fewer cannot be estimated, that says more about their number than about their labels."""


class NoEstimateError(DataError):
    """The noise of ``n_rows`` given labels cannot be estimated."""

    def __init__(self, message: str, n_rows: int) -> None:
        super().__init__(message)
        self.n_rows = n_rows


def needs_estimate(spec: JobSpec) -> bool:
    """True if some setting of the job depends on the noise of given labels, and it is not estimated yet."""
    data = spec.data
    if data.truth_is_known or data.estimate is not None or data.unestimated or spec.trials == "external":
        return False
    return spec.report.tau is None or _needs_matrix(spec)


def _needs_matrix(spec: JobSpec) -> bool:
    trained = [spec.train.params, *(entry.params for entry in (spec.compare.entries if spec.compare else ()))]
    uses_matrix = any(params.get("transition") in BY_MATRIX for params in trained)
    return uses_matrix or spec.data.validation_labels == "noisy_corrected"


def goes_on_below(spec: JobSpec) -> int:
    """Rows below which the job goes on, with a guess of tau, where the noise of their labels cannot be estimated."""
    if KINDS[spec.kind].goes_on_without_noise(spec):
        return MOST_ROWS
    return 0 if _needs_matrix(spec) else FEW_ROWS


def needs_count(data: DataSpec) -> bool:
    """True if some rows are marked as trusted, and are not counted yet."""
    return data.trusted.is_declared and data.trusted.counted is None


Keep = Callable[["CrossFitted"], None]
"""Takes the verdict on every label by the fit behind an estimate."""


def prepared(spec: JobSpec, data_root: str | None = None, keep: Keep | None = None, n_folds: int = N_FOLDS) -> JobSpec:
    """The job with the noise of its given labels and the number of trusted ones, where it needs that: the same bits
    wherever the same machine asks.

    Raises DataError where the noise cannot be estimated and the job has nothing to do without, or where it leaves
    nothing to correct by.
    """
    spec = replace(spec, data=counted(spec.data, data_root))
    if not needs_estimate(spec):
        return spec
    try:
        noise = estimated(spec.data, spec.train, spec.plan, spec.seed, data_root, keep, n_folds)
    except NoEstimateError as error:
        if error.n_rows >= goes_on_below(spec):
            raise
        return without_noise(spec, str(error))
    return with_noise(spec, noise)


def counted(data: DataSpec, data_root: str | None) -> DataSpec:
    """The data with their trusted rows counted. Raises DataError as loading them does, and for files that do not match
    the fingerprint any more, even if this process has read them before."""
    if data.fingerprint is not None:
        from s2e.data.own.files import require_unchanged
        from s2e.parts import DATASETS

        require_unchanged(DATASETS[data.name].stored(data.params), data, data_root)
    if not needs_count(data):
        return data
    from s2e.data.datasets import load_split

    return replace(data, trusted=replace(data.trusted, counted=load_split(data, data_root).counted))


def with_noise(spec: JobSpec, noise: EstimatedNoise) -> JobSpec:
    """The job that knows the noise of its labels, and a search that begins with it."""
    return replace(spec, data=replace(spec.data, estimate=noise), search=_started(spec, noise.noise_rate))


def without_noise(spec: JobSpec, reason: str) -> JobSpec:
    """The job that goes on though the noise of its labels is not known, for ``reason``."""
    return replace(spec, data=replace(spec.data, unestimated=reason))


def _started(spec: JobSpec, noise_rate: float) -> SearchSpec:
    """The search with the estimated share among its first curves, where its rule has such."""
    search = spec.search
    known = SEARCHERS[search.searcher].stored(search.params).settings() if search.searcher in SEARCHERS else {}
    if (
        not KINDS[spec.kind].recommends
        or noise_rate <= 0
        or known.get("tau") is not None
        or known.get("estimate", 0) is not None
    ):
        return search
    return replace(search, params={**search.params, "estimate": noise_rate})


def informed(spec: JobSpec, estimate: Estimate) -> JobSpec:
    """The job with the findings of a worker's check about its data, as far as it needs them."""
    if estimate.trusted is not None and needs_count(spec.data):
        spec = replace(spec, data=replace(spec.data, trusted=replace(spec.data.trusted, counted=estimate.trusted)))
    if not needs_estimate(spec):
        return spec
    if estimate.noise is not None:
        return with_noise(spec, estimate.noise)
    return without_noise(spec, estimate.unestimated) if estimate.unestimated else spec


def provisional(spec: JobSpec) -> JobSpec:
    """A job of the same shape that needs no estimate, to see whether it can be trained."""
    return replace(spec, report=replace(spec.report, tau=0.0)) if needs_estimate(spec) else spec


def estimated(
    data: DataSpec,
    train: TrainSpec,
    plan: PlanSpec,
    seed: int,
    data_root: str | None,
    keep: Keep | None = None,
    n_folds: int = N_FOLDS,
) -> EstimatedNoise:
    """The noise of the labels of ``data``; see :func:`prepared`. Raises NoEstimateError where there is none."""
    import numpy as np

    from s2e.labels.job import job_samples
    from s2e.labels.judged import cross_fitted
    from s2e.labels.noise import estimate_noise

    job = job_samples(JobSpec(seed=seed, data=data, train=train, plan=plan), data_root)
    try:
        # a verdict on the rows that validate and test is wanted only where it is kept
        others = () if keep is None else job.others
        fit = estimate_noise(
            job.samples, job.network, train, n_folds=n_folds, seed=seed, trusted=job.trusted, others=others
        )
    except DataError as error:
        raise NoEstimateError(
            f"{error}. With what you know of their noise rate as report.tau, no estimate is made",
            len(job.samples.label_S),
        ) from error
    if keep is not None:
        given = [job.samples.label_S, *(part.label_S for part in job.others)]
        keep(cross_fitted(fit, np.concatenate(given)))
    noise = in_words(fit.estimate)
    _require_correction(replace(data, estimate=noise))
    return noise


def in_words(noise: NoiseEstimate) -> EstimatedNoise:
    """An estimate as a spec holds it."""
    low, high = noise.interval
    return EstimatedNoise(
        noise_rate=min(noise.noise_rate, MOST),
        low=low,
        high=high,
        transition=noise.transition,
        kind=noise.kind,
        n_rows=noise.n_rows,
        alarms=tuple(alarm.text for alarm in noise.alarms),
    )


def _require_correction(data: DataSpec) -> None:
    if data.validation_labels != "noisy_corrected":
        return
    from s2e.data.validation import known_transition, scores

    T_CC = known_transition(data)
    assert T_CC is not None
    try:
        scores(T_CC)
    except SpecError as error:
        raise DataError(f"the estimated noise cannot be corrected: {error}") from error
