"""CMA-ES as a pure rule against the package's own optimiser."""

import numpy as np
import pytest
from cmaes import CMA

from s2e.search import optional as optional_module
from s2e.search.cma_es import SIGMA, CmaEs
from s2e.search.space import S2E
from s2e.search.spaces import SINGLE1
from s2e.words import Observation, Point, SearchError


def error(point: Point) -> float:
    return float(np.square(np.array(point.values) - 0.3).sum())


def test_the_state_is_that_of_the_package_told_the_same_solutions() -> None:
    """In a space of Betas alone, a point is its own place in the cube."""
    searcher = CmaEs(SINGLE1, 3, 30)
    state = searcher.init()
    package = CMA(mean=np.full(4, 0.5), sigma=SIGMA, bounds=np.tile([0.0, 1.0], (4, 1)), population_size=6)
    for _ in range(8):
        points = [searcher.ask(state, k) for k in range(6)]
        state = searcher.tell(state, [Observation(k, point, error(point)) for k, point in enumerate(points)])
        package.tell([(np.array(point.values), error(point)) for point in points])
        np.testing.assert_allclose(state.memory["mean"], package.mean, rtol=1e-12)
        np.testing.assert_allclose(state.memory["covariance"], package._C, rtol=1e-9, atol=1e-12)
        assert state.memory["sigma"] == pytest.approx(package._sigma)


def test_it_finds_the_minimum_of_a_sphere() -> None:
    searcher = CmaEs(SINGLE1, 3, 30)
    state = searcher.init()
    for _ in range(25):
        points = [searcher.ask(state, k) for k in range(8)]
        state = searcher.tell(state, [Observation(k, point, error(point)) for k, point in enumerate(points)])
    np.testing.assert_allclose(state.memory["mean"], 0.3, atol=0.02)


def test_equal_objectives_keep_the_density() -> None:
    searcher = CmaEs(S2E, 3, 30)
    state = searcher.init()
    after = searcher.tell(state, [Observation(k, searcher.ask(state, k), 0.5) for k in range(4)])
    assert (after.round, after.memory) == (1, {})


def test_points_that_it_did_not_ask_are_placed_too() -> None:
    searcher = CmaEs(S2E, 3, 30)
    other = CmaEs(S2E, 4, 30)
    state = searcher.init()
    points = [other.ask(state, k) for k in range(4)]
    after = searcher.tell(state, [Observation(k, point, error(point)) for k, point in enumerate(points)])
    assert np.isfinite(after.memory["mean"]).all()
    assert after.memory["generation"] == 1


def test_a_missing_package_is_named_before_any_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(optional_module.importlib, "import_module", nowhere)
    with pytest.raises(SearchError, match="searcher cmaes needs the package cmaes: pip install"):
        CmaEs(S2E, 3, 30).init()
