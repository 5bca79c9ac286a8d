"""The optimiser of a stack of networks, and its step size at every epoch.

Both optimisers work element by element, so a stacked weight moves exactly as it does alone.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Any, TypeVar

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
class _Adam(torch.optim.Adam):
    pass


class Adam(_Adam):
    """torch's, element by element. On a CPU its kernel is called as it is: the records and tests that torch has around
    it cost a step of a small network more than the kernel."""

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002 - torch's signature
        """Forget the gradients; the next ones are written, not added to zeros."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step of every parameter that has a gradient."""
        if closure is not None or not all(_is_plain(group) for group in self.param_groups):
            return super().step(closure)
        for group in self.param_groups:
            self._step(group)
        return None

    step.hooked = True  # type: ignore[attr-defined]  # or torch wraps it in a record of its profiler

    def _step(self, group: dict[str, Any]) -> None:
        moved = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not moved:
            return
        states = [self.state[parameter] or self._begin(parameter) for parameter in moved]
        counts = [state["step"] for state in states]
        torch._foreach_add_(counts, 1)
        torch._fused_adam_(
            moved,
            [parameter.grad for parameter in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            counts,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=False,
        )

    def _begin(self, parameter: torch.Tensor) -> dict[str, Any]:
        """The state before the first step."""
        zeros = torch.zeros_like(parameter)
        state = {"step": torch.zeros((), dtype=torch.float32), "exp_avg": zeros, "exp_avg_sq": zeros.clone()}
        self.state[parameter] = state
        return state


def _is_plain(group: dict[str, Any]) -> bool:
    """True for parameters on the CPU under the settings of :func:`make_optimizer`."""
    others = ("amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay")
    return bool(group["fused"]) and not any(group[name] for name in others) and group["params"][0].is_cpu


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
