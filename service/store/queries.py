"""The read side: what the API shows, in few bounded queries. Lists page by keyset: stable while rows come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Select, and_, func, or_, select, text, tuple_, update
from sqlalchemy.orm import Session

from s2e.jobs.recommendation import Tried
from s2e.words import EpochMetrics, numbers_of
from service.errors import NotFound
from service.store.models import (
    TRIAL_UNDONE,
    Attempt,
    Epoch,
    Job,
    JobEvent,
    JobReport,
    SearchRound,
    Trial,
    WorkerRow,
    share_of,
)

Row = TypeVar("Row")
_LIVE = tuple(number.name for number in numbers_of(EpochMetrics) if number.live)


def job(session: Session, job_id: str) -> Job:
    """Raises NotFound."""
    return _found(session.get(Job, job_id), "job", job_id)


def trial(session: Session, trial_id: str) -> Trial:
    """Raises NotFound."""
    return _found(session.get(Trial, trial_id), "trial", trial_id)


def owner_of(session: Session, *, job_id: str | None = None, trial_id: str | None = None) -> str | None:
    """The owner of a job, or of the job of a trial; None where there is none."""
    if job_id is not None:
        return session.scalar(select(Job.owner).where(Job.id == job_id))
    return session.scalar(select(Job.owner).join(Trial, Trial.job_id == Job.id).where(Trial.id == trial_id))


def _found(row: Row | None, what: str, key: str) -> Row:
    if row is None:
        raise NotFound(what, key)
    return row


def jobs(session: Session, limit: int, before: tuple[str] | None, state: str | None) -> Sequence[Job]:
    """Jobs older than ``before``, newest first (ids sort by time); one more than ``limit`` tells of a further page."""
    query = select(Job).order_by(Job.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Job.id < before[0])
    if state is not None:
        query = query.where(Job.state == state)
    return session.scalars(query).all()


def rounds(session: Session, job_id: str, limit: int, after: tuple[int] | None) -> Sequence[tuple[SearchRound, int]]:
    """Rounds in order with their number of trials; one more than ``limit``."""
    n_trials = (
        select(func.count())
        .where(Trial.job_id == SearchRound.job_id, Trial.round == SearchRound.round)
        .correlate(SearchRound)
        .scalar_subquery()
    )
    query = select(SearchRound, n_trials).where(SearchRound.job_id == job_id)
    if after is not None:
        query = query.where(SearchRound.round > after[0])
    return [(row, n) for row, n in session.execute(query.order_by(SearchRound.round).limit(limit + 1))]


def trials(
    session: Session,
    job_id: str,
    limit: int,
    after: tuple[int, int] | None,
    round_: int | None,
    label: str | None,
) -> Sequence[Trial]:
    """Trials of a job by (round, k); one more than ``limit``."""
    query = select(Trial).where(Trial.job_id == job_id)
    if after is not None:
        query = query.where(tuple_(Trial.round, Trial.k) > tuple_(*after))
    if round_ is not None:
        query = query.where(Trial.round == round_)
    if label is not None:
        query = query.where(Trial.label == label)
    return session.scalars(query.order_by(Trial.round, Trial.k).limit(limit + 1)).all()


def all_trials(session: Session, job_id: str) -> Sequence[Trial]:
    """Every trial of a job by (round, k)."""
    return session.scalars(select(Trial).where(Trial.job_id == job_id).order_by(Trial.round, Trial.k)).all()


def succeeded_so_far(session: Session, job_id: str) -> tuple[int, datetime | None]:
    """How many trials :func:`succeeded_search_trials` has, and when the last of them ended: no other set has both."""
    query = select(func.count(), func.max(Trial.finished_at)).where(
        Trial.job_id == job_id, Trial.label == "search", Trial.state == "succeeded", Trial.objective.is_not(None)
    )
    n, last = session.execute(query).one()
    return n, last


def succeeded_search_trials(session: Session, job_id: str) -> list[tuple[int, int, Tried]]:
    """(round, k) and what it says of every trial that has an objective, by (round, k)."""
    query = (
        select(Trial.round, Trial.k, Trial.spec, Trial.objective)
        .where(
            Trial.job_id == job_id, Trial.label == "search", Trial.state == "succeeded", Trial.objective.is_not(None)
        )
        .order_by(Trial.round, Trial.k)
    )
    rows = session.execute(query)
    return [
        (m, k, Tried(spec["keep_rate"], spec.get("train", {}), objective, share_of(spec)))
        for m, k, spec, objective in rows
    ]


def searched_points(session: Session, job_id: str) -> list[tuple[tuple[float, ...], float]]:
    """Point and objective of every search trial that was trained in full and succeeded, by (round, k)."""
    query = (
        select(Trial.spec, Trial.objective)
        .where(Trial.job_id == job_id, Trial.label == "search", Trial.state == "succeeded")
        .order_by(Trial.round, Trial.k)
    )
    rows = session.execute(query)
    return [
        (tuple(spec["point"]["values"]), objective)
        for spec, objective in rows
        if spec.get("point") and objective is not None and share_of(spec) == 1
    ]


def attempts(session: Session, trial_id: str) -> Sequence[Attempt]:
    """Every try at a trial, in order."""
    return session.scalars(select(Attempt).where(Attempt.trial_id == trial_id).order_by(Attempt.attempt)).all()


def epoch_numbers(session: Session, trial_id: str, attempt: int) -> Sequence[int]:
    """Which epochs of an attempt are recorded, in order."""
    query = select(Epoch.epoch).where(Epoch.trial_id == trial_id, Epoch.attempt == attempt)
    return session.scalars(query.order_by(Epoch.epoch)).all()


def epochs(session: Session, trial_id: str, attempt: int, numbers: Sequence[int]) -> Sequence[Epoch]:
    """The given epochs of an attempt, in order."""
    query = select(Epoch).where(Epoch.trial_id == trial_id, Epoch.attempt == attempt, Epoch.epoch.in_(numbers))
    return session.scalars(query.order_by(Epoch.epoch)).all()


class CurvePoint(NamedTuple):
    """One epoch of a curve over the current attempts of the trials of a label."""

    label: str
    epoch: int
    mean: float | None
    low: float | None
    high: float | None


def curves(session: Session, job_id: str, metric: str, numbers: Sequence[int]) -> list[CurvePoint]:
    """Mean and range of a column of the epochs ``numbers``, for each label of a job."""
    column = getattr(Epoch, metric)
    query = (
        select(Trial.label, Epoch.epoch, func.avg(column), func.min(column), func.max(column))
        .join(Epoch, and_(Epoch.trial_id == Trial.id, Epoch.attempt == Trial.attempt))
        .where(Trial.job_id == job_id, Epoch.epoch.in_(numbers))
        .group_by(Trial.label, Epoch.epoch)
    )
    return [CurvePoint(*row) for row in session.execute(query)]


def labels(session: Session, job_id: str) -> list[tuple[str, int]]:
    """Each label of a job and its number of trials, in the order they first appear."""
    query = select(Trial.label, func.count()).where(Trial.job_id == job_id).group_by(Trial.label)
    found = session.execute(query.order_by(func.min(Trial.round), func.min(Trial.k)))
    return [(label, n) for label, n in found]


def report(session: Session, job_id: str) -> JobReport | None:
    return session.get(JobReport, job_id)


def models(session: Session, job_id: str) -> list[str]:
    """The model files of a job's succeeded trials by (round, k)."""
    query = select(Trial.model).where(Trial.job_id == job_id, Trial.state == "succeeded", Trial.model.is_not(None))
    return [path for path in session.scalars(query.order_by(Trial.round, Trial.k)) if path is not None]


def trials_of_models(session: Session, job_id: str, paths: Sequence[str]) -> dict[str, str]:
    """The trial behind each of these model files of a job."""
    query = select(Trial.model, Trial.id).where(Trial.job_id == job_id, Trial.model.in_(paths))
    return {path: trial_id for path, trial_id in session.execute(query) if path is not None}


def workers(session: Session) -> Sequence[WorkerRow]:
    return session.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()


def events_after(
    session: Session, job_id: str, last_id: int, limit: int = 500
) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, kind, data) of a job's events behind ``last_id``, in order; those of epochs with their numbers."""
    query = select(JobEvent.id, JobEvent.kind, JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.id > last_id)
    found = [(i, kind, data) for i, kind, data in session.execute(query.order_by(JobEvent.id).limit(limit))]
    referring = [data for _, kind, data in found if kind == "epochs" and "trials" not in data]
    if not referring:
        return found
    numbers = _numbers_of(session, job_id, referring)
    return [(i, kind, _with_numbers(data, numbers) if kind == "epochs" else data) for i, kind, data in found]


Place = tuple[int, int, int, int]
"""Round, k, attempt, epoch."""


def _numbers_of(session: Session, job_id: str, events: Sequence[dict[str, Any]]) -> dict[Place, dict[str, Any]]:
    """Id of the trial and the live numbers of every epoch that these events refer to, and of some more."""
    epochs = [data["epoch"] for data in events]
    query = (
        select(Trial.round, Trial.k, Epoch.attempt, Epoch.epoch, Trial.id, *(getattr(Epoch, name) for name in _LIVE))
        .join(Epoch, Epoch.trial_id == Trial.id)
        .where(
            Trial.job_id == job_id,
            Trial.round.in_({data["round"] for data in events}),
            Trial.k.in_({k for data in events for k in data["ks"]}),
            Epoch.attempt.in_({data["attempt"] for data in events}),
            Epoch.epoch.between(min(epochs), max(epochs)),
        )
    )
    return {
        (m, k, attempt, epoch): {"id": trial_id, **dict(zip(_LIVE, values, strict=True))}
        for m, k, attempt, epoch, trial_id, *values in session.execute(query)
    }


def _with_numbers(data: dict[str, Any], numbers: dict[Place, dict[str, Any]]) -> dict[str, Any]:
    if "trials" in data:  # stored by an earlier release
        return data
    m, attempt, epoch = data["round"], data["attempt"], data["epoch"]
    trials = [numbers[m, k, attempt, epoch] for k in data["ks"] if (m, k, attempt, epoch) in numbers]
    return {name: data[name] for name in ("round", "group", "epoch", "n_epochs")} | {"trials": trials}


def last_events(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    """The newest event of each job; 0 for none."""
    newest = select(func.max(JobEvent.id)).where(JobEvent.job_id == Job.id).correlate(Job).scalar_subquery()
    return {job_id: last or 0 for job_id, last in session.execute(select(Job.id, newest).where(Job.id.in_(job_ids)))}


def rounds_done(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    """How many rounds of each job have run to their end."""
    open_rounds = (
        select(Trial.job_id, Trial.round).where(Trial.job_id.in_(job_ids), text(f"trials.{TRIAL_UNDONE}")).distinct()
    ).subquery()
    joined = and_(open_rounds.c.job_id == SearchRound.job_id, open_rounds.c.round == SearchRound.round)
    query = select(SearchRound.job_id, func.count()).outerjoin(open_rounds, joined)
    query = query.where(SearchRound.job_id.in_(job_ids), open_rounds.c.job_id.is_(None))
    return _counts(session, query.group_by(SearchRound.job_id))


def running_epochs(session: Session, job_ids: Sequence[str]) -> dict[str, int]:
    """Epochs recorded of the current attempts of trials that have not ended."""
    query = (
        select(Trial.job_id, func.count())
        .join(Epoch, and_(Epoch.trial_id == Trial.id, Epoch.attempt == Trial.attempt))
        .where(Trial.job_id.in_(job_ids), or_(Trial.state == "leased", Trial.state == "running"))
    )
    return _counts(session, query.group_by(Trial.job_id))


def _counts(session: Session, query: Select[str, int]) -> dict[str, int]:
    return dict(iter(session.execute(query)))


def ping_writer(session: Session) -> None:
    """Take the lock of a writer, and change no row."""
    session.execute(update(Job).where(Job.id == "").values(name=""))
