"""The contract of a search rule (:mod:`s2e.search.base`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2e.parts import SEARCHERS
from s2e.search.base import Searcher
from s2e.search.space import S2E, THETA_MAX, THETA_MIN
from s2e.testing.suite import Contract
from s2e.words import FULL, Observation, Point, SearchError, SearchState, parse, to_json

K = 6
N_EPOCHS = 30


class SearcherContract(Contract):
    """Set ``searcher``: a registered name, or a list.

    ``keeps_theta`` names rules without a p_theta of their own, whose theta stays uniform; ``without_randomness`` those
    that ask for the same points whatever the seed; ``n_rounds`` says after how many rounds a rule that thinks for long
    has left its random beginning, where that is fewer than five.
    """

    kind: ClassVar[str] = "searcher"
    searcher: ClassVar[str | Sequence[str]] = ()
    keeps_theta: ClassVar[Collection[str]] = ()
    without_randomness: ClassVar[Collection[str]] = ()
    n_rounds: ClassVar[Mapping[str, int]] = {}

    def test_it_starts_at_round_0_with_the_uniform_density(self, searcher: str) -> None:
        rule = _make(searcher)
        assert rule.init() == SearchState(0, (1.0,) * S2E.n_theta, rule.init().memory)

    def test_ask_is_pure_and_independent_of_other_k(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        forwards = [rule.ask(state, k) for k in range(K)]
        backwards = [_make(searcher).ask(state, k) for k in reversed(range(K))]
        assert forwards == backwards[::-1]
        assert rule.ask(state, 3) == forwards[3]
        assert len(set(forwards)) == K

    def test_ask_depends_on_the_seed_and_the_round(self, searcher: str) -> None:
        state = _make(searcher).init()
        later = SearchState(1, state.theta, state.memory)
        points = [_make(searcher).ask(state, 0), _make(searcher, seed=12).ask(state, 0)]
        if searcher in self.without_randomness:
            assert points[0] == points[1]
        else:
            assert len({*points, _make(searcher).ask(later, 0)}) == 3

    def test_points_are_points_of_the_space(self, searcher: str) -> None:
        rule = _make(searcher)
        for state in self._walk(searcher)[:4]:
            for k in range(K):
                x = np.array(rule.ask(state, k).values)
                assert x.shape == (S2E.n_x,)
                assert ((x > 0) & (x < 1)).all()
                assert x[:4].sum() == pytest.approx(1)

    def test_tell_is_pure_and_ignores_the_order_of_arrival(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        told = _tried(rule, state)
        expected = rule.tell(state, told)
        assert expected.round == 1
        assert rule.tell(state, told) == expected
        assert _make(searcher).tell(state, told[::-1]) == expected
        assert _make(searcher).tell(state, [told[i] for i in (3, 0, 5, 1, 4, 2)]) == expected

    def test_replay_from_every_stored_round_gives_the_same_search(self, searcher: str) -> None:
        """Each state is reached by one rule that walked all the way, and by a new one from the state before it."""
        for stored, expected in pairwise(self._walk(searcher)):
            rule, state = _make(searcher), _through_text(stored)
            assert state == stored
            assert rule.tell(state, _tried(rule, state)) == expected

    def test_a_round_of_failures_only_is_survived(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        told = [Observation(k, rule.ask(state, k), 1.0, failed=True) for k in range(K)]
        after = rule.tell(state, told)
        assert np.isfinite(after.theta).all()
        assert np.isfinite(rule.ask(after, 0).values).all()

    def test_no_objective_drives_theta_out_of_bounds(self, searcher: str) -> None:
        least = max(2, SEARCHERS[searcher].min_trials)
        some = st.lists(st.floats(-1e308, 1e308), min_size=least, max_size=8)
        some_rounds = st.lists(some, min_size=1, max_size=self.n_rounds.get(searcher, 4))

        @settings(deadline=None, max_examples=5 if searcher in self.n_rounds else 10)
        @given(rounds=some_rounds)
        def survives(rounds: list[list[float]]) -> None:
            rule = _make(searcher)
            state = rule.init()
            for objectives in rounds:
                told = [Observation(k, rule.ask(state, k), value) for k, value in enumerate(objectives)]
                state = rule.tell(state, told)
                theta = np.array(state.theta)
                assert np.isfinite(theta).all()
                assert ((theta >= THETA_MIN) & (theta <= THETA_MAX)).all()
                assert np.isfinite(rule.ask(state, 0).values).all()
                assert _through_text(state) == state

        survives()

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_a_non_finite_objective_is_refused(self, searcher: str, value: float) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        told = _tried(rule, state)
        told[4] = Observation(4, told[4].point, value)
        with pytest.raises(SearchError, match="k = 4"):
            rule.tell(state, told)

    def test_a_point_of_the_wrong_dimension_is_refused(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        told = _tried(rule, state)
        told[1] = Observation(1, Point(told[1].point.values[:-1]), 0.3)
        with pytest.raises(SearchError, match=f"{S2E.n_x} finite numbers"):
            rule.tell(state, told)

    def test_one_k_told_twice_is_refused(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        told = _tried(rule, state)
        with pytest.raises(SearchError, match="twice"):
            rule.tell(state, [*told, told[0]])

    def test_too_few_observations_are_refused(self, searcher: str) -> None:
        rule, state = _make(searcher), _make(searcher).init()
        at_least = SEARCHERS[searcher].min_trials
        with pytest.raises(SearchError, match=f"at least {at_least}"):
            rule.tell(state, _tried(rule, state)[: at_least - 1])
        assert rule.tell(state, _tried(rule, state)[:at_least]).round == 1

    def test_theta_moves_where_the_rule_has_one(self, searcher: str) -> None:
        states = self._walk(searcher)
        assert (states[2].theta == states[0].theta) == (searcher in self.keeps_theta)

    def test_the_declaration_says_whether_trials_are_full_trainings(self, searcher: str) -> None:
        rule = _make(searcher)
        is_short = rule.fidelity(rule.init(), 0) != FULL
        assert is_short == SEARCHERS[searcher].short_trials

    def test_the_plan_keeps_to_the_budget(self, searcher: str) -> None:
        rule = _make(searcher)
        sizes = rule.plan(5, K)
        assert min(sizes) >= SEARCHERS[searcher].min_trials
        state, epochs = rule.init(), 0.0
        for size in sizes[: self.n_rounds.get(searcher)]:
            parts = [rule.fidelity(state, k) for k in range(size)]
            epochs += sum(part.data_share * (part.epochs_of(N_EPOCHS) - part.resumed_epochs) for part in parts)
            state = rule.tell(state, _tried(rule, state, size))
        assert 0 < epochs <= 5 * K * N_EPOCHS

    def _walk(self, searcher: str) -> Sequence[SearchState]:
        return _walked(searcher, self.n_rounds.get(searcher, 5))


def _make(name: str, seed: int = 11) -> Searcher:
    rule: Searcher = SEARCHERS[name]().make(S2E, seed, N_EPOCHS)
    return rule


def _tried(rule: Searcher, state: SearchState, n: int = K) -> list[Observation]:
    """A round of ``n`` trials whose objective is a formula of the point; the third one failed."""
    points = [rule.ask(state, k) for k in range(n)]
    objective = [float(np.mean((np.array(point.values) - 0.3) ** 2)) for point in points]
    return [
        Observation(k, point, max(objective) if k == 2 else objective[k], failed=k == 2)
        for k, point in enumerate(points)
    ]


@cache
def _walked(name: str, n_rounds: int) -> Sequence[SearchState]:
    """States round by round; pure, as other tests show, so computed once."""
    rule = _make(name)
    states = [rule.init()]
    for _ in range(n_rounds):
        states.append(rule.tell(states[-1], _tried(rule, states[-1])))
    return states


def _through_text(state: SearchState) -> SearchState:
    return parse(SearchState, json.loads(json.dumps(to_json(state))))
