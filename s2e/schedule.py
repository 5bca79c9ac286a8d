"""The keep rate R(t): the fraction of a mini-batch that is kept at epoch t = 0..T-1.

S2E's family (Table 1 and eq. 4) mixes four bases, each a decay from 1 plus a slow rise:

    R(t) = sum_i alpha_i f_i(t; beta_i),   beta_i = (a1, a2, a3, a4) in [0, 1]^4,   alpha on the simplex

    i   decay              + rise
    1   exp(-a2 t^a1)      + a3 (t/T)^a4
    2   exp(-a2 t^a1)      + a3 log(1 + t^a4) / log(1 + T^a4)
    3   (1 + a2 t)^(-a1)   + a3 (t/T)^a4
    4   (1 + a2 t)^(-a1)   + a3 log(1 + t^a4) / log(1 + T^a4)

Co-teaching's eq. (1), ``R(t) = 1 - tau min((t/t_k)^c, 1)``, is the baseline.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

R_MIN = 0.01
"""Smallest keep rate of a searched schedule: p_theta can drive R to 0, and a mean over no sample is NaN."""

ROUNDING = 1e-9
"""Undoes rounding such as 0.55 * 100 < 55."""

Array = NDArray[np.float64]


def _power(t_T: Array, exponent: Array | float) -> Array:
    """t^a with 0^0 -> 0, the limit from inside: only then is f_i(0) = 1 for every beta (NumPy has 0^0 = 1)."""
    return np.where(t_T == 0, 0.0, np.power(t_T, exponent))


def bases(beta: ArrayLike, t_T: ArrayLike, n_epochs: int) -> Array:
    """f1..f4 of S2E Table 1 at the epochs ``t_T``: beta (..., 4, 4), rows (a1, a2, a3, a4) -> (..., 4, T)."""
    t = np.asarray(t_T, dtype=np.float64)
    # One value of each exponent per basis, broadcast against the epochs: (..., 4, 1).
    a1, a2, a3, a4 = (np.asarray(beta, dtype=np.float64)[..., j, None] for j in range(4))
    exponential = np.exp(-a2[..., :2, :] * _power(t, a1[..., :2, :]))
    power_law = np.power(1 + a2[..., 2:, :] * t, -a1[..., 2:, :])
    decay = np.concatenate([exponential, power_law], axis=-2)
    power_rise = _power(t / n_epochs, a4[..., 0::2, :])
    log_rise = np.log1p(_power(t, a4[..., 1::2, :])) / np.log1p(np.power(float(n_epochs), a4[..., 1::2, :]))
    rise = np.stack([power_rise, log_rise], axis=-2).reshape(decay.shape)
    return np.asarray(decay + a3 * rise)


def keep_rate_at(alpha: ArrayLike, beta: ArrayLike, t_T: ArrayLike, n_epochs: int) -> Array:
    """R at the epochs ``t_T`` of a training of ``n_epochs`` (S2E eq. 4): alpha (..., 4), beta (..., 4, 4) -> (..., T).

    The bases reach 1 + a3, so R is clipped to [R_MIN, 1]; R(0) is 1 by definition, not up to rounding.
    """
    mixed = (np.asarray(alpha, dtype=np.float64)[..., None] * bases(beta, t_T, n_epochs)).sum(axis=-2)
    return from_one(mixed, t_T)


def from_one(curve: ArrayLike, t_T: ArrayLike) -> Array:
    """A curve (..., T) made a keep rate: clipped to [R_MIN, 1], and R(0) = 1 by definition."""
    return np.where(np.asarray(t_T) == 0, 1.0, np.clip(curve, R_MIN, 1.0))


def keep_rate(alpha: ArrayLike, beta: ArrayLike, n_epochs: int) -> Array:
    """R(t) for t = 0..T-1 (S2E eq. 4): alpha (..., 4), beta (..., 4, 4) -> (..., T)."""
    return keep_rate_at(alpha, beta, np.arange(n_epochs), n_epochs)


def coteaching_at(tau: ArrayLike, ramp_epochs: ArrayLike, exponent: ArrayLike, t_T: ArrayLike) -> Array:
    """S2E eq. (1) literally, 1 - tau min((t/t_k)^c, 1), at the epochs ``t_T``: parameters (...,) -> (..., T).

    ``ramp_epochs`` is t_k; at t_k = 0 the ramp is a step: R = 1 - tau from epoch 1 on.
    """
    t = np.asarray(t_T, dtype=np.float64)
    tau_1, ramp_1, c_1 = (np.asarray(value, dtype=np.float64)[..., None] for value in (tau, ramp_epochs, exponent))
    share = np.minimum(t, ramp_1) / np.where(ramp_1 > 0, ramp_1, 1.0)
    ramp = np.where(t >= ramp_1, np.where(t > 0, 1.0, 0.0), _power(share, c_1))
    return np.asarray(1 - tau_1 * ramp)


def coteaching_keep_rate(
    n_epochs: int, tau: float, ramp_epochs: int, exponent: float = 1.0, *, official_linspace: bool = False
) -> tuple[float, ...]:
    """Co-teaching's schedule for t = 0..T-1: eq. (1), or the ramp of the official program.

    That ramp is linear from 0 to tau^c over ``ramp_epochs`` epochs, ends (so reaches tau) one epoch early, and for
    c != 1 jumps to tau after it.
    """
    if not official_linspace:
        return tuple(coteaching_at(tau, ramp_epochs, exponent, np.arange(n_epochs)).tolist())
    forget_T = np.full(max(n_epochs, ramp_epochs), tau)
    forget_T[:ramp_epochs] = np.linspace(0, tau**exponent, ramp_epochs)
    return tuple((1 - forget_T[:n_epochs]).tolist())


def n_keep(keep_rate: ArrayLike, batch_size: int) -> NDArray[np.int64]:
    """Samples kept of a mini-batch: floor(R B), at least one."""
    kept = np.floor(np.asarray(keep_rate, dtype=np.float64) * batch_size + ROUNDING)
    return np.maximum(1, kept).astype(np.int64)
