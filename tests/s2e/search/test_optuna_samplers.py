"""Optuna's samplers as pure rules: replay, silence, what they learn, and what they leave alone."""

import logging

import numpy as np
import optuna
import pytest

from s2e.search import optional as optional_module
from s2e.search.cube import to_cube
from s2e.search.distributions import X_MIN
from s2e.search.optuna_samplers import GP, N_BEST, N_HISTORY, TPE, OptunaSearch, kept_of
from s2e.search.space import S2E
from s2e.search.spaces import SINGLE1
from s2e.words import Observation, Point, SearchError, SearchState


def error(point: Point) -> float:
    return float(np.square(np.array(point.values) - 0.3).sum())


def after(searcher: OptunaSearch, n_rounds: int, size: int) -> SearchState:
    state = searcher.init()
    for _ in range(n_rounds):
        points = [searcher.ask(state, k) for k in range(size)]
        state = searcher.tell(state, [Observation(k, point, error(point)) for k, point in enumerate(points)])
    return state


@pytest.mark.parametrize("rule", [TPE, GP])
def test_an_ask_is_what_the_sampler_says_in_a_study_with_the_same_history(rule: type[OptunaSearch]) -> None:
    """The third ask of a round, in a study of Optuna's own filled by hand: two trials of the round are under way."""
    searcher = rule(S2E, 3, 30)
    state = after(searcher, 3, 4)
    study = optuna.create_study()
    uniform = {f"u{i:03d}": optuna.distributions.FloatDistribution(0, 1) for i in range(20)}
    largest = max(state.memory["objectives"])
    places = to_cube(S2E, np.array(state.memory["points"])).tolist()
    for place, value in zip(places, state.memory["objectives"], strict=True):
        params = dict(zip(uniform, place, strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=uniform, value=value / largest))
    for k in range(3):
        seed = int(np.random.default_rng([3, 3, k]).integers(2**32))
        study.sampler = getattr(optuna.samplers, rule.sampler)(seed=seed)
        trial = study.ask(fixed_distributions=uniform)
    asked = to_cube(S2E, np.array([rule(S2E, 3, 30).ask(state, 2).values]))[0]
    np.testing.assert_allclose(asked[4:], list(trial.params.values())[4:], rtol=1e-9, atol=X_MIN)


@pytest.mark.parametrize(("rule", "n_rounds"), [(TPE, 8), (GP, 5)])
def test_it_learns_where_the_objective_is_low(rule: type[OptunaSearch], n_rounds: int) -> None:
    """Its own asks, after Optuna's ten random ones, come closer to the minimum than half of what those reached."""
    objectives = after(rule(SINGLE1, 3, 30), n_rounds, 4).memory["objectives"]
    assert min(objectives[12:]) < 0.5 * min(objectives[:12])


def test_a_failed_trial_counts_as_the_worst_known() -> None:
    searcher = TPE(S2E, 3, 30)
    state = searcher.tell(searcher.init(), [Observation(k, searcher.ask(searcher.init(), k), 0.9) for k in range(2)])
    told = [Observation(0, searcher.ask(state, 0), 0.4), Observation(1, searcher.ask(state, 1), 0.4, failed=True)]
    assert searcher.tell(state, told).memory["objectives"] == [0.9, 0.9, 0.4, 0.9]


def test_nothing_is_logged_and_the_users_verbosity_stays(capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(logging.INFO)
    try:
        after(TPE(S2E, 3, 30), 3, 5)
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr() == ("", "")


def test_a_long_history_keeps_the_best_and_the_newest() -> None:
    objective = np.random.default_rng(0).permutation(2 * N_HISTORY).astype(float)
    kept = kept_of(objective)
    assert len(kept) == N_HISTORY
    assert (np.diff(kept) > 0).all()
    assert set(np.argsort(objective)[:N_BEST]) <= set(kept)
    assert set(range(2 * N_HISTORY - (N_HISTORY - N_BEST), 2 * N_HISTORY)) <= set(kept)
    np.testing.assert_array_equal(kept_of(objective[:N_HISTORY]), np.arange(N_HISTORY))


@pytest.mark.parametrize(("rule", "package"), [(TPE, "optuna"), (GP, "torch")])
def test_a_missing_package_is_named_before_any_training(
    monkeypatch: pytest.MonkeyPatch, rule: type[OptunaSearch], package: str
) -> None:
    def without(name: str) -> None:
        if name == package:
            raise ModuleNotFoundError(name)

    monkeypatch.setattr(optional_module.importlib, "import_module", without)
    with pytest.raises(SearchError, match=f"needs the package {package}: pip install"):
        rule(S2E, 3, 30).init()
