"""The optimiser of a stack of networks, and its step size at every epoch.

Both optimisers work element by element, so a stacked weight moves exactly as it does alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import TypeVar

import torch

from s2e.words import TrainSpec

Class = TypeVar("Class", bound=type[torch.optim.Optimizer])


def _eager(optimizer: Class) -> Class:
    """Take off what marks an optimiser for torch.compile, which nothing here uses: at the first call the marks import
    torch._dynamo, two seconds of CPU in every process that trains. What they wrap is torch's own code, as it is."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(optimizer, name, inspect.unwrap(getattr(optimizer, name)))
    optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))  # type: ignore[method-assign]
    return optimizer


@_eager
class SGD(torch.optim.SGD):
    """torch's, element by element."""


@_eager
class Adam(torch.optim.Adam):
    """torch's, element by element."""


def make_optimizer(parameters: Sequence[torch.Tensor], train: TrainSpec) -> torch.optim.Optimizer:
    """Adam or SGD without history; step size and betas are set by :func:`set_epoch`."""
    if train.optimizer == "sgd":
        return SGD(
            parameters, lr=train.learning_rate, momentum=train.momentum, weight_decay=train.weight_decay, fused=True
        )
    return Adam(parameters, lr=train.learning_rate, weight_decay=train.weight_decay, fused=True)


def set_epoch(optimizer: torch.optim.Optimizer, train: TrainSpec, t: int) -> None:
    """The step size of epoch t, and Adam's betas in it."""
    beta1 = train.beta1
    if t >= decay_epoch(train) and train.beta1_decay is not None:
        beta1 = train.beta1_decay
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(train, t)
        if train.optimizer == "adam":
            group["betas"] = (beta1, train.beta2)


def decay_epoch(train: TrainSpec) -> int:
    """The first epoch T0 of the step size's linear decay."""
    return round(train.decay_start * train.n_epochs)


def n_passed(train: TrainSpec, t: int) -> int:
    """The milestones of the step size that are behind at epoch t."""
    return sum(t >= milestone for milestone in train.lr_milestones)


def learning_rate(train: TrainSpec, t: int) -> float:
    """The step size at epoch t.

    linear: constant, then lr (T - t) / (T - T0) for t >= T0 (S2E section 4); multistep: lr factor^(milestones passed);
    stages: the value of the last milestone passed; cosine_restarts: min + (lr - min) (1 + cos(pi (t mod P) / P)) / 2.
    """
    lr = train.learning_rate
    match train.lr_schedule:
        case "multistep":
            return lr * train.lr_factor ** n_passed(train, t)
        case "stages":
            return (lr, *train.lr_values)[n_passed(train, t)]
        case "cosine_restarts":
            share = (t % train.lr_period) / train.lr_period
            return train.lr_minimum + (lr - train.lr_minimum) * (1 + math.cos(math.pi * share)) / 2
        case "linear" if t >= decay_epoch(train):
            return lr * (train.n_epochs - t) / (train.n_epochs - decay_epoch(train))
        case _:
            return lr
