"""From one round of a job to the next, or to its report."""

from __future__ import annotations

from s2e.jobs import loop
from s2e.words import Round
from service.dispatch.known import KnownJob
from service.dispatch.lead import Lead
from service.dispatch.step import Step
from service.store import repository, rounds

CELLS = 50_000
"""Epochs of schedules that one transaction writes: it has the lock for tens of milliseconds."""


def ask(lead: Lead, job_id: str, n_rounds: int) -> Step:
    """All results are there: ask for the next round, or end with the report."""
    known = lead.remember(job_id)
    if known.round is None or known.round.index != n_rounds:
        if len(known.history) < n_rounds:
            with lead.database.read() as session:
                known.history += rounds.load_history(session, job_id, first=len(known.history))
        if reason := loop.hopeless(known.history):
            return _give_up(lead, job_id, reason)
        round_ = loop.next_round(known.spec, known.history)
        if round_ is None:
            return _finish(lead, job_id, known)
        with lead.database.read() as session:
            most = rounds.most_in_population(session, job_id)
        known.take(round_, loop.populations(known.spec, round_, most))
    assert known.round is not None
    return _write(lead, job_id, known, known.round)


def end_early(lead: Lead, job_id: str, stop: str) -> Step:
    """A budget of time is used up: the report is made of the work done by then."""
    known = lead.recall(job_id)
    with lead.database.read() as session:
        history = rounds.load_history(session, job_id)
    if not any(result.objective is not None for record in history for result in record.results):
        return _give_up(lead, job_id, f"{stop} before any trial ended well")
    report = loop.report_of(known.spec, history, stop)
    with lead.database.write() as session:
        repository.finish_job(session, job_id, lead.owner, report, stop)
    return Step.AGAIN


def _write(lead: Lead, job_id: str, known: KnownJob, round_: Round) -> Step:
    """The next trials of a round, as many as keep the database's lock for a moment only; with the last of them the
    round is there."""
    last = known.n_written + max(1, CELLS // known.spec.train.n_epochs)
    with lead.database.write() as session:
        if last < len(round_.trials):
            rounds.insert_trials(session, job_id, lead.owner, round_, known.planned, known.n_written, last)
        else:
            rounds.insert_round(session, job_id, lead.owner, known.spec, round_)
    known.n_written = last
    return Step.LATER if last < len(round_.trials) else Step.AGAIN


def _give_up(lead: Lead, job_id: str, reason: str) -> Step:
    lead.fail(job_id, reason)
    return Step.DONE


def _finish(lead: Lead, job_id: str, known: KnownJob) -> Step:
    if reason := loop.nothing_trained(known.history):
        return _give_up(lead, job_id, reason)
    report = loop.report_of(known.spec, known.history)
    reason = loop.stopped(known.spec, known.history)
    with lead.database.write() as session:
        repository.finish_job(session, job_id, lead.owner, report, reason)
    return Step.AGAIN
