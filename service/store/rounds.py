"""Rounds: written once when they are asked, read back exactly for replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from s2e.door import read_job
from s2e.jobs import loop
from s2e.words import (
    FinalAccuracies,
    JobSpec,
    Population,
    Round,
    RoundRecord,
    SearchState,
    TrialResult,
    TrialSpec,
    read,
    to_json,
)
from s2e.words.states import TRIAL_ENDED
from service.errors import NotFound
from service.store.changes import emit, lock_job, new_id, record_birth, utc_now
from service.store.models import TRIAL_NUMBERS, Job, SearchRound, Trial
from service.store.quick import Quick


@dataclass(frozen=True)
class GroupStatus:
    """One population of the last round. Its trials share state and attempt, but for how each of them ended."""

    group: int
    state: str
    """``pending``, ``leased``, ``running``, or ``ended``."""
    attempt: int


@dataclass(frozen=True)
class JobStatus:
    """Everything the dispatcher needs to know before it moves a job."""

    state: str
    n_rounds: int
    groups: tuple[GroupStatus, ...]
    checked: bool = False
    """True once a worker has seen that the job can be trained."""
    stop: str = ""
    """The budget that is used up, in words; empty: none."""
    started_at: datetime | None = None
    device_s: float = 0.0
    """Time that its populations took of their places, of those that have ended."""

    def in_state(self, *states: str) -> tuple[int, ...]:
        """The groups of the last round that are in one of ``states``."""
        return tuple(group.group for group in self.groups if group.state in states)


def load_spec(session: Session, job_id: str) -> JobSpec:
    """The specification of a job. Raises NotFound, UnreadableError."""
    row = session.execute(select(Job.spec, Job.spec_version).where(Job.id == job_id)).one_or_none()
    if row is None:
        raise NotFound("job", job_id)
    return read_job(*row)


def job_status(session: Session, job_id: str) -> JobStatus:
    """State of a job and of the populations of its last round. Raises NotFound."""
    connection = session.connection()
    [row] = _STATUS.rows(connection, job=job_id) or [None]
    if row is None:
        raise NotFound("job", job_id)
    state, checked, stop, started_at, device_s, last = row
    rows = () if last is None else _IN_ROUND.rows(connection, job=job_id, round=last)
    groups = {g: GroupStatus(g, "ended" if s in TRIAL_ENDED else s, attempt) for g, s, attempt in rows}
    n_rounds = 0 if last is None else last + 1
    in_order = tuple(groups[g] for g in sorted(groups))
    return JobStatus(state, n_rounds, in_order, bool(checked), stop, started_at, device_s)


_STATUS = Quick(
    lambda _: (
        select(Job.state, Job.estimate.is_not(None), Job.stop, Job.started_at, Job.device_s)
        .add_columns(
            select(func.max(SearchRound.round)).where(SearchRound.job_id == bindparam("job")).scalar_subquery()
        )
        .where(Job.id == bindparam("job"))
    )
)
"""Asked at every step of every job, as the next one."""
_IN_ROUND = Quick(
    lambda _: (
        select(Trial.group, Trial.state, Trial.attempt)
        .where(Trial.job_id == bindparam("job"), Trial.round == bindparam("round"))
        .distinct()
    )
)


def load_round(session: Session, job_id: str, index: int) -> Round:
    """A round as it was asked. Raises NotFound."""
    row = session.scalar(select(SearchRound).where(SearchRound.job_id == job_id, SearchRound.round == index))
    if row is None:
        raise NotFound("round", index)
    specs = session.scalars(select(Trial.spec).where(Trial.job_id == job_id, Trial.round == index).order_by(Trial.k))
    return _round(row, specs.all())


def load_owner(session: Session, job_id: str) -> str:
    """The owner of a job. Raises NotFound."""
    owner = session.scalar(select(Job.owner).where(Job.id == job_id))
    if owner is None:
        raise NotFound("job", job_id)
    return owner


def most_in_population(session: Session, job_id: str) -> int | None:
    """Most trials of a population, where memory held fewer than the plan says."""
    return session.scalar(select(Job.population).where(Job.id == job_id))


def load_groups(session: Session, job_id: str, index: int) -> dict[int, tuple[int, ...]]:
    """Trials (k) of each population of a round, by its group."""
    groups: dict[int, tuple[int, ...]] = {}
    rows = select(Trial.group, Trial.k).where(Trial.job_id == job_id, Trial.round == index).order_by(Trial.k)
    for group, k in session.execute(rows):
        groups[group] = (*groups.get(group, ()), k)
    return groups


def load_history(session: Session, job_id: str, first: int = 0) -> list[RoundRecord]:
    """All rounds from ``first`` on, with their results; for jobs whose last round is complete."""
    trials: dict[int, list[Trial]] = {}
    for trial in session.scalars(
        select(Trial).where(Trial.job_id == job_id, Trial.round >= first).order_by(Trial.round, Trial.k)
    ):
        trials.setdefault(trial.round, []).append(trial)
    rounds = session.scalars(
        select(SearchRound).where(SearchRound.job_id == job_id, SearchRound.round >= first).order_by(SearchRound.round)
    )
    return [
        RoundRecord(_round(row, [t.spec for t in trials[row.round]]), tuple(_result(t) for t in trials[row.round]))
        for row in rounds
    ]


def _round(row: SearchRound, trials: Sequence[dict[str, Any]]) -> Round:
    state = None if row.state is None else read(SearchState, row.state)
    return Round(row.round, row.kind, read(tuple[TrialSpec, ...], trials), state)


def _result(trial: Trial) -> TrialResult:
    return TrialResult(
        trial.round,
        trial.k,
        failed=trial.state not in ("succeeded", "cancelled"),  # cancelled: a budget ended the job, not the training
        reason=trial.reason,
        model=trial.model,
        final=None if trial.final is None else read(FinalAccuracies, trial.final),
        **{name: getattr(trial, name) for name in TRIAL_NUMBERS},
    )


def insert_round(session: Session, job_id: str, owner: str, spec: JobSpec, round_: Round) -> None:
    """Write a round: the state before it, its trials, and the populations in which they train. Trials that
    :func:`insert_trials` wrote before are there already."""
    job = lock_job(session, job_id, owner)
    groups = loop.populations(spec, round_, job.population)
    _insert_trials(session, job_id, round_, groups, 0, len(round_.trials))
    session.add(
        SearchRound(
            job_id=job_id,
            round=round_.index,
            kind=round_.kind,
            state=None if round_.state is None else to_json(round_.state),
            created_at=utc_now(),
        )
    )
    session.flush()
    emit(session, job, "round", {"round": round_.index, "kind": round_.kind})


def insert_trials(
    session: Session,
    job_id: str,
    owner: str,
    round_: Round,
    groups: Sequence[Population],
    first: int,
    last: int,
) -> None:
    """Write some trials of a round that is too large for one transaction. Nobody trains them before the round is there,
    and a dispatcher that goes on from here asks for the same ones again."""
    lock_job(session, job_id, owner)
    _insert_trials(session, job_id, round_, groups, first, last)


def _insert_trials(
    session: Session, job_id: str, round_: Round, groups: Sequence[Population], first: int, last: int
) -> None:
    group_of = {trial.k: group for group, population in enumerate(groups) for trial in population.trials}
    there = select(Trial.k).where(Trial.job_id == job_id, Trial.round == round_.index)
    known = set(session.scalars(there))
    trials = [
        Trial(
            id=new_id(),
            job_id=job_id,
            round=round_.index,
            k=trial.k,
            group=group_of[trial.k],
            label=trial.label,
            repeat=trial.repeat,
            state="pending",
            spec=to_json(trial),
        )
        for trial in round_.trials[first:last]
        if trial.k not in known
    ]
    session.add_all(trials)
    session.flush()
    if trials:
        record_birth(session, trials)
