"""How many trials a search rule needs: every searcher of the catalog on a table of recorded trainings.

    python -m benchmarks.bench_search [--repeats N] [--searchers NAME ...] [--tiny] [--results FOLDER]

Two objectives are made from the table ``workers/tables/digits_sym50.npz``:

* ``nearest``   what the nearest recorded training measured. No model, but a staircase of 256 steps, and the seed noise
                of each recorded training is part of its truth;
* ``emulator``  the posterior mean of a Gaussian process on the segment means of all recorded curves, and normal noise
                on what a search sees. Smooth and with a known truth, but it is the same kind of model as the surrogate
                of ``model_newton`` and of the recommendation, so it flatters them.

After each round the recommendation (lowest posterior mean, as in a job) is valued by the objective without noise.
Shapes: S trainings of the table, R repeats, M rounds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import machine, write_result
from s2e import catalog
from s2e.search.space import S2E
from s2e.search.surrogate import Surrogate, recommend, segment_means
from s2e.spec import Observation
from workers.recorded import RecordedTable

Array = NDArray[np.float64]
Curve = tuple[float, ...]
TAIL = 6
"""Last epochs averaged by the objective: T/10 of the recorded 60."""
N_TRIALS, N_ROUNDS = 6, 10
SHOWN = (6, 12, 18, 24, 30, 60)


def recorded_objective(table: RecordedTable) -> Array:
    """1 - mean validation accuracy over the last epochs of each recorded training: (S,)."""
    return np.asarray(1 - table.validation_accuracy[:, -TAIL:].astype(np.float64).mean(axis=1))


class Nearest:
    """The nearest recorded training's objective, without any noise of its own."""

    noise = 0.0

    def __init__(self, table: RecordedTable) -> None:
        self._table, self._objective_S = table, recorded_objective(table)

    def true(self, curve: Curve) -> float:
        return float(self._objective_S[self._table.nearest(curve)])

    def facts(self) -> dict[str, float]:
        return {"best": round(float(self._objective_S.min()), 5)}


class Emulator:
    """A Gaussian process fitted to the whole table; its noise share is the seed noise of a training."""

    def __init__(self, table: RecordedTable) -> None:
        f_S = recorded_objective(table)
        self._mean, self._sd = float(f_S.mean()), float(f_S.std())
        self._features_SG, self._score_S = segment_means(table.keep_rate), (f_S - self._mean) / self._sd
        self._fit = Surrogate(self._features_SG, self._score_S)
        self.noise = self._sd * math.sqrt(self._fit.noise_share)

    def true(self, curve: Curve) -> float:
        return self._mean + self._sd * float(self._fit.mean(segment_means([curve]))[0])

    def facts(self) -> dict[str, float]:
        """How well each tenth of the table is predicted from the other nine, and what was fitted."""
        n, error_S = len(self._score_S), np.empty(len(self._score_S))
        for fold in range(10):
            held = np.arange(n) % 10 == fold
            fit = Surrogate(self._features_SG[~held], self._score_S[~held])
            error_S[held] = fit.mean(self._features_SG[held]) - self._score_S[held]
        return {
            "r2_held_out": round(1 - float((error_S**2).mean()), 4),
            "noise_sd": round(self.noise, 5),
            "lengthscale": self._fit.lengthscale,
        }


def search(
    name: str, objective: Nearest | Emulator, seed: int, n_epochs: int, n_rounds: int
) -> tuple[list[float], float]:
    """True value of the recommendation after each round, and CPU seconds spent in ask and tell."""
    searcher = catalog.load(catalog.SEARCHERS, name)(S2E, seed, n_epochs)
    noise_rng = np.random.default_rng([seed, 77])
    state, curves, seen, values, cpu_s = searcher.init(), [], [], [], 0.0
    for _ in range(n_rounds):
        start = process_time()
        points = [searcher.ask(state, k) for k in range(N_TRIALS)]
        cpu_s += process_time() - start
        new = [S2E.schedule(point, n_epochs) for point in points]
        observed = [objective.true(curve) + objective.noise * noise_rng.standard_normal() for curve in new]
        told = [Observation(k, point, value) for k, (point, value) in enumerate(zip(points, observed, strict=True))]
        start = process_time()
        state = searcher.tell(state, told)
        cpu_s += process_time() - start
        curves += new
        seen += observed
        values.append(objective.true(curves[recommend(curves, seen)]))
    return values, cpu_s


def trials_to_reach(level: float, mean_M: Sequence[float]) -> int | None:
    """Trials after which a mean curve is at least as good as ``level`` for the first time; None: never."""
    return next(((m + 1) * N_TRIALS for m, value in enumerate(mean_M) if value <= level), None)


def compared(objective: Nearest | Emulator, names: Sequence[str], repeats: int, n_epochs: int, rounds: int) -> Any:
    """Mean accuracy and the 95 % interval of the mean over repeats, for each searcher and number of trials."""
    runs = {name: [search(name, objective, seed, n_epochs, rounds) for seed in range(repeats)] for name in names}
    values = {name: np.array([run[0] for run in found]) for name, found in runs.items()}
    level = float(values["random"].mean(axis=0)[-1])
    rows = {}
    for name, value_RM in values.items():
        mean_M = value_RM.mean(axis=0)
        half_M = 1.96 * value_RM.std(axis=0, ddof=1) / math.sqrt(repeats)
        rows[name] = {
            "accuracy": [round(float(1 - value), 5) for value in mean_M],
            "half_width": [round(float(half), 5) for half in half_M],
            "trials_to_random": trials_to_reach(level, mean_M.tolist()),
            "ask_tell_cpu_s": round(float(np.mean([run[1] for run in runs[name]])), 4),
        }
    return {"facts": objective.facts(), "random_accuracy": round(1 - level, 5), "searchers": rows}


def table_of(result: dict[str, Any]) -> str:
    """The comparison as a Markdown table, accuracies in per cent."""
    rounds = len(next(iter(result["searchers"].values()))["accuracy"])
    shown = [n for n in SHOWN if n <= rounds * N_TRIALS]
    head = ["searcher", *(f"@{n}" for n in shown), "trials to random's last mean"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in result["searchers"].items():
        cells = [
            f"{100 * row['accuracy'][n // N_TRIALS - 1]:.2f} ± {100 * row['half_width'][n // N_TRIALS - 1]:.2f}"
            for n in shown
        ]
        lines.append("| " + " | ".join([f"`{name}`", *cells, str(row["trials_to_random"] or "never")]) + " |")
    return "\n".join(lines)


def run(names: Sequence[str], repeats: int, rounds: int) -> dict[str, Any]:
    """Both objectives; random search is always among the searchers."""
    table = RecordedTable.load()
    n_epochs = table.keep_rate.shape[1]
    makers: dict[str, Callable[[RecordedTable], Nearest | Emulator]] = {"nearest": Nearest, "emulator": Emulator}
    start = process_time()
    names = list(dict.fromkeys([*names, "random"]))
    found = {key: compared(make(table), names, repeats, n_epochs, rounds) for key, make in makers.items()}
    cpu_s = round(process_time() - start, 1)
    return {"machine": machine(), "repeats": repeats, "n_trials": N_TRIALS, "n_rounds": rounds, "cpu_s": cpu_s, **found}


def main() -> None:
    """Compare, print both tables, keep the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--searchers", nargs="+", choices=list(catalog.SEARCHERS), default=list(catalog.SEARCHERS))
    parser.add_argument("--tiny", action="store_true", help="two repeats of two rounds: checks the path only")
    parser.add_argument("--results", type=Path, help="folder the JSON is kept in; without it, it goes to the output")
    args = parser.parse_args()
    result = run(args.searchers, 2 if args.tiny else args.repeats, 2 if args.tiny else N_ROUNDS)
    if args.results is None:
        print(json.dumps(result))
        return
    path = write_result(args.results, "search", result)
    print(f"{table_of(result['nearest'])}\n\n{table_of(result['emulator'])}\n\nwrote {path}")


if __name__ == "__main__":
    main()
