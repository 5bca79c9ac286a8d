"""What a choice of the method within a budget is worth: ``python -m benchmarks.bench_choice --seconds 40``.

Each cell is fitted twice within the same seconds: with the method chosen (``auto``), and with Co-teaching under a
searched schedule. Both end by the clock, so other programs on the machine cost both accuracy; they take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.bench_labels import difference
from benchmarks.label_cells import Cell, make_cell
from benchmarks.measure import machine, write_result
from s2e.sklearn import NoisyLabelClassifier

METHODS = ("auto", "coteaching")


def fitted(cell: Cell, method: str, seconds: float, seed: int) -> dict[str, Any]:
    """A fit within a budget, and its accuracy on right labels."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        clf = NoisyLabelClassifier(budget=seconds, random_state=seed, method=method).fit(cell.x_SF, cell.given_S)
    return {
        "accuracy": round(float((clf.predict(cell.test_x_SF) == cell.test_S).mean()), 4),
        "took_s": round(time.monotonic() - began, 1),
        "method": clf.method_,
        "estimated": round(float(clf.noise_rate_), 3),
        "n_epochs": clf.job_["spec"]["train"]["n_epochs"],
        "n_candidates": len(clf.report_.get("candidates", ())),
    }


def main() -> None:
    """Print a row for each cell and seed, then the differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default="digits-pair45,mnist-sym50,phoneme-sym30")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--output", type=Path, help="folder of <date>-choice.json")
    args = parser.parse_args()
    rows = []
    warm = make_cell("digits-sym20", 0)
    NoisyLabelClassifier(n_rounds=2, n_trials=2, n_epochs=1, noise_rate=0.1).fit(warm.x_SF[:100], warm.given_S[:100])
    for seed in map(int, args.seeds.split(",")):
        for name in args.cells.split(","):
            cell = make_cell(name, seed)
            fits = {method: fitted(cell, method, args.seconds, seed) for method in METHODS}
            gain = round(fits["auto"]["accuracy"] - fits["coteaching"]["accuracy"], 4)
            rows.append({"cell": name, "seed": seed, "gain": gain, **fits, "load": round(os.getloadavg()[0], 1)})
            print(json.dumps(rows[-1]), flush=True)
    gains = {name: difference([row["gain"] for row in rows if row["cell"] == name]) for name in args.cells.split(",")}
    print(json.dumps(gains, indent=1))
    if args.output:
        content = {"machine": machine(), "seconds": args.seconds, "fits": rows, "gains": gains}
        print(write_result(args.output, "choice", content))


if __name__ == "__main__":
    main()
