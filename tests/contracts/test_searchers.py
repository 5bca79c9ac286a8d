"""The contract of s2e/search/base.py, for every searcher of the catalog."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2e.parts import SEARCHERS
from s2e.search.base import Searcher
from s2e.search.space import S2E, THETA_MAX, THETA_MIN
from s2e.words import FULL, Observation, Point, SearchError, SearchState, parse, to_json

pytestmark = pytest.mark.parametrize("name", sorted(SEARCHERS))
K = 6
UNMOVED = {"asha", "cmaes", "gp", "grid", "hyperband", "random", "tpe"}
"""Rules without a p_theta of their own: theta stays uniform."""
SLOW = {"gp": 2}
"""Rules that think for long, and the rounds after which they have left their random beginning."""


def make(name: str, seed: int = 11) -> Searcher:
    searcher: Searcher = SEARCHERS[name]().make(S2E, seed, 30)
    return searcher


def tried(searcher: Searcher, state: SearchState, n: int = K) -> list[Observation]:
    """A round of ``n`` trials whose objective is a formula of the point; the third one failed."""
    points = [searcher.ask(state, k) for k in range(n)]
    objective = [float(np.mean((np.array(point.values) - 0.3) ** 2)) for point in points]
    return [
        Observation(k, point, max(objective) if k == 2 else objective[k], failed=k == 2)
        for k, point in enumerate(points)
    ]


def walk(name: str, n_rounds: int) -> list[SearchState]:
    searcher = make(name)
    states = [searcher.init()]
    for _ in range(n_rounds):
        states.append(searcher.tell(states[-1], tried(searcher, states[-1])))
    return states


def through_text(state: SearchState) -> SearchState:
    return parse(SearchState, json.loads(json.dumps(to_json(state))))


def test_it_starts_at_round_0_with_the_uniform_density(name: str) -> None:
    assert make(name).init() == SearchState(0, (1.0,) * 36, make(name).init().memory)


def test_ask_is_pure_and_independent_of_other_k(name: str) -> None:
    searcher, state = make(name), make(name).init()
    forwards = [searcher.ask(state, k) for k in range(K)]
    backwards = [make(name).ask(state, k) for k in reversed(range(K))]
    assert forwards == backwards[::-1]
    assert searcher.ask(state, 3) == forwards[3]
    assert len(set(forwards)) == K


def test_ask_depends_on_the_seed_and_the_round(name: str) -> None:
    if name == "grid":
        pytest.skip("a grid has no randomness; test_grid.py says what its points are")
    state = make(name).init()
    later = SearchState(1, state.theta, state.memory)
    points = [make(name).ask(state, 0), make(name).ask(later, 0), make(name, seed=12).ask(state, 0)]
    assert len(set(points)) == 3


def test_points_are_points_of_the_space(name: str) -> None:
    searcher = make(name)
    for state in walk(name, SLOW.get(name, 3)):
        for k in range(K):
            x = np.array(searcher.ask(state, k).values)
            assert x.shape == (20,)
            assert ((x > 0) & (x < 1)).all()
            assert x[:4].sum() == pytest.approx(1)


def test_tell_is_pure_and_ignores_the_order_of_arrival(name: str) -> None:
    searcher, state = make(name), make(name).init()
    told = tried(searcher, state)
    expected = searcher.tell(state, told)
    assert expected.round == 1
    assert searcher.tell(state, told) == expected
    assert make(name).tell(state, told[::-1]) == expected
    assert make(name).tell(state, [told[i] for i in (3, 0, 5, 1, 4, 2)]) == expected


def test_replay_from_every_stored_round_gives_the_same_search(name: str) -> None:
    states = walk(name, SLOW.get(name, 5))
    for m, stored in enumerate(states):
        searcher, state = make(name), through_text(stored)
        assert state == stored
        for expected in states[m + 1 :]:
            state = searcher.tell(state, tried(searcher, state))
            assert state == expected


def test_a_round_of_failures_only_is_survived(name: str) -> None:
    searcher, state = make(name), make(name).init()
    told = [Observation(k, searcher.ask(state, k), 1.0, failed=True) for k in range(K)]
    after = searcher.tell(state, told)
    assert np.isfinite(after.theta).all()
    assert np.isfinite(searcher.ask(after, 0).values).all()


def test_no_objective_drives_theta_out_of_bounds(name: str) -> None:
    least = max(2, SEARCHERS[name].min_trials)
    some = st.lists(st.floats(-1e308, 1e308), min_size=least, max_size=8)
    some_rounds = st.lists(some, min_size=1, max_size=SLOW.get(name, 4))

    @settings(deadline=None, max_examples=5 if name in SLOW else 25)
    @given(rounds=some_rounds)
    def survives(rounds: list[list[float]]) -> None:
        searcher = make(name)
        state = searcher.init()
        for objectives in rounds:
            told = [Observation(k, searcher.ask(state, k), value) for k, value in enumerate(objectives)]
            state = searcher.tell(state, told)
            theta = np.array(state.theta)
            assert np.isfinite(theta).all()
            assert ((theta >= THETA_MIN) & (theta <= THETA_MAX)).all()
            assert np.isfinite(searcher.ask(state, 0).values).all()
            assert through_text(state) == state

    survives()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_non_finite_objective_is_refused(name: str, value: float) -> None:
    searcher, state = make(name), make(name).init()
    told = tried(searcher, state)
    told[4] = Observation(4, told[4].point, value)
    with pytest.raises(SearchError, match="k = 4"):
        searcher.tell(state, told)


def test_a_point_of_the_wrong_dimension_is_refused(name: str) -> None:
    searcher, state = make(name), make(name).init()
    told = tried(searcher, state)
    told[1] = Observation(1, Point(told[1].point.values[:-1]), 0.3)
    with pytest.raises(SearchError, match="20 finite numbers"):
        searcher.tell(state, told)


def test_one_k_told_twice_is_refused(name: str) -> None:
    searcher, state = make(name), make(name).init()
    told = tried(searcher, state)
    with pytest.raises(SearchError, match="twice"):
        searcher.tell(state, [*told, told[0]])


def test_too_few_observations_are_refused(name: str) -> None:
    searcher, state = make(name), make(name).init()
    at_least = SEARCHERS[name].min_trials
    with pytest.raises(SearchError, match=f"at least {at_least}"):
        searcher.tell(state, tried(searcher, state, n=K)[: at_least - 1])
    assert searcher.tell(state, tried(searcher, state, n=K)[:at_least]).round == 1


def test_theta_moves_where_the_rule_has_one(name: str) -> None:
    states = walk(name, 2)
    assert (states[2].theta == states[0].theta) == (name in UNMOVED)


def test_the_catalog_says_whether_trials_are_full_trainings(name: str) -> None:
    searcher = make(name)
    is_short = searcher.fidelity(searcher.init(), 0) != FULL
    assert is_short == SEARCHERS[name].short_trials


def test_the_plan_keeps_to_the_budget(name: str) -> None:
    searcher = make(name)
    sizes = searcher.plan(5, K)
    assert min(sizes) >= SEARCHERS[name].min_trials
    state, epochs = searcher.init(), 0
    for size in sizes[: SLOW.get(name)]:
        parts = [searcher.fidelity(state, k) for k in range(size)]
        epochs += sum(part.data_share * (part.epochs_of(30) - part.resumed_epochs) for part in parts)
        state = searcher.tell(state, tried(searcher, state, size))
    assert 0 < epochs <= 5 * K * 30
