"""Would a table of good curves, shipped with the package, be a better beginning than eq. (1) at six values of tau?

    S2E_DATA_ROOT=... python -m benchmarks.bench_curves [--repeats 8] [--results FOLDER] [--tiny]

The curves are chosen on the recorded tables (digits, 50 % symmetric and 45 % pair noise; 537 schedules x 3 seeds): one
after the other, the one that raises most what a choice among them reaches, by a training on one seed valued on the
others. ``table`` has six such curves, ``mixed`` four of the portfolio and two such ones. They are looked at on
objectives that no table has: six trainings of a repeat on one noise draw, the best by validation accuracy, trained on
fresh seeds. Accuracies are those on the test images, mean over the last epochs, in points; intervals are Student's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.bench_dropped import WORKS, noises
from benchmarks.measure import machine, write_result
from benchmarks.real_search import small_mnist
from s2e.jobs.sequential import interval
from s2e.schedule import coteaching_keep_rate
from s2e.search.distributions import Array
from s2e.search.portfolio import TAUS, portfolio
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec, derive_seed, replace
from workers.recorded import DIGITS_PAIR45, DIGITS_SYM50, RecordedTable

N_EPOCHS, TAIL, N_FRESH = 40, 6, 4
MIXED = 4
"""Curves of the portfolio that ``mixed`` keeps."""
UNTOUCHED = {
    "digits sym20": ("digits", NoiseSpec("symmetric", 0.2)),
    "digits pair30": ("digits", NoiseSpec("pair", 0.3)),
    "digits asym40": ("digits", noises("digits")["asym40"][0]),
    "mnist sym50": ("mnist", NoiseSpec("symmetric", 0.5)),
    "mnist pair45": ("mnist", NoiseSpec("pair", 0.45)),
}


def chosen(tables: Sequence[RecordedTable], first: Array, n: int) -> Array:
    """``first`` and more recorded curves, n in all, on the tables' own epochs: (n, T)."""
    curves_ST = tables[0].keep_rate
    taken = [tables[0].nearest(tuple(curve)) for curve in first]
    while len(taken) < n:
        others = [s for s in range(len(curves_ST)) if s not in taken]
        taken.append(max(others, key=lambda s: fmean(worth(table, [*taken, s]) for table in tables)))
    return np.array(curves_ST[taken])


def worth(table: RecordedTable, taken: Sequence[int]) -> float:
    """Accuracy, over the other seeds, of the curve that is best on one seed; mean over that seed."""
    accuracy_SR = 1 - table.objective(TAIL)[list(taken)]
    n_seeds = accuracy_SR.shape[1]
    best = [(int(accuracy_SR[:, r].argmax()), r) for r in range(n_seeds)]
    return fmean(float(np.delete(accuracy_SR[s], r).mean()) for s, r in best)


def resampled(curves_ST: Array, n_epochs: int) -> Array:
    """Curves over fewer epochs: (S, n_epochs)."""
    at = np.linspace(0, curves_ST.shape[1] - 1, n_epochs)
    return np.array([np.interp(at, np.arange(curves_ST.shape[1]), curve) for curve in curves_ST])


def starts() -> dict[str, Array]:
    """The first six curves of each kind."""
    tables = [RecordedTable.load(path) for path in (DIGITS_SYM50, DIGITS_PAIR45)]
    n_epochs = tables[0].keep_rate.shape[1]
    kept = np.array([coteaching_keep_rate(n_epochs, tau, round(share * n_epochs)) for tau, share in TAUS[:MIXED]])
    return {
        "portfolio": portfolio(N_EPOCHS, None),
        "table": resampled(chosen(tables, kept[:0], len(TAUS)), N_EPOCHS),
        "mixed": np.concatenate(
            [portfolio(N_EPOCHS, None)[:MIXED], resampled(chosen(tables, kept, len(TAUS))[MIXED:], N_EPOCHS)]
        ),
    }


def train(data: DataSpec, root: str | None, trials: Sequence[TrialSpec]) -> list[tuple[float, float]]:
    """Validation and test accuracy of every trial, over the last epochs."""
    spec = TrainSpec(n_epochs=N_EPOCHS, batch_size=64, learning_rate=3e-3)
    numbered = tuple(replace(trial, k=k) for k, trial in enumerate(trials))
    plan = PlanSpec(population=len(trials), threads=1)
    population = Population(data, spec, plan, TAIL, numbered, validate_every=0, test_every=0)
    steps = train_population(population, data_root=root)
    rows = [step.epochs for step in steps if isinstance(step, PopulationEpoch)][-TAIL:]
    return [
        (fmean(e[k].validation_accuracy or 0.0 for e in rows), 100 * fmean(e[k].test_accuracy or 0.0 for e in rows))
        for k in range(len(trials))
    ]


def seeded(curve: Array, repeat: int, purpose: str, n: int) -> TrialSpec:
    """Trials of a repeat share the noise draw and the data order; fresh ones share nothing."""
    what = {"init": n, "order": 0, "noise": 0} if purpose == "first" else dict.fromkeys(("init", "order", "noise"), n)
    init, order, noise = (derive_seed(repeat, name, purpose, of) for name, of in what.items())
    return TrialSpec(0, 0, "search", 0, tuple(curve.tolist()), init, order, noise)


def reached(data: DataSpec, root: str | None, curves_ST: Array, repeats: int) -> list[float]:
    """Worth of the best of the first trainings on fresh seeds, for each repeat."""
    n = len(curves_ST)
    asked = [seeded(curve, r, "first", k) for r in range(repeats) for k, curve in enumerate(curves_ST)]
    validation = np.array([one for one, _ in train(data, root, asked)]).reshape(repeats, n)
    best = validation.argmax(axis=1)
    fresh = [seeded(curves_ST[best[r]], r, "fresh", k) for r in range(repeats) for k in range(N_FRESH)]
    test = np.array([one for _, one in train(data, root, fresh)]).reshape(repeats, N_FRESH)
    return [float(value) for value in test.mean(axis=1)]


def study(repeats: int, names: Sequence[str]) -> dict[str, Any]:
    """Every start on every objective, with its paired difference from the portfolio."""
    curves, rows = starts(), {}
    with tempfile.TemporaryDirectory() as folder:
        small_mnist(Path(folder))
        for name in names:
            dataset, noise = UNTOUCHED[name]
            data = replace(WORKS[dataset].data, noise=noise)
            root = folder if dataset == "mnist" else None
            values = {start: reached(data, root, curves_ST, repeats) for start, curves_ST in curves.items()}
            rows[name] = {start: _compared(of, values["portfolio"]) for start, of in values.items()}
            for start, row in rows[name].items():
                print(
                    f"{name} {start} {row['accuracy']:.1f}, {row['more']:+.1f} ± {row['more_half_width']:.1f}",
                    flush=True,
                )
    return {"curves": {start: np.round(of, 4).tolist() for start, of in curves.items()}, "rows": rows}


def _compared(values: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    mean, half = interval(values)
    more, more_half = interval([a - b for a, b in zip(values, base, strict=True)])
    return {"accuracy": mean, "half_width": half, "more": more, "more_half_width": more_half, "values": list(values)}


def main() -> None:
    """Measure, and keep or print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--objectives", nargs="+", choices=list(UNTOUCHED), default=list(UNTOUCHED))
    parser.add_argument("--tiny", action="store_true", help="two repeats of one objective: shows only that it runs")
    parser.add_argument("--results", type=Path, help="folder the JSON is kept in; without it, it goes to the output")
    args = parser.parse_args()
    start = machine()
    measured = study(*((2, ["digits sym20"]) if args.tiny else (args.repeats, args.objectives)))
    result = {"machine": start, "load_at_end": machine()["load_1min"], "repeats": args.repeats, **measured}
    if args.results is None:
        print(json.dumps(result))
        return
    print(f"wrote {write_result(args.results, 'curves', result)}")


if __name__ == "__main__":
    main()
