"""The rung of a search that trains on a share of the samples, over all epochs.

Under label noise early epochs mislead (a network fits the clean labels first), while all epochs on a quarter of the
samples rank schedules almost as the full training does.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from s2e.data.datasets import Part, SplitData
from s2e.data.splits import stratified
from s2e.words import derive_seed, replace


@lru_cache(maxsize=2)
def share_of(data: SplitData, data_share: float, split_seed: int) -> tuple[SplitData, torch.Tensor]:
    """``data`` with a stratified share of its training samples, and their row numbers among all of them [S].

    A smaller share of the same split seed may hold other samples: rungs are compared within one share only.
    """
    labels = data.train.labels
    if data_share == 1:
        return data, torch.arange(len(labels))
    n_samples = max(1, round(data_share * len(labels)))
    rng = np.random.default_rng(derive_seed(split_seed, "data share"))
    rows = torch.from_numpy(stratified(labels.numpy(), n_samples, rng)[0])
    train = Part(data.train.images[rows], labels[rows])
    ids = None if data.train_ids is None else data.train_ids[rows.numpy()]
    return replace(data, train=train, train_rows=data.train_rows[rows], train_ids=ids), rows
