"""A search as a pure function of (spec, finished rounds), with a formula of R(t) in place of training."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from s2e.door import parse_job
from s2e.jobs.loop import n_rounds, n_trials, next_round, populations, run_search
from s2e.jobs.search import make_searcher, next_state, observations, recommend_from
from s2e.jobs.trials import default_tau, make_space
from s2e.parts import SEARCHERS, SearcherPart, searcher
from s2e.prepare import with_noise
from s2e.schedule import coteaching_keep_rate
from s2e.search.random_search import RandomSearch
from s2e.words import (
    EstimatedNoise,
    Fidelity,
    JobSpec,
    Point,
    Population,
    Report,
    Round,
    RoundRecord,
    SearchState,
    TrialError,
    TrialResult,
    TrialSpec,
    parse,
    read,
    replace,
    to_json,
)

RunRound = Callable[[Round, tuple[Population, ...]], Sequence[TrialResult]]


def job(**more: Any) -> JobSpec:
    base = {
        "seed": 7,
        "train": {"n_epochs": 20},
        "search": {"searcher": "newton", "n_rounds": 3, "n_trials": 4},
        "report": {"n_seeds": 3, "max_seeds": 3, "n_candidates": 1, "taus": [0.2, 0.4, 0.6]},
    }
    return parse_job(base | more)


def formula(trial: TrialSpec) -> TrialResult:
    """Best for schedules that end near R = 0.4; a little noise from the seed of the initial weights."""
    error = 0.1 + (trial.keep_rate[-1] - 0.4) ** 2 + 1e-3 * (trial.init_seed % 1000) / 1000
    accuracy = 1 - error
    return TrialResult(
        trial.round, trial.k, objective=error, validation_accuracy=accuracy, test_accuracy=accuracy, label_precision=0.9
    )


def failed(trial: TrialSpec) -> TrialResult:
    return TrialResult(trial.round, trial.k, failed=True, reason="loss is NaN")


def running(evaluate: Callable[[TrialSpec], TrialResult]) -> RunRound:
    """Trains the populations of a round in their order, which is not the order of k."""
    return lambda round_, groups: [evaluate(trial) for group in groups for trial in group.trials]


def through_text(record: RoundRecord) -> RoundRecord:
    return parse(RoundRecord, json.loads(json.dumps(to_json(record))))


def test_the_rounds_are_search_tune_retrain() -> None:
    spec = job()
    history, _ = run_search(spec, running(formula))
    assert [(record.round.index, record.round.kind) for record in history] == [
        (0, "search"), (1, "search"), (2, "search"), (3, "tune"), (4, "retrain"),
    ]  # fmt: skip
    assert len(history) == n_rounds(spec)
    for record in history:
        assert [trial.k for trial in record.round.trials] == list(range(len(record.round.trials)))
        assert [result.k for result in record.results] == [trial.k for trial in record.round.trials]
        assert {trial.round for trial in record.round.trials} == {record.round.index}
        assert (record.round.state is not None) == (record.round.kind == "search")
    assert next_round(spec, history) is None


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": []}},
        {"report": {"n_seeds": 4, "max_seeds": 4, "n_candidates": 1, "taus": [0.5, 0.1, 0.5]}},
        {"report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.1], "tau": 0.25}},
        {"report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 2, "n_choice_seeds": 3}},
        {"report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 5}},
        {"data": {"noise": {"kind": "none"}}},
        {"search": {"searcher": "random", "n_rounds": 2, "n_trials": 1}},
    ],
)
def test_n_trials_is_what_the_rounds_ask(more: dict[str, Any]) -> None:
    spec = job(**more)
    history, _ = run_search(spec, running(formula))
    assert n_trials(spec) == sum(len(record.round.trials) for record in history)


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_replay_from_every_stored_prefix_asks_the_same_round(searcher: str) -> None:
    spec = job(search={"searcher": searcher, "n_rounds": 4, "n_trials": 4})
    history, _ = run_search(spec, running(formula))
    assert len(history) == n_rounds(spec)
    stored_spec = parse_job(json.loads(json.dumps(to_json(spec))))
    stored = [through_text(record) for record in history]
    assert stored == history
    for m, record in enumerate(history):
        assert next_round(stored_spec, stored[:m]) == record.round


def test_the_grouping_and_the_order_of_results_change_nothing() -> None:
    alone = run_search(job(plan={"population": 1}), running(formula))
    spec = job(plan={"population": 100})
    together = run_search(spec, lambda round_, groups: [formula(trial) for trial in reversed(groups[0].trials)])
    assert alone == together


def test_theta_moves_towards_the_better_schedules() -> None:
    """With a formula that rewards R(T-1) near 0.4, the last round's trials are better than the first's."""
    spec = job(search={"searcher": "newton", "n_rounds": 15, "n_trials": 8})
    history, report = run_search(spec, running(formula))
    first, last = ([r.objective or 0 for r in history[m].results] for m in (0, 14))
    assert sum(last) < sum(first)
    assert abs(report.keep_rate[-1] - 0.4) < 0.1


def test_a_failed_trial_gets_the_worst_objective_of_its_round() -> None:
    spec = job()
    history, _ = run_search(spec, running(lambda trial: failed(trial) if trial.k == 1 else formula(trial)))
    told = observations(history[0])
    others = [o.objective for o in told if o.k != 1]
    assert [o.failed for o in told] == [False, True, False, False]
    assert told[1].objective == max(others)
    assert next_state(spec, history[:1]) == make_searcher(spec).tell(history[0].round.state, told[::-1])  # type: ignore[arg-type]


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_a_search_whose_own_trials_all_failed_still_ends(searcher: str) -> None:
    """Each for a reason of its own, and what is trained beside them does not fail."""
    spec = job(search={"searcher": searcher, "n_rounds": 3, "n_trials": 4})

    def train(trial: TrialSpec) -> TrialResult:
        return (
            replace(failed(trial), reason=f"loss is NaN at epoch {trial.k}")
            if trial.label == "search"
            else formula(trial)
        )

    history, report = run_search(spec, running(train))
    assert len(history) == n_rounds(spec)
    assert {o.objective for o in observations(history[0])} == {1.0}
    assert (report.recommended, report.best_run) == (None, None)
    default = coteaching_keep_rate(20, 0.5, 10)
    assert report.keep_rate == default
    assert [report.rows[i].keep_rate for i in (0, 1, 3)] == [default, default, (1.0,) * 20]
    assert report.verdict == "Every trial of the search failed; no schedule is recommended."


def test_a_first_round_that_fails_alike_ends_the_job_and_a_later_one_does_not() -> None:
    spec = job()
    with pytest.raises(TrialError, match="all 4 trials of round 1 failed alike: loss is NaN"):
        run_search(spec, running(failed))
    history, _ = run_search(spec, running(lambda trial: failed(trial) if trial.round == 1 else formula(trial)))
    assert [result.failed for result in history[1].results] == [True] * 4


def test_a_job_in_which_nothing_trained_ends_with_the_commonest_reason() -> None:
    spec = job()
    train = running(lambda trial: replace(failed(trial), reason="NaN" if trial.k else "no gradient"))
    with pytest.raises(TrialError, match=r"none of \d+ trials could be trained; \d+ of them: NaN"):
        run_search(spec, train)


def test_only_the_search_rounds_are_recommended_from() -> None:
    """The tuned eq. (1) is a rival: even where it is best it must not become the recommendation."""
    spec = job()
    perfect = running(lambda t: replace(formula(t), objective=0.0) if t.label.startswith("tau") else formula(t))
    history, report = run_search(spec, perfect)
    assert report.recommended == recommend_from(spec, history) == recommend_from(spec, history[:3])
    assert report.recommended is not None
    assert report.recommended[0] < 3
    assert recommend_from(spec, []) is None


def test_the_tuned_tau_is_the_best_one() -> None:
    spec = job()
    history, _ = run_search(spec, running(formula))
    tuned = [trial.keep_rate for trial in history[4].round.trials if trial.label == "tuned"]
    assert tuned == [coteaching_keep_rate(20, 0.6, 10)] * 3  # 1 - tau = 0.4 is where the formula is best


def test_a_tau_that_failed_is_never_the_tuned_one() -> None:
    spec = job()
    hopeless = running(
        lambda t: (
            failed(t) if t.label == "tau=0.2" else replace(formula(t), objective=1.0) if t.round == 3 else formula(t)
        )
    )
    history, _ = run_search(spec, hopeless)
    tuned = {trial.keep_rate for trial in history[4].round.trials if trial.label == "tuned"}
    assert tuned == {coteaching_keep_rate(20, 0.4, 10)}


def test_retraining_compares_four_schedules_on_the_same_fresh_seeds() -> None:
    spec = job()
    history, _ = run_search(spec, running(formula))
    retrain = history[4].round.trials
    schedules = {trial.label: trial.keep_rate for trial in retrain}
    m, k = recommend_from(spec, history) or (-1, -1)
    assert list(schedules) == ["searched", "default", "tuned", "all"]
    assert schedules["searched"] == history[m].round.trials[k].keep_rate
    assert schedules["default"] == coteaching_keep_rate(20, 0.5, 10)
    assert schedules["all"] == (1.0,) * 20

    seeds = {(t.label, t.repeat): (t.init_seed, t.order_seed, t.noise_seed) for t in retrain}
    for repeat in (1, 2, 3):
        assert len({seeds[label, repeat] for label in schedules}) == 1
    fresh = [seed for repeat in (1, 2, 3) for seed in seeds["searched", repeat]]
    used = {s for r in history[:4] for t in r.round.trials for s in (t.init_seed, t.order_seed, t.noise_seed)}
    assert len(set(fresh)) == 9
    assert used.isdisjoint(fresh)


def test_trials_of_a_round_share_the_data_order_and_the_job_shares_the_noise() -> None:
    history, _ = run_search(job(), running(formula))
    searched = [record.round.trials for record in history[:4]]
    assert [len({trial.order_seed for trial in trials}) for trials in searched] == [1, 1, 1, 1]
    assert len({trials[0].order_seed for trials in searched}) == 4
    assert len({trial.noise_seed for trials in searched for trial in trials}) == 1
    assert len({trial.init_seed for trials in searched for trial in trials}) == sum(map(len, searched))


def test_another_seed_is_another_search() -> None:
    first, second = (next_round(job(seed=seed), []) for seed in (1, 2))
    assert first is not None
    assert second is not None
    assert first.trials[0].keep_rate != second.trials[0].keep_rate
    assert first.trials[0].init_seed != second.trials[0].init_seed


@pytest.mark.parametrize(("n", "limit", "sizes"), [(6, 3, [3, 3]), (7, 3, [3, 2, 2]), (4, 9, [4]), (5, 1, [1] * 5)])
def test_populations_are_even_groups_of_every_trial(n: int, limit: int, sizes: list[int]) -> None:
    spec = job(search={"n_rounds": 1, "n_trials": n}, plan={"population": limit})
    round_ = next_round(spec, [])
    assert round_ is not None
    groups = populations(spec, round_)
    assert [len(group.trials) for group in groups] == sizes
    assert sorted(trial.k for group in groups for trial in group.trials) == list(range(n))
    assert {(group.data, group.train, group.tail_epochs) for group in groups} == {(spec.data, spec.train, 5)}


def test_only_trials_with_equal_training_settings_share_a_population() -> None:
    """Five trials, two of them with their own step size: 3 and 2 stacked apart, by limit and first appearance."""
    spec = job(search={"n_rounds": 1, "n_trials": 5}, plan={"population": 2})
    round_ = next_round(spec, [])
    assert round_ is not None
    own = {"learning_rate": 0.01, "params": {}}
    trials = tuple(replace(t, train=dict(own) if t.k in (1, 3) else {}) for t in round_.trials)
    groups = populations(spec, replace(round_, trials=trials))
    assert [[t.k for t in group.trials] for group in groups] == [[0, 4], [2], [1, 3]]
    assert [group.train.learning_rate for group in groups] == [1e-3, 1e-3, 0.01]
    assert groups[2].train == replace(spec.train, learning_rate=0.01)
    assert through_text(RoundRecord(replace(round_, trials=trials), ())).round.trials == trials


LEARNING_RATE = {"train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2}}


@pytest.mark.parametrize("space", ["s2e", "fixed"])
def test_searched_training_parameters_go_into_trials_and_the_report(space: str) -> None:
    """The objective is lowest at a step size of 1e-3, whatever the schedule."""

    def by_step_size(trial: TrialSpec) -> TrialResult:
        away = abs(math.log10(trial.train.get("learning_rate", 1e-3)) + 3)
        return replace(formula(trial), objective=0.1 + 0.1 * away, test_accuracy=0.9 - 0.1 * away)

    search = {"searcher": "model_newton", "space": space, "n_rounds": 4, "n_trials": 6, "parameters": LEARNING_RATE}
    spec = job(search=search)
    history, report = run_search(spec, running(by_step_size))
    for record in history[:4]:
        for trial in record.round.trials:
            assert trial.point is not None
            assert trial.train == make_space(spec).overrides(trial.point)
            assert set(trial.train) == {"learning_rate"}
        rates = {trial.train["learning_rate"] for trial in record.round.trials}
        assert {group.train.learning_rate for group in populations(spec, record.round)} == rates
    assert 3e-4 < report.train["learning_rate"] < 3e-3
    assert [row.train for row in report.rows] == [report.train, {}, {}, {}]
    assert {t.train == report.train for t in history[5].round.trials if t.label == "searched"} == {True}
    if space == "fixed":
        assert report.keep_rate == coteaching_keep_rate(20, 0.5, 10)


@pytest.mark.parametrize(("asked", "final"), [("float32", "float32"), ("bfloat16", "float32"), ("float64", "float64")])
def test_final_schedules_are_retrained_in_full_precision(asked: str, final: str) -> None:
    dtypes: dict[str, str] = {}

    def run_round(round_: Round, groups: tuple[Population, ...]) -> list[TrialResult]:
        dtypes[round_.kind] = groups[0].plan.dtype
        return [formula(trial) for group in groups for trial in group.trials]

    run_search(job(plan={"dtype": asked}), run_round)
    assert dtypes == {"search": asked, "tune": asked, "retrain": final}


@pytest.mark.parametrize(
    ("more", "tau"),
    [
        ({}, 0.5),
        ({"data": {"noise": {"kind": "none", "noise_rate": 0.5}}}, 0.0),
        ({"data": {"noise": {"noise_rate": 0.2}}}, 0.2),
        ({"report": {"tau": 0.35}}, 0.35),
    ],
)
def test_the_default_tau_is_given_or_the_noise_rate(more: dict[str, Any], tau: float) -> None:
    assert default_tau(job(**more)) == tau


def test_a_search_begins_with_the_share_that_was_estimated_unless_it_is_told_one() -> None:
    noise = EstimatedNoise(0.3, 0.2, 0.4, ((0.7, 0.3), (0.3, 0.7)))

    def started(spec: JobSpec) -> object:
        return with_noise(spec, noise).search.params.get("estimate")

    assert started(parse_job({})) == 0.3
    assert started(parse_job({"search": {"params": {"tau": 0.1}}})) is None
    assert started(parse_job({"search": {"searcher": "random"}})) is None
    assert with_noise(parse_job({}), replace(noise, noise_rate=0.0)).search == parse_job({}).search


def test_a_round_that_is_not_complete_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        run_search(job(), lambda round_, groups: [formula(trial) for trial in round_.trials[1:]])


def test_the_report_survives_the_way_through_text() -> None:
    _, report = run_search(job(), running(formula))
    assert read(Report, json.loads(json.dumps(to_json(report), allow_nan=False))) == report


class Halving(RandomSearch):
    """Four trials of 5 epochs; two of them go on to 10; one of these to the end, beside a new prefix of 10 epochs."""

    def plan(self, n_rounds: int, n_trials: int) -> tuple[int, ...]:
        return (4, 2, 2)

    def ask(self, state: SearchState, k: int) -> Point:
        m = state.round
        return super().ask(SearchState(0, state.theta, {}) if m and (m, k) != (2, 1) else state, k)

    def fidelity(self, state: SearchState, k: int) -> Fidelity:
        if state.round == 2:
            return (Fidelity(20, resume=(1, 0), resumed_epochs=10), Fidelity(10))[k]
        return (Fidelity(5), Fidelity(10, resume=(0, k + 1), resumed_epochs=5))[state.round]


@pytest.fixture
def halved(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[JobSpec, list[RoundRecord], Report]]:
    """A search of three unequal rounds in which a short trial looks better than every long one."""

    @searcher("halving", rule="halving:Halving", short_trials=True)
    class HalvingPart(SearcherPart):
        """Of these tests."""

    monkeypatch.setitem(sys.modules, "halving", SimpleNamespace(Halving=Halving))
    spec = job(search={"searcher": "halving", "n_rounds": 3, "n_trials": 4}, plan={"population": 3})
    better_when_short = running(lambda trial: replace(formula(trial), objective=trial.share))
    yield spec, *run_search(spec, better_when_short)
    SEARCHERS.discard("halving")


def test_rounds_have_the_sizes_of_the_plan(halved: tuple[JobSpec, list[RoundRecord], Report]) -> None:
    spec, history, _ = halved
    assert [len(record.round.trials) for record in history] == [4, 2, 2, 4, 12]
    assert (n_rounds(spec), n_trials(spec)) == (5, 24)
    assert [trial.share for trial in history[1].round.trials] == [0.5, 0.5]
    assert [o.fidelity for o in observations(history[0])] == [Fidelity(5)] * 4


def test_a_continued_trial_has_the_seeds_of_its_parent(halved: tuple[JobSpec, list[RoundRecord], Report]) -> None:
    _, history, _ = halved
    grandchild, fresh = history[2].round.trials
    for trial in (grandchild, history[1].round.trials[0]):
        parent = history[0].round.trials[1]
        seeds = (trial.init_seed, trial.order_seed, trial.noise_seed)
        assert seeds == (parent.init_seed, parent.order_seed, parent.noise_seed)
    assert fresh.init_seed not in {trial.init_seed for record in history[:2] for trial in record.round.trials}


def test_only_trials_of_one_stretch_of_epochs_train_together(
    halved: tuple[JobSpec, list[RoundRecord], Report],
) -> None:
    spec, history, _ = halved
    groups = [[trial.k for trial in group.trials] for group in populations(spec, history[2].round)]
    assert groups == [[0], [1]]
    assert [group.n_epochs_run for group in populations(spec, history[0].round)] == [5, 5]


def test_a_prefix_is_never_recommended_beside_a_full_training(
    halved: tuple[JobSpec, list[RoundRecord], Report],
) -> None:
    spec, history, report = halved
    assert min(r.objective or 1 for r in history[0].results) < (history[2].results[0].objective or 0)
    assert recommend_from(spec, history) == report.best_run == (2, 0)
