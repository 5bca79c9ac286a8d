"""One fit of FLAML for :mod:`benchmarks.bench_automl`: a program of its own, for FLAML has an environment of its own.

    PYTHON automl_rival.py CELL.npz SECONDS SEED N_JOBS

It needs numpy and ``flaml[automl]`` alone, reads arrays ``x``, ``given`` and ``test_x``, and prints one line of JSON.
"""

import json
import sys
import time
from typing import Any

import numpy as np


def fitted(cell: Any, seconds: float, seed: int, n_jobs: int) -> dict[str, Any]:
    """The classes that FLAML predicts for the test rows within its budget; the metric is the one that judges."""
    import flaml

    began = time.monotonic()
    automl = flaml.AutoML()
    automl.fit(
        cell["x"],
        cell["given"],
        task="classification",
        metric="accuracy",
        time_budget=seconds,
        n_jobs=n_jobs,
        seed=seed,
        verbose=0,
    )
    return {
        "predicted": np.asarray(automl.predict(cell["test_x"])).astype(int).tolist(),
        "took_s": round(time.monotonic() - began, 1),
        "cpu_s": round(time.process_time(), 1),
        "model": str(automl.best_estimator),
        "version": flaml.__version__,
    }


if __name__ == "__main__":
    path, asked, drawn, cores = sys.argv[1:]
    sys.stdout.write("\n" + json.dumps(fitted(np.load(path), float(asked), int(drawn), int(cores))) + "\n")
