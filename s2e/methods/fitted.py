"""Models that are fitted in one go, and what they make of the noise's matrix T, T_ij = P(label j | class i).

A model of given labels predicts labels: g(x) = p(x) T, with p the probabilities of the true class. ``corrected`` finds
the p whose labels g are likeliest, max_p sum_j g_j ln (p T)_j, by EM (Richardson 1972, Lucy 1974), which stays among
probabilities where the inverse of T does not. ``reweighted`` does so for rows held out, makes of each row's p and its
label the posterior r_i ~ p_i T[i, y], and fits the model to every class of a row by these weights; a trusted row is its
label.

Legend: S rows, F features, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.splits import stratified
from s2e.labels.em import Array, Labels
from s2e.parts import FittedPart
from s2e.words import derive_seed

N_FOLDS = 3
N_STEPS = 100
"""Of the correction: by then p moves in the fourth digit."""
SMALLEST = 1e-9
SMALLEST_WEIGHT = 0.02
"""Classes that a row probably is not, left out of a fit by weights."""
Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted estimator with the classes [C'] that it saw, and T where its predictions are carried back through it."""

    estimator: Any
    class_C: Labels
    n_classes: int
    T_CC: Array | None = None
    members: tuple[str, ...] = ()
    """Of a mean, in words: the models that it is of."""

    def predict_proba(self, x_SF: Features) -> Array:
        """Probability of each class [S, C]; 0 of one that no label was."""
        p_SC = np.zeros((len(x_SF), self.n_classes))
        p_SC[:, self.class_C] = self.estimator.predict_proba(x_SF)
        return p_SC if self.T_CC is None else carried_back(p_SC, self.T_CC)


class Fitted(ABC):
    """A rule of such models. It remembers nothing itself."""

    params: FittedPart

    def __init__(self, params: FittedPart) -> None:
        self.params = params

    @abstractmethod
    def estimator(self, x_SF: Features, seed: int) -> Any:
        """A scikit-learn classifier with predict_proba, not fitted yet; ``seed`` is all its randomness."""

    def fit(
        self,
        x_SF: Features,
        label_S: Labels,
        n_classes: int,
        T_CC: Array | None,
        seed: int,
        trusted_S: NDArray[np.bool_] | None = None,
    ) -> FittedModel:
        """The model of rows with the labels they were given, of which those of ``trusted_S`` are right.

        Raises ValueError for data that it cannot take.
        """
        trusted_S = np.zeros(len(label_S), dtype=bool) if trusted_S is None else trusted_S
        if len(label_S) > self.params.max_rows:
            rng = np.random.default_rng(derive_seed(seed, "rows"))
            chosen, _ = stratified(label_S, self.params.max_rows, rng)
            x_SF, label_S, trusted_S = x_SF[chosen], label_S[chosen], trusted_S[chosen]
        how = self.params.transition
        if T_CC is None or how == "none":
            return self._fitted(x_SF, label_S, None, n_classes, seed)
        if how == "reweighted":
            return self._reweighted(x_SF, label_S, trusted_S, n_classes, T_CC, seed)
        model = self._fitted(x_SF, label_S, None, n_classes, seed)
        return FittedModel(model.estimator, model.class_C, n_classes, T_CC)

    def _fitted(
        self, x_SF: Features, label_S: Labels, weight_S: Array | None, n_classes: int, seed: int
    ) -> FittedModel:
        estimator = self.estimator(x_SF, seed)
        estimator.fit(x_SF, label_S, sample_weight=weight_S)
        return FittedModel(estimator, np.asarray(estimator.classes_, dtype=np.int64), n_classes)

    def _reweighted(
        self,
        x_SF: Features,
        label_S: Labels,
        trusted_S: NDArray[np.bool_],
        n_classes: int,
        T_CC: Array,
        seed: int,
    ) -> FittedModel:
        p_SC = carried_back(self.held_out(x_SF, label_S, n_classes, seed), T_CC)
        joint_SC = np.maximum(p_SC, SMALLEST) * np.maximum(T_CC, SMALLEST).T[label_S]
        r_SC = joint_SC / joint_SC.sum(1, keepdims=True)
        r_SC[trusted_S] = np.eye(n_classes)[label_S[trusted_S]]
        row, label = np.nonzero(r_SC >= SMALLEST_WEIGHT)
        return self._fitted(x_SF[row], label, r_SC[row, label], n_classes, seed)

    def held_out(self, x_SF: Features, label_S: Labels, n_classes: int, seed: int, n_folds: int = N_FOLDS) -> Array:
        """P(label) [S, C] of every row, by the model of the other folds. Raises ValueError as :meth:`fit` does."""
        from sklearn.model_selection import StratifiedKFold

        p_SC = np.zeros((len(label_S), n_classes))
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
        for learned, left in folds.split(x_SF, label_S):
            model = self._fitted(x_SF[learned], label_S[learned], None, n_classes, seed)
            p_SC[left] = model.predict_proba(x_SF[left])
        return p_SC


def carried_back(g_SC: Array, T_CC: Array) -> Array:
    """p of the true class for predictions g of the label, by EM from p = g."""
    T_CC = np.maximum(T_CC, SMALLEST)
    p_SC = np.maximum(g_SC, SMALLEST)
    p_SC = p_SC / p_SC.sum(1, keepdims=True)
    for _ in range(N_STEPS):
        p_SC = p_SC * ((g_SC / (p_SC @ T_CC)) @ T_CC.T)
        p_SC /= p_SC.sum(1, keepdims=True)
    return np.asarray(p_SC)
