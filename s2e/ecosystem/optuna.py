"""S2E inside Optuna.

    from s2e.ecosystem.optuna import S2ESampler, suggest_schedule

    def objective(trial):
        keep_rate = suggest_schedule(trial, n_epochs=30)           # R(t) of every epoch
        return 1 - train(keep_rate, lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True))

    study = optuna.create_study(sampler=S2ESampler(n_epochs=30))
    study.optimize(objective, n_trials=60)

The coordinates of the schedule are ordinary Optuna parameters (``s2e.0``, ``s2e.1``, ...), so the same objective runs
under every other sampler too. The sampler reads everything it knows from the study: a resumed study goes on as if
never interrupted, and a lost trial holds nothing up. Parameters other than the schedule's are drawn by
``independent_sampler``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from s2e.ecosystem.asktell import AskTell
from s2e.extras import needs
from s2e.parts import SEARCHERS, SPACES
from s2e.search.distributions import Dirichlet
from s2e.search.space import Space
from s2e.words import Point

with needs("train"):
    from optuna.distributions import BaseDistribution, FloatDistribution
    from optuna.samplers import BaseSampler, RandomSampler
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial, Trial, TrialState

UNIT = FloatDistribution(0.0, 1.0)
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def parameter_names(space: str = "s2e") -> list[str]:
    """Names of the Optuna parameters that hold a point of the space."""
    return [f"s2e.{i}" for i in range(_space(space).n_x)]


def suggest_schedule(trial: Trial, n_epochs: int, space: str = "s2e") -> tuple[float, ...]:
    """R(t) for t = 0..T-1 from a trial's parameters, whoever drew them: mixing weights are scaled to sum 1."""
    values = [trial.suggest_float(name, UNIT.low, UNIT.high) for name in parameter_names(space)]
    chosen = _space(space)
    return chosen.schedule(chosen.point(_on_simplices(chosen, np.array(values))), n_epochs)


class S2ESampler(BaseSampler):
    """Draws schedules as the named searcher would, in rounds of ``n_trials``; see the module's docstring."""

    def __init__(
        self,
        n_epochs: int,
        *,
        searcher: str = "model_newton",
        space: str = "s2e",
        n_trials: int = 6,
        seed: int = 0,
        independent_sampler: BaseSampler | None = None,
    ) -> None:
        """``n_epochs`` is T, the epochs of one training. Raises SpecError for an unknown name."""
        self._space = _space(space)
        self._names = parameter_names(space)
        self._searcher = SEARCHERS.find(searcher, "searcher")().make(self._space, seed, n_epochs)
        self._n_trials = n_trials
        self._asktell = AskTell(self._searcher, n_trials)
        self._told: list[int] = []
        self._independent = independent_sampler or RandomSampler(seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        return dict.fromkeys(self._names, UNIT)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The coordinates of a schedule that are asked for (others may be fixed), as the rule would draw them after the
        results of the study; parameters that are not coordinates are drawn independently."""
        _require_one_objective(study)
        drawn: dict[str, Any] = {}
        if any(name in search_space for name in self._names):
            self._tell_results(study)
            drawn = dict(
                zip(self._names, self._asktell.ask(trial.number, self._pending(study, trial)).values, strict=True)
            )
        return {
            name: drawn[name]
            if name in drawn
            else self._independent.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        _require_one_objective(study)
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Nothing to do for the schedules: their draws depend on (seed, round, k) only."""
        self._independent.reseed_rng()

    def _tell_results(self, study: Study) -> None:
        """Tell every result in the order of its end, so that a resumed study tells as the first one did; a result that
        turns out to have come before others makes the rule start over. Trials without a schedule are left out."""
        ended = [trial for trial in study.get_trials(deepcopy=False, states=ENDED) if self._has_point(trial)]
        ended.sort(key=lambda trial: (trial.datetime_complete or datetime.max, trial.number))
        numbers = [trial.number for trial in ended]
        if numbers[: len(self._told)] != self._told:
            self._asktell, self._told = AskTell(self._searcher, self._n_trials), []
        for trial in ended[len(self._told) :]:
            self._asktell.tell(trial.number, self._point(trial), _objective(trial, study.direction))
        self._told = numbers

    def _pending(self, study: Study, trial: FrozenTrial) -> list[Point]:
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [self._point(other) for other in running if other.number != trial.number and self._has_point(other)]

    def _point(self, trial: FrozenTrial) -> Point:
        values = np.array([trial.params[name] for name in self._names])
        return self._space.point(_on_simplices(self._space, values))

    def _has_point(self, trial: FrozenTrial) -> bool:
        return all(name in trial.params for name in self._names)


def _require_one_objective(study: Study) -> None:
    if len(study.directions) != 1:
        raise ValueError(f"S2ESampler minimises or maximises one objective, the study has {len(study.directions)}")


def _objective(trial: FrozenTrial, direction: StudyDirection) -> float | None:
    """The value that is minimised; None for a trial without a number."""
    if trial.state != TrialState.COMPLETE or trial.value is None or not math.isfinite(trial.value):
        return None
    return trial.value if direction == StudyDirection.MINIMIZE else -trial.value


def _space(name: str) -> Space:
    space: Space = SPACES.find(name, "space")().make()
    return space


def _on_simplices(space: Space, x_X: Sequence[float] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Coordinates of any sampler, clipped off the borders, with every simplex block scaled to sum 1: (X,)."""
    x = np.clip(np.asarray(x_X, dtype=np.float64), 1e-6, 1 - 1e-6)
    start = 0
    for block in space.blocks:
        if isinstance(block, Dirichlet):
            x[start : start + block.n_x] /= x[start : start + block.n_x].sum()
        start += block.n_x
    return x
