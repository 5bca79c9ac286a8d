"""Hyperband round by round."""

from itertools import chain

import pytest

from s2e.search.hyperband import Hyperband
from s2e.search.rungs import brackets, cost
from s2e.search.space import S2E
from s2e.words import Fidelity, Observation, SearchState, SpecError

T = 20
"""Rungs of the first bracket: 16@2 6@4 2@8 1@20."""


def told(searcher: Hyperband, state: SearchState, size: int, failed: frozenset[int] = frozenset()) -> list[Observation]:
    """Every second trial is better than the one before it: objectives 0.5, 0.0, 0.6, 0.1, 0.7, ..."""
    return [
        Observation(k, searcher.ask(state, k), 1.0 if k in failed else 0.1 * (k // 2) + 0.5 * (k % 2 == 0), k in failed)
        for k in range(size)
    ]


def test_the_best_of_a_rung_go_on_with_their_points() -> None:
    searcher = Hyperband(S2E, 3, T)
    first = searcher.init()
    observations = told(searcher, first, 16)
    second = searcher.tell(first, observations)
    assert [searcher.fidelity(first, k) for k in (0, 15)] == [Fidelity(2)] * 2
    best = [1, 3, 5, 7, 9, 0]  # 0.0, 0.1, 0.2, 0.3, 0.4, then 0.5 of k = 0 before 0.5 of k = 11
    assert [searcher.fidelity(second, k) for k in range(6)] == [
        Fidelity(4, resume=(0, k), resumed_epochs=2) for k in best
    ]
    assert [searcher.ask(second, k) for k in range(6)] == [observations[k].point for k in best]


def test_a_failed_trial_is_never_continued_and_a_new_draw_takes_its_place() -> None:
    searcher = Hyperband(S2E, 3, T)
    state = searcher.init()
    state = searcher.tell(state, told(searcher, state, 16, failed=frozenset(range(1, 15))))
    assert [searcher.fidelity(state, k).resume for k in range(6)] == [(0, 0), (0, 15), None, None, None, None]
    assert searcher.fidelity(state, 5) == Fidelity(4)
    points = [searcher.ask(state, k) for k in range(6)]
    assert len(set(points)) == 6
    assert points[5] not in {o.point for o in told(searcher, searcher.init(), 16)}


def test_brackets_follow_each_other_and_begin_again() -> None:
    searcher = Hyperband(S2E, 3, T)
    state, seen = searcher.init(), []
    expected = [rung for bracket in (*brackets(T), brackets(T)[0]) for rung in bracket]
    for rung in expected:
        seen.append({searcher.fidelity(state, k).epochs_of(T) for k in range(rung.n_trials)})
        state = searcher.tell(state, told(searcher, state, rung.n_trials))
    assert seen == [{rung.n_epochs} for rung in expected]


def test_the_plan_is_whole_brackets_within_the_budget() -> None:
    sizes = Hyperband(S2E, 3, 200).plan(4, 6)
    whole = [[rung.n_trials for rung in bracket] for bracket in brackets(200)]
    spent = [float(cost(bracket, 200)) for bracket in brackets(200)]
    assert sum(spent[:5]) <= 24 < sum(spent)
    assert list(sizes) == list(chain(*whole[:5]))
    begun_again = list(chain(*whole, whole[0]))
    assert list(Hyperband(S2E, 3, 200).plan(100, 1))[: len(begun_again)] == begun_again


def test_a_budget_below_the_first_bracket_is_refused() -> None:
    with pytest.raises(SpecError, match="n_trials = 2: >= 3 for searcher hyperband in 2 rounds"):
        Hyperband(S2E, 3, 200).plan(2, 2)
    assert len(Hyperband(S2E, 3, 200).plan(2, 3)) == 6
