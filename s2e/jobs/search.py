"""The rounds of a search, and what its searcher is told:

    search     M rounds of K trials under theta_m; the noise draw is the job's, the data order is the round's. M and
               each K are the searcher's plan; a trial may be a part of a full training
    tune       eq. (1) with as many trials, on the search's own objective
    choose     the best bets of both sides on fresh seeds (one round)
    retrain    searched, default, tuned eq. (1) and R = 1, each on the same other fresh seeds, in at most a few rounds

The last three are :mod:`s2e.jobs.final`.
"""

from __future__ import annotations

from collections.abc import Sequence

from s2e.jobs.final import chosen
from s2e.jobs.trials import make_space, make_trial
from s2e.parts import SEARCHERS
from s2e.search.base import Searcher
from s2e.words import JobSpec, Observation, Round, RoundRecord, SearchState, TrialSpec, replace


def make_searcher(spec: JobSpec) -> Searcher:
    """The searcher a job names, over the space it names."""
    search = spec.search
    part = SEARCHERS.find(search.searcher, "search.searcher").stored(search.params)
    searcher: Searcher = part.make(make_space(spec), spec.seed, spec.train.n_epochs, search.earlier)
    return searcher


def sizes(spec: JobSpec, searcher: Searcher | None = None) -> tuple[int, ...]:
    """The number of trials of each search round. Raises SpecError for a budget too small for the searcher."""
    return (searcher or make_searcher(spec)).plan(spec.search.n_rounds, spec.search.n_trials)


def search_round(spec: JobSpec, history: Sequence[RoundRecord], searcher: Searcher) -> Round | None:
    """The next round of the search itself; None after its last."""
    planned = sizes(spec, searcher)
    if len(history) >= len(planned):
        return None
    space, state = make_space(spec), next_state(spec, history, searcher)
    trials = []
    for k in range(planned[len(history)]):
        point = searcher.ask(state, k)
        keep_rate, train = space.schedule(point, spec.train.n_epochs), space.overrides(point)
        trial = make_trial(spec, state.round, k, "search", keep_rate, train)
        trial = replace(trial, point=point, fidelity=searcher.fidelity(state, k))
        trials.append(_with_seeds_of_parent(trial, history))
    return Round(state.round, "search", tuple(trials), state)


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
    """A round as the search may see it. A failed trial gets the worst objective of its round (1 if all failed)."""
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


def recommend_from(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[int, int] | None:
    """(round, k) of the schedule that the search ends with; None when every trial of it failed."""
    trial = chosen(spec, history, "searched")
    return None if trial is None else (trial.round, trial.k)


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
