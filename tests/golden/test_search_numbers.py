"""Numbers of the search that were derived elsewhere: by hand, or by an independent calculation before this code."""

import numpy as np
import pytest
from scipy.special import digamma

from s2e.schedule import bases
from s2e.search.space import S2E

N_DRAWS = 20_000


@pytest.fixture(scope="module")
def uniform() -> np.ndarray:
    return S2E.sample(np.ones(36), np.random.default_rng(0), N_DRAWS)


def test_fisher_at_theta_one() -> None:
    """psi1(1) = pi^2/6 = 1.6449, psi1(2) = psi1(1) - 1, psi1(4) = psi1(1) - 1 - 1/4 - 1/9 = 0.2838.

    Dirichlet(4): diagonal psi1(1) - psi1(4), off-diagonal -psi1(4). Beta: diagonal 1, off-diagonal -psi1(2).
    Eigenvalues of a Beta block: 1 - 0.6449 and 1 + 0.6449; those of the Dirichlet block lie between.
    """
    psi1 = np.pi**2 / 6
    dirichlet, beta = S2E.fisher_blocks(np.ones(36))[:2]
    np.testing.assert_allclose(np.diag(dirichlet), psi1 - (psi1 - 1 - 1 / 4 - 1 / 9), rtol=1e-12)
    assert dirichlet[0, 0] == pytest.approx(1.3611, abs=5e-5)
    assert dirichlet[0, 1] == pytest.approx(-0.2838, abs=5e-5)
    assert beta[0, 0] == pytest.approx(1, abs=1e-12)
    assert beta[0, 1] == pytest.approx(-0.6449, abs=5e-5)
    eigenvalues = np.linalg.eigvalsh(S2E.fisher(np.ones(36)))
    assert eigenvalues.min() == pytest.approx(0.355, abs=5e-4)
    assert eigenvalues.max() == pytest.approx(1.645, abs=5e-4)


def test_score_at_theta_one() -> None:
    """s = ln x - psi(1) + psi(n): at x = 1/4, psi(4) - psi(1) = 1 + 1/2 + 1/3; at b = 1/2, psi(2) - psi(1) = 1."""
    score = S2E.score(np.ones(36), np.array([[0.25] * 4 + [0.5] * 16]))[0]
    np.testing.assert_allclose(score[:4], np.log(0.25) + 11 / 6, rtol=1e-12)
    np.testing.assert_allclose(score[4:], np.log(0.5) + 1, rtol=1e-12)
    assert digamma(4) - digamma(1) == pytest.approx(11 / 6)


def test_mean_curve_of_the_uniform_prior(uniform: np.ndarray) -> None:
    """T = 200. Both sides are Monte Carlo of 20,000 draws: 4 combined standard errors plus rounding."""
    t = np.array([1, 2, 5, 10, 20, 50, 100, 150, 199], dtype=float)
    published = [0.851, 0.786, 0.695, 0.641, 0.610, 0.604, 0.629, 0.658, 0.684]
    r = S2E.family(uniform, t, 200)
    error = 4 * np.sqrt(2 * r.var(axis=0) / N_DRAWS) + 0.0005
    assert (np.abs(r.mean(axis=0) - published) < error).all()
    assert 0.11 < r.std(axis=0)[0] < 0.13
    assert 0.20 < r.std(axis=0)[-1] < 0.22


def test_how_often_the_unclipped_prior_leaves_the_unit_interval(uniform: np.ndarray) -> None:
    """22 % of draws exceed 1 somewhere; 16 % keep more than 0.9 in the second half, 25 % under 0.5."""
    x = uniform[:3000]
    raw = (x[:, :4, None] * bases(x[:, 4:].reshape(-1, 4, 4), np.arange(1, 200), 200)).sum(axis=1)
    second_half = np.clip(raw[:, 99:], 0, 1).mean(axis=1)
    assert (raw > 1).any(axis=1).mean() == pytest.approx(0.22, abs=0.03)
    assert (second_half > 0.9).mean() == pytest.approx(0.16, abs=0.03)
    assert (second_half < 0.5).mean() == pytest.approx(0.25, abs=0.03)


def test_the_literal_hessian_of_six_trials_has_thirty_negative_eigenvalues(uniform: np.ndarray) -> None:
    """With f > 0 and K = 6 samples in D = 36, at most six eigenvalues are positive."""
    s = S2E.score(np.ones(36), uniform[:6])
    f = np.array([0.5, 0.42, 0.61, 0.55, 0.39, 0.47])
    hessian = np.einsum("k,ki,kj->ij", f, s, s) / 6 - f.mean() * S2E.fisher(np.ones(36))
    assert (np.linalg.eigvalsh(hessian) < 0).sum() == 30
