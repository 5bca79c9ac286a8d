"""ASNG against its formulas in plain loops."""

import math

import numpy as np
import pytest

from s2e.door import parse_job
from s2e.jobs import loop
from s2e.search.asng import Asng, utilities
from s2e.search.space import S2E
from s2e.words import Observation, RoundRecord, TrialResult


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
    assert (after.round, after.theta) == (1, state.theta)
    assert "delta" not in after.memory


def test_one_training_is_carried_through_all_rounds() -> None:
    """45 epochs are 15 stretches of 3: each continues the best trial before it, and the search costs K trainings."""
    searcher = Asng(S2E, 5, 45)
    sizes, state, epochs = searcher.plan(7, 4), Asng(S2E, 5, 45).init(), 0
    assert sizes == (4,) * 15
    for m in range(len(sizes)):
        parts = [searcher.fidelity(state, k) for k in range(4)]
        assert {part.epochs_of(45) for part in parts} == {3 * (m + 1)}
        assert {part.resume for part in parts} == {None if m == 0 else (m - 1, 2)}
        epochs += sum(part.epochs_of(45) - part.resumed_epochs for part in parts)
        told = [Observation(k, searcher.ask(state, k), abs(k - 2) / 10, failed=k == 1) for k in range(4)]
        state = searcher.tell(state, told)
    assert epochs == 4 * 45
    assert state.memory["shared"] is None


def test_a_stretch_in_which_all_failed_is_tried_again_on_the_same_networks() -> None:
    searcher = Asng(S2E, 5, 40)
    first = searcher.tell(
        searcher.init(), [Observation(k, searcher.ask(searcher.init(), k), 0.1 * k) for k in range(4)]
    )
    failed = [Observation(k, searcher.ask(first, k), 1.0, failed=True) for k in range(4)]
    assert searcher.fidelity(searcher.tell(first, failed), 0) == searcher.fidelity(first, 0)


def test_the_schedule_of_a_continued_trial_is_the_path_that_was_trained() -> None:
    spec = parse_job({"search": {"searcher": "asng", "n_trials": 3}, "train": {"n_epochs": 20}})
    history: list[RoundRecord] = []
    for _ in range(3):
        round_ = loop.next_round(spec, history)
        assert round_ is not None
        results = tuple(TrialResult(t.round, t.k, objective=0.1 * (t.k != 1) + 0.2) for t in round_.trials)
        history.append(RoundRecord(round_, results))
    first, second, third = (record.round.trials for record in history)
    for trial in third:
        assert trial.keep_rate[:1] == first[1].keep_rate[:1]
        assert trial.keep_rate[1:2] == second[1].keep_rate[1:2]
        assert (trial.init_seed, trial.order_seed) == (first[1].init_seed, first[1].order_seed)
    assert len({trial.keep_rate for trial in third}) == 3
