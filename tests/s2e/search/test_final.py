"""What follows the search: equal budgets, an unbiased choice, and a comparison that stops when it is decided."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.door import parse_job
from s2e.jobs.final import chosen, n_tuned
from s2e.jobs.loop import n_rounds, n_trials, next_round, run_search
from s2e.jobs.recommendation import Tried, best_bets
from s2e.jobs.search import recommend_from
from s2e.jobs.search_report import interval, looks
from s2e.schedule import coteaching_keep_rate
from s2e.words import (
    JobSpec,
    Population,
    Report,
    Round,
    RoundRecord,
    SpecError,
    TrialResult,
    TrialSpec,
    parse,
    replace,
    to_json,
)

T = 20
Evaluate = Callable[[TrialSpec], TrialResult]


def job(search: dict[str, Any] | None = None, **report: Any) -> JobSpec:
    asked = {"searcher": "random", "n_rounds": 3, "n_trials": 4} | (search or {})
    return parse_job({"seed": 3, "train": {"n_epochs": T}, "search": asked, "report": {"n_seeds": 3} | report})


def luck(trial: TrialSpec) -> float:
    """A number of (-1/2, 1/2) that the seeds of a training decide."""
    return float(np.random.default_rng([trial.init_seed, trial.order_seed, trial.noise_seed]).uniform(-0.5, 0.5))


def measured(trial: TrialSpec, error: float, test_error: float | None = None) -> TrialResult:
    test = error if test_error is None else test_error
    return TrialResult(
        trial.round,
        trial.k,
        objective=error,
        validation_accuracy=1 - error,
        test_accuracy=1 - test,
        label_precision=0.9,
    )


def by_end(trial: TrialSpec) -> TrialResult:
    """Best for schedules that end near R = 0.4, with some luck."""
    return measured(trial, 0.1 + (trial.keep_rate[-1] - 0.4) ** 2 + 0.01 * luck(trial))


def run(spec: JobSpec, evaluate: Evaluate = by_end) -> tuple[list[RoundRecord], Report]:
    def run_round(_: Round, groups: tuple[Population, ...]) -> Sequence[TrialResult]:
        return [evaluate(trial) for group in groups for trial in group.trials]

    return run_search(spec, run_round)


def of_kind(history: Sequence[RoundRecord], kind: str) -> list[RoundRecord]:
    return [record for record in history if record.round.kind == kind]


def trials_of(history: Sequence[RoundRecord], kind: str) -> list[TrialSpec]:
    return [trial for record in of_kind(history, kind) for trial in record.round.trials]


# --- tune -------------------------------------------------------------------------------------------------------------


def test_eq_1_gets_the_budget_of_the_search_in_rounds_of_the_same_size() -> None:
    history, _ = run(job())
    sizes = {kind: [len(record.round.trials) for record in of_kind(history, kind)] for kind in ("search", "tune")}
    assert sizes == {"search": [4, 4, 4], "tune": [4, 4, 4]}
    tuned = trials_of(history, "tune")
    assert tuned[0].keep_rate == coteaching_keep_rate(T, 0.5, 10)
    assert len({trial.keep_rate for trial in tuned}) == 12
    assert len({record.round.trials[0].order_seed for record in of_kind(history, "tune")}) == 3


def test_the_trials_of_eq_1_spread_over_its_space_and_are_named() -> None:
    """60 of them: every exponent, tau over all of (0, 1) and t_k over all of the training."""
    history, _ = run(job({"n_rounds": 10, "n_trials": 6}))
    tuned = trials_of(history, "tune")[1:]
    named = [dict(part.split("=") for part in trial.label.split(", ")) for trial in tuned]
    for trial, numbers in zip(tuned, named, strict=True):
        tau, t_k, c = (float(numbers[name]) for name in ("tau", "t_k", "c"))
        np.testing.assert_allclose(trial.keep_rate, coteaching_keep_rate(T, tau, t_k, c), atol=0.08)  # rounded words
        assert len(trial.label) <= 40
    assert {numbers["c"] for numbers in named} == {"0.5", "1", "2"}
    for name, whole in (("tau", 1.0), ("t_k", float(T))):
        counts, _ = np.histogram([float(numbers[name]) for numbers in named], bins=4, range=(0, whole))
        assert counts.min() >= 10  # of 59; evenly spread is 14.75
    assert {trial.point for trial in tuned} == {None}


@pytest.mark.parametrize(("asked", "n"), [(None, 12), (1, 1), (5, 5), (30, 30)])
def test_the_budget_of_eq_1_may_be_smaller_or_larger(asked: int | None, n: int) -> None:
    history, report = run(job(tuned_trials=asked))
    assert n_tuned(job(tuned_trials=asked)) == len(trials_of(history, "tune")) == n
    assert ("fewer" in report.basis) == (n < 12)
    assert report.basis.startswith(f"The search spent 12 full trainings, tuning eq. (1) {n}")


def test_values_of_tau_may_be_given_instead() -> None:
    history, _ = run(job(taus=[0.2, 0.4, 0.2]))
    assert [trial.label for trial in trials_of(history, "tune")] == ["tau=0.2", "tau=0.4", "tau=0.5"]


def test_the_rival_searches_the_same_training_parameters() -> None:
    parameters = {"train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2}}
    spec = job({"parameters": parameters})
    history, report = run(spec)
    tuned = trials_of(history, "tune")
    assert tuned[0].train == {}  # the default schedule under the job's own settings
    assert all(set(trial.train) == {"learning_rate"} for trial in tuned[1:])
    assert len({trial.train["learning_rate"] for trial in tuned[1:]}) == 11
    best = chosen(spec, history, "tuned")
    assert best is not None
    assert report.rows[2].train == best.train


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"n_seeds": 4, "max_seeds": 3}, "report.max_seeds"),
        ({"taus": [0.2], "tuned_trials": 3}, "report.tuned_trials"),
    ],
)
def test_contradictions_are_refused(report: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as error:
        job(**report)
    assert [problem.field for problem in error.value.problems] == [field]


# --- choose -----------------------------------------------------------------------------------------------------------


def test_the_best_bets_of_both_sides_meet_on_fresh_seeds() -> None:
    spec = job()
    history, _ = run(spec)
    [record] = of_kind(history, "choose")
    labels = ["searched 1", "searched 2", "searched 3", "tuned 1", "tuned 2", "tuned 3"]
    assert [(t.repeat, t.label) for t in record.round.trials] == [(r, label) for r in (1, 2) for label in labels]
    tried = [
        Tried(t.keep_rate, t.train, result.objective or 0.0)
        for r in of_kind(history, "search")
        for t, result in zip(r.round.trials, r.results, strict=True)
    ]
    bets = [tried[i].keep_rate for i in best_bets(spec, tried, 3)]
    assert [trial.keep_rate for trial in record.round.trials[:3]] == bets
    assert len(set(bets)) == 3


def test_no_seed_is_used_by_two_steps() -> None:
    """Initial weights, data orders and noise draws of the choice and of the comparison are nobody else's."""
    history, _ = run(job(max_seeds=12), shifted({}, 0.05))
    used: list[set[int]] = []
    for kinds in (("search", "tune"), ("choose",), ("retrain",)):
        trials = [trial for kind in kinds for trial in trials_of(history, kind)]
        used.append({seed for t in trials for seed in (t.init_seed, t.order_seed, t.noise_seed)})
    assert used[0].isdisjoint(used[1])
    assert used[0].isdisjoint(used[2])
    assert used[1].isdisjoint(used[2])
    for kind in ("choose", "retrain"):
        seeds = {(t.repeat, t.init_seed, t.order_seed, t.noise_seed) for t in trials_of(history, kind)}
        assert len(seeds) == len({t.repeat for t in trials_of(history, kind)})


def test_a_lucky_run_loses_to_the_schedule_that_is_good_on_fresh_seeds() -> None:
    spec = job()
    before, _ = run(spec)
    first = trials_of(before, "choose")[0]

    def first_was_luck(trial: TrialSpec) -> TrialResult:
        return measured(trial, 0.9) if trial.label == "searched 1" else by_end(trial)

    history, report = run(spec, first_was_luck)
    assert trials_of(history, "choose")[0].keep_rate == first.keep_rate
    recommended = recommend_from(spec, history)
    assert recommended == report.recommended
    assert recommended is not None
    assert history[recommended[0]].round.trials[recommended[1]].keep_rate == report.keep_rate != first.keep_rate


def test_a_candidate_that_fails_on_fresh_seeds_is_not_chosen() -> None:
    spec = job()

    def first_fails(trial: TrialSpec) -> TrialResult:
        if trial.label == "tuned 1":
            return TrialResult(trial.round, trial.k, failed=True, reason="loss is NaN")
        return by_end(trial)

    history, _ = run(spec, first_fails)
    candidates = {trial.label: trial.keep_rate for trial in trials_of(history, "choose")}
    best = chosen(spec, history, "tuned")
    assert best is not None
    assert best.keep_rate in (candidates["tuned 2"], candidates["tuned 3"])


@pytest.mark.parametrize("more", [{"n_candidates": 1}, {"tuned_trials": 1, "n_candidates": 2}])
def test_a_side_without_a_choice_is_not_trained_for_one(more: dict[str, Any]) -> None:
    history, _ = run(job(**more))
    labels = {trial.label.partition(" ")[0] for trial in trials_of(history, "choose")}
    assert labels == (set() if more["n_candidates"] == 1 else {"searched"})


def test_test_accuracy_decides_nothing_before_the_comparison() -> None:
    """Misleading test figures change neither search, tuning nor choice."""

    def misleading(trial: TrialSpec) -> TrialResult:
        found = by_end(trial)
        return replace(found, test_accuracy=1 - (found.test_accuracy or 0.0))

    (told, _), (misled, _) = run(job()), run(job(), misleading)
    for honest, other in zip(told[:7], misled[:7], strict=True):
        assert honest.round == other.round
    assert told[7].round == misled[7].round  # the first look: the same schedules on the same seeds


# --- retrain ----------------------------------------------------------------------------------------------------------


def shifted(by: dict[str, float], spread: float = 0.0) -> Evaluate:
    """Test errors of the final schedules: a constant each, and luck of their own."""

    def evaluate(trial: TrialSpec) -> TrialResult:
        own = np.random.default_rng([trial.init_seed, sum(map(ord, trial.label))]).uniform(-1, 1)
        error = by.get(trial.label, 0.3)
        return measured(trial, by_end(trial).objective or 0.0, error + spread * own)

    return evaluate


def test_a_decided_comparison_stops_at_the_first_look() -> None:
    spec = job(max_seeds=12)
    history, report = run(spec, shifted({"searched": 0.1}, 0.01))
    assert [len(record.round.trials) for record in of_kind(history, "retrain")] == [4 * 3]
    assert len(history) < n_rounds(spec)
    assert sum(len(record.round.trials) for record in history) < n_trials(spec)
    assert report.verdict.startswith("On fresh seeds the searched schedule beats the default")
    assert "No schedule is shown" not in report.verdict


def test_an_open_comparison_goes_on_to_the_end_of_its_budget() -> None:
    spec = job(max_seeds=10)
    assert looks(spec) == (3, 6, 10)
    history, report = run(spec, shifted({}, 0.05))
    repeats = [sorted({t.repeat for t in record.round.trials}) for record in of_kind(history, "retrain")]
    assert repeats == [[1, 2, 3], [4, 5, 6], [7, 8, 9, 10]]
    assert len(history) == n_rounds(spec)
    assert sum(len(record.round.trials) for record in history) == n_trials(spec)
    assert "do not separate" in report.verdict
    assert report.verdict.endswith("No schedule is shown to beat the tuned eq. (1) here.")
    assert "Looks were planned at 3, 6 and 10" in report.basis
    assert "98.33 %" in report.basis


def test_what_is_decided_gets_no_more_seeds() -> None:
    """R = 1 is far behind from the first look on; the best rival, the tuned eq. (1), is open."""
    history, report = run(job(max_seeds=12), shifted({"all": 0.8, "default": 0.8}, 0.05))
    labels = [list(dict.fromkeys(t.label for t in r.round.trials)) for r in of_kind(history, "retrain")]
    assert labels[0] == ["searched", "default", "tuned", "all"]
    assert labels[1:] == [["searched", "tuned"]] * 2
    n_seeds = {row.label: len(row.test_accuracy) for row in report.rows}
    assert n_seeds == {"searched": 12, "default": 3, "tuned": 12, "all": 3}


def test_two_rows_of_the_same_training_are_not_trained_for_ever() -> None:
    """Every tuning trial failed, so the tuned eq. (1) is the default schedule, and so is the searched one."""

    def failing(trial: TrialSpec) -> TrialResult:
        if trial.label in ("searched", "default", "tuned"):
            return measured(trial, 0.3 + 0.1 * luck(trial))
        if trial.label == "all":
            return measured(trial, 0.9 + 0.01 * luck(trial))
        return TrialResult(trial.round, trial.k, failed=True, reason=f"loss is NaN at epoch {trial.k}")

    history, report = run(job(max_seeds=12), failing)
    assert len(of_kind(history, "retrain")) == 1
    assert of_kind(history, "choose") == []
    assert report.recommended is None


def test_intervals_hold_for_all_looks_together() -> None:
    """1000 comparisons without any difference, looked at after 5, 10 and 20 seeds: at most 5 % are ever decided.

    With 95 % at each look it is about 10 % (standard error 1 %).
    """
    rng = np.random.default_rng(0)
    planned = looks(job(n_seeds=5, max_seeds=20))
    ever = {0.95: 0, 1 - 0.05 / len(planned): 0}
    for _ in range(1000):
        differences = rng.standard_normal(20).tolist()
        for confidence in ever:
            found = [interval(differences[:n], confidence) for n in planned]
            ever[confidence] += any(abs(mean or 0) > (half or 0) for mean, half in found)
    naive, shared = (count / 1000 for count in ever.values())
    assert naive > 0.075
    assert shared < 0.05


def test_the_difference_s_interval_is_wider_when_there_may_be_more_looks() -> None:
    """t(1 - 0.025, 2) = 4.3027 and t(1 - 0.0125, 2) = 6.2053."""
    rows = [run(job(max_seeds=most), shifted({"searched": 0.1}, 0.01))[1].rows[1] for most in (3, 6)]
    widths = [row.difference_half_width or 0.0 for row in rows]
    assert widths[1] / widths[0] == pytest.approx(6.2053 / 4.3027, rel=1e-4)
    assert rows[0].half_width == rows[1].half_width


@given(n_seeds=st.integers(2, 100), more=st.one_of(st.none(), st.integers(0, 900)))
def test_looks_double_up_to_the_budget(n_seeds: int, more: int | None) -> None:
    most = None if more is None else n_seeds + more
    planned = looks(job(n_seeds=n_seeds, max_seeds=most))
    assert planned[0] == n_seeds
    assert planned[-1] == (most or 2 * n_seeds)
    assert all(a < b <= 2 * a for a, b in pairwise(planned))


def test_replay_from_every_stored_prefix_asks_the_same_round() -> None:
    spec = job(max_seeds=10)
    history, _ = run(spec, shifted({}, 0.05))
    stored_spec = parse_job(json.loads(json.dumps(to_json(spec))))
    stored = [parse(RoundRecord, json.loads(json.dumps(to_json(record)))) for record in history]
    assert [record.round.kind for record in history] == ["search"] * 3 + ["tune"] * 3 + ["choose"] + ["retrain"] * 3
    for m, record in enumerate(history):
        assert next_round(stored_spec, stored[:m]) == record.round
    assert next_round(stored_spec, stored) is None
