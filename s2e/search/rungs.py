"""Rungs of successive halving (Li et al. 2017), the resource being epochs. Exact fractions: r eta^i may be whole.

With T epochs and eta = 5/2, bracket s = s_max .. 0, s_max = floor(log_eta T), begins with ceil((s_max + 1) / (s + 1)
eta^s) trials of r = T / eta^s epochs; after n_i trials a rung has floor(n_i / eta), at least one, and rung i has
ceil(r eta^i) epochs. A rung is a prefix of the full run: T in R(t) and in the step size stays T.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

ETA = Fraction(5, 2)
"""One in ETA trials of a rung goes on (the released S2E program's value)."""


class Rung(NamedTuple):
    """``n_trials`` trials that have done ``n_epochs`` epochs at their end."""

    n_trials: int
    n_epochs: int


def brackets(n_epochs: int) -> tuple[tuple[Rung, ...], ...]:
    """All brackets of a training of ``n_epochs``, the one with most rungs first."""
    s_max = _s_max(n_epochs)
    return tuple(_bracket(n_epochs, s, s_max) for s in range(s_max, -1, -1))


def _s_max(n_epochs: int) -> int:
    """floor(log_eta T)."""
    s = 0
    while ETA ** (s + 1) <= n_epochs:
        s += 1
    return s


def _bracket(n_epochs: int, s: int, s_max: int) -> tuple[Rung, ...]:
    rungs, n_trials = [], ceil(Fraction(s_max + 1, s + 1) * ETA**s)
    for halvings in range(s, -1, -1):
        rungs.append(Rung(n_trials, ceil(n_epochs / ETA**halvings)))
        n_trials = max(1, floor(n_trials / ETA))
    return tuple(rungs)


def cost(bracket: Sequence[Rung], n_epochs: int) -> Fraction:
    """Full trainings that a bracket is worth, if survivors continue instead of starting over."""
    done, epochs = 0, 0
    for rung in bracket:
        epochs += rung.n_trials * (rung.n_epochs - done)
        done = rung.n_epochs
    return Fraction(epochs, n_epochs)
