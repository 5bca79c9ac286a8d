"""The portfolio of a search's first trials, and the nearest point of a space to a curve."""

from itertools import pairwise

import numpy as np
import pytest

from s2e.schedule import coteaching_keep_rate
from s2e.search.portfolio import TAUS, nearest, portfolio
from s2e.search.space import S2E
from s2e.search.spaces import COTEACHING, MLP, RBF, S2E_EXTENDED
from s2e.search.surrogate import segment_means


def distance(space, curve, seed=0, n_epochs=60):
    x = nearest(space, curve, n_epochs, np.random.default_rng(seed))
    means = segment_means(np.stack([space.curves(x[None], n_epochs)[0], curve]))
    return float(np.sqrt(np.square(means[0] - means[1]).mean()))


SPACES = [(COTEACHING, 0.01), (S2E, 0.05), (S2E_EXTENDED, 0.06), (RBF, 0.12), (MLP, 0.12)]


@pytest.mark.parametrize(("space", "most"), SPACES)
def test_every_space_comes_near_to_the_curves(space, most):
    assert max(distance(space, curve) for curve in portfolio(60, None)) < most


def test_the_draws_around_the_best_come_nearer():
    """Against as many uniform draws."""
    curve, rng = np.array(coteaching_keep_rate(60, 0.6, 10)), np.random.default_rng(0)
    means = segment_means(S2E.curves(S2E.sample(np.ones(36), rng, 2_000), 60))
    uniform = np.sqrt(np.square(means - segment_means(curve[None])).mean(axis=1)).min()
    assert distance(S2E, curve) < 0.7 * uniform


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 200])
def test_the_portfolio_is_eq_1_at_any_length(n_epochs):
    curves = portfolio(n_epochs, None)
    assert curves.shape == (6, n_epochs)
    assert (curves[:, 0] == 1).all()
    if n_epochs > 3:
        np.testing.assert_allclose(1 - curves[:, -1], [tau for tau, _ in TAUS])


def test_any_prefix_of_the_portfolio_is_spread_over_tau():
    """No gap between neighbours, or to 0.05 and 0.8, is wider than half of the widest before it was split."""
    widest = []
    for n in range(1, 7):
        taus = sorted([0.05, 0.8, *(tau for tau, _ in TAUS[:n])])
        widest.append(max(b - a for a, b in pairwise(taus)))
    assert widest == sorted(widest, reverse=True)
    assert widest[-1] < 0.16


def test_a_known_share_of_wrong_labels_is_the_centre():
    ends = 1 - portfolio(60, 0.4)[:, -1]
    np.testing.assert_allclose(ends, [0.48, 0.4, 0.56, 0.28, 0.48, 0.4])
    assert (1 - portfolio(60, 0.9)[:, -1]).max() <= 0.95
