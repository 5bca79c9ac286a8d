"""A job within seconds: as large as there is time for, ended between rounds, and as a job it gives the same report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import s2e
from s2e.deadline import Deadline
from s2e.door import parse_job, read_job
from s2e.jobs.loop import n_trials
from s2e.parts import KINDS
from s2e.sklearn import NoisyLabelClassifier
from s2e.within import Within
from s2e.words import SPEC_VERSION, Round, SpecError, to_json

TRAIN = {"network": "mlp_tabular", "network_params": {"hidden": [8]}, "n_epochs": 2, "batch_size": 100}
SEARCH = {
    "kind": "search",
    "data": {"n_train": 200},
    "train": TRAIN,
    "search": {"n_rounds": 4, "n_trials": 6, "searcher": "random"},
}
ENTRIES = [{"method": "standard"}, {"method": "coteaching"}, {"method": "selfteaching"}]
COMPARE = {"kind": "compare", "data": {"n_train": 200}, "train": TRAIN, "compare": {"entries": ENTRIES, "n_seeds": 9}}
AUTO = {**COMPARE, "kind": "auto"}


class Clock:
    """Stands still but for trainings, each of which takes ``one_s``."""

    def __init__(self, one_s: float) -> None:
        self.at, self.one_s = 0.0, one_s

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A training is guessed to take a second, on a machine that nobody else uses."""
    clock, took = Clock(1.0), Within.took

    def taking(self: Within, round_: Round, _seconds: float) -> None:
        seconds = clock.one_s * len(round_.trials)
        clock.at += seconds
        took(self, round_, seconds)

    monkeypatch.setattr(Within, "took", taking)
    monkeypatch.setattr("s2e.within.guessed", lambda *_: 1.0)
    monkeypatch.setattr("s2e.within.MOST_BUSY", 1.0)
    monkeypatch.setattr("s2e.deadline.time.monotonic", clock)
    return clock


@pytest.mark.parametrize("job", [SEARCH, COMPARE, AUTO], ids=lambda job: job["kind"])
def test_smaller_jobs_are_smaller_and_can_be_run(job: Any) -> None:
    spec = parse_job(job)
    kind = KINDS[spec.kind]
    smaller = list(kind.smaller(spec))
    assert smaller[0] == spec
    sizes = [kind.n_planned(one) for one in smaller]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.25 * sizes[0]
    for one in smaller:
        assert parse_job(json.loads(json.dumps(to_json(one)))) == one  # the door has nothing against it


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("job", [SEARCH, COMPARE, AUTO], ids=lambda job: job["kind"])
def test_the_largest_job_that_fits_is_planned(job: Any) -> None:
    spec = parse_job(job)
    kind = KINDS[spec.kind]
    planned = [Within(spec, None, Deadline(seconds), 1).planned(spec) for seconds in (30, 120, 10_000)]
    assert [kind.n_planned(one) <= most for one, most in zip(planned, (22.5, 90, 7_500), strict=True)] == [True] * 3
    assert kind.n_planned(planned[0]) < kind.n_planned(planned[1]) <= kind.n_planned(planned[2])
    assert planned[2] == spec
    with pytest.raises(SpecError, match=r"seconds = '2 s': about \d+ s or more"):
        Within(spec, None, Deadline(2), 1).planned(spec)


def test_a_search_that_time_has_ended_is_a_job_that_ends_there(clock: Clock, tmp_path: Path) -> None:
    clock.one_s = 2.5  # slower than a few steps have shown
    report = s2e.search(SEARCH, seconds="2 min", output=tmp_path, progress=False, workers=1)
    content = json.loads((tmp_path / "search" / "search.json").read_text())
    spec = read_job(content["spec"], SPEC_VERSION)
    trained = sum(len(record["results"]) for record in content["rounds"])
    assert 90 <= clock.at <= 150
    assert spec.budget.trials == trained < n_trials(parse_job(SEARCH))
    assert f"Ended early: the budget of {trained} trials is used up" in report.verdict
    again = s2e.search(spec, progress=False, workers=1)
    assert to_json(again)["rows"] == to_json(report)["rows"]
    assert (again.verdict, again.keep_rate) == (report.verdict, report.keep_rate)


def test_a_comparison_has_as_many_seeds_as_there_is_time_for(clock: Clock, tmp_path: Path) -> None:
    report = s2e.compare(COMPARE, seconds=20, output=tmp_path, progress=False, workers=1)
    assert (report.n_seeds, clock.at) == (5, 15)
    spec = read_job(json.loads((tmp_path / "compare" / "compare.json").read_text())["spec"], SPEC_VERSION)
    assert spec.budget.trials is None
    again = s2e.compare(spec, progress=False, workers=1)
    assert [row.last_ten for row in again.rows] == [row.last_ten for row in report.rows]
    assert again.verdict == report.verdict


@pytest.mark.usefixtures("clock")
def test_what_needs_an_estimate_that_does_not_fit_is_refused_with_the_way_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(300, 4)), y=rng.integers(0, 3, 300))
    job = {**SEARCH, "data": {"name": "arrays", "params": {"path": "a.npz"}, "n_validation": 60}}
    with pytest.raises(SpecError, match=r"seconds = '30 s': .*report\.tau"):
        s2e.search(job, seconds=30, data_root=tmp_path, progress=False, workers=1)


@pytest.mark.parametrize("seconds", ["soon", -1, 0])
def test_seconds_that_are_none_are_refused_by_their_name(seconds: Any) -> None:
    with pytest.raises(SpecError, match=f"^seconds = '{seconds}': seconds > 0"):
        s2e.search({}, seconds=seconds, progress=False)
    rows, labels = np.zeros((4, 2)), [0, 1, 0, 1]
    with pytest.raises(SpecError, match=f"^seconds = '{seconds}': seconds > 0"):
        NoisyLabelClassifier().fit(rows, labels, seconds=seconds)
    with pytest.raises(SpecError, match=f"^budget = '{seconds}': seconds > 0"):
        NoisyLabelClassifier(budget=seconds).fit(rows, labels)
