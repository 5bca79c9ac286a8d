"""A job that leaves sizes to its data: a worker looks at them first, and what follows is that of the stored spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2e.door import parse_job
from s2e.door.stored import read_job
from s2e.local import run
from s2e.sizes import sized
from s2e.words import JobSpec, to_json
from service.cli.terminal import size_lines
from service.store.engine import Database
from service.store.models import JobReport
from service.testing.driver import trained
from workers.inline import InlineBackend
from workers.simulated import SimulatedBackend, SimulatedTrial

JOB: dict[str, Any] = {
    "data": {"name": "table", "params": {"path": "rows.csv"}},
    "train": {"n_epochs": 3},
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
    "report": {"n_seeds": 2, "max_seeds": 2, "tuned_trials": 1, "n_candidates": 1, "tau": 0.1},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = [f"{3 * (i % 3) + x:.3f},{y:.3f},{'abc'[i % 3]}" for i, (x, y) in enumerate(rng.normal(size=(45, 2)) / 4)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,kind", *lines]))
    return tmp_path


def test_the_sizes_a_worker_proposes_are_the_jobs(database: Database, root: Path) -> None:
    job = trained(database, InlineBackend(root / "artifacts", root), JOB)
    assert (job.state, job.reason) == ("completed", "")
    spec: JobSpec = read_job(job.spec, job.spec_version)
    assert spec == sized(parse_job(JOB), str(root))
    assert size_lines(job.spec)[0] == "  sizes   12 rows validate: a third"
    with database.read() as session:
        stored = session.get_one(JobReport, job.id).report
    assert to_json(run(spec, data_root=root, progress=False)[1])["rows"] == stored["rows"]
    assert "Only 9 rows test" in stored["verdict"]


def test_a_place_that_reads_no_data_leaves_the_defaults(database: Database) -> None:
    job = trained(database, SimulatedBackend(lambda trial: SimulatedTrial.constant(0.5, len(trial.keep_rate))), JOB)
    assert job.state == "completed", job.reason
    assert (job.spec["data"]["n_validation"], job.spec["train"]["batch_size"]) == (300, 128)
    assert size_lines(job.spec) == []


def test_a_table_that_is_not_there_ends_the_job_before_its_first_round(database: Database, root: Path) -> None:
    data = {"name": "table", "params": {"path": "other.csv"}}
    job = trained(database, InlineBackend(root / "artifacts", root), {**JOB, "data": data})
    assert job.state == "failed"
    assert "other.csv" in job.reason
    assert size_lines(job.spec) == [
        "  sizes   n_validation, batch_size, network: to be proposed before the first round"
    ]
