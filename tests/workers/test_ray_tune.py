"""The search algorithm inside Ray Tune itself."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s2e.ecosystem.asktell import AskTell
from s2e.search.cem import CrossEntropy
from s2e.search.space import S2E

S2ESearch = pytest.importorskip("s2e.ecosystem.ray_tune", exc_type=ImportError).S2ESearch
T = 20
ROOT = Path(__file__).parents[2]


def search(**more: Any) -> Any:
    return S2ESearch(T, metric="error", mode="min", searcher="cem", n_trials=4, seed=3, **more)


def error(keep_rate: list[float]) -> float:
    return math.sqrt(sum((value - 0.5) ** 2 for value in keep_rate[1:]) / T)


def test_suggestions_are_the_searcher_s_and_survive_a_restart(tmp_path: Path) -> None:
    expected, found, path = AskTell(CrossEntropy(S2E, 3, T), 4), search(), str(tmp_path / "search.json")
    for number in range(12):
        config = found.suggest(f"t{number}")
        point = expected.ask(number)
        assert config == {"keep_rate": list(S2E.schedule(point, T))}
        failed = number in (1, 6)
        found.on_trial_complete(f"t{number}", {"error": error(config["keep_rate"])}, error=failed)
        expected.tell(number, point, None if failed else error(config["keep_rate"]))
        found.save(path)
        found = search()
        found.restore(path)


TUNER = """
import math, sys
import ray
from ray import tune
from s2e.ecosystem.ray_tune import S2ESearch

def trainable(config):
    return {"error": math.sqrt(sum((value - 0.5) ** 2 for value in config["keep_rate"][1:]) / 20)}

ray.init(address="local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
search = S2ESearch(20, metric="error", mode="min", searcher="cem", n_trials=4, seed=3)
tuner = tune.Tuner(
    trainable,
    tune_config=tune.TuneConfig(search_alg=search, num_samples=8, max_concurrent_trials=2),
    run_config=tune.RunConfig(storage_path=sys.argv[1], verbose=0),
)
results = tuner.fit()
print("RESULT", len(results), len(results.errors), results.get_best_result("error", "min").metrics["error"])
"""


@pytest.mark.ray
def test_a_real_tuner_runs_it(tmp_path: Path) -> None:
    """In a process of its own: Ray is one to a process, and other tests have theirs."""
    command = [sys.executable, "-c", TUNER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    n_trials, n_errors, best = line.split()[1:]
    assert (int(n_trials), int(n_errors)) == (8, 0)
    assert float(best) < 0.4
