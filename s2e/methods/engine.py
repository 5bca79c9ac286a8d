"""The training engine as a method sees it whose step is more than losses x weights.

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S training samples, M steps of an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

State = dict[str, torch.Tensor]
"""A method's memory between steps. Every tensor has a leading axis K, so a trial can leave the population."""
Sampler = Callable[[np.random.Generator], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """One step's samples, all on the device."""

    index: torch.Tensor
    """Sample numbers, [B] when trials share the batch, else [K, B]."""
    label_KB: torch.Tensor
    keep_K: torch.Tensor
    """Samples to keep, floor(R(t) B), at least one."""
    keep_rate_K: torch.Tensor
    """R(t), float64."""
    epoch: torch.Tensor
    """t, as a tensor without axes."""
    step: torch.Tensor
    """m = 0..M-1 within the epoch, as a tensor without axes: it selects the step's column of an epoch's draws."""


class Engine(Protocol):
    """The population a method trains in. Networks are ``tensors``, {name: [G, ...]}, trial by trial."""

    method_state: State
    draws: State
    """Values that a method drew in ``begin_epoch``, until the epoch ends; a checkpoint leaves them out."""
    label_KS: torch.Tensor
    tensors: dict[str, torch.Tensor]
    t: int
    """The epoch on the host, for methods that change with the stage of a training."""
    epoch: torch.Tensor
    """t, as a tensor without axes."""
    step: torch.Tensor
    """m = 0..M-1 within the epoch, as a tensor without axes."""
    device: torch.device
    weight_dtype: torch.dtype
    """Of weights, logits and losses."""

    @property
    def n_trials(self) -> int:
        """K, of the trials still training."""

    @property
    def n_steps(self) -> int:
        """M, the mini-batches of an epoch."""

    @property
    def batch_size(self) -> int:
        """B."""

    @property
    def n_epochs(self) -> int:
        """T."""

    @property
    def parameter_names(self) -> list[str]:
        """Names in ``tensors`` that the optimiser moves; the others are buffers."""

    def images(self, index: torch.Tensor, view: int | None = 0) -> torch.Tensor:
        """Training images at ``index`` [B] or [K, B] as the network reads them, scaled and normalised.

        Where the job augments, each ``view`` is another independent crop and flip; None: not augmented.
        """

    def clean_images(self, index: torch.Tensor) -> torch.Tensor:
        """Images of the trusted samples (``data.n_clean``) at ``index``, never augmented."""

    @property
    def clean_labels(self) -> torch.Tensor:
        """True labels of the trusted samples."""

    def forward(
        self, x: torch.Tensor, tensors: Mapping[str, torch.Tensor] | None = None, *, train: bool = True
    ) -> torch.Tensor:
        """logits_KNBC of images x in ``weight_dtype``, of the population's own networks unless others are given.

        With ``train`` batch norm uses the batch's statistics and moves the running ones of ``tensors`` in place.
        """

    def remember(self, index: torch.Tensor, logits_KNBC: torch.Tensor) -> None:
        """Count the networks' predictions for the samples ``index``, unmixed, in the epoch's training accuracy and
        memorisation. ``Method.weighted`` does it; a step that leaves it out has no such numbers.
        """

    def train_logits(self) -> torch.Tensor:
        """logits_KNSC of all training samples, not augmented, evaluation mode, without gradient, in chunks."""

    def reset_networks(self) -> None:
        """Every network back to its initial weights, and a fresh optimiser."""

    def draw(self, purpose: str, sample: Sampler) -> torch.Tensor:
        """Random numbers of this epoch, [K, ...]: ``sample`` once per trial with a generator of its own.

        The generator comes from (order seed, purpose, epoch): a trial draws the same alone and in a population, and
        trials that share the data order share the numbers, so that they can still share the batch.
        """
