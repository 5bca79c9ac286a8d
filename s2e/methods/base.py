"""A method is a per-sample loss x a weighting rule; everything else of a training is the engine's.

    loss = (weight_KNB.detach() * loss_KNB).sum(-1)

Legend: K trials, N networks per trial, B batch, C classes, S samples, M steps of an epoch.

    plain        CE x 1/B
    Co-teaching  CE x small_loss(...).flip(1), the two networks swap
    SIGUA        negative weights for the samples that come next
    ELR          a loss that keeps a target per sample in ``state`` ([K, S, C]) and finds it by ``index``

A method that needs more than one forward pass of one batch overrides ``step``; one that looks at the whole training set
between epochs overrides ``begin_epoch``; one that carries averaged weights overrides ``after_step``. They see the
engine as :class:`s2e.methods.engine.Engine`.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_type_hints

import torch
import torch.nn.functional as F

from s2e.methods.engine import Engine, MiniBatch, State
from s2e.methods.selection import weigh_ranks
from s2e.parts import MethodPart


@dataclass(frozen=True, eq=False)
class Batch:
    """The inputs of a weighting rule beside the losses, without gradient and on the device."""

    logits_KNBC: torch.Tensor
    keep_K: torch.Tensor
    """Samples to keep, floor(R(t) B), at least one."""
    keep_rate_K: torch.Tensor
    """R(t), float64, for rules that keep a share of something else than the batch."""
    epoch: torch.Tensor
    """t, as a tensor without axes."""
    index: torch.Tensor
    """Sample numbers, [B] when trials share the batch, else [K, B]."""
    state: State


@dataclass(frozen=True, eq=False)
class Setup:
    """The facts a method may use before the first step; tensors are on the device."""

    n_trials: int
    n_samples: int
    n_classes: int
    device: torch.device
    dtype: torch.dtype
    """Of losses, and so of the state: float64 in a float64 plan, else float32."""
    label_KS: torch.Tensor
    """The labels each trial trains on, noise included."""
    true_label_S: torch.Tensor
    """The labels before the noise; [K, S] with open-set noise, where a replaced image has no class. Only an oracle,
    such as SIGUA's prototype, may look at them."""
    transition_KCC: torch.Tensor | None
    """T of the injected noise in ``dtype``, [k, i, j] = P(label j | class i); None where it is not known."""
    init_seeds: tuple[int, ...]
    """Seed of each trial's initial weights, for what a method draws once."""
    trusted_S: torch.Tensor | None = None
    """Samples that train and whose label is known to be right, bool; None where nobody says so of any."""
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The initial networks, {name: [G, ...]}, for averages of them; to be copied."""


class Method(ABC):
    """Stateless in itself: all a method remembers is in the ``state`` the engine carries and hands in."""

    n_networks: int
    """Networks N of one trial."""
    may_skip: bool = False
    """A batch may give a trial no weight at all; its weights and moments then stay as they are."""
    exchanges: bool = False
    """Each network learns from the samples that the trial's other network ranks."""

    params: MethodPart
    """The hyperparameters; a rule annotates it with the class that declares it."""

    def __init__(self, params: MethodPart | None = None) -> None:
        self.params = get_type_hints(type(self))["params"]() if params is None else params

    def init_state(self, setup: Setup) -> State:  # noqa: ARG002
        """The state before the first step; every tensor has a leading axis K."""
        return {}

    def losses(
        self,
        logits_KNBC: torch.Tensor,
        label_KB: torch.Tensor,
        index: torch.Tensor,  # noqa: ARG002
        state: State,  # noqa: ARG002
    ) -> torch.Tensor:
        """loss_KNB. ``index`` holds sample numbers, [B] when trials share the batch, else [K, B]."""
        return cross_entropy(logits_KNBC, label_KB)

    def weights(self, loss_KNB: torch.Tensor, batch: Batch) -> torch.Tensor:
        """weight_KNB: the weight of each sample's loss, from losses without gradient; positive means selected.

        A method overrides this, or only :meth:`by_rank` where a weight depends on nothing but the rank of a loss.
        """
        return self.ranked(loss_KNB, batch.keep_K)

    def by_rank(self, keep_K: torch.Tensor, batch_size: int, dtype: torch.dtype) -> torch.Tensor:
        """weight_KB of the sample with the smallest loss of a batch, the next, ...; [K, 1] where all weigh alike."""
        raise NotImplementedError(f"{type(self).__name__} weighs by more than ranks")

    def ranked(self, loss_KNB: torch.Tensor, keep_K: torch.Tensor) -> torch.Tensor:
        """weight_KNB by rank, of a network's own losses or of the other network's."""
        weight_KNB = weigh_ranks(loss_KNB, self.by_rank(keep_K, loss_KNB.shape[-1], loss_KNB.dtype))
        return weight_KNB.flip(1) if self.exchanges else weight_KNB

    def begin_epoch(self, engine: Engine, t: int) -> None:  # noqa: B027 - most methods have nothing to do here
        """Before the first step of epoch t: draws of the epoch, or a look at the whole training set."""

    def step(self, engine: Engine, batch: MiniBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of one mini-batch, loss_KN with its graph, and the weight_KNB that counts in the epoch's metrics."""
        return self.weighted(engine, batch, engine.forward(engine.images(batch.index)))

    def weighted(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``losses`` x ``weights`` of logits already computed -> loss_KN, weight_KNB."""
        loss_KNB = self.losses(logits_KNBC, batch.label_KB, batch.index, engine.method_state)
        engine.remember(batch.index, logits_KNBC)
        return self.weigh(engine, batch, logits_KNBC, loss_KNB)

    def weigh(
        self, engine: Engine, batch: MiniBatch, logits_KNBC: torch.Tensor, loss_KNB: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses already computed x ``weights`` -> loss_KN, weight_KNB."""
        with torch.no_grad():
            logits_KNBC = logits_KNBC.detach()
            seen = Batch(logits_KNBC, batch.keep_K, batch.keep_rate_K, batch.epoch, batch.index, engine.method_state)
            weight_KNB = self.weights(loss_KNB.detach(), seen)
        return (weight_KNB * loss_KNB).sum(-1), weight_KNB

    def after_step(self, engine: Engine) -> None:  # noqa: B027
        """After the optimiser moved the weights."""


def cross_entropy(logits_KNBC: torch.Tensor, label_KB: torch.Tensor) -> torch.Tensor:
    """Per-sample cross entropy -> loss_KNB."""
    return cross_entropy_with(logits_KNBC, label_KB[:, None].expand(logits_KNBC.shape[:3]))


def cross_entropy_with(logits_KNBC: torch.Tensor, label_KNB: torch.Tensor) -> torch.Tensor:
    """:func:`cross_entropy` with labels of each network's own."""
    loss = F.cross_entropy(logits_KNBC.flatten(0, 2), label_KNB.flatten(), reduction="none")
    return loss.view(logits_KNBC.shape[:3])


def pick(value_KS: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Each trial's values of a batch, [K, S, ...] at ``index`` [B] shared or [K, B] -> [K, B, ...]."""
    if index.dim() == 1:
        return value_KS.index_select(1, index)
    if value_KS.dim() == 2:
        return value_KS.gather(1, index)
    return value_KS[torch.arange(len(index), device=index.device)[:, None], index]


def pick_all(value_KS: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Each trial's values of all batches, [K, S] at ``order`` [M, B] shared or [M, K, B] -> [M, K, B]."""
    order_MRB = order[:, None] if order.dim() == 2 else order
    order_KX = order_MRB.transpose(0, 1).flatten(1).expand(len(value_KS), -1)
    value_KMB: torch.Tensor = value_KS.gather(1, order_KX).unflatten(1, (len(order), -1))
    return value_KMB.transpose(0, 1).contiguous()


def put(value_KS: torch.Tensor, index: torch.Tensor, new_KB: torch.Tensor) -> None:
    """Write each trial's values of a batch back in place: the inverse of :func:`pick`."""
    if index.dim() == 1:
        value_KS.index_copy_(1, index, new_KB)
    else:
        value_KS[torch.arange(len(index), device=index.device)[:, None], index] = new_KB
