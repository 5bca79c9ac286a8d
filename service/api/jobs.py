"""Use cases of the API: submit a job, change its state, and put together what is shown of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.recommendation import Tried, best_bets
from s2e.jobs.trials import default_keep_rate, make_space
from s2e.parts import KINDS
from s2e.words import JobSpec
from service.api import schemas
from service.api.lookup import StoredJobs
from service.api.schemas_compare import REPORT_SHAPES, AnyReport
from service.api.series import thin
from service.errors import NoReport, NoSchedule
from service.store import queries, repository
from service.store.models import Job, SearchRound, Trial

FAN_POINTS = 60
QUANTILE_NAMES = ("q05", "q25", "q50", "q75", "q95")


def submit(session: Session, body: Any, idempotency_key: str | None) -> tuple[schemas.JobOut, bool]:
    """Create the job a body asks for; (job, False) when its key made it before. Raises SpecError, Conflict."""
    spec = parse_job(body, StoredJobs(session))
    # What was asked, and not what the jobs it names, or the defaults, have become.
    request_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    job_id, created = repository.create_job(session, spec, idempotency_key, request_hash)
    return get(session, job_id), created


def cancel(session: Session, job_id: str) -> schemas.JobOut:
    """Cancel a job. Raises NotFound, IllegalTransition."""
    repository.cancel_job(session, job_id)
    return get(session, job_id)


def pause(session: Session, job_id: str) -> schemas.JobOut:
    """Pause a job. Raises NotFound, IllegalTransition."""
    repository.pause_job(session, job_id)
    return get(session, job_id)


def resume(session: Session, job_id: str) -> schemas.JobOut:
    """Resume a job. Raises NotFound, IllegalTransition."""
    repository.resume_job(session, job_id)
    return get(session, job_id)


def get(session: Session, job_id: str) -> schemas.JobOut:
    """A job with its progress. Raises NotFound."""
    return jobs_out(session, [queries.job(session, job_id)])[0]


def jobs_out(session: Session, jobs: Sequence[Job]) -> list[schemas.JobOut]:
    """Jobs with their progress, in two queries for all of them."""
    ids = [job.id for job in jobs]
    rounds, epochs = queries.rounds_done(session, ids), queries.running_epochs(session, ids)
    now = datetime.now(UTC)
    return [
        schemas.JobOut(
            id=job.id,
            name=job.name,
            state=job.state,  # type: ignore[arg-type]  # the table allows these names only
            reason=job.reason,
            spec=job.spec,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            progress=_progress(job, rounds.get(job.id, 0), epochs.get(job.id, 0), now),
        )
        for job in jobs
    ]


def _progress(job: Job, rounds_done: int, running_epochs: int, now: datetime) -> schemas.Progress:
    """Progress of a job; an ended trial counts as all of its epochs, however early it failed."""
    spec = parse_job(job.spec)
    n_epochs = spec.train.n_epochs
    epochs_done = job.n_trials_done * n_epochs + running_epochs
    epochs_total = job.n_trials * n_epochs
    eta_s = None
    if job.state == "running" and job.started_at is not None and epochs_done > 0:
        elapsed_s = (now - job.started_at).total_seconds()
        eta_s = round(max(0.0, elapsed_s) * (epochs_total - epochs_done) / epochs_done, 1)
    return schemas.Progress(
        trials_done=job.n_trials_done,
        trials_total=job.n_trials,
        rounds_done=rounds_done,
        rounds_total=rounds_done if job.state == "completed" else loop.n_rounds(spec),
        epochs_done=epochs_done,
        epochs_total=epochs_total,
        eta_s=eta_s,
    )


def round_out(job: Job, round_: SearchRound, n_trials: int) -> schemas.RoundOut:
    """A round with theta and the fan of R(t) under it."""
    theta = None if round_.state is None else round_.state["theta"]
    fan = None
    if theta is not None:
        spec = parse_job(job.spec)
        fan = _fan(spec, tuple(theta))
    return schemas.RoundOut(
        round=round_.round,
        kind=round_.kind,  # type: ignore[arg-type]
        theta=theta,
        n_trials=n_trials,
        created_at=round_.created_at,
        fan=fan,
    )


@lru_cache(maxsize=2048)
def _fan(spec: JobSpec, theta: tuple[float, ...]) -> schemas.Fan:
    epochs, quantiles = make_space(spec).fan(theta, spec.train.n_epochs, max_points=FAN_POINTS)
    return schemas.Fan(epochs=epochs, **dict(zip(QUANTILE_NAMES, quantiles, strict=True)))


def recommended(session: Session, job: Job) -> schemas.Recommended | None:
    """The recommended schedule's trial: the report's, or the best bet on what has succeeded so far."""
    if not KINDS[job.spec["kind"]].recommends:
        return None
    if (report := queries.report(session, job.id)) is not None:
        found = report.report["recommended"]
    else:
        seen = tuple(_Seen(job.id, *row) for row in queries.succeeded_search_trials(session, job.id))
        found = _best_bet(parse_job(job.spec), seen)
    return None if found is None else schemas.Recommended(round=found[0], k=found[1])


class _Seen:
    """A succeeded trial, compared by its place only: what it says never changes."""

    def __init__(self, job_id: str, m: int, k: int, tried: Tried) -> None:
        self.key, self.tried = (job_id, m, k), tried

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Seen) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=32)
def _best_bet(spec: JobSpec, seen: tuple[_Seen, ...]) -> tuple[int, int] | None:
    """Lowest posterior mean; asked again by every reader of a running job, so kept for as long as nothing succeeds."""
    found = best_bets(spec, [one.tried for one in seen])
    return seen[found[0]].key[1:] if found else None


def schedule_out(session: Session, job: Job) -> schemas.ScheduleOut:
    """The recommended R(t); the default Co-teaching schedule while no trial has succeeded. Raises NoSchedule."""
    if not KINDS[job.spec["kind"]].recommends:
        raise NoSchedule(job.id)
    report, found, train = queries.report(session, job.id), recommended(session, job), {}
    if report is not None:
        keep_rate, train = report.report["keep_rate"], report.report.get("train", {})
    elif found is not None:
        trial = queries.trials(session, job.id, 1, (found.round, found.k - 1), found.round, None)[0]
        keep_rate, train = trial.spec["keep_rate"], trial.train
    else:
        keep_rate = default_keep_rate(parse_job(job.spec))
    return schemas.ScheduleOut(
        recommended=found,
        provisional=report is None,
        label="default" if found is None else "searched",
        keep_rate=list(keep_rate),
        train=train,
    )


def schedules_out(session: Session, job: Job, max_points: int) -> schemas.SchedulesOut:
    """R(t) of every trial at the same few epochs."""
    epochs = thin(parse_job(job.spec).train.n_epochs, max_points)
    items = [_trial_schedule(trial, epochs) for trial in queries.all_trials(session, job.id)]
    return schemas.SchedulesOut(epochs=epochs, items=items, recommended=recommended(session, job))


def _trial_schedule(trial: Trial, epochs: Sequence[int]) -> schemas.TrialSchedule:
    keep_rate = trial.spec["keep_rate"]
    return schemas.TrialSchedule(
        id=trial.id,
        round=trial.round,
        k=trial.k,
        label=trial.label,
        state=trial.state,  # type: ignore[arg-type]
        validation_accuracy=trial.validation_accuracy,
        keep_rate=[keep_rate[t] for t in epochs],
    )


def report_out(session: Session, job: Job) -> AnyReport:
    """The stored report. Raises NoReport while there is none."""
    found = queries.report(session, job.id)
    if found is None:
        raise NoReport(job.id, job.state)
    return REPORT_SHAPES[job.spec["kind"]](**found.report, created_at=found.created_at)


def trial_detail(session: Session, trial: Trial) -> schemas.TrialDetail:
    """A trial with its point, schedule, seeds and attempts."""
    spec = trial.spec
    point = spec.get("point")
    return schemas.TrialDetail(
        **schemas.TrialOut.model_validate(trial).model_dump(),
        point=None if point is None else point["values"],
        final=None if trial.final is None else schemas.FinalAccuracies(**trial.final),
        keep_rate=spec["keep_rate"],
        init_seed=spec["init_seed"],
        order_seed=spec["order_seed"],
        noise_seed=spec["noise_seed"],
        attempts=[schemas.AttemptOut.model_validate(row) for row in queries.attempts(session, trial.id)],
    )


def epochs_out(session: Session, trial: Trial, attempt: int | None, max_points: int) -> schemas.EpochsOut:
    """Curves of an attempt (the current one unless told), thinned: first and last epoch stay."""
    attempt = trial.attempt if attempt is None else attempt
    numbers = queries.epoch_numbers(session, trial.id, attempt)
    wanted = [numbers[i] for i in thin(len(numbers), max_points)]
    rows = queries.epochs(session, trial.id, attempt, wanted)
    series = {name: [getattr(row, name) for row in rows] for name in schemas.Series.model_fields}
    return schemas.EpochsOut(
        attempt=attempt,
        total=len(numbers),
        epochs=[row.epoch for row in rows],
        series=schemas.Series(**series),
        networks=_network_series([row.networks or [] for row in rows]),
    )


def _network_series(rows: Sequence[list[list[float | None]]]) -> list[schemas.NetworkSeries]:
    """Each network's curves from the (train, validation, test) accuracies of every epoch; an epoch may have none."""
    n_networks = max(map(len, rows), default=0)
    blank: list[float | None] = [None, None, None]
    curves = [zip(*(row[n] if n < len(row) else blank for row in rows), strict=True) for n in range(n_networks)]
    names = tuple(schemas.NetworkSeries.model_fields)
    return [schemas.NetworkSeries(**dict(zip(names, map(list, curve), strict=True))) for curve in curves]
