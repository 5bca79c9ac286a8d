"""Splits into training, validation and test samples, drawn from a seed of their own and blind to noisy labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.words import DataError, DataSpec, derive_seed

Indices = NDArray[np.int64]
Labels = NDArray[np.int64]


N_BESIDE = 5
"""One in so many rows, at most, is held out beside trusted ones."""


@dataclass(frozen=True)
class Split:
    """Sample numbers: ``train`` and ``clean`` within the training set, validation and test within the set
    ``*_from_test`` names."""

    train: Indices
    validation: Indices
    validation_from_test: bool
    test: Indices
    clean: Indices
    """Trusted samples with clean labels, apart from those that train or validate."""
    beside: Indices
    """Samples whose labels may be wrong, held out beside trusted ones that validate."""


def stratified(label_S: Labels, n_samples: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """``n_samples`` with the class shares of all (largest remainders get the odd ones), and the rest; both sorted."""
    classes, count_C = np.unique(label_S, return_counts=True)
    take_C = apportion(count_C, n_samples)
    drawn = [rng.permutation(np.flatnonzero(label_S == c))[:n] for c, n in zip(classes, take_C, strict=True)]
    chosen = np.sort(np.concatenate(drawn))
    return chosen, np.setdiff1d(np.arange(len(label_S)), chosen, assume_unique=True)


def apportion(weight_C: NDArray[np.number[Any]], n_samples: int) -> Indices:
    """``n_samples`` dealt out in proportion to the weights: whole parts first, the largest remainders get one more."""
    exact_C = (n_samples * weight_C / weight_C.sum()).astype(np.float64)
    take_C: Indices = np.floor(exact_C).astype(np.int64)
    odd = n_samples - int(take_C.sum())
    take_C[np.argsort(take_C - exact_C, kind="stable")[:odd]] += 1
    return take_C


def long_tailed(label_S: Labels, factor: float, rng: np.random.Generator) -> Indices:
    """Samples of class counts that fall exponentially from the first class to the last, which has 1/``factor`` of the
    first one's (Cui et al. 2019, Cao et al. 2019); sorted. No class has more than it had, or less than one."""
    classes, count_C = np.unique(label_S, return_counts=True)
    share_C = factor ** (-np.arange(len(classes)) / max(1, len(classes) - 1))
    take_C = np.maximum(1, np.minimum(count_C, np.floor(count_C.mean() * share_C + 1e-9).astype(np.int64)))
    drawn = [rng.permutation(np.flatnonzero(label_S == c))[:n] for c, n in zip(classes, take_C, strict=True)]
    return np.sort(np.concatenate(drawn))


def split(
    spec: DataSpec,
    train_label_S: Labels,
    n_test: int,
    is_trusted_S: NDArray[np.bool_] | None = None,
    n_trusted: int = 0,
) -> Split:
    """The split a job asks for; where ``n_trusted`` trusted rows validate, no other row does.

    Of a fold another part of them validates; ``n_validation`` of the other rows, a fifth at most, are held out beside.
    Which of those others, or where no trusted row validates, which rows do, is another part in a fold of the data.

    ``holdout`` takes clean, stratified validation samples from the training set and tests on the whole test set.
    ``s2e`` is the paper's: the official test set's first half validates, its second half tests (by index).
    """
    kept = np.arange(len(train_label_S))
    if spec.imbalance is not None:
        rng = np.random.default_rng(derive_seed(spec.split_seed, "long tail"))
        kept = long_tailed(train_label_S, spec.imbalance, rng)
    if spec.split == "s2e":
        half = n_test // 2
        train, validation, test = kept, np.arange(half), np.arange(half, n_test)
    else:
        candidates = kept
        if is_trusted_S is not None:  # labels known to be right validate alone, or not at all
            candidates = np.flatnonzero(is_trusted_S if n_trusted else ~is_trusted_S)
        n_validation = n_trusted or spec.n_validation
        _require("data.n_validation", n_validation, len(candidates) - (not n_trusted))
        rng = np.random.default_rng(derive_seed(spec.split_seed, "validation split"))
        fold = spec.trusted.fold if n_trusted else spec.fold
        validation = _part(train_label_S, candidates, n_validation, fold, rng)
        train, test = np.setdiff1d(kept, validation, assume_unique=True), np.arange(n_test)
    clean = beside = np.arange(0)
    if n_trusted and spec.trusted.fold is not None and is_trusted_S is not None:
        others = np.flatnonzero(~is_trusted_S)
        rng = np.random.default_rng(derive_seed(spec.split_seed, "beside"))
        n_beside = min(spec.n_validation, len(others) // N_BESIDE)
        beside = _part(train_label_S, others, n_beside, spec.fold, rng)
        train = np.setdiff1d(train, beside, assume_unique=True)
    if spec.n_clean:
        _require("data.n_clean", spec.n_clean, len(train) - 1)
        rng = np.random.default_rng(derive_seed(spec.split_seed, "clean samples"))
        chosen, rest = stratified(train_label_S[train], spec.n_clean, rng)
        train, clean = train[rest], train[chosen]
    if spec.n_train is not None:
        _require("data.n_train", spec.n_train, len(train))
        rng = np.random.default_rng(derive_seed(spec.split_seed, "training subset"))
        train = train[stratified(train_label_S[train], spec.n_train, rng)[0]]
    return Split(train, validation, spec.split == "s2e", test, clean, beside)


def _part(label_S: Labels, candidates: Indices, n_samples: int, fold: int | None, rng: np.random.Generator) -> Indices:
    """The part number ``fold`` of the candidates, all of which have ``n_samples`` and none a common one; after the last
    the first one again."""
    n_parts = max(1, len(candidates) // max(1, n_samples))
    for _ in range((fold or 0) % n_parts + 1):
        chosen, rest = stratified(label_S[candidates], n_samples, rng)
        part, candidates = candidates[chosen], candidates[rest]
    return part


def _require(field: str, asked: int, available: int) -> None:
    if asked > available:
        raise DataError(f"{field} = {asked}, but only {available} training samples can be taken")
