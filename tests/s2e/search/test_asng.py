"""ASNG against its formulas in plain loops."""

import math

import numpy as np
import pytest

from s2e.search.asng import Asng, utilities
from s2e.search.space import S2E
from s2e.spec import Observation


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        ([0.3, 0.1], [-1, 1]),
        ([0.4, 0.1, 0.2, 0.3], [-1, 1, 0, 0]),
        ([0.5, 0.1, 0.4, 0.2, 0.3, 0.6], [-0.5, 0.5, 0, 0.5, 0, -0.5]),
        ([0.1, 0.1, 0.2, 0.3], [0.5, 0.5, 0, -1]),
        ([0.2, 0.2, 0.2], [0, 0, 0]),
    ],
)
def test_utilities(objectives: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(utilities(np.array(objectives)), expected, atol=1e-15)


def test_two_steps_by_dense_linear_algebra() -> None:
    """theta, delta, s and gamma after two rounds; S2E's 36 entries start at 1, their lower bound."""
    searcher, n_theta = Asng(S2E, 5, 30), 36
    state = searcher.init()
    theta, s, gamma, step_length = np.ones(n_theta), np.zeros(n_theta), 0.0, 1.0
    for _ in range(2):
        points = [searcher.ask(state, k) for k in range(6)]
        objective = [float(np.square(np.array(point.values) - 0.3).sum()) for point in points]
        state = searcher.tell(state, [Observation(k, points[k], f) for k, f in enumerate(objective)])
        fisher = S2E.fisher(theta)
        root = np.linalg.cholesky(fisher)
        natural = np.zeros(n_theta)
        for utility, point in zip(utilities(np.array(objective)), points, strict=True):
            natural += utility * np.linalg.solve(fisher, S2E.score(theta, np.array([point.values]))[0]) / 6
        length = math.sqrt(natural @ fisher @ natural)
        direction = root.T @ natural / length
        theta = np.clip(theta + step_length * natural / length, 1, 200)
        beta = step_length / math.sqrt(n_theta)
        s = (1 - beta) * s + math.sqrt(beta * (2 - beta)) * direction
        gamma = (1 - beta) ** 2 * gamma + beta * (2 - beta)
        step_length /= math.exp(beta * (gamma - s @ s / 1.5))
        np.testing.assert_allclose(state.theta, theta, rtol=1e-9)
        np.testing.assert_allclose(state.memory["s"], s, rtol=1e-8, atol=1e-12)
        assert state.memory["gamma"] == pytest.approx(gamma)
        assert state.memory["delta"] == pytest.approx(step_length)


def test_a_round_that_ranks_nothing_moves_nothing() -> None:
    searcher = Asng(S2E, 5, 30)
    state = searcher.init()
    after = searcher.tell(state, [Observation(k, searcher.ask(state, k), 0.4) for k in range(4)])
    assert (after.round, after.theta, after.memory) == (1, state.theta, state.memory)
