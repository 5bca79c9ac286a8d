"""The memory of a surrogate-based rule: its trials, at a bounded size.

Shapes: N entries, M groups of entries, K trials of a round, X coordinates of a point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.search.distributions import Array
from s2e.search.relaxation import ordered
from s2e.search.space import Space
from s2e.search.surrogate import NO_ROUND, averaged, common_round, neighbours
from s2e.words import Observation

N_HISTORY = 120
"""Entries remembered; of more trials, neighbours are averaged, so that a round costs the same after 100 and 10,000."""
PRECISIONS = (0.03, 30.0)
"""Bounds of (noise unit / standard error) of one trial."""


@dataclass(frozen=True)
class History:
    """Points (N, X), their objectives (N,), and how many ordinary trainings each objective is worth (N,).

    A trial that tells its standard error is worth (``noise_unit`` / error)^2 trainings; ``noise_unit`` is the median of
    the first errors told. ``round_N``, where it is kept, is the round of each entry, NO_ROUND for a mean over several.
    """

    points_NX: Array
    objective_N: Array
    weight_N: Array
    noise_unit: float | None = None
    round_N: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, memory: dict[str, Any], n_x: int) -> History:
        """The history in a state's memory; an empty one before the first round."""
        points_NX = np.reshape(np.array(memory.get("points", []), dtype=np.float64), (-1, n_x))
        objective_N, weight_N = np.array(memory.get("objectives", [])), np.array(memory.get("weights", []))
        round_N = np.array(memory["rounds"], dtype=np.int64) if "rounds" in memory else None
        return cls(points_NX, objective_N, weight_N, memory.get("noise_unit"), round_N)

    def to_memory(self) -> dict[str, Any]:
        """Plain JSON for a state's memory."""
        rounds = {} if self.round_N is None else {"rounds": self.round_N.tolist()}
        return {
            "points": self.points_NX.tolist(),
            "objectives": self.objective_N.tolist(),
            "weights": self.weight_N.tolist(),
            "noise_unit": self.noise_unit,
            **rounds,
        }

    def __len__(self) -> int:
        return len(self.objective_N)

    def with_round(
        self,
        space: Space,
        observations: Sequence[Observation],
        features: Callable[[Array], Array],
        rounds: Sequence[int] | None = None,
    ) -> History:
        """The history with a whole round in it. A failed trial counts as the worst objective known.

        ``rounds`` says, for the observations in the order of k, whose data order each of them shares.
        """
        x_KX, objective_K = ordered(space, observations, at_least=1)
        told = sorted(observations, key=lambda o: o.k)
        objective_N = np.concatenate([self.objective_N, objective_K])
        objective_N[len(self) :][np.array([o.failed for o in told])] = objective_N.max()
        errors = [o.noise for o in told if o.noise]
        unit = float(np.median(errors)) if self.noise_unit is None and errors else self.noise_unit
        weight_K = [1.0 if not o.noise or unit is None else np.clip(unit / o.noise, *PRECISIONS) ** 2 for o in told]
        points_NX = np.concatenate([self.points_NX, x_KX])
        weight_N = np.concatenate([self.weight_N, weight_K])
        return History(points_NX, objective_N, weight_N, unit, self._rounds_with(rounds))._bounded(features)

    def _rounds_with(self, rounds: Sequence[int] | None) -> NDArray[np.int64] | None:
        """The rounds of all entries; None where none are kept."""
        if rounds is None:
            return None
        before_N = np.full(len(self), NO_ROUND) if self.round_N is None else self.round_N
        return np.concatenate([before_N, np.array(rounds, dtype=np.int64)])

    def _bounded(self, features: Callable[[Array], Array]) -> History:
        """At most N_HISTORY entries: neighbours become one, at the newest of their points."""
        if len(self) <= N_HISTORY:
            return self
        owner_N = neighbours(features(self.points_NX), N_HISTORY)
        newest_M = np.zeros(owner_N.max() + 1, dtype=np.int64)
        newest_M[owner_N] = np.arange(len(owner_N))  # of several entries of a group, the last one stays written
        # Divided by the largest magnitude, because the sum of two huge objectives may overflow.
        scale = max(float(np.abs(self.objective_N).max()), np.finfo(float).tiny)
        mean_M = scale * averaged(self.objective_N / scale, owner_N, self.weight_N)
        weight_M = np.bincount(owner_N, self.weight_N).astype(np.float64)
        round_M = None if self.round_N is None else common_round(self.round_N, owner_N)
        return History(self.points_NX[newest_M], mean_M, weight_M, self.noise_unit, round_M)
