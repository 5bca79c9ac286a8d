"""Small universes of a job under seeded faults: every one has to end in the undisturbed theta and report.

    python -m benchmarks.universes [--number 200] [--first 0] [--trials 60]

A failure prints the seed that replays it (``--first SEED --number 1``), and the exit status is 1. Process CPU time.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from statistics import fmean

import structlog

from benchmarks.measure import machine
from s2e.door import parse_job
from s2e.jobs import loop
from s2e.words import Population, Round, TrialResult, TrialSpec
from s2e.words.seeds import derive_seed
from service.testing.universe import Search, Universe, in_memory
from workers.backend import PopulationFinished, PopulationKey
from workers.simulated import SimulatedBackend, SimulatedTrial


def by_formula(trial: TrialSpec) -> SimulatedTrial:
    """Accuracy from the schedule and the seeds alone."""
    noise = derive_seed(trial.init_seed, trial.order_seed, trial.noise_seed) / 2**63
    return SimulatedTrial.constant(0.4 + 0.4 * fmean(trial.keep_rate) + 0.05 * noise, len(trial.keep_rate))


def train(round_: Round, populations: tuple[Population, ...]) -> list[TrialResult]:
    """The populations of a round, undisturbed."""
    backend = SimulatedBackend(by_formula)
    for group, population in enumerate(populations):
        backend.start(PopulationKey("calm", round_.index, group, 1), population)
    results: list[TrialResult] = []
    while backend.running():
        results += [r for event in backend.poll() if isinstance(event, PopulationFinished) for r in event.results]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--trials", type=int, default=60)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    report = {"n_seeds": 2, "max_seeds": 2, "n_candidates": 1, "taus": [0.3]}
    search = {"n_rounds": max(1, args.trials // 6), "n_trials": 6}
    spec = parse_job(
        {"seed": 7, "train": {"n_epochs": 3}, "plan": {"population": 2}, "search": search, "report": report}
    )
    history, calm = loop.run_search(spec, train)
    search, database = Search(), in_memory()
    began_s, n_faults, failed = time.process_time(), 0, []
    for seed in range(args.first, args.first + args.number):
        try:
            end = Universe(seed, spec, by_formula, database=database, search=search).run()
            assert end.history == history, "another history"
            assert end.report == calm, "another report"
            n_faults += end.n_faults
        except Exception:
            failed.append(seed)
            print(f"seed {seed}:\n{traceback.format_exc(limit=-6)}", file=sys.stderr)
    cpu_s = time.process_time() - began_s
    told = {
        "benchmark": "universes",
        "machine": machine(),
        "trials": loop.n_trials(spec),
        "universes": args.number,
        "faults": n_faults,
        "failed_seeds": failed,
        "cpu_s": round(cpu_s, 2),
        "universes_a_cpu_minute": round(60 * args.number / cpu_s, 1),
    }
    print(json.dumps(told, indent=1))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
