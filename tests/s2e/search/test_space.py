"""The S2E space: order of its blocks, theta of 36, whitening, curves and the fan of p_theta."""

import numpy as np
import pytest

from s2e.schedule import keep_rate
from s2e.search import distributions
from s2e.search.space import S2E, THETA_MAX, THETA_MIN
from s2e.words import Point, SearchError


@pytest.fixture
def theta() -> np.ndarray:
    return np.random.default_rng(0).uniform(THETA_MIN, 12, S2E.n_theta)


def test_blocks_are_alpha_then_beta_row_by_row() -> None:
    names = [block.name for block in S2E.blocks]
    assert names[:6] == ["alpha", "beta[0][0]", "beta[0][1]", "beta[0][2]", "beta[0][3]", "beta[1][0]"]
    assert (len(names), S2E.n_theta, S2E.n_x) == (17, 36, 20)
    assert S2E.initial_theta().tolist() == [1.0] * 36


def test_score_is_the_gradient_of_log_prob(theta: np.ndarray) -> None:
    x = S2E.sample(theta, np.random.default_rng(1), 4)
    step = 1e-5 * np.eye(36)
    numeric = np.transpose([(S2E.log_prob(theta + h, x) - S2E.log_prob(theta - h, x)) / 2e-5 for h in step])
    np.testing.assert_allclose(S2E.score(theta, x), numeric, rtol=1e-6, atol=1e-7)


def test_the_hessian_of_log_prob_is_minus_fisher_at_every_x(theta: np.ndarray) -> None:
    x = S2E.sample(theta, np.random.default_rng(2), 3)
    step = 1e-5 * np.eye(36)
    hessian = np.array([(S2E.score(theta + h, x) - S2E.score(theta - h, x)) / 2e-5 for h in step])
    for k in range(3):
        np.testing.assert_allclose(-S2E.fisher(theta), hessian[:, k], rtol=1e-6, atol=1e-8)


def test_fisher_is_block_diagonal(theta: np.ndarray) -> None:
    blocks = S2E.fisher_blocks(theta)
    assert [len(block) for block in blocks] == [4] + [2] * 16
    dense = S2E.fisher(theta)
    np.testing.assert_array_equal(dense[4:6, 4:6], blocks[1])
    assert not dense[:4, 4:].any()


def test_one_sample_newton_is_natural_gradient(theta: np.ndarray) -> None:
    """(s s' - F)^-1 s = F^-1 s / (s' F^-1 s - 1) exactly."""
    s = S2E.score(theta, S2E.sample(theta, np.random.default_rng(3), 1))[0]
    fisher = S2E.fisher(theta)
    inverse = np.linalg.inv(fisher)
    newton = np.linalg.solve(np.outer(s, s) - fisher, s)
    np.testing.assert_allclose(newton, inverse @ s / (s @ inverse @ s - 1), rtol=1e-9)


@pytest.mark.parametrize("corner", ["low", "high", "mixed"])
def test_the_whitener_works_in_every_corner_of_theta(corner: str) -> None:
    mixed = np.where(np.arange(36) % 2, THETA_MIN, THETA_MAX)
    theta = {"low": np.full(36, THETA_MIN), "high": np.full(36, THETA_MAX), "mixed": mixed}[corner]
    w = S2E.whitener(theta)
    np.testing.assert_allclose(w @ S2E.fisher(theta) @ w.T, np.eye(36), atol=1e-9)


def test_kl_is_the_expected_log_ratio(theta: np.ndarray) -> None:
    other = theta * 1.2 + 0.1
    x = S2E.sample(theta, np.random.default_rng(4), 20_000)
    ratio = S2E.log_prob(theta, x) - S2E.log_prob(other, x)
    assert S2E.kl(theta, other) == pytest.approx(ratio.mean(), abs=5 * ratio.std() / np.sqrt(len(x)))
    assert S2E.kl(theta, theta) == pytest.approx(0, abs=1e-10)


def test_a_concentrated_density_samples_around_its_mean() -> None:
    theta = np.full(36, THETA_MAX)
    x = S2E.sample(theta, np.random.default_rng(5), 4000)
    np.testing.assert_allclose(x.mean(axis=0), S2E.mean(theta), atol=5e-3)
    np.testing.assert_array_equal(S2E.mean(np.ones(36)), [0.25] * 4 + [0.5] * 16)


def test_the_schedule_of_a_point_is_table_1() -> None:
    x = S2E.sample(np.ones(36), np.random.default_rng(6), 5)
    curves = S2E.curves(x, 30)
    assert curves.shape == (5, 30)
    for vector, curve in zip(x, curves, strict=True):
        np.testing.assert_array_equal(curve, keep_rate(vector[:4], vector[4:].reshape(4, 4), 30))
        assert S2E.schedule(S2E.point(vector), 30) == tuple(curve.tolist())


def test_a_point_survives_the_way_to_a_vector_and_back() -> None:
    x = S2E.sample(np.ones(36), np.random.default_rng(7), 3)
    np.testing.assert_array_equal(S2E.vectors([S2E.point(vector) for vector in x]), x)


@pytest.mark.parametrize("values", [(0.5,) * 19, (0.5,) * 21, (), (0.5,) * 19 + (float("nan"),)])
def test_a_point_of_another_space_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(SearchError, match="20 finite numbers"):
        S2E.schedule(Point(values), 10)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(SearchError, match="theta needs 36"):
        S2E.fisher(np.ones(35))
    with pytest.raises(SearchError, match="shape"):
        S2E.score(np.ones(36), np.ones(20))


@pytest.mark.parametrize(("n_epochs", "n_points"), [(1, 1), (2, 2), (60, 60), (200, 60)])
def test_the_fan_is_deterministic_ordered_and_thinned(n_epochs: int, n_points: int, theta: np.ndarray) -> None:
    epochs, rows = S2E.fan(theta, n_epochs)
    assert (epochs, rows) == S2E.fan(theta.tolist(), n_epochs)
    assert len(epochs) == n_points
    assert (epochs[0], epochs[-1]) == (0, n_epochs - 1)
    assert [len(row) for row in rows] == [n_points] * 5
    assert (np.diff(rows, axis=0) >= 0).all()
    assert [row[0] for row in rows] == [1.0] * 5


def test_the_fan_narrows_as_theta_grows() -> None:
    wide, narrow = (np.array(S2E.fan(np.full(36, t), 40)[1]) for t in (1.0, 100.0))
    assert ((narrow[4] - narrow[0])[1:] < (wide[4] - wide[0])[1:]).all()


def test_clipping_keeps_the_density_finite_everywhere() -> None:
    corners = np.array([[1.0, 0, 0, 0, *([0.0] * 16)], [0.0, 0, 0, 1, *([1.0] * 16)]])
    assert np.isfinite(S2E.log_prob(np.full(36, THETA_MAX), corners)).all()
    assert np.isfinite(S2E.score(np.full(36, THETA_MAX), corners)).all()
    assert distributions.X_MIN == 1e-6
