"""What is known of each data set before it is loaded, and whether a job fits: cheap enough for the API's door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2e.words import Problem, SpecError
from s2e.words.fields import NAMES

if TYPE_CHECKING:
    from s2e.words import DataSpec


@dataclass(frozen=True)
class Facts:
    """Samples of the official training and test set, classes, and the shape of one sample: (D, H, W) or (F,)."""

    n_train: int
    n_test: int
    n_classes: int
    shape: tuple[int, ...]


FACTS = {
    "digits": Facts(1_297, 500, 10, (1, 8, 8)),
    "mnist": Facts(60_000, 10_000, 10, (1, 28, 28)),
    "fashion_mnist": Facts(60_000, 10_000, 10, (1, 28, 28)),
    "cifar10": Facts(50_000, 10_000, 10, (3, 32, 32)),
    "cifar100": Facts(50_000, 10_000, 100, (3, 32, 32)),
    "svhn": Facts(73_257, 26_032, 10, (3, 32, 32)),
    "newsgroups20": Facts(11_314, 7_532, 20, (5_000,)),
}
"""scikit-learn ships digits as one set; the 500 test samples are split off here. A ``csv`` is known once it is read."""

HUMAN_NOISE_RATES = {
    "cifar10": {
        "aggre_label": 0.0901,
        "random_label1": 0.1723,
        "random_label2": 0.1812,
        "random_label3": 0.1764,
        "worse_label": 0.4021,
    },
    "cifar100": {"noisy_label": 0.4020},
}
"""Share of wrong labels in each label set of CIFAR-10N and CIFAR-100N (Wei et al. 2022), under the files' own keys."""


NAMES.update(human_labels=lambda: dict.fromkeys(key for sets in HUMAN_NOISE_RATES.values() for key in sets))


def check_sizes(spec: DataSpec, batch_size: int) -> None:
    """Raises SpecError naming the field that asks for more samples than the data set has."""
    problems = size_problems(spec, batch_size)
    if problems:
        raise SpecError(*problems)


def size_problems(spec: DataSpec, batch_size: int) -> list[Problem]:
    """The field that asks for more samples than the data set has (the first one; the next depend on it), or nothing."""
    if spec.name not in FACTS:
        return []
    available = FACTS[spec.name].n_train
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


def sample_shape(name: str) -> tuple[int, ...]:
    """(D, H, W) of an image, (F,) of a feature vector; () of a table, which is known once it is read."""
    return FACTS[name].shape if name in FACTS else ()


def has_images(name: str) -> bool:
    """Whether samples of the data set ``name`` are images and not feature vectors."""
    return len(sample_shape(name)) == 3
