"""Everything that the reader of an estimate of the noise has to know, in words.

Numpy alone. Legend: S samples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s2e.labels.em import Array, Labels, TransitionFit

FEW_ROWS = 50
"""Rows of a class below which its row of T is off by .1 and more (total variation), calibrated predictions or not."""
WEAK_DIAGONAL = 0.45
DISAGREEMENT = 0.05
TOLD_APART = 3.0
"""Standard errors by which more labels of two classes have to be right than exchanged."""
OVERLAP = 0.1
"""Error of the rate of two classes that overlap: up to .12 in eight runs on phoneme."""
BETTER = 3.0
"""Standard errors by which networks under the matrix have to beat plain ones before they alone rank labels."""
HARD = 0.15
"""Share of labels that predictions miss beyond the noise, from which on it is said."""


@dataclass(frozen=True)
class Alarm:
    """Something about an estimate that its reader has to know."""

    code: str
    text: str


@dataclass(frozen=True, eq=False)
class Findings:
    """An estimate as far as its alarms look at it."""

    fit: TransitionFit
    label_S: Labels
    starts: Mapping[str, float]
    """Noise rate of each start."""
    kind: str
    bounds: tuple[float, float]
    """Lowest and highest noise rate under one rate for all classes and under a full matrix."""
    agreement: float
    """Share of labels that held-out predictions agree with."""
    over_plain: float = math.inf
    """Standard errors by which labels are likelier under the matrix than under plain networks."""
    class_names: Sequence[Any] = ()
    """By class number; empty where classes have none."""

    def name(self, c: int) -> str:
        """A class, for people."""
        return f"{self.class_names[c]!s:.40}" if len(self.class_names) else str(c)

    @property
    def n_classes(self) -> int:
        return len(self.fit.T_CC)

    @property
    def hard(self) -> float:
        """Share of labels that predictions miss and that the estimate does not take to be wrong."""
        return 1 - self.agreement - self.fit.noise_rate


def alarms(of: Findings) -> tuple[Alarm, ...]:
    """All that there are."""
    checks = (_undecided, _uneven, _hard, _weak, _exchanged, _starts, _few, _binary, _plain)
    return tuple(alarm for check in checks for alarm in check(of))


def _undecided(of: Findings) -> Iterator[Alarm]:
    if of.kind == "between":
        low, high = sorted(of.bounds)
        yield Alarm(
            "undecided",
            f"these labels do not say how many of them are wrong: {low:.0%} if wrong labels fall on all classes alike "
            f"and classes that are mistaken for each other are hard, {high:.0%} if it is their labels that are "
            "confused. The estimate lies between. More rows, features that predict better or trusted labels "
            "would decide",
        )


def _uneven(of: Findings) -> Iterator[Alarm]:
    if of.kind == "full" and of.n_classes > 2:
        i, j = _largest_confusion(of.fit)
        yield Alarm(
            "asymmetric",
            f"classes are confused unevenly: {of.fit.T_CC[i, j]:.0%} of class {of.name(i)} are labelled {of.name(j)}. "
            "Agreement with the given labels may prefer a model that repeats this",
        )


def _hard(of: Findings) -> Iterator[Alarm]:
    if of.hard >= HARD:
        yield Alarm(
            "hard_rows",
            f"held-out predictions miss {1 - of.agreement:.0%} of the labels, and {of.hard:.0%} are taken to be rows "
            "that are hard to tell. Labels that are wrong just where classes meet look the same: if there are such, up "
            f"to about {1 - of.agreement:.0%} are wrong",
        )


def _weak(of: Findings) -> Iterator[Alarm]:
    right_C = np.diag(of.fit.T_CC)
    weakest = int(right_C.argmin())
    if right_C[weakest] < WEAK_DIAGONAL:
        yield Alarm(
            "weak_diagonal",
            f"only {right_C[weakest]:.0%} of class {of.name(weakest)} seem to carry its label: two classes may have "
            "changed places in the estimate",
        )


def _exchanged(of: Findings) -> Iterator[Alarm]:
    i, j, errors = _least_told_apart(of.fit.T_CC, of.fit.class_share_C * len(of.label_S))
    if errors < TOLD_APART and of.n_classes > 2:
        T_CC, one, other = of.fit.T_CC, of.name(i), of.name(j)
        yield Alarm(
            "exchanged",
            f"{T_CC[i, j]:.0%} of class {one} are labelled {other} and {T_CC[j, i]:.0%} of class {other} are labelled "
            f"{one}, which is too many to say which is which: the two may have changed places in the estimate, or "
            "be mixed",
        )


def _starts(of: Findings) -> Iterator[Alarm]:
    if max(of.starts.values()) - min(of.starts.values()) > DISAGREEMENT:
        listed = ", ".join(f"{name} {rate:.3f}" for name, rate in of.starts.items())
        yield Alarm("starts_disagree", f"the noise rate depends on where the search starts: {listed}")


def _few(of: Findings) -> Iterator[Alarm]:
    count_C = np.bincount(of.label_S, minlength=of.n_classes)
    few = np.flatnonzero(count_C < FEW_ROWS)
    if len(few):
        named = ", ".join(f"{of.name(c)} ({count_C[c]})" for c in few[:5])
        more = ", ..." if len(few) > 5 else ""
        yield Alarm("few_rows", f"{len(few)} classes have fewer than {FEW_ROWS} labels: {named}{more}")


def _binary(of: Findings) -> Iterator[Alarm]:
    if of.n_classes == 2:
        yield Alarm(
            "binary",
            f"with two classes, noise and classes that overlap look alike: rates may be off by {OVERLAP:g}",
        )


def _plain(of: Findings) -> Iterator[Alarm]:
    if of.over_plain < BETTER:
        yield Alarm(
            "plain_as_good",
            "networks that take the labels as they are predict those of other rows about as well as networks under the "
            f"matrix do ({of.over_plain:+.1f} standard errors): both rank the labels, and the matrix may be wrong",
        )


def _largest_confusion(fit: TransitionFit) -> tuple[int, int]:
    off_CC = fit.class_share_C[:, None] * fit.T_CC * (1 - np.eye(len(fit.T_CC)))
    i, j = np.unravel_index(off_CC.argmax(), off_CC.shape)
    return int(i), int(j)


def _least_told_apart(T_CC: Array, n_C: Array) -> tuple[int, int, float]:
    """The classes i, j whose names are least sure: their labels that are right less those that are the other's,

    n_i (T_ii - T_ij) + n_j (T_jj - T_ji), in its standard errors, a label of class i counting 1, -1 or 0.
    """
    least = (0, 1, math.inf)
    for i in range(len(T_CC)):
        for j in range(i):
            lead_i, lead_j = T_CC[i, i] - T_CC[i, j], T_CC[j, j] - T_CC[j, i]
            variance = n_C[i] * (T_CC[i, i] + T_CC[i, j] - lead_i**2) + n_C[j] * (T_CC[j, j] + T_CC[j, i] - lead_j**2)
            errors = float((n_C[i] * lead_i + n_C[j] * lead_j) / math.sqrt(max(variance, 1e-12)))
            if errors < least[2]:
                least = (i, j, errors)
    return least
