"""Training speed on one GPU: Model 1 at K = 6 and 60, Model 2 at K = 1, 4 and 8, eager and as a CUDA graph.

Needs torch 2.11 or newer, numpy and scipy, and nothing else; images are synthetic, of CIFAR-10's shape. Under ten
minutes. Beside each population stands a plain eager pair of networks on the same device (``pair``), timed in the same
run, and the test accuracy that both reached after the same short training, which shows that they do the same work.
``hours_60x200`` is arithmetic: 60 trials x 200 epochs of CIFAR-10 (390 steps of 128, both networks evaluated on
10,000 images) at the measured speeds. Without CUDA the program says so and ends with status 2.

    python -m benchmarks.gpu [--dtype bfloat16] [--device cuda] [--tiny] > gpu.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.graphed import GraphedStep
from benchmarks.measure import machine, summary
from benchmarks.resident import ResidentTrial, Variant
from benchmarks.stacked import EngineTrials
from benchmarks.workload import N_EVALUATED, N_TRAIN, Workload, build_synthetic
from s2e.train.epoch import epoch_order, train_step

_CASES = (("model1", (6, 60)), ("model2", (1, 4, 8)))
_CIFAR_STEPS, _CIFAR_EVALUATED = 390, 10_000
_BLOCKS = 5


def timed(device: str, work: Callable[[], object]) -> float:
    """Wall-clock seconds until the device has done ``work``."""
    _synchronize(device)
    start = time.perf_counter()
    work()
    _synchronize(device)
    return time.perf_counter() - start


def measure_engine(work: Workload, n_trials: int, args: argparse.Namespace, *, graphed: bool) -> dict[str, Any]:
    """Time and accuracy of a population: a warm-up epoch, then blocks of one epoch each under R(1)."""
    engine = EngineTrials(work, n_trials, args.dtype, shared_order=True, device=args.device)
    engine.run_epoch(0)  # warms up, eager in both cases
    trials = engine.trials
    trials.set_epoch(1)
    order, keep_K = epoch_order(trials, 1), trials.keep_KT[:, 1].contiguous()

    def eager(index: torch.Tensor) -> object:
        return train_step(trials, index, keep_K)

    capture_start = time.perf_counter()
    step = GraphedStep(trials, order[0], keep_K) if graphed else eager
    capture_s = time.perf_counter() - capture_start

    def epoch(t: int) -> None:
        for index in epoch_order(trials, t):
            step(index)

    blocks = [timed(args.device, partial(epoch, t)) / work.n_steps for t in range(1, 1 + _BLOCKS)]
    evaluation_s = _evaluation(work, args, engine)
    measured: dict[str, Any] = {"step_s": summary(blocks)} | _projected(blocks, evaluation_s, n_trials)
    if graphed:
        measured["capture_s"] = round(capture_s, 3)
    return measured | {"test_accuracy": round(statistics.fmean(engine.test_accuracy), 4)} | _memory(args.device)


def measure_pair(work: Workload, args: argparse.Namespace) -> dict[str, Any]:
    """The rival: two plain networks of one trial, eager, data on the device, trained alike."""
    pair = ResidentTrial(work, 0, Variant(dtype=args.dtype), args.device)
    pair.run_epoch(0)
    blocks = [timed(args.device, lambda: pair.train(1)) / work.n_steps for _ in range(_BLOCKS)]
    evaluation_s = _evaluation(work, args, pair)
    measured = {"step_s": summary(blocks)} | _projected(blocks, evaluation_s, 1)
    return measured | {"test_accuracy": round(pair.test_accuracy[0], 4)} | _memory(args.device)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    n_train, n_evaluated = (512, 256) if args.tiny else (N_TRAIN, N_EVALUATED)
    networks: dict[str, Any] = {}
    for network, populations in (("model1", (2,)),) if args.tiny else _CASES:
        work = build_synthetic(network, 2 + _BLOCKS, n_train, n_evaluated)
        pair = measure_pair(work, args)
        rows = {"pair": pair}
        for n_trials in populations:
            for way in ("eager", "graph") if args.device == "cuda" else ("eager",):
                row = measure_engine(work, n_trials, args, graphed=way == "graph")
                row["x_pair"] = round(pair["trial_step_s"] / row["trial_step_s"], 2)
                rows[f"K{n_trials}-{way}"] = row
                print(f"{network} K={n_trials} {way}: {row}", file=sys.stderr)
        networks[network] = {"n_steps": work.n_steps, "n_evaluated": n_evaluated, "cases": rows}
    return {"benchmark": "gpu", "machine": machine(), "device": args.device, "dtype": args.dtype, "networks": networks}


def _evaluation(work: Workload, args: argparse.Namespace, contestant: EngineTrials | ResidentTrial) -> float:
    """Seconds to evaluate 10,000 images, from the second of two passes over the images there are."""
    contestant.evaluate()
    n_evaluated = len(work.data.validation.labels) + len(work.data.test.labels)
    return timed(args.device, contestant.evaluate) * _CIFAR_EVALUATED / n_evaluated


def _projected(blocks: list[float], evaluation_s: float, n_trials: int) -> dict[str, float]:
    step_s = statistics.median(blocks)
    epoch_s = _CIFAR_STEPS * step_s + evaluation_s
    return {
        "trial_step_s": step_s / n_trials,
        "evaluation_10000_s": round(evaluation_s, 5),
        "hours_60x200": round(60 / n_trials * 200 * epoch_s / 3600, 3),
    }


def _memory(device: str) -> dict[str, float]:
    if device != "cuda":
        return {}
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return {"peak_gib": round(peak, 2)}


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> int:
    """Print the JSON; 2 where there is no CUDA device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument(
        "--tiny", action="store_true", help="few images and Model 1 only: checks the path, not the speed"
    )
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device here; --device cpu --tiny checks the path", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    print(json.dumps(measure(args), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
