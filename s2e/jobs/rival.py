"""The optimiser of the rival: eq. (1) is tuned by the rule that searches by default, from its own trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s2e.jobs.trials import default_tau, make_rival_space
from s2e.parts import SEARCHERS
from s2e.search.base import Searcher
from s2e.search.distributions import X_MIN
from s2e.search.spaces import EXPONENTS
from s2e.words import JobSpec, Observation, Point, RoundRecord, SearchState, TrialResult, derive_seed, replace

RULE = "model_newton"
SETTINGS: Mapping[str, Any] = {
    "free_every": 0, "replicate_every": 0, "round_effect": True, "start": "portfolio", "tau": None,
}  # fmt: skip
"""Of the rule, where the search has another: a stored job must not depend on today's defaults."""


def make_rival(spec: JobSpec) -> Searcher:
    """The rule over eq. (1)'s space, with the settings that the search has where it is its own rule."""
    settings = spec.search.params if spec.search.searcher == RULE else SETTINGS
    part = SEARCHERS.find(RULE, "search.searcher").stored(settings)
    rival: Searcher = part.make(make_rival_space(spec), derive_seed(spec.seed, "tune"), spec.train.n_epochs)
    return rival


def rival_state(spec: JobSpec, history: Sequence[RoundRecord]) -> SearchState:
    """The rule's state after the tuning rounds of ``history``: one tell from the last stored state."""
    rival, tuned = make_rival(spec), [record for record in history if record.round.kind == "tune"]
    if not tuned:
        return rival.init()
    state = tuned[-1].round.state
    assert state is not None
    told = _observations(spec, rival, state, tuned[-1], is_first=len(tuned) == 1)
    return rival.tell(state, told) if told else replace(state, round=state.round + 1)


def _observations(
    spec: JobSpec, rival: Searcher, state: SearchState, record: RoundRecord, *, is_first: bool
) -> list[Observation]:
    """A tuning round as the rule may see it: its own points, and before them the default schedule."""
    worst = max((r.objective for r in record.results if r.objective is not None), default=1.0)
    points = [
        default_point(spec) if is_first and trial.k == 0 else rival.ask(state, trial.k) for trial in record.round.trials
    ]
    return [
        _observation(trial.k, point, result, worst)
        for trial, point, result in zip(record.round.trials, points, record.results, strict=True)
        if point is not None
    ]


def _observation(k: int, point: Point, result: TrialResult, worst: float) -> Observation:
    return Observation(k, point, worst if result.objective is None else result.objective, result.failed)


def default_point(spec: JobSpec) -> Point | None:
    """The default schedule as a point of eq. (1)'s space; None where training parameters are searched beside it,
    because the job's own values need not be among theirs."""
    if spec.search.parameters:
        return None
    t_k = spec.report.ramp_epochs - (spec.report.ramp == "official_linspace")
    weights = np.where(EXPONENTS == 1.0, 0.6, 0.2)
    x_X = np.array([default_tau(spec), t_k / spec.train.n_epochs, *weights])
    return make_rival_space(spec).point(np.clip(x_X, X_MIN, 1 - X_MIN))
