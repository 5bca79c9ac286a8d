"""A data set on the training device, in the layout its network reads, kept for the next population."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from s2e.data.datasets import Part, SplitData
from s2e.models.base import StackedNetwork


@dataclass(frozen=True, eq=False)
class Resident:
    """The parts of a split: images uint8 in the network's layout, clean labels int64.

    Training images that are augmented keep the data set's layout [S, D, H, W]: a crop must find rows and columns.
    """

    max_value: int
    train: Part
    validation: Part
    test: Part
    clean: Part | None


@lru_cache(maxsize=2)
def resident(
    data: SplitData, network: type[StackedNetwork], device: torch.device, *, augmented: bool = False
) -> Resident:
    """``data`` laid out for ``network`` on ``device``."""

    def stored(part: Part) -> Part:
        return Part(network.store(part.images).to(device), part.labels.to(device))

    train = Part(data.train.images.to(device), data.train.labels.to(device)) if augmented else stored(data.train)
    clean = None if data.clean is None else stored(data.clean)
    return Resident(data.max_value, train, stored(data.validation), stored(data.test), clean)


def scaled(images: torch.Tensor, max_value: int, dtype: torch.dtype) -> torch.Tensor:
    """Pixels 0..max_value as numbers in [0, 1]."""
    return images.to(dtype, copy=True).div_(max_value)
