"""Use cases of a job: submit it, change its state, and say how far it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from s2e.artifacts import delete_files
from s2e.door import parse_job
from s2e.files import shown
from s2e.jobs import loop
from s2e.jobs.trials import make_space
from s2e.parts import KINDS
from s2e.words import Estimate, JobSpec, read, replace, to_json
from s2e.words.answers import Fan, JobRound, Progress
from s2e.words.answers import Job as JobAnswer
from s2e.words.asks import ChangeIn
from service.api.admission import admit
from service.api.lookup import StoredJobs
from service.api.registered import gone, with_registered
from service.api.stored import if_known, kind_of, recommends, spec_of
from service.errors import Unavailable
from service.settings import Settings
from service.store import deletion, queries, quotas, repository
from service.store.engine import Database
from service.store.models import Job, SearchRound

FAN_POINTS = 60
QUANTILE_NAMES = ("q05", "q25", "q50", "q75", "q95")


def submit(
    session: Session, body: Any, idempotency_key: str | None, settings: Settings, owner: str = ""
) -> tuple[JobAnswer, bool]:
    """Create the job a body asks for; (job, False) when its key made it before.

    Raises SpecError, Conflict, OverQuota.
    """
    spec = parse_job(with_registered(session, body), StoredJobs(session, settings.artifacts))
    admit(spec, settings)
    # What was asked, and not what the jobs it starts from have become; the report of a search does not change.
    asked = replace(spec, search=replace(spec.search, earlier=())) if spec.search.warm_start else spec
    request_hash = hashlib.sha256(json.dumps(to_json(asked), sort_keys=True).encode()).hexdigest()
    job_id, created = repository.create_job(session, spec, idempotency_key, request_hash, owner)
    if created:
        quotas.check_jobs(session, owner, settings.owner_jobs)
    return get(session, job_id), created


def cancel(session: Session, job_id: str) -> JobAnswer:
    """Cancel a job. Raises NotFound, IllegalTransition."""
    repository.cancel_job(session, job_id)
    return get(session, job_id)


def pause(session: Session, job_id: str) -> JobAnswer:
    """Pause a job. Raises NotFound, IllegalTransition."""
    repository.pause_job(session, job_id)
    return get(session, job_id)


def resume(session: Session, job_id: str) -> JobAnswer:
    """Resume a job. Raises NotFound, IllegalTransition."""
    repository.resume_job(session, job_id)
    return get(session, job_id)


def change(session: Session, job_id: str, wanted: ChangeIn) -> JobAnswer:
    """Change what can be changed of a job. Raises NotFound, Conflict."""
    repository.change_priority(session, job_id, wanted.priority)
    return get(session, job_id)


def retry(session: Session, job_id: str) -> JobAnswer:
    """Try a failed job again. Raises NotFound, IllegalTransition."""
    repository.retry_job(session, job_id)
    return get(session, job_id)


def delete(database: Database, artifact_root: str, job_id: str, record: Callable[[Session], None]) -> None:
    """Delete an ended job, its files first: while they are there, so is the job. ``record`` is called in the last
    transaction. Raises NotFound, Conflict, Unavailable."""
    with database.write() as session:
        deletion.check_deletable(session, job_id)
    try:
        delete_files(artifact_root, job_id)
    except OSError as error:
        raise Unavailable(f"the files of the job cannot be deleted: {shown(str(error))[:400]}") from error
    ended = False
    while not ended:
        with database.write() as session:
            if ended := deletion.delete_piece(session, job_id):
                record(session)


def get(session: Session, job_id: str) -> JobAnswer:
    """A job with its progress. Raises NotFound."""
    return jobs_out(session, [queries.job(session, job_id)])[0]


def jobs_out(session: Session, jobs: Sequence[Job], wants: Callable[..., bool] = lambda *_: True) -> list[JobAnswer]:
    """Jobs with their progress, in three queries for all of them; fewer where nobody ``wants`` what they tell."""
    ids = [job.id for job in jobs]
    rounds = queries.rounds_done(session, ids) if wants("progress") else {}
    epochs = queries.running_epochs(session, ids) if wants("progress") else {}
    events = queries.last_events(session, ids) if wants("last_event_id") else {}
    now = datetime.now(UTC)
    answers = [_job_out(job, rounds.get(job.id, 0), epochs.get(job.id, 0), now) for job in jobs]
    lost = gone(session, [job.spec for job in jobs]) if wants("data_gone") else [""] * len(jobs)
    return [
        replace(answer, last_event_id=events.get(answer.id, 0), data_gone=why)
        for answer, why in zip(answers, lost, strict=True)
    ]


def _job_out(job: Job, rounds_done: int, running_epochs: int, now: datetime) -> JobAnswer:
    (spec, unreadable), kind = spec_of(job), kind_of(job)
    return JobAnswer(
        id=job.id,
        name=job.name,
        state=job.state,
        reason=job.reason,
        title=(if_known(_title, spec) if spec is not None else None) or "",
        spec=job.spec,
        recommends=recommends(job),
        report_kind="" if kind is None else kind.report.kind,
        trains=(if_known(_trains, spec) if spec is not None else None) or "",
        spec_version=job.spec_version,
        unreadable=unreadable,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        progress=_progress(job, spec, rounds_done, running_epochs, now),
        estimate=estimate_of(job),
        population=job.population,
        owner=job.owner,
        priority=job.priority,
    )


def estimate_of(job: Job) -> Estimate | None:
    """The measurements of a job's check; None before it."""
    return None if job.estimate is None else read(Estimate, job.estimate)


def _title(spec: JobSpec) -> str:
    return KINDS[spec.kind].title(spec)


def _trains(spec: JobSpec) -> str:
    return KINDS[spec.kind].trains(spec)


def _progress(job: Job, spec: JobSpec | None, rounds_done: int, running_epochs: int, now: datetime) -> Progress:
    """Progress of a job; an ended trial counts as all of its epochs, however early it failed."""
    n_epochs = 0 if spec is None else spec.train.n_epochs
    epochs_done = min(job.n_trials_done * n_epochs + running_epochs, job.n_trials * n_epochs)
    epochs_total = job.n_trials * n_epochs
    eta_s, estimate = None, estimate_of(job)
    if job.state == "running" and epochs_done == 0 and estimate is not None:
        eta_s = estimate.job_s
    if job.state == "running" and job.started_at is not None and epochs_done > 0:
        elapsed_s = (now - job.started_at).total_seconds()
        eta_s = round(max(0.0, elapsed_s) * (epochs_total - epochs_done) / epochs_done, 1)
    return Progress(
        trials_done=job.n_trials_done,
        trials_total=job.n_trials,
        rounds_done=rounds_done,
        rounds_total=rounds_done if job.state == "completed" else max(rounds_done, _most_rounds(job, spec)),
        epochs_done=epochs_done,
        epochs_total=epochs_total,
        eta_s=eta_s,
    )


def _most_rounds(job: Job, spec: JobSpec | None) -> int:
    """As counted at submission; jobs of before that was stored are counted now, as far as their searcher is known."""
    if job.n_rounds is not None:
        return job.n_rounds
    return (if_known(loop.n_rounds, spec) if spec is not None else None) or 0


def round_out(job: Job, round_: SearchRound, n_trials: int) -> JobRound:
    """A round with theta and the fan of R(t) under it."""
    theta = tuple(round_.state["theta"]) if round_.state is not None and round_.kind == "search" else None
    spec, _ = spec_of(job)
    return JobRound(
        round=round_.round,
        kind=round_.kind,
        theta=theta,
        n_trials=n_trials,
        created_at=round_.created_at,
        fan=None if theta is None or spec is None else if_known(_fan, spec, theta),
    )


@lru_cache(maxsize=2048)
def _fan(spec: JobSpec, theta: tuple[float, ...]) -> Fan:
    epochs, quantiles = make_space(spec).fan(theta, spec.train.n_epochs, max_points=FAN_POINTS)
    levels = {name: tuple(level) for name, level in zip(QUANTILE_NAMES, quantiles, strict=True)}
    return Fan(epochs=tuple(epochs), **levels)
