"""Use cases of schedules: what is recommended so far, and R(t) of every trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from s2e.jobs.recommendation import best_bets
from s2e.jobs.trials import default_keep_rate
from s2e.words import JobSpec, replace
from s2e.words.answers import JobSchedule, Recommended, TrialSchedule, TrialSchedules
from service.api.series import thin
from service.api.stored import if_known, recommends, spec_of
from service.errors import NoSchedule
from service.store import queries
from service.store.models import Job, Trial

Place = tuple[int, int]
MOST_KEPT = 256
_kept: dict[str, tuple[object, Place | None]] = {}
"""By job: what had succeeded, and the best bet on it. Every reader of a running job asks for it again and again."""


def recommended(session: Session, job: Job) -> Recommended | None:
    """The recommended schedule's trial: the report's, or the best bet on what has succeeded so far."""
    if not recommends(job):
        return None
    place: Place | None
    if (report := queries.report(session, job.id)) is not None:
        place = report.report["recommended"]
    else:
        place = _best_bet(session, job)
    return None if place is None else Recommended(round=place[0], k=place[1])


def _best_bet(session: Session, job: Job) -> Place | None:
    """Lowest posterior mean. While nothing more has succeeded, no trial is read again."""
    succeeded = queries.succeeded_so_far(session, job.id)
    kept = _kept.get(job.id)
    if kept is None or kept[0] != succeeded:
        spec, _ = spec_of(job)
        kept = succeeded, None if spec is None else if_known(_computed, session, job.id, spec)
        while len(_kept) >= MOST_KEPT:
            _kept.pop(next(iter(_kept)), None)
        _kept[job.id] = kept
    return kept[1]


def _computed(session: Session, job_id: str, spec: JobSpec) -> Place | None:
    seen = queries.succeeded_search_trials(session, job_id)
    bets = best_bets(spec, [replace(tried, round=m) for m, _, tried in seen])
    return seen[bets[0]][:2] if bets else None


def schedule_out(session: Session, job: Job) -> JobSchedule:
    """The recommended R(t); the default Co-teaching schedule while no trial has succeeded. Raises NoSchedule."""
    if not recommends(job):
        raise NoSchedule(job.id)
    report, place = queries.report(session, job.id), recommended(session, job)
    keep_rate: Sequence[float]
    train: dict[str, Any] = {}
    if report is not None:
        keep_rate, train = report.report["keep_rate"], report.report.get("train", {})
    elif place is not None:
        trial = queries.trials(session, job.id, 1, (place.round, place.k - 1), place.round, None)[0]
        keep_rate, train = trial.spec["keep_rate"], trial.train
    else:
        spec, _ = spec_of(job)
        keep_rate = (if_known(default_keep_rate, spec) if spec is not None else None) or ()
    return JobSchedule(
        recommended=place,
        provisional=report is None,
        label="searched" if place is not None else "default" if keep_rate else "unknown",
        keep_rate=tuple(keep_rate),
        train=train,
    )


def schedules_out(session: Session, job: Job, max_points: int) -> TrialSchedules:
    """R(t) of every trial at the same few epochs."""
    trials = queries.all_trials(session, job.id)
    spec, _ = spec_of(job)
    n_epochs = spec.train.n_epochs if spec is not None else max((len(t.spec["keep_rate"]) for t in trials), default=0)
    epochs = thin(n_epochs, max_points)
    items = tuple(_trial_schedule(trial, epochs) for trial in trials)
    return TrialSchedules(epochs=tuple(epochs), items=items, recommended=recommended(session, job))


def _trial_schedule(trial: Trial, epochs: Sequence[int]) -> TrialSchedule:
    keep_rate = trial.spec["keep_rate"]
    return TrialSchedule(
        id=trial.id,
        round=trial.round,
        k=trial.k,
        label=trial.label,
        state=trial.state,
        validation_accuracy=trial.validation_accuracy,
        keep_rate=tuple(keep_rate[t] for t in epochs),
    )
