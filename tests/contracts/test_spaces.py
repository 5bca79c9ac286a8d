"""What every space of the catalog promises: usable curves, closed forms that agree, exact round trips.

``fixed`` has nothing of its own, so it is tried with searched training parameters, and so is ``s2e``.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s2e.parts import SEARCHERS, SPACES
from s2e.schedule import R_MIN
from s2e.search.base import Searcher
from s2e.search.distributions import X_MIN, Dirichlet
from s2e.search.parameters import parse_parameters
from s2e.search.space import THETA_MAX, THETA_MIN, Space
from s2e.search.surrogate import segment_means
from s2e.words import Observation, Point, parse, to_json

WITH_PARAMETERS = "s2e with parameters"
PARAMETERS = {
    "train.batch_size": {"kind": "integer", "low": 32, "high": 40},
    "train.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-2},
    "train.params.gamma": {"kind": "linear", "low": 0.0, "high": 0.1},
    "train.params.fraction": {"kind": "choice", "values": [0.3, 0.4, 0.7]},
}
pytestmark = pytest.mark.parametrize("name", [*sorted(SPACES), WITH_PARAMETERS])
WITHOUT_FORM = {"rbf", "mlp"}
"""Spaces that do not promise R(0) = 1."""
quick = settings(deadline=None, max_examples=30)
unit = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-300]), st.floats(0, 1))


def space_of(name: str) -> Space:
    space: Space = SPACES[name.partition(" ")[0]].load()
    return space.with_parameters(parse_parameters(PARAMETERS)) if name in ("fixed", WITH_PARAMETERS) else space


def thetas(space: Space) -> st.SearchStrategy[np.ndarray]:
    entry = st.one_of(st.sampled_from([THETA_MIN, THETA_MAX]), st.floats(THETA_MIN, THETA_MAX))
    return arrays(np.float64, space.n_theta, elements=entry)


@quick
@given(data=st.data())
def test_draws_lie_in_bounds_and_survive_text(name: str, data: st.DataObject) -> None:
    space = space_of(name)
    theta = data.draw(thetas(space))
    x = space.sample(theta, np.random.default_rng(data.draw(st.integers(0, 2**32))), 3)
    assert x.shape == (3, space.n_x)
    assert ((x > 0.99 * X_MIN) & (x < 1)).all()
    start = 0
    for block in space.blocks:
        if isinstance(block, Dirichlet):
            np.testing.assert_allclose(x[:, start : start + block.n_x].sum(axis=1), 1, rtol=1e-12)
        start += block.n_x
    point = space.point(x[0])
    assert parse(Point, json.loads(json.dumps(to_json(point)))) == point
    np.testing.assert_array_equal(space.vectors([point])[0], x[0])


@quick
@given(data=st.data(), n_epochs=st.sampled_from([1, 2, 30, 200]))
def test_every_point_even_a_corner_gives_a_usable_curve(name: str, data: st.DataObject, n_epochs: int) -> None:
    space = space_of(name)
    x = data.draw(arrays(np.float64, (2, space.n_x), elements=unit))
    curve = space.curves(x, n_epochs)
    assert curve.shape == (2, n_epochs)
    # alpha is a simplex; corners that are none may sum to more than 1, but the curve stays usable
    assert ((curve >= R_MIN) & (curve <= 1)).all()
    if name not in WITHOUT_FORM:
        assert (curve[:, 0] == 1).all()
    np.testing.assert_allclose(space.schedule(space.point(x[0]), n_epochs), curve[0], rtol=1e-12)


def test_all_but_two_spaces_start_by_keeping_everything(name: str) -> None:
    space = space_of(name)
    start = space.curves(space.sample(space.initial_theta(), np.random.default_rng(0), 200), 20)[:, 0]
    assert bool((start == 1).all()) is (name not in WITHOUT_FORM)


@pytest.mark.parametrize("n_epochs", [1, 3, 20, 200])
def test_features_are_the_segment_means_of_the_curve(name: str, n_epochs: int) -> None:
    """Exact where every epoch is looked at; four epochs of a long segment stand for it (a single basis: 0.042)."""
    space = space_of(name)
    x = space.sample(np.full(space.n_theta, 4.0), np.random.default_rng(1), 30)
    features, means = space.features(x, n_epochs), segment_means(space.curves(x, n_epochs))
    n_segments = means.shape[1]
    assert features.shape == (30, n_segments + (6 if space.parameters else 0))
    assert ((features >= 0) & (features <= 1)).all()
    np.testing.assert_allclose(features[:, :n_segments], means, rtol=1e-12, atol=1e-15 if n_epochs <= 20 else 0.05)


@quick
@given(data=st.data())
def test_divergence_is_finite_and_not_negative(name: str, data: st.DataObject) -> None:
    space = space_of(name)
    new, old = data.draw(thetas(space)), data.draw(thetas(space))
    divergence = space.kl(new, old)
    assert np.isfinite(divergence)
    assert divergence >= -1e-9
    assert space.kl(old, old) == pytest.approx(0, abs=1e-9)


@quick
@given(data=st.data())
def test_the_score_has_mean_zero_and_unit_covariance_when_whitened(name: str, data: st.DataObject) -> None:
    """4000 draws: a mean has a standard error of 0.016, and |z|^2 / D one of about 0.01 (clipping moves it little)."""
    space = space_of(name)
    theta = data.draw(arrays(np.float64, space.n_theta, elements=st.floats(THETA_MIN, 20)))
    z = space.score(theta, space.sample(theta, np.random.default_rng(0), 4000)) @ space.whitener(theta).T
    assert np.isfinite(z).all()
    assert np.abs(z.mean(axis=0)).max() < 0.09
    assert (z**2).mean() == pytest.approx(1, abs=0.1)


def test_score_and_fisher_agree_with_finite_differences(name: str) -> None:
    space = space_of(name)
    theta = np.random.default_rng(0).uniform(THETA_MIN, 12, space.n_theta)
    x = space.sample(theta, np.random.default_rng(1), 3)
    steps = 1e-5 * np.eye(space.n_theta)
    score = np.transpose([(space.log_prob(theta + h, x) - space.log_prob(theta - h, x)) / 2e-5 for h in steps])
    np.testing.assert_allclose(space.score(theta, x), score, rtol=1e-6, atol=1e-7)
    hessian = np.array([(space.score(theta + h, x) - space.score(theta - h, x))[0] / 2e-5 for h in steps])
    np.testing.assert_allclose(-space.fisher(theta), hessian, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_every_searcher_walks_through_every_space(name: str, searcher: str) -> None:
    space = space_of(name)
    rule: Searcher = SEARCHERS[searcher]().make(space, 3, 20)
    state = rule.init()
    for _ in range(2):
        points = [rule.ask(state, k) for k in range(4)]
        curves = space.curves(space.vectors(points), 20)
        told = [Observation(k, p, float((curves[k, -1] - 0.4) ** 2)) for k, p in enumerate(points)]
        state = rule.tell(state, told)
        theta = np.array(state.theta)
        assert ((theta >= THETA_MIN) & (theta <= THETA_MAX)).all()
    assert state.round == 2
