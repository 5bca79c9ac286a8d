"""Image data sets, and what is published of each: sizes, statistics, confusions, labels made by people."""

from __future__ import annotations

from s2e.parts import DatasetPart, dataset

N_TEST_DIGITS = 500
"""scikit-learn ships the digits as one set; these are split off to test."""
CIFAR100_SUPERCLASS = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10,
    12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16,
    12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14,
    13,
)  # fmt: skip
"""Superclass of each fine label of CIFAR-100."""


def _next_in_superclass() -> dict[int, int]:
    """The next fine label of the same superclass, cyclic in the order of the fine labels."""
    members = [[i for i in range(100) if CIFAR100_SUPERCLASS[i] == s] for s in range(20)]
    return {fine[n]: fine[(n + 1) % len(fine)] for fine in members for n in range(len(fine))}


@dataset(
    "digits",
    load="s2e.data.images:load_digits",
    n_train=1_297,
    n_test=N_TEST_DIGITS,
    n_classes=10,
    shape=(1, 8, 8),
    below_root=False,
)
class Digits(DatasetPart):
    """1,797 handwritten digits of 8x8 pixels, shipped with scikit-learn."""


@dataset(
    "mnist",
    load="s2e.data.images:load_mnist",
    n_train=60_000,
    n_test=10_000,
    n_classes=10,
    shape=(1, 28, 28),
    confused={7: 1, 2: 7, 3: 8, 5: 6, 6: 5},
)
class Mnist(DatasetPart):
    """MNIST: 60,000 + 10,000 images of 28x28 pixels, from the data root.

    Confused: 7 -> 1, 2 -> 7, 3 -> 8, 5 <-> 6 (Patrini et al. 2017).
    """


@dataset(
    "fashion_mnist",
    load="s2e.data.images:load_fashion_mnist",
    n_train=60_000,
    n_test=10_000,
    n_classes=10,
    shape=(1, 28, 28),
)
class FashionMnist(DatasetPart):
    """Fashion-MNIST: 60,000 + 10,000 images of 28x28 pixels, from the data root."""


@dataset(
    "cifar10",
    load="s2e.data.images:load_cifar10",
    n_train=50_000,
    n_test=10_000,
    n_classes=10,
    shape=(3, 32, 32),
    mean_std=((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    confused={9: 1, 2: 0, 3: 5, 5: 3, 4: 7},
    human_noise={
        "aggre_label": 0.0901,
        "random_label1": 0.1723,
        "random_label2": 0.1812,
        "random_label3": 0.1764,
        "worse_label": 0.4021,
    },
)
class Cifar10(DatasetPart):
    """CIFAR-10: 50,000 + 10,000 images of 3x32x32 pixels, from the data root.

    Confused: truck -> automobile, bird -> airplane, cat <-> dog, deer -> horse (Patrini et al. 2017). Mean and standard
    deviation as the official ELR, SCE and DivideMix programs print them. Human labels: CIFAR-10N (Wei et al. 2022),
    under the files' own keys.
    """


@dataset(
    "cifar100",
    load="s2e.data.images:load_cifar100",
    n_train=50_000,
    n_test=10_000,
    n_classes=100,
    shape=(3, 32, 32),
    mean_std=((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    confused={i: i - i % 5 + (i + 1) % 5 for i in range(100)},
    confused_in_superclass=_next_in_superclass(),
    human_noise={"noisy_label": 0.4020},
)
class Cifar100(DatasetPart):
    """CIFAR-100: as CIFAR-10, with 100 fine labels, from the data root.

    Confused: the next of five consecutive fine labels, cyclic. Fine labels are alphabetical, so the blocks are no
    superclasses; the published figures (Patrini, SCE, ELR) were made with them all the same. Human labels: CIFAR-100N.
    """


@dataset("svhn", load="s2e.data.images:load_svhn", n_train=73_257, n_test=26_032, n_classes=10, shape=(3, 32, 32))
class Svhn(DatasetPart):
    """SVHN: 73,257 + 26,032 digits of 3x32x32 pixels, from the data root."""
