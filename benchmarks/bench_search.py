"""The number of trials a search rule needs: every searcher of the catalog on tables of recorded trainings.

    python -m benchmarks.bench_search [--parts main start policies noise batch long] [--tables sym50 pair45]
                                      [--repeats N] [--searchers NAME ...] [--results FOLDER] [--tiny]

The objectives are those of :mod:`benchmarks.search_objectives`. After each round the recommendation (lowest posterior
mean, as in a job) is valued by the objective without noise. Parts:

* ``main``    every rule on both tables and both objectives, 10 rounds of 6 trials, with the plot;
* ``start``   small budgets: how ``model_newton`` begins, and the cubic step, to 24 trials;
* ``policies``  what ``model_newton`` may do beside Thompson sampling, to 24 trials on the emulators, where trials of
              a round share a normal effect of a third of the standard deviation between seeds, as data orders do on
              45 % pair noise;
* ``noise``   the emulators with 3 and 6 times the noise;
* ``batch``   the emulators with K = 4, 8, 12, 16 trials a round, about 60 trials in all;
* ``long``    ``random``, on both objectives, to 240 trials.

Intervals are Student t over repeats; that of the trials to random search's level is a bootstrap over the repeats of
both. A rule is called worse than random search only where the 95 % interval of the mean difference excludes 0.
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
from scipy.stats import t as student_t

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
PARTS = ("main", "start", "policies", "noise", "batch", "long")
ROUND_EFFECT = 1 / 3
"""Standard deviation of what the trials of a round share, beside that between seeds: 1.4 and 4.3 points were measured
where the recorded tables, which have an order of their own for each training, cannot show it."""
OFF = {"free_every": 0, "replicate_every": 0, "round_effect": False}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "start": {
        "spread": {**OFF, "start": "spread"},
        "portfolio": OFF,
        "portfolio at tau = 0.5": {**OFF, "tau": 0.5},
    },
    "policies": {
        "free draws and replicates": {**OFF, "free_every": 6, "replicate_every": 3},
        "replicates": {**OFF, "replicate_every": 3},
        "free draws": {**OFF, "free_every": 6},
        "neither": OFF,
        "neither, round effect": {**OFF, "round_effect": True},
    },
}
"""Settings of ``model_newton`` that these parts compare."""
NAMED = {name: settings for part in VARIANTS.values() for name, settings in part.items()}
STEPS = ("cubic_newton", "newton", "newton_literal", "cubic_newton_literal")
N_BOOTSTRAP = 2_000


@dataclass(frozen=True)
class Setting:
    """One comparison: which objective, how noisy, and how many trials."""

    table: str
    objective: str
    noise: float = 1.0
    n_trials: int = 6
    n_rounds: int = 10
    round_effect: float = 0.0
    """In standard deviations between seeds."""

    @property
    def name(self) -> str:
        """For people and as a key of the result."""
        effect = ", round effect" if self.round_effect else ""
        return (
            f"{self.table} {self.objective}, noise x {self.noise:g}, K = {self.n_trials}, M = {self.n_rounds}{effect}"
        )


def settings(part: str) -> Iterator[Setting]:
    """The comparisons of a part."""
    if part == "main":
        yield from (Setting(table, objective) for table, objective in product(TABLES, OBJECTIVES))
    if part == "start":
        yield from (Setting(table, objective, n_rounds=4) for table, objective in product(TABLES, OBJECTIVES))
    if part == "policies":
        yield from (Setting(table, "emulator", n_rounds=4, round_effect=ROUND_EFFECT) for table in TABLES)
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
    part = SEARCHERS["model_newton"](**NAMED[name]) if name in NAMED else SEARCHERS[name]()
    searcher = part.make(S2E, seed, n_epochs)
    noise_rng, round_rng = np.random.default_rng([seed, 77]), np.random.default_rng([seed, 78])
    round_sd = setting.round_effect * seed_sd(setting) if setting.round_effect else 0.0
    state, curves, seen, values, cpu_s = searcher.init(), [], [], [], 0.0
    for m in range(setting.n_rounds):
        start = process_time()
        points = [searcher.ask(state, k) for k in range(setting.n_trials)]
        cpu_s += process_time() - start
        new = [S2E.schedule(point, n_epochs) for point in points]
        shared = round_sd * float(round_rng.standard_normal())
        observed = [objective.seen(curve, noise_rng) + shared for curve in new]
        told = [Observation(k, point, value) for k, (point, value) in enumerate(zip(points, observed, strict=True))]
        start = process_time()
        state = searcher.tell(state, told)
        cpu_s += process_time() - start
        curves += new
        seen += observed
        # A long search is valued where it is shown only: the recommendation looks at all trials.
        shown = setting.n_rounds <= 20 or (m + 1) * setting.n_trials in SHOWN
        rounds = [i // setting.n_trials for i in range(len(curves))] if setting.round_effect else None
        values.append(objective.true(curves[recommend(curves, seen, rounds=rounds)]) if shown else math.nan)
    return values, cpu_s


@lru_cache(maxsize=8)
def seed_sd(setting: Setting) -> float:
    """Standard deviation between trainings of one schedule, root mean square over the table."""
    return objective_of(setting.table, setting.objective, setting.noise).facts()["seed_sd"]


def trials_to_reach(level: float, mean_M: Sequence[float], n_trials: int) -> int | None:
    """Trials after which a mean curve is at least as good as ``level`` for the first time; None: never."""
    return next(((m + 1) * n_trials for m, value in enumerate(mean_M) if value <= level), None)


def difference(value_RM: Array, random_RM: Array) -> tuple[Array, Array]:
    """Mean accuracy above random search's on the same seeds, and the half width of its 95 % interval: (M,), (M,)."""
    n = min(len(value_RM), len(random_RM))
    above_RM = random_RM[:n] - value_RM[:n]
    return above_RM.mean(axis=0), half_width(above_RM)


def half_width(value_RM: Array) -> Array:
    """Half the 95 % Student-t interval of the mean over repeats: (M,)."""
    n = len(value_RM)
    return np.asarray(student_t.ppf(0.975, n - 1) * value_RM.std(axis=0, ddof=1) / math.sqrt(n))


def trials_interval(value_RM: Array, random_RM: Array, n_trials: int) -> list[int | None]:
    """A 95 % bootstrap interval of the trials to random search's last mean: repeats of both are drawn anew, together
    where they have the same seeds. None stands for never, beyond the last trial."""
    rng, reached = np.random.default_rng(0), []
    for _ in range(N_BOOTSTRAP):
        own = rng.integers(len(value_RM), size=len(value_RM))
        theirs = own if len(value_RM) == len(random_RM) else rng.integers(len(random_RM), size=len(random_RM))
        level, mean_M = float(random_RM[theirs, -1].mean()), value_RM[own].mean(axis=0)
        reached.append(trials_to_reach(level, mean_M.tolist(), n_trials) or math.inf)
    return [None if math.isinf(n) else int(n) for n in np.quantile(reached, [0.025, 0.975], method="nearest")]


def compared(setting: Setting, names: Sequence[str], repeats: int) -> dict[str, Any]:
    """Mean accuracy with its 95 % interval over repeats, for each searcher and number of trials; random's included."""
    names = list(dict.fromkeys([*names, "random"]))
    seeds = {name: range(min(repeats, SLOW.get(name, repeats))) for name in names}
    runs = {name: [search(name, setting, seed) for seed in seeds[name]] for name in names}
    values = {name: np.array([run[0] for run in searches]) for name, searches in runs.items()}
    level = float(values["random"].mean(axis=0)[-1])
    rows = {}
    for name, value_RM in values.items():
        mean_M, (above_M, above_half_M) = value_RM.mean(axis=0), difference(value_RM, values["random"])
        rows[name] = {
            "repeats": len(value_RM),
            "accuracy": rounded(1 - mean_M),
            "half_width": rounded(half_width(value_RM)),
            "above_random": rounded(above_M),
            "above_random_half_width": rounded(above_half_M),
            "worse_than_random_after": [
                (m + 1) * setting.n_trials for m in np.flatnonzero(above_M + above_half_M < 0).tolist()
            ],
            "trials_to_random": trials_to_reach(level, mean_M.tolist(), setting.n_trials),
            "trials_to_random_interval": trials_interval(value_RM, values["random"], setting.n_trials),
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
        lines.append("| " + " | ".join([f"`{name}`", *cells, _reached_in_words(row), worse]) + " |")
    return "\n".join(lines)


def _reached_in_words(row: dict[str, Any]) -> str:
    """Trials to random search's level with their interval; rows of before it was kept have none."""
    words = [
        "never" if n is None else str(n) for n in (row["trials_to_random"], *row.get("trials_to_random_interval", []))
    ]
    return f"{words[0]} ({words[1]} to {words[2]})" if len(words) == 3 else words[0]


def run(
    parts: Sequence[str], names: Sequence[str], repeats: int, tables: Sequence[str] = tuple(TABLES)
) -> dict[str, Any]:
    """All settings of the parts. The library's rules take part in ``main`` only, for their time."""
    start, result_of = process_time(), {}
    for part in parts:
        chosen = names if part == "main" else [name for name in names if name not in SLOW]
        if part == "long":
            chosen = ["random"]
        if part in VARIANTS:
            chosen = [*VARIANTS[part], *(STEPS if part == "start" else ())]
        for setting in (setting for setting in settings(part) if setting.table in tables):
            result_of[setting.name] = compared(setting, chosen, repeats)
            print(f"{setting.name}\n{table_of(result_of[setting.name])}\n", flush=True)
    return {"machine": machine(), "cpu_s": round(process_time() - start, 1), "settings": result_of}


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
    drawn = {name: rows for name, rows in result["settings"].items() if name in main_names}
    print(f"wrote {path}")
    if drawn:
        path.with_suffix(".svg").write_text(plot(drawn), encoding="utf-8")
        print(f"wrote {path.with_suffix('.svg')}")


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Searchers and settings measured anew replace what was there with no more repeats; the others stay.

    Trials to random search's level are counted anew, because its row may be another one.
    """
    together = {name: dict(setting) for name, setting in old["settings"].items()}
    for name, setting in new["settings"].items():
        rows = dict(together.get(name, {}).get("searchers", {}))
        for searcher, row in setting["searchers"].items():
            if searcher not in rows or row["repeats"] >= rows[searcher]["repeats"]:
                rows[searcher] = row
        level = rows["random"]["accuracy"][-1]
        rows = {
            searcher: {**row, "trials_to_random": _reached(level, row["accuracy"], setting["n_trials"])}
            for searcher, row in rows.items()
        }
        together[name] = {**setting, "random_accuracy": level, "searchers": rows}
    return {**new, "settings": together}


def _reached(level: float, accuracy: Sequence[float | None], n_trials: int) -> int | None:
    return trials_to_reach(-level, [math.inf if value is None else -value for value in accuracy], n_trials)


def comparable() -> list[str]:
    """Searchers whose trials are all full trainings, which is what a table holds."""
    return [name for name, part in SEARCHERS.items() if not part.short_trials]


if __name__ == "__main__":
    main()
