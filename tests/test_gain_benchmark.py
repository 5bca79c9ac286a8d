"""The replays of the regret benchmark, on trainings by formula."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

ALONE = (None, 3, None)
"""No noisy labels, three rounds, no jurors."""


@pytest.fixture
def gain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    return importlib.import_module("benchmarks.bench_gain")


def recorded_of(gain: ModuleType, likelihood: dict[str, float], failed: str = "") -> Any:
    """Candidates whose test accuracy falls in their order, which clean labels see and likelihoods need not."""
    from s2e.jobs.compare import entries_of
    from s2e.words import FinalAccuracies, TrialResult

    spec, trained, n_seeds = gain._job(1), {}, len(gain.PARTS) + gain.N_FRESH
    for i, entry in enumerate(entries_of(spec)):
        final = FinalAccuracies(None, None, None, noisy_likelihood=likelihood.get(entry.label, -2 - 0.1 * i))
        results = [
            TrialResult(0, k, validation_accuracy=0.0, test_accuracy=0.9 - 0.02 * i + 0.001 * k, final=final)
            for k in range(n_seeds)
        ]
        right: list[Any] = [np.arange(gain.N_CLEAN) % 50 >= i] * n_seeds
        if entry.label == failed:
            results, right = [TrialResult(0, k, failed=True, reason="NaN") for k in range(n_seeds)], [None] * n_seeds
        trained[entry.label] = gain.Trained(tuple(results), right)
    return gain.Recorded(spec, trained)


def test_regret_is_the_loss_of_a_choice_against_the_best_on_the_seeds_it_has_not_seen(gain: ModuleType) -> None:
    recorded = recorded_of(gain, {"coteaching": -1.0})  # the third, 4 points below the first
    blind, clean = gain._replayed(recorded, 0, ALONE), gain._replayed(recorded, 300, ALONE)
    # twenty candidates, then the better half and the default, then the best two and it
    assert [sum(one.pop("trainings").values()) for one in (blind, clean)] == [34, 34]
    assert blind == {"regret": 4.0, "harm": 0.0, "over_coteaching": 0.0, "taken": {"coteaching": 60}}
    assert clean == {"regret": 0.0, "harm": 0.0, "over_coteaching": 4.0, "taken": {"standard": 60}}
    blind, clean = ({**one, "trainings": {"standard": 33.0}} for one in (blind, clean))
    choices = dict.fromkeys(gain.DRAWS, clean) | {"none": blind}
    test = {label: [100 * r.test_accuracy for r in of.results] for label, of in recorded.trained.items()}
    run = {"cell": "digits-pair40", "seed": 31, "test": test, "choices": choices}
    refused = {"cell": "x", "seed": 1, "refused": "why"}
    summary = gain.summaries([run, {**run, "seed": 41}, {**run, "cell": "news-pair35"}, refused])
    developed = summary["developed"]
    assert (developed["n_runs"], summary["untouched"]["n_runs"]) == (1, 2)
    assert developed["best_single"] == "standard"
    assert developed["choices"]["none"]["regret"] == [4.0, None]
    assert developed["choices"]["none"]["worst"] == ["digits-pair40", 31, 4.0]
    assert developed["choices"]["none"]["over_best_single"] == [-4.0, None]
    assert developed["choices"]["100"]["over_coteaching"] == [4.0, None]


def test_trainings_that_were_kept_are_replayed_alike(gain: ModuleType) -> None:
    recorded = recorded_of(gain, {"coteaching": -1.0}, failed="elr")
    again = gain.kept(json.loads(json.dumps(gain.to_keep(recorded))))
    assert again.spec == recorded.spec
    assert gain._replayed(again, 100, ALONE) == gain._replayed(recorded, 100, ALONE)


def test_a_training_that_failed_is_never_chosen(gain: ModuleType) -> None:
    failed = gain._replayed(recorded_of(gain, {}, failed="standard"), 300, ALONE)
    assert failed["taken"] == {"selfteaching": 60}


def test_whole_jobs_with_trusted_rows_are_summed_up_by_kind_of_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1])
    bench = importlib.import_module("benchmarks.bench_trusted_jobs")
    runs = [
        {"cell": "digits-pair45", "ours": 90.0, "alone": 80.0, "today": 70.0, "plain": 85.0},
        {"cell": "mnist-pair45", "ours": 80.0, "alone": 76.0, "today": 78.0, "plain": 81.0},
        {"cell": "mnist-sym50", "refused": "why"},
    ]
    summary = bench.summaries(runs)
    assert list(summary) == ["pair45"]
    assert summary["pair45"]["over_better_of_alone_and_today"]["mean"] == 6.0
    assert summary["pair45"]["over_plain_best_by_test"]["mean"] == 2.0
