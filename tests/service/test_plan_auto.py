"""A job that leaves its plan to the machine: a worker measures it before the first round, and what follows is that of
the stored plan, here and anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from s2e import calibrate
from s2e.door import parse_job
from s2e.door.stored import read_job
from s2e.local import run
from s2e.words import JobSpec, PlanSpec, Report, SpecError, read, to_json
from service.cli.terminal import plan_lines
from service.store.engine import Database
from service.store.models import JobReport
from service.testing.driver import trained
from workers.inline import InlineBackend
from workers.simulated import SimulatedBackend, SimulatedTrial

JOB: dict[str, Any] = {
    "data": {"n_train": 128},
    "train": {"n_epochs": 2, "batch_size": 64},
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.5]},
    "plan": {"auto": True, "population": 1},
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S2E_CACHE_ROOT", str(tmp_path / "cache"))


def test_what_a_worker_measures_is_the_jobs_plan_and_its_replay_measures_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "_arithmetics", lambda _plan, _fallbacks: ("float32",))
    job = trained(database, InlineBackend(tmp_path / "artifacts"), JOB)
    assert job.state == "completed", job.reason
    plan = read(PlanSpec, job.spec["plan"])
    assert plan.chosen is not None
    assert plan.auto
    assert plan.population in (1, 2)
    assert plan.chosen.n_workers >= 1
    assert plan.chosen.job_s > 0
    monkeypatch.setattr(calibrate, "_cases", pytest.fail)
    assert parse_job(job.spec).plan == plan  # submitted again, it is the job it was
    _, report = run(read_job(job.spec, job.spec_version), progress=False)
    with database.read() as session:
        stored = session.get_one(JobReport, job.id).report
    assert to_json(report)["rows"] == stored["rows"]
    assert isinstance(report, Report)


def test_a_job_in_one_process_measures_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[JobSpec] = []

    def chosen(spec: JobSpec, _root: str | None) -> PlanSpec:
        asked.append(spec)
        return PlanSpec(population=2, step="torch")

    monkeypatch.setattr("s2e.local.chosen_plan", chosen)
    run(parse_job(JOB), progress=False, output=tmp_path)
    assert [spec.plan.population for spec in asked] == [1]
    assert '"population": 2' in (tmp_path / "search" / "search.json").read_text()


def test_a_place_that_cannot_measure_says_so(database: Database) -> None:
    job = trained(database, SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate))), JOB)
    plan = read(PlanSpec, job.spec["plan"])
    assert plan.chosen is not None
    assert (plan.population, plan.chosen.gain) == (1, None)
    assert plan_lines(job.spec)[1] == "          without measured plan: this place trains nothing real"


def test_a_plan_without_the_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2e.networks.library.instruction_set", lambda half: None)
    monkeypatch.setattr(calibrate, "usable_cores", lambda: 1)
    monkeypatch.setattr(calibrate, "_arithmetics", lambda _plan, _fallbacks: ("float32",))
    plan = calibrate.chosen_plan(parse_job(JOB))
    assert plan.chosen is not None
    assert "compiled step: its library is not here, or not for this processor" in plan.chosen.fallbacks
    assert any(reason.startswith("processes: 1 cores") for reason in plan.chosen.fallbacks)


def test_nobody_measures_what_trains_elsewhere() -> None:
    with pytest.raises(SpecError, match=r"plan\.auto"):
        parse_job(JOB | {"trials": "external"})


def test_the_terminal_shows_the_plan_and_what_it_does_without() -> None:
    chosen = {"place": "here", "n_workers": 2, "job_s": 10.0, "own_job_s": 18.0, "fallbacks": ["bfloat16: none"]}
    plan = {"auto": True, "population": 6, "dtype": "float32", "step": "native", "chosen": chosen}
    assert plan_lines({"plan": plan}) == [
        "  plan    6 trials together, float32, native step; measured on here, 1.8 times as fast as asked for",
        "          without bfloat16: none",
    ]
    assert plan_lines({"plan": plan | {"chosen": None}}) == ["  plan    to be measured before the first round"]
    assert plan_lines({"plan": plan | {"auto": False}}) == plan_lines({}) == []
