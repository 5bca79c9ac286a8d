"""The cost of starting a trial on Ray: from ``start`` until the trainer answers, and until its first epoch is back.

Three figures: ``cold`` (a new local Ray and a first trial, one measurement), ``warm`` (the same trainer process again
and again, p50 and p95), and ``in_process`` (the same trial without Ray, taking turns with the warm ones). Warm less
in-process is what dispatch costs; beside it stands its share of a 30 s trial. The trial is one epoch of an MLP on
scikit-learn's digits. Wall-clock time.

    python -m benchmarks.bench_dispatch [--repeats 40] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from typing import Any

from benchmarks.measure import machine, percentiles
from s2e.words import DataSpec, PlanSpec, Population, TrainSpec, TrialSpec
from workers.backend import EpochReported, PopulationFinished, PopulationKey, PopulationLost, PopulationStarted
from workers.backend import TrialBackend as Backend

_TRIAL_S = 30.0
_DEADLINE_S = 120.0
_WARM_UP = 3


def trial(seed: int, n_train: int) -> Population:
    """One Co-teaching trial of one epoch on the digits."""
    spec = TrialSpec(0, 0, "search", 0, keep_rate=(1.0,), init_seed=seed, order_seed=seed, noise_seed=0)
    return Population(DataSpec(n_train=n_train), TrainSpec(n_epochs=1), PlanSpec(), 1, (spec,))


def time_one(backend: Backend, number: int, n_train: int) -> dict[str, float]:
    """Seconds from ``start`` to the trainer's first word, to the first epoch and to the end of one trial."""
    key, seconds = PopulationKey("bench", 0, number, 1), {}
    names = {PopulationStarted: "started", EpochReported: "first_epoch", PopulationFinished: "finished"}
    begin = time.perf_counter()
    backend.start(key, trial(number, n_train))
    while "finished" not in seconds:
        for event in backend.poll(0.5):
            if isinstance(event, PopulationLost):
                raise RuntimeError(f"the trial was lost: {event.reason}")
            seconds[names[type(event)]] = time.perf_counter() - begin
        if time.perf_counter() - begin > _DEADLINE_S:
            raise TimeoutError(f"no end of the trial after {_DEADLINE_S:g} s")
    return seconds


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    from workers.inline import InlineBackend
    from workers.ray_backend import RayBackend

    repeats, n_train = (3, 256) if args.tiny else (args.repeats, 896)
    with tempfile.TemporaryDirectory() as root:
        begin = time.perf_counter()
        ray, inline = RayBackend(root, None, num_cpus=1, num_gpus=0), InlineBackend(root, None)
        ray_s = time.perf_counter() - begin
        try:
            cold = time_one(ray, 0, n_train)
            pairs = [
                (time_one(ray, number, n_train), time_one(inline, number, n_train)["first_epoch"])
                for number in range(1, 1 + _WARM_UP + repeats)
            ][_WARM_UP:]
        finally:
            ray.close()
    warm, alone = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    first_epoch = [seconds["first_epoch"] for seconds in warm]
    cost = statistics.median(first_epoch) - statistics.median(alone)
    return {
        "benchmark": "dispatch",
        "machine": machine(),
        "repeats": repeats,
        "cold": {"ray_start_s": round(ray_s, 4), "first_epoch_s": round(ray_s + cold["first_epoch"], 4)},
        "warm": {
            "started_s": percentiles([seconds["started"] for seconds in warm]),
            "first_epoch_s": percentiles(first_epoch),
            "finished_s": percentiles([seconds["finished"] for seconds in warm]),
        },
        "in_process": {"first_epoch_s": percentiles(alone)},
        "dispatch_s": round(cost, 6),
        "share_of_30_s_trial": round(cost / _TRIAL_S, 6),
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=40, help="trials timed on the warm trainer")
    options.add_argument("--tiny", action="store_true", help="three small trials: checks the path, not the speed")
    return options


if __name__ == "__main__":
    print(json.dumps(measure(parser().parse_args()), indent=2))
