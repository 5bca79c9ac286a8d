"""Trials numbered one by one against whole rounds."""

from __future__ import annotations

import pytest

from s2e.ecosystem.asktell import AskTell
from s2e.search.asha import Asha
from s2e.search.cem import CrossEntropy
from s2e.search.hyperband import Hyperband
from s2e.search.model_newton import ModelNewton
from s2e.search.space import S2E
from s2e.words import Observation, Point, SpecError

K = 4


def objective(point: Point) -> float:
    return float(sum((value - 0.3) ** 2 for value in point.values))


def rounds(n_rounds: int, failed: frozenset[int] = frozenset()) -> list[Point]:
    """Points asked round by round, as the service asks them."""
    searcher = CrossEntropy(S2E, 7, 20)
    state, points = searcher.init(), []
    for m in range(n_rounds):
        asked = [searcher.ask(state, k) for k in range(K)]
        known = [objective(p) for k, p in enumerate(asked) if m * K + k not in failed]
        told = [
            Observation(k, p, max(known) if m * K + k in failed else objective(p), m * K + k in failed)
            for k, p in enumerate(asked)
        ]
        state = searcher.tell(state, told)
        points += asked
    return points


@pytest.mark.parametrize("failed", [frozenset[int](), frozenset({1, 6})])
def test_one_by_one_is_the_same_as_round_by_round(failed: frozenset[int]) -> None:
    single = AskTell(CrossEntropy(S2E, 7, 20), K)
    points = []
    for number in range(3 * K):
        points.append(single.ask(number))
        single.tell(number, points[-1], None if number in failed else objective(points[-1]))
    assert points == rounds(3, failed)


def test_results_in_any_order_give_the_same_next_round() -> None:
    expected = rounds(2)
    for order in ([3, 1, 0, 2], [0, 2, 3, 1]):
        single = AskTell(CrossEntropy(S2E, 7, 20), K)
        points = [single.ask(number) for number in range(K)]
        for number in order:
            single.tell(number, points[number], objective(points[number]))
        assert [single.ask(number) for number in range(K, 2 * K)] == expected[K:]


def test_a_straggler_keeps_nobody_waiting_and_no_two_trials_are_alike() -> None:
    single = AskTell(CrossEntropy(S2E, 7, 20), K)
    points = [single.ask(number) for number in range(K)]
    for number in range(1, K):  # trial 0 is still under way
        single.tell(number, points[number], objective(points[number]))
    early = [single.ask(number) for number in range(K, K + 3)]
    assert len({p.values for p in points + early}) == K + 3
    before = single.ask(K)
    single.tell(0, points[0], objective(points[0]))
    assert single.ask(K) != before  # now of the next round


@pytest.mark.parametrize("lost", [frozenset[int]({0}), frozenset({2, 5, 6})])
def test_a_lost_trial_freezes_nothing(lost: frozenset[int]) -> None:
    """Rounds end with K results of any trials: where one never comes, the search goes on and gets better."""
    single, values, points = AskTell(CrossEntropy(S2E, 7, 20), K), [], set()
    for number in range(60):
        point = single.ask(number)
        points.add(point.values)
        values.append(objective(point))
        if number not in lost:
            single.tell(number, point, values[-1])
    assert len(points) == 60
    assert sum(values[-10:]) < 0.8 * sum(values[:10])


def test_results_of_others_count_and_take_no_number() -> None:
    single, searcher = AskTell(CrossEntropy(S2E, 7, 20), K), CrossEntropy(S2E, 7, 20)
    drawn = [searcher.ask(searcher.init(), 100 + i) for i in range(K)]
    for i, point in enumerate(drawn):
        single.tell(-1 - i, point, objective(point))
    told = [Observation(k, point, objective(point)) for k, point in enumerate(drawn[::-1])]
    state = searcher.tell(searcher.init(), told)
    assert [single.ask(number) for number in range(K)] == [searcher.ask(state, k) for k in range(K)]


def test_told_twice_is_told_once() -> None:
    single = AskTell(CrossEntropy(S2E, 7, 20), K)
    points = [single.ask(number) for number in range(K)]
    for number in (0, 1, 2, 3, 3, 0):
        single.tell(number, points[number], objective(points[number]) + (number == 0 and 5))
    again = AskTell(CrossEntropy(S2E, 7, 20), K)
    for number in range(K):
        again.tell(number, points[number], objective(points[number]) + (number == 0 and 5))
    assert single.ask(K) == again.ask(K)


@pytest.mark.parametrize("rule", [Hyperband, Asha])
def test_a_rule_with_parts_of_trainings_is_refused(rule: type[Hyperband] | type[Asha]) -> None:
    with pytest.raises(SpecError, match=f"{rule.__name__}.*full trainings"):
        AskTell(rule(S2E, 0, 30), K)


def test_a_rule_that_looks_at_trials_in_flight_is_told_of_them() -> None:
    single = AskTell(ModelNewton(S2E, 7, 20, start="spread"), K)
    for number in range(K):
        point = single.ask(number)
        single.tell(number, point, objective(point))
    numbers = range(K, 2 * K)
    alone = [single.ask(number) for number in numbers]
    beside = [single.ask(number, pending=alone) for number in numbers]
    assert beside != alone
    assert beside == [single.ask(number, pending=alone) for number in numbers]


def test_other_rules_ask_as_ever() -> None:
    single = AskTell(CrossEntropy(S2E, 7, 20), K)
    assert single.ask(2, pending=[single.ask(0), single.ask(1)]) == single.ask(2)
