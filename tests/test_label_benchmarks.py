"""The benchmarks of given labels in tiny form, on clouds of points instead of their data sets."""

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


def test_the_audit_is_measured_beside_cleanlab_at_no_less_compute(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cleanlab")
    bench, cells = benchmark("bench_labels"), benchmark("label_cells")
    rng = np.random.default_rng(0)
    true_S = np.arange(400) % 3
    x_SF = (4 * np.eye(3)[true_S] + rng.normal(size=(400, 3))).astype(np.float32)
    given_S = np.where(rng.random(400) < 0.3, (true_S + 1) % 3, true_S)
    T_CC = np.stack([np.bincount(given_S[true_S == i], minlength=3) / (true_S == i).sum() for i in range(3)])
    cell = cells.Cell("clouds", 3, x_SF[:300], given_S[:300], true_S[:300], x_SF[300:], true_S[300:], T_CC, None)
    monkeypatch.setattr(bench, "make_cell", lambda name, seed: cell)
    monkeypatch.setattr(bench, "N_EPOCHS", 4)
    result = json.loads(json.dumps(bench.measured(["clouds"], [1])))
    (run,) = result["runs"]
    assert run["audit"]["cleanlab"]["passes"] >= run["passes"] > 0
    assert run["audit"]["cleanlab"]["ap"] == max(run["audit"]["cleanlab"]["scores"].values())
    assert run["forward"].keys() == {"estimated", "true", "confident"}
    assert abs(run["noise"]["rate_error"]) < 0.1
    assert run["audit"]["ap"] > 0.8
    assert result["cells"]["clouds"]["ap"] == run["audit"]["ap"]
    assert "cpu" in result["machine"]


def test_differences_of_labels_by_hand(benchmark: Any) -> None:
    bench = benchmark("bench_labels")
    found = bench.difference([1.0, 2.0, 3.0])
    assert found["mean"] == 2
    assert found["half_95"] == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    wrong_S = np.array([True, True, False, False])
    assert bench.calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), wrong_S) == 0
    assert bench.calibration_error(np.array([0.95, 0.95, 0.95, 0.95]), wrong_S) == pytest.approx(0.45)


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
