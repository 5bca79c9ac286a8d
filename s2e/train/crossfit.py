"""Held-out predictions for every training sample: what the noise in the labels is estimated from.

The samples are cut into stratified folds; each network of one stack trains without its fold, and predicts it.

Legend: K folds, B batch, C classes, S training samples, M steps of an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.train.epoch import train_step
from s2e.train.population import StackedTrials
from s2e.train.runtime import flushed_denormals, prepare_process
from s2e.words import DataError, JobSpec, Population, TrialSpec, derive_seed, replace


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Of every training sample of a job: probabilities [S, C] from a network that did not train on it, its label [S]
    as the job's noise leaves it, and its label before the noise."""

    p_SC: NDArray[np.float64]
    label_S: NDArray[np.int64]
    true_label_S: NDArray[np.int64]


def held_out(spec: JobSpec, n_folds: int, n_epochs: int, data_root: str | None = None) -> HeldOut:
    """Train the job's network by standard cross entropy, once without each fold, on the labels of the job's own noise.

    Raises DataError where a fold leaves less than one batch.
    """
    device, dtype = prepare_process(spec.plan)
    trials = StackedTrials(_population(spec, n_folds, n_epochs), device, dtype, data_root)
    label_S = trials.label_KS[0].cpu().numpy()
    fold_S = _folds(label_S, n_folds, spec.seed)
    _require_batches(fold_S, trials.batch_size)
    for t in range(n_epochs):
        trials.set_epoch(t)
        order_MKB = torch.from_numpy(_order(fold_S, trials.batch_size, n_folds, spec.seed, t)).to(device)
        keep_K = torch.full((n_folds,), trials.batch_size, device=device)
        with flushed_denormals():
            for index in order_MKB:
                train_step(trials, index, keep_K)
    p_KSC = trials.train_logits()[:, 0].double().softmax(-1).cpu().numpy()
    p_SC = p_KSC[fold_S, np.arange(len(fold_S))]
    if not np.isfinite(p_SC).all():
        raise DataError(f"training diverged within {n_epochs} epochs: try a smaller train.learning_rate")
    return HeldOut(p_SC, label_S, trials.seen.true_label_KS[0].cpu().numpy())


def _population(spec: JobSpec, n_folds: int, n_epochs: int) -> Population:
    """A trial for each fold, all on the noise draw of the job's search."""
    trials = tuple(
        TrialSpec(
            round=0,
            k=k,
            label="fold",
            repeat=0,
            keep_rate=(1.0,) * n_epochs,
            init_seed=derive_seed(spec.seed, "init", "fold", k),
            order_seed=derive_seed(spec.seed, "order", "fold", k),
            noise_seed=derive_seed(spec.seed, "noise"),
        )
        for k in range(n_folds)
    )
    train = replace(spec.train, method="standard", params={}, n_epochs=n_epochs)
    return Population(spec.data, train, spec.plan, 1, trials)


def _folds(label_S: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each sample [S]: every label is dealt out evenly, in random order."""
    rng = np.random.default_rng(derive_seed(seed, "folds"))
    shuffled = rng.permutation(len(label_S))
    by_label = shuffled[np.argsort(label_S[shuffled], kind="stable")]
    fold_S = np.empty(len(label_S), dtype=np.int64)
    fold_S[by_label] = np.arange(len(label_S)) % n_folds
    return fold_S


def _order(fold_S: NDArray[np.int64], batch_size: int, n_folds: int, seed: int, t: int) -> NDArray[np.int64]:
    """Mini-batches of epoch t [M, K, B]: stack k walks the samples outside fold k, all equally many steps."""
    n_steps = _n_steps(fold_S, batch_size)
    walks = []
    for k in range(n_folds):
        outside = np.flatnonzero(fold_S != k)
        rng = np.random.default_rng(derive_seed(seed, "fold order", k, t))
        walks.append(rng.permutation(outside)[: n_steps * batch_size].reshape(n_steps, batch_size))
    return np.stack(walks, axis=1)


def _n_steps(fold_S: NDArray[np.int64], batch_size: int) -> int:
    return int(len(fold_S) - np.bincount(fold_S).max()) // batch_size


def _require_batches(fold_S: NDArray[np.int64], batch_size: int) -> None:
    if not _n_steps(fold_S, batch_size):
        left = len(fold_S) - int(np.bincount(fold_S).max())
        raise DataError(f"{left} samples outside the largest fold are fewer than one batch of {batch_size}")
