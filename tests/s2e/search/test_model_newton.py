"""Newton on the surrogate of the schedule curve, and the surrogate's joint posterior draw."""

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from s2e.search import model_newton
from s2e.search.history import History
from s2e.search.model_newton import KL_MAX, ModelNewton, relaxed_derivatives, whitened_step, within_kl
from s2e.search.newton import centred
from s2e.search.parameters import parse_parameters
from s2e.search.portfolio import portfolio
from s2e.search.space import S2E, THETA_MIN
from s2e.search.spaces import fixed
from s2e.search.surrogate import (
    JITTER,
    CurveSurrogate,
    Hyperparameters,
    Surrogate,
    segment_epochs,
    segment_means,
    standardised,
)
from s2e.words import EarlierTrials, Observation, Point, SearchState

THETA = np.linspace(1.5, 6, 36)


def objective(points: list[Point], n_epochs: int = 40) -> list[float]:
    """Lowest for a curve that falls to 0.4."""
    curves = S2E.curves(S2E.vectors(points), n_epochs)
    return (0.3 + (curves[:, n_epochs // 3 :].mean(axis=1) - 0.4) ** 2).tolist()


def searched(n_rounds: int, seed: int = 0, **settings: Any) -> tuple[ModelNewton, list[SearchState]]:
    searcher = ModelNewton(S2E, seed, 40, **settings)
    states = [searcher.init()]
    for _ in range(n_rounds):
        points = [searcher.ask(states[-1], k) for k in range(6)]
        told = [Observation(k, p, f) for k, (p, f) in enumerate(zip(points, objective(points), strict=True))]
        states.append(searcher.tell(states[-1], told))
    return searcher, states


def test_derivatives_are_those_of_the_relaxed_objective_by_finite_differences() -> None:
    """J(theta + h) from the same draws by importance weights, which uses log p_theta only, not its score."""
    x = S2E.sample(THETA, np.random.default_rng(0), 500)
    f = centred(segment_means(S2E.curves(x, 40))[:, 4] ** 2)
    gradient, hessian = relaxed_derivatives(S2E, THETA, x, f)
    log_prob = S2E.log_prob(THETA, x)

    def relaxed(whitened: np.ndarray) -> float:
        theta = THETA + S2E.whitener(THETA).T @ whitened
        return float((np.exp(S2E.log_prob(theta, x) - log_prob) * f).mean())

    directions = np.random.default_rng(1).standard_normal((5, 36))
    for d in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        h = 1e-3
        slope = (relaxed(h * d) - relaxed(-h * d)) / (2 * h)
        curvature = (relaxed(h * d) - 2 * relaxed(0 * d) + relaxed(-h * d)) / h**2
        assert gradient @ d == pytest.approx(slope, abs=1e-5)
        assert d @ hessian @ d == pytest.approx(curvature, abs=1e-3)


def test_a_step_is_short_and_descends() -> None:
    x = S2E.sample(THETA, np.random.default_rng(0), 500)
    gradient, hessian = relaxed_derivatives(S2E, THETA, x, centred(x[:, 0]))
    for scale in (1e-3, 1.0, 1e3):
        step = whitened_step(scale * gradient, hessian)
        assert step @ gradient < 0
        assert np.linalg.norm(step) <= np.sqrt(2 * KL_MAX / model_newton.INNER_STEPS) * (1 + 1e-9)


def test_a_long_step_is_halved_until_the_divergence_fits() -> None:
    step = 50 * np.random.default_rng(0).standard_normal(36)
    new = within_kl(S2E, THETA, THETA, step)
    assert 0 < S2E.kl(new, THETA) <= KL_MAX
    assert (new >= THETA_MIN).all()
    far = np.full(36, 150.0)
    assert S2E.kl(far, THETA) > KL_MAX
    np.testing.assert_array_equal(within_kl(S2E, THETA, far, step), far)  # nowhere to go: theta stays


def test_no_round_moves_the_density_further_than_kl_max() -> None:
    _, states = searched(6)
    steps = [S2E.kl(new.theta, old.theta) for old, new in pairwise(states)]
    assert max(steps) <= KL_MAX
    assert min(steps) > 0


def test_it_finds_better_schedules_than_uniform_draws() -> None:
    """The mean objective of the Thompson draws of the last round is below the best tenth of 300 uniform draws."""
    uniform = [S2E.point(x) for x in S2E.sample(np.ones(36), np.random.default_rng(5), 300)]
    for seed in range(3):
        searcher, states = searched(4, seed)
        last = [searcher.ask(states[-1], k) for k in range(1, 6)]
        assert np.mean(objective(last)) < np.quantile(objective(uniform), 0.1)


def test_no_trial_is_repeated_within_a_round() -> None:
    searcher, states = searched(3)
    points = [searcher.ask(states[-1], k) for k in range(24)]
    assert len(set(points)) == 24


def test_one_trial_in_six_is_a_free_draw_from_p_theta_where_a_job_asks_for_it() -> None:
    searcher, states = searched(2, seed=9, free_every=6)
    x = S2E.sample(states[-1].theta, np.random.default_rng([9, 2, 4]), 1)[0]
    assert searcher.ask(states[-1], 4) == S2E.point(x)


@pytest.mark.parametrize("n_trials", [1, 2, 6])
def test_first_trials_cover_the_mean_keep_rates_of_the_space(n_trials: int) -> None:
    """Six in all, in one round or one by one: every third of the range has one, and every half at least two."""
    for seed in range(5):
        searcher = ModelNewton(S2E, seed, 40, start="spread")
        state, means = searcher.init(), []
        for _ in range(6 // n_trials):
            points = [searcher.ask(state, k) for k in range(n_trials)]
            means += searcher._features(S2E.vectors(points)).mean(axis=1).tolist()
            told = [Observation(k, p, f) for k, (p, f) in enumerate(zip(points, objective(points), strict=True))]
            state = searcher.tell(state, told)
        uniform = searcher._features(S2E.sample(np.ones(36), np.random.default_rng(99), 2000)).mean(axis=1)
        low, high = np.quantile(uniform, model_newton.RANGE)
        fractions = (np.array(means) - low) / (high - low)
        assert set(np.clip(3 * fractions, 0, 2.99).astype(int)) == {0, 1, 2}
        assert 2 <= (fractions < 0.5).sum() <= 4


def test_trials_in_flight_are_not_asked_again() -> None:
    """With the best point of the pool in flight, its score is taken as known: the draws go elsewhere more often."""
    searcher, states = searched(2)
    state, k = states[-1], 1
    alone = searcher.ask(state, k)
    assert searcher.ask(state, k, ()) == alone
    waiting = searcher.ask(state, k, [alone] * 3)
    assert searcher.ask(state, k, [alone] * 3) == waiting
    fit = searcher._fit(History.of(state.memory, S2E.n_x))
    asked = searcher._features(S2E.vectors([alone]))
    (mean,), ((variance,),) = fit.posterior(asked)
    (expected,), ((left,),) = fit.expecting(np.repeat(asked, 3, axis=0)).posterior(asked)
    assert expected == pytest.approx(mean)
    assert left < variance


@pytest.mark.parametrize(("replicate_every", "free_every"), [(3, 6), (1, 0), (2, 0), (0, 0)])
def test_noise_brings_replicates_and_its_absence_none(replicate_every: int, free_every: int) -> None:
    """Objectives that are pure noise: one trial in so many re-trains a point of the history, none by default."""
    rng = np.random.default_rng(0)
    searcher = ModelNewton(S2E, 3, 40, replicate_every=replicate_every, free_every=free_every)
    state = searcher.init()
    for _ in range(8):
        points = [searcher.ask(state, k) for k in range(6)]
        state = searcher.tell(state, [Observation(k, p, float(rng.normal())) for k, p in enumerate(points)])
    assert Hyperparameters(*state.memory["hyperparameters"]).noise_share > model_newton.REPLICATE_NOISE
    asked = [list(searcher.ask(state, k).values) in state.memory["points"] for k in range(6)]
    expected = {
        (3, 6): [(8 + k) % 3 == 1 and (8 + k) % 6 != 0 for k in range(6)],
        (1, 0): [True] * 6,
        (2, 0): [(8 + k) % 2 == 1 for k in range(6)],
        (0, 0): [False] * 6,
    }
    assert asked == expected[replicate_every, free_every]
    quiet, states = searched(4, replicate_every=replicate_every)
    assert not any(list(quiet.ask(states[-1], k).values) in states[-1].memory["points"] for k in range(6))


def earlier(sign: float, n: int = 60) -> EarlierTrials:
    """A search of the same objective, or of its opposite."""
    points = [S2E.point(x) for x in S2E.sample(np.ones(36), np.random.default_rng(8), n)]
    return EarlierTrials("job", "s2e", {}, tuple(p.values for p in points), tuple(sign * f for f in objective(points)))


def test_a_warm_start_finds_good_schedules_in_its_first_round() -> None:
    warm, cold = ModelNewton(S2E, 0, 40, earlier=[earlier(1.0)]), ModelNewton(S2E, 0, 40)
    first = [np.mean(objective([s.ask(s.init(), k) for k in range(1, 6)])) for s in (warm, cold)]
    uniform = objective([S2E.point(x) for x in S2E.sample(np.ones(36), np.random.default_rng(5), 300)])
    assert first[0] < np.quantile(uniform, 0.2) < first[1]


def test_a_warm_start_from_pure_noise_has_nothing_to_replicate_at_first() -> None:
    noise = tuple(np.random.default_rng(0).normal(size=60).tolist())
    searcher = ModelNewton(S2E, 0, 40, earlier=[dataclasses.replace(earlier(1.0), objectives=noise)])
    state = searcher.init()
    assert Hyperparameters(*state.memory["hyperparameters"]).noise_share > model_newton.REPLICATE_NOISE
    assert len({searcher.ask(state, k) for k in range(6)}) == 6


def test_a_misleading_warm_start_is_forgotten() -> None:
    """After three rounds the opposite objective counts no more, and the trials are as good as without it."""
    searcher = ModelNewton(S2E, 0, 40, earlier=[earlier(-1.0)])
    state = searcher.init()
    for _ in range(4):
        points = [searcher.ask(state, k) for k in range(6)]
        told = [Observation(k, p, f) for k, (p, f) in enumerate(zip(points, objective(points), strict=True))]
        state = searcher.tell(state, told)
    assert Hyperparameters(*state.memory["hyperparameters"]).relatedness == 0
    uniform = objective([S2E.point(x) for x in S2E.sample(np.ones(36), np.random.default_rng(5), 300)])
    assert np.mean(objective([searcher.ask(state, k) for k in range(1, 6)])) < np.quantile(uniform, 0.2)


def test_equal_objectives_move_nothing() -> None:
    searcher = ModelNewton(S2E, 0, 40)
    state = searcher.init()
    for _ in range(2):
        told = [Observation(k, searcher.ask(state, k), 0.3) for k in range(6)]
        state = searcher.tell(state, told)
    assert state.theta == searcher.init().theta


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 12, 40, 60, 200, 1000])
def test_epochs_looked_at_give_the_segment_means(n_epochs: int) -> None:
    epochs, starts = segment_epochs(n_epochs)
    curves = S2E.curves(S2E.sample(np.ones(36), np.random.default_rng(0), 50), n_epochs)
    looked_at = curves[:, epochs.astype(int)]
    means = np.add.reduceat(looked_at, starts, axis=1) / np.diff([*starts, len(epochs)])
    assert len(epochs) <= 32
    error = np.abs(means - segment_means(curves)).max(axis=0)
    assert error[0] < 0.03  # R may fall at once from R(0) = 1
    assert (error[1:] < 0.01).all()


def test_a_joint_draw_has_the_posterior_mean_and_covariance() -> None:
    curves = S2E.curves(S2E.sample(np.ones(36), np.random.default_rng(0), 20), 40)
    f = curves[:, 20]
    asked = segment_means(S2E.curves(S2E.sample(np.ones(36), np.random.default_rng(1), 4), 40))
    gp = CurveSurrogate(curves, f)
    draws = np.array([gp.draw(asked, np.random.default_rng(i)) for i in range(4000)])
    mean, covariance = gp.posterior(asked)
    sd = np.sqrt(np.diag(covariance) + JITTER)
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=5 * sd.max() / 4000**0.5)
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)
    # Equal schedules get equal scores in one draw: it is joint, not one draw for each.
    twice = gp.draw(np.repeat(asked, 2, axis=0), np.random.default_rng(0))
    np.testing.assert_allclose(twice[::2], twice[1::2], atol=10 * JITTER**0.5)


def test_given_parameters_reproduce_the_fit() -> None:
    features = segment_means(S2E.curves(S2E.sample(np.ones(36), np.random.default_rng(0), 20), 40))
    score = standardised(features[:, 3] ** 2)
    first = Surrogate(features, score)
    again = Surrogate(features, score, first.hyperparameters)
    np.testing.assert_array_equal(first.mean(features), again.mean(features))


def test_a_density_around_a_point_has_its_mode_there() -> None:
    x = S2E.sample(np.ones(36), np.random.default_rng(3), 1)[0]
    near = S2E.sample(S2E.around(x, 200.0), np.random.default_rng(4), 400)
    assert np.abs(near - x).mean() < 0.05
    np.testing.assert_allclose(S2E.mean(S2E.around(x, 1e7)), x, atol=1e-5)


def test_trials_of_a_round_are_remembered_as_such_unless_the_job_says_they_share_nothing() -> None:
    _, states = searched(3)
    assert states[-1].memory["rounds"] == [0] * 6 + [1] * 6 + [2] * 6
    _, without = searched(3, round_effect=False)
    assert "rounds" not in without[-1].memory


def test_a_state_of_before_rounds_were_kept_goes_on() -> None:
    searcher, states = searched(2)
    old = dataclasses.replace(states[-1], memory={k: v for k, v in states[-1].memory.items() if k != "rounds"})
    told = [
        Observation(k, p, f) for k, p in enumerate([searcher.ask(old, k) for k in range(2)]) for f in objective([p])
    ]
    assert searcher.tell(old, told).memory["rounds"] == [-1] * 12 + [2, 2]


@pytest.mark.parametrize("tau", [None, 0.3])
def test_the_first_six_trials_are_the_portfolio_and_the_seventh_is_not(tau: float | None) -> None:
    searcher = ModelNewton(S2E, 2, 40, tau=tau)
    wanted = segment_means(portfolio(40, tau))
    for n_trials in (1, 3, 6):
        state, asked = searcher.init(), []
        for _ in range(6 // n_trials):
            points = [searcher.ask(state, k) for k in range(n_trials)]
            asked += points
            told = [Observation(k, p, f) for k, (p, f) in enumerate(zip(points, objective(points), strict=True))]
            state = searcher.tell(state, told)
        means = segment_means(S2E.curves(S2E.vectors(asked), 40))
        assert np.sqrt(np.square(means - wanted).mean(axis=1)).max() < 0.05
    assert searcher.ask(state, 0) not in asked
    assert len({searcher.ask(searcher.init(), k) for k in range(12)}) == 12  # a first round of more than six


def test_an_estimated_share_is_among_the_first_curves_and_does_not_drive_the_others_out() -> None:
    curves = portfolio(40, None, 0.2)
    assert [round(1 - float(curve[-1]), 2) for curve in curves] == [0.24, 0.2, 0.55, 0.3, 0.7, 0.15]
    np.testing.assert_array_equal(portfolio(40, 0.3, 0.2), portfolio(40, 0.3))
    searcher = ModelNewton(S2E, 2, 40, estimate=0.2)
    first = segment_means(S2E.curves(S2E.vectors([searcher.ask(searcher.init(), 0)]), 40))
    assert np.sqrt(np.square(first - segment_means(curves[:1])).mean()) < 0.05


def test_where_no_curve_is_searched_the_first_trials_are_spread_over_the_parameters() -> None:
    rate = parse_parameters({"train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2}})
    space = fixed((1.0, 0.5)).with_parameters(rate)
    state, rules = SearchState(0, (1.0, 1.0), {}), [ModelNewton(space, 0, 2, start=s) for s in ("portfolio", "spread")]
    first, second = ([rule.ask(state, k) for k in range(6)] for rule in rules)
    assert first == second
