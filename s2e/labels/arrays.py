"""Rows in memory for the trainings of :mod:`s2e.labels.noise`: the only torch between a user's arrays and them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.labels.em import Labels
from s2e.labels.noise import LabelFit, Progress, estimate_noise
from s2e.networks.base import StackedNetwork
from s2e.networks.build import build
from s2e.train.crossfit import Samples
from s2e.train.runtime import prepare_process
from s2e.words import PlanSpec, TrainSpec, replace


def arranged(
    x: NDArray[np.float32], label_S: Labels, train: TrainSpec, n_classes: int
) -> tuple[Samples, StackedNetwork]:
    """Features [S, F] or images [S, H, W] or [S, D, H, W] as ``train``'s network reads them, and that network.

    Raises SpecError where they do not fit it.
    """
    x = x[:, None] if x.ndim == 3 else x
    network = build(train, x.shape[1:], n_classes)
    return Samples(network.arrange(torch.from_numpy(x)), label_S), network


def fit_arrays(
    x: NDArray[np.float32],
    label_S: Labels,
    train: TrainSpec,
    classes: NDArray[Any],
    *,
    n_folds: int,
    seed: int,
    trusted: Labels,
    progress: Progress | None,
) -> LabelFit:
    """:func:`s2e.labels.noise.estimate_noise` of arrays, on one thread: how many there are would change the numbers."""
    prepare_process(PlanSpec())
    samples, network = arranged(x, label_S, train, len(classes))
    samples = replace(samples, class_names=classes.tolist())
    return estimate_noise(samples, network, train, n_folds=n_folds, seed=seed, trusted=trusted, progress=progress)
