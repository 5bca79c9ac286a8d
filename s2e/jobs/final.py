"""After the search: a rival of equal budget, a choice among the best bets, a comparison on fresh seeds.

    tune      eq. (1) gets as many trials as the search, in rounds of the same size, by ``model_newton``, whatever rule
              the search has. It begins with the default schedule, which the search does not get, and learns from its
              own trials only, as the search does
    choose    of both sides, the few schedules with the lowest posterior mean are trained on fresh seeds; the one with
              the best validation accuracy goes on, so that luck in the search is not taken for merit. Both sides share
              one posterior: it knows the trials of either side, and which of them shared a data order
    retrain   the two chosen ones, the default schedule and R = 1 on other fresh seeds, in rounds: a look at the paired
              differences, and more seeds for what is still open, until the tuned eq. (1) and the best rival are
              decided, or unlikely to be, or the budget ends

No seed is used by two of them, so no training judges what it helped to choose. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from s2e.jobs.recommendation import best_bets, succeeded
from s2e.jobs.rival import make_rival, rival_state
from s2e.jobs.search_report import undecided
from s2e.jobs.sequential import looks, most_trainings
from s2e.jobs.trials import (
    coteaching_schedule,
    default_keep_rate,
    default_tau,
    make_repeat,
    make_rival_space,
    make_trial,
)
from s2e.jobs.trusted_rows import n_most_trainings, trusted_rows
from s2e.search.grid import Grid
from s2e.search.spaces import eq_1_of
from s2e.words import JobSpec, Round, RoundRecord, SearchState, TrialSpec

Schedule = tuple[tuple[float, ...], dict[str, Any]]
"""R(t), and the training settings that go with it."""
SIDES = {"searched": "search", "tuned": "tune"}
"""Row of the comparison -> kind of the rounds it is chosen from."""
FAILED = 1.0
"""Objective of a failed training: no accuracy at all."""


def final_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The round that follows a finished search; None when the comparison is over."""
    m, kinds = len(history), [record.round.kind for record in history]
    first = kinds.count("tune") * spec.search.n_trials
    if first < n_tuned(spec):
        return _tune_round(spec, history, first)
    if "choose" not in kinds and (trials := tuple(_choices(spec, history))):
        return Round(m, "choose", trials)
    return _retrain_round(spec, history)


def n_tuned(spec: JobSpec) -> int:
    """Trials of the tuned eq. (1), the default schedule among them."""
    if spec.report.taus is not None:
        return len(_taus(spec))
    return spec.report.tuned_trials or spec.search.n_rounds * spec.search.n_trials


def n_final_rounds(spec: JobSpec) -> int:
    """Most rounds that follow the search."""
    return -(-n_tuned(spec) // spec.search.n_trials) + (spec.report.n_candidates > 1) + len(looks(spec.report))


def n_final_trials(spec: JobSpec) -> int:
    """Most trials that follow the search."""
    candidates = spec.report.n_candidates if spec.report.n_candidates > 1 else 0
    compared = most_trainings(spec.report) + n_most_trainings(spec)
    return n_tuned(spec) + len(SIDES) * candidates * spec.report.n_choice_seeds + compared


# --- tune -------------------------------------------------------------------------------------------------------------


def _tune_round(spec: JobSpec, history: Sequence[RoundRecord], first: int) -> Round:
    """The trials from ``first`` on of the tuning, at most as many as a round of the search has."""
    m, last = len(history), min(n_tuned(spec), first + spec.search.n_trials)
    state = None if _is_listed(spec) else rival_state(spec, history)
    tuned = (_tuned(spec, i, state, i - first) for i in range(first, last))
    return Round(m, "tune", tuple(make_trial(spec, m, k, *one) for k, one in enumerate(tuned)), state)


def _is_listed(spec: JobSpec) -> bool:
    """True if no trial of the tuning depends on another: the values of tau are given, or the rules are the first."""
    return spec.report.taus is not None or spec.report.rules == 1


def _tuned(spec: JobSpec, i: int, state: SearchState | None, k: int) -> tuple[str, tuple[float, ...], dict[str, Any]]:
    """Label, schedule and settings of the tuning's trial i, the k-th of its round: given values of tau, or the default
    schedule and then the rule's asks."""
    n_epochs = spec.train.n_epochs
    if spec.report.taus is not None or i == 0:
        tau = _taus(spec)[i] if spec.report.taus is not None else default_tau(spec)
        return f"tau={tau:g}", coteaching_schedule(spec, tau), {}
    space = make_rival_space(spec)
    if state is None:
        grid = Grid(space, spec.seed, n_epochs)
        point = grid.ask(grid.init(), i - 1)
    else:
        point = make_rival(spec).ask(state, k)
    tau, t_k, c = (float(value_1[0]) for value_1 in eq_1_of(space.vectors([point]), n_epochs))
    return f"tau={tau:.2f}, t_k={t_k:.1f}, c={c:g}", space.schedule(point, n_epochs), space.overrides(point)


def _taus(spec: JobSpec) -> tuple[float, ...]:
    return tuple(dict.fromkeys((*(spec.report.taus or ()), default_tau(spec))))


# --- choose -----------------------------------------------------------------------------------------------------------


def _choices(spec: JobSpec, history: Sequence[RoundRecord]) -> Iterator[TrialSpec]:
    """Each side's candidates on the same fresh seeds; nothing for a side that leaves no choice."""
    k, m = 0, len(history)
    candidates = {row: _candidates(spec, history, row) for row in SIDES}
    for repeat in range(1, spec.report.n_choice_seeds + 1):
        for row, trials in candidates.items():
            for i, trial in enumerate(trials if len(trials) > 1 else [], start=1):
                yield make_repeat(spec, m, k, f"{row} {i}", trial.keep_rate, trial.train, ("choose", repeat))
                k += 1


def _candidates(spec: JobSpec, history: Sequence[RoundRecord], row: str) -> list[TrialSpec]:
    """The trials of a side with the lowest posterior means, best first: one rule for the search and for its rival."""
    tried = {
        side: [pair for record in history if record.round.kind == kind for pair in succeeded(record)]
        for side, kind in SIDES.items()
    }
    own = tried.pop(row)
    beside = [] if spec.report.rules == 1 else [one for pairs in tried.values() for _, one in pairs]
    best = best_bets(spec, [one for _, one in own], spec.report.n_candidates, beside)
    return [own[i][0] for i in best]


def chosen(spec: JobSpec, history: Sequence[RoundRecord], row: str) -> TrialSpec | None:
    """The trial whose schedule stands for a side: the candidate with the lowest mean objective on the fresh seeds of
    the choice, the lowest posterior mean where there was none; None when every trial of the side failed."""
    candidates = _candidates(spec, history, row)
    objectives: dict[str, list[float]] = {f"{row} {i}": [] for i, _ in enumerate(candidates, start=1)}
    for record in history:
        if record.round.kind == "choose":
            for trial, result in zip(record.round.trials, record.results, strict=True):
                if trial.label in objectives:
                    objectives[trial.label].append(FAILED if result.objective is None else result.objective)
    means = [sum(values) / len(values) if values else 0.0 for values in objectives.values()]
    return candidates[means.index(min(means))] if candidates else None


# --- retrain ----------------------------------------------------------------------------------------------------------


def _retrain_round(spec: JobSpec, history: Sequence[RoundRecord]) -> Round | None:
    """The next seeds of the comparison; None when no more of them would decide anything, or the budget has ended."""
    m, seeds = len(history), (0, *looks(spec.report))
    n_looks = sum(record.round.kind == "retrain" for record in history)
    if n_looks == len(looks(spec.report)):
        return None
    schedules = _schedules(spec, history)
    labels = undecided(spec, history) if n_looks else tuple(schedules)
    pairs = [(repeat, label) for repeat in range(seeds[n_looks] + 1, seeds[n_looks + 1] + 1) for label in labels]
    trials = (
        make_repeat(spec, m, k, label, *schedules[label], ("retrain", repeat))
        for k, (repeat, label) in enumerate(pairs)
    )
    return Round(m, "retrain", tuple(trials)) if pairs else None


def _schedules(spec: JobSpec, history: Sequence[RoundRecord]) -> dict[str, Schedule]:
    """The schedules compared, and rows of what trusted labels are worth without a search. Where every trial of a side
    failed, there is nothing to take but the default."""
    default: Schedule = (default_keep_rate(spec), {})
    trials = {row: chosen(spec, history, row) for row in SIDES}
    sides = {row: (trial.keep_rate, trial.train) if trial else default for row, trial in trials.items()}
    everything: Schedule = ((1.0,) * spec.train.n_epochs, {})
    four = {"searched": sides["searched"], "default": default, "tuned": sides["tuned"], "all": everything}
    return four | trusted_rows(spec)
