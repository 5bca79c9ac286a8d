"""Losses that resist wrong labels by their shape alone."""

from __future__ import annotations

import math

from s2e.parts import MethodPart, method, param


@method("bootstrap_hard", rule="s2e.methods.robust:BootstrapHard")
class BootstrapHard(MethodPart):
    """Cross entropy with the label mixed with the predicted class (Reed et al. 2015); the schedule is ignored."""

    label_weight: float = param(0.8, ge=0, le=1, doc="weight b of the given label; the predicted class has 1 - b")


@method("bootstrap_soft", rule="s2e.methods.robust:BootstrapSoft")
class BootstrapSoft(MethodPart):
    """Cross entropy with the label mixed with the prediction (Reed et al. 2015); the schedule is ignored."""

    label_weight: float = param(0.95, ge=0, le=1, doc="weight b of the given label; the prediction has 1 - b")


@method("gce", rule="s2e.methods.robust:GCE")
class Gce(MethodPart):
    """Generalised cross entropy L_q (Zhang & Sabuncu 2018); the schedule is ignored."""

    q: float = param(0.7, gt=0, le=1, doc="exponent: near 0 cross entropy, 1 mean absolute error")


@method(
    "gce_truncated",
    rule="s2e.methods.robust:TruncatedGCE",
    per_dataset={"cifar100": {"first_pruning_epoch": 80}},
)
class TruncatedGce(Gce):
    """L_q without the samples of low probability (Zhang & Sabuncu 2018); the schedule is ignored."""

    threshold: float = param(0.5, gt=0, lt=1, doc="k: samples with p_y <= k are left out")
    first_pruning_epoch: int = param(
        40, ge=0, le=10_000, doc="epoch at whose start samples are first left out (CIFAR-100: 80)"
    )
    pruning_interval: int = param(10, ge=1, le=10_000, doc="epochs between two decisions of who is left out")


@method("huber", rule="s2e.methods.robust:Huber")
class Huber(MethodPart):
    """Huber loss between probabilities and the one-hot label (SIGUA Table 3); the schedule is ignored.

    The SIGUA paper, which compares it, names no threshold, so 0.5 is ours.
    """

    threshold: float = param(
        0.5, gt=0, le=1, doc="d: |p_c - y_c| up to which the loss is quadratic; at 1 it is everywhere"
    )


@method("logsum", rule="s2e.methods.robust:LogSum")
class LogSum(MethodPart):
    """Log-sum loss between probabilities and the one-hot label (SIGUA Table 3); the schedule is ignored.

    The SIGUA paper, which compares it, names no width, so 1 is ours: at 0.1 it predicts a single class for
    scikit-learn's digits even without noise.
    """

    width: float = param(
        0.1, gt=0, le=100, doc="e of ln(1 + |p_c - y_c| / e): the smaller, the flatter for large errors"
    )


@method("sce", rule="s2e.methods.robust:SCE", per_dataset={"mnist": {"alpha": 0.01}})
class Sce(MethodPart):
    """Symmetric cross entropy (Wang et al. 2019); the schedule is ignored.

    Defaults of its CIFAR-10 rows.
    """

    alpha: float = param(0.1, ge=0, le=1_000, doc="weight of cross entropy")
    beta: float = param(1.0, ge=0, le=1_000, doc="weight of reverse cross entropy")
    log_zero: float = param(
        math.log(1e-4), ge=-100, lt=0, doc="A, what stands for ln 0: the official code's clip is ln 1e-4, the paper -4"
    )
