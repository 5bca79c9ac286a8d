"""The Gaussian process over R(t), and the recommendation drawn from it."""

import numpy as np
import pytest

from s2e.schedule import coteaching_keep_rate
from s2e.search import surrogate
from s2e.search.space import S2E
from s2e.search.surrogate import (
    CurveSurrogate,
    Hyperparameters,
    Surrogate,
    matern52,
    recommend,
    segment_means,
    standardised,
)
from s2e.words import SearchError


def mean_and_variance(fit: Surrogate, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, covariance = fit.posterior(features)
    return mean, np.diag(covariance)


def curves(n: int, n_epochs: int = 40, seed: int = 0) -> np.ndarray:
    return S2E.curves(S2E.sample(np.ones(36), np.random.default_rng(seed), n), n_epochs)


def objective(curve: np.ndarray) -> np.ndarray:
    """A smooth function of the curve, lowest for one that ends near 0.4."""
    return 0.3 + (curve[..., 20:].mean(axis=-1) - 0.4) ** 2 + 0.3 * (curve[..., 5] - 0.6) ** 2


def test_segment_means_by_hand() -> None:
    """T = 100: borders at 0, 3, 10, 20, 33, 50, 67, 84, 100; with R(t) = t a mean is (first + last) / 2."""
    means = segment_means(np.arange(100.0)[None])
    np.testing.assert_allclose(means, [[1, 6, 14.5, 26, 41, 58, 75, 91.5]])


@pytest.mark.parametrize("n_epochs", range(1, 40))
def test_short_trainings_merge_empty_segments(n_epochs: int) -> None:
    means = segment_means(np.full((2, n_epochs), 0.7))
    assert 1 <= means.shape[1] <= min(n_epochs, 8)
    np.testing.assert_allclose(means, 0.7)


def test_standardised_compresses_what_is_bad_and_keeps_the_order() -> None:
    f = np.array([0.2, 0.25, 0.3, 0.35, 5.0])
    z = standardised(f)
    assert z.mean() == pytest.approx(0, abs=1e-12)
    assert z.std() == pytest.approx(1)
    assert (np.diff(z) > 0).all()
    plain = (f - f.mean()) / f.std()
    assert z[4] < plain[4]
    np.testing.assert_array_equal(standardised([0.4, 0.4, 0.4]), 0)


def test_matern52_by_hand() -> None:
    assert matern52(np.array(0.0)) == 1
    assert matern52(np.array(1.0)) == pytest.approx((1 + 5**0.5 + 5 / 3) * np.exp(-(5**0.5)))


def test_the_posterior_is_the_textbook_formula() -> None:
    r, asked = curves(12), curves(3, seed=1)
    gp = CurveSurrogate(r, objective(r))
    mean, variance = mean_and_variance(gp, segment_means(asked))

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        distance = np.linalg.norm(segment_means(a)[:, None] - segment_means(b)[None], axis=-1)
        return (1 - gp.noise_share) * matern52(distance / gp.lengthscale)

    inverse = np.linalg.inv(covariance(r, r) + gp.noise_share * np.eye(12))
    cross = covariance(asked, r)
    np.testing.assert_allclose(mean, cross @ inverse @ standardised(objective(r)), atol=1e-8)
    np.testing.assert_allclose(variance, np.diag(covariance(asked, asked) - cross @ inverse @ cross.T), atol=1e-8)


def test_the_chosen_parameters_have_the_highest_likelihood() -> None:
    """log N(y; 0, K) of every grid point by scipy, without this module's factorisations."""
    from scipy.stats import multivariate_normal

    r = curves(15)
    y = standardised(objective(r))
    distance = np.linalg.norm(segment_means(r)[:, None] - segment_means(r)[None], axis=-1)
    grid = {
        (ell, share): multivariate_normal.logpdf(y, cov=(1 - share) * matern52(distance / ell) + share * np.eye(15))
        for ell in surrogate.LENGTHSCALES
        for share in surrogate.NOISE_SHARES
    }
    gp = CurveSurrogate(r, objective(r))
    assert (gp.lengthscale, gp.noise_share) == max(grid, key=grid.__getitem__)


def test_it_predicts_schedules_it_has_not_seen() -> None:
    r, asked = curves(40), curves(200, seed=1)
    mean, variance = mean_and_variance(CurveSurrogate(r, objective(r)), segment_means(asked))
    assert np.corrcoef(mean, objective(asked))[0, 1] > 0.9
    assert (variance >= -1e-12).all()
    assert (variance <= 1).all()


def test_pure_noise_is_recognised() -> None:
    r, rng = curves(60), np.random.default_rng(3)
    noisy = CurveSurrogate(r, rng.normal(size=60))
    clean = CurveSurrogate(r, objective(r))
    assert noisy.noise_share >= 0.5
    assert clean.noise_share == 0.01


def test_one_lucky_run_is_not_recommended() -> None:
    """Ten trainings of a good schedule around 0.30, ten of a bad one around 0.40 of which one was lucky with 0.29."""
    good, bad = coteaching_keep_rate(40, 0.5, 4), coteaching_keep_rate(40, 0.1, 4)
    spread = np.linspace(-0.004, 0.004, 10)
    objectives = [*(0.30 + spread), *(0.40 + spread)]
    objectives[15] = 0.29
    assert np.argmin(objectives) == 15
    assert recommend([good] * 10 + [bad] * 10, objectives) == 0


def test_without_noise_the_best_is_recommended() -> None:
    r = curves(30)
    best = recommend(r.tolist(), objective(r).tolist())
    assert objective(r)[best] <= np.sort(objective(r))[2]


@pytest.mark.parametrize("n", [1, 2, 7])
def test_equal_objectives_recommend_the_first(n: int) -> None:
    assert recommend(curves(n).tolist(), [0.3] * n) == 0


def test_a_single_epoch_can_be_asked_about() -> None:
    assert recommend([(1.0,), (1.0,), (1.0,)], [0.3, 0.1, 0.2]) == 0  # R(0) = 1: all schedules are the same one


def test_repeated_schedules_count_as_one_schedule() -> None:
    r = curves(3).tolist()
    assert recommend([r[0], r[1], r[2], r[2]], [0.5, 0.3, 0.2, 0.2]) == 2


def test_of_equal_schedules_the_first_is_recommended() -> None:
    """Their posterior means differ by rounding only, which must not decide."""
    for seed in range(40):
        r = np.tile(curves(9, seed=seed), (3, 1))
        assert recommend(r.tolist(), np.random.default_rng(seed).normal(size=27).tolist()) < 9


def test_long_histories_are_averaged_and_all_schedules_compete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "N_MAX", 20)
    r = curves(59)
    fit = CurveSurrogate(r, objective(r))
    assert len(fit._score_N) <= 20
    assert (1 / fit._noise_N).sum() == pytest.approx(59)  # no trial is left out
    best = recommend(r.tolist(), objective(r).tolist())
    assert objective(r)[best] < np.quantile(objective(r), 0.2)


def test_a_mean_of_n_scores_counts_like_n_scores() -> None:
    """Nine scores of one schedule, given one by one or as their mean with a ninth of the noise."""
    features, rng = segment_means(curves(12)), np.random.default_rng(0)
    chosen = Hyperparameters(0.4, 0.5)
    score, repeated = rng.normal(size=12), rng.normal(size=9)
    one_by_one = Surrogate(
        np.concatenate([features, np.repeat(features[:1], 9, axis=0)]), np.concatenate([score, repeated]), chosen
    )
    as_mean = Surrogate(
        np.concatenate([features, features[:1]]),
        np.append(score, repeated.mean()),
        chosen,
        noise_N=np.append(np.ones(12), 1 / 9),
    )
    asked = segment_means(curves(5, seed=1))
    first, second = (np.array(mean_and_variance(fit, asked)) for fit in (one_by_one, as_mean))
    np.testing.assert_allclose(first, second, atol=1e-10)


def test_a_related_search_is_used_and_an_unrelated_one_forgotten() -> None:
    """Six scores here, sixty of an earlier search whose objective is the same, or runs the other way round."""
    few, many, asked = (segment_means(curves(n, seed=seed)) for n, seed in ((6, 0), (60, 1), (100, 2)))

    def score(features: np.ndarray, sign: float = 1) -> np.ndarray:
        return sign * (features[:, 5] - 0.7) / 0.1

    def fit(sign: float) -> Surrogate:
        features, values = np.concatenate([few, many]), np.concatenate([score(few), score(many, sign)])
        return Surrogate(features, values, earlier_N=np.arange(66) >= 6)

    alone = Surrogate(few, score(few))
    error = {name: np.abs(g.mean(asked) - score(asked)).mean() for name, g in (("alone", alone), ("same", fit(1)))}
    assert fit(1).hyperparameters.relatedness == max(surrogate.RELATEDNESS)
    assert error["same"] < 0.5 * error["alone"]
    assert fit(-1).hyperparameters.relatedness == 0
    assert np.corrcoef(fit(-1).mean(asked), alone.mean(asked))[0, 1] > 0.9


def test_the_mean_of_an_earlier_search_does_not_matter() -> None:
    """Each search is standardised by itself: one that saw good schedules only is offset against the other."""
    few, many, asked = (segment_means(curves(n, seed=seed)) for n, seed in ((12, 0), (60, 1), (100, 2)))
    score = [(features[:, 5] - 0.7) / 0.1 for features in (few, many)]
    order = [
        np.argsort(
            Surrogate(
                np.concatenate([few, many]),
                np.concatenate([score[0] + offset, score[1]]),
                Hyperparameters(0.8, 0.05, 0.9),
                earlier_N=np.arange(72) >= 12,
            ).mean(asked)
        )
        for offset in (0.0, 1.0)
    ]
    assert np.corrcoef(*np.argsort(order, axis=1))[0, 1] > 0.95


def test_it_is_deterministic() -> None:
    r = curves(25)
    first, second = (mean_and_variance(CurveSurrogate(r, objective(r)), segment_means(r)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("keep_rates", "objectives", "message"),
    [
        ([], [], "schedules of one length"),
        ([(1.0, 0.5)], [float("nan")], "finite"),
        ([(1.0, 0.5)], [0.1, 0.2], "1 schedules but 2 objectives"),
    ],
)
def test_what_cannot_be_used_is_refused(keep_rates: list, objectives: list, message: str) -> None:
    with pytest.raises(SearchError, match=message):
        recommend(keep_rates, objectives)


def test_a_round_has_a_random_intercept_that_is_integrated_out() -> None:
    """Against the joint normal of curves' scores f, intercepts b of the rounds and errors e: y = f + Z b + e. A score
    of no round has all its noise to itself; one of n trainings, an n-th of what is not the round's."""
    r, asked = curves(9), segment_means(curves(3, seed=1))
    rounds, noise = np.array([0, 0, 0, 1, 1, 2, 2, 2, -1]), np.array([1.0, 1, 0.5, 1, 1, 1, 1, 1, 0.25])
    y, chosen = standardised(objective(r)), Hyperparameters(0.4, 0.5, round_share=0.3)
    fit = Surrogate(segment_means(r), y, chosen, noise_N=noise, round_N=rounds)
    both = np.concatenate([asked, segment_means(r)])
    distance = np.linalg.norm(both[:, None] - both[None], axis=-1)
    z = (rounds[:, None] == np.arange(3)).astype(float)
    error = 0.5 * np.where(rounds >= 0, 0.7, 1.0) * noise
    prior = np.zeros((12 + 3 + 9, 12 + 3 + 9))
    prior[:12, :12] = 0.5 * matern52(distance / 0.4)
    prior[12:15, 12:15] = 0.5 * 0.3 * np.eye(3)
    prior[15:, 15:] = np.diag(error)
    seen = np.concatenate([np.zeros((9, 3)), np.eye(9), z, np.eye(9)], axis=1)
    gain = prior @ seen.T @ np.linalg.inv(seen @ prior @ seen.T)
    mean, covariance = fit.posterior(asked)
    np.testing.assert_allclose(mean, (gain @ y)[:3], atol=1e-10)
    np.testing.assert_allclose(covariance, (prior - gain @ seen @ prior)[:3, :3], atol=1e-10)


def test_a_lucky_round_is_recognised() -> None:
    """Five rounds of twelve, each with its own luck: the fit finds that they share it and forgives an unlucky round.
    The recommendation is of a schedule nearer to the best one than without rounds."""
    rng, better = np.random.default_rng(0), 0
    shares = []
    for seed in range(10):
        r = curves(60, seed=seed)
        rounds, luck = np.repeat(np.arange(5), 12), np.repeat(rng.normal(0, 0.05, 5), 12)
        f = objective(r) + luck + rng.normal(0, 0.02, 60)
        fit = CurveSurrogate(r, f, round_N=rounds.tolist())
        shares.append(fit.hyperparameters.round_share)
        regret = [objective(r[recommend(r.tolist(), f.tolist(), rounds=known)]) for known in (rounds.tolist(), None)]
        better += int(regret[0] < regret[1]) - int(regret[0] > regret[1])
    assert np.median(shares) == max(surrogate.ROUND_SHARES)
    assert better > 0


def test_rounds_that_share_nothing_are_left_alone() -> None:
    rng, shares = np.random.default_rng(1), []
    for seed in range(11):
        r = curves(60, seed=seed)
        f = objective(r) + rng.normal(0, 0.1, 60)
        shares.append(CurveSurrogate(r, f, round_N=[i // 6 for i in range(60)]).hyperparameters.round_share)
    assert np.median(shares) == 0.0
    alone = CurveSurrogate(r, f, round_N=list(range(60)))  # one trial a round: nothing to tell it by
    np.testing.assert_array_equal(alone.posterior_mean(r), CurveSurrogate(r, f).posterior_mean(r))


def test_neighbours_of_several_rounds_belong_to_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "N_MAX", 4)
    r = np.repeat(curves(4), 2, axis=0)
    owner = surrogate.neighbours(segment_means(r), 4)
    assert len(set(owner.tolist())) == 4
    common = surrogate.common_round(np.array([0, 0, 0, 1, 1, 1, 1, 2]), owner)
    assert sorted(common.tolist()) == [surrogate.NO_ROUND, surrogate.NO_ROUND, 0, 1]
