"""Hyperparameters of the methods that correct the loss by a transition matrix T, T_ij = P(label j | class i)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from s2e.data.limits import FACTS
from s2e.data.transition import matrix
from s2e.door.data import noise_problems
from s2e.methods.params.base import Params, stage_problems
from s2e.words import MATRIX_KINDS, Problem, param

if TYPE_CHECKING:
    from s2e.words import DataSpec, TrainSpec


MAX_CONDITION = 1e6
"""Condition number from which T counts as singular: float32 losses have seven digits to lose."""


def singular_problems(condition: float) -> list[Problem]:
    """A problem if a matrix of this condition number has no usable inverse."""
    if condition <= MAX_CONDITION:
        return []
    allowed = "noise whose transition matrix has an inverse (symmetric noise of rate 1 - 1/C has none)"
    return [Problem("data.noise", f"condition number {condition:.3g}", allowed)]


@dataclass(frozen=True)
class Forward(Params):
    """Forward correction (Patrini et al. 2017)."""

    transition: str = param(
        "given",
        choices=("given", "estimated", "confident"),
        doc="given: T of the injected noise; estimated: from the surest predictions of a first training (Patrini et "
        "al. 2017); confident: from the held-out predictions of two half trainings (Northcutt et al. 2021)",
    )
    estimation_epochs: int = param(
        20,
        ge=1,
        le=10_000,
        doc="epochs of each first training of standard cross entropy (estimated 1, confident 2); the networks then "
        "start anew, while the step size goes on along the job's epochs",
    )
    estimation_percentile: float = param(
        97,
        gt=0,
        le=100,
        doc="estimated: the class's representative is the largest probability below this percentile (CIFAR-100 100: "
        "nothing is discarded)",
    )

    per_dataset = {"cifar100": {"estimation_percentile": 100}}  # noqa: RUF012 - a ClassVar

    @property
    def n_first_trainings(self) -> int:
        """Trainings that come before the one that counts."""
        return {"given": 0, "estimated": 1, "confident": 2}[self.transition]

    @property
    def first_epoch(self) -> int:
        """The epoch at which T is known and the networks start anew."""
        return self.n_first_trainings * self.estimation_epochs

    def job_problems(self, train: TrainSpec, data: DataSpec) -> list[Problem]:
        """T that is not known, or that would be known only after the last epoch."""
        if self.transition == "given" and data.noise.kind not in MATRIX_KINDS:
            allowed = f"estimated or confident: the matrix of {data.noise.kind} noise is not known"
            return [Problem("train.params.transition", "given", allowed)]
        return stage_problems(self.first_epoch, train, "estimation_epochs", self.estimation_epochs)


@dataclass(frozen=True)
class Backward(Forward):
    """Backward correction (Patrini et al. 2017)."""

    def job_problems(self, train: TrainSpec, data: DataSpec) -> list[Problem]:
        """Also a given T without an inverse."""
        problems = super().job_problems(train, data)
        if problems or self.transition != "given" or data.name not in FACTS or noise_problems(data):
            return problems
        T_CC = matrix(data.noise, FACTS[data.name].n_classes, data.name)
        return singular_problems(float(np.linalg.cond(T_CC)))


@dataclass(frozen=True)
class NnBC(Backward):
    """Non-negative backward correction (SIGUA, Han et al. 2020)."""

    bad_if: str = param(
        "label",
        choices=("label", "sum"),
        doc="label: the corrected loss of the given label is negative, as the published figures were made; sum: the "
        "corrected losses of all labels sum to less than 0, eq. (11), which a doubly stochastic T never does",
    )
    warm_up_epochs: int = param(
        0, ge=0, le=10_000, doc="first epochs of plain backward correction (official program: CIFAR-10 sym-50 18)"
    )


@dataclass(frozen=True)
class SiguaBC(NnBC):
    """SIGUA with backward correction (Han et al. 2020)."""

    gamma: float = param(1.0, ge=0, le=1, doc="strength of the ascent on samples of negative corrected loss; 0 is nnBC")
