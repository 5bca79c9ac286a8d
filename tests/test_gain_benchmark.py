"""The replays of the regret benchmark, on trainings by formula."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch")


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    return importlib.import_module("benchmarks.bench_gain")


def run_of(gain: ModuleType, cell: str, likelihood: dict[str, float]) -> dict[str, Any]:
    """Candidates whose test accuracy falls in their order, which clean labels see and likelihoods need not."""
    from s2e.jobs.compare import entries_of
    from s2e.words import to_json

    spec = gain._job(1)
    rows = {}
    for i, entry in enumerate(entries_of(spec)):
        accuracy = [0.9 - 0.02 * i + 0.001 * k for k in range(gain.N_SEEDS)]
        noisy = [likelihood.get(entry.label, -2 - 0.1 * i)] * gain.N_SEEDS
        rows[entry.label] = {"none": noisy, "100": accuracy, "300": accuracy, "test": accuracy}
    return {"cell": cell, "seed": 1, "spec": to_json(spec), "candidates": rows}


def test_regret_is_the_loss_of_a_choice_against_the_best_on_the_seeds_it_has_not_seen(gain: ModuleType) -> None:
    run = run_of(gain, "digits-pair40", {"coteaching": -1.0})  # the third, 4 points below the first
    replayed = gain.replays(run, "none")
    assert len(replayed) == 60
    assert {one["chosen"] for one in replayed} == {"coteaching"}
    assert all(one["regret"] == pytest.approx(4) for one in replayed)
    assert {one["chosen"] for one in gain.replays(run, "300")} == {"standard"}
    summary = gain.summaries([run, {**run, "cell": "fashion-pair40"}, {"cell": "x", "seed": 1, "refused": "why"}])
    developed = summary["developed"]
    assert developed["n_runs"] == summary["untouched"]["n_runs"] == 1
    assert developed["best_single"] == "standard"
    assert developed["choices"]["none"]["regret"] == [4.0, None]
    assert developed["choices"]["none"]["worst"] == ["digits-pair40", 4.0]
    assert developed["choices"]["none"]["harm"] == 0.0
    assert developed["choices"]["100"]["over_coteaching"] == [4.0, None]


def test_a_training_that_failed_is_never_chosen(gain: ModuleType) -> None:
    run = run_of(gain, "digits-pair40", {})
    run["candidates"]["standard"] = {name: [None] * gain.N_SEEDS for name in ("none", "100", "300", "test")}
    assert {one["chosen"] for one in gain.replays(run, "100")} == {"selfteaching"}
