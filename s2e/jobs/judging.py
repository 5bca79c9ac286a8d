"""The worth of candidates by the held-out labels of their trainings, and the lead that is enough to leave the default.

    worth = (1 - w) accuracy on right labels + w expected accuracy on noisy ones,   w = n0 / (n0 + right labels)

Expected accuracy is by the posterior of all trainings on the same rows together (:mod:`s2e.labels.evidence`). Its bias,
of an estimated matrix and of predictions that are wrong together, does not shrink with the number of rows: so all noisy
rows count as n0 right ones, however many they are; a weighed jury errs less, and counts for more. The numbers were
chosen on recorded trainings (docs/methods.md).

Rows take turns where a job says so: round m holds out the part number m mod ``turns``.

Legend: V noisy rows of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from s2e.labels.evidence import verdict
from s2e.words import Evidence, RoundRecord

N_WORTH = {"even": 50, "weighed": 100}
"""n0 of each jury."""
ENOUGH = 1.5
"""Standard errors of the difference on noisy rows by which another candidate has to lead the default."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """One training."""

    round: int
    turn: int
    """Number of the part of the noisy rows that it was judged by."""
    right: float
    n_right: int
    """Zero of both where no right labels are held out."""
    expected_V: Floats
    """Empty where no noisy labels are."""
    n_worth: int
    """n0."""
    weight: float = 1.0
    """In the jury of its rows; 1 is an equal share."""

    @property
    def noisy_share(self) -> float:
        """w."""
        if not len(self.expected_V):
            return 0.0
        return self.n_worth / (self.n_worth + self.n_right)

    @property
    def worth(self) -> float:
        """Accuracy to expect."""
        w = self.noisy_share
        return (1 - w) * self.right + (w * float(self.expected_V.mean()) if w else 0.0)


Trainings = dict[str, list[Judged | None]]
"""Of each candidate its trainings, in the order of the rounds; None for one that failed."""


def judged(history: Sequence[RoundRecord], kind: str, turns: int = 1, jury: str = "even") -> Trainings | None:
    """The trainings of all rounds of a kind; None where one that succeeded was not judged."""
    trainings = [
        (trial.label, result)
        for record in history
        if record.round.kind == kind
        for trial, result in zip(record.round.trials, record.results, strict=True)
    ]
    kept = [(label, result, result.final.evidence if result.final else None) for label, result in trainings]
    if not kept or any(one is None and not result.failed for _, result, one in kept):
        return None
    juries: dict[int, list[Evidence]] = {}
    for _, result, one in kept:
        if one is not None and one.n_noisy:
            juries.setdefault(result.round % turns, []).append(one)
    verdicts = {turn: verdict(members, jury) for turn, members in juries.items()}
    said = {turn: zip(of.right_KV, of.weight_K, strict=True) for turn, of in verdicts.items()}
    of: Trainings = {}
    for label, result, one in kept:
        of.setdefault(label, []).append(None if one is None else _judged(result.round, turns, one, said, N_WORTH[jury]))
    return of


def _judged(
    round_: int, turns: int, one: Evidence, said: Mapping[int, Iterator[tuple[Floats, float]]], n_worth: int
) -> Judged:
    expected_V, weight = next(said[round_ % turns]) if one.n_noisy else (np.empty(0), 1.0)
    return Judged(round_, round_ % turns, one.right or 0.0, one.n_right, expected_V, n_worth, float(weight))


def worth(trainings: Sequence[Judged | None]) -> float:
    """Mean over trainings; a failed one is the worst."""
    return fmean([-inf if one is None else one.worth for one in trainings])


def leads(candidate: Sequence[Judged | None], default: Sequence[Judged | None]) -> bool:
    """True if the candidate's lead over the default, on the seeds that both have, is more than noisy rows show by
    chance; where only right labels judge, the better mean is enough."""
    by_round = {one.round: one for one in default if one is not None}
    pairs = [(one, by_round[one.round]) for one in candidate if one is not None and one.round in by_round]
    if not pairs or not pairs[0][0].noisy_share:
        return True
    lead = fmean([one.worth - other.worth for one, other in pairs])
    return lead > ENOUGH * standard_error(pairs)


def standard_error(pairs: Sequence[tuple[Judged, Judged]]) -> float:
    """Of the mean difference of pairs on the same noisy rows, as it counts in the worth."""
    by_turn: dict[int, list[Floats]] = {}
    for one, other in pairs:
        by_turn.setdefault(one.turn, []).append(one.expected_V - other.expected_V)
    variance = 0.0
    for differences in by_turn.values():
        if len(difference_V := np.mean(differences, axis=0)) > 1:
            variance += (len(differences) / len(pairs)) ** 2 * float(difference_V.var(ddof=1)) / len(difference_V)
    return pairs[0][0].noisy_share * sqrt(variance)
