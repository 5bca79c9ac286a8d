"""Samples that stay on their disk: how much memory a set takes that is larger than it, and what streaming costs.
``python -m benchmarks.bench_streamed``.

``memory``: ``--gib`` of float32 features in a folder of .npy files; a process that may allocate ``--limit-mib`` (the
operating system refuses more: RLIMIT_DATA) registers the set, trains an epoch of two trials, cross-fits an epoch and
predicts every row. The most memory after each is that of the kernel (VmHWM, mapped pages of the file included).
``speed``: MNIST below S2E_DATA_ROOT, epochs of the two ways in turns, CPU seconds of all threads.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.measure import machine

N_FEATURES, N_CLASSES = 4_000, 10
N_AT_ONCE = 2_000


def write(folder: Path, gib: float) -> None:
    """X.npy and y.npy of about so many GiB: the classes are apart in a tenth of the features."""
    n_rows = max(200, round(gib * 2**30 / (4 * N_FEATURES)))
    rng = np.random.default_rng(0)
    y = rng.integers(0, N_CLASSES, n_rows)
    centre_CF = np.zeros((N_CLASSES, N_FEATURES), dtype=np.float32)
    centre_CF[:, ::10] = rng.normal(0, 0.3, (N_CLASSES, N_FEATURES // 10))
    x = np.lib.format.open_memmap(folder / "X.npy", mode="w+", dtype=np.float32, shape=(n_rows, N_FEATURES))
    noise = rng.standard_normal((N_AT_ONCE, N_FEATURES), dtype=np.float32)  # its rows take turns, in another order
    for start in range(0, n_rows, N_AT_ONCE):
        part = y[start : start + N_AT_ONCE]
        x[start : start + len(part)] = noise[rng.permutation(N_AT_ONCE)[: len(part)]] + centre_CF[part]
    x.flush()
    np.save(folder / "y.npy", y)


def limited(root: str, limit_mib: int, samples: str) -> dict[str, Any]:
    """Seconds and memory of each step, in this process."""
    from s2e.data.own.look import look
    from s2e.door import parse_job
    from s2e.labels.job import job_samples
    from s2e.model import Model
    from s2e.train.crossfit import Rule, Stack, fold_members
    from s2e.train.trial import train_population
    from s2e.words import Population, TrialSpec

    resource.setrlimit(resource.RLIMIT_DATA, (limit_mib * 2**20, limit_mib * 2**20))
    job = parse_job(
        {
            "data": {"name": "arrays", "params": {"path": "set", "test_share": 0.02}, "n_validation": 2_000},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [16]}, "n_epochs": 1, "batch_size": 128},
            "report": {"tau": 0.1},
            "plan": {"samples": samples},
        }
    )
    trials = tuple(TrialSpec(0, k, "search", 0, (1.0,), k, 9, 4) for k in range(2))
    population = Population(job.data, job.train, job.plan, 1, trials)
    told: dict[str, Any] = {"after importing": {"peak_mib": peak_mib()}}
    told["register"] = step(lambda: look(job.data, root)["n_bytes"])
    told["train"] = step(lambda: list(train_population(population, data_root=root))[-1].results[0].validation_accuracy)

    def cross_fit() -> float:
        mine = job_samples(job, root)
        members = fold_members(np.arange(len(mine.samples)) % 2, 0, "bench")
        held_out = Stack(mine.samples, mine.network, members, job.train).run([Rule()] * 2, 1, n_averaged=1)
        p_SC = held_out.combined(len(mine.samples))
        return float((p_SC.argmax(1) == mine.samples.label_S).mean())

    def predict() -> int:
        import torch

        shape = {"input_shape": [N_FEATURES], "max_value": 1, "n_classes": N_CLASSES}
        model = Model(torch.nn.Linear(N_FEATURES, N_CLASSES), {"shape": shape})
        return len(model.predict(np.load(Path(root) / "set" / "X.npy", mmap_mode="r")))

    told["cross-fit"], told["predict"] = step(cross_fit), step(predict)
    return told


def step(do: Callable[[], Any]) -> dict[str, Any]:
    """The outcome of a step, its seconds, and the most memory it had."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    began, cpu = time.monotonic(), time.process_time()
    outcome = do()
    took = {"wall_s": round(time.monotonic() - began, 1), "cpu_s": round(time.process_time() - cpu, 1)}
    return {"outcome": outcome, **took, "peak_mib": peak_mib()}


def peak_mib() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return round(int(lines["VmHWM"].split()[0]) / 1024)


def memory(gib: float, limit_mib: int, folder: str | None) -> dict[str, Any]:
    """The same in a process of its own, streamed and resident."""
    with TemporaryDirectory(prefix="s2e-streamed-", dir=folder) as root:
        (Path(root) / "set").mkdir()
        write(Path(root) / "set", gib)
        n_bytes = (Path(root) / "set" / "X.npy").stat().st_size
        told: dict[str, Any] = {"gib": round(n_bytes / 2**30, 2), "limit_mib": limit_mib}
        for samples in ("streamed", "resident"):
            command = [sys.executable, "-m", "benchmarks.bench_streamed", "limited", root, str(limit_mib), samples]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            last = (done.stderr.strip().splitlines() or ["killed"])[-1]
            told[samples] = json.loads(done.stdout) if done.returncode == 0 else {"failed": last[:200]}
    return told


def speed(n_epochs: int, n_trials: int, programs: list[str], n_rows: int) -> dict[str, Any]:
    """Median CPU and wall seconds of an epoch on MNIST, resident and streamed taking turns, and their ratio in each
    turn."""
    from s2e.train.epoch import run_epoch
    from s2e.train.population import StackedTrials
    from s2e.train.runtime import flushed_denormals, prepare_process
    from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec

    told: dict[str, Any] = {}
    for network, step_ in (program.split(":") for program in programs):
        pair, cpu, wall = {}, dict[str, list[float]](), dict[str, list[float]]()
        for samples in ("resident", "streamed"):
            plan = PlanSpec(step=step_, samples=samples)
            trials = tuple(TrialSpec(0, k, "search", 0, (0.8,) * n_epochs, k, 9, 4) for k in range(n_trials))
            data = DataSpec(name="mnist", noise=NoiseSpec("symmetric", 0.2), n_train=n_rows)
            train = TrainSpec(network=network, method="coteaching", n_epochs=n_epochs)
            device, dtype = prepare_process(plan)
            pair[samples] = StackedTrials(Population(data, train, plan, 1, trials), device, dtype)
            cpu[samples], wall[samples] = [], []
        accuracy = dict[str, list[Any]]()
        for t in range(n_epochs):
            for samples, mine in pair.items():
                began, used = time.monotonic(), time.process_time()
                with flushed_denormals():
                    rows = run_epoch(mine, t)
                wall[samples].append(time.monotonic() - began)
                cpu[samples].append(time.process_time() - used)
                accuracy[samples] = [row.test_accuracy for row in rows]
        told[f"{network}, {step_} step"] = {
            **{f"{samples}_cpu_s": round(statistics.median(of), 3) for samples, of in cpu.items()},
            **{f"{samples}_wall_s": round(statistics.median(of), 3) for samples, of in wall.items()},
            "cpu_ratio": [round(s / r, 3) for s, r in zip(cpu["streamed"], cpu["resident"], strict=True)],
            "wall_ratio": [round(s / r, 3) for s, r in zip(wall["streamed"], wall["resident"], strict=True)],
            "test_accuracy": accuracy["streamed"],
            "same": accuracy["resident"] == accuracy["streamed"],
        }
    return told


def main() -> None:
    """Print the figures as JSON."""
    if sys.argv[1:2] == ["limited"]:
        print(json.dumps(limited(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "speed"))
    parser.add_argument("--gib", type=float, default=3.0)
    parser.add_argument("--limit-mib", type=int, default=1_000)
    parser.add_argument("--folder", help="on the disk to measure")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="of MNIST, that train")
    parser.add_argument("--programs", default="mlp:native,mlp:torch,model1:torch", help="network:step, with commas")
    asked = parser.parse_args()
    figures = (
        memory(asked.gib, asked.limit_mib, asked.folder)
        if asked.what == "memory"
        else speed(asked.epochs, asked.trials, asked.programs.split(","), asked.rows)
    )
    print(json.dumps({"machine": machine(), asked.what: figures}, indent=2))


if __name__ == "__main__":
    main()
