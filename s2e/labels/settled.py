"""The matrix that stands for the noise of labels: one rate for all classes, a full one, or halfway between them.

Predictions of weak features leave room: that two classes are mistaken for each other may be due to their rows or to
their labels. A symmetric matrix takes all of it for hard rows, a full one takes for wrong labels what it can. Where the
two are far apart and labels of other rows do not decide, neither is believed.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2e.labels.alarms import HARD, OVERLAP, Alarm, Findings, alarms
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
    kind = _kind(full, alike, halves)
    possible = {"full": [full], "symmetric": [alike], "between": [full, alike]}[kind]
    chosen = possible[0] if len(possible) == 1 else _between(p_SC, label_S, full, alike)
    agreement = float((p_SC.argmax(1) == label_S).mean())
    bounds = alike.noise_rate, full.noise_rate
    lead = math.inf if plain_p_SC is None else over_plain(p_SC, chosen.T_CC, plain_p_SC, label_S)
    of = Findings(chosen, label_S, starts, kind, (min(bounds), max(bounds)), agreement, lead, class_names)
    edges = [interval(fit.noise_rate, jackknife(p_SC, label_S, fit, seed)) for fit in possible]
    return Settled(chosen, kind, _in_doubt(of, edges), alarms(of), agreement, lead)


def _in_doubt(of: Findings, edges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The interval over both kinds, and as far beyond as alarms say."""
    low, high = min(edge[0] for edge in edges), max(edge[1] for edge in edges)
    if of.n_classes == 2:
        low, high = max(low - OVERLAP, 0.0), min(high + OVERLAP, 1.0)
    return low, max(high, 1 - of.agreement) if of.hard >= HARD else high


def _kind(full: TransitionFit, alike: TransitionFit, halves: Halves) -> str:
    if len(full.T_CC) == 2:
        return "full"
    if abs(full.noise_rate - alike.noise_rate) <= CLOSE:
        return "full" if halves.over_symmetric > 0 else "symmetric"
    if halves.errors_over_symmetric >= FULL:
        return "full"
    return "symmetric" if halves.errors_over_symmetric <= SYMMETRIC else "between"


def _between(p_SC: Array, label_S: Labels, full: TransitionFit, alike: TransitionFit) -> TransitionFit:
    """Halfway, at the temperature that suits it."""
    T_CC = (full.T_CC + alike.T_CC) / 2
    exponent = noisy_score(p_SC, label_S, T_CC).exponent
    q_SC = tempered(np.log(np.clip(p_SC, SMALLEST, 1)), exponent)
    share_C = responsibilities(q_SC, T_CC, label_S).mean(0)
    return TransitionFit(T_CC, exponent, share_C, log_likelihood(q_SC, T_CC, label_S))
