"""The rung of little data: its plan and cost, who is trained in full, and what the surrogate is told."""

from __future__ import annotations

import numpy as np
import pytest

from s2e.search.model_newton import ModelNewton
from s2e.search.space import S2E
from s2e.search.subset_rung import DATA_SHARE, SubsetRung
from s2e.words import FULL, Fidelity, Observation, Point, SearchState, SpecError

K, T = 6, 30


def error(point: Point) -> float:
    return float(np.mean((np.array(S2E.schedule(point, T)) - 0.5) ** 2))


def pair(searcher: SubsetRung, state: SearchState, offset: float = 0.2) -> tuple[SearchState, SearchState]:
    """A rung, whose errors are larger by ``offset``, and the full trainings after it."""
    points = [searcher.ask(state, k) for k in range(K)]
    rung = searcher.tell(state, [Observation(k, p, error(p) + offset) for k, p in enumerate(points)])
    best = [searcher.ask(rung, k) for k in range(2)]
    assert best == sorted(points, key=error)[:2]
    return rung, searcher.tell(rung, [Observation(k, p, error(p)) for k, p in enumerate(best)])


def test_a_pair_of_rounds_costs_little_more_than_half() -> None:
    searcher = SubsetRung(S2E, 0, T)
    assert searcher.plan(10, 6) == (6, 2) * 10
    rung, full = searcher.init(), pair(searcher, searcher.init())[0]
    assert searcher.fidelity(rung, 0) == Fidelity(data_share=DATA_SHARE)
    assert searcher.fidelity(full, 0) == FULL
    assert pytest.approx(0.58, abs=0.005) == (6 * DATA_SHARE + 2) / 6


def test_the_surrogate_is_told_what_model_newton_would_be_told_had_all_been_trained_in_full() -> None:
    """The rung's offset is found from the two trials that have both, so four others count as if trained in full."""
    searcher, plain = (rule(S2E, 3, T, round_effect=False) for rule in (SubsetRung, ModelNewton))
    _, after = pair(searcher, searcher.init())
    points = sorted((plain.ask(plain.init(), k) for k in range(K)), key=error)
    expected = plain.tell(
        SearchState(1, plain.init().theta, {}), [Observation(k, p, error(p)) for k, p in enumerate(points)]
    )
    assert after.theta == pytest.approx(expected.theta, rel=1e-6)
    assert after.memory["shift"] == pytest.approx(-0.2)
    assert after.round == 2


def test_the_rung_and_the_full_trainings_are_two_rounds() -> None:
    """They share no data order."""
    _, after = pair(SubsetRung(S2E, 3, T), SubsetRung(S2E, 3, T).init())
    assert after.memory["rounds"] == [1, 1, 0, 0, 0, 0]


def test_failed_trials_are_neither_continued_nor_compared() -> None:
    searcher = SubsetRung(S2E, 0, T)
    points = [searcher.ask(searcher.init(), k) for k in range(K)]
    best = min(range(K), key=lambda k: error(points[k]))
    told = [Observation(k, p, error(p), failed=k == best) for k, p in enumerate(points)]
    rung = searcher.tell(searcher.init(), told)
    assert points[best] not in [searcher.ask(rung, k) for k in range(K - 1)]
    full = [Observation(k, searcher.ask(rung, k), 9.0, failed=True) for k in range(2)]
    assert searcher.tell(rung, full).memory["shift"] == 0.0


def test_the_search_gets_nearer_over_its_rounds() -> None:
    searcher = SubsetRung(S2E, 1, T)
    state, errors = searcher.init(), []
    for _ in range(6):
        rung, state = pair(searcher, state)
        errors.append(error(searcher.ask(rung, 0)))
    assert min(errors[3:]) < min(errors[:1])


def test_one_trial_a_round_is_refused() -> None:
    with pytest.raises(SpecError, match=">= 2"):
        SubsetRung(S2E, 0, T).plan(5, 1)
