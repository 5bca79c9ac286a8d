"""The free score: every label's rank from trainings that ran anyway. Numpy alone.

Legend: N networks of a training, G networks of all trainings, S samples that train, H that validate or test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrialMargins:
    """Margins and votes of one training for the labels of its samples."""

    margin_NS: NDArray[np.float32]
    """Mean over the visits of the label's logit minus the largest other one; NaN where a sample was never visited."""
    voted_NS: NDArray[np.int16]
    """The class that was predicted in most epochs, -1 for none."""
    held_margin_NH: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), dtype=np.float32))
    """Margins of the samples that validate, then of those that test, by the trained networks; empty in files of earlier
    releases."""
    held_voted_NH: NDArray[np.int16] = field(default_factory=lambda: np.empty((0, 0), dtype=np.int16))
    """The class that was predicted for them."""


@dataclass(frozen=True, eq=False)
class FreeScores:
    """The combined verdict of all trainings of a job on each label."""

    score_S: Numbers
    """In (0, 1), small where a label is likely wrong: the mean over networks of the rank of its margin."""
    likely_S: Codes
    """The class that most networks predicted in most epochs; the given one where they predicted none."""
    other_S: Codes
    """The same of the classes that were not given."""
    n_trainings: int


def free_scores(trainings: Sequence[TrialMargins], label_S: Codes, n_classes: int) -> FreeScores:
    """One verdict of the networks of all trainings, which stand in the order of (round, k), however they were grouped.

    Ranks, because margins of other schedules and lengths have other scales. Raises ValueError without a training.
    """
    rank_S = np.zeros(len(label_S))
    for training in trainings:
        for margin_S in training.margin_NS:
            rank_S += _ranks(margin_S)
    n_networks = sum(len(training.margin_NS) for training in trainings)
    voted_GS = np.concatenate([training.voted_NS for training in trainings])
    likely_S, other_S = _most_voted(voted_GS, label_S, n_classes)
    return FreeScores(rank_S / (n_networks * (len(label_S) + 1)), likely_S, other_S, len(trainings))


def held_out_scores(
    trainings: Sequence[TrialMargins], label_H: Codes, n_classes: int, among_H: NDArray[np.bool_]
) -> FreeScores:
    """The same of rows that did not train: the mean rank that each margin has among those of the rows ``among_H``.

    Nobody trained on these rows, so their margins are comparable with each other, and not with those of training.
    """
    rank_H = np.zeros(len(label_H))
    for training in trainings:
        for margin_H in training.held_margin_NH:
            rank_H += _ranks_among(margin_H, np.sort(margin_H[among_H]))
    n_networks = sum(len(training.held_margin_NH) for training in trainings)
    voted_GH = np.concatenate([training.held_voted_NH for training in trainings])
    likely_H, other_H = _most_voted(voted_GH, label_H, n_classes)
    return FreeScores(rank_H / (n_networks * (among_H.sum() + 1)), likely_H, other_H, len(trainings))


def _ranks_among(value_H: NDArray[np.float32], sorted_R: NDArray[np.float32]) -> Numbers:
    """1 for the smallest of R values, half a rank more for one that lies between two; equal ones share their mean."""
    below_H, up_to_H = (np.searchsorted(sorted_R, value_H, side) for side in ("left", "right"))
    return np.asarray((below_H + up_to_H + 1) / 2, dtype=np.float64)


def _most_voted(voted_GS: NDArray[np.int16], label_S: Codes, n_classes: int) -> tuple[Codes, Codes]:
    """The class with the most votes, and the one with the most that was not given; of equal ones the lowest."""
    likely_S, other_S = label_S.copy(), label_S.copy()
    most_S, most_other_S = np.zeros(len(label_S), dtype=np.int64), np.zeros(len(label_S), dtype=np.int64)
    for c in range(n_classes):
        votes_S = (voted_GS == c).sum(0)
        likely_S, most_S = np.where(votes_S > most_S, c, likely_S), np.maximum(votes_S, most_S)
        votes_S = np.where(label_S == c, 0, votes_S)
        other_S, most_other_S = np.where(votes_S > most_other_S, c, other_S), np.maximum(votes_S, most_other_S)
    return likely_S, other_S


def _ranks(margin_S: NDArray[np.float32]) -> Numbers:
    """1 for the smallest; equal ones share their mean rank, and those never seen the middle one."""
    from scipy.stats import rankdata

    known_S = ~np.isnan(margin_S)
    rank_S = np.full(len(margin_S), (len(margin_S) + 1) / 2)
    rank_S[known_S] = rankdata(margin_S[known_S]) * (len(margin_S) + 1) / (known_S.sum() + 1)
    return rank_S
