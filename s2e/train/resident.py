"""A data set on the training device, in the layout its network reads, kept for the next population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from s2e.data.datasets import Part, SplitData
from s2e.networks.base import StackedNetwork
from s2e.parts import Statistics


@dataclass(frozen=True, eq=False)
class Resident:
    """The parts of a split: images uint8 (or features float32) in the network's layout, clean labels int64.

    Where open-set noise takes foreign images, they follow the training images.

    Training images that are augmented keep the data set's layout [S, D, H, W]: a crop must find rows and columns.
    """

    max_value: int
    train: Part
    validation: Part
    test: Part
    clean: Part | None
    beside: Part | None
    mean: torch.Tensor | None = None
    """Subtracted from scaled pixels, in the network's layout [1, ...]."""
    std: torch.Tensor | None = None

    def scaled(self, images: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Pixels 0..max_value as numbers in [0, 1], normalised where the job asks for it."""
        if self.mean is None or self.std is None:
            return images.to(dtype, copy=True).div_(self.max_value)
        exact = torch.float64 if dtype == torch.float64 else torch.float32
        mean, std = self.mean.to(exact), self.std.to(exact)
        return images.to(exact, copy=True).div_(self.max_value).sub_(mean).div_(std).to(dtype)


@lru_cache(maxsize=2)
def resident(
    data: SplitData,
    network: type[StackedNetwork],
    device: torch.device,
    *,
    augmented: bool = False,
    statistics: Statistics | None = None,
    foreign: torch.Tensor | None = None,
) -> Resident:
    """``data`` laid out for ``network`` on ``device``."""

    def arranged(part: Part) -> Part:
        return Part(network.arrange(part.images).to(device), part.labels.to(device))

    train = data.train if foreign is None else Part(torch.cat([data.train.images, foreign]), data.train.labels)
    train = Part(train.images.to(device), train.labels.to(device)) if augmented else arranged(train)
    clean, beside = (None if part is None else arranged(part) for part in (data.clean, data.beside))
    mean, std = (
        (_channels(values, data, network, device) for values in statistics) if statistics is not None else (None, None)
    )
    return Resident(data.max_value, train, arranged(data.validation), arranged(data.test), clean, beside, mean, std)


def _channels(
    values: Sequence[float], data: SplitData, network: type[StackedNetwork], device: torch.device
) -> torch.Tensor:
    """One value for each channel as an image of the training images' shape, laid out for ``network``."""
    values_1D11 = torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)
    return network.arrange(values_1D11.expand(1, *data.train.images.shape[1:])).to(device)
