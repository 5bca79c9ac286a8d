"""Objectives made from a table of recorded trainings: what a search sees, and what a schedule is really worth.

* ``lookup``    the nearest recorded schedule answers: its mean over seeds is the truth, one of its trainings is seen.
                No model, but a staircase of 537 steps;
* ``emulator``  the truth is the posterior mean of a Gaussian process on twelve segment means of all recorded curves,
                the noise is that of a recorded neighbour. Smooth, but the same kind of model as the surrogate of
                ``model_newton`` and of the recommendation, so it flatters both.

Noise is never normal: it is a residual (training minus the mean of its schedule) of a training recorded nearby, so
it is larger where seeds differ more, and bimodal where trainings tip over. ``noise`` multiplies it.

S schedules, R seeds, T epochs, G segments.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from s2e.search.surrogate import Surrogate
from workers.recorded import RecordedTable

Array = NDArray[np.float64]
Curve = tuple[float, ...]
CUTS = (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1)
"""Segment borders of the emulator; the searchers' surrogate has eight others."""
N_NEIGHBOURS = 12
"""Recorded schedules around one asked about whose residuals are its noise."""


class Objective(Protocol):
    """1 - validation accuracy of a schedule."""

    def true(self, curve: Curve) -> float:
        """Without noise: what a recommendation is valued by."""

    def seen(self, curve: Curve, rng: np.random.Generator) -> float:
        """One training."""

    def facts(self) -> dict[str, float]:
        """Notes for reading a figure."""


class _Recorded:
    """Truth and residuals of a table: residuals are stretched so that their variance is that of a training."""

    def __init__(self, table: RecordedTable, noise: float) -> None:
        objective_SR = table.objective(table.made_with["tail_epochs"])
        n_seeds = objective_SR.shape[1]
        self._table, self._truth_S = table, objective_SR.mean(axis=1)
        self._residual_SR = (objective_SR - self._truth_S[:, None]) * noise * math.sqrt(n_seeds / (n_seeds - 1))

    def _noise_facts(self) -> dict[str, float]:
        sd_S = np.sqrt((self._residual_SR**2).mean(axis=1))
        best = np.argsort(self._truth_S)[: len(self._truth_S) // 10]
        return {
            "seed_sd": float(np.sqrt((sd_S**2).mean())),
            "seed_sd_best_tenth": float(np.sqrt((sd_S[best] ** 2).mean())),
            "schedule_sd": float(self._truth_S.std()),
        }


class Lookup(_Recorded):
    """The nearest recorded schedule's trainings."""

    def true(self, curve: Curve) -> float:
        return float(self._truth_S[self._table.nearest(curve)])

    def seen(self, curve: Curve, rng: np.random.Generator) -> float:
        s = self._table.nearest(curve)
        return float(self._truth_S[s] + rng.choice(self._residual_SR[s]))

    def facts(self) -> dict[str, float]:
        return {"best": float(self._truth_S.min()), **self._noise_facts()}


class Emulator(_Recorded):
    """A Gaussian process fitted to the mean of each recorded schedule, and the residuals of neighbours."""

    def __init__(self, table: RecordedTable, noise: float) -> None:
        super().__init__(table, noise)
        self._mean, self._sd = float(self._truth_S.mean()), float(self._truth_S.std())
        self._features_SG, self._score_S = fine_means(table.keep_rate), (self._truth_S - self._mean) / self._sd
        self._fit = Surrogate(self._features_SG, self._score_S)

    def true(self, curve: Curve) -> float:
        return self._mean + self._sd * float(self._fit.mean(fine_means([curve]))[0])

    def seen(self, curve: Curve, rng: np.random.Generator) -> float:
        distance_S = np.square(self._features_SG - fine_means([curve])).sum(axis=1)
        near = np.argpartition(distance_S, N_NEIGHBOURS)[:N_NEIGHBOURS]
        return self.true(curve) + float(rng.choice(self._residual_SR[near].ravel()))

    def facts(self) -> dict[str, float]:
        """R^2 of predicting each tenth of the schedules from the other nine, and the noise of a training."""
        n = len(self._score_S)
        error_S = np.empty(n)
        for fold in range(10):
            held_S = np.arange(n) % 10 == fold
            fit = Surrogate(self._features_SG[~held_S], self._score_S[~held_S])
            error_S[held_S] = fit.mean(self._features_SG[held_S]) - self._score_S[held_S]
        return {"r2_held_out": 1 - float((error_S**2).mean()), **self._noise_facts()}


OBJECTIVES: dict[str, type[Lookup | Emulator]] = {"lookup": Lookup, "emulator": Emulator}


def fine_means(keep_rate_ST: ArrayLike) -> Array:
    """Means of R between the CUTS of T: (S, G)."""
    curve_ST = np.asarray(keep_rate_ST, dtype=np.float64)
    edges = np.unique(np.rint(np.array(CUTS) * curve_ST.shape[1]).astype(np.int64))
    return np.asarray(np.add.reduceat(curve_ST, edges[:-1], axis=1) / np.diff(edges))
