"""The mean of a few models, chosen by held-out labels.

To pick one model by a few hundred labels, many of them wrong, is to pick the luckiest; the mean of the three likeliest
is seldom far from the best of them (docs/methods.md). Members are smooth: none can repeat single wrong labels.

Legend: S rows, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.splits import stratified
from s2e.labels.em import Array, Labels
from s2e.methods.declared import fitted as declared
from s2e.methods.fitted import Features, Fitted, FittedModel
from s2e.parts import METHODS
from s2e.words import derive_seed

Settings = dict[str, Any]
MOST_JUDGED = 1_000
"""Rows whose labels choose the members."""
MOST_BOOSTED = 6
"""Classes: boosting grows trees of its own for each."""
LEAST = 0.01
"""A label is never taken for less likely: one that is wrong says little, however sure a model is."""
SMOOTH: tuple[tuple[str, Settings], ...] = (
    ("svc", {}),
    ("svc", {"penalty": 0.3, "width": 0.5}),
    ("forest", {"leaf": 10}),
    ("extra_trees", {"leaf": 5, "share": 0.3}),
    ("extra_trees", {}),
    ("logistic", {"penalty": 0.1}),
    ("logistic", {"penalty": 0.01}),
)
FORESTS = ("forest", "extra_trees")
BOOSTED: tuple[str, Settings] = ("boosting", {"n_rounds": 60, "step": 0.05, "leaves": 8})


class Blend(Fitted):
    """The members are chosen anew in every fit."""

    params: declared.Blend

    def estimator(self, x_SF: Features, seed: int) -> Any:
        return Mean(self.params, self.members(2)).estimator(x_SF, seed)

    def fit(
        self,
        x_SF: Features,
        label_S: Labels,
        n_classes: int,
        T_CC: Array | None,
        seed: int,
        trusted_S: NDArray[np.bool_] | None = None,
    ) -> FittedModel:
        rows = np.arange(len(label_S))
        if len(rows) > MOST_JUDGED:
            rows, _ = stratified(label_S, MOST_JUDGED, np.random.default_rng(derive_seed(seed, "judged")))
        models = self.members(n_classes)
        likely = likeliest(models, x_SF[rows], label_S[rows], n_classes, seed, self.params.n_folds)
        chosen = likely[: self.params.n_members]
        model = Mean(self.params, chosen).fit(x_SF, label_S, n_classes, T_CC, seed, trusted_S)
        return replace(model, members=tuple(map(in_words, chosen)))

    def members(self, n_classes: int) -> list[Fitted]:
        """Those to choose among."""
        members = (*SMOOTH, BOOSTED) if n_classes <= MOST_BOOSTED else SMOOTH
        trees = {"n_trees": self.params.n_trees}
        return [METHODS[name].of(settings | (trees if name in FORESTS else {})).make() for name, settings in members]


class Mean(Fitted):
    """The mean probability of these models, each fitted alone."""

    def __init__(self, params: declared.Blend, members: Sequence[Fitted]) -> None:
        super().__init__(params)
        self.members = members

    def estimator(self, x_SF: Features, seed: int) -> Any:
        from sklearn.ensemble import VotingClassifier

        return VotingClassifier(
            [(f"{type(of).__name__.lower()}{i}", of.estimator(x_SF, seed)) for i, of in enumerate(self.members)],
            voting="soft",
        )


def in_words(member: Fitted) -> str:
    """Its method, and the settings that are not the method's own."""
    params = member.params
    usual = METHODS[params.name].of({}).settings() | {"n_trees": None}
    own = [f"{name} {value:g}" for name, value in params.settings().items() if usual[name] not in (value, None)]
    return f"{params.name} ({', '.join(own)})" if own else params.name


def likeliest(
    members: Sequence[Fitted], x_SF: Features, label_S: Labels, n_classes: int, seed: int, n_folds: int
) -> list[Fitted]:
    """Those that can be fitted, by the mean ln P(label) of every row under the model of the other folds, best first.

    Raises ValueError where none can.
    """
    likelihood: dict[Fitted, float] = {}
    reason: ValueError | None = None
    for of in members:
        try:
            p_SC = of.held_out(x_SF, label_S, n_classes, seed, n_folds)
        except ValueError as error:
            reason = error
        else:
            likelihood[of] = float(np.log(np.maximum(p_SC[np.arange(len(label_S)), label_S], LEAST)).mean())
    if reason is not None and not likelihood:
        raise reason
    return sorted(likelihood, key=lambda of: -likelihood[of])
