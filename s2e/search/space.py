"""A space: named blocks in a fixed order, the density p_theta over them, and what a point means.

A point means a curve R(t), by the ``family`` of its first coordinates, and values of the searched training parameters
(:mod:`s2e.search.parameters`), by the others.

Shapes: D entries of theta (36 for S2E), X coordinates of a point (20), S samples or points, T epochs, G segments,
F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import block_diag, solve_triangular

from s2e import schedule
from s2e.search import distributions
from s2e.search.distributions import Array, Beta, Block, Dirichlet
from s2e.search.parameters import Choice, Parameter, as_overrides
from s2e.search.surrogate import segment_epochs
from s2e.words import Condition, Point, SearchError

THETA_MIN = 1.0
"""theta starts at 1 (uniform) and can only concentrate: below 1 the densities pile up at the borders of the space."""
THETA_MAX = 200.0
"""Without an upper limit J has no minimum: the search collapses onto one point."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Space:
    """Blocks in order, and ``family``: points (S, X), epochs (T,) and the number of epochs -> R of each point (S, T).

    A new kind of coordinate is a new Block; a new family of curves is a new ``family``. The last blocks are those of
    ``parameters``, in their order; the family does not see them.
    """

    blocks: tuple[Block, ...]
    family: Callable[[Array, Array, int], Array]
    parameters: Mapping[str, Parameter] = field(default_factory=dict, hash=False)
    conditions: Mapping[str, Condition] = field(default_factory=dict, hash=False)
    """Of the parameters that count only beside some values of another one, a choice."""

    def with_parameters(
        self, parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition] | None = None
    ) -> Space:
        """This space with training parameters searched beside its schedule."""
        blocks = tuple(parameter.block(name) for name, parameter in parameters.items())
        return replace(
            self,
            blocks=(*self.blocks, *blocks),
            parameters={**self.parameters, **parameters},
            conditions={**self.conditions, **(conditions or {})},
        )

    @property
    def n_theta(self) -> int:
        """D, the number of entries of theta."""
        return sum(block.n_theta for block in self.blocks)

    @property
    def n_x(self) -> int:
        """X, the number of coordinates of a point."""
        return sum(block.n_x for block in self.blocks)

    def initial_theta(self) -> Array:
        """theta before round 0: all ones, the uniform density: (D,)."""
        return np.ones(self.n_theta)

    def sample(self, theta_D: ArrayLike, rng: np.random.Generator, size: int) -> Array:
        """Points drawn from p_theta, clipped so that their logarithms are finite: (S, X)."""
        return np.concatenate([block.sample(part, rng, size) for block, part in self._parts(theta_D)], axis=1)

    def log_prob(self, theta_D: ArrayLike, x_SX: ArrayLike) -> Array:
        """log p_theta of each point: (S,)."""
        parts = [distributions.log_prob(theta, stat) for theta, stat in self._statistics(theta_D, x_SX)]
        return np.asarray(np.sum(parts, axis=0))

    def score(self, theta_D: ArrayLike, x_SX: ArrayLike) -> Array:
        """s(x) = grad_theta log p_theta(x) of each point: (S, D)."""
        parts = [distributions.score(theta, stat) for theta, stat in self._statistics(theta_D, x_SX)]
        return np.concatenate(parts, axis=1)

    def fisher_blocks(self, theta_D: ArrayLike) -> list[Array]:
        """F(theta) block by block, in the order of the blocks."""
        return [distributions.fisher(part) for _, part in self._parts(theta_D)]

    def fisher(self, theta_D: ArrayLike) -> Array:
        """F(theta), block diagonal: (D, D)."""
        return np.asarray(block_diag(*self.fisher_blocks(theta_D)))

    def whitener(self, theta_D: ArrayLike) -> Array:
        """L^-1 with L L' = F(theta) (Cholesky, block by block), so that z = L^-1 s has E[z z'] = I: (D, D)."""
        roots = [np.linalg.cholesky(block) for block in self.fisher_blocks(theta_D)]
        return np.asarray(block_diag(*(solve_triangular(root, np.eye(len(root)), lower=True) for root in roots)))

    def kl(self, new_D: ArrayLike, old_D: ArrayLike) -> float:
        """KL(p_new || p_old), in nats."""
        pairs = zip(self._parts(new_D), self._parts(old_D), strict=True)
        return sum(distributions.kl(new, old) for (_, new), (_, old) in pairs)

    def with_shifted_moments(self, theta_D: ArrayLike, shift_D: ArrayLike) -> Array:
        """The theta whose mean log-statistics are those of ``theta_D`` plus a shift, such as a mean score: (D,)."""
        shifts = (part for _, part in self._parts(shift_D))
        pairs = zip(self._parts(theta_D), shifts, strict=True)
        return np.concatenate([distributions.with_shifted_mean_log(theta, shift) for (_, theta), shift in pairs])

    def around(self, x_X: ArrayLike, concentration: float) -> Array:
        """theta of a density with its mode at a point, the narrower the higher the concentration: (D,)."""
        statistics = self._statistics(self.initial_theta(), np.atleast_2d(np.asarray(x_X, dtype=np.float64)))
        return np.asarray(1 + concentration * np.exp(np.concatenate([stat_1D[0] for _, stat_1D in statistics])))

    def mean(self, theta_D: ArrayLike) -> Array:
        """The mean point of p_theta: (X,)."""
        return np.concatenate([block.mean(part) for block, part in self._parts(theta_D)])

    def point(self, x_X: ArrayLike) -> Point:
        """A vector of coordinates as a Point."""
        return Point(tuple(np.asarray(x_X, dtype=np.float64).tolist()))

    def vectors(self, points: Sequence[Point]) -> Array:
        """Points as an array (S, X). Raises SearchError for a point of another space."""
        for point in points:
            if len(point.values) != self.n_x or not np.isfinite(point.values).all():
                raise SearchError(f"a point needs {self.n_x} finite numbers, found {str(point.values)[:80]}")
        return np.array([point.values for point in points], dtype=np.float64).reshape(len(points), self.n_x)

    def schedule(self, point: Point, n_epochs: int) -> tuple[float, ...]:
        """R(t) of a point for t = 0..T-1."""
        return tuple(self.curves(self.vectors([point]), n_epochs)[0].tolist())

    def curves(self, x_SX: ArrayLike, n_epochs: int) -> Array:
        """R(t) of each point for t = 0..T-1: (S, T)."""
        return self._curves_at(np.asarray(x_SX, dtype=np.float64), np.arange(n_epochs, dtype=np.float64), n_epochs)

    def overrides(self, point: Point) -> dict[str, Any]:
        """The training settings a point asks for, as fields of TrainSpec that a trial has different."""
        values: dict[str, Any] = {}
        x_1X = self.vectors([point])
        for name, parameter, part_1X in self._of_parameters(x_1X):
            if self._counts(name, x_1X)[0]:
                values |= zip(parameter.sets(name), parameter.at(part_1X[0]), strict=True)
        return as_overrides(values)

    def features(self, x_SX: ArrayLike, n_epochs: int) -> Array:
        """Features for a surrogate, all that the objective depends on: the mean of R over each of the G segments, then
        those of the parameters, on scales of unit length: (S, G + F).

        R is looked at in a few epochs of each segment only (:func:`s2e.search.surrogate.segment_epochs`).
        """
        x = np.asarray(x_SX, dtype=np.float64)
        epochs_E, starts_G = segment_epochs(n_epochs)
        count_G = np.diff([*starts_G, len(epochs_E)])
        mean_SG = np.add.reduceat(self._curves_at(x, epochs_E, n_epochs), starts_G, axis=1) / count_G
        of_parameters = [p.features(part) * self._counts(name, x)[:, None] for name, p, part in self._of_parameters(x)]
        return np.concatenate([mean_SG, *of_parameters], axis=1)

    def fan(
        self, theta_D: ArrayLike, n_epochs: int, n_draws: int = 400, max_points: int = 60
    ) -> tuple[list[int], list[list[float]]]:
        """Epochs (at most ``max_points``) and the 5, 25, 50, 75, 95 % quantiles of R there under p_theta.

        Estimated from ``n_draws`` draws of a fixed generator, so the same theta always gives the same picture.
        """
        epochs = np.unique(np.rint(np.linspace(0, n_epochs - 1, min(n_epochs, max_points))))
        curves_ST = self._curves_at(self.sample(theta_D, np.random.default_rng(0), n_draws), epochs, n_epochs)
        return epochs.astype(int).tolist(), np.quantile(curves_ST, QUANTILES, axis=0).tolist()

    def _curves_at(self, x_SX: Array, epochs_E: Array, n_epochs: int) -> Array:
        """R of each point at some epochs: (S, E)."""
        return self.family(x_SX[:, : self._n_schedule], epochs_E, n_epochs)

    @property
    def _n_schedule(self) -> int:
        """Number of coordinates that belong to the family."""
        return self.n_x - sum(parameter.block(name).n_x for name, parameter in self.parameters.items())

    def _of_parameters(self, x_SX: Array) -> Iterator[tuple[str, Parameter, Array]]:
        """Each parameter with its name and its coordinates."""
        start = self._n_schedule
        for name, parameter in self.parameters.items():
            end = start + parameter.block(name).n_x
            yield name, parameter, x_SX[:, start:end]
            start = end

    def _counts(self, name: str, x_SX: Array) -> NDArray[np.bool_]:
        """True where a parameter has an effect: (S,)."""
        if name not in self.conditions:
            return np.ones(len(x_SX), dtype=bool)
        other, values = self.conditions[name]
        decides, part_SX = next((p, part) for of, p, part in self._of_parameters(x_SX) if of == other)
        assert isinstance(decides, Choice)  # the door refuses any other
        return decides.is_among(part_SX, values)

    def _parts(self, theta_D: ArrayLike) -> Iterator[tuple[Block, Array]]:
        """Each block with its entries of theta."""
        theta = np.asarray(theta_D, dtype=np.float64)
        if theta.shape != (self.n_theta,):
            raise SearchError(f"theta needs {self.n_theta} numbers, found an array of shape {theta.shape}")
        start = 0
        for block in self.blocks:
            yield block, theta[start : start + block.n_theta]
            start += block.n_theta

    def _statistics(self, theta_D: ArrayLike, x_SX: ArrayLike) -> Iterator[tuple[Array, Array]]:
        """Each block's entries of theta with the log-statistics of its coordinates."""
        x = np.asarray(x_SX, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.n_x:
            raise SearchError(f"points need the shape (S, {self.n_x}), found {x.shape}")
        start = 0
        for block, theta in self._parts(theta_D):
            yield theta, block.log_stat(x[:, start : start + block.n_x])
            start += block.n_x


def _s2e_family(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """S2E eq. 4: the first four coordinates are alpha, the other sixteen beta, row by row."""
    return schedule.keep_rate_at(x_SX[:, :4], x_SX[:, 4:].reshape(-1, 4, 4), t_T, n_epochs)


S2E = Space(
    blocks=(Dirichlet("alpha", 4), *(Beta(f"beta[{i}][{j}]") for i in range(4) for j in range(4))),
    family=_s2e_family,
)
"""S2E Table 1: alpha ~ Dirichlet(4), each entry of beta (4 x 4) ~ Beta; theta has 4 + 32 entries."""
