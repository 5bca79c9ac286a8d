"""A verdict on an estimate of the noise: is it identified, is it symmetric, and how exact.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from s2e.labels.alarms import Alarm
from s2e.labels.choice import noisy_score
from s2e.labels.em import Array, Labels, TransitionFit, fit_transition, tempered
from s2e.words import DataError, derive_seed

N_SPLITS = 4
N_GROUPS = 10
SMALLEST_LIKELIHOOD = 1e-4
"""A label that one half never shows may still be in the other."""
PRIOR_ROWS = 5.0
"""Rows of every class that a full matrix of half the rows takes to be labelled as by a symmetric one: it is fitted to
the scatter of few rows, and would lose where it is right."""
IDENTIFIED = 3.0
"""Standard errors by which the matrix has to beat the label shares on labels it was not fitted to."""


@dataclass(frozen=True)
class NoiseEstimate:
    """The estimated noise of given labels, from predictions of networks that did not train on them."""

    n_rows: int
    noise_rate: float
    interval: tuple[float, float]
    """95 % by a jackknife over rows, with a leeway for rows whose class the predictions leave open. Where the kind is
    not decided it reaches over both, and where predictions miss many labels that are not taken to be wrong, up to all
    that they miss."""
    transition: tuple[tuple[float, ...], ...]
    """T[i][j] = P(given label j | class i)."""
    kind: str
    """symmetric: one number, because a matrix predicts labels of other rows no better; full; or between, where that
    is not decided and the two differ, or the full one is hard to believe."""
    agreement: float
    """Share of rows whose held-out prediction is the given label."""
    exponent: float
    """Predictions p count as p^a."""
    log_likelihood: float
    """Mean ln P(given label)."""
    alarms: tuple[Alarm, ...]
    starts: Mapping[str, float]
    """Noise rate of each start when the better one was chosen."""
    n_epochs: float
    """Cost, in passes of one network over all rows."""


@dataclass(frozen=True)
class Halves:
    """Labels of one half of the rows, predicted by a fit to the other half: gains in ln P, mean over rows."""

    over_shares: float
    """Of the better of both matrices over the shares of the labels."""
    standard_errors: float
    """The same, in its standard errors."""
    over_symmetric: float
    """Of the full matrix over the symmetric one."""
    errors_over_symmetric: float
    """The same, in its standard errors."""


def cross_halves(p_SC: Array, label_S: Labels, full: TransitionFit, symmetric: TransitionFit, seed: int) -> Halves:
    """Each fit keeps its exponent; its matrix is refitted on each half of ``N_SPLITS`` random cuts."""
    full_S, symmetric_S = (_across(p_SC, label_S, fit, seed) for fit in (full, symmetric))
    # Shares of all rows: those of one half would lose to anything that is nearer to even, for the halves of a cut are
    # as far from even as each other, on opposite sides.
    share_C = np.bincount(label_S, minlength=len(full.T_CC)) / len(label_S)
    better_S = symmetric_S if symmetric_S.sum() > full_S.sum() else full_S
    return Halves(*_mean_in_errors(better_S - _log(share_C[label_S])), *_mean_in_errors(full_S - symmetric_S))


def _across(p_SC: Array, label_S: Labels, fit: TransitionFit, seed: int) -> Array:
    """ln P of every label by the other halves, the mean over cuts."""
    q_SC = tempered(np.log(np.clip(p_SC, SMALLEST_LIKELIHOOD, 1)), fit.exponent)
    n_rows, total_S = len(label_S), np.zeros(len(label_S))
    for cut in range(N_SPLITS):
        shuffled = np.random.default_rng(derive_seed(seed, "halves", cut)).permutation(n_rows)
        halves = shuffled[: n_rows // 2], shuffled[n_rows // 2 :]
        for one, other in (halves, halves[::-1]):
            T_CC = fit_transition(
                q_SC[one],
                label_S[one],
                fit.T_CC,
                symmetric=fit.is_symmetric,
                exponent=1.0,
                prior_rows=PRIOR_ROWS,
            ).T_CC
            total_S[other] += _log(np.einsum("sc,sc->s", q_SC[other], T_CC.T[label_S[other]]))
    return total_S / N_SPLITS


def over_plain(p_SC: Array, T_CC: Array, plain_p_SC: Array, label_S: Labels) -> float:
    """Standard errors by which labels are likelier under held-out predictions of the true class and T than under plain
    ones, which predict the label itself; both at their best temperature."""
    robust, plain = noisy_score(p_SC, label_S, T_CC), noisy_score(plain_p_SC, label_S, np.eye(len(T_CC)))
    return _mean_in_errors(_log(robust.joint_VC.sum(1)) - _log(plain.joint_VC.sum(1)))[1]


def _mean_in_errors(value_S: Array) -> tuple[float, float]:
    mean = float(value_S.mean())
    return mean, mean / max(float(value_S.std()) / math.sqrt(len(value_S)), 1e-12)


def jackknife(p_SC: Array, label_S: Labels, fit: TransitionFit, seed: int) -> float:
    """Standard error of the noise rate: the fit without each of ``N_GROUPS`` random groups of rows."""
    group_S = np.random.default_rng(derive_seed(seed, "jackknife")).permutation(len(label_S)) % N_GROUPS
    rates = np.array(
        [
            fit_transition(
                p_SC[group_S != g],
                label_S[group_S != g],
                fit.T_CC,
                symmetric=fit.is_symmetric,
                start_exponent=fit.exponent,
            ).noise_rate
            for g in range(N_GROUPS)
        ]
    )
    return float(np.sqrt((N_GROUPS - 1) / N_GROUPS * ((rates - rates.mean()) ** 2).sum()))


def interval(rate: float, standard_error: float, leeway: float = 0.0) -> tuple[float, float]:
    """95 % by Student's t, and ``leeway`` for what is not due to the choice of rows; inside [0, 1]."""
    reach = math.hypot(float(stdtrit(N_GROUPS - 1, 0.975)) * standard_error, leeway)
    return max(0.0, rate - reach), min(1.0, rate + reach)


def require_identified(halves: Halves, n_rows: int) -> None:
    """Raises DataError where held-out predictions say nothing about the labels that their shares do not say."""
    if halves.standard_errors < IDENTIFIED:
        raise DataError(
            f"the noise of these {n_rows} labels cannot be estimated: predictions of rows that were not trained on say "
            f"no more about their labels than the label shares do ({halves.over_shares:+.4f} nats a label, "
            f"{halves.standard_errors:.1f} standard errors). Either the features say nothing about the classes, or the "
            "labels are noise: give features that predict better, more rows, or some trusted labels"
        )


def _log(p_S: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(p_S, SMALLEST_LIKELIHOOD))
