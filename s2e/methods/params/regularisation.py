"""Hyperparameters of the methods that change the loss or the inputs instead of selecting: ELR, ELR+, mixup."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.methods.params.base import Params
from s2e.words import param


@dataclass(frozen=True)
class Elr(Params):
    """Early-learning regularisation (Liu et al. 2020); defaults of its CIFAR-10 rows with symmetric noise."""

    strength: float = param(
        3.0, ge=0, le=1_000, doc="lambda, weight of the regulariser (asymmetric CIFAR-10 noise 1, CIFAR-100 7)"
    )
    target_momentum: float = param(
        0.7, ge=0, lt=1, doc="beta of a sample's target, a running mean of its predictions (asymmetric, CIFAR-100: 0.9)"
    )

    per_dataset = {"cifar100": {"strength": 7.0, "target_momentum": 0.9}}  # noqa: RUF012 - a ClassVar


@dataclass(frozen=True)
class ElrKl(Params):
    """The Kullback-Leibler variant of ELR (its appendix C), which fails on purpose."""

    strength: float = param(1.0, ge=0, le=1_000, doc="lambda, weight of the cross entropy with the target")
    target_momentum: float = param(0.7, ge=0, lt=1, doc="beta of a sample's target")


@dataclass(frozen=True)
class ElrPlus(Elr):
    """ELR+ (Liu et al. 2020); defaults of its CIFAR-10 rows with symmetric noise."""

    mixup_alpha: float = param(1.0, gt=0, le=1_000, doc="alpha of the Beta(alpha, alpha) that mixes inputs")
    average_momentum: float = param(0.997, ge=0, lt=1, doc="gamma of the averaged weights, once it has risen")
    average_rule: str = param(
        "sigmoid",
        choices=("sigmoid", "count"),
        doc="sigmoid: gamma exp(-5 (1 - s/ramp)^2) at step s (CIFAR); count: min(1 - 1/(s + 1), gamma) (Clothing1M)",
    )
    average_ramp_steps: int = param(40_000, ge=1, le=10_000_000, doc="steps over which gamma rises (sigmoid)")
    strength_ramp_steps: int = param(
        0, ge=0, le=10_000_000, doc="steps over which lambda rises by the same sigmoid; 0: whole from the start"
    )
    refine_labels: bool = param(False, doc="multiply the mixed labels by the targets and normalise them (CIFAR-100)")

    per_dataset = {  # noqa: RUF012 - a ClassVar
        "cifar100": {
            "strength": 7.0,
            "target_momentum": 0.9,
            "strength_ramp_steps": 40_000,
            "refine_labels": True,
        }
    }


@dataclass(frozen=True)
class Mixup(Params):
    """Mixup (Zhang et al. 2018)."""

    alpha: float = param(1.0, gt=0, le=1_000, doc="alpha of the Beta(alpha, alpha) that mixes (M-correction 32)")


@dataclass(frozen=True)
class Reweight(Params):
    """Learning to reweight (Ren et al. 2018)."""

    clean_batch_size: int = param(
        100, ge=1, le=65_536, doc="trusted samples that weigh one mini-batch; all of them where there are fewer"
    )
