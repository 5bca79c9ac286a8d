"""The plan a machine trains a job fastest by: measured, kept, and only ever proposed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from s2e import calibrate as module
from s2e.calibrate import Calibration, Case, calibrate, toml_of
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import PlanSpec, TrialError, replace

pytest.importorskip("torch")
JOB: dict[str, Any] = {
    "data": {"n_train": 128},
    "train": {"n_epochs": 4, "batch_size": 64},
    "search": {"searcher": "random", "n_rounds": 2, "n_trials": 6},
    "report": {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.5]},
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("S2E_CACHE_ROOT", str(tmp_path / "cache"))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Calibration]:
    """Calibrates on a machine of which everything is known: seconds of an epoch of K trials, cores, memory."""

    def on(
        epoch_s: Callable[[int, str], float],
        *,
        cores: int = 2,
        memory: int | None = None,
        dtypes: tuple[str, ...] = ("float32",),
        job: dict[str, Any] | None = None,
    ) -> Calibration:
        monkeypatch.setattr(module, "usable_cores", lambda: cores)
        monkeypatch.setattr(module, "usable_bytes", lambda: memory)
        monkeypatch.setattr(module, "_arithmetics", lambda plan, fallbacks: dtypes)
        monkeypatch.setattr(module, "_uncompiled", lambda plan: [])
        monkeypatch.setattr(
            module, "_measured", lambda spec, k, dtype, root: Case(k, dtype, "torch", epoch_s(k, dtype), 2**30)
        )
        return calibrate(parse_job(job or JOB), fresh=True)

    return on


def test_what_it_measures_is_kept_and_its_lines_make_the_plan() -> None:
    spec, told = parse_job(JOB), []
    first = calibrate(spec, progress=told.append)
    assert {case.population for case in first.cases} == {1, 2, 3, 4, 6}
    assert all(case.epoch_s > 0 and case.memory_bytes > 0 for case in first.cases)
    assert len(told) == len(first.cases)
    assert calibrate(spec, progress=told.append).cases == first.cases
    assert len(told) == len(first.cases)
    assert parse_job(JOB | tomllib.loads(toml_of(first.plan))).plan == first.plan


def test_another_shape_of_job_and_a_spoilt_cache_are_measured_anew(tmp_path: Path) -> None:
    spec, told = parse_job(JOB), []
    small = replace(spec, search=replace(spec.search, n_trials=1), train=replace(spec.train, batch_size=32))
    calibrate(small, progress=told.append)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_text('{"float32-1": {"population": "many"}}')
    n = len(told)
    calibrate(small, progress=told.append)
    assert len(told) == 2 * n


def test_a_round_has_to_fill_the_processes(machine: Any) -> None:
    """Trials cost as much together as alone: 6 of them on 2 processes, so 3 in each, or fewer, but never all 6."""
    made = machine(lambda k, _: float(k))
    assert made.n_workers == 2
    assert made.plan.population in (1, 3)
    assert made.plan == parse_job(JOB).plan  # which has 3 already: nothing else is faster
    assert made.gain == 1


def test_one_program_of_all_trials_wins_where_they_cost_little_more(machine: Any) -> None:
    """An epoch of K trials takes 1 + K / 100: on one core all six together, 6 * 1.01 against 1.06."""
    spec = parse_job(JOB)
    made = machine(lambda k, _: 1 + k / 100, cores=1)
    assert made.plan.population == 6
    n_report = loop.n_rounds(spec) - 2
    waves = 2 + n_report * ceil((loop.n_trials(spec) - 12) / n_report / 6)
    assert made.job_s == pytest.approx(waves * 1.06 * 4)
    assert made.gain is not None
    assert made.gain > 1.5


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes")])
def test_sizes_that_find_no_memory_are_left_out_and_said(machine: Any, error: Exception) -> None:
    def epoch_s(k: int, _: str, most: int = 2) -> float:
        if k > most:
            raise error
        return float(k)

    made = machine(epoch_s)
    assert {case.population for case in made.cases} == {1, 2}
    assert made.fallbacks == ("3 trials in float32: not enough memory",)
    assert made.gain is None  # the job's own plan has three
    with pytest.raises(TrialError, match="1 trials in float32: not enough memory"):
        machine(lambda k, of: epoch_s(k, of, most=0))


def test_any_other_error_is_not_taken_for_a_lack_of_memory(machine: Any) -> None:
    def broken(_k: int, _of: str) -> float:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        machine(broken)


def test_bfloat16_has_to_be_worth_its_rounding(machine: Any) -> None:
    for share, dtype in ((0.97, "float32"), (0.5, "bfloat16")):
        made = machine(
            lambda k, of, share=share: k * (share if of == "bfloat16" else 1.0), dtypes=("float32", "bfloat16")
        )
        assert made.plan.dtype == dtype


def test_too_little_memory_for_all_cores_is_said(machine: Any) -> None:
    made = machine(lambda k, _: float(k), cores=8, memory=3 * 2**30)
    assert made.n_workers == 2
    assert made.fallbacks == ("2 of 8 processes: 3.0 GiB of memory hold no more",)


def test_a_processor_without_bfloat16_and_a_wish_for_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2e.train.runtime.has_fast_bfloat16", lambda: False)
    said: list[str] = []
    assert module._arithmetics(PlanSpec(), said) == ("float32",)
    assert said == ["bfloat16: this processor has none (AMX or AVX512-BF16)"]
    assert module._arithmetics(PlanSpec(dtype="float64"), said) == ("float64",)
    assert len(said) == 1
