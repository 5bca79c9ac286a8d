"""Cost against size: CPU time of a trial-epoch, and memory, as trials, samples, epochs and networks grow.

An MLP on digits by the engine, one thread; an epoch is training and the evaluation on 800 images. Every point of a
sweep trains one epoch, then all of them the next, so that another program disturbs all alike; the median of CPU time
over the epochs after the first counts. ``memory`` is what the process grew by from nothing to a trained epoch, alone.

    python -m benchmarks.bench_cost [--dtype float32] [--repeats 7] [--output benchmarks/results] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import machine, write_result
from benchmarks.stacked import EngineTrials
from benchmarks.workload import build
from s2e.train.runtime import prepare_process
from s2e.words import PlanSpec, replace

Point = Mapping[str, Any]
USUAL: Point = {"K": 4, "S": 896, "T": 40, "N": 2}
SWEEPS: Mapping[str, Sequence[int]] = {
    "K": (1, 2, 4, 8, 16, 32, 64),
    "S": (128, 256, 512, 896),
    "T": (10, 40, 160, 640),
    "N": (1, 2),
}
TINY: Mapping[str, Sequence[int]] = {"K": (1, 2), "S": (128, 256), "T": (10, 40), "N": (1, 2)}
TITLES = {"K": "trials in a stack", "S": "training samples", "T": "epochs of the training", "N": "networks of a trial"}
METHODS = {1: "selfteaching", 2: "coteaching"}
SIDE, MARGIN = 260, 50


def engine(point: Point, dtype: str) -> EngineTrials:
    """The engine's trials of a point. Of a training of T epochs the last ones are timed, where a slow-down would be."""
    work = build("digits", point["T"], n_train=point["S"])
    assert work is not None
    work = replace(work, train_spec=replace(work.train_spec, method=METHODS[point["N"]]))
    return EngineTrials(work, point["K"], dtype, shared_order=False)


def sweep(name: str, values: Sequence[int], dtype: str, repeats: int) -> list[dict[str, Any]]:
    """A row for each value: milliseconds of CPU a trial-epoch, and that of a sample in microseconds."""
    points = [{**USUAL, name: value} for value in values]
    engines = [engine(point, dtype) for point in points]
    for point, one in zip(points, engines, strict=True):
        for epoch in range(max(1, point["T"] - repeats if name == "T" else 1)):
            one.run_epoch(epoch)
    seconds: list[list[float]] = [[] for _ in points]
    for i in range(repeats):
        for point, one, spent in zip(points, engines, seconds, strict=True):
            start_s = time.process_time()
            one.run_epoch(point["T"] - repeats + i if name == "T" else 1 + i)
            spent.append((time.process_time() - start_s) / point["K"])
    medians = [1e3 * statistics.median(spent) for spent in seconds]
    return [
        {name: point[name], "trial_epoch_ms": round(ms, 3), "sample_us": round(1e3 * ms / point["S"], 3)}
        for point, ms in zip(points, medians, strict=True)
    ]


def grown_mb(n_trials: int, dtype: str) -> float:
    """MiB of memory that a stack of K trials takes in this process, which has trained nothing else but one trial."""
    prepare_process(PlanSpec(threads=1))
    engine({**USUAL, "K": 1}, dtype).run_epoch(0)
    before = _resident_mb()
    one = engine({**USUAL, "K": n_trials}, dtype)
    one.run_epoch(0)
    return round(_resident_mb() - before, 1)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All sweeps as one JSON object."""
    prepare_process(PlanSpec(threads=1))
    torch.set_flush_denormal(True)  # as the engine does around each epoch
    sweeps = TINY if args.tiny else SWEEPS
    result = {name: sweep(name, values, args.dtype, args.repeats) for name, values in sweeps.items()}
    if not args.tiny:
        for row in result["K"]:
            with get_context("spawn").Pool(1) as pool:
                row["memory_mb"] = pool.apply(grown_mb, (row["K"], args.dtype))
    return {"benchmark": "cost", "machine": machine(), "dtype": args.dtype, "usual": dict(USUAL), "sweeps": result}


def plot(sweeps: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The sweeps as an SVG document: a panel for each, milliseconds a trial-epoch from zero, sizes by their order."""
    panels = [
        f'<g transform="translate({i * SIDE},0)">{_panel(name, rows)}</g>'
        for i, (name, rows) in enumerate(sweeps.items())
    ]
    size = f'width="{SIDE * len(panels)}" height="{SIDE}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n'
    )


def _panel(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    most, inner = max(row["trial_epoch_ms"] for row in rows), SIDE - 2 * MARGIN
    dots = [
        (MARGIN + inner * i / max(1, len(rows) - 1), MARGIN + inner * (1 - row["trial_epoch_ms"] / most), row)
        for i, row in enumerate(rows)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    labels = "".join(
        f'<text x="{x:.1f}" y="{SIDE - MARGIN + 16}" text-anchor="middle">{row[name]}</text>'
        f'<text x="{x:.1f}" y="{y - 7:.1f}" text-anchor="middle">{row["trial_epoch_ms"]:.3g}</text>'
        for x, y, row in dots
    )
    return (
        f'<text x="{SIDE / 2}" y="20" text-anchor="middle" font-weight="bold">CPU ms a trial-epoch</text>'
        f'<text x="{SIDE / 2}" y="{SIDE - 12}" text-anchor="middle">{TITLES[name]}</text>'
        f'<line x1="{MARGIN}" x2="{SIDE - MARGIN}" y1="{SIDE - MARGIN}" y2="{SIDE - MARGIN}" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#0072b2" stroke-width="2"/>{labels}'
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--output", type=Path, help="folder of <date>-cost.json and cost.svg")
    options.add_argument("--tiny", action="store_true", help="few points: checks the path, not the speed")
    return options


def main() -> None:
    """Print the result, and keep it where asked."""
    torch.set_num_threads(1)
    args = parser().parse_args()
    result = measure(args)
    print(json.dumps(result, indent=1))
    if args.output:
        print(write_result(args.output, "cost", result))
        (args.output / "cost.svg").write_text(plot(result["sweeps"]), encoding="utf-8")


if __name__ == "__main__":
    main()
