"""The contract of a space of schedules: usable curves, closed forms that agree, exact round trips."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

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
from s2e.testing.suite import Contract
from s2e.words import Observation, Point, parse, to_json

unhurried = settings(deadline=None)
unit = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 1e-300]), st.floats(0, 1))


class SpaceContract(Contract):
    """Set ``space``: a registered name, or a list.

    ``parameters`` are searched beside the schedule, as ``search.parameters`` of a job has them; ``free_start`` names
    spaces that do not promise R(0) = 1.
    """

    kind: ClassVar[str] = "space"
    space: ClassVar[str | Sequence[str]] = ()
    parameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    free_start: ClassVar[Collection[str]] = ()

    def make(self, space: str) -> Space:
        """The space under test."""
        made: Space = SPACES[space]().make()
        return made.with_parameters(parse_parameters(self.parameters)) if self.parameters else made

    def test_draws_lie_in_bounds_and_survive_text(self, space: str) -> None:
        made = self.make(space)

        def check(theta: np.ndarray, seed: int) -> None:
            x = made.sample(theta, np.random.default_rng(seed), 3)
            assert x.shape == (3, made.n_x)
            assert ((x > 0.99 * X_MIN) & (x < 1)).all()
            start = 0
            for block in made.blocks:
                if isinstance(block, Dirichlet):
                    np.testing.assert_allclose(x[:, start : start + block.n_x].sum(axis=1), 1, rtol=1e-12)
                start += block.n_x
            point = made.point(x[0])
            assert parse(Point, json.loads(json.dumps(to_json(point)))) == point
            np.testing.assert_array_equal(made.vectors([point])[0], x[0])

        _for_all(check, theta=_thetas(made), seed=st.integers(0, 2**32))

    def test_every_point_even_a_corner_gives_a_usable_curve(self, space: str) -> None:
        made = self.make(space)

        def check(x: np.ndarray, n_epochs: int) -> None:
            curve = made.curves(x, n_epochs)
            assert curve.shape == (2, n_epochs)
            # alpha is a simplex; other corners may sum to more than 1, but the curve stays usable
            assert ((curve >= R_MIN) & (curve <= 1)).all()
            if space not in self.free_start:
                assert (curve[:, 0] == 1).all()
            np.testing.assert_allclose(made.schedule(made.point(x[0]), n_epochs), curve[0], rtol=1e-12)

        _for_all(check, x=arrays(np.float64, (2, made.n_x), elements=unit), n_epochs=st.sampled_from([1, 2, 30, 200]))

    def test_it_starts_by_keeping_everything_unless_it_says_otherwise(self, space: str) -> None:
        made = self.make(space)
        start = made.curves(made.sample(made.initial_theta(), np.random.default_rng(0), 200), 20)[:, 0]
        assert bool((start == 1).all()) is (space not in self.free_start)

    @pytest.mark.parametrize("n_epochs", [1, 3, 20, 200])
    def test_features_are_the_segment_means_of_the_curve(self, space: str, n_epochs: int) -> None:
        """Exact where every epoch is looked at; four epochs of a long segment stand for it (a single basis: 0.042)."""
        made = self.make(space)
        x = made.sample(np.full(made.n_theta, 4.0), np.random.default_rng(1), 30)
        features, means = made.features(x, n_epochs), segment_means(made.curves(x, n_epochs))
        n_segments = means.shape[1]
        assert (features.shape[1] > n_segments) == bool(made.parameters)
        assert ((features >= 0) & (features <= 1)).all()
        np.testing.assert_allclose(features[:, :n_segments], means, rtol=1e-12, atol=1e-15 if n_epochs <= 20 else 0.05)

    def test_divergence_is_finite_and_not_negative(self, space: str) -> None:
        made = self.make(space)

        def check(new: np.ndarray, old: np.ndarray) -> None:
            divergence = made.kl(new, old)
            assert np.isfinite(divergence)
            assert divergence >= -1e-9
            assert made.kl(old, old) == pytest.approx(0, abs=1e-9)

        _for_all(check, new=_thetas(made), old=_thetas(made))

    def test_the_score_has_mean_zero_and_unit_covariance_when_whitened(self, space: str) -> None:
        """4000 draws: a mean has a standard error of 0.016, and |z|^2 / D one of about 0.01 (clipping moves it
        little)."""
        made = self.make(space)

        def check(theta: np.ndarray) -> None:
            z = made.score(theta, made.sample(theta, np.random.default_rng(0), 4000)) @ made.whitener(theta).T
            assert np.isfinite(z).all()
            assert np.abs(z.mean(axis=0)).max() < 0.09
            assert (z**2).mean() == pytest.approx(1, abs=0.1)

        _for_all(check, theta=arrays(np.float64, made.n_theta, elements=st.floats(THETA_MIN, 20)))

    def test_score_and_fisher_agree_with_finite_differences(self, space: str) -> None:
        made = self.make(space)
        theta = np.random.default_rng(0).uniform(THETA_MIN, 12, made.n_theta)
        x = made.sample(theta, np.random.default_rng(1), 3)
        steps = 1e-5 * np.eye(made.n_theta)
        score = np.transpose([(made.log_prob(theta + h, x) - made.log_prob(theta - h, x)) / 2e-5 for h in steps])
        np.testing.assert_allclose(made.score(theta, x), score, rtol=1e-6, atol=1e-7)
        hessian = np.array([(made.score(theta + h, x) - made.score(theta - h, x))[0] / 2e-5 for h in steps])
        np.testing.assert_allclose(-made.fisher(theta), hessian, rtol=1e-6, atol=1e-8)

    def test_every_searcher_walks_through_it(self, space: str) -> None:
        made = self.make(space)
        for name in SEARCHERS:
            rule: Searcher = SEARCHERS[name]().make(made, 3, 20)
            state = rule.init()
            for _ in range(2):
                points = [rule.ask(state, k) for k in range(4)]
                curves = made.curves(made.vectors(points), 20)
                told = [Observation(k, point, float((curves[k, -1] - 0.4) ** 2)) for k, point in enumerate(points)]
                state = rule.tell(state, told)
                theta = np.array(state.theta)
                assert ((theta >= THETA_MIN) & (theta <= THETA_MAX)).all(), name
            assert state.round == 2, name


def _for_all(check: Callable[..., None], **values: st.SearchStrategy[Any]) -> None:
    """Run ``check`` on many draws of its arguments."""
    unhurried(given(**values)(check))()


def _thetas(space: Space) -> st.SearchStrategy[np.ndarray]:
    entry = st.one_of(st.sampled_from([THETA_MIN, THETA_MAX]), st.floats(THETA_MIN, THETA_MAX))
    return arrays(np.float64, space.n_theta, elements=entry)
