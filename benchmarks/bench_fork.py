"""The worth of forked trainings: schedules with a common beginning train it once, then each its own tail.

    python -m benchmarks.bench_fork [--parts real emulated] [--noise sym50 pair45] [--results FOLDER] [--tiny]

At the price of eight full trainings: ``full`` is ``model_newton`` in the space ``s2e`` with eight trials; ``tails`` is
the same rule with eight full trainings in the space of tails; ``forked`` trains their beginning once, and has
as many tails as the price then buys. ``target`` is ``model_newton`` in ``s2e`` with sixty.

``real``: Co-teaching, an MLP, the digits, 40 epochs. The recommendation of each repeat (lowest posterior mean) is
trained on fresh seeds; test accuracy over the last epochs. A fork is its whole training bit for bit (a test of
checkpoints holds that), so it is trained here as that. ``emulated``: the emulators of recorded trainings, 60 epochs,
and the true accuracy of the recommendation. Their noise is drawn anew for every trial, also of forks of one beginning.

Accuracies are in points; intervals are Student's at 95 %, differences paired by repeat.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.bench_search import TABLES
from benchmarks.measure import machine, write_result
from benchmarks.search_objectives import Emulator
from s2e.door import parse_job
from s2e.jobs.recommendation import Tried, best_bets
from s2e.jobs.sequential import interval
from s2e.schedule import R_MIN, coteaching_at, from_one
from s2e.search.distributions import X_MIN, Array, Beta
from s2e.search.model_newton import ModelNewton
from s2e.search.space import S2E, Space
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import JobSpec, Observation, PlanSpec, Population, SearchState, TrialSpec, derive_seed, replace
from workers.recorded import RecordedTable

NOISES = {"sym50": {"kind": "symmetric", "noise_rate": 0.5}, "pair45": {"kind": "pair", "noise_rate": 0.45}}
N_EPOCHS, N_RECORDED, TAIL = 40, 60, 6
"""Epochs of real and of recorded trainings, and those that count."""
PRICE, TARGET = 8, 60
"""Full trainings."""
N_TRIALS = 4
"""Of a round, at most."""
TAU, RAMP, FORK = 0.45, 1 / 6, 0.5
"""The beginning that all tails share: tau and t_k / T of eq. (1), and its share of the epochs."""
RULES = ("full", "tails", "forked", "target")
Curve = tuple[float, ...]
Measure = Callable[[Sequence[TrialSpec]], Sequence[float]]
"""Validation accuracy of each trial."""


def tails() -> Space:
    """Schedules that agree up to the fork: then a straight line to a level, and another one to the end.

    x = (turn, level, end): the epoch of the level as a share of those behind the fork, R there, and R at the end.
    """

    def family(x_SX: Array, t_E: Array, n_epochs: int) -> Array:
        fork_at, last = round(FORK * n_epochs) - 1, n_epochs - 1
        start = coteaching_at(TAU, RAMP * n_epochs, 1.0, fork_at)
        turn_S1 = fork_at + np.maximum(x_SX[:, :1], X_MIN) * (last - fork_at)
        level_S1, end_S1 = (R_MIN + (1 - R_MIN) * x_SX[:, i : i + 1] for i in (1, 2))
        first_SE = start + (level_S1 - start) * (t_E - fork_at) / np.maximum(turn_S1 - fork_at, X_MIN)
        second_SE = level_S1 + (end_S1 - level_S1) * (t_E - turn_S1) / np.maximum(last - turn_S1, X_MIN)
        tail_SE = np.where(t_E <= turn_S1, first_SE, second_SE)
        return from_one(np.where(t_E <= fork_at, coteaching_at(TAU, RAMP * n_epochs, 1.0, t_E), tail_SE), t_E)

    return Space((Beta("turn"), Beta("level"), Beta("end")), family)


def n_tails(n_epochs: int) -> int:
    """Tails that the price buys, once the beginning is paid."""
    shared = round(FORK * n_epochs)
    return (PRICE * n_epochs - shared) // (n_epochs - shared)


@dataclass
class Search:
    """One search by a rule, trial by trial."""

    spec: JobSpec
    rule: str
    n_epochs: int
    tried: list[Tried] = field(default_factory=list)
    state: SearchState | None = None

    def __post_init__(self) -> None:
        self.space = S2E if self.rule in ("full", "target") else tails()
        self.searcher = ModelNewton(self.space, self.spec.seed, self.n_epochs)
        self.n_trials = {"target": TARGET, "forked": n_tails(self.n_epochs)}.get(self.rule, PRICE)

    def ask(self) -> list[TrialSpec]:
        """The next round; forks share weights and data order, other trials only the order of their round."""
        self.state = self.state or self.searcher.init()
        m, seed = self.state.round, self.spec.seed
        size = min(N_TRIALS, self.n_trials - len(self.tried))
        self.points = [self.searcher.ask(self.state, k) for k in range(size)]
        trials = []
        for k, point in enumerate(self.points):
            place = (0, 0) if self.rule == "forked" else (m, k)
            seeds = derive_seed(seed, "init", *place), derive_seed(seed, "order", place[0]), derive_seed(seed, "noise")
            trials.append(TrialSpec(m, k, "search", 0, self.space.schedule(point, self.n_epochs), *seeds))
        return trials

    def tell(self, trials: Sequence[TrialSpec], accuracy: Sequence[float]) -> None:
        """Objectives of the round that was asked last."""
        assert self.state is not None
        told = [Observation(k, p, 1 - a) for k, (p, a) in enumerate(zip(self.points, accuracy, strict=True))]
        self.tried += [Tried(t.keep_rate, {}, o.objective, round=t.round) for t, o in zip(trials, told, strict=True)]
        self.state = self.searcher.tell(self.state, told)

    def recommended(self) -> Curve:
        """The schedule with the lowest posterior mean."""
        return tuple(self.tried[best_bets(self.spec, self.tried)[0]].keep_rate)


def job(noise: str, seed: int, n_epochs: int) -> JobSpec:
    """Data and training of the searches."""
    return parse_job(
        {
            "seed": seed,
            "data": {"name": "digits", "n_validation": 300, "noise": NOISES[noise]},
            "train": {"n_epochs": n_epochs, "batch_size": 64, "learning_rate": 3e-3},
            "search": {"tail_epochs": TAIL},
        }
    )


def recommended(searches: Sequence[Search], measure: Measure) -> list[Curve]:
    """The recommendation of each search; the rounds of all are measured together."""
    while len(searches[0].tried) < searches[0].n_trials:
        rounds = [search.ask() for search in searches]
        accuracy = iter(measure([trial for trials in rounds for trial in trials]))
        for search, trials in zip(searches, rounds, strict=True):
            search.tell(trials, [next(accuracy) for _ in trials])
    return [search.recommended() for search in searches]


def trained(noise: str, trials: Sequence[TrialSpec]) -> list[tuple[float, float]]:
    """Validation and test accuracy of every trial over the last epochs, trained for all its epochs."""
    spec = job(noise, 0, N_EPOCHS)
    numbered = tuple(replace(one, k=k) for k, one in enumerate(trials))
    plan = PlanSpec(population=len(trials), threads=1)
    population = Population(spec.data, spec.train, plan, TAIL, numbered, validate_every=0, test_every=0)
    tail = [step.epochs for step in train_population(population) if isinstance(step, PopulationEpoch)][-TAIL:]
    return [
        (fmean(e[k].validation_accuracy or 0.0 for e in tail), fmean(e[k].test_accuracy or 0.0 for e in tail))
        for k in range(len(trials))
    ]


def real(noise: str, rule: str, repeats: int, n_fresh: int) -> list[float]:
    """Test accuracy of every repeat's recommendation, mean over fresh seeds, in points."""
    searches = [Search(job(noise, seed, N_EPOCHS), rule, N_EPOCHS) for seed in range(repeats)]
    curves = recommended(searches, lambda trials: [validation for validation, _ in trained(noise, trials)])
    asked = [_fresh(curve, r, n) for r, curve in enumerate(curves) for n in range(n_fresh)]
    values = [100 * test for _, test in trained(noise, asked)]
    return [fmean(values[i : i + n_fresh]) for i in range(0, len(values), n_fresh)]


def _fresh(curve: Curve, repeat: int, n: int) -> TrialSpec:
    init, order, noise = (derive_seed(repeat, "fresh", name, n) for name in ("init", "order", "noise"))
    return TrialSpec(0, 0, "search", 0, curve, init, order, noise)


def emulated(noise: str, rule: str, repeats: int, n_fresh: int) -> list[float]:  # noqa: ARG001  nothing is trained
    """True accuracy of every repeat's recommendation, in points."""
    objective, values = _emulator(noise), []
    for seed in range(repeats):
        measure = partial(_seen, objective, np.random.default_rng([seed, 77]))
        (curve,) = recommended([Search(job(noise, seed, N_RECORDED), rule, N_RECORDED)], measure)
        values.append(100 * (1 - objective.true(curve)))
    return values


def _seen(objective: Emulator, rng: np.random.Generator, trials: Sequence[TrialSpec]) -> list[float]:
    return [1 - objective.seen(one.keep_rate, rng) for one in trials]


@lru_cache(maxsize=2)
def _emulator(noise: str) -> Emulator:
    return Emulator(RecordedTable.load(TABLES[noise]), 1.0)


def compared(noise: str, part: str, repeats: int, n_fresh: int, rules: Sequence[str]) -> dict[str, Any]:
    """Every rule's accuracy, and its difference from full trainings at the same price."""
    reached: dict[str, list[float]] = {}
    rows: dict[str, Any] = {}
    for rule in rules:
        start_s = time.process_time()
        reached[rule] = PARTS[part](noise, rule, repeats, n_fresh)
        mean, half = interval(reached[rule])
        more, more_half = interval([a - b for a, b in zip(reached[rule], reached["full"], strict=True)])
        rows[rule] = {"accuracy": mean, "half_width": half, "more": more, "more_half_width": more_half}
        rows[rule] |= {"values": reached[rule], "cpu_s": round(time.process_time() - start_s, 1)}
        print(f"{part} {noise} {rule} {mean:.2f} ± {half:.2f}, {more:+.2f} ± {more_half:.2f}", flush=True)
    return rows


PARTS = {"real": real, "emulated": emulated}


def main() -> None:
    """Measure, and keep or print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--noise", nargs="+", choices=list(NOISES), default=list(NOISES))
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES), help="full first")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--fresh", type=int, default=6, help="seeds on which a recommendation is trained")
    parser.add_argument("--tiny", action="store_true", help="two of everything: shows only that it runs")
    parser.add_argument("--results", type=Path, help="folder the JSON is kept in; without it, it goes to the output")
    args = parser.parse_args()
    repeats, n_fresh = (2, 2) if args.tiny else (args.repeats, args.fresh)
    rules = [rule for rule in args.rules if not (args.tiny and rule == "target")]
    result: dict[str, Any] = {"machine": machine(), "repeats": repeats, "fresh": n_fresh}
    for part, noise in product(args.parts, args.noise):
        result.setdefault(part, {})[noise] = compared(noise, part, repeats, n_fresh, rules)
        if args.results is not None:
            write_result(args.results, f"fork-{'-'.join(args.parts)}", result)
    print(json.dumps(result) if args.results is None else f"wrote below {args.results}")


if __name__ == "__main__":
    main()
