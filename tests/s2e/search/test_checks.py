"""Requirements of search rules on a job."""

import pytest

from s2e.door import parse_job
from s2e.parts import SEARCHERS
from s2e.words import JobSpec, Problem, SearchSpec, SpecError


def budget_problems(searcher: str, n_trials: int) -> list[Problem]:
    return SEARCHERS[searcher]().problems(JobSpec(search=SearchSpec(searcher, n_trials=n_trials)))


@pytest.mark.parametrize("searcher", sorted(SEARCHERS))
def test_a_round_below_what_a_rule_compares_is_refused_by_name(searcher: str) -> None:
    least = SEARCHERS[searcher].min_trials
    assert budget_problems(searcher, least) == []
    for n in range(1, least):
        (problem,) = budget_problems(searcher, n)
        assert (problem.field, problem.value) == ("search.n_trials", n)
        assert f">= {least} for searcher {searcher}" in problem.allowed


@pytest.mark.parametrize("searcher", ["asha", "asng", "hyperband", "model_newton_rung"])
def test_external_trials_are_full_trainings(searcher: str) -> None:
    with pytest.raises(SpecError, match=f"search.searcher = '{searcher}'.*model_newton"):
        parse_job({"trials": "external", "search": {"searcher": searcher}})
    assert parse_job({"trials": "external", "search": {"searcher": "tpe"}}).search.searcher == "tpe"


def test_a_budget_below_hyperbands_first_bracket_is_refused_at_the_door() -> None:
    search = {"searcher": "hyperband", "n_rounds": 1, "n_trials": 2}
    with pytest.raises(SpecError, match=r"search\.n_trials = 2: >= 5 for searcher hyperband in 1 rounds"):
        parse_job({"search": search, "train": {"n_epochs": 200}})
