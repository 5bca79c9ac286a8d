"""The benchmark of trusted labels in tiny form, on a cloud of points instead of its data sets."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of ``benchmarks``."""
    monkeypatch.syspath_prepend(ROOT)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.{name}")

    return load


@pytest.mark.slow
def test_trusted_rows_and_choices_are_measured_beside_their_rivals(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, cells = benchmark("bench_trusted"), benchmark("label_cells")
    rng = np.random.default_rng(0)
    true_S = np.arange(500) % 3
    x_SF = (4 * np.eye(3)[true_S] + rng.normal(size=(500, 3))).astype(np.float32)
    given_S = np.where(rng.random(500) < 0.3, (true_S + 1) % 3, true_S)
    cell = cells.Cell("clouds", 3, x_SF[:300], given_S[:300], true_S[:300], x_SF[300:], true_S[300:], np.eye(3), None)
    monkeypatch.setattr(bench, "make_cell", lambda name, seed: cell)
    for name, value in {"N_NOISY": 240, "N_TRUSTED": 60, "N_EPOCHS": 4}.items():
        monkeypatch.setattr(bench, name, value)
    result = json.loads(json.dumps(bench.measured(["clouds"], [1])))
    (run,) = result["runs"]
    assert run["trusted"]["winner"] in run["trusted"]["cross_fit"]
    assert run["trusted"].keys() > {"ours", "trusted_alone", "chosen_on_trusted", "plain_best_by_test"}
    assert run["trusted"]["ours"] > 80
    best = max(run["choice"]["test"].values())
    for how, taken in run["choice"]["taken"].items():
        assert run["choice"]["regret"][how] == pytest.approx(best - run["choice"]["test"][taken], abs=0.01)
    assert result["cells"]["clouds"]["n"] == 1
