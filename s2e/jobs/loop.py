"""A job as a pure function of (spec, finished rounds): what comes next, and how it ends.

The in-process run and the service's dispatcher both walk this one path, so they reach the same numbers bit for bit.
What its rounds are, each kind of job says itself (:data:`s2e.parts.KINDS`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from s2e.door.overrides import merged
from s2e.parts import KINDS
from s2e.words import JobSpec, Population, Round, RoundRecord, TrialResult, TrialSpec, replace


def next_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The round that follows ``history``; None when the job is done."""
    return KINDS[spec.kind].next_round(spec, history)


def n_rounds(spec: JobSpec) -> int:
    """Most rounds of a whole job."""
    return KINDS[spec.kind].n_rounds(spec)


def n_trials(spec: JobSpec) -> int:
    """Most trials of a whole job."""
    return KINDS[spec.kind].n_trials(spec)


def report_of(spec: JobSpec, history: Sequence[RoundRecord]) -> Any:
    """The report of a job, after its last round."""
    return KINDS[spec.kind].report_of(spec, history)


def populations(spec: JobSpec, round_: Round) -> tuple[Population, ...]:
    """The trials of a round in the groups that train together: a plan, the same wherever and however often it runs.

    A stacked program has one set of training settings and one stretch of epochs, so only trials that agree in both
    share a group; such groups are as even as the limit ``plan.population`` allows. An external trial is leased by
    itself, so it is a group by itself.
    """
    plan = spec.plan
    if round_.kind in KINDS[spec.kind].exact_rounds and plan.dtype != "float64":
        plan = replace(plan, dtype="float32")
    most = 1 if spec.trials == "external" else plan.population
    return tuple(
        Population(spec.data, merged(spec.train, trials[0].train), plan, spec.tail_epochs, trials)
        for alike in _alike(round_.trials)
        for trials in _evenly(alike, most)
    )


def run_search(
    spec: JobSpec, run_round: Callable[[Round, tuple[Population, ...]], Sequence[TrialResult]]
) -> tuple[list[RoundRecord], Any]:
    """A whole job of any kind in this process, and its report; ``run_round`` trains the populations of a round."""
    history: list[RoundRecord] = []
    while (round_ := next_round(spec, history)) is not None:
        results = sorted(run_round(round_, populations(spec, round_)), key=lambda result: result.k)
        history.append(RoundRecord(round_, tuple(results)))
    return history, report_of(spec, history)


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
