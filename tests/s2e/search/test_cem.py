"""The cross-entropy method and the fit it rests on."""

import numpy as np
import pytest
from scipy.stats import dirichlet

from s2e.search.cem import KL_MAX, refitted
from s2e.search.distributions import with_shifted_mean_log
from s2e.search.space import S2E

THETA = np.full(36, 2.0)


def test_the_fit_is_the_maximum_of_the_likelihood() -> None:
    """By scipy's log density: every small change of theta lowers the mean log-likelihood of the samples."""
    rng, start = np.random.default_rng(0), np.ones(4)
    x = rng.dirichlet([2, 7, 1.5, 30], 50)
    shift = np.log(x).mean(axis=0) - np.log(rng.dirichlet(start, 1_000_000)).mean(axis=0)
    fitted = with_shifted_mean_log(start, shift)

    def likelihood(theta: np.ndarray) -> float:
        return float(np.mean([dirichlet.logpdf(row, theta) for row in x]))

    best = likelihood(fitted)
    for i in range(4):
        for factor in (0.9, 1.1):
            changed = fitted.copy()
            changed[i] *= factor
            assert likelihood(changed) < best


@pytest.mark.parametrize("level", [1.0, 5.0, 200.0])
def test_a_shift_between_two_densities_leads_from_one_to_the_other(level: float) -> None:
    start, end = np.full(36, level), np.linspace(1.1, 60, 36)
    x = S2E.sample(THETA, np.random.default_rng(0), 1)
    shift = S2E.score(start, x)[0] - S2E.score(end, x)[0]  # E_end[ln x] - E_start[ln x]
    np.testing.assert_allclose(S2E.with_shifted_moments(start, shift), end, rtol=1e-6)


def test_the_elite_becomes_more_likely_within_the_trust_region() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, f = S2E.sample(THETA, rng, 6), rng.uniform(size=6)
        new = refitted(S2E, THETA, x, f)
        elite = x[np.argsort(f)[:3]]
        assert S2E.log_prob(new, elite).mean() > S2E.log_prob(THETA, elite).mean()
        assert 0 < S2E.kl(new, THETA) <= KL_MAX


def test_equal_objectives_move_nothing() -> None:
    x = S2E.sample(THETA, np.random.default_rng(0), 6)
    np.testing.assert_array_equal(refitted(S2E, THETA, x, np.full(6, 0.3)), THETA)
