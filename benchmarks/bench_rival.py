"""A whole search against what a good user would do without us: Optuna's TPE on eq. (1) around a plain resident loop.

Both sides try 24 schedules on the same data under the same settings; the objective is the mean validation accuracy of
the last epochs. The rival is :mod:`benchmarks.resident`, in the variant that was fastest in a few epochs of this work;
it validates those last epochs only, never tests, and takes the best trial. The engine runs the search rounds of an
ordinary job, six trials at a time, so it validates every epoch, tests the last ones for its curves, and takes the
recommendation; with ``--equal-work`` it validates only the first epoch and those that the objective averages, and tests
none. Sides take turns, search
by search, and are timed by the CPU time of the process and those it started: data are in memory before, the search rule
is counted. With ``--workers 2`` the engine trains in a pool of processes, whose start belongs to the search, and the
clock on the wall is what to compare.

Every schedule found is then trained on the same fresh weights, data orders and noise draws by the engine in float32.
The interval is over searches (Student t), each the mean over its fresh seeds. ``report`` is what the rest of the
engine's job costs: the rival tuned as long, the choice and the comparison on fresh seeds.

    python -m benchmarks.bench_rival [--work mnist digits] [--searches 10] [--dtype float32] [--workers 1] [--report]
        [--tiny]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import fmean
from typing import Any

import optuna
import torch

from benchmarks.measure import machine
from benchmarks.real_search import trained
from benchmarks.resident import VARIANTS, ResidentTrial, Variant
from benchmarks.workload import Workload
from s2e.data.datasets import SplitData, load_split, noisy_labels
from s2e.data.root import environment_root
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.jobs.search import recommend_from
from s2e.jobs.sequential import interval
from s2e.local import trainer
from s2e.local_pool import Ended
from s2e.networks.library import instruction_set
from s2e.schedule import coteaching_keep_rate
from s2e.search.spaces import EXPONENTS
from s2e.train.runtime import has_fast_bfloat16, prepare_process
from s2e.words import (
    JobSpec,
    PlanSpec,
    Population,
    Round,
    RoundRecord,
    TrialResult,
    TrialSpec,
    derive_seed,
    replace,
)

N_TRIALS, N_ROUNDS = 6, 4
N_FRESH = 4
Schedule = tuple[float, ...]
Train = Callable[[Iterable[Population]], list[TrialResult]]

WORKS: dict[str, dict[str, Any]] = {
    "mnist": {
        "data": {"name": "mnist", "n_train": 1_280, "n_validation": 1_000, "noise": {"noise_rate": 0.5}},
        "train": {"n_epochs": 24, "batch_size": 128},
    },
    "digits": {
        "data": {"name": "digits", "n_validation": 300, "noise": {"noise_rate": 0.5}},
        "train": {"n_epochs": 40, "batch_size": 64, "learning_rate": 3e-3},
    },
}


def job(work: str, seed: int, dtype: str, tiny: bool, equal_work: bool = False, workers: int = 1) -> JobSpec:
    """The engine's search, a round's trials split among the workers; the noise draw is the seed's, for both sides."""
    body = WORKS[work] | {"seed": seed, "search": {"n_rounds": N_ROUNDS, "n_trials": N_TRIALS}}
    every = WORKS[work]["train"]["n_epochs"] if equal_work else 1
    spec = parse_job(
        body
        | {
            "plan": {
                "dtype": dtype,
                "population": -(-N_TRIALS // workers),
                "validate_every": every,
                "test_search": not equal_work,
            }
        }
    )
    if not tiny:
        return spec
    train = replace(spec.train, n_epochs=6)
    return replace(spec, train=train, search=replace(spec.search, n_rounds=1, n_trials=3))


class Rival:
    """TPE and a plain loop."""

    def __init__(self, spec: JobSpec, data: SplitData, variant: Variant) -> None:
        self.spec, self.data, self.variant = spec, data, variant
        self.noisy = noisy_labels(spec.data, derive_seed(spec.seed, "noise"))

    def search(self) -> Schedule:
        """The schedule of the best trial."""
        sampler = optuna.samplers.TPESampler(seed=self.spec.seed % 2**32)
        study = optuna.create_study(sampler=sampler)
        study.optimize(self._objective, n_trials=self.spec.search.n_rounds * self.spec.search.n_trials)
        return self._schedule(study.best_trial)

    def seconds_of_an_epoch(self) -> float:
        """CPU time of an epoch without validation, the median of five."""
        trial, seconds = self._trial((1.0,) * self.spec.train.n_epochs, 0), []
        for _ in range(6):
            start_s = time.process_time()
            trial.train(0)
            seconds.append(time.process_time() - start_s)
        return statistics.median(seconds[1:])

    def _objective(self, asked: optuna.Trial) -> float:
        n_epochs, tail = self.spec.train.n_epochs, self.spec.tail_epochs
        asked.suggest_float("tau", 0, 1)
        asked.suggest_float("share", 0, 1)
        asked.suggest_categorical("c", EXPONENTS.tolist())
        trial = self._trial(self._schedule(asked), derive_seed(self.spec.seed, "rival", asked.number) % 2**32)
        accuracies = []
        for epoch in range(n_epochs):
            trial.train(epoch)
            if epoch >= n_epochs - tail:
                trial.validate()
                accuracies.append(trial.validation_accuracy)
        return 1 - fmean(accuracies)

    def _schedule(self, asked: optuna.Trial | optuna.trial.FrozenTrial) -> Schedule:
        n_epochs, values = self.spec.train.n_epochs, asked.params
        return coteaching_keep_rate(n_epochs, values["tau"], max(1, round(values["share"] * n_epochs)), values["c"])

    def _trial(self, schedule: Schedule, seed: int) -> ResidentTrial:
        work = Workload("rival", self.spec.data, self.spec.train, self.data, self.noisy, schedule)
        return ResidentTrial(work, seed, self.variant)


@contextmanager
def pool(spec: JobSpec, workers: int) -> Iterator[Train]:
    """A round's trainer: this process, or a pool of others."""
    if workers == 1:
        yield trained
        return
    with trainer(spec, None, environment_root(), workers) as train:

        def by_pool(groups: Iterable[Population]) -> list[TrialResult]:
            ends = (step for step in train(tuple(groups)) if isinstance(step, Ended))
            return sorted((result for end in ends for result in end.results), key=lambda result: result.k)

        yield by_pool


def searched(spec: JobSpec, train: Train = trained) -> tuple[list[RoundRecord], Schedule]:
    """The search rounds of the engine's job, and what they recommend."""
    history: list[RoundRecord] = []
    while (round_ := loop.next_round(spec, history)) is not None and round_.kind == "search":
        history.append(RoundRecord(round_, tuple(train(loop.populations(spec, round_)))))
    recommended = recommend_from(spec, history)
    assert recommended is not None
    return history, history[recommended[0]].round.trials[recommended[1]].keep_rate


def finish(spec: JobSpec, history: list[RoundRecord]) -> None:
    """The rest of the job: its report."""
    while (round_ := loop.next_round(spec, history)) is not None:
        history.append(RoundRecord(round_, tuple(trained(loop.populations(spec, round_)))))
    loop.report_of(spec, history)


def fresh(spec: JobSpec, schedules: Sequence[Schedule], n_fresh: int) -> list[float]:
    """Test accuracy in % of each schedule, mean over fresh weights, data orders and noise draws, alike for all."""
    trials = []
    for r in range(n_fresh):
        seeds = [derive_seed(spec.seed, "fresh", r, purpose) for purpose in ("init", "order", "noise")]
        trials += [TrialSpec(0, len(trials) + i, "search", r, s, *seeds) for i, s in enumerate(schedules)]
    exact = replace(spec, plan=replace(spec.plan, dtype="float32", population=len(schedules)))
    results = trained(loop.populations(exact, Round(0, "retrain", tuple(trials))))
    accuracy = [100 * (result.test_accuracy or 0.0) for result in results]
    return [fmean(accuracy[i :: len(schedules)]) for i in range(len(schedules))]


class Spent:
    """Seconds of both clocks on each side: of CPU, ended children's among them, and on the wall."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, list[float]] = {"rival": [], "engine": [], "report": []}
        self.wall_s: dict[str, list[float]] = {"rival": [], "engine": [], "report": []}

    @contextmanager
    def on(self, side: str) -> Iterator[None]:
        """The block is of this side."""
        cpu_s, wall_s = self._cpu_s(), time.perf_counter()
        yield
        self.cpu_s[side].append(self._cpu_s() - cpu_s)
        self.wall_s[side].append(time.perf_counter() - wall_s)

    def _cpu_s(self) -> float:
        children = getrusage(RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime


def compare(work: str, args: argparse.Namespace) -> dict[str, Any]:
    """Searches of both sides, their CPU seconds, and the accuracy of what each found."""
    spec = job(work, 0, args.dtype, args.tiny, args.equal_work)
    data = load_split(spec.data)
    dtypes = ("float32", "bfloat16") if has_fast_bfloat16() else ("float32",)
    epoch_s = {
        name: Rival(spec, data, variant).seconds_of_an_epoch()
        for name, variant in VARIANTS.items()
        if variant.dtype in dtypes
    }
    fastest = min(epoch_s, key=epoch_s.__getitem__)
    spent = Spent()
    accuracy: list[list[float]] = []
    for seed in range(args.searches):
        spec = job(work, seed, args.dtype, args.tiny, args.equal_work, args.workers)
        with spent.on("rival"):
            rival = Rival(spec, data, VARIANTS[fastest]).search()
        with spent.on("engine"), pool(spec, args.workers) as train:
            history, ours = searched(spec, train)
        if args.report:
            with spent.on("report"):
                finish(spec, history)
        accuracy.append(fresh(spec, (rival, ours), 1 if args.tiny else N_FRESH))
        print(f"{work} {seed}: {[round(s[-1], 2) for s in spent.cpu_s.values() if s]} {accuracy[-1]}", flush=True)
    mean, half_width = interval([ours - rival for rival, ours in accuracy])
    totals = {name: sum(values) for name, values in spent.cpu_s.items() if values}
    return {
        "trials": spec.search.n_rounds * spec.search.n_trials,
        "plain_loop": fastest,
        "plain_loop_epoch_cpu_s": {name: round(value, 5) for name, value in epoch_s.items()},
        "compiled_step": instruction_set(half=args.dtype == "bfloat16"),
        "cpu_s": _rounded(spent.cpu_s),
        "wall_s": _rounded(spent.wall_s),
        "x_rival": round(totals["rival"] / totals["engine"], 2),
        "x_rival_wall": round(sum(spent.wall_s["rival"]) / sum(spent.wall_s["engine"]), 2),
        "x_rival_with_report": round(totals["rival"] / (totals["engine"] + totals["report"]), 2)
        if args.report
        else None,
        "test_accuracy": {"rival": fmean(a for a, _ in accuracy), "engine": fmean(b for _, b in accuracy)},
        "difference": {"mean": mean, "half_width_95": half_width},
    }


def _rounded(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    return {name: [round(value, 2) for value in values] for name, values in seconds.items() if values}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--work", nargs="+", choices=list(WORKS), default=list(WORKS))
    options.add_argument("--searches", type=int, default=10)
    options.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the engine's search")
    options.add_argument(
        "--equal-work", action="store_true", help="the engine validates only the last epochs, and tests none, too"
    )
    options.add_argument("--workers", type=int, default=1, help="processes of the engine's search")
    options.add_argument("--report", action="store_true", help="the report of the engine's job too")
    options.add_argument("--tiny", action="store_true", help="three short trials: checks the path, not the speed")
    options.add_argument("--out", type=Path, help="write the result there as JSON")
    return options


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark as one JSON object."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    prepare_process(PlanSpec(threads=1))
    torch.set_flush_denormal(True)  # for both sides: the engine does it by itself
    return {
        "benchmark": "rival",
        "machine": machine(),
        "dtype": args.dtype,
        "equal_work": args.equal_work,
        "workers": args.workers,
        "works": {work: compare(work, args) for work in args.work},
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = parser().parse_args()
    result = measure(options)
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))
