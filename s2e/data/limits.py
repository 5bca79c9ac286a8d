"""How many samples each data set has, and whether a job fits: cheap enough for the API's door, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from s2e.errors import Problem, SpecError

if TYPE_CHECKING:
    from s2e.spec import DataSpec

N_TRAIN_TEST = {"digits": (1297, 500), "mnist": (60_000, 10_000), "cifar10": (50_000, 10_000)}
"""Samples of the training and of the test set. scikit-learn ships digits as one set; the 500 are split off here."""
IMAGE_SHAPE = {"digits": (1, 8, 8), "mnist": (1, 28, 28), "cifar10": (3, 32, 32)}
"""Channels, height and width of a sample."""


def check_sizes(spec: DataSpec, batch_size: int) -> None:
    """Raises SpecError naming the field that asks for more samples than the data set has."""
    problems = size_problems(spec, batch_size)
    if problems:
        raise SpecError(*problems)


def size_problems(spec: DataSpec, batch_size: int) -> list[Problem]:
    """The field that asks for more samples than the data set has (the first one; the next depend on it), or nothing."""
    if spec.name not in N_TRAIN_TEST:
        return []
    available = N_TRAIN_TEST[spec.name][0]
    if spec.split == "holdout":
        if spec.n_validation >= available:
            allowed = f"< {available}, the training samples of {spec.name} it is taken from"
            return [Problem("data.n_validation", spec.n_validation, allowed)]
        available -= spec.n_validation
    if spec.n_clean >= available:
        return [Problem("data.n_clean", spec.n_clean, f"< {available}, what {spec.name} has left for training")]
    available -= spec.n_clean
    if spec.n_train is not None and spec.n_train > available:
        return [Problem("data.n_train", spec.n_train, f"<= {available}, what {spec.name} has left for training")]
    used = spec.n_train or available
    if batch_size > used:
        allowed = f"<= {used}, the samples trained on: incomplete batches are dropped, so none would be left"
        return [Problem("train.batch_size", batch_size, allowed)]
    return []
