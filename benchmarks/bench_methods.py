"""The cost of each method: its epoch time beside Standard's, on one network and the same samples, in one process.

An epoch is 25 mini-batches of 128, then 500 validation and 500 test images. Methods take turns, epoch by epoch, and
each is timed by the CPU time of the process. Beside the ratio stands what the method's passes through networks explain:
a sample that goes forward and back costs three units, one that only goes forward costs one (``x_passes``; counted, not
assumed). What is left over (``x_unexplained``) is the method's own work, and the ledger gives a reason wherever it is
large.

The step is torch's, whose passes can be counted; the compiled one makes the methods it knows cheaper, not equally so.

Methods that begin with plain training are set to begin at once with what is their own.

    python -m benchmarks.bench_methods [--network mlp model1] [--method standard ...] [--repeats 5] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks.measure import machine, summary
from benchmarks.stacked import EngineTrials
from benchmarks.workload import Workload, build
from s2e.parts import METHODS
from s2e.train.runtime import flushed_denormals
from s2e.words import to_json

N_TRAIN, N_EVALUATED = 3_200, 1_000
N_CLEAN = 128
"""Trusted samples, for the methods that need some; set aside for all, so that all train on the same ones."""
WARM_UP = 2
"""Epochs before the timed ones: kernels are chosen, memory is taken, and the first epochs of a method are over."""
_AT_ONCE: dict[str, dict[str, Any]] = {
    "coteaching_plus": {"warm_up_epochs": 0},
    "dividemix": {"warm_up_epochs": 1},
    "gce_truncated": {"first_pruning_epoch": 1, "threshold": 0.1},
    "joint_optim": {"label_start": 1},
    "m_dyr_h": {"guided_start": 1},
    "md_dyr_sh": {"guided_start": 1, "bootstrap_start": 2},
    "pencil": {"label_start": 1},
}
"""Settings under which a method is past its warm-up when the timing begins (and the truncated loss, whose threshold of
0.5 no sample reaches so early, leaves out some and not all)."""
_FORWARD, _BACKWARD = 1, 2
"""Units of a pass: the two products of the backward pass are each as large as the forward one."""


class CountedTrials(EngineTrials):
    """One trial of a method that counts the samples which pass through its networks."""

    def __init__(self, work: Workload, method: str) -> None:
        params = METHODS[method].of(_AT_ONCE.get(method, {}), dataset=work.data_spec.name)
        train = replace(work.train_spec, method=method, params=to_json(params))
        super().__init__(replace(work, train_spec=train), 1, "float32", shared_order=True, step="torch")
        self.forward_only = self.with_gradient = 0
        self._forward = self.trials.network.forward
        self.trials.network.forward = self._counted  # type: ignore[method-assign]

    def _counted(self, tensors: Any, x: torch.Tensor, *, train: bool) -> torch.Tensor:
        logits_GBC = self._forward(tensors, x, train=train)
        n_passes = logits_GBC.shape[0] * logits_GBC.shape[1]
        if logits_GBC.requires_grad:
            self.with_gradient += n_passes
        else:
            self.forward_only += n_passes
        return logits_GBC

    def units_of_an_epoch(self, epoch: int) -> float:
        """Units of one more epoch, per training sample."""
        self.forward_only = self.with_gradient = 0
        self.run_epoch(epoch)
        units = _FORWARD * self.forward_only + (_FORWARD + _BACKWARD) * self.with_gradient
        return units / (self.trials.n_steps * self.trials.batch_size)


def compare(work: Workload, methods: list[str], repeats: int) -> dict[str, Any]:
    """CPU seconds of an epoch for every method, with the ratio to Standard and the part that passes explain."""
    contestants = {method: CountedTrials(work, method) for method in methods}
    seconds: dict[str, list[float]] = {method: [] for method in methods}
    for epoch in range(WARM_UP + repeats):
        for method, contestant in contestants.items():
            start = time.process_time()
            with flushed_denormals():  # as in a real training; a network that has collapsed computes with little else
                contestant.run_epoch(epoch)
            if epoch >= WARM_UP:
                seconds[method].append(time.process_time() - start)
    units = {method: contestant.units_of_an_epoch(WARM_UP + repeats) for method, contestant in contestants.items()}
    base, base_units = statistics.median(seconds["standard"]), units["standard"]
    rows = {}
    for method, contestant in contestants.items():
        x_standard, x_passes = statistics.median(seconds[method]) / base, units[method] / base_units
        rows[method] = {
            "epoch_cpu_s": summary(seconds[method]),
            "x_standard": round(x_standard, 2),
            "x_passes": round(x_passes, 2),
            "x_unexplained": round(x_standard / x_passes, 2),
            "units": round(units[method], 3),
            "test_accuracy": round(statistics.fmean(contestant.test_accuracy), 4),
        }
    return dict(sorted(rows.items(), key=lambda row: row[1]["x_standard"]))


def measure_network(network: str, methods: list[str], repeats: int, tiny: bool) -> dict[str, Any]:
    """All methods on one network, or why there are none."""
    work = build(network, WARM_UP + repeats + 1, tiny=tiny, n_train=N_TRAIN, n_evaluated=N_EVALUATED, n_clean=N_CLEAN)
    if work is None:
        return {"skipped": "no S2E_DATA_ROOT, and digits are too small for this network"}
    return {
        "data": work.data_spec.name,
        "n_train": len(work.noisy_labels),
        "n_steps": work.n_steps,
        "methods": compare(work, methods, repeats),
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    methods = sorted({"standard", *args.method})
    networks = {network: measure_network(network, methods, args.repeats, args.tiny) for network in args.network}
    return {"benchmark": "methods", "machine": machine(), "repeats": args.repeats, "networks": networks}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown, for the ledger."""
    lines = []
    for network, measured in result["networks"].items():
        if "skipped" in measured:
            continue
        lines += [
            f"{network} on {measured['data']}, {measured['n_train']} samples:",
            "",
            "| method | epoch, x Standard | passes explain | left over |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{method}` | {row['x_standard']:.2f} | {row['x_passes']:.2f} | {row['x_unexplained']:.2f} |"
            for method, row in measured["methods"].items()
        ]
        lines.append("")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Command line of this benchmark."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", nargs="+", choices=("mlp", "model1"), default=["mlp", "model1"])
    options.add_argument("--method", nargs="+", choices=list(METHODS), default=list(METHODS))
    options.add_argument("--repeats", type=int, default=5, help="timed epochs of every method, after two that warm up")
    options.add_argument("--tiny", action="store_true", help="a few images: checks the path, not the speed")
    options.add_argument("--table", action="store_true", help="Markdown tables instead of JSON")
    return options


if __name__ == "__main__":
    torch.set_num_threads(1)
    args = parser().parse_args()
    result = measure(args)
    print(table(result) if args.table else json.dumps(result, indent=2))
