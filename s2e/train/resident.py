"""A data set on the training device, in the layout its network reads, kept for the next population."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from s2e.data.datasets import Part, SplitData
from s2e.models.base import StackedNetwork


@dataclass(frozen=True, eq=False)
class Resident:
    """The three parts of a split: images uint8 in the network's layout, clean labels int64."""

    max_value: int
    train: Part
    validation: Part
    test: Part


@lru_cache(maxsize=2)
def resident(data: SplitData, network: type[StackedNetwork], device: torch.device) -> Resident:
    """``data`` laid out for ``network`` on ``device``."""
    parts = (
        Part(network.store(part.images).to(device), part.labels.to(device))
        for part in (data.train, data.validation, data.test)
    )
    return Resident(data.max_value, *parts)


def scaled(images: torch.Tensor, max_value: int, dtype: torch.dtype) -> torch.Tensor:
    """Pixels 0..max_value as numbers in [0, 1]."""
    return images.to(dtype).div_(max_value)
