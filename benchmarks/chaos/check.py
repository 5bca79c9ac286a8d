"""Invariants after every fault: the job as it would have been, every acknowledged row, no lease left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from s2e.client import S2EClient
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.loop import run_search
from s2e.train.trial import PopulationEnd, train_population
from s2e.train.unfinished import Unfinished
from s2e.words import Population, Report, Round, RoundRecord, TrialResult
from service.store import rounds
from service.store.engine import Database
from service.store.models import Attempt, Epoch, Job, JobEvent, Trial

JOB: dict[str, Any] = {
    "seed": 5,
    "data": {"n_train": 320},  # five steps an epoch
    "train": {"n_epochs": 160, "batch_size": 64},
    "search": {"n_rounds": 2, "n_trials": 4},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.3], "ramp_epochs": 5},
    "plan": {"population": 1},
}
SHORT: dict[str, Any] = JOB | {"train": {"n_epochs": 60, "batch_size": 64}, "search": {"n_rounds": 1, "n_trials": 4}}
"""For a run of a minute: half a minute of training."""


def undisturbed(job: dict[str, Any]) -> tuple[list[RoundRecord], Report]:
    """The same job in this process."""

    def train(_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        ends = [event for p in populations for event in train_population(p) if isinstance(event, PopulationEnd)]
        return [result for end in ends for result in end.results]

    return run_search(parse_job(job), train)


@dataclass
class Acknowledged:
    """The epochs that were seen in the database, which may never go away again."""

    n: dict[tuple[str, int], int]

    @classmethod
    def none(cls) -> Acknowledged:
        return cls({})

    def look(self, database: Database) -> Iterator[str]:
        """Remember what is there; name what is not any more."""
        now = epochs_of_attempts(database)
        for key, n in self.n.items():
            if now.get(key, 0) < n:
                yield f"trial {key[0]}, attempt {key[1]}: {n} epochs were acknowledged, {now.get(key, 0)} are there"
        self.n |= now


def epochs_of_attempts(database: Database) -> dict[tuple[str, int], int]:
    with database.read() as session:
        rows = session.execute(
            select(Epoch.trial_id, Epoch.attempt, func.count()).group_by(Epoch.trial_id, Epoch.attempt)
        )
        return {(trial, attempt): n for trial, attempt, n in rows}


def last_event(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.max(JobEvent.id)).where(JobEvent.kind.in_(("epochs", "report")))) or 0


def state(database: Database, job_id: str) -> str:
    """Of a job; past the api, which may be what was hit."""
    with database.read() as session:
        return session.get_one(Job, job_id).state


@dataclass(frozen=True)
class Trained:
    """A training under way, and its process."""

    job_id: str
    trial_id: str
    round: int
    group: int
    attempt: int
    pid: str


def running(database: Database) -> list[Trained]:
    """The trials that train now."""
    with database.read() as session:
        rows = session.execute(
            select(Trial.job_id, Trial.id, Trial.round, Trial.group, Trial.attempt, Attempt.worker)
            .join(Attempt, (Attempt.trial_id == Trial.id) & (Attempt.attempt == Trial.attempt))
            .where(Trial.state == "running")
        )
        return [Trained(*row[:5], pid=row[5].rpartition(":")[2]) for row in rows]


def kept_epochs(database: Database, root: str, trained: Trained) -> int:
    """Epochs that the checkpoint of a population holds."""
    job_id, m = trained.job_id, trained.round
    with database.read() as session:
        spec, round_ = rounds.load_spec(session, job_id), rounds.load_round(session, job_id, m)
        ks = rounds.load_groups(session, job_id, m)[trained.group]
    population = loop.population_of(spec, round_, [trial for trial in round_.trials if trial.k in ks])
    kept = Unfinished(root, job_id, population, 1e9).load()
    return 0 if kept is None else kept[0].n_epochs_done


def violations(
    client: S2EClient, database: Database, job_id: str, calm: tuple[list[RoundRecord], Report]
) -> Iterator[str]:
    """Differences of an ended job from the undisturbed one, in words."""
    yield from _of_rows(database, job_id, calm[0])
    history, report = calm
    theta = {round_.round: round_.theta for round_ in client.rounds(job_id)}
    for record in history:
        if record.round.state is not None and theta.get(record.round.index) != record.round.state.theta:
            yield f"job {job_id}: theta of round {record.round.index}"
    if client.job(job_id).state != "completed":
        return
    told = client.report(job_id)
    if [row.test_accuracy for row in told.rows] != [row.test_accuracy for row in report.rows]:
        yield f"job {job_id}: another report"
    if (told.verdict, told.keep_rate) != (report.verdict, report.keep_rate):
        yield f"job {job_id}: another verdict or schedule"


def _of_rows(database: Database, job_id: str, history: list[RoundRecord]) -> Iterator[str]:
    objectives = {(result.round, result.k): result.objective for record in history for result in record.results}
    with database.read() as session:
        job = session.get_one(Job, job_id)
        trials = session.scalars(select(Trial).where(Trial.job_id == job_id).order_by(Trial.round, Trial.k)).all()
        n_open = session.scalar(select(func.count()).where(Attempt.job_id == job_id, Attempt.outcome == ""))
        if (job.state, job.lease_owner, n_open) != ("completed", None, 0):
            yield f"job {job_id}: {job.state} ({job.reason}), led by {job.lease_owner}, {n_open} attempts open"
        if [(trial.round, trial.k) for trial in trials] != sorted(objectives):
            yield f"job {job_id}: {len(trials)} trials, {len(objectives)} were asked for"
        for trial in trials:
            of_trial = select(Epoch.epoch).where(Epoch.trial_id == trial.id, Epoch.attempt == trial.attempt)
            epochs = session.scalars(of_trial.order_by(Epoch.epoch)).all()
            if trial.state != "succeeded" or list(epochs) != list(range(job.spec["train"]["n_epochs"])):
                yield f"trial {trial.id}: {trial.state} ({trial.reason}) with {len(epochs)} epochs"
            if trial.objective != objectives.get((trial.round, trial.k)):
                yield f"trial {trial.id}: objective {trial.objective}"
