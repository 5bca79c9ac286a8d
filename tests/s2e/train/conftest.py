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


def _tiny(data_root: str | None = None) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    pattern = torch.randint(0, 128, (4, 3, 16, 16), generator=generator)
    parts = []
    for n_samples in (112, 40):
        labels = torch.arange(n_samples) % 4
        noise = torch.randint(0, 128, (n_samples, 3, 16, 16), generator=generator)
        parts += [(pattern[labels] + noise).to(torch.uint8), labels]
    return Dataset("tiny", 4, 255, *parts)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Population]:
    """Builds populations of K trials on the tiny data set: 80 training samples (5 batches of 16), 32 to validate."""
    monkeypatch.setitem(sys.modules, "tiny_images", SimpleNamespace(load=_tiny))
    monkeypatch.setitem(catalog.DATASETS, "tiny", catalog.Entry("tiny_images:load", "random pixels"))

    def build(
        ks: tuple[int, ...] = (0,),
        *,
        shared_order: bool = True,
        dtype: str = "float64",
        keep: float = 0.5,
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
        data = DataSpec(name="tiny", noise=NoiseSpec("symmetric", 0.4), n_validation=32)
        return Population(data, settings, PlanSpec(dtype=dtype), 2, trials)

    return build
