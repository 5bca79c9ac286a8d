"""Tables with wrong labels: the estimator within a minute beside an AutoML tool with four, against the truth.

``NoisyLabelClassifier(budget=SECONDS)`` and FLAML's ``AutoML`` with four times the seconds learn the same rows with the
same wrong labels, on as many cores; nobody tells either how wrong they are. Rows that neither sees, with true labels,
judge. The sides take turns, each in a process of its own. Tables and noise are :data:`CELLS`, fixed before anything was
run; each is one draw of rows and of noise, so a difference within a few standard errors of its test rows says little.

    python -m benchmarks.bench_automl --rival-python ENVIRONMENT/bin/python [--cells NAME ...] [--seconds 60] [--seed 1]
                                      [--keep FOLDER] [--rival-only]

``--rival-python`` has ``flaml[automl]`` and numpy; it is another environment, so that this one keeps its versions. The
rival takes four fifths of the time and does not change when we do: with ``--keep`` its answers to the same rows, seed
and budget are kept, with the load that they were given at, and used again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import label_cells
from benchmarks.bench_labels import difference
from benchmarks.label_cells import SOURCES, Source, make_cell
from benchmarks.measure import machine, write_result
from s2e.words import derive_seed

TIMES = 4
"""The rival's budget in ours."""
CELLS = (
    "adult-sym30",
    "banknote-asym40",
    "phoneme-asym30",
    "ionosphere-sym20",
    "digits-pair35",
    "cancer-sym30",
    "wine-sym40",
    "iris-pair20",
    "mnist-asym45",
    "news-sym40",
)
"""``asym`` of two classes is one-sided: a share of class 0 is called 1."""
HERE = Path(__file__).resolve().parent


def _library(name: str, share: float) -> Callable[[int], Source]:
    """A table of scikit-learn; ``share`` of its rows test."""

    def load(seed: int) -> Source:
        import sklearn.datasets

        x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
        order = np.random.default_rng(derive_seed("rows", seed)).permutation(len(y))
        test, train = np.split(order, [round(share * len(y))])
        return Source(x[train].astype(np.float32), y[train], x[test].astype(np.float32), y[test])

    return load


TABLES: dict[str, Callable[[int], Source]] = {
    "ionosphere": label_cells.uci("ionosphere.csv", 201, 150),
    "cancer": _library("breast_cancer", 0.4),
    "wine": _library("wine", 0.5),
    "iris": _library("iris", 0.5),
}


def ours(path: Path, seconds: float, seed: int, n_jobs: int) -> dict[str, Any]:
    """The classes that our estimator predicts for the test rows of a cell."""
    import time

    from s2e.sklearn import NoisyLabelClassifier

    cell, began = np.load(path), time.monotonic()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        clf = NoisyLabelClassifier(budget=seconds, n_jobs=n_jobs, random_state=seed).fit(cell["x"], cell["given"])
    candidates = [row["candidate"] for row in clf.report_.get("candidates", ())]
    return {
        "predicted": clf.predict(cell["test_x"]).tolist(),
        "took_s": round(time.monotonic() - began, 1),
        "model": clf.report_.get("chosen", clf.method_),
        "estimated": None if clf.noise_rate_ is None else round(clf.noise_rate_, 3),
        "candidates": candidates,
        "warnings": [str(warning.message) for warning in said if issubclass(warning.category, UserWarning)],
    }


def alone(command: Sequence[str]) -> dict[str, Any]:
    """The JSON that a program prints last, with the CPU seconds of it and of the processes that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**row, "cpu_s": round(spent, 1)}


def kept(folder: Path, path: Path, asked: Sequence[str], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The answer of an earlier run to the same arrays and arguments, or a new one, which is kept."""
    digest = hashlib.sha256(repr(list(asked)).encode())
    with np.load(path) as arrays:
        for name in sorted(arrays):
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    file = folder / f"{path.stem}-{digest.hexdigest()[:16]}.json"
    if not file.exists():
        load = round(os.getloadavg()[0], 1)
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**make(), "load": load}))
    answer: dict[str, Any] = json.loads(file.read_text())
    return answer


def compare(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both sides on one cell, and the truth about them."""
    cell, path = make_cell(name, args.seed, {**SOURCES, **TABLES}), folder / f"{name}.npz"
    np.savez(path, x=cell.x_SF, given=cell.given_S, test_x=cell.test_x_SF)
    asked = {"ours": [str(args.seconds)], "flaml": [str(TIMES * args.seconds)]}
    asked = {side: [*seconds, str(args.seed), str(args.n_jobs)] for side, seconds in asked.items()}
    programs = {
        "ours": [sys.executable, "-m", "benchmarks.bench_automl", "--one", str(path)],
        "flaml": [str(args.rival_python), str(HERE / "automl_rival.py"), str(path)],
    }
    makes = {side: partial(alone, [*program, *asked[side]]) for side, program in programs.items()}
    if args.keep:
        makes["flaml"] = partial(kept, args.keep, path, asked["flaml"], makes["flaml"])
    row: dict[str, Any] = {
        "cell": name,
        "rows": len(cell.given_S),
        "wrong": round(cell.noise_rate, 3),
        "test_rows": len(cell.test_S),
        "load": round(os.getloadavg()[0], 1),
    }
    right: dict[str, NDArray[np.bool_]] = {}
    for side, make in makes.items():
        if args.rival_only and side == "ours":
            continue
        row[side] = make()
        right[side] = np.array(row[side].pop("predicted")) == cell.test_S
        row[side]["accuracy"] = round(100 * float(right[side].mean()), 2)
    if args.rival_only:
        return row
    difference_S = 100 * (right["ours"].astype(float) - right["flaml"])
    row["gain"] = round(float(difference_S.mean()), 2)
    row["gain_se"] = round(float(difference_S.std() / math.sqrt(len(difference_S))), 2)
    return row


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", nargs="+", default=list(CELLS))
    options.add_argument("--seconds", type=float, default=60.0, help=f"of ours; the rival has {TIMES} times as many")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--n-jobs", type=int, default=2, help="processes of ours, and threads of the rival")
    options.add_argument("--rival-python", type=Path, default=Path(sys.executable), help="one with flaml[automl]")
    options.add_argument("--keep", type=Path, help="folder of the rival's answers, used again where they are there")
    options.add_argument("--rival-only", action="store_true", help="fill that folder")
    options.add_argument("--output", type=Path, help="folder of <date>-automl.json")
    return options


def main() -> None:
    """Print a row for each cell, then how many were won."""
    args, rows = parser().parse_args(), []
    with TemporaryDirectory() as folder:
        for name in args.cells:
            rows.append(compare(name, args, Path(folder)))
            print(json.dumps(rows[-1]), flush=True)
    if args.rival_only:
        return
    gains = [row["gain"] for row in rows]
    summary = {"better": sum(gain > 0 for gain in gains), "of": len(gains), "gain": difference(gains)}
    print(json.dumps(summary))
    if args.output:
        content = {"machine": machine(), "seconds": args.seconds, "seed": args.seed, "tables": rows, **summary}
        print(write_result(args.output, "automl", content))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(ours(Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
    else:
        main()
