"""One trial-epoch: the engine against a plain loop on resident data and against the original program's structure.

A trial-epoch is 100 steps of 128 images for both networks, then both evaluated on 5,000 images (2,500 validation,
2,500 test). Cases take turns, epoch by epoch, and each is timed by the CPU time of the process, so neither another
program nor a slow minute favours a side. All train the same epochs from the same settings, and the test accuracy each
reached stands beside its time. Kept pages and flushed denormals are on for all: nobody is handicapped. ``x_resident``
is the ratio to the fastest way of writing the plain loop (:data:`benchmarks.resident.VARIANTS`) in the case's
arithmetic, ``x_any_resident`` to the fastest in any.

    python -m benchmarks.bench_epoch [--network digits mlp model1 resnet18] [--repeats 5] [--late-epochs 30] [--tiny]
                                     [--n-train 128 --n-evaluated 128 --cases resident engine-float32-own-K1]

ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 let another processor be stood in for.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch

from benchmarks.measure import machine, summary
from benchmarks.official import OfficialTrial
from benchmarks.resident import IMAGE_VARIANTS, VARIANTS, ResidentTrial
from benchmarks.stacked import EngineTrials
from benchmarks.workload import N_EVALUATED, N_TRAIN, WORKS, Workload, build
from s2e.networks.library import instruction_set
from s2e.train.runtime import has_fast_bfloat16, prepare_process
from s2e.words import PlanSpec


class Contestant(Protocol):
    """One way to do the work."""

    n_trials: int
    test_accuracy: list[float]
    label_precision: float

    def run_epoch(self, epoch: int) -> None: ...


def cases(work: Workload, populations: list[int], *, official: bool) -> dict[str, Callable[[], Contestant]]:
    """Every way the work is done, by name: ``engine-<dtype>-<order>-K<trials>`` and its rivals."""
    contestants: dict[str, Callable[[], Contestant]] = {"official": partial(OfficialTrial, work, 0)} if official else {}
    dtypes = ("float32", "bfloat16") if has_fast_bfloat16() else ("float32",)
    variants = VARIANTS | (IMAGE_VARIANTS if work.train_spec.network != "mlp" else {})
    for name, variant in variants.items():
        if variant.dtype in dtypes:
            contestants[name] = partial(ResidentTrial, work, 0, variant)
    for dtype in dtypes:
        for n_trials in populations:
            for order in ("own", "shared") if n_trials > 1 else ("own",):
                engine = partial(EngineTrials, work, n_trials, dtype, shared_order=order == "shared")
                contestants[f"engine-{dtype}-{order}-K{n_trials}"] = engine
    return contestants


def compare(
    work: Workload, populations: list[int], repeats: int, *, official: bool, only: list[str] | None = None
) -> dict[str, Any]:
    """CPU seconds of a trial-epoch for every case, with ratios to the rivals and the accuracy reached."""
    every = cases(work, populations, official=official)
    contestants = {name: make() for name, make in every.items() if only is None or name in only}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for epoch in range(1 + repeats):
        for name, contestant in contestants.items():
            start = time.process_time()
            contestant.run_epoch(epoch)
            spent = (time.process_time() - start) / contestant.n_trials
            if epoch:  # the first epoch warms up: kernels are chosen and memory is taken
                seconds[name].append(spent)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rivals = {name: median for name, median in medians.items() if name.startswith("resident")}
    rows = {}
    for name, contestant in contestants.items():
        alike = [rival for other, rival in rivals.items() if ("bfloat16" in other) == ("bfloat16" in name)]
        rows[name] = {
            "trial_epoch_cpu_s": summary(seconds[name]),
            "x_resident": round(min(alike) / medians[name], 2),
            "x_any_resident": round(min(rivals.values()) / medians[name], 2),
            "test_accuracy": round(statistics.fmean(contestant.test_accuracy), 4),
            "label_precision": round(contestant.label_precision, 4),
        }
        if official:
            rows[name]["x_official"] = round(medians["official"] / medians[name], 2)
    return rows


def late_over_early(work: Workload, dtype: str, n_trials: int) -> dict[str, Any]:
    """Epoch time at the end of a training over that at its start: an old and a young population take turns.

    The denormal numbers that slow a step down come with training, so the old one trains almost to its end first.
    """
    old, young = (EngineTrials(work, n_trials, dtype, shared_order=False) for _ in range(2))
    n_epochs = work.train_spec.n_epochs
    n_timed = min(5, n_epochs // 3)
    for epoch in range(n_epochs - n_timed):
        old.run_epoch(epoch)
    young.run_epoch(0)
    seconds: dict[EngineTrials, list[float]] = {old: [], young: []}
    for i in range(n_timed):
        for engine, epoch in ((young, 1 + i), (old, n_epochs - n_timed + i)):
            start = time.process_time()
            engine.run_epoch(epoch)
            seconds[engine].append((time.process_time() - start) / n_trials)
    return {
        "epochs": n_epochs,
        "early_cpu_s": summary(seconds[young]),
        "late_cpu_s": summary(seconds[old]),
        "ratio": round(statistics.median(seconds[old]) / statistics.median(seconds[young]), 3),
        "test_accuracy": round(statistics.fmean(old.test_accuracy), 4),
    }


def measure_network(network: str, args: argparse.Namespace) -> dict[str, Any]:
    """All figures of one network, or why there are none."""
    repeats, late_epochs, tiny = args.repeats, args.late_epochs, args.tiny
    populations = [1, 2] if tiny else args.population
    work = build(network, max(20, repeats + 1), tiny=tiny, n_train=args.n_train, n_evaluated=args.n_evaluated)
    if work is None:
        return {"skipped": "no S2E_DATA_ROOT, and digits are too small for this network"}
    result: dict[str, Any] = {
        "data": work.data_spec.name,
        "n_train": work.n_steps * work.train_spec.batch_size,
        "n_evaluated": len(work.data.validation.labels) + len(work.data.test.labels),
        "epochs_trained": repeats + 1,
        "compiled_step": {dtype: instruction_set(half=dtype == "bfloat16") for dtype in ("float32", "bfloat16")},
        "cases": compare(work, populations, repeats, official=not args.no_official, only=args.cases),
    }
    if late_epochs:
        long_work = build(network, late_epochs, tiny=tiny)
        assert long_work is not None
        dtype = "bfloat16" if has_fast_bfloat16() else "float32"
        result["late_over_early"] = {"dtype": dtype, **late_over_early(long_work, dtype, min(4, max(populations)))}
    return result


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    prepare_process(PlanSpec(threads=1))
    torch.set_flush_denormal(True)  # for every side: the engine does it by itself
    networks = {network: measure_network(network, args) for network in args.network}
    return {"benchmark": "epoch", "machine": machine(), "repeats": args.repeats, "networks": networks}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", nargs="+", choices=list(WORKS), default=["digits", "mlp", "model1"])
    options.add_argument("--population", nargs="+", type=int, default=[1, 4, 8], help="K of the engine's cases")
    options.add_argument("--no-official", action="store_true", help="leave the original program's structure out")
    options.add_argument("--cases", nargs="+", help="only these, a plain loop of each arithmetic among them")
    options.add_argument("--n-train", type=int, default=N_TRAIN, help="most samples of an epoch")
    options.add_argument("--n-evaluated", type=int, default=N_EVALUATED, help="most samples evaluated after it")
    options.add_argument("--repeats", type=int, default=5, help="timed epochs of every case, after one that warms up")
    options.add_argument("--late-epochs", type=int, default=30, help="length of the late/early run; 0 leaves it out")
    options.add_argument(
        "--tiny", action="store_true", help="a few images and K = 1, 2: checks the path, not the speed"
    )
    return options


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(measure(parser().parse_args()), indent=2))
