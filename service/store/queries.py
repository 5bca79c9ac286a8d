"""The read side: views for the API, in few bounded queries. Lists page by keyset: stable while rows come."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, tuple_, update
from sqlalchemy.orm import Session, defer

from s2e.artifacts import model_path
from s2e.jobs.recommendation import Tried
from s2e.words import EpochMetrics, numbers_of
from service.errors import NotFound
from service.store.models import (
    TRIAL_NUMBERS,
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
from service.store.told import apart

Shown = TypeVar("Shown")
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


def _found(row: Shown | None, what: str, key: str) -> Shown:
    if row is None:
        raise NotFound(what, key)
    return row


JOB_SORTS = ("-created", "created", "name", "-name", "state", "-state")
"""Orders of the list of jobs; newest first unless told."""
PIECE = 200
"""Trials whose schedules one query reads."""
PLACE = "place"
TRIAL_SORTS = (PLACE, f"-{PLACE}", *TRIAL_NUMBERS, *(f"-{name}" for name in TRIAL_NUMBERS))
"""Orders of a list of trials: by (round, k), or by a number; a trial without it comes last either way."""
_LAST = 1e308


def jobs(
    session: Session,
    limit: int,
    after: tuple[str, ...] | None,
    state: str | None,
    *,
    kind: str | None = None,
    name: str | None = None,
    sort: str = "-created",
) -> Sequence[Job]:
    """Jobs behind ``after``, the :func:`job_key` of one, in the order ``sort`` (ids sort by time); one more than
    ``limit`` tells of a further page."""
    columns = [Job.id] if sort.endswith("created") else [getattr(Job, sort.lstrip("-")), Job.id]
    query = select(Job).order_by(*(column.desc() if sort[0] == "-" else column.asc() for column in columns))
    if after is not None:
        query = query.where(_behind(columns, after, sort[0] == "-"))
    if state is not None:
        query = query.where(Job.state == state)
    if kind is not None:
        query = query.where(func.coalesce(Job.spec["kind"].as_string(), "search") == kind)
    if name is not None:
        query = query.where(func.lower(Job.name).contains(name.lower(), autoescape=True))
    return session.scalars(query.limit(limit + 1)).all()


def job_key(row: Job, sort: str) -> tuple[str, ...]:
    """Sort key of a job in the order ``sort``."""
    return (row.id,) if sort.endswith("created") else (getattr(row, sort.lstrip("-")), row.id)


def _behind(columns: Sequence[Any], after: Sequence[Any], descending: bool) -> ColumnElement[bool]:
    here, there = tuple_(*columns), tuple_(*after)
    return here < there if descending else here > there


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
    after: tuple[Any, ...] | None,
    round_: int | None = None,
    label: str | None = None,
    *,
    state: str | None = None,
    sort: str = PLACE,
    specs: bool = True,
) -> Sequence[Trial]:
    """Trials of a job behind ``after``, the :func:`trial_key` of one, in the order ``sort``; one more than ``limit``.

    Without ``specs`` their schedules, most of a row, are read when somebody looks at them.
    """
    query = select(Trial).where(Trial.job_id == job_id)
    columns, descending = _trial_order(sort), sort[0] == "-"
    if after is not None:
        query = query.where(_behind(columns, after, descending))
    if round_ is not None:
        query = query.where(Trial.round == round_)
    if label is not None:
        query = query.where(Trial.label == label)
    if state is not None:
        query = query.where(Trial.state == state)
    if not specs:
        query = query.options(defer(Trial.spec))
    query = query.order_by(*(column.desc() if descending else column.asc() for column in columns))
    return session.scalars(query.limit(limit + 1)).all()


def _trial_order(sort: str) -> list[Any]:
    place: list[Any] = [Trial.round, Trial.k]
    if sort.endswith(PLACE):
        return place
    return [func.coalesce(getattr(Trial, sort.lstrip("-")), -_LAST if sort[0] == "-" else _LAST), *place]


def trial_key(row: Trial, sort: str) -> tuple[Any, ...]:
    """Sort key of a trial in the order ``sort``."""
    if sort.endswith(PLACE):
        return row.round, row.k
    value: float | None = getattr(row, sort.lstrip("-"))
    return (-_LAST if sort[0] == "-" else _LAST) if value is None else value, row.round, row.k


def schedule_places(
    session: Session, job_id: str, rounds: Collection[int] | None = None, ids: Collection[str] = ()
) -> Sequence[Any]:
    """Place and state of a job's trials by (round, k): of all, or of whole ``rounds`` and of some ``ids``."""
    columns = (Trial.id, Trial.round, Trial.k, Trial.label, Trial.state, Trial.validation_accuracy)
    query = select(*columns).where(Trial.job_id == job_id)
    if rounds is not None:
        query = query.where(or_(Trial.round.in_(rounds), Trial.id.in_(ids)))
    return session.execute(query.order_by(Trial.round, Trial.k)).all()


def keep_rates(session: Session, ids: Sequence[str]) -> Iterator[tuple[str, list[float]]]:
    """R(t) of these trials, a piece at a time: no more than that is in memory."""
    for first in range(0, len(ids), PIECE):
        query = select(Trial.id, Trial.spec).where(Trial.id.in_(ids[first : first + PIECE]))
        for trial_id, spec in session.execute(query):
            yield trial_id, spec["keep_rate"]


class Changes(NamedTuple):
    """The rounds and trials that have changed since an event, as a job's later events tell."""

    last_id: int
    rounds: frozenset[int]
    trials: frozenset[str]


def changes(session: Session, job_id: str, since: int, most: int) -> Changes | None:
    """Rounds that came and trials that changed behind an event; None where more than ``most`` events tell of them, or
    where the job was tried again, which takes trials away."""
    query = select(JobEvent.id, JobEvent.kind, JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.id > since)
    told = session.execute(query.where(JobEvent.kind != "epochs").order_by(JobEvent.id).limit(most + 1)).all()
    if len(told) > most or any(kind == "job" and data["state"] == "queued" for _, kind, data in told):
        return None
    return Changes(
        last_events(session, [job_id]).get(job_id, 0),
        frozenset(data["round"] for _, kind, data in told if kind == "round"),
        frozenset(data["id"] for _, kind, data in told if kind == "trial"),
    )


class Succeeded(NamedTuple):
    """A trial that has an objective, with its place in the job."""

    round: int
    k: int
    tried: Tried


def succeeded_so_far(session: Session, job_id: str) -> tuple[int, datetime | None]:
    """Number of trials that :func:`succeeded_search_trials` has, and the last end among them: no other set has both."""
    query = select(func.count(), func.max(Trial.finished_at)).where(
        Trial.job_id == job_id, Trial.label == "search", Trial.state == "succeeded", Trial.objective.is_not(None)
    )
    n, last = session.execute(query).one()
    return n, last


def succeeded_search_trials(session: Session, job_id: str, since: datetime | None = None) -> list[Succeeded]:
    """Every trial that has an objective, by (round, k); of those that ended at ``since`` or later."""
    query = (
        select(Trial.round, Trial.k, Trial.spec, Trial.objective)
        .where(
            Trial.job_id == job_id, Trial.label == "search", Trial.state == "succeeded", Trial.objective.is_not(None)
        )
        .order_by(Trial.round, Trial.k)
    )
    if since is not None:
        query = query.where(Trial.finished_at >= since)
    return [
        Succeeded(m, k, Tried(array("d", spec["keep_rate"]), spec.get("train", {}), objective, share_of(spec), m))
        for m, k, spec, objective in session.execute(query.execution_options(yield_per=PIECE))
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
    """The epochs of an attempt that are recorded, in order."""
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
    rows = session.execute(query.order_by(func.min(Trial.round), func.min(Trial.k)))
    return [(label, n) for label, n in rows]


def report(session: Session, job_id: str) -> JobReport | None:
    return session.get(JobReport, job_id)


def trainings(session: Session, job_id: str) -> list[str]:
    """Where the models of a job's succeeded trials were written, by (round, k), whether they are still kept or not:
    what a training says of the labels lies beside them."""
    query = select(Trial.round, Trial.k, Trial.attempt).where(Trial.job_id == job_id, Trial.state == "succeeded")
    return [model_path(job_id, *row) for row in session.execute(query.order_by(Trial.round, Trial.k))]


def trials_of_models(session: Session, job_id: str, paths: Sequence[str]) -> dict[str, str]:
    """The trial behind each of these model files of a job."""
    query = select(Trial.model, Trial.id).where(Trial.job_id == job_id, Trial.model.in_(paths))
    return {path: trial_id for path, trial_id in session.execute(query) if path is not None}


def workers(session: Session) -> Sequence[WorkerRow]:
    return session.scalars(select(WorkerRow).order_by(WorkerRow.name)).all()


def events_after(
    session: Session, job_id: str, last_id: int, limit: int = 500
) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, kind, data) of a job's events behind ``last_id``, in order; those of epochs with their numbers. More than
    ``limit`` where the last row holds several."""
    query = select(JobEvent.id, JobEvent.kind, JobEvent.data).where(JobEvent.job_id == job_id, JobEvent.id > last_id)
    rows = [(i, kind, data) for i, kind, data in session.execute(query.order_by(JobEvent.id).limit(limit))]
    events = apart(rows, last_id, limit)
    referring = [data for _, kind, data in events if kind == "epochs" and "trials" not in data]
    if not referring:
        return events
    numbers = _numbers_of(session, job_id, referring)
    return [(i, kind, _with_numbers(data, numbers) if kind == "epochs" else data) for i, kind, data in events]


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
    """Number of rounds of each job that have run to their end."""
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
