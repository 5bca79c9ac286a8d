"""Training with some labels that are known to be right: they choose among candidates, and then they train.

Candidates keep trusted rows in every batch they fall into, beside the budget of R(t), in natural proportion:

    anchored 1, 1.2, 1.4   Co-teaching by eq. (1) at this multiple of the noise rate
    forward                forward correction by T; trusted rows by their own label (gold loss correction's loss)

Each trains twice on the noisy rows and one half of the trusted, and predicts the other half; the one that is right most
often trains once more with all. So m labels both choose and train, and no label judges a network that has seen it.

Legend: S rows, m trusted, T epochs, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.labels.em import Array, Labels
from s2e.labels.verdict import NoiseEstimate
from s2e.networks.base import StackedNetwork
from s2e.schedule import coteaching_keep_rate
from s2e.train.crossfit import Member, Rule, Samples, Stack, stratified_folds
from s2e.words import DataError, TrainSpec, derive_seed

FACTORS = (1.0, 1.2, 1.4)
RAMP = 0.25
"""Share of the epochs in which eq. (1) falls to 1 - tau."""
MOST_DROPPED = 0.95
SMALLEST_CHANCE = 1e-4
N_HALVES = 2
N_NETWORKS = 2


@dataclass(frozen=True, eq=False)
class TrustedFit:
    """The winner's networks, trained on everything, and the accuracy of every candidate."""

    winner: str
    accuracy: Mapping[str, float]
    """Of every candidate, on trusted rows it did not train on."""
    stack: Stack

    def predict(self, x: torch.Tensor) -> Array:
        """P(class) [B, C], the mean over the winner's networks, of rows kept as those of the samples are."""
        return np.asarray(self.stack.predict(x)[0].mean(0).double().cpu().numpy())


def candidates(estimate: NoiseEstimate, n_epochs: int) -> dict[str, Rule]:
    """Every candidate by name."""
    curves = {f"anchored {factor:g}": min(factor * estimate.noise_rate, MOST_DROPPED) for factor in FACTORS}
    ramp = max(1, round(RAMP * n_epochs))
    rules = {name: Rule(None, coteaching_keep_rate(n_epochs, tau, ramp)) for name, tau in curves.items()}
    return rules | {"forward": Rule(np.clip(np.array(estimate.transition), SMALLEST_CHANCE, 1))}


def train_with_trusted(
    samples: Samples,
    trusted: Labels,
    network: StackedNetwork,
    train: TrainSpec,
    estimate: NoiseEstimate,
    *,
    seed: int = 0,
) -> TrustedFit:
    """The best candidate on ``samples``, whose labels at rows ``trusted`` [m] are right.

    ``estimate`` is of the other rows: one that saw the trusted labels would have seen what the candidates are judged
    by. Nine trainings of two networks. Raises DataError where a class has fewer than two trusted rows.
    """
    _require_both_halves(samples.label_S[trusted], network.n_classes)
    rules = candidates(estimate, train.n_epochs)
    right_by_name = _cross_fitted(samples, trusted, network, train, rules, seed)
    winner = max(right_by_name, key=lambda name: right_by_name[name])
    everything = Member(np.arange(len(samples)), derive_seed(seed, "trusted", "all"), trusted)
    stack = Stack(samples, network, [everything], train, N_NETWORKS)
    stack.run([rules[winner]], train.n_epochs)
    accuracy = {name: float(right) for name, (right, _) in right_by_name.items()}
    return TrustedFit(winner, accuracy, stack)


def _cross_fitted(
    samples: Samples,
    trusted: Labels,
    network: StackedNetwork,
    train: TrainSpec,
    rules: Mapping[str, Rule],
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Accuracy and mean ln p of every candidate on the trusted rows; equal weights and orders for all candidates."""
    half_m = stratified_folds(samples.label_S[trusted], N_HALVES, derive_seed(seed, "trusted"))
    members = [_without(samples, trusted, half_m == h, derive_seed(seed, "trusted", h)) for h in range(N_HALVES)]
    stack = Stack(samples, network, members * len(rules), train, N_NETWORKS)
    held_out = stack.run([rule for rule in rules.values() for _ in members], train.n_epochs, n_averaged=1)
    scores = {}
    for j, name in enumerate(rules):
        p_mC = held_out.combined(len(samples), slice(j * N_HALVES, (j + 1) * N_HALVES))[trusted]
        scores[name] = _judged(p_mC, samples.label_S[trusted])
    return scores


def _without(samples: Samples, trusted: Labels, left_out_m: NDArray[np.bool_], seed: int) -> Member:
    rows = np.setdiff1d(np.arange(len(samples)), trusted[left_out_m])
    return Member(rows, seed, trusted[~left_out_m])


def _judged(p_mC: Array, label_m: Labels) -> tuple[float, float]:
    right = float((p_mC.argmax(1) == label_m).mean())
    chances = p_mC[np.arange(len(label_m)), label_m]
    return right, float(np.log(np.clip(chances, SMALLEST_CHANCE, 1)).mean())


def _require_both_halves(label_m: Labels, n_classes: int) -> None:
    count_C = np.bincount(label_m, minlength=n_classes)
    scarce = [f"{c} ({n})" for c, n in enumerate(count_C) if n < N_HALVES]
    if scarce:
        raise DataError(f"every class needs at least {N_HALVES} trusted rows: {', '.join(scarce[:5])}")
