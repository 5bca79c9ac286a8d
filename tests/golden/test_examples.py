"""theta and the verdict of the examples, as they have been since 2026-11-21: a refactoring moves neither.

Trainings are a formula, so that nothing but the search decides. ``python -m tests.golden.test_examples`` prints what
``examples.json`` holds; it is written anew only where a change says why (2026-11-22: a
verdict joins its last name by "and").
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from math import exp
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from s2e.door import parse_job
from s2e.jobfile import read_job_file
from s2e.jobs.loop import run_search
from s2e.jobs.search import next_state
from s2e.words import JobSpec, TrialSpec
from workers.simulated import SimulatedBackend, SimulatedTrial
from workers.testing import run_to_end

EXAMPLES = Path(__file__).parents[2] / "examples"
PINNED: Mapping[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-9
"""Relative. Other kernels of the processor (OpenBLAS' for Prescott and for Haswell, numpy without AVX) move theta by at
most 2e-14 in the six steps; the file has twelve digits. A damping of 0.21 for 0.2 moves it by 0.1 and more."""


def by_formula(trial: TrialSpec) -> SimulatedTrial:
    """The nearer R(t) is to (1 + e^(-8 t/T)) / 2 the better; a seed takes the more from it, the more it keeps."""
    n = len(trial.keep_rate)
    wanted = [(1 + exp(-8 * t / n)) / 2 for t in range(n)]
    off = fmean((r - w) ** 2 for r, w in zip(trial.keep_rate, wanted, strict=True))
    luck = trial.init_seed % 101 / 101
    return SimulatedTrial.constant(0.9 - off - 0.04 * luck * fmean(trial.keep_rate), n)


def reached(spec: JobSpec) -> dict[str, Any]:
    """theta of every search round and after the last, the schedule recommended, and the verdict on it."""
    history, report = run_search(spec, partial(run_to_end, SimulatedBackend(by_formula)))
    theta = [record.round.state.theta for record in history if record.round.kind == "search" and record.round.state]
    theta.append(next_state(spec, history).theta)
    return {"theta": theta, "recommended": list(report.recommended), "verdict": report.verdict}


def example(name: str) -> JobSpec:
    """The job of ``examples/<name>.toml``."""
    return parse_job(read_job_file(EXAMPLES / f"{name}.toml"))


@pytest.mark.parametrize("name", PINNED)
def test_an_example_reaches_the_theta_and_the_verdict_it_always_reached(name: str) -> None:
    spec, pinned = example(name), PINNED[name]
    again = reached(spec)
    assert len(again["theta"]) == spec.search.n_rounds + 1
    for m, (theta, expected) in enumerate(zip(again["theta"], pinned["theta"], strict=True)):
        np.testing.assert_allclose(theta, expected, rtol=TOLERANCE, err_msg=f"theta after {m} rounds")
    assert again["recommended"] == pinned["recommended"]
    assert again["verdict"] == pinned["verdict"]


if __name__ == "__main__":
    now = {name: reached(example(name)) for name in ("digits", "joint")}
    rounded = {
        name: values | {"theta": [[float(f"{x:.12g}") for x in theta] for theta in values["theta"]]}
        for name, values in now.items()
    }
    sys.stdout.write(json.dumps(rounded).replace("], [", "],\n[") + "\n")
