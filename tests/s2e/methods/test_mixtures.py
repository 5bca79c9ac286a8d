"""Mixtures of losses: Gaussians against scikit-learn's EM, Betas against a plain numpy loop with scipy's density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import GaussianMixture

from s2e.methods.mixtures import fit_two_betas, low_loss_posterior, unit_range


def losses(seed, n=600, noisy=0.4):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(n) < noisy, rng.gamma(9, 0.4, n), rng.gamma(1.2, 0.3, n))


STACK = np.stack([losses(0), losses(1, noisy=0.1), losses(2, noisy=0.7)])


def sklearn_posterior(loss_S):
    """From the same 2-means clusters; scikit-learn wants their moments."""
    x = (loss_S - loss_S.min()) / (loss_S.max() - loss_S.min())
    centre = np.array([x.min(), x.max()])
    for _ in range(100):
        upper = x > centre.mean()
        centre = np.array([x[~upper].mean(), x[upper].mean()])
    variance = np.array([x[~upper].var(), x[upper].var()]) + 5e-4
    mixture = GaussianMixture(
        2,
        max_iter=10,
        tol=1e-2,
        reg_covar=5e-4,
        weights_init=[1 - upper.mean(), upper.mean()],
        means_init=centre[:, None],
        precisions_init=1 / variance[:, None, None],
    ).fit(x[:, None])
    return mixture.predict_proba(x[:, None])[:, mixture.means_.argmin()]


def test_gaussians_are_those_of_scikit_learn():
    posterior_LS = low_loss_posterior(unit_range(torch.from_numpy(STACK))).numpy()
    for loss_S, posterior_S in zip(STACK, posterior_LS, strict=True):
        np.testing.assert_allclose(posterior_S, sklearn_posterior(loss_S), rtol=0, atol=1e-10)


def test_gaussians_agree_with_scikit_learns_own_start():
    x = (STACK[0] - STACK[0].min()) / np.ptp(STACK[0])
    mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=0).fit(x[:, None])
    theirs = mixture.predict_proba(x[:, None])[:, mixture.means_.argmin()]
    ours = low_loss_posterior(unit_range(torch.from_numpy(STACK[:1])))[0].numpy()
    assert np.mean((theirs > 0.5) == (ours > 0.5)) == 1
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def plain_betas(loss_S):
    """Arazo et al.'s fit, one loop with scipy's density; returns the lookup table and the range."""
    low, high = np.percentile(loss_S, 5), np.percentile(loss_S, 95)
    inside = loss_S[(loss_S >= low) & (loss_S <= high)]
    low += 1e-5
    x = (inside - low) / (high - low + 1e-6)
    x = np.array([0.999 if v >= 1 else 0.001 if v <= 0 else min(max(v, 1e-4), 1 - 1e-4) for v in x])
    a, b, weight = [1.0, 2.0], [2.0, 1.0], [0.5, 0.5]
    for _ in range(10):
        r = np.array([np.maximum(weight[y] * stats.beta.pdf(x, a[y], b[y]), 1e-12) for y in range(2)])
        r /= r.sum(0)
        for y in range(2):
            m = np.average(x, weights=r[y])
            v = np.average((x - m) ** 2, weights=r[y])
            a[y] = m * (m * (1 - m) / v - 1)
            b[y] = a[y] * (1 - m) / m
        weight = r.sum(1) / r.sum()
    grid = np.linspace(1e-12, 1 - 1e-12, 100)
    joint = [weight[y] * stats.beta.pdf(grid, a[y], b[y]) for y in range(2)]
    noisy = joint[1] / (joint[0] + joint[1] + 1e-12)
    noisy[noisy.argmax() :] = noisy.max()
    return noisy, low, high


def test_betas_are_those_of_the_plain_loop():
    mixture = fit_two_betas(torch.from_numpy(STACK))
    for i, loss_S in enumerate(STACK):
        noisy, low, high = plain_betas(loss_S)
        np.testing.assert_allclose(mixture.noisy_LR[i], noisy, rtol=0, atol=1e-9)
        assert (mixture.low_L[i].item(), mixture.high_L[i].item()) == pytest.approx((low, high), abs=1e-12)


def test_the_lookup_reads_the_cell_of_the_scaled_loss():
    mixture = fit_two_betas(torch.from_numpy(STACK))
    noisy, low, high = plain_betas(STACK[0])
    asked = np.array([-5.0, low + 0.305 * (high - low), high + 50])
    cells = [0, 30, 99]
    answer = mixture.noisy_posterior(torch.from_numpy(np.stack([asked] * 3)))[0]
    np.testing.assert_allclose(answer, np.clip(noisy[cells], 1e-4, 1 - 1e-4), atol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 2.5])
def test_equal_losses_give_numbers(constant):
    loss_LS = torch.full((2, 50), constant)
    assert low_loss_posterior(unit_range(loss_LS)).isfinite().all()
    assert fit_two_betas(loss_LS).noisy_posterior(loss_LS).isfinite().all()


def test_a_vector_does_not_see_the_others():
    stack = unit_range(torch.from_numpy(STACK))
    torch.testing.assert_close(low_loss_posterior(stack)[1:2], low_loss_posterior(stack[1:2]), rtol=0, atol=1e-12)
    together, alone = fit_two_betas(stack), fit_two_betas(stack[1:2])
    torch.testing.assert_close(together.noisy_LR[1:2], alone.noisy_LR, rtol=0, atol=1e-12)
