"""The cross-fitted audit of a job's labels, on request: five folds train here and judge rows that they did not see."""

from __future__ import annotations

from collections.abc import Callable

from s2e.labels.given import given_labels
from s2e.labels.job import job_samples
from s2e.labels.job_audit import JobAudit, audit, noise_rate_of
from s2e.labels.judged import cross_fitted
from s2e.labels.noise import estimate_noise
from s2e.sizes import sized
from s2e.words import JobSpec


def cross_fitted_audit(
    spec: JobSpec, data_root: str | None = None, progress: Callable[[float], None] | None = None
) -> JobAudit:
    """Every row of the job, the worst first; folds train on those that train.

    Raises DataError for labels that are known, and those whose noise cannot be told from rows that are hard.
    """
    noise_rate_of(spec)
    spec = sized(spec, data_root)
    job = job_samples(spec, data_root)
    fit = estimate_noise(
        job.samples,
        job.network,
        spec.train,
        seed=spec.seed,
        trusted=job.trusted,
        others=job.others,
        progress=progress,
    )
    labels = given_labels(spec.data, data_root)
    return audit(labels, fit.estimate.noise_rate, fitted=cross_fitted(fit, labels.label_S))
