"""The arithmetic of Hyperband's brackets."""

from itertools import pairwise

import pytest

from s2e.search.rungs import brackets, cost


def test_brackets_of_200_epochs() -> None:
    """R = 200, eta = 2.5: configurations @ epochs of every rung, known before this code."""
    lines = [" ".join(f"{rung.n_trials}@{rung.n_epochs}" for rung in bracket) for bracket in brackets(200)]
    assert lines == [
        "98@3 39@6 15@13 6@32 2@80 1@200",
        "47@6 18@13 7@32 2@80 1@200",
        "24@13 9@32 3@80 1@200",
        "13@32 5@80 2@200",
        "8@80 3@200",
        "6@200",
    ]


def test_cost_by_hand() -> None:
    """(98 x 3 + 39 x 3 + 15 x 7 + 6 x 19 + 2 x 48 + 1 x 120) / 200 = 846 / 200 for the first, 6 for the last."""
    assert float(cost(brackets(200)[0], 200)) == pytest.approx(4.23)
    assert cost(brackets(200)[-1], 200) == 6


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 15, 16, 20, 60, 199, 201, 10_000])
def test_every_bracket_ends_with_full_trainings_and_grows_in_epochs(n_epochs: int) -> None:
    each_bracket = brackets(n_epochs)
    assert [len(bracket) for bracket in each_bracket] == list(range(len(each_bracket), 0, -1))
    assert 2.5 ** (len(each_bracket) - 1) <= n_epochs < 2.5 ** len(each_bracket)
    for bracket in each_bracket:
        assert bracket[-1].n_epochs == n_epochs
        assert all(a.n_epochs < b.n_epochs and a.n_trials >= b.n_trials >= 1 for a, b in pairwise(bracket))
