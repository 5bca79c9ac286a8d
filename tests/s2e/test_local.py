"""A whole job in this process, in one call: the names that users import, and what they give back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import s2e
from s2e.door import parse_job
from s2e.jobs.loop import run_search
from s2e.words import CompareReport, Population, Problem, Report, Round, SpecError, TrialResult, read, to_json

pytest.importorskip("torch")
JOB: dict[str, Any] = {
    "seed": 3,
    "data": {"n_train": 128},
    "train": {"n_epochs": 2, "batch_size": 64},
    "search": {"searcher": "random", "n_rounds": 1, "n_trials": 2},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.5]},
}
COMPARISON: dict[str, Any] = {
    "data": JOB["data"],
    "train": JOB["train"],
    "compare": {"n_seeds": 2, "entries": [{"method": "standard"}, {"method": "coteaching"}]},
}
TOML = """
seed = 3
[data]
n_train = 128
[train]
n_epochs = 2
batch_size = 64
[search]
searcher = "random"
n_rounds = 1
n_trials = 2
[report]
n_seeds = 2
max_seeds = 2
n_candidates = 1
taus = [0.5]
"""


@pytest.fixture(scope="module")
def report() -> Report:
    result: Report = s2e.search(JOB, progress=False)
    return result


def test_a_search_is_the_pure_loop_on_the_engine(report: Report) -> None:
    from s2e.train.trial import PopulationEnd, train_population

    def train(_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
        steps = [step for population in populations for step in train_population(population)]
        return [result for end in steps if isinstance(end, PopulationEnd) for result in end.results]

    assert report == run_search(parse_job(JOB), train)[1]


def test_a_job_is_a_mapping_a_file_or_a_spec(report: Report, tmp_path: Path) -> None:
    file = tmp_path / "job.toml"
    file.write_text(TOML)
    for job in (file, str(file), parse_job(JOB)):
        assert s2e.search(job, progress=False) == report


def test_output_holds_models_the_schedule_and_every_round(report: Report, tmp_path: Path) -> None:
    again = s2e.search(JOB, output=tmp_path, progress=False)
    without_models = {"best_run_model": None, "recommended_model": None}
    assert to_json(again) | without_models == to_json(report)
    stored = json.loads((tmp_path / "search" / "search.json").read_text())
    assert read(Report, stored["report"]) == again
    assert read(type(parse_job(JOB)), stored["spec"]) == parse_job(JOB)
    assert json.loads((tmp_path / "search" / "schedule.json").read_text())["keep_rate"] == list(again.keep_rate)
    module = s2e.load_model(tmp_path / str(again.recommended_model))
    assert sum(parameter.numel() for parameter in module.parameters()) == 64 * 256 + 256 + 256 * 10 + 10


def test_nothing_is_written_without_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    s2e.search(JOB, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_comparison_need_not_say_that_it_is_one() -> None:
    compared = s2e.compare(COMPARISON, progress=False)
    assert isinstance(compared, CompareReport)
    assert [row.label for row in compared.rows] == ["standard", "coteaching"]
    assert s2e.compare(COMPARISON | {"kind": "compare"}, progress=False) == compared
    with pytest.raises(SpecError) as refused:
        s2e.search(COMPARISON | {"kind": "compare"})
    assert refused.value.problems == (Problem("kind", "compare", "search; s2e.compare(job) runs this one"),)


def test_a_bad_job_is_refused_with_every_field() -> None:
    with pytest.raises(SpecError) as refused:
        s2e.search({"train": {"n_epochs": 0}, "search": {"n_trials": 0}})
    assert [problem.field for problem in refused.value.problems] == ["train.n_epochs", "search.n_trials"]


def test_progress_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    s2e.search(JOB)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "round 1 of at most 3 (search)" in printed.err


@pytest.mark.parametrize(
    "code",
    [
        "import s2e; assert callable(s2e.search) and callable(s2e.compare) and callable(s2e.load_model)",
        "from s2e import compare, load_model, search; import s2e.search.newton; assert callable(search)",
        "import s2e.search.newton as newton; import s2e; assert callable(s2e.search); newton.Newton",
        "import s2e; s2e.client.S2EClient; s2e.ecosystem; assert 'search' in dir(s2e)",
        "import s2e\ntry: s2e.nosuch\nexcept AttributeError: pass\nelse: raise SystemExit(1)",
    ],
)
def test_the_names_of_users_are_there_however_they_are_imported(code: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
