"""Hyperparameters of the robust losses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from s2e.methods.params.base import Params
from s2e.words import param


@dataclass(frozen=True)
class Gce(Params):
    """Generalised cross entropy (Zhang & Sabuncu 2018)."""

    q: float = param(0.7, gt=0, le=1, doc="exponent: near 0 cross entropy, 1 mean absolute error")


@dataclass(frozen=True)
class Sce(Params):
    """Symmetric cross entropy (Wang et al. 2019); defaults of its CIFAR-10 rows."""

    alpha: float = param(0.1, ge=0, le=1_000, doc="weight of cross entropy")
    beta: float = param(1.0, ge=0, le=1_000, doc="weight of reverse cross entropy")
    log_zero: float = param(
        math.log(1e-4), ge=-100, lt=0, doc="A, what stands for ln 0: the official code's clip is ln 1e-4, the paper -4"
    )

    per_dataset = {"mnist": {"alpha": 0.01}}  # noqa: RUF012 - a ClassVar


@dataclass(frozen=True)
class BootstrapSoft(Params):
    """Soft bootstrap (Reed et al. 2015)."""

    label_weight: float = param(0.95, ge=0, le=1, doc="weight b of the given label; the prediction has 1 - b")


@dataclass(frozen=True)
class BootstrapHard(Params):
    """Hard bootstrap (Reed et al. 2015)."""

    label_weight: float = param(0.8, ge=0, le=1, doc="weight b of the given label; the predicted class has 1 - b")


@dataclass(frozen=True)
class Huber(Params):
    """Huber loss of the probabilities; the SIGUA paper, which compares it, names no threshold, so 0.5 is ours."""

    threshold: float = param(
        0.5, gt=0, le=1, doc="d: |p_c - y_c| up to which the loss is quadratic; at 1 it is everywhere"
    )


@dataclass(frozen=True)
class LogSum(Params):
    """Log-sum loss of the probabilities; the SIGUA paper, which compares it, names no width, so 1 is ours: at 0.1 it
    predicts a single class for scikit-learn's digits even without noise."""

    width: float = param(
        0.1, gt=0, le=100, doc="e of ln(1 + |p_c - y_c| / e): the smaller, the flatter for large errors"
    )


@dataclass(frozen=True)
class TruncatedGce(Gce):
    """Truncated generalised cross entropy (Zhang & Sabuncu 2018)."""

    threshold: float = param(0.5, gt=0, lt=1, doc="k: samples with p_y <= k are left out")
    first_pruning_epoch: int = param(
        40, ge=0, le=10_000, doc="epoch at whose start samples are first left out (CIFAR-100: 80)"
    )
    pruning_interval: int = param(10, ge=1, le=10_000, doc="epochs between two decisions of who is left out")

    per_dataset = {"cifar100": {"first_pruning_epoch": 80}}  # noqa: RUF012 - a ClassVar
