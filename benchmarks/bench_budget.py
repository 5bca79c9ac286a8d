"""Does ``fit(seconds=)`` end when it says, and does the plan it stored replay? ``python -m benchmarks.bench_budget``.

Digits with a quarter of the labels wrong: ``--fits`` fits within ``--seconds`` each, how far off each end is, and the
last plan once more on 1, 2 and 4 processes. A small fit before it imports what the
first fit of a process imports (torch and scipy, some seconds).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from s2e.sklearn import NoisyLabelClassifier

MARGIN = 0.1


def noisy_digits(seed: int) -> tuple[Any, Any, Any]:
    """Rows, given labels, true labels."""
    bunch, rng = load_digits(), np.random.default_rng(seed)
    wrong = rng.random(len(bunch.target)) < 0.25
    shifted = (bunch.target + rng.integers(1, 10, len(bunch.target))) % 10
    return bunch.data, np.where(wrong, shifted, bunch.target), bunch.target


def one(seconds: float, seed: int, n_jobs: int) -> tuple[dict[str, Any], NoisyLabelClassifier]:
    """A fit within a budget, and what became of it."""
    x, given, true = noisy_digits(seed)
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        clf = NoisyLabelClassifier(budget=seconds, random_state=seed, n_jobs=n_jobs).fit(x[:1400], given[:1400])
    took = time.monotonic() - began
    train, search = clf.job_["spec"]["train"], clf.job_["spec"]["search"]
    row = {
        "took_s": round(took, 2),
        "off": round(took / seconds - 1, 4),
        "n_epochs": train["n_epochs"],
        "n_rounds": search["n_rounds"],
        "n_trials": search["n_trials"],
        "n_models": clf.job_["n_models"],
        "n_rows_judged": clf.job_["audit"]["n_rows"],
        "accuracy": round(float((clf.predict(x[1400:]) == true[1400:]).mean()), 4),
        "load": round(os.getloadavg()[0], 1),
    }
    return row, clf


def main() -> None:
    """Print a row for each fit, then how many ended in time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    x, given, _ = noisy_digits(0)
    NoisyLabelClassifier(n_rounds=2, n_trials=2, n_epochs=1, noise_rate=0.1).fit(x[:100], given[:100])
    rows = []
    for seed in range(asked.fits):
        row, clf = one(asked.seconds, seed, asked.jobs)
        rows.append(row)
        print(json.dumps(row), flush=True)
    in_time = sum(abs(row["off"]) <= MARGIN for row in rows)
    print(f"{in_time} of {len(rows)} ended within {MARGIN:.0%} of {asked.seconds:g} s")
    x, given, _ = noisy_digits(asked.fits - 1)
    replayed = {}
    for n_jobs in (1, 2, 4):
        again = NoisyLabelClassifier(n_jobs=n_jobs).fit(x[:1400], given[:1400], job=clf.job_)
        replayed[n_jobs] = bool(np.array_equal(again.predict_proba(x), clf.predict_proba(x)))
        print(f"replayed on {n_jobs}: {'the same bits' if replayed[n_jobs] else 'OTHER NUMBERS'}", flush=True)
    if asked.json:
        head = {"date": datetime.now(UTC).date().isoformat(), "machine": platform.processor(), "seconds": asked.seconds}
        content = {**head, "cores": os.cpu_count(), "in_time": in_time, "replayed": replayed, "fits": rows}
        asked.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
