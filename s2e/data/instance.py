"""Label noise that depends on the sample: part-dependent (Xia et al. 2020) and polynomial margin (Zhang et al. 2021).

Both are functions of the features, drawn once (``seed``), and then a draw for each row (``draw_seed``): training and
validation rows go through the same function, as they do through one matrix T elsewhere.

Legend: S rows, F features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s2e.words import derive_seed

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
SPREAD = 0.1
"""Standard deviation of a row's own flip rate around the noise rate."""
N_HALVINGS = 60
MARGINS = {
    1: lambda gap: -0.5 * gap**2 + 0.5,
    2: lambda gap: 1 - gap**3,
    3: lambda gap: 1 - (gap**3 + gap**2 + gap) / 3,
}
"""The three types, of the gap between the two most probable classes."""
MOST_STEPS = 200


@dataclass(frozen=True, eq=False)
class Rows:
    """Features [S, F] of rows with their right labels [S]."""

    x_SF: NDArray[np.float32]
    label_S: Labels


def part_dependent(
    learned: Rows,
    rows: Rows,
    n_classes: int,
    noise_rate: float,
    seed: int,
    draw_seed: int,
    margin_type: int = 1,  # noqa: ARG001
) -> Labels:
    """Labels of ``rows`` by Xia et al.'s algorithm 2.

    A row has its own flip rate q ~ N(tau, 0.1^2) within [0, 1], and keeps its label with 1 - q. Where it goes is drawn
    from q softmax(x W_y) over the other classes, W_y [F, C] standard normal for each class y. Features are standardised
    by those of ``learned``, as their program normalises pixels.
    """
    from scipy.stats import truncnorm  # takes a second to import

    x_SF = _standardised(learned.x_SF, rows.x_SF)
    rng = np.random.default_rng(derive_seed(draw_seed, "part-dependent noise"))
    low, high = (0 - noise_rate) / SPREAD, (1 - noise_rate) / SPREAD
    rate_S = truncnorm.rvs(low, high, loc=noise_rate, scale=SPREAD, size=len(x_SF), random_state=rng)
    uniform_S = rng.random(len(x_SF))
    noisy_S = rows.label_S.copy()
    for c in range(n_classes):
        members = np.flatnonzero(rows.label_S == c)
        weight_FC = np.random.default_rng(derive_seed(seed, "parts", c)).normal(size=(x_SF.shape[1], n_classes))
        chance_SC = rate_S[members, None] * _softmax_without(x_SF[members] @ weight_FC, c)
        chance_SC[:, c] = 1 - rate_S[members]
        noisy_S[members] = _inverted(chance_SC, uniform_S[members])
    return noisy_S


def polynomial_margin(
    learned: Rows, rows: Rows, n_classes: int, noise_rate: float, seed: int, draw_seed: int, margin_type: int = 1
) -> Labels:
    """Labels of ``rows`` by Zhang et al.'s polynomial margin diminishing noise: near the border of two classes, labels
    flip between them.

    A row's posterior is a logistic regression's, fitted to ``learned`` and their right labels; with u and s its most
    probable classes, a label flips with c f(p_u - p_s), f the polynomial of ``margin_type``, and c such that the rate
    over ``learned`` is the noise rate. It becomes s, or u where it is s already.
    """
    p_SC = _posterior(learned, rows.x_SF, n_classes, seed)
    base_S = _polynomial(_posterior(learned, learned.x_SF, n_classes, seed), margin_type)
    scale = _scale(base_S, noise_rate)
    order_SC = p_SC.argsort(1)
    first_S, second_S = order_SC[:, -1], order_SC[:, -2]
    uniform_S = np.random.default_rng(derive_seed(draw_seed, "polynomial margin noise")).random(len(p_SC))
    flips_S = uniform_S < np.minimum(scale * _polynomial(p_SC, margin_type), 1)
    other_S = np.where(rows.label_S == second_S, first_S, second_S)
    return np.asarray(np.where(flips_S, other_S, rows.label_S), dtype=np.int64)


def _standardised(learned_SF: NDArray[np.float32], x_SF: NDArray[np.float32]) -> Array:
    mean_F, deviation_F = learned_SF.mean(0, dtype=np.float64), learned_SF.std(0, dtype=np.float64)
    return np.asarray((x_SF - mean_F) / np.where(deviation_F > 0, deviation_F, 1))


def _softmax_without(logits_SC: Array, left_out: int) -> Array:
    logits_SC[:, left_out] = -np.inf
    p_SC = np.exp(logits_SC - logits_SC.max(1, keepdims=True))
    return np.asarray(p_SC / p_SC.sum(1, keepdims=True))


def _inverted(chance_SC: Array, uniform_S: Array) -> Labels:
    """The class whose share of the row's chances the uniform number falls into."""
    upper_SC = chance_SC.cumsum(1)
    upper_SC[:, -1] = 1.0
    return np.asarray((uniform_S[:, None] >= upper_SC).sum(1), dtype=np.int64)


def _posterior(learned: Rows, x_SF: NDArray[np.float32], n_classes: int, seed: int) -> Array:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=MOST_STEPS, random_state=seed % 2**32)
    model.fit(_standardised(learned.x_SF, learned.x_SF), learned.label_S)
    p_SC = np.zeros((len(x_SF), n_classes))
    p_SC[:, model.classes_] = model.predict_proba(_standardised(learned.x_SF, x_SF))
    return p_SC


def _polynomial(p_SC: Array, margin_type: int) -> Array:
    top_SC = np.sort(p_SC, axis=1)
    return np.asarray(MARGINS[margin_type](top_SC[:, -1] - top_SC[:, -2]))


def _scale(base_S: Array, noise_rate: float) -> float:
    """The factor at which the mean flip rate, each at most 1, is the noise rate; found by bisection."""
    low, high = 0.0, 1.0
    while np.minimum(high * base_S, 1).mean() < noise_rate and high < 1e9:
        high *= 2
    for _ in range(N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * base_S, 1).mean() < noise_rate else (low, middle)
    return high
