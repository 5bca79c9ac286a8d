"""One piece of work that both sides of a comparison do: data, noise, split and hyper-parameters.

Real images when a data root is set (``S2E_DATA_ROOT``: MNIST for the MLP, CIFAR-10 for Model 1). Without one the MLP
runs on scikit-learn's digits and Model 1 is left out: a speed on noise images would have no accuracy beside it.
For a bare GPU machine there are synthetic images of CIFAR-10's shape, easy enough for an accuracy to mean something.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from s2e.data.datasets import Dataset, Part, SplitData, load_split, noisy_labels
from s2e.parts import NETWORKS, DatasetPart, dataset
from s2e.schedule import coteaching_keep_rate, n_keep
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec

Array = np.ndarray[Any, Any]

N_TRAIN = 12_800
N_EVALUATED = 5_000
_NOISE = NoiseSpec("symmetric", 0.5)
_SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Workload:
    """Clean split, noisy training labels, and the training settings of one trial."""

    name: str
    data_spec: DataSpec
    train_spec: TrainSpec
    data: SplitData
    noisy_labels: torch.Tensor
    keep_rate: tuple[float, ...]

    @property
    def n_steps(self) -> int:
        """Full mini-batches in one epoch; the incomplete last one is dropped."""
        return len(self.noisy_labels) // self.train_spec.batch_size

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return tuple(self.data.train.images.shape[1:])

    def n_keep(self, epoch: int) -> int:
        """Samples of a mini-batch that are kept in this epoch."""
        return int(n_keep(np.array(self.keep_rate), self.train_spec.batch_size)[epoch])

    def learning_rate_at(self, epoch: int) -> float:
        """Constant step size until 0.4 T, then linear decay to 0 at T (S2E section 4)."""
        train = self.train_spec
        decay = train.n_epochs * (1 - train.decay_start)
        return train.learning_rate * min(1.0, (train.n_epochs - epoch) / decay)

    def as_tensor(self, part: Part, device: str = "cpu") -> torch.Tensor:
        """Images as float32 [S, D, H, W] in [0, 1]."""
        return part.images.to(device).float() / self.data.max_value

    def as_pixels(self, part: Part) -> Array:
        """Images as PIL reads them: uint8 (S, H, W[, D]) in 0..255."""
        scaled = (part.images.float() * (255 / self.data.max_value)).round().to(torch.uint8)
        return scaled.permute(0, 2, 3, 1).squeeze(-1).contiguous().numpy()

    def plain_networks(self, seed: int) -> list[nn.Module]:
        """The two networks of a trial as separate plain modules, drawn from ``seed``."""
        torch.manual_seed(seed)
        architecture = NETWORKS[self.train_spec.network]().make(self.image_shape, self.data.n_classes)
        return [architecture.make_module() for _ in range(2)]

    def population(
        self, n_trials: int, dtype: str, shared_order: bool, threads: int = 1, device: str = "cpu"
    ) -> Population:
        """K trials of this work for the engine: initial weights differ, the data order is shared or each its own."""
        trials = tuple(
            TrialSpec(
                round=0, k=k, label="search", repeat=0, keep_rate=self.keep_rate,
                init_seed=k, order_seed=0 if shared_order else k, noise_seed=0,
            )
            for k in range(n_trials)
        )  # fmt: skip
        plan = PlanSpec(device=device, dtype=dtype, population=n_trials, threads=threads)
        return Population(self.data_spec, self.train_spec, plan, 1, trials)


def build(
    network: str,
    n_epochs: int,
    *,
    tiny: bool = False,
    n_train: int = N_TRAIN,
    n_evaluated: int = N_EVALUATED,
    n_clean: int = 0,
) -> Workload | None:
    """The work for ``network`` ("mlp", "model1"), or None where its data are not on this machine.

    ``tiny`` is for tests: few images, the same path. ``n_clean`` trusted samples are set aside.
    """
    has_root = bool(os.environ.get("S2E_DATA_ROOT"))
    if not has_root and network != "mlp":
        return None
    name = {"mlp": "mnist", "model1": "cifar10"}[network] if has_root else "digits"
    if tiny:
        n_train, n_evaluated = 512, 400
    if name == "digits":
        n_train, n_evaluated = min(n_train, 896), min(n_evaluated, 800)
    split = "holdout" if name == "digits" else "s2e"
    data_spec = DataSpec(name, _NOISE, split, n_validation=n_evaluated // 2, n_train=n_train, n_clean=n_clean)
    return _work(network, data_spec, n_epochs, n_evaluated)


def build_synthetic(network: str, n_epochs: int, n_train: int, n_evaluated: int) -> Workload:
    """The work for ``network`` on synthetic images of CIFAR-10's shape: no files, no torchvision."""
    return _work(network, DataSpec(_SYNTHETIC, _NOISE, "s2e", n_train=n_train), n_epochs, n_evaluated)


@dataset(_SYNTHETIC, load="benchmarks.workload:load_synthetic")
class Synthetic(DatasetPart):
    """Images of CIFAR-10's shape."""


def load_synthetic(data_root: str | None = None) -> Dataset:  # noqa: ARG001  the signature of every loader
    """12,800 + 5,000 images of 3x32x32: one smooth pattern per class under strong pixel noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(10, 3, 4, 4, generator=generator)
    pattern_CDHW = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")

    def part(n_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(n_samples) % 10
        noise = torch.randn(n_samples, 3, 32, 32, generator=generator)
        return ((0.5 * pattern_CDHW[labels] + 0.25 + 0.3 * noise).clamp_(0, 1) * 255).to(torch.uint8), labels

    return Dataset(_SYNTHETIC, 10, 255, *part(N_TRAIN), *part(N_EVALUATED))


def _work(network: str, data_spec: DataSpec, n_epochs: int, n_evaluated: int) -> Workload:
    train_spec = TrainSpec(network=network, n_epochs=n_epochs)
    keep_rate = coteaching_keep_rate(n_epochs, _NOISE.noise_rate, min(10, n_epochs))
    data = _cut(load_split(data_spec), n_evaluated // 2)
    return Workload(network, data_spec, train_spec, data, noisy_labels(data_spec, 0), keep_rate)


def _cut(data: SplitData, n_evaluated: int) -> SplitData:
    """The same training set with at most ``n_evaluated`` validation and as many test samples."""
    validation, test = (
        Part(part.images[:n_evaluated], part.labels[:n_evaluated]) for part in (data.validation, data.test)
    )
    return replace(data, validation=validation, test=test)
