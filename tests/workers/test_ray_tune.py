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
    expected, searcher, path = AskTell(CrossEntropy(S2E, 3, T), 4), search(), str(tmp_path / "search.json")
    for number in range(12):
        config = searcher.suggest(f"t{number}")
        point = expected.ask(number)
        assert config == {"keep_rate": list(S2E.schedule(point, T))}
        failed = number in (1, 6)
        searcher.on_trial_complete(f"t{number}", {"error": error(config["keep_rate"])}, error=failed)
        expected.tell(number, point, None if failed else error(config["keep_rate"]))
        searcher.save(path)
        searcher = search()
        searcher.restore(path)


def test_param_space_reaches_the_trainable_and_results_of_others_are_learned_from(tmp_path: Path) -> None:
    from ray import tune

    def searching() -> Any:
        made = search()
        space = {"lr": tune.loguniform(1e-4, 1e-1), "deep": {"width": tune.choice([8, 16])}, "batch": 32}
        assert made.set_search_properties(None, None, space)
        return made

    first, other = searching(), searching()
    configs = [first.suggest(f"t{number}") for number in range(6)]
    assert all(1e-4 <= config["lr"] <= 1e-1 and config["deep"]["width"] in (8, 16) for config in configs)
    assert [config["batch"] for config in configs] == [32] * 6
    assert len({config["lr"] for config in configs}) == 6
    assert [other.suggest(f"t{number}") for number in range(6)] == configs

    for config in configs[:4]:
        other.add_evaluated_point(config, error(config["keep_rate"]))
    moved = other.suggest("t6")
    assert moved["keep_rate"] != first.suggest("t6")["keep_rate"]  # a round was told to one of them
    first.on_trial_complete("of another experiment", {"error": 0.1})
    path = str(tmp_path / "search.json")
    other.save(path)
    resumed = searching()
    resumed.restore(path)
    assert resumed.suggest("t7") == other.suggest("t7")
    with pytest.raises(ValueError, match="comes closer"):
        other.add_evaluated_point({"keep_rate": [1.0, 0.0] * 10}, 0.2)
    with pytest.raises(ValueError, match=r"lr is a grid_search"):
        search().set_search_properties(None, None, {"lr": tune.grid_search([0.1, 0.2])})
    with pytest.raises(ValueError, match="leave it out"):
        search().set_search_properties(None, None, {"keep_rate": 1})


TUNER = """
import math, sys
import ray
from ray import tune
from s2e.ecosystem.ray_tune import S2ESearch

def trainable(config):
    assert config["batch"] == 32 and 1e-4 <= config["lr"] <= 1e-1
    return {"error": math.sqrt(sum((value - 0.5) ** 2 for value in config["keep_rate"][1:]) / 20)}

ray.init(address="local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
search = S2ESearch(20, metric="error", mode="min", searcher="cem", n_trials=4, seed=3)
tuner = tune.Tuner(
    trainable,
    param_space={"lr": tune.loguniform(1e-4, 1e-1), "batch": 32},
    tune_config=tune.TuneConfig(search_alg=search, num_samples=8, max_concurrent_trials=2, reuse_actors=True),
    run_config=tune.RunConfig(storage_path=sys.argv[1], verbose=0),
)
results = tuner.fit()
print("RESULT", len(results), len(results.errors), results.get_best_result("error", "min").metrics["error"])
"""


@pytest.mark.slow
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
