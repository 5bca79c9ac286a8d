"""A verdict on an estimate of the noise: is it identified, is it symmetric, how exact, and what speaks against it.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from s2e.labels.choice import noisy_score
from s2e.labels.em import Array, Labels, TransitionFit, fit_transition, tempered
from s2e.words import DataError, derive_seed

N_SPLITS = 4
N_GROUPS = 10
SMALLEST_LIKELIHOOD = 1e-4
"""A label that one half never shows may still be in the other."""
FEW_ROWS = 50
"""Rows of a class below which its row of T is off by .1 and more (total variation), calibrated predictions or not."""
WEAK_DIAGONAL = 0.45
DISAGREEMENT = 0.05
IDENTIFIED = 3.0
"""Standard errors by which the matrix has to beat the label shares on labels it was not fitted to."""
BETTER = 3.0
"""Standard errors by which networks under the matrix have to beat plain ones before they alone rank labels."""


@dataclass(frozen=True)
class Alarm:
    """Something about an estimate that its reader has to know."""

    code: str
    text: str


@dataclass(frozen=True)
class NoiseEstimate:
    """The estimated noise of given labels, from predictions of networks that did not train on them."""

    n_rows: int
    noise_rate: float
    interval: tuple[float, float]
    """95 %, by a jackknife over rows: blind to a bias of the predictions, which is often the larger error."""
    transition: tuple[tuple[float, ...], ...]
    """T[i][j] = P(given label j | class i)."""
    kind: str
    """symmetric: one number, because a matrix predicts labels of other rows no better; or full."""
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


def cross_halves(p_SC: Array, label_S: Labels, fit: TransitionFit, seed: int) -> Halves:
    """The exponent is that of the fit; the matrices are refitted on each half of ``N_SPLITS`` random cuts."""
    n_rows = len(label_S)
    q_SC = tempered(np.log(np.clip(p_SC, SMALLEST_LIKELIHOOD, 1)), fit.exponent)
    full_S, symmetric_S = np.zeros((2, n_rows))
    for cut in range(N_SPLITS):
        shuffled = np.random.default_rng(derive_seed(seed, "halves", cut)).permutation(n_rows)
        halves = shuffled[: n_rows // 2], shuffled[n_rows // 2 :]
        for one, other in (halves, halves[::-1]):
            for total_S, symmetric in ((full_S, False), (symmetric_S, True)):
                T_CC = fit_transition(q_SC[one], label_S[one], fit.T_CC, symmetric=symmetric, exponent=1.0).T_CC
                total_S[other] += _log(np.einsum("sc,sc->s", q_SC[other], T_CC.T[label_S[other]]))
    # Shares of all rows: those of one half would lose to anything that is nearer to even, for the halves of a cut are
    # as far from even as each other, on opposite sides.
    share_C = np.bincount(label_S, minlength=len(fit.T_CC)) / n_rows
    gain_S = (symmetric_S if symmetric_S.sum() > full_S.sum() else full_S) / N_SPLITS - _log(share_C[label_S])
    error = max(float(gain_S.std()) / math.sqrt(n_rows), 1e-12)
    gain = float(gain_S.mean())
    return Halves(gain, gain / error, float((full_S - symmetric_S).mean()) / N_SPLITS)


def over_plain(p_SC: Array, T_CC: Array, plain_p_SC: Array, label_S: Labels) -> float:
    """Standard errors by which labels are likelier under held-out predictions of the true class and T than under plain
    ones, which predict the label itself; both at their best temperature."""
    robust, plain = noisy_score(p_SC, label_S, T_CC), noisy_score(plain_p_SC, label_S, np.eye(len(T_CC)))
    gain_S = _log(robust.joint_VC.sum(1)) - _log(plain.joint_VC.sum(1))
    return float(gain_S.mean()) / max(float(gain_S.std()) / math.sqrt(len(gain_S)), 1e-12)


def jackknife(p_SC: Array, label_S: Labels, fit: TransitionFit, seed: int, *, symmetric: bool) -> float:
    """Standard error of the noise rate: the fit without each of ``N_GROUPS`` random groups of rows."""
    group_S = np.random.default_rng(derive_seed(seed, "jackknife")).permutation(len(label_S)) % N_GROUPS
    rates = np.array(
        [
            fit_transition(
                p_SC[group_S != g], label_S[group_S != g], fit.T_CC, symmetric=symmetric, start_exponent=fit.exponent
            ).noise_rate
            for g in range(N_GROUPS)
        ]
    )
    return float(np.sqrt((N_GROUPS - 1) / N_GROUPS * ((rates - rates.mean()) ** 2).sum()))


def interval(rate: float, standard_error: float) -> tuple[float, float]:
    """95 % by Student's t, inside [0, 1]."""
    reach = float(stdtrit(N_GROUPS - 1, 0.975)) * standard_error
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


def alarms(
    fit: TransitionFit, label_S: Labels, starts: Mapping[str, float], *, is_full: bool, over_plain: float = math.inf
) -> tuple[Alarm, ...]:
    """Everything that a reader of the estimate has to know, in words."""
    raised = []
    if is_full:
        i, j = _largest_confusion(fit)
        raised.append(
            Alarm(
                "asymmetric",
                f"classes are confused unevenly: {fit.T_CC[i, j]:.0%} of class {i} are labelled {j}. Agreement with "
                "the given labels may prefer a model that repeats this",
            )
        )
    weakest = int(np.diag(fit.T_CC).argmin())
    if fit.T_CC[weakest, weakest] < WEAK_DIAGONAL:
        raised.append(
            Alarm(
                "weak_diagonal",
                f"only {fit.T_CC[weakest, weakest]:.0%} of class {weakest} seem to carry its label: two classes may "
                "have changed places in the estimate",
            )
        )
    spread = max(starts.values()) - min(starts.values())
    if spread > DISAGREEMENT:
        listed = ", ".join(f"{name} {rate:.3f}" for name, rate in starts.items())
        raised.append(Alarm("starts_disagree", f"the noise rate depends on where the search starts: {listed}"))
    count_C = np.bincount(label_S, minlength=len(fit.T_CC))
    few = np.flatnonzero(count_C < FEW_ROWS)
    if len(few):
        named = ", ".join(f"{c} ({count_C[c]})" for c in few[:5])
        raised.append(Alarm("few_rows", f"{len(few)} classes have fewer than {FEW_ROWS} labels: {named}"))
    if len(fit.T_CC) == 2:
        raised.append(
            Alarm("binary", "with two classes, noise and classes that overlap look alike: rates may be off by .1")
        )
    if over_plain < BETTER:
        raised.append(
            Alarm(
                "plain_as_good",
                "networks that take the labels as they are predict those of other rows about as well as networks under "
                f"the matrix ({over_plain:+.1f} standard errors): both rank the labels, and the matrix may be wrong",
            )
        )
    return tuple(raised)


def _largest_confusion(fit: TransitionFit) -> tuple[int, int]:
    off_CC = fit.class_share_C[:, None] * fit.T_CC * (1 - np.eye(len(fit.T_CC)))
    i, j = np.unravel_index(off_CC.argmax(), off_CC.shape)
    return int(i), int(j)


def _log(p_S: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(p_S, SMALLEST_LIKELIHOOD))
