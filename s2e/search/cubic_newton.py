"""Newton's step with a cubic regulariser (Nesterov & Polyak 2006), which S2E's journal version takes.

    h = argmin_h  g' h + h' H h / 2 + M |h|^3 / 6        in place of  -H^-1 g

The minimum over all h, found through its condition h = -(H + l I)^-1 g with l = M |h| / 2 and H + l I >= 0: it
descends along directions of negative curvature too, of which H has many here (:mod:`s2e.search.newton`), and is finite
where H is singular.

Two rules: ``cubic_newton_literal`` with g and H from the K trials of a round as eqs. (7) and Prop. 1 print them, |h| in
theta's own coordinates; ``cubic_newton`` with those of ``model_newton``'s surrogate, |h| in Fisher-whitened ones.

Shapes: K trials of the round, X coordinates of a point, D entries of theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq

from s2e.search.distributions import Array
from s2e.search.model_newton import ModelNewton, at_most
from s2e.search.newton_literal import literal_derivatives
from s2e.search.relaxation import Relaxation, moved, ordered
from s2e.search.space import Space
from s2e.words import Observation, SearchState

TINY = 1e-12
"""Steps and gradients below this count as none; the secular equation is solved to it."""


class CubicNewton(ModelNewton):
    """``model_newton`` with cubic regularisation in place of |lambda| + damping, in the same bounds."""

    def __init__(self, *args: Any, cubic: float = 1.0, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._cubic = cubic

    def _step(self, gradient_D: Array, hessian_DD: Array) -> Array:
        return at_most(cubic_step(gradient_D, hessian_DD, self._cubic))


class CubicNewtonLiteral(Relaxation):
    """Draws each round from p_theta and moves theta by one cubic step on the round's own g and H."""

    def __init__(self, space: Space, seed: int, n_epochs: int, *, cubic: float = 1.0) -> None:
        super().__init__(space, seed, n_epochs)
        self._cubic = cubic

    def tell(self, state: SearchState, observations: Sequence[Observation]) -> SearchState:
        """The state after the step, theta kept in its bounds."""
        x_KX, objective_K = ordered(self._space, observations, at_least=2)
        gradient_D, hessian_DD = literal_derivatives(self._space, np.array(state.theta), x_KX, objective_K)
        return moved(state, cubic_step(gradient_D, hessian_DD, self._cubic))


def cubic_step(gradient_D: Array, hessian_DD: Array, cubic: float) -> Array:
    """argmin_h g' h + h' H h / 2 + cubic |h|^3 / 6: (D,)."""
    eigenvalue_D, vector_DD = np.linalg.eigh(hessian_DD)
    slope_D = vector_DD.T @ gradient_D
    least = max(0.0, -float(eigenvalue_D[0]))

    def excess(shift: float) -> float:
        """|h| beyond what the shift l of H allows, 2 l / M: falls as l rises."""
        return float(np.linalg.norm(slope_D / (eigenvalue_D + shift))) - 2 * shift / cubic

    low = least + TINY * max(1.0, least)
    if excess(low) <= 0:
        return _along_least(slope_D, eigenvalue_D, vector_DD, 2 * least / cubic)
    high = 2 * low
    while excess(high) > 0:
        high *= 2
    shift = brentq(excess, low, high, xtol=TINY, rtol=1e-14)
    return np.asarray(-vector_DD @ (slope_D / (eigenvalue_D + shift)))


def _along_least(slope_D: Array, eigenvalue_D: Array, vector_DD: Array, length: float) -> Array:
    """The minimum where g has no part along the direction of least curvature: h of length 2 l / M, the rest of it along
    that direction, with its largest entry positive, for both signs are as good. (D,)"""
    away_D = eigenvalue_D - eigenvalue_D[0]
    rest_D = np.where(away_D > TINY, -slope_D / np.where(away_D > TINY, away_D, 1.0), 0.0)
    missing = np.sqrt(max(length**2 - float(rest_D @ rest_D), 0.0))
    least_D = vector_DD[:, 0] * np.sign(vector_DD[np.abs(vector_DD[:, 0]).argmax(), 0])
    return np.asarray(vector_DD @ rest_D + missing * least_D)
