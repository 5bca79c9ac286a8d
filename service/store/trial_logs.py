"""The log of a trial, or of a job: what its trainers logged, and what became of it.

A line of a trainer is stored once for all trials of its population. What became of a trial is in the table of
transitions already. Read together they are in order of attempt and time, of which every machine has its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from s2e.words import to_json
from service.store.models import Attempt, LogRow, Transition, Trial
from workers.backend import PopulationKey, PopulationLogged

MOST_LINES = 200
"""That are kept of one try."""
MOST_LOSSES = 1_000
"""Trials that failed or were lost, in the log of a job."""
SERVICE = "service"
"""The sender of lines about the fate of a trial."""


@dataclass(frozen=True)
class Line:
    """A line, and its place: lines of one trial, or one job, are in order of ``key``."""

    at: datetime
    attempt: int
    level: str
    source: str
    text: str
    n: int
    trial_id: str | None = None

    @property
    def key(self) -> tuple[int, float, int]:
        return self.attempt, self.at.timestamp(), self.n


def record(session: Session, job_id: str, events: Iterable[PopulationLogged]) -> None:
    """Keep what was logged, each line once however often it is told. The caller has locked the job."""
    for event in events:
        key, row = event.key, _row(session, event.key)
        if row is None:
            row = LogRow(job_id=job_id, round=key.round, group=key.group, attempt=key.attempt)
            row.ks, row.n, row.lines = _ks(session, key), 0, []
            session.add(row)
        new = event.lines[max(0, row.n - event.first) :]
        row.n = max(row.n, event.first + len(event.lines))
        row.lines = [*row.lines, *(to_json(line) for line in new)][-MOST_LINES:]
        session.flush()


def _row(session: Session, key: PopulationKey) -> LogRow | None:
    return session.get(LogRow, (key.job_id, key.round, key.group, key.attempt))


def _ks(session: Session, key: PopulationKey) -> list[int]:
    query = select(Trial.k).where(Trial.job_id == key.job_id, Trial.round == key.round, Trial.group == key.group)
    return list(session.scalars(query.order_by(Trial.k)))


def of_trial(session: Session, trial: Trial) -> list[Line]:
    """Everything that is known of the tries at a trial, in order."""
    rows = session.scalars(select(LogRow).where(LogRow.job_id == trial.job_id, LogRow.round == trial.round))
    logged = [line for row in rows if trial.k in row.ks for line in _lines(row)]
    moved = session.scalars(select(Transition).where(Transition.trial_id == trial.id).order_by(Transition.id))
    return sorted([*logged, *_moves(moved, _workers(session, trial.id))], key=lambda line: line.key)


def of_job(session: Session, job_id: str) -> list[Line]:
    """The history of a job, the log of its check, and its trials that failed or were lost, in order."""
    rows = session.scalars(select(LogRow).where(LogRow.job_id == job_id, LogRow.round < 0))
    checked = [line for row in rows for line in _lines(row, attempt=0)]
    losses = select(Transition).where(Transition.job_id == job_id, Transition.new.in_(("failed", "lost")))
    lost = session.scalars(
        losses.where(Transition.trial_id.is_not(None)).order_by(Transition.id.desc()).limit(MOST_LOSSES)
    )
    own = session.scalars(select(Transition).where(Transition.job_id == job_id, Transition.trial_id.is_(None)))
    moves = [_line(row, 0, "") for row in (*own, *lost)]
    return sorted([*checked, *moves], key=lambda line: line.key)


def _lines(row: LogRow, attempt: int | None = None) -> Iterable[Line]:
    first, tried = row.n - len(row.lines), row.attempt if attempt is None else attempt
    for i, line in enumerate(row.lines):
        at = datetime.fromtimestamp(line["at_s"], UTC)
        yield Line(at, tried, line["level"], line["logger"], line["text"], first + i)


def _workers(session: Session, trial_id: str) -> dict[int, str]:
    return dict(session.execute(select(Attempt.attempt, Attempt.worker).where(Attempt.trial_id == trial_id)).all())


def _moves(rows: Iterable[Transition], workers: dict[int, str]) -> Iterable[Line]:
    """Each change of a trial's state; an attempt begins with its lease."""
    attempt = 0
    for row in rows:
        attempt += row.new == "leased"
        yield _line(row, attempt, workers.get(attempt, "") if row.new == "running" else "")


def _line(row: Transition, attempt: int, worker: str) -> Line:
    level = "error" if row.new == "failed" else "warning" if row.new in ("lost", "blocked") else "info"
    text = row.new + (f" on {worker}" if worker else "") + (f": {row.reason}" if row.reason else "")
    return Line(row.at, attempt, level, SERVICE, text, row.id, row.trial_id)
