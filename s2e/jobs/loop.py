"""A search as a pure function of (spec, finished rounds): what comes next, and how it ends.

The in-process search and the service's dispatcher both walk this one path, so they reach the same theta bit for bit:

    search     M rounds of K trials under theta_m; the noise draw is the job's, the data order is the round's. M and
               each K are the searcher's plan; a trial may be a part of a full training
    tune       eq. (1) with as many trials, on the search's own objective
    choose     the best bets of both sides on fresh seeds (one round)
    retrain    searched, default, tuned eq. (1) and R = 1, each on the same other fresh seeds, in at most a few rounds

The last three are :mod:`s2e.jobs.final`.

A comparison job has one round, ``compare``, and walks the same path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from s2e import catalog
from s2e.door.overrides import overridden
from s2e.jobs.compare import compare_round
from s2e.jobs.compare import n_trials as n_compared
from s2e.jobs.compare_report import CompareReport, make_compare_report
from s2e.jobs.final import chosen, final_round, n_final_rounds, n_final_trials
from s2e.jobs.search_report import make_report
from s2e.jobs.trials import make_space, make_trial
from s2e.search.base import Searcher
from s2e.words import (
    JobSpec,
    Observation,
    Population,
    Problem,
    Report,
    Round,
    RoundRecord,
    SearchState,
    SpecError,
    TrialResult,
    TrialSpec,
    replace,
)


def make_searcher(spec: JobSpec) -> Searcher:
    """The searcher a job names, over the space it names. Raises SpecError for a warm start nobody looked up."""
    search = spec.search
    if search.warm_start and not search.earlier:
        allowed = "none outside of the service, which looks these jobs up; without it, fill search.earlier"
        raise SpecError(Problem("search.warm_start", ", ".join(search.warm_start)[:80], allowed))
    more = {"earlier": search.earlier} if search.earlier else {}
    searcher: Searcher = catalog.load(catalog.SEARCHERS, search.searcher)(
        make_space(spec), spec.seed, spec.train.n_epochs, **more
    )
    return searcher


def next_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The round that follows ``history``; None when the job is done."""
    if spec.kind == "compare":
        return None if history else compare_round(spec)
    m, searcher = len(history), make_searcher(spec)
    sizes = _sizes(spec, searcher)
    if m < len(sizes):
        return _search_round(spec, searcher, history, sizes[m])
    return final_round(spec, history)


def _sizes(spec: JobSpec, searcher: Searcher) -> tuple[int, ...]:
    """The number of trials of each search round."""
    return searcher.plan(spec.search.n_rounds, spec.search.n_trials)


def n_rounds(spec: JobSpec) -> int:
    """Most rounds of a whole job. Raises SpecError for a budget too small for the searcher."""
    if spec.kind == "compare":
        return 1
    return len(_sizes(spec, make_searcher(spec))) + n_final_rounds(spec)


def n_trials(spec: JobSpec) -> int:
    """Most trials of a whole job. Raises SpecError for a budget too small for the searcher."""
    if spec.kind == "compare":
        return n_compared(spec)
    return sum(_sizes(spec, make_searcher(spec))) + n_final_trials(spec)


def next_state(spec: JobSpec, history: Sequence[RoundRecord], searcher: Searcher | None = None) -> SearchState:
    """The searcher's state after the search rounds of ``history``: one tell from the last stored state."""
    searcher = searcher or make_searcher(spec)
    searched = [record for record in history if record.round.kind == "search"]
    if not searched:
        return searcher.init()
    last = searched[-1]
    assert last.round.state is not None
    return searcher.tell(last.round.state, observations(last))


def observations(record: RoundRecord) -> tuple[Observation, ...]:
    """What the search may see of a round. A failed trial gets the worst objective of its round (1 if all failed)."""
    worst = max((r.objective for r in record.results if r.objective is not None), default=1.0)
    return tuple(
        Observation(
            trial.k,
            trial.point,
            worst if result.objective is None else result.objective,
            result.failed,
            fidelity=trial.fidelity,
        )
        for trial, result in zip(record.round.trials, record.results, strict=True)
        if trial.point is not None
    )


def populations(spec: JobSpec, round_: Round) -> tuple[Population, ...]:
    """The trials of a round in the groups that train together: a plan, the same wherever and however often it runs.

    A stacked program has one set of training settings and one stretch of epochs, so only trials that agree in both
    share a group; such groups are as even as the limit ``plan.population`` allows. Final schedules are re-trained, and
    comparisons trained, in float32. An external trial is leased by itself, so it is a group by itself.
    """
    plan, every = spec.plan, {"validate_every": spec.plan.validate_every, "test_every": spec.plan.test_every}
    if round_.kind in ("choose", "retrain", "compare") and plan.dtype != "float64":
        plan = replace(plan, dtype="float32")
    if round_.kind in ("retrain", "compare"):  # "best" and "at best validation" are chosen among all epochs
        every = {"validate_every": 1, "test_every": 1}
    most = 1 if spec.trials == "external" else plan.population
    return tuple(
        Population(
            spec.data, overridden(spec.data, spec.train, trials[0].train), plan, spec.tail_epochs, trials, **every
        )
        for alike in _alike(round_.trials)
        for trials in _evenly(alike, most)
    )


def _alike(trials: Sequence[TrialSpec]) -> list[tuple[TrialSpec, ...]]:
    """Trials with equal overrides of the training settings and equal fidelity, in the order each first appears."""
    found: dict[str, list[TrialSpec]] = {}
    for trial in trials:
        part = trial.fidelity
        key = [trial.train, part.n_epochs_run, part.data_share, part.resumed_epochs]
        found.setdefault(json.dumps(key, sort_keys=True), []).append(trial)
    return [tuple(group) for group in found.values()]


def _evenly(trials: tuple[TrialSpec, ...], most: int) -> list[tuple[TrialSpec, ...]]:
    """As few groups of at most ``most`` as hold all trials, each as large as the next or one larger."""
    n_groups = -(-len(trials) // most)
    return [trials[i::n_groups] for i in range(n_groups)]


def run_search(
    spec: JobSpec, run_round: Callable[[Round, tuple[Population, ...]], Sequence[TrialResult]]
) -> tuple[list[RoundRecord], Report | CompareReport]:
    """The whole job in this process; ``run_round`` trains the populations of a round."""
    history: list[RoundRecord] = []
    while (round_ := next_round(spec, history)) is not None:
        results = sorted(run_round(round_, populations(spec, round_)), key=lambda result: result.k)
        history.append(RoundRecord(round_, tuple(results)))
    return history, report_of(spec, history)


def report_of(spec: JobSpec, history: Sequence[RoundRecord]) -> Report | CompareReport:
    """What a job ends with, after its last round."""
    if spec.kind == "compare":
        return make_compare_report(spec, history[0])
    return make_report(spec, history, recommend_from(spec, history))


def recommend_from(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[int, int] | None:
    """(round, k) of the schedule that the search ends with; None when every trial of it failed."""
    found = chosen(spec, history, "searched")
    return None if found is None else (found.round, found.k)


def _search_round(spec: JobSpec, searcher: Searcher, history: Sequence[RoundRecord], size: int) -> Round:
    space, state = make_space(spec), next_state(spec, history, searcher)
    trials = []
    for k in range(size):
        point = searcher.ask(state, k)
        keep_rate, train = space.schedule(point, spec.train.n_epochs), space.overrides(point)
        trial = make_trial(spec, state.round, k, "search", keep_rate, train)
        trial = replace(trial, point=point, fidelity=searcher.fidelity(state, k))
        trials.append(_with_seeds_of_parent(trial, history))
    return Round(state.round, "search", tuple(trials), state)


def _with_seeds_of_parent(trial: TrialSpec, history: Sequence[RoundRecord]) -> TrialSpec:
    """A trial that continues another is the same training: initial weights, data order, noise draw and the epochs that
    are done are its."""
    if trial.fidelity.resume is None:
        return trial
    m, k = trial.fidelity.resume
    parent = history[m].round.trials[k]
    done = trial.fidelity.resumed_epochs
    return replace(
        trial,
        keep_rate=parent.keep_rate[:done] + trial.keep_rate[done:],
        init_seed=parent.init_seed,
        order_seed=parent.order_seed,
        noise_seed=parent.noise_seed,
    )
