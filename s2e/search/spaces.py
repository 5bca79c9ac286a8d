"""The other spaces of schedules: eq. (1), single bases, the official program's, an extended one, and two without form.

Each is blocks and a family (see :mod:`s2e.search.space`). All keep R in [R_MIN, 1]; all but ``rbf`` and ``mlp``, which
encode no prior knowledge (S2E section 4.2.1), begin with R(0) = 1. A choice among n values is a Dirichlet of n weights
whose largest decides: uniform at theta = 1, without an order among the values, and with every closed form of a simplex.

Shapes: X coordinates of a point, S samples or points, T epochs, U hidden units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, ndtri

from s2e.schedule import R_MIN, bases, coteaching_at, from_one, keep_rate_at
from s2e.search.distributions import X_MIN, Array, Beta, Dirichlet
from s2e.search.space import S2E, Space

EXPONENTS = np.array([0.5, 1.0, 2.0])
"""Values of eq. (1)'s exponent c (S2E appendix B.1)."""
N_UNITS = 4
"""Hidden units of ``rbf`` and ``mlp`` (S2E section 4.2.1)."""


def eq_1_of(x_SX: Array, n_epochs: int) -> tuple[Array, Array, Array]:
    """tau ~ U(0, 1), t_k ~ U(0, T) and c of points of ``coteaching`` (S2E appendix B.1): three times (S,)."""
    return x_SX[:, 0], n_epochs * x_SX[:, 1], EXPONENTS[np.argmax(x_SX[:, 2 : 2 + len(EXPONENTS)], axis=1)]


def _coteaching(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """Eq. (1): x = (tau, t_k / T, one weight for each exponent)."""
    return from_one(coteaching_at(*eq_1_of(x_SX, n_epochs), t_T), t_T)


def _single(i: int) -> Callable[[Array, Array, int], Array]:
    """Basis f_(i+1) of Table 1 alone: x = (a1, a2, a3, a4)."""

    def family(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
        return from_one(_all_bases(x_SX, t_T, n_epochs)[:, i], t_T)

    return family


def _any_single(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """Four weights that choose the basis, then its (a1, a2, a3, a4)."""
    chosen_S = np.argmax(x_SX[:, :4], axis=1)
    return from_one(_all_bases(x_SX[:, 4:], t_T, n_epochs)[np.arange(len(x_SX)), chosen_S], t_T)


def _all_bases(a_S4: Array, t_T: Array, n_epochs: int) -> Array:
    """f1..f4 under the same (a1, a2, a3, a4): (S, 4, T)."""
    return bases(np.repeat(a_S4[:, None, :], 4, axis=1), t_T, n_epochs)


def _extended(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """(1 - w) Table 1 + w eq. (1): x = (w, tau, t_k / T, c, alpha and beta of Table 1).

    c = 4^(2u - 1) lies in [1/4, 4], the three exponents of eq. (1) at u = 1/4, 1/2 and 3/4. w = 0 is Table 1 and w = 1
    is eq. (1), exactly.
    """
    w_S1 = x_SX[:, :1]
    table_1 = keep_rate_at(x_SX[:, 4:8], x_SX[:, 8:].reshape(-1, 4, 4), t_T, n_epochs)
    eq_1 = coteaching_at(x_SX[:, 1], n_epochs * x_SX[:, 2], 4 ** (2 * x_SX[:, 3] - 1), t_T)
    return (1 - w_S1) * table_1 + w_S1 * from_one(eq_1, t_T)


OFFICIAL = ("w1", "p1", "b1", "p2", "b2", "p3", "b3", "w2", "c5", "b5", "b4", "p4")
OFFICIAL_SCALE = np.array([1, 1, 0.5, 1, 0.5, 2, 0.5, 1, 1, 0.5, 0.5, 2])
"""Ranges of the official program: each number is uniform between 0 and this."""


def _official(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """R = 1 - F of the official program (AutoML-4Paradigm/S2E, heng_main.py), where F is the fraction forgotten:

    F(t) = w1 (1 - exp(-b1 t^p1)) + (1-w1) w2 (1 - (1 + b2 t)^-p2) + (1-w1)(1-w2) (1 - log(1+c5) / log(1+c5+b5 t))
           - b3 (t/T)^p3 - b4 log(1 + t^p4) / log(1 + T^p4)

    It limits F to 0.99 from above only; here R is clipped on both sides, and R(0) = 1.
    """
    w1, p1, b1, p2, b2, p3, b3, w2, c5, b5, b4, p4 = ((x_SX * OFFICIAL_SCALE)[:, [i]] for i in range(12))
    t = np.maximum(t_T, 1.0)  # every term is taken at t >= 1, because R(0) is 1 by definition
    growth = b5 * t
    logarithmic = np.where(growth > 0, np.log1p(c5) / np.log1p(c5 + np.where(growth > 0, growth, 1.0)), 1.0)
    decay = w1 * np.exp(-b1 * t**p1) + (1 - w1) * (w2 * (1 + b2 * t) ** -p2 + (1 - w2) * logarithmic)
    rise = b3 * (t / n_epochs) ** p3 + b4 * np.log1p(t**p4) / np.log1p(float(n_epochs) ** p4)
    return from_one(decay + rise, t_T)


def _rbf(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """sigmoid(b + sum_u v_u exp(-((t/T - m_u) / s_u)^2 / 2)): x = (centres m, widths 2 s, weights v, b).

    m ~ U(0, 1), s ~ U(0, 1/2) and normal v, b at theta = 1. The paper gives no prior: this one is ours.
    """
    centre_SU, width_SU = x_SX[:, :N_UNITS], np.maximum(x_SX[:, N_UNITS : 2 * N_UNITS], X_MIN) / 2
    away_STU = ((t_T / n_epochs)[None, :, None] - centre_SU[:, None, :]) / width_SU[:, None, :]
    unit_STU = np.exp(-(away_STU**2) / 2)
    return _sigmoid_output(unit_STU, normal(x_SX[:, 2 * N_UNITS :]))


def _mlp(x_SX: Array, t_T: Array, n_epochs: int) -> Array:
    """sigmoid(b + sum_u v_u relu(w_u t/T + c_u)): x = (w, c, v, b), all normal at theta = 1 (the prior is ours)."""
    z_SX = normal(x_SX)
    input_STU = (t_T / n_epochs)[None, :, None] * z_SX[:, None, :N_UNITS] + z_SX[:, None, N_UNITS : 2 * N_UNITS]
    return _sigmoid_output(np.maximum(input_STU, 0.0), z_SX[:, 2 * N_UNITS :])


def _sigmoid_output(hidden_STU: Array, output_SX: Array) -> Array:
    """Output weights and then a bias, under a sigmoid, clipped to [R_MIN, 1]: (S, T)."""
    total_ST = np.einsum("stu,su->st", hidden_STU, output_SX[:, :N_UNITS]) + output_SX[:, N_UNITS:]
    return np.asarray(np.clip(expit(total_ST), R_MIN, 1.0))


def normal(u_SX: Array) -> Array:
    """Numbers of (0, 1) as normal ones by the quantile function: uniform u is N(0, 1), |z| <= 4.8 after clipping."""
    return np.asarray(ndtri(np.clip(u_SX, X_MIN, 1 - X_MIN)))


def fixed(keep_rate: Sequence[float]) -> Space:
    """A space in which nothing of the schedule is searched: this R(t) for every point, its last value from then on."""

    def family(x_SX: Array, t_T: Array, n_epochs: int) -> Array:  # noqa: ARG001  R(t) is given epoch by epoch
        epoch_T = np.minimum(t_T, len(keep_rate) - 1).astype(np.int64)
        return np.tile(np.asarray(keep_rate, dtype=np.float64)[epoch_T], (len(x_SX), 1))

    return Space((), family)


def _betas(*names: str) -> tuple[Beta, ...]:
    return tuple(Beta(name) for name in names)


def _numbered(*names: str) -> tuple[Beta, ...]:
    """One Beta for each name and hidden unit, name by name."""
    return tuple(Beta(f"{name}[{u}]") for name in names for u in range(N_UNITS))


BASIS = _betas("a1", "a2", "a3", "a4")
COTEACHING = Space((*_betas("tau", "t_k/T"), Dirichlet("c", len(EXPONENTS))), _coteaching)
SINGLE = Space((Dirichlet("basis", 4), *BASIS), _any_single)
SINGLE1, SINGLE2, SINGLE3, SINGLE4 = (Space(BASIS, _single(i)) for i in range(4))
S2E_EXTENDED = Space((*_betas("w", "tau", "t_k/T", "c"), *S2E.blocks), _extended)
S2E_OFFICIAL12 = Space(_betas(*OFFICIAL), _official)
RBF = Space((*_numbered("centre", "width", "weight"), Beta("bias")), _rbf)
MLP = Space((*_numbered("input weight", "input bias", "weight"), Beta("bias")), _mlp)
FIXED = fixed((1.0,))
"""R = 1 until a job puts its default schedule in place (:func:`s2e.jobs.trials.make_space`)."""
