"""A tiny data set of random pixels with a pattern per class, large enough for every network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from s2e import catalog
from s2e.data.datasets import Dataset
from s2e.spec import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec


def _tiny(size: int) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randint(0, 128, (4, 3, size, size), generator=generator)
    parts = []
    for n_samples in (112, 24):
        labels = torch.arange(n_samples) % 4
        noise = torch.randint(0, 128, (n_samples, 3, size, size), generator=generator)
        parts += [(pattern[labels] + noise).to(torch.uint8), labels]
    return Dataset("tiny", 4, 255, *parts)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Population]:
    """Builds populations of K trials on the tiny data set: 80 training samples (5 batches of 16), 32 to validate."""
    loaders = {f"load{size}": lambda data_root, size=size: _tiny(size) for size in (8, 16)}
    monkeypatch.setitem(sys.modules, "tiny_images", SimpleNamespace(**loaders))
    for size in (8, 16):
        monkeypatch.setitem(catalog.DATASETS, f"tiny{size}", catalog.Entry(f"tiny_images:load{size}", "random pixels"))

    def build(
        ks: tuple[int, ...] = (0,),
        *,
        shared_order: bool = True,
        dtype: str = "float64",
        keep: float = 0.5,
        n_train: int | None = None,
        **train: Any,
    ) -> Population:
        settings = TrainSpec(**{"n_epochs": 4, "batch_size": 16, **train})
        trials = tuple(
            TrialSpec(
                round=0,
                k=k,
                label="search",
                repeat=0,
                keep_rate=tuple(max(keep, 1 - 0.1 * (k + 1) * t) for t in range(settings.n_epochs)),
                init_seed=10 + k,
                order_seed=20 if shared_order else 20 + k,
                noise_seed=30 + k,
            )
            for k in ks
        )
        size = 8 if settings.network == "model2" else 16  # its convolutions are slow in float64
        data = DataSpec(name=f"tiny{size}", noise=NoiseSpec("symmetric", 0.4), n_validation=32, n_train=n_train)
        return Population(data, settings, PlanSpec(dtype=dtype), 2, trials)

    return build
