"""A data set and a network small enough to train hundreds of times, and populations of trials on them.

Declared for as long as :func:`declared` lasts. Importing this module imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from s2e.parts import DATASETS, NETWORKS, DatasetPart, NetworkPart, dataset, network
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec

N_CLASSES = 4
SIZES = (8, 16)
"""Pixels; Model 1 takes no fewer than 16."""


def population(
    ks: Sequence[int] = (0,),
    *,
    size: int = 8,
    shared_order: bool = True,
    dtype: str = "float64",
    keep_rate: Sequence[float] | None = None,
    n_train: int | None = None,
    n_clean: int = 0,
    **train: Any,
) -> Population:
    """The trials ``ks`` on the tiny images with 40 % wrong labels: 80 samples (5 batches of 16), 32 to validate.

    Each trial has seeds of its own, and a schedule of its own where ``keep_rate`` is not given; ``train`` holds fields
    of TrainSpec. It trains with the threads that OMP_NUM_THREADS gives, or one.
    """
    settings = TrainSpec(**{"n_epochs": 4, "batch_size": 16, **train})
    trials = tuple(
        TrialSpec(
            round=0,
            k=k,
            label="search",
            repeat=0,
            keep_rate=tuple(keep_rate or (1 - 0.1 * (k + 1) * t for t in range(settings.n_epochs))),
            init_seed=10 + k,
            order_seed=20 if shared_order else 20 + k,
            noise_seed=30 + k,
        )
        for k in ks
    )
    noise = NoiseSpec("symmetric", 0.4)
    data = DataSpec(name=f"tiny{size}", noise=noise, n_validation=32, n_train=n_train, n_clean=n_clean)
    plan = PlanSpec(dtype=dtype, threads=int(os.environ.get("OMP_NUM_THREADS", "1")))
    return Population(data, settings, plan, 2, trials)


@contextmanager
def declared() -> Iterator[None]:
    """The data sets ``tiny8`` and ``tiny16`` and the network ``tiny_norm`` are registered inside."""
    for size in SIZES:

        @dataset(f"tiny{size}", load=f"s2e.testing.tiny:load{size}")
        class Tiny(DatasetPart):
            """Random pixels with a pattern for each of four classes."""

    @network("tiny_norm", module="s2e.testing.tiny_network:StackedTinyNorm", min_size=4)
    class TinyNorm(NetworkPart):
        """A convolution with batch norm and a dense layer."""

    try:
        yield
    finally:
        for size in SIZES:
            DATASETS.discard(f"tiny{size}")
        NETWORKS.discard("tiny_norm")


def load8(data_root: str | None) -> Any:  # noqa: ARG001 - a data set's loader takes one
    """112 + 24 images of 8x8 pixels."""
    return _images(8)


def load16(data_root: str | None) -> Any:  # noqa: ARG001
    """112 + 24 images of 16x16 pixels."""
    return _images(16)


def _images(size: int) -> Any:
    import torch

    from s2e.data.datasets import Dataset

    generator = torch.Generator().manual_seed(0)
    pattern_CDHW = torch.randint(0, 128, (N_CLASSES, 3, size, size), generator=generator)
    parts: list[torch.Tensor] = []
    for n_samples in (112, 24):
        labels = torch.arange(n_samples) % N_CLASSES
        pixels = torch.randint(0, 128, (n_samples, 3, size, size), generator=generator)
        parts += [(pattern_CDHW[labels] + pixels).to(torch.uint8), labels]
    return Dataset("tiny", N_CLASSES, 255, parts[0], parts[1], parts[2], parts[3])
