"""CPU time of ``ask``, ``tell`` and the recommendation of ``model_newton`` after 60, 100, 1,000 and 10,000 trials.

    python -m benchmarks.bench_asktell [--most 10000] [--repeats 15]

The objective is a formula of the curve plus normal noise. Rounds have K = 6 where times are taken; the history between
is told in rounds of 100 uniform draws, whose asks are not timed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import process_time
from typing import Any

import numpy as np

from benchmarks.measure import machine, summary
from s2e.search.model_newton import ModelNewton
from s2e.search.space import S2E
from s2e.search.surrogate import recommend
from s2e.words import Observation, Point, SearchState

N_EPOCHS = 200
COUNTS = (60, 100, 1_000, 10_000)


def told(points: list[Point], rng: np.random.Generator) -> list[Observation]:
    """Objectives lowest for a curve that falls to 0.4, with noise."""
    level_K = S2E.curves(S2E.vectors(points), N_EPOCHS)[:, N_EPOCHS // 3 :].mean(axis=1)
    objective_K = 0.3 + (level_K - 0.4) ** 2 + 0.01 * rng.standard_normal(len(points))
    return [Observation(k, point, f) for k, (point, f) in enumerate(zip(points, objective_K.tolist(), strict=True))]


@dataclass(frozen=True)
class Moment:
    """A search after so many trials: its state, a round to tell, a k whose trial is a Thompson draw, all trials."""

    state: SearchState
    round: list[Observation]
    k: int
    curves: list[list[float]]
    objectives: list[float]


def moments(searcher: ModelNewton, counts: Sequence[int]) -> dict[int, Moment]:
    """The search after each number of trials."""
    rng, state = np.random.default_rng(0), searcher.init()
    seen: list[Observation] = []
    by_count = {}
    for count in counts:
        while len(seen) < count:
            points = [S2E.point(x) for x in S2E.sample(state.theta, rng, min(100, count - len(seen)))]
            new = told(points, rng)
            seen += new
            state = searcher.tell(state, new)
        round_ = told([searcher.ask(state, k) for k in range(6)], rng)
        curves = S2E.curves(S2E.vectors([o.point for o in seen]), N_EPOCHS).tolist()
        by_count[count] = Moment(state, round_, 0, curves, [o.objective for o in seen])
    return by_count


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = process_time()
    work()
    return process_time() - start


def measured(most: int, repeats: int) -> dict[str, Any]:
    """Times after each number of trials up to ``most``, taken in turns, and the ratio of the last to that after 100."""
    searcher = ModelNewton(S2E, 0, N_EPOCHS)
    by_count = moments(searcher, [count for count in COUNTS if count <= most])
    times: dict[int, dict[str, list[float]]] = {
        count: {"ask_s": [], "tell_s": [], "recommend_s": []} for count in by_count
    }
    for repeat in range(repeats):
        for count, now in by_count.items():
            times[count]["ask_s"].append(cpu_s(partial(searcher.ask, now.state, now.k)))
            times[count]["tell_s"].append(cpu_s(partial(searcher.tell, now.state, now.round)))
            if repeat < 3:
                times[count]["recommend_s"].append(cpu_s(partial(recommend, now.curves, now.objectives)))
    rows = {count: {name: summary(values) for name, values in row.items()} for count, row in times.items()}
    ratios = {
        name: round(rows[max(rows)][name]["median"] / rows[100][name]["median"], 3) for name in ("ask_s", "tell_s")
    }
    return {"machine": machine(), "n_epochs": N_EPOCHS, "trials": rows, "ratio_last_to_100": ratios}


def main() -> None:
    """Print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, choices=COUNTS[1:], default=COUNTS[-1])
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    print(json.dumps(measured(args.most, args.repeats), indent=2))


if __name__ == "__main__":
    main()
