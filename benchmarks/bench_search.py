"""How many trials a search rule needs: every searcher of the catalog on tables of recorded trainings.

    python -m benchmarks.bench_search [--parts main noise batch long] [--tables sym50 pair45] [--repeats N]
                                      [--searchers NAME ...] [--results FOLDER] [--tiny]

The objectives are those of :mod:`benchmarks.search_objectives`. After each round the recommendation (lowest posterior
mean, as in a job) is valued by the objective without noise. Parts:

* ``main``    every rule on both tables and both objectives, 10 rounds of 6 trials, with the plot;
* ``noise``   the emulators with 3 and 6 times the noise;
* ``batch``   the emulators with K = 4, 8, 12, 16 trials a round, about 60 trials in all;
* ``long``    ``random``, on both objectives, to 240 trials.

A rule is called worse than random search only where the 95 % interval of the mean difference over repeats excludes 0.
Shapes: R repeats, M rounds.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.measure import machine
from benchmarks.plot_search import plot
from benchmarks.search_objectives import OBJECTIVES, Array, Emulator, Lookup
from s2e.parts import SEARCHERS
from s2e.search.space import S2E
from s2e.search.surrogate import recommend
from s2e.words import Observation
from workers.recorded import DIGITS_PAIR45, DIGITS_SYM50, RecordedTable

TABLES = {"sym50": DIGITS_SYM50, "pair45": DIGITS_PAIR45}
SHOWN = (6, 12, 18, 24, 30, 60, 120, 240)
SLOW = {"tpe": 20, "gp": 5, "cmaes": 20}
"""Most repeats of rules whose library takes long."""
PARTS = ("main", "noise", "batch", "long")


@dataclass(frozen=True)
class Setting:
    """One comparison: which objective, how noisy, and how many trials."""

    table: str
    objective: str
    noise: float = 1.0
    n_trials: int = 6
    n_rounds: int = 10

    @property
    def name(self) -> str:
        """For people and as a key of the result."""
        return f"{self.table} {self.objective}, noise x {self.noise:g}, K = {self.n_trials}, M = {self.n_rounds}"


def settings(part: str) -> Iterator[Setting]:
    """The comparisons of a part."""
    if part == "main":
        yield from (Setting(table, objective) for table, objective in product(TABLES, OBJECTIVES))
    if part == "noise":
        yield from (Setting(table, "emulator", noise=noise) for table, noise in product(TABLES, (3.0, 6.0)))
    if part == "batch":
        for table, k in product(TABLES, (4, 8, 12, 16)):
            yield Setting(table, "emulator", n_trials=k, n_rounds=round(60 / k))
    if part == "long":
        yield from (Setting(table, objective, n_rounds=40) for table, objective in product(TABLES, OBJECTIVES))


@lru_cache(maxsize=4)
def objective_of(table: str, objective: str, noise: float) -> Lookup | Emulator:
    """The objective of a setting, kept for the next searcher."""
    return OBJECTIVES[objective](RecordedTable.load(TABLES[table]), noise)


def search(name: str, setting: Setting, seed: int) -> tuple[list[float], float]:
    """True value of the recommendation after each round, and CPU seconds spent in ask and tell."""
    objective, n_epochs = objective_of(setting.table, setting.objective, setting.noise), 60
    searcher = SEARCHERS[name]().make(S2E, seed, n_epochs)
    noise_rng = np.random.default_rng([seed, 77])
    state, curves, seen, values, cpu_s = searcher.init(), [], [], [], 0.0
    for m in range(setting.n_rounds):
        start = process_time()
        points = [searcher.ask(state, k) for k in range(setting.n_trials)]
        cpu_s += process_time() - start
        new = [S2E.schedule(point, n_epochs) for point in points]
        observed = [objective.seen(curve, noise_rng) for curve in new]
        told = [Observation(k, point, value) for k, (point, value) in enumerate(zip(points, observed, strict=True))]
        start = process_time()
        state = searcher.tell(state, told)
        cpu_s += process_time() - start
        curves += new
        seen += observed
        # A long search is valued where it is shown only: the recommendation looks at all trials.
        shown = setting.n_rounds <= 20 or (m + 1) * setting.n_trials in SHOWN
        values.append(objective.true(curves[recommend(curves, seen)]) if shown else math.nan)
    return values, cpu_s


def trials_to_reach(level: float, mean_M: Sequence[float], n_trials: int) -> int | None:
    """Trials after which a mean curve is at least as good as ``level`` for the first time; None: never."""
    return next(((m + 1) * n_trials for m, value in enumerate(mean_M) if value <= level), None)


def difference(value_RM: Array, random_RM: Array) -> tuple[Array, Array]:
    """Mean accuracy above random search's on the same seeds, and the half width of its 95 % interval: (M,), (M,)."""
    n = min(len(value_RM), len(random_RM))
    above_RM = random_RM[:n] - value_RM[:n]
    return above_RM.mean(axis=0), 1.96 * above_RM.std(axis=0, ddof=1) / math.sqrt(n)


def compared(setting: Setting, names: Sequence[str], repeats: int) -> dict[str, Any]:
    """Mean accuracy with its 95 % interval over repeats, for each searcher and number of trials; random's included."""
    names = list(dict.fromkeys([*names, "random"]))
    seeds = {name: range(min(repeats, SLOW.get(name, repeats))) for name in names}
    runs = {name: [search(name, setting, seed) for seed in seeds[name]] for name in names}
    values = {name: np.array([run[0] for run in found]) for name, found in runs.items()}
    level = float(values["random"].mean(axis=0)[-1])
    rows = {}
    for name, value_RM in values.items():
        mean_M, (above_M, above_half_M) = value_RM.mean(axis=0), difference(value_RM, values["random"])
        half_M = 1.96 * value_RM.std(axis=0, ddof=1) / math.sqrt(len(value_RM))
        rows[name] = {
            "repeats": len(value_RM),
            "accuracy": rounded(1 - mean_M),
            "half_width": rounded(half_M),
            "above_random": rounded(above_M),
            "above_random_half_width": rounded(above_half_M),
            "worse_than_random_after": [
                (m + 1) * setting.n_trials for m in np.flatnonzero(above_M + above_half_M < 0).tolist()
            ],
            "trials_to_random": trials_to_reach(level, mean_M.tolist(), setting.n_trials),
            "ask_tell_cpu_s": round(float(np.mean([run[1] for run in runs[name]])), 4),
        }
    facts = objective_of(setting.table, setting.objective, setting.noise).facts()
    return {
        "n_trials": setting.n_trials,
        "facts": {name: round(value, 5) for name, value in facts.items()},
        "random_accuracy": round(1 - level, 5),
        "searchers": rows,
    }


def rounded(value_M: Array) -> list[float | None]:
    """Five digits; None where a long search was not valued."""
    return [None if math.isnan(value) else round(value, 5) for value in value_M.tolist()]


def table_of(result: dict[str, Any]) -> str:
    """The comparison as a Markdown table, accuracies in per cent."""
    k = result["n_trials"]
    first = next(iter(result["searchers"].values()))["accuracy"]
    shown = [n for n in SHOWN if n % k == 0 and n // k <= len(first) and first[n // k - 1] is not None]
    head = ["searcher", *(f"@{n}" for n in shown), "trials to random's last mean", "significantly worse than random at"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, row in sorted(result["searchers"].items(), key=lambda item: -item[1]["accuracy"][-1]):
        cells = [f"{100 * row['accuracy'][n // k - 1]:.2f} ± {100 * row['half_width'][n // k - 1]:.2f}" for n in shown]
        worse = ", ".join(str(n) for n in row["worse_than_random_after"]) or "none"
        lines.append("| " + " | ".join([f"`{name}`", *cells, str(row["trials_to_random"] or "never"), worse]) + " |")
    return "\n".join(lines)


def run(
    parts: Sequence[str], names: Sequence[str], repeats: int, tables: Sequence[str] = tuple(TABLES)
) -> dict[str, Any]:
    """All settings of the parts. The library's rules take part in ``main`` only, for their time."""
    start, found = process_time(), {}
    for part in parts:
        chosen = names if part == "main" else [name for name in names if name not in SLOW]
        if part == "long":
            chosen = ["random"]
        for setting in (setting for setting in settings(part) if setting.table in tables):
            found[setting.name] = compared(setting, chosen, repeats)
            print(f"{setting.name}\n{table_of(found[setting.name])}\n", flush=True)
    return {"machine": machine(), "cpu_s": round(process_time() - start, 1), "settings": found}


def main() -> None:
    """Compare, print the tables, keep JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--searchers", nargs="+", choices=list(SEARCHERS), default=comparable())
    parser.add_argument("--tiny", action="store_true", help="two repeats of part main: checks the path only")
    parser.add_argument("--results", type=Path, help="folder for JSON and plot; without it, JSON goes to the output")
    args = parser.parse_args()
    if args.tiny:
        args.parts, args.repeats = ["main"], 2
    result = run(args.parts, args.searchers, args.repeats, args.tables)
    if args.results is None:
        print(json.dumps(result))
        return
    path = args.results / "search.json"
    if path.is_file():
        result = merged(json.loads(path.read_text(encoding="utf-8")), result)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    main_names = {setting.name for setting in settings("main")}
    drawn = {name: found for name, found in result["settings"].items() if name in main_names}
    print(f"wrote {path}")
    if drawn:
        path.with_suffix(".svg").write_text(plot(drawn), encoding="utf-8")
        print(f"wrote {path.with_suffix('.svg')}")


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Searchers and settings measured anew replace what was there with no more repeats; the others stay.

    Trials to random search's level are counted anew, because its row may be another one.
    """
    found = {name: dict(setting) for name, setting in old["settings"].items()}
    for name, setting in new["settings"].items():
        rows = dict(found.get(name, {}).get("searchers", {}))
        for searcher, row in setting["searchers"].items():
            if searcher not in rows or row["repeats"] >= rows[searcher]["repeats"]:
                rows[searcher] = row
        level = rows["random"]["accuracy"][-1]
        rows = {
            searcher: {**row, "trials_to_random": _reached(level, row["accuracy"], setting["n_trials"])}
            for searcher, row in rows.items()
        }
        found[name] = {**setting, "random_accuracy": level, "searchers": rows}
    return {**new, "settings": found}


def _reached(level: float, accuracy: Sequence[float | None], n_trials: int) -> int | None:
    return trials_to_reach(-level, [math.inf if value is None else -value for value in accuracy], n_trials)


def comparable() -> list[str]:
    """Searchers whose trials are all full trainings, which is what a table holds."""
    return [name for name, part in SEARCHERS.items() if not part.short_trials]


if __name__ == "__main__":
    main()
