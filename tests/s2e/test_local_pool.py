"""Populations in processes of their own: the numbers of this process, whatever happens to a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import s2e
from s2e import local
from s2e.door import parse_job
from s2e.local_pool import MAX_ATTEMPTS, Ended, Kept, LocalPool, Rows
from s2e.machine import usable_cores
from s2e.words import DataError, DataSpec, Population, Report, RoundRecord, SpecError, TrialError, to_json

pytest.importorskip("torch")
from s2e.train.keep import InMemory

Make = Callable[..., Population]
JOB = {
    "seed": 2,
    "data": {"n_train": 128},
    "train": {"n_epochs": 4, "batch_size": 64},
    "search": {"searcher": "hyperband", "n_rounds": 2, "n_trials": 3},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.5]},
    "plan": {"population": 2},
}
"""Its searcher stops trials and goes on with some, so checkpoints pass from one process to another."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPool]:
    kept = Kept(str(tmp_path_factory.mktemp("kept")), "search", models=False, data_root=None)
    with LocalPool(2, kept) as started:
        yield started


def ends(steps: list[Rows | Ended]) -> dict[int, Ended]:
    return {step.index: step for step in steps if isinstance(step, Ended)}


def test_it_computes_what_this_process_computes_and_tells_each_epoch_in_order(
    pool: LocalPool, make_population: Make
) -> None:
    populations = [make_population(ks=(k, k + 1), n_epochs=3) for k in (0, 2, 4)]
    steps = list(pool.train(populations))
    here = list(local.train_here(InMemory(), None, populations))
    for index in range(3):
        assert [step for step in steps if step.index == index] == [step for step in here if step.index == index]


def test_a_population_under_which_a_process_dies_begins_anew(pool: LocalPool, make_population: Make) -> None:
    """Killed after its first epoch, as by a machine short of memory; the other one does not notice."""
    populations = [make_population(ks=(k,), n_epochs=40) for k in (0, 1)]
    undisturbed = ends(list(pool.train(populations)))
    killed, steps = [], []
    for step in pool.train(populations):
        steps.append(step)
        if isinstance(step, Rows) and not killed:
            killed.append(step.index)
            os.kill(pool._workers[step.index].pid, signal.SIGKILL)
    assert ends(steps) == undisturbed
    first_rows = [step for step in steps if isinstance(step, Rows) and step.epochs[0].epoch == 0]
    assert len(first_rows) in (2, 3)  # 3 but for a training that ended before the signal came


def test_a_training_that_nobody_waits_for_is_not_taken_for_the_next_one(pool: LocalPool, make_population: Make) -> None:
    """A budget that ends in the middle of a round is followed by models, in the same pool."""
    expected = ends(list(pool.train([make_population(ks=(5,), n_epochs=3)])))
    for _ in pool.train([make_population(ks=(k,), n_epochs=300) for k in (0, 1)]):
        break
    assert ends(list(pool.train([make_population(ks=(5,), n_epochs=3)]))) == expected


def test_this_process_trains_too_and_keeps_no_worker_waiting(make_population: Make, tmp_path: Path) -> None:
    populations = [make_population(ks=(k,), n_epochs=2) for k in range(3)]
    expected = {
        index: end.results for index, end in ends(list(local.train_here(InMemory(), None, populations))).items()
    }
    mine: list[int] = []

    def here(given: Sequence[Population]) -> Iterator[Rows | Ended]:
        """One training that takes as long as the worker does for two."""
        mine.extend(trial.k for population in given for trial in population.trials)
        until_s = time.monotonic() + 60
        while pool._messages.qsize() < 2 * 3 and time.monotonic() < until_s:
            time.sleep(0.01)
        yield from local.train_here(InMemory(), None, given)

    kept = Kept(str(tmp_path), "search", models=False, data_root=None)
    with LocalPool(1, kept, here) as pool:
        trained = ends(list(pool.train(populations)))
    assert {index: end.results for index, end in trained.items()} == expected
    assert len(mine) == 1


def test_the_callers_threads_are_given_back() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with local.trainer(parse_job({}), None, None, 1) as train:
            list(train(()))
            torch.set_num_threads(1)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


DIES = "import os; os._exit(9)"


@pytest.mark.parametrize("start", [DIES, """print('{"ready": true}', flush=True); input(); """ + DIES])
def test_processes_that_die_again_and_again_end_the_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_population: Make, start: str
) -> None:
    monkeypatch.setattr("s2e.local_pool._START", start)
    with (
        LocalPool(1, Kept(str(tmp_path), "search", models=False, data_root=None)) as dying,
        pytest.raises(TrialError, match=f"died {MAX_ATTEMPTS} times") as caught,
    ):
        list(dying.train([make_population(n_epochs=1)]))
    assert caught.value.retryable


def test_without_workers_that_live_this_process_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_population: Make
) -> None:
    monkeypatch.setattr("s2e.local_pool._START", DIES)
    populations = [make_population(ks=(k,), n_epochs=1) for k in range(2)]
    kept = Kept(str(tmp_path), "search", models=False, data_root=None)
    with LocalPool(1, kept, partial(local.train_here, InMemory(), None)) as dying:
        for _ in range(2):
            assert set(ends(list(dying.train(populations)))) == {0, 1}


def test_errors_come_back_as_they_were_raised_and_the_pool_goes_on(pool: LocalPool, make_population: Make) -> None:
    good = make_population(ks=(0,), n_epochs=1)
    with pytest.raises(DataError, match="fewer than one batch"):
        list(pool.train([replace(good, data=DataSpec(n_train=20))]))
    with pytest.raises(SpecError) as refused:
        list(pool.train([replace(good, train=replace(good.train, network="torchvision:<name>"))]))
    assert [problem.field for problem in refused.value.problems] == ["train.network"]
    assert ends(list(pool.train([good])))[0].results[0].objective is not None


@pytest.fixture(scope="module")
def in_this_process() -> tuple[list[RoundRecord], Report]:
    history, report = local.run(parse_job(JOB), progress=False, workers=1)
    assert isinstance(report, Report)
    return history, report


@pytest.mark.slow
def test_a_plain_script_reaches_the_same_report_with_two_processes_and_leaves_none(
    in_this_process: tuple[list[RoundRecord], Report], tmp_path: Path
) -> None:
    """Without a main guard, from a folder where other modules have our names."""
    history, report = in_this_process
    for name in ("s2e", "torch", "json"):
        (tmp_path / "elsewhere" / f"{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / "elsewhere" / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, subprocess\n"
        "from s2e import local\n"
        "from s2e.door import parse_job\n"
        f"local.run(parse_job({JOB!r}), workers=2, progress=False, output={str(tmp_path / 'out')!r})\n"
        "mine = subprocess.run(['pgrep', '-P', str(os.getpid())], capture_output=True, text=True)\n"
        "print(mine.stdout.count('\\n'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"PYTHONPATH": str(Path(s2e.__file__).parents[1])},
    )
    assert done.stdout == "0\n"
    written = json.loads((tmp_path / "out" / "search" / "search.json").read_text())
    models = {name: written["report"].pop(name) for name in ("recommended_model", "best_run_model")}
    assert all((tmp_path / "out" / model).is_file() for model in models.values())
    expected = {"rounds": to_json(history), "report": to_json(report)}
    expected["report"] = {name: value for name, value in expected["report"].items() if name not in models}
    for result in (
        result for rounds in (written["rounds"], expected["rounds"]) for r in rounds for result in r["results"]
    ):
        result.pop("model")
    assert {name: written[name] for name in expected} == expected
    assert any(trial.fidelity.resume for record in history for trial in record.round.trials)


def test_closing_ends_workers_that_are_training(make_population: Make, tmp_path: Path) -> None:
    pool = LocalPool(1, Kept(str(tmp_path), "search", models=False, data_root=None))
    steps = pool.train([make_population(n_epochs=10_000)])
    next(steps)
    pid = pool._workers[0].pid
    began_s = time.monotonic()
    pool.close()
    assert time.monotonic() - began_s < 10
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 2),
        ({"plan": {"population": 6}}, 1),
        ({"plan": {"threads": 8}}, 1),
        ({"plan": {"device": "cuda"}}, 1),
        ({"train": {"n_epochs": 2}}, 1),
        ({"search": {"n_trials": 24}}, 8),
        ({"kind": "compare", "compare": {"n_seeds": 5, "entries": [{"method": "standard"}, {"method": "elr"}]}}, 4),
    ],
)
def test_a_job_takes_the_processes_it_can_fill(monkeypatch: pytest.MonkeyPatch, change: dict, expected: int) -> None:
    """Six trials a round, three in a population, on a machine of eight cores."""
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    assert local.n_processes(parse_job({"train": {"n_epochs": 60}} | change)) == expected


def test_a_job_with_parts_of_this_process_alone_stays_in_it(monkeypatch: pytest.MonkeyPatch, tiny: Make) -> None:
    monkeypatch.setattr(local, "usable_cores", lambda: 8)
    tiny()  # registers a data set of this test
    spec = parse_job({"train": {"n_epochs": 60}})
    assert local.n_processes(spec) == 2
    assert local.n_processes(replace(spec, data=replace(spec.data, name="tiny16"))) == 1


def test_cores_are_those_a_container_pays_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr("s2e.machine._QUOTA", quota)
    for text, cores in ((None, 16), ("max 100000", 16), ("250000 100000", 3), ("50000 100000", 1)):
        if text is not None:
            quota.write_text(text)
        assert usable_cores() == cores
