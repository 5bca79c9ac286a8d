"""The compiled step of dense networks: a whole epoch of a stack in one call, or one step around a method's own loss.

The torch step is what it is tested against. It reads and moves the engine's tensors in place. Sums have a fixed
order and every operation is rounded as IEEE 754 says, so in float32 and float64 the numbers are the same on every
processor that has it.

Legend: K trials, N networks per trial, G = K * N stacked networks, B batch, C classes, M steps of an epoch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_int64, c_void_p
from dataclasses import dataclass

import torch

from s2e.networks.library import EpochFields, OptimizerFields, PredictionFields, SpecFields, instruction_set, kernels_of


@dataclass(frozen=True)
class Layer:
    """One dense layer's tensors: value, and the optimiser's moments of it (None if it has none)."""

    weight_GOI: torch.Tensor
    bias_GO: torch.Tensor
    weight_memory: tuple[torch.Tensor | None, torch.Tensor | None]
    bias_memory: tuple[torch.Tensor | None, torch.Tensor | None]


@dataclass(frozen=True)
class Move:
    """The optimiser's update of a weight: Adam, or SGD with momentum if there are no betas."""

    step_size: float
    weight_decay: float
    steps_done: int
    betas: tuple[float, float] | None = None
    epsilon: float = 0.0
    momentum: float = 0.0

    def _structure(self) -> OptimizerFields:
        beta1, beta2 = self.betas or (0.0, 0.0)
        is_adam = int(self.betas is not None)
        numbers = (self.step_size, beta1, beta2, self.epsilon, self.weight_decay, self.momentum)
        return OptimizerFields(is_adam, *numbers, self.steps_done)


@dataclass(frozen=True)
class Images:
    """The data behind a row number: an input is (pixel_SI / max_value - mean_I) / std_I."""

    pixel_SI: torch.Tensor
    max_value: float
    mean_I: torch.Tensor | None = None
    std_I: torch.Tensor | None = None


@dataclass(frozen=True)
class EpochResult:
    """The outcome of an epoch beside the moved weights."""

    loss_MKN: torch.Tensor
    weight_MKNB: torch.Tensor
    predicted_MKNB: torch.Tensor
    margin_MKNB: torch.Tensor | None
    """The label's logit minus the largest other one, where it was asked for."""


_IMAGE_TYPES = {torch.uint8: 0, torch.float32: 1, torch.float64: 2}


def reads(images_SI: torch.Tensor) -> bool:
    """True if the compiled step can read images of this type."""
    return images_SI.dtype in _IMAGE_TYPES and images_SI.is_contiguous()


class NativeStack:
    """K x N dense networks with ReLU, as the engine's own tensors; they must stay alive and in place meanwhile."""

    def __init__(
        self,
        layers: Sequence[Layer],
        images: Images,
        *,
        n_trials: int,
        batch_size: int,
        n_orders: int,
        looks_first: bool = False,
        half: bool = False,
    ) -> None:
        """``n_orders``: 1 where the trials share their batches, else K. ``looks_first``: forward and backward will be
        called, not epoch. ``half``: the first layer multiplies in bfloat16. Raises MemoryError."""
        name = instruction_set(half=half)
        kernels = kernels_of(name) if name else None
        assert kernels is not None  # asked for where instruction_set() is a name
        first = layers[0].weight_GOI
        self._kernels, self._dtype, self._keep = kernels, first.dtype, (tuple(layers), images)
        self._n_trials, self._n_networks = n_trials, len(first) // n_trials
        self._batch_size, self._n_classes = batch_size, layers[-1].weight_GOI.shape[1]
        sizes = [first.shape[2], *(layer.weight_GOI.shape[1] for layer in layers)]
        spec = SpecFields(
            int(first.dtype == torch.float64),
            n_trials,
            self._n_networks,
            len(layers),
            batch_size,
            (c_int64 * len(sizes))(*sizes),
            _pointers([layer.weight_GOI for layer in layers]),
            _pointers([layer.bias_GO for layer in layers]),
            *(_pointers([layer.weight_memory[i] for layer in layers]) for i in range(2)),
            *(_pointers([layer.bias_memory[i] for layer in layers]) for i in range(2)),
            _pointer(images.pixel_SI),
            _IMAGE_TYPES[images.pixel_SI.dtype],
            images.max_value,
            _pointer(images.mean_I),
            _pointer(images.std_I),
            n_orders,
            int(half),
            int(looks_first),
        )
        self._handle = kernels.make(byref(spec))
        if not self._handle:
            raise MemoryError("no memory for the compiled step")

    def close(self) -> None:
        """Give the working memory back; nothing may be called afterwards."""
        if self._handle:
            self._kernels.drop(self._handle)
            self._handle = None

    def __enter__(self) -> NativeStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def epoch(
        self,
        move: Move,
        row_MRB: torch.Tensor,
        label_MKB: torch.Tensor,
        by_rank_KB: torch.Tensor,
        *,
        exchanges: bool,
        margins: bool = False,
    ) -> EpochResult:
        """All steps of an epoch under weights that depend on the rank of a sample's loss: ``by_rank_KB`` has the weight
        of the smallest loss first; ``exchanges``: of its loss in the trial's other network. R is ``n_orders``."""
        n_steps = len(row_MRB)
        shape = (n_steps, self._n_trials, self._n_networks)
        loss_MKN = torch.empty(shape, dtype=self._dtype)
        weight_MKNB = torch.empty((*shape, self._batch_size), dtype=self._dtype)
        predicted_MKNB = torch.empty((*shape, self._batch_size), dtype=torch.int16)
        margin_MKNB = torch.empty_like(weight_MKNB) if margins else None
        by_rank_KB = by_rank_KB.to(self._dtype).contiguous()
        is_uniform = bool((by_rank_KB == by_rank_KB[:, :1]).all())
        epoch = EpochFields(
            n_steps,
            *map(_pointer, (row_MRB, label_MKB, by_rank_KB)),
            int(is_uniform),
            int(exchanges),
            *map(_pointer, (loss_MKN, weight_MKNB, predicted_MKNB, margin_MKNB)),
        )
        self._kernels.epoch(self._handle, byref(move._structure()), byref(epoch))
        return EpochResult(loss_MKN, weight_MKNB, predicted_MKNB, margin_MKNB)

    def forward(self, row_RB: torch.Tensor) -> torch.Tensor:
        """logits_KNBC of a batch."""
        shape = (self._n_trials, self._n_networks, self._batch_size, self._n_classes)
        logits_KNBC = torch.empty(shape, dtype=self._dtype)
        self._kernels.forward(self._handle, _pointer(row_RB), _pointer(logits_KNBC))
        return logits_KNBC

    def backward(self, move: Move, gradient_KNBC: torch.Tensor, skip_G: torch.Tensor | None = None) -> None:
        """One optimiser step from the gradient of the last ``forward``'s logits; networks ``skip_G`` stay."""
        gradient_KNBC = gradient_KNBC.to(self._dtype).contiguous()
        self._kernels.backward(self._handle, byref(move._structure()), _pointer(gradient_KNBC), _pointer(skip_G))

    def predict(self, n_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The classes predicted for the first images [K, N + 1, S], by each network and by the sum of their logits, and
        whether all logits of a trial were finite [K]."""
        predicted_KNS = torch.empty((self._n_trials, self._n_networks + 1, n_samples), dtype=torch.int16)
        finite_K = torch.empty(self._n_trials, dtype=torch.bool)
        prediction = PredictionFields(n_samples, _pointer(predicted_KNS), _pointer(finite_K))
        self._kernels.predict(self._handle, byref(prediction))
        return predicted_KNS, finite_K


def _pointer(tensor: torch.Tensor | None) -> int | None:
    assert tensor is None or tensor.is_contiguous()
    return None if tensor is None else tensor.data_ptr()


def _pointers(tensors: Sequence[torch.Tensor | None]) -> ctypes.Array[c_void_p] | None:
    """An array of pointers; none where nothing is remembered."""
    if tensors[0] is None:
        return None
    return (c_void_p * len(tensors))(*map(_pointer, tensors))
