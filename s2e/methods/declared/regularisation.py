"""Methods that change the loss or the inputs instead of selecting: ELR, ELR+, mixup, reweighting."""

from __future__ import annotations

from s2e.parts import MethodPart, method, param


@method("elr", rule="s2e.methods.elr:Elr", per_dataset={"cifar100": {"strength": 7.0, "target_momentum": 0.9}})
class Elr(MethodPart):
    """Cross entropy with each sample held to its earlier predictions (Liu et al. 2020); the schedule is ignored.

    Early-learning regularisation, ELR; defaults of its CIFAR-10 rows with symmetric noise.
    """

    strength: float = param(
        3.0, ge=0, le=1_000, doc="lambda, weight of the regulariser (asymmetric CIFAR-10 noise 1, CIFAR-100 7)"
    )
    target_momentum: float = param(
        0.7, ge=0, lt=1, doc="beta of a sample's target, a running mean of its predictions (asymmetric, CIFAR-100: 0.9)"
    )


@method("elr_kl", rule="s2e.methods.elr:ElrKl")
class ElrKl(MethodPart):
    """The Kullback-Leibler variant of ELR (Liu et al. 2020, appendix C), made to fail; the schedule is ignored."""

    strength: float = param(1.0, ge=0, le=1_000, doc="lambda, weight of the cross entropy with the target")
    target_momentum: float = param(0.7, ge=0, lt=1, doc="beta of a sample's target")


@method(
    "elr_plus",
    rule="s2e.methods.elr_plus:ElrPlus",
    per_dataset={
        "cifar100": {
            "strength": 7.0,
            "target_momentum": 0.9,
            "strength_ramp_steps": 40_000,
            "refine_labels": True,
        }
    },
)
class ElrPlus(Elr):
    """ELR with two networks, mixup and averaged weights (Liu et al. 2020); the schedule is ignored.

    Defaults of the CIFAR-10 rows with symmetric noise.
    """

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


@method("mixup", rule="s2e.methods.mixup:Mixup")
class Mixup(MethodPart):
    """Cross entropy on mixtures of two samples (Zhang et al. 2018); the schedule is ignored."""

    alpha: float = param(1.0, gt=0, le=1_000, doc="alpha of the Beta(alpha, alpha) that mixes (M-correction 32)")


@method("reweight", rule="s2e.methods.reweight:Reweight", needs=("clean",))
class Reweight(MethodPart):
    """Weights by agreement with the gradient of trusted samples (Ren et al. 2018); the schedule is ignored."""

    clean_batch_size: int = param(
        100, ge=1, le=65_536, doc="trusted samples that weigh one mini-batch; all of them where there are fewer"
    )
