"""Jobs that a warm start may begin from."""

from typing import Any

import pytest

from s2e.door import parse_job
from s2e.jobs.search import make_searcher
from s2e.words import SpecError, to_json

POINT = [0.25] * 4 + [0.5] * 16


def job(**search: Any) -> dict[str, Any]:
    return {"search": {"searcher": "model_newton", **search}}


def earlier(**changes: Any) -> dict[str, Any]:
    return {"job": "j1", "space": "s2e", "points": [POINT, POINT], "objectives": [0.3, 0.2]} | changes


def test_a_warm_start_survives_json_and_reaches_the_searcher() -> None:
    spec = parse_job(job(warm_start=["j1"], earlier=[earlier()]))
    assert parse_job(to_json(spec)) == spec
    assert "hyperparameters" in make_searcher(spec).init().memory
    assert make_searcher(parse_job(job())).init().memory == {}


@pytest.mark.parametrize(
    ("search", "field", "allowed"),
    [
        (
            {"searcher": "newton", "warm_start": ["j1"]},
            "search.warm_start",
            "rules that start warm: cubic_newton, model_newton",
        ),
        ({"space": "coteaching", "earlier": [earlier()]}, "search.warm_start", "jobs that searched coteaching"),
        ({"earlier": [earlier(objectives=[0.3])]}, "search.earlier[0]", "an objective for each"),
        ({"earlier": [earlier(points=[], objectives=[])]}, "search.earlier[0]", "at least one point"),
    ],
)
def test_an_unrelated_start_is_refused(search: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_job(job(**search))
    (problem,) = caught.value.problems
    assert problem.field == field
    assert allowed in problem.allowed


def test_without_the_service_nobody_looks_an_earlier_job_up() -> None:
    with pytest.raises(SpecError, match=r"search\.warm_start = 'j1': none outside of a service"):
        parse_job(job(warm_start=["j1"]))
