"""After the search: a rival of equal budget, a choice among the best bets, a comparison on fresh seeds.

    tune      eq. (1) gets as many trials as the search, in rounds of the same size, evenly spread over its space
    choose    of both sides, the few schedules with the lowest posterior mean are trained on fresh seeds; the one with
              the best validation accuracy goes on, so that nobody's luck in the search is taken for merit
    retrain   the two chosen ones, the default schedule and R = 1 on other fresh seeds, in rounds: a look at the paired
              differences, and more seeds for what is still open, until the best rival is decided or the budget ends

No seed is used by two of them, so nothing that was chosen by a training is judged by it. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from s2e.jobs.recommendation import best_bets, succeeded
from s2e.jobs.search_report import best_rival, is_open, looks, rows_of
from s2e.jobs.trials import (
    coteaching_schedule,
    default_keep_rate,
    default_tau,
    make_repeat,
    make_rival_space,
    make_trial,
)
from s2e.search.grid import Grid
from s2e.search.spaces import eq_1_of
from s2e.words import JobSpec, Round, RoundRecord, TrialSpec

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
        return _tune_round(spec, m, first)
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
    return -(-n_tuned(spec) // spec.search.n_trials) + (spec.report.n_candidates > 1) + len(looks(spec))


def n_final_trials(spec: JobSpec) -> int:
    """Most trials that follow the search."""
    candidates = spec.report.n_candidates if spec.report.n_candidates > 1 else 0
    return n_tuned(spec) + len(SIDES) * candidates * spec.report.n_choice_seeds + 4 * looks(spec)[-1]


# --- tune -------------------------------------------------------------------------------------------------------------


def _tune_round(spec: JobSpec, m: int, first: int) -> Round:
    """The trials from ``first`` on of the tuning, at most as many as a round of the search has."""
    last = min(n_tuned(spec), first + spec.search.n_trials)
    return Round(m, "tune", tuple(make_trial(spec, m, i - first, *_tuned(spec, i)) for i in range(first, last)))


def _tuned(spec: JobSpec, i: int) -> tuple[str, tuple[float, ...], dict[str, Any]]:
    """Label, schedule and settings of the tuning's trial i: the given values of tau, or the default and then a grid."""
    n_epochs = spec.train.n_epochs
    if spec.report.taus is not None or i == 0:
        tau = _taus(spec)[i] if spec.report.taus is not None else default_tau(spec)
        return f"tau={tau:g}", coteaching_schedule(spec, tau), {}
    space = make_rival_space(spec)
    grid = Grid(space, spec.seed, n_epochs)
    point = grid.ask(grid.init(), i - 1)
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
    tried = [
        pair
        for record in history
        if record.round.kind == SIDES[row]
        for pair in succeeded(record.round.trials, record.results)
    ]
    best = best_bets(spec, [one for _, one in tried], spec.report.n_candidates)
    return [tried[i][0] for i in best]


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
    """The next seeds of the comparison; None when the best rival is decided or the budget has ended."""
    m, seeds = len(history), (0, *looks(spec))
    n_looks = sum(record.round.kind == "retrain" for record in history)
    if n_looks == len(looks(spec)):
        return None
    schedules = _schedules(spec, history)
    labels = _open_labels(spec, history) if n_looks else tuple(schedules)
    pairs = [(repeat, label) for repeat in range(seeds[n_looks] + 1, seeds[n_looks + 1] + 1) for label in labels]
    trials = (
        make_repeat(spec, m, k, label, *schedules[label], ("retrain", repeat))
        for k, (repeat, label) in enumerate(pairs)
    )
    return Round(m, "retrain", tuple(trials)) if pairs else None


def _open_labels(spec: JobSpec, history: Sequence[RoundRecord]) -> tuple[str, ...]:
    """The rows that get more seeds after a look: none once the best rival is decided, else all that are open."""
    rows = rows_of(spec, history)
    rival = best_rival(rows)
    if rival is None or not is_open(rival):
        return ()
    return ("searched", *(row.label for row in rows if is_open(row)))


def _schedules(spec: JobSpec, history: Sequence[RoundRecord]) -> dict[str, Schedule]:
    """The four schedules compared. Where every trial of a side failed, there is nothing to take but the default."""
    default: Schedule = (default_keep_rate(spec), {})
    trials = {row: chosen(spec, history, row) for row in SIDES}
    sides = {row: (trial.keep_rate, trial.train) if trial else default for row, trial in trials.items()}
    everything: Schedule = ((1.0,) * spec.train.n_epochs, {})
    return {"searched": sides["searched"], "default": default, "tuned": sides["tuned"], "all": everything}
