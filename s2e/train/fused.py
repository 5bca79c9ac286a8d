"""The epoch of a population by the compiled step (:mod:`s2e.train.native`), where network and method allow it.

A method that weighs by ranks trains a whole epoch in one call. Any other whose step is one forward pass and a loss of
the logits keeps that loss in torch: the compiled step ends at the logits and begins again at their gradient.

Legend: K trials, N networks per trial, G = K * N, B batch, C classes, S samples, M steps (mini-batches) of an epoch, R
data orders: 1 where the trials share theirs, else K.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from s2e.data.rows import Samples
from s2e.methods.base import Method, pick_all
from s2e.methods.engine import MiniBatch
from s2e.networks.base import StackedNetwork
from s2e.networks.library import instruction_set
from s2e.networks.sequential import StackedDense
from s2e.train.native import Images, Layer, Move, NativeStack, reads
from s2e.train.optimizer import learning_rate
from s2e.train.population import StackedTrials
from s2e.words import TrialError

PREDICTED_AT_ONCE = 256
"""Samples of an evaluation's batch: more leave the second-level cache."""


def trains(trials: StackedTrials) -> bool:
    """True if these trials take the compiled step: their plan lets them, and nothing of theirs stands in the way.

    Raises TrialError, a fault of the place, where only the library is missing and the plan says that it trains.
    """
    if trials.is_fused is None:
        plan = trials.plan
        asked = plan.step == "native" or (plan.step == "auto" and plan.threads == 1)
        trials.is_fused = asked and obstacle(trials) is None and _has_library(trials)
    return trials.is_fused


def is_exact(trials: StackedTrials) -> bool:
    """True if each trial gets the same bits beside any others: the compiled step alone trains it, network by network,
    and nothing is measured of it but counts and its own losses. Noisy labels to validate by, and given ones, are judged
    by logits of torch."""
    counted = trials.seen.validation_label_KV is None and trials.margins is None
    return trains(trials) and weighs_by_ranks(trials.method) and counted


def _has_library(trials: StackedTrials) -> bool:
    has = instruction_set(half=trials.dtype == torch.bfloat16) is not None
    if not has and trials.plan.step == "native":
        raise TrialError(
            f"plan.step is native, and this machine has no compiled library for {trials.plan.dtype} on its processor: "
            "build it (native/build.py), or submit the job with plan.step = torch",
            retryable=True,
        )
    return has


def obstacle(trials: StackedTrials) -> str | None:
    """Why the compiled step does not know these trials, in words; None where it does."""
    if trials.device.type != "cpu":
        return f"it runs on a CPU, not on {trials.device.type}"
    if dense_layers(trials.network) is None:
        return "the network has more than dense layers and ReLU"
    if not has_plain_step(trials.method):
        return f"{type(trials.method).__name__} has a step of its own"
    if trials.augmentation is not None or not reads(_some(trials.data.train.images)):
        return "the images change between epochs, or have a type it does not read"
    return None


def _some(images: Samples) -> torch.Tensor:
    """Images as they are on the device: all of them, or one where they come when they are asked for."""
    one = torch.zeros(1, dtype=torch.int64)
    return (images if isinstance(images, torch.Tensor) else images.index_select(0, one)).flatten(1)


@lru_cache(maxsize=4)
def dense_layers(network: StackedNetwork) -> list[str] | None:
    """Names of the layers where a network is nothing but dense layers with a ReLU between each two."""
    if not isinstance(network, StackedDense) or not isinstance(network.template, nn.Sequential):
        return None
    layers = [(name, layer) for name, layer in network.template.named_children() if not isinstance(layer, nn.Flatten)]
    dense, between = layers[::2], layers[1::2]
    if len(dense) != len(between) + 1 or any(type(layer) is not nn.ReLU for _, layer in between):
        return None
    if any(type(layer) is not nn.Linear or layer.bias is None for _, layer in dense):
        return None
    return [name for name, _ in dense]


def train_epoch(trials: StackedTrials, order: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every step of epoch t -> (loss_MKN, weight_MKNB). ``order``: [M, B] shared, or [M, K, B]."""
    order_MRB = order[:, None] if order.dim() == 2 else order
    ranks = weighs_by_ranks(trials.method)
    stack = NativeStack(
        _layers(trials),
        _images(trials, _learned(trials)),
        n_trials=trials.n_trials,
        batch_size=trials.batch_size,
        n_orders=order_MRB.shape[1] if trials.seen.image_row_KS is None else trials.n_trials,
        looks_first=not ranks,
        half=trials.dtype == torch.bfloat16,
    )
    with stack:
        return (_by_ranks if ranks else _by_losses)(trials, stack, order_MRB, t)


def predict(trials: StackedTrials, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Classes predicted for stored images [K, N + 1, S], by each network and by the sum of their logits, and whether
    all logits of a trial were finite [K]."""
    layers = _layers(trials)
    with NativeStack(
        layers,
        _images(trials, images),
        n_trials=trials.n_trials,
        batch_size=PREDICTED_AT_ONCE,
        n_orders=1,
        half=trials.dtype == torch.bfloat16,
    ) as stack:
        return stack.predict(len(images))


def _by_ranks(
    trials: StackedTrials, stack: NativeStack, order_MRB: torch.Tensor, t: int
) -> tuple[torch.Tensor, torch.Tensor]:
    by_rank_KB = trials.method.by_rank(trials.keep_KT[:, t], trials.batch_size, trials.weight_dtype)
    by_rank_KB = by_rank_KB.expand(trials.n_trials, trials.batch_size)
    label_MKB = pick_all(trials.label_KS, order_MRB)
    result = stack.epoch(
        _move(trials, t, 0),
        _rows(trials, order_MRB),
        label_MKB,
        by_rank_KB,
        exchanges=trials.method.exchanges,
        margins=trials.margins is not None,
    )
    _remember(trials, order_MRB, result.predicted_MKNB)
    if trials.margins is not None and result.margin_MKNB is not None:
        trials.margins.add_epoch(order_MRB, result.margin_MKNB)
    _count_steps(trials, len(order_MRB))
    return result.loss_MKN, result.weight_MKNB


def _by_losses(
    trials: StackedTrials, stack: NativeStack, order_MRB: torch.Tensor, t: int
) -> tuple[torch.Tensor, torch.Tensor]:
    label_MKB, row_MRB, keep_K = pick_all(trials.label_KS, order_MRB), _rows(trials, order_MRB), trials.keep_KT[:, t]
    losses, weights = [], []
    for m, index_RB in enumerate(order_MRB.unbind(0)):
        index = index_RB[0] if trials.shares_order else index_RB
        batch = MiniBatch(index, label_MKB[m], keep_K, trials.keep_rate_KT[:, t], trials.epoch, trials.step)
        logits_KNBC = stack.forward(row_MRB[m]).requires_grad_()
        loss_KN, weight_KNB = trials.method.weighted(trials, batch, logits_KNBC)
        (gradient_KNBC,) = torch.autograd.grad(loss_KN.sum(), logits_KNBC)
        skip_G = (weight_KNB == 0).all(-1).flatten() if trials.method.may_skip else None
        stack.backward(_move(trials, t, m), gradient_KNBC, skip_G)
        trials.step.add_(1)
        losses.append(loss_KN.detach())
        weights.append(weight_KNB)
    _count_steps(trials, len(order_MRB))
    return torch.stack(losses), torch.stack(weights)


def has_plain_step(method: Method) -> bool:
    """True if a step of the method is one forward pass and a loss of the logits."""
    return _is_plain(method, ("step", "weigh", "after_step"))


def weighs_by_ranks(method: Method) -> bool:
    """True if the weight of a sample depends on nothing but the rank of its cross entropy."""
    return _is_plain(method, ("losses", "weights", "weighted"))


def _is_plain(method: Method, names: Iterable[str]) -> bool:
    """True if a method leaves these as :class:`Method` has them."""
    return all(getattr(type(method), name) is getattr(Method, name) for name in names)


def _layers(trials: StackedTrials) -> list[Layer]:
    names = dense_layers(trials.network)
    assert names is not None
    keys = ("exp_avg", "exp_avg_sq") if trials.train_spec.optimizer == "adam" else ("momentum_buffer", "")
    tensors = {name: trials.tensors[name].detach() for name in trials.parameter_names}
    for name in trials.parameter_names:
        _begin(trials.optimizer, trials.tensors[name])

    def memory(name: str) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        state = trials.optimizer.state[trials.tensors[name]]
        return state.get(keys[0]), state.get(keys[1])

    return [
        Layer(tensors[f"{n}.weight"], tensors[f"{n}.bias"], memory(f"{n}.weight"), memory(f"{n}.bias")) for n in names
    ]


def _begin(optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> None:
    """The optimiser's state of a parameter before its first step, as torch creates it in that step."""
    state: dict[str, Any] = optimizer.state[parameter]
    if state:
        return
    zeros = torch.zeros_like(parameter, requires_grad=False)
    if "betas" in optimizer.defaults:
        state |= {"step": torch.zeros((), dtype=torch.float32), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
    else:
        state["momentum_buffer"] = zeros if optimizer.param_groups[0]["momentum"] else None


def _count_steps(trials: StackedTrials, n_steps: int) -> None:
    for state in trials.optimizer.state.values():
        if "step" in state:
            state["step"] += n_steps


def _move(trials: StackedTrials, t: int, m: int) -> Move:
    """The optimiser's step m of epoch t; its counter has those of the epochs before."""
    group = trials.optimizer.param_groups[0]
    step_size, weight_decay = learning_rate(trials.train_spec, t), group["weight_decay"]
    if trials.train_spec.optimizer == "sgd":
        return Move(step_size, weight_decay, 0, momentum=group["momentum"])
    before = int(trials.optimizer.state[trials.tensors[trials.parameter_names[0]]]["step"])
    return Move(step_size, weight_decay, before + m, group["betas"], group["eps"])


def _images(trials: StackedTrials, stored: torch.Tensor) -> Images:
    data, dtype = trials.data, trials.weight_dtype

    def flat(values: torch.Tensor | None) -> torch.Tensor | None:
        return None if values is None else values.flatten().to(dtype).contiguous()

    return Images(stored.flatten(1), data.max_value, flat(data.mean), flat(data.std))


def _learned(trials: StackedTrials) -> torch.Tensor:
    """The training images that the steps read: all, or those of the block that was read for them."""
    if trials.block is not None:
        return trials.block.x
    assert isinstance(trials.data.train.images, torch.Tensor)
    return trials.data.train.images


def _rows(trials: StackedTrials, order_MRB: torch.Tensor) -> torch.Tensor:
    """Index of the stored image behind each sample of an epoch [M, R, B]; a block has them in the order of steps."""
    row_MRB = trials.image_rows(order_MRB)
    if trials.block is not None:
        return torch.arange(row_MRB.numel()).view(row_MRB.shape)
    return row_MRB.contiguous()


def _remember(trials: StackedTrials, order_MRB: torch.Tensor, predicted_MKNB: torch.Tensor) -> None:
    """The predictions of an epoch, which sees no sample twice, all at once."""
    predicted_KNMB = predicted_MKNB.permute(1, 2, 0, 3).flatten(2)
    order_KNMB = order_MRB.transpose(0, 1).flatten(1)[:, None].expand_as(predicted_KNMB)
    trials.predicted_KNS.scatter_(2, order_KNMB, predicted_KNMB)
