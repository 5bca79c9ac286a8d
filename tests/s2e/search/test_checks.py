"""What a rule needs of a job."""

import pytest

from s2e import catalog
from s2e.door import parse_job
from s2e.door.search import searcher_problems
from s2e.jobs.loop import n_trials
from s2e.words import SpecError


@pytest.mark.parametrize("searcher", sorted(catalog.SEARCHERS))
def test_a_round_below_what_a_rule_compares_is_refused_by_name(searcher: str) -> None:
    least = catalog.SEARCHERS[searcher].min_trials
    assert searcher_problems(searcher, least, "internal") == []
    for n in range(1, least):
        (problem,) = searcher_problems(searcher, n, "internal")
        assert (problem.field, problem.value) == ("search.n_trials", n)
        assert f">= {least} for searcher {searcher}" in problem.allowed


@pytest.mark.parametrize("searcher", ["asha", "asng", "hyperband", "model_newton_rung"])
def test_external_trials_are_full_trainings(searcher: str) -> None:
    with pytest.raises(SpecError, match=f"search.searcher = '{searcher}'.*model_newton"):
        parse_job({"trials": "external", "search": {"searcher": searcher}})
    assert parse_job({"trials": "external", "search": {"searcher": "tpe"}}).search.searcher == "tpe"


def test_a_budget_below_hyperbands_first_bracket_is_refused_when_the_job_is_sized() -> None:
    job = parse_job({"search": {"searcher": "hyperband", "n_rounds": 1, "n_trials": 2}, "train": {"n_epochs": 200}})
    with pytest.raises(SpecError, match=r"search\.n_trials = 2: >= 5 for searcher hyperband in 1 rounds"):
        n_trials(job)
