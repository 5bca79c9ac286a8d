"""A job as a pure function of (spec, finished rounds): the next round, and the report at its end.

The in-process run and the service's dispatcher both walk this one path, so they reach the same numbers bit for bit.
What its rounds are, each kind of job says itself (:data:`s2e.parts.KINDS`).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from s2e.door.budget import exceeded, used_up
from s2e.door.overrides import merged
from s2e.parts import KINDS
from s2e.words import JobSpec, Population, Round, RoundRecord, TrialError, TrialResult, TrialSpec, replace


def next_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The round that follows ``history``; None if the job is done, or the round exceeds its budget."""
    round_ = KINDS[spec.kind].next_round(spec, history)
    return None if round_ is None or exceeded(spec, history, round_) else round_


def n_rounds(spec: JobSpec) -> int:
    """Most rounds of a whole job."""
    return KINDS[spec.kind].n_rounds(spec)


def n_trials(spec: JobSpec) -> int:
    """Most trials of a whole job."""
    n = KINDS[spec.kind].n_trials(spec)
    return n if spec.budget.trials is None else min(n, spec.budget.trials)


def report_of(spec: JobSpec, history: Sequence[RoundRecord], stop: str = "") -> Any:
    """The report of a job, after its last round. ``stop``: why it was ended before it was done, where the rounds do not
    say so themselves; of the last round then, trials without a result were not trained to their end."""
    report = KINDS[spec.kind].report_of(spec, history)
    stop = stop or stopped(spec, history)
    return replace(report, verdict=f"Ended early: {stop}. {report.verdict}") if stop else report


def stopped(spec: JobSpec, history: Sequence[RoundRecord]) -> str:
    """The budget that ended a job after these rounds, in words; empty if none did."""
    if spec.budget.trials is None and spec.budget.epochs is None:
        return ""
    round_ = KINDS[spec.kind].next_round(spec, history)
    return "" if round_ is None else exceeded(spec, history, round_)


def hopeless(history: Sequence[RoundRecord]) -> str:
    """Why a job cannot go on after these rounds; empty when it can.

    Trials that fail are results a search lives with; a whole round of them that failed alike, where none before
    succeeded, says that the job itself is at fault.
    """
    if not history or any(not result.failed for record in history for result in record.results):
        return ""
    reasons = [result.reason for result in history[-1].results]
    if len(reasons) < 2 or len(set(reasons)) > 1:
        return ""
    return f"all {len(reasons)} trials of round {history[-1].round.index + 1} failed alike: {reasons[0]}"


def nothing_trained(history: Sequence[RoundRecord]) -> str:
    """Why a job that has run all its rounds has nothing to report; empty when a trial succeeded."""
    results = [result for record in history for result in record.results]
    if any(not result.failed for result in results):
        return ""
    (reason, n), *_ = Counter(result.reason for result in results).most_common(1) or [("no trial was asked for", 0)]
    return f"none of {len(results)} trials could be trained; {n} of them: {reason}"


def populations(spec: JobSpec, round_: Round, most: int | None = None) -> tuple[Population, ...]:
    """The trials of a round in the groups that train together: a plan, the same wherever and however often it runs.

    A stacked program has one set of training settings and one stretch of epochs, so only trials that agree in both
    share a group; such groups are as even as the limit allows: ``plan.population``, or ``most`` where memory held
    fewer. An external trial is leased by itself, so it is a group by itself.
    """
    limit = 1 if spec.trials == "external" else min(spec.plan.population, most or spec.plan.population)
    groups = (trials for alike in _alike(round_.trials) for trials in _evenly(alike, limit))
    return tuple(population_of(spec, round_, trials) for trials in groups)


def population_of(spec: JobSpec, round_: Round, trials: Sequence[TrialSpec]) -> Population:
    """Trials of a round that agree in settings and epochs, with all that their training depends on."""
    kind = KINDS[spec.kind]
    plan = spec.plan
    every = (plan.validate_every, plan.test_every if plan.test_search else None)
    if round_.kind in kind.exact_rounds and plan.dtype != "float64":
        plan = replace(plan, dtype="float32")
    if round_.kind in kind.measured_rounds:
        every = (1, 1)
    train = merged(spec.train, trials[0].train)
    judged = round_.kind in kind.judged_rounds
    return Population(kind.data_of(spec, round_), train, plan, spec.tail_epochs, tuple(trials), *every, judged)


def run_search(
    spec: JobSpec,
    run_round: Callable[[Round, tuple[Population, ...]], Sequence[TrialResult]],
    may_begin: Callable[[Round], bool] = lambda _round: True,
) -> tuple[list[RoundRecord], Any]:
    """A whole job of any kind in this process, and its report; ``run_round`` trains the populations of a round.

    The job ends before a round but the first that ``may_begin`` forbids, as if its budget of trials ended it there
    (:func:`ended_after`). Raises TrialError where nothing could be trained.
    """
    history, began_s, stop = list[RoundRecord](), time.monotonic(), ""
    while (round_ := next_round(spec, history)) is not None:
        if history and (stop := _out_of_time(spec, time.monotonic() - began_s)):
            break
        if history and not may_begin(round_):
            spec = ended_after(spec, history)
            break
        results = sorted(run_round(round_, populations(spec, round_)), key=lambda result: result.k)
        history.append(RoundRecord(round_, tuple(results)))
        if reason := hopeless(history):
            raise TrialError(reason)
    if reason := nothing_trained(history):
        raise TrialError(reason)
    return history, report_of(spec, history, stop)


def ended_after(spec: JobSpec, history: Sequence[RoundRecord]) -> JobSpec:
    """The job whose budget of trials ends it after these rounds; as it is where nothing would follow them."""
    if next_round(spec, history) is None:
        return spec
    n_trained = sum(len(record.round.trials) for record in history)
    return replace(spec, budget=replace(spec.budget, trials=n_trained))


def _out_of_time(spec: JobSpec, took_s: float) -> str:
    hours = spec.budget.wall_clock
    return used_up("wall_clock", hours, "hours") if hours is not None and took_s > 3600 * hours else ""


def _alike(trials: Sequence[TrialSpec]) -> list[tuple[TrialSpec, ...]]:
    """Trials with equal overrides of the training settings and equal fidelity, in the order each first appears."""
    groups: dict[str, list[TrialSpec]] = {}
    for trial in trials:
        part = trial.fidelity
        key = [trial.train, part.n_epochs_run, part.data_share, part.resumed_epochs]
        groups.setdefault(json.dumps(key, sort_keys=True), []).append(trial)
    return [tuple(group) for group in groups.values()]


def _evenly(trials: tuple[TrialSpec, ...], most: int) -> list[tuple[TrialSpec, ...]]:
    """As few groups of at most ``most`` as hold all trials, each as large as the next or one larger."""
    n_groups = -(-len(trials) // most)
    return [trials[i::n_groups] for i in range(n_groups)]
