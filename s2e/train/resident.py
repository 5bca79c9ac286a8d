"""A data set for training, in the layout its network reads, kept for the next population: on the training device, or
where it lies, from where blocks of it come to the device in time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from s2e.data.datasets import Part, SplitData
from s2e.data.rows import Samples, in_memory, joined, n_bytes
from s2e.data.stream import Arrange, Streamed
from s2e.machine import usable_bytes, usable_cores
from s2e.networks.base import StackedNetwork
from s2e.parts import Statistics
from s2e.words import PlanSpec

log = logging.getLogger(__name__)
SHARE = 0.5
"""Of the memory, for samples; the rest is for networks and what they compute."""


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


def is_streamed(plan: PlanSpec, data: SplitData) -> bool:
    """True if the samples of a split stay where they are; see :func:`needs_stream`."""
    return needs_stream(plan, bytes_of(data))


def bytes_of(data: SplitData) -> int:
    """Memory of all samples of a split."""
    parts = [data.train, data.validation, data.test, *([data.clean] if data.clean is not None else [])]
    return sum(n_bytes(part.images) for part in parts)


def needs_stream(plan: PlanSpec, needed: int) -> bool:
    """True if samples of so many bytes stay where they are while ``plan`` trains: as it says, else if they are more
    than half of the device's memory (on a CPU of a core's share of it, because there is a training for each)."""
    if plan.samples != "auto":
        return plan.samples == "streamed"
    there = _room(plan)
    streams = there is not None and needed > SHARE * there
    if streams:
        log.info("samples are streamed: %.1f GiB, of %.1f GiB of memory", needed / 2**30, (there or 0) / 2**30)
    return streams


def _room(plan: PlanSpec) -> float | None:
    """Bytes of memory for one training."""
    if plan.device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    there = usable_bytes()
    return None if there is None else there / max(1, usable_cores() // plan.threads)


def held(some: Samples, arrange: Arrange, device: torch.device, *, streamed: bool) -> Samples:
    """Samples for a network on ``device``: there, or on their way."""
    return Streamed(some, arrange, device) if streamed else arrange(in_memory(some)).to(device)


@lru_cache(maxsize=2)
def resident(
    data: SplitData,
    network: type[StackedNetwork],
    device: torch.device,
    *,
    augmented: bool = False,
    statistics: Statistics | None = None,
    foreign: Samples | None = None,
    streamed: bool = False,
) -> Resident:
    """``data`` laid out for ``network`` on ``device``."""

    def part_of(part: Part, arrange: Arrange = network.arrange) -> Part:
        return Part(held(part.images, arrange, device, streamed=streamed), part.labels.to(device))

    train = data.train if foreign is None else Part(joined([data.train.images, foreign]), data.train.labels)
    clean, beside = (None if part is None else part_of(part) for part in (data.clean, data.beside))
    mean, std = (
        (_channels(values, data, network, device) for values in statistics) if statistics is not None else (None, None)
    )
    learned = part_of(train, _as_it_is) if augmented else part_of(train)
    return Resident(data.max_value, learned, part_of(data.validation), part_of(data.test), clean, beside, mean, std)


def _as_it_is(images: torch.Tensor) -> torch.Tensor:
    return images


def _channels(
    values: Sequence[float], data: SplitData, network: type[StackedNetwork], device: torch.device
) -> torch.Tensor:
    """One value for each channel as an image of the training images' shape, laid out for ``network``."""
    values_1D11 = torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)
    return network.arrange(values_1D11.expand(1, *data.train.images.shape[1:])).to(device)
