"""The matrix that stands for the noise of labels: one rate for all classes, a full one, or halfway between them.

Predictions of weak features leave room: that two classes are mistaken for each other may be due to their rows or to
their labels. A symmetric matrix takes all of it for hard rows, a full one takes for wrong labels what it can. Where the
two are far apart and labels of other rows do not decide, neither is believed. Neither is a full matrix under which less
than half of a class carries its label, unless labels of other rows speak for it loudly: classes that overlap look so.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2e.labels.alarms import HARD, OVERLAP, WEAK_DIAGONAL, Alarm, Findings, alarms
from s2e.labels.choice import noisy_score
from s2e.labels.em import (
    SMALLEST,
    Array,
    Labels,
    TransitionFit,
    fit_transition,
    log_likelihood,
    responsibilities,
    tempered,
)
from s2e.labels.verdict import Halves, cross_halves, interval, jackknife, over_plain, require_identified

CLOSE = 0.05
"""Difference of the two rates up to which it does not matter which is right."""
FULL, SYMMETRIC = 3.0, -5.0
"""Standard errors of the full matrix's lead that decide for either. A full matrix loses where it is right and rows are
few, so it takes more to rule it out."""
LOUD, MOST_OPEN = 0.07, 1 / 3
"""Lead of a full matrix in nats a label that decides for it though a class in it has a weak diagonal, where predictions
leave open the class of no more than so many rows. Classes that overlap led by up to .07, pair noise by .08 and more;
standard errors would grow with the rows in either case."""
LEEWAY, SYMMETRIC_LEEWAY = 1 / 3, 1 / 6
"""Half-widths of the interval for networks that are not right: of the share of rows whose class predictions leave open,
as much as the rate was off by at most in nearly all runs that were looked at (docs/labels.md). One rate that is decided
for was off by less."""


@dataclass(frozen=True, eq=False)
class Settled:
    """The fit that counts, and what is known of it."""

    fit: TransitionFit
    kind: str
    interval: tuple[float, float]
    alarms: tuple[Alarm, ...]
    agreement: float
    over_plain: float
    """As :func:`s2e.labels.verdict.over_plain` says; infinite where no plain predictions are at hand."""


def settled(
    p_SC: Array,
    label_S: Labels,
    full: TransitionFit,
    starts: Mapping[str, float],
    seed: int,
    plain_p_SC: Array | None = None,
    class_names: Sequence[Any] = (),
) -> Settled:
    """From held-out predictions and the full fit to them; alarms speak of ``class_names``.

    Raises DataError where the noise cannot be identified."""
    alike = fit_transition(p_SC, label_S, symmetric=True, start_exponent=full.exponent)
    halves = cross_halves(p_SC, label_S, full, alike, seed)
    require_identified(halves, len(label_S))
    plain = _one_rate(plain_p_SC, label_S)
    kind = _kind(full, alike, plain, halves, _open_share(p_SC, full))
    possible = {"full": [(p_SC, full)], "symmetric": [(p_SC, alike)]}.get(kind, [(p_SC, full), (p_SC, alike), *plain])
    chosen = possible[0][1] if kind != "between" else _between(p_SC, label_S, full, alike, plain)
    if kind == "full" and len(full.T_CC) > 2 and _are_close(full, alike, plain):
        possible = [(p_SC, full), (p_SC, alike), *plain]  # the matrix blames labels for classes that overlap a little
    agreement, rates = float((p_SC.argmax(1) == label_S).mean()), [fit.noise_rate for _, fit in possible]
    lead = math.inf if plain_p_SC is None else over_plain(p_SC, chosen.T_CC, plain_p_SC, label_S)
    of = Findings(chosen, label_S, starts, kind, (min(rates), max(rates)), agreement, lead, class_names)
    edges = [_edges(predicted_SC, label_S, fit, kind, seed) for predicted_SC, fit in possible]
    return Settled(chosen, kind, _in_doubt(of, edges), alarms(of), agreement, lead)


def _one_rate(plain_p_SC: Array | None, label_S: Labels) -> list[tuple[Array, TransitionFit]]:
    """One rate for all classes under plain networks, which no matrix has taught anything; none where there are none."""
    return [] if plain_p_SC is None else [(plain_p_SC, fit_transition(plain_p_SC, label_S, symmetric=True))]


def _edges(p_SC: Array, label_S: Labels, fit: TransitionFit, kind: str, seed: int) -> tuple[float, float]:
    """The interval of one fit: by rows left out, and for the rows whose class the predictions leave open."""
    leeway = SYMMETRIC_LEEWAY if kind == "symmetric" else LEEWAY
    if len(fit.T_CC) == 2:  # a leeway of their own: OVERLAP
        leeway = 0.0
    return interval(fit.noise_rate, jackknife(p_SC, label_S, fit, seed), leeway * _open_share(p_SC, fit))


def _open_share(p_SC: Array, fit: TransitionFit) -> float:
    """Rows whose class the predictions leave open: one minus the mean of the largest probability, once calibrated."""
    return float(1 - tempered(np.log(np.clip(p_SC, SMALLEST, 1)), fit.exponent).max(1).mean())


def _in_doubt(of: Findings, edges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The interval over both kinds, and as far beyond as alarms say."""
    low, high = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
    if of.n_classes == 2:
        low, high = max(low - OVERLAP, 0.0), min(high + OVERLAP, 1.0)
    return low, max(high, 1 - of.agreement) if of.hard >= HARD else high


def _kind(
    full: TransitionFit,
    alike: TransitionFit,
    plain: Sequence[tuple[Array, TransitionFit]],
    halves: Halves,
    open_share: float,
) -> str:
    if len(full.T_CC) == 2:
        return "full"
    if _are_close(full, alike, plain):
        return "full" if halves.over_symmetric > 0 else "symmetric"
    if halves.errors_over_symmetric >= FULL:
        is_loud = halves.over_symmetric >= LOUD and open_share <= MOST_OPEN
        return "full" if is_loud or not _is_weak(full) else "between"
    return "symmetric" if halves.errors_over_symmetric <= SYMMETRIC else "between"


def _are_close(full: TransitionFit, alike: TransitionFit, plain: Sequence[tuple[Array, TransitionFit]]) -> bool:
    """True where the full matrix and one rate say nearly the same."""
    nearest = plain[0][1] if plain and _is_weak(full) else alike
    return abs(full.noise_rate - nearest.noise_rate) <= CLOSE


def _is_weak(fit: TransitionFit) -> bool:
    return bool(np.diag(fit.T_CC).min() < WEAK_DIAGONAL)


def _between(
    p_SC: Array,
    label_S: Labels,
    full: TransitionFit,
    alike: TransitionFit,
    plain: Sequence[tuple[Array, TransitionFit]],
) -> TransitionFit:
    """Halfway, at the temperature that suits it; from a full matrix that is weak as far as it can be believed."""
    full_CC, alike_CC = full.T_CC, alike.T_CC
    if _is_weak(full):  # so networks under it may have lost the classes, and one rate under them means little
        alike_CC = plain[0][1].T_CC if plain else alike_CC
        full_CC = _drawn(full_CC, alike_CC)
    T_CC = (full_CC + alike_CC) / 2
    exponent = noisy_score(p_SC, label_S, T_CC).exponent
    q_SC = tempered(np.log(np.clip(p_SC, SMALLEST, 1)), exponent)
    share_C = responsibilities(q_SC, T_CC, label_S).mean(0)
    return TransitionFit(T_CC, exponent, share_C, log_likelihood(q_SC, T_CC, label_S))


def _drawn(full_CC: Array, alike_CC: Array) -> Array:
    """The full matrix, drawn towards the one rate until no class has a weak diagonal, or it is that of the one rate."""
    weakest, right = float(np.diag(full_CC).min()), float(alike_CC[0, 0])
    if right <= WEAK_DIAGONAL:
        return alike_CC
    w = (WEAK_DIAGONAL - weakest) / (right - weakest)
    return np.asarray((1 - w) * full_CC + w * alike_CC)
