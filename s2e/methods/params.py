"""Hyperparameters of the methods: typed, documented, with the papers' defaults. Imports no torch, so the API can check.

A method's class of parameters is named on its line of :data:`s2e.catalog.METHODS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from s2e import catalog
from s2e.errors import Problem, SpecError
from s2e.validation import param, parse


@dataclass(frozen=True)
class Params:
    """The hyperparameters of a method that has none."""

    per_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults of the paper that differ from the fields' own, by name of the data set."""


def parse_params(method: str, dataset: str, data: Any, path: str = "train.params") -> Params:
    """The parameters of ``method``, the paper's values for ``dataset`` where ``data`` names none.

    Raises SpecError with every unknown name and every value out of its range.
    """
    kind: type[Params] = catalog.params_of(method)
    if not isinstance(data, Mapping):
        raise SpecError(Problem(path, repr(data)[:80], "must be an object"))
    return parse(kind, {**kind.per_dataset.get(dataset, {}), **data}, path)


def need_problems(method: str, *, n_clean: int) -> list[Problem]:
    """What ``method`` cannot train without and this job does not give."""
    if "clean" in catalog.METHODS[method].needs and n_clean == 0:
        return [Problem("data.n_clean", n_clean, f">= 1 for method {method}, which learns from trusted samples")]
    return []


@dataclass(frozen=True)
class Decoupling(Params):
    """Decoupling (Malach & Shalev-Shwartz 2017)."""

    warm_up_epochs: int = param(0, ge=0, le=10_000, doc="first epochs, in which every sample counts")


@dataclass(frozen=True)
class CoTeachingPlus(Params):
    """Co-teaching+ (Yu et al. 2019); defaults from its official program."""

    warm_up_epochs: int = param(
        20, ge=0, le=10_000, doc="first epochs, of plain Co-teaching (CIFAR-10 20; MNIST, and so digits, 0)"
    )

    per_dataset = {"mnist": {"warm_up_epochs": 0}, "digits": {"warm_up_epochs": 0}}  # noqa: RUF012 - a ClassVar


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
