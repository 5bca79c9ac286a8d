"""Hyperparameters of the methods that choose samples: Co-teaching+, Decoupling, SIGUA."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.methods.params.base import Params
from s2e.words import param


@dataclass(frozen=True)
class Decoupling(Params):
    """Decoupling (Malach & Shalev-Shwartz 2017)."""

    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs, in which every sample counts")


@dataclass(frozen=True)
class CoTeaching(Params):
    """Co-teaching (Han et al. 2018)."""

    official_double_division: bool = param(
        False,
        doc="divide the mean loss by the number of selected samples once more, as the official programs of Co-teaching,"
        " Co-teaching+ and S2E do: hardly visible with Adam, a hundredth of the step size with SGD",
    )


@dataclass(frozen=True)
class CoTeachingPlus(CoTeaching):
    """Co-teaching+ (Yu et al. 2019); defaults from its official program."""

    warm_up_epochs: int = param(
        20, ge=0, le=10_000, doc="first epochs, of plain Co-teaching (CIFAR-10 20; MNIST, and so digits, 0)"
    )

    official_double_softmax: bool = param(
        False,
        doc="after the warm-up take the softmax twice, as the official program does, which flattens the gradients: "
        "published figures were made so",
    )

    per_dataset = {"mnist": {"warm_up_epochs": 0}, "digits": {"warm_up_epochs": 0}}  # noqa: RUF012 - a ClassVar


@dataclass(frozen=True)
class SiguaSL(Params):
    """SIGUA with small losses (Han et al. 2020). The paper gives no delta: the fraction is the official program's, 0.4
    at 20 % noise, 0.7 for MNIST with pair noise, 0.3 else."""

    gamma: float = param(0.01, ge=0, le=1, doc="strength of the ascent; 0 is StopGrad (MNIST with pair noise 0.001)")
    fraction: float = param(0.3, ge=0, le=1, doc="how many samples ascend, those of smallest loss among the not kept")
    fraction_of: str = param(
        "forgotten",
        choices=("forgotten", "batch"),
        doc="the fraction counts in the samples not kept (official program) or in the batch (delta of eq. 6)",
    )
    normalise: str = param(
        "batch",
        choices=("batch", "group"),
        doc="batch: sums over B, eq. (3); group: mean of each group, as the published figures were made",
    )


@dataclass(frozen=True)
class StopGrad(Params):
    """SIGUA's prototype without its ascent (Han et al. 2020)."""

    good: str = param(
        "small_loss",
        choices=("small_loss", "oracle"),
        doc="who descends: the R(t) B smallest losses; or, as an experiment that no user of real data can run, the "
        "samples whose label is the true one (the paper's Figure 1)",
    )
    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs of standard training (the paper's Figure 1: 150)")
    normalise: str = param(
        "batch", choices=("batch", "group"), doc="batch: sums over B, eq. (3); group: mean of each group"
    )


@dataclass(frozen=True)
class Sigua(StopGrad):
    """SIGUA's prototype, eq. (3) (Han et al. 2020)."""

    gamma: float = param(0.001, ge=0, le=1, doc="strength of the ascent on every sample that is not good (Figure 1)")
