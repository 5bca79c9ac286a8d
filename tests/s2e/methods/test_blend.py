"""The mean of a few models: who its members are, what it predicts, its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.data.transition import symmetric
from s2e.fitted_model import FittedNetwork, to_tensors
from s2e.methods.blend import Blend, in_words, likeliest
from s2e.methods.fitted import Fitted
from s2e.parts import METHODS

RNG = np.random.default_rng(3)
X = RNG.normal(size=(240, 4)).astype(np.float32)
CHECKERED = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(np.int64)
"""Classes that no straight line separates."""
LEAN = (X @ np.array([1.0, -1.0, 0.5, 0.0]) > 0).astype(np.int64)


def model(name: str, **settings: object) -> Fitted:
    made: Fitted = METHODS[name].of(settings).make()
    return made


def wrong(label_S: np.ndarray, rate: float = 0.2) -> np.ndarray:
    return np.where(np.random.default_rng(5).random(len(label_S)) < rate, 1 - label_S, label_S)


def test_members_are_those_under_which_held_out_labels_are_likeliest() -> None:
    curved, straight = model("svc"), model("logistic")
    assert likeliest([straight, curved], X, wrong(CHECKERED), 2, 1, 3) == [curved, straight]
    assert likeliest([curved, straight], X, wrong(LEAN), 2, 1, 3) == [straight, curved]


def test_who_cannot_be_fitted_is_no_member() -> None:
    """Four labels of a class are too few for the support vector machine's sigmoids on three folds of four fifths."""
    few = np.where(np.arange(240) < 2, 1, 0)
    curved, straight = model("svc"), model("logistic")
    assert likeliest([curved, straight], X, few, 2, 1, 2) == [straight]
    with pytest.raises(ValueError, match="fold"):
        likeliest([curved], X, few, 2, 1, 2)


def test_it_is_the_mean_of_its_members_each_fitted_alone() -> None:
    blend = model("blend", n_folds=2, n_trees=5)
    assert isinstance(blend, Blend)
    fitted = blend.fit(X, wrong(CHECKERED), 2, None, 7)
    members = likeliest(blend.members(2), X, wrong(CHECKERED), 2, 7, 2)[:3]
    alone = [of.fit(X, wrong(CHECKERED), 2, None, 7).predict_proba(X) for of in members]
    np.testing.assert_allclose(fitted.predict_proba(X), np.mean(alone, axis=0), atol=1e-12)
    assert (fitted.predict_proba(X).argmax(1) == CHECKERED).mean() > 0.8  # 20 % of the labels it learned are wrong


def test_it_says_who_its_members_are() -> None:
    blend = model("blend", n_folds=2, n_trees=5)
    assert isinstance(blend, Blend)
    members = likeliest(blend.members(2), X, wrong(CHECKERED), 2, 7, 2)[:3]
    assert blend.fit(X, wrong(CHECKERED), 2, None, 7).members == tuple(map(in_words, members))
    assert [in_words(of) for of in blend.members(3)] == [
        "svc",
        "svc (penalty 0.3, width 0.5)",
        "forest (leaf 10)",
        "extra_trees (leaf 5, share 0.3)",
        "extra_trees",
        "logistic (penalty 0.1)",
        "logistic (penalty 0.01)",
        "boosting (n_rounds 60, step 0.05, leaves 8)",
    ]
    assert model("svc").fit(X, CHECKERED, 2, None, 7).members == ()


def test_by_the_matrix_each_member_learns_what_labels_probably_are() -> None:
    """Of class 0 two labels of five say 1: who takes them as they are calls more rows 1 than who knows that."""
    one_sided = np.array([[0.6, 0.4], [0.0, 1.0]])
    given = np.where((CHECKERED == 0) & (np.random.default_rng(5).random(240) < 0.4), 1, CHECKERED)
    how = ("none", "reweighted")
    plain, informed = (
        model("blend", n_folds=2, n_trees=5, transition=of).fit(X, given, 2, one_sided, 7).predict_proba(X)
        for of in how
    )
    assert informed.argmax(1).mean() < plain.argmax(1).mean()
    assert (informed.argmax(1) == CHECKERED).mean() > (plain.argmax(1) == CHECKERED).mean()


def test_its_file_holds_all_members() -> None:
    fitted = model("blend", n_folds=2, n_trees=5, transition="corrected").fit(X, CHECKERED, 2, symmetric(2, 0.2), 7)
    described = {"train": {"method": "blend"}, "shape": {"n_classes": 2}}
    again = FittedNetwork(to_tensors(fitted), described)
    np.testing.assert_allclose(again(torch.from_numpy(X)).exp().numpy(), fitted.predict_proba(X), atol=1e-9)
