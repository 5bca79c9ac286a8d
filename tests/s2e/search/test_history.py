"""The history of model_newton: bounded, weighted by what is known of the noise."""

import json

import numpy as np
import pytest

from s2e.search import history
from s2e.search.history import History
from s2e.search.space import S2E
from s2e.words import Observation

POINTS = [S2E.point(x) for x in S2E.sample(np.ones(36), np.random.default_rng(0), 40)]


def features(x: np.ndarray) -> np.ndarray:
    return S2E.features(x, 40)


def told(objectives: list[float], first: int = 0, **more: object) -> list[Observation]:
    return [Observation(k, POINTS[first + k], f, **more) for k, f in enumerate(objectives)]  # type: ignore[arg-type]


def test_rounds_follow_each_other_and_survive_json() -> None:
    past = History.of({}, S2E.n_x).with_round(S2E, told([0.3, 0.2]), features)
    past = History.of(json.loads(json.dumps(past.to_memory())), S2E.n_x)
    past = past.with_round(S2E, told([0.5], first=2)[::-1], features)
    assert past.objective_N.tolist() == [0.3, 0.2, 0.5]
    assert past.points_NX.tolist() == [list(p.values) for p in POINTS[:3]]
    assert past.weight_N.tolist() == [1, 1, 1]


def test_a_failed_trial_counts_as_the_worst_known() -> None:
    before = History.of({}, S2E.n_x).with_round(S2E, told([0.3, 0.7]), features)
    after = before.with_round(
        S2E, [Observation(0, POINTS[2], 0.1, failed=True), Observation(1, POINTS[3], 0.2)], features
    )
    assert after.objective_N.tolist() == [0.3, 0.7, 0.7, 0.2]


def test_a_trial_is_worth_what_its_standard_error_says() -> None:
    """Errors 0.02, 0.04, 0.08: the unit is their median, so the first is worth (0.04 / 0.02)^2 = 4 trainings."""
    errors = [0.02, 0.04, 0.08]
    first = [Observation(k, POINTS[k], 0.3, noise=error) for k, error in enumerate(errors)]
    past = History.of({}, S2E.n_x).with_round(S2E, first, features)
    np.testing.assert_allclose(past.weight_N, [4, 1, 0.25])
    later = past.with_round(S2E, [Observation(0, POINTS[5], 0.3, noise=0.4), Observation(1, POINTS[6], 0.3)], features)
    np.testing.assert_allclose(later.weight_N, [4, 1, 0.25, 0.01, 1])
    tiny = past.with_round(S2E, [Observation(0, POINTS[5], 0.3, noise=1e-200)], features)
    assert tiny.weight_N[-1] == history.PRECISIONS[1] ** 2


def test_a_long_history_keeps_every_trial_in_a_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "N_HISTORY", 10)
    objectives = np.random.default_rng(1).random(40)
    past = History.of({}, S2E.n_x)
    for first in range(0, 40, 4):
        past = past.with_round(S2E, told(objectives[first : first + 4].tolist(), first), features)
        assert len(past) <= 10
    assert past.weight_N.sum() == 40
    assert past.weight_N @ past.objective_N == pytest.approx(objectives.sum())
    assert list(POINTS[-1].values) in past.points_NX.tolist()


def test_means_of_huge_objectives_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "N_HISTORY", 2)
    past = History.of({}, S2E.n_x).with_round(S2E, told([1.7e308] * 6), features)
    assert past.objective_N == pytest.approx(np.full(len(past), 1.7e308))
