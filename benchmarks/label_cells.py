"""Small data sets with noisy labels, each with the truth kept aside: what the label studies are measured on.

A cell is (data set, noise, seed): the seed draws the rows, the noise, and everything that trains on them. Features are
fixed before any label is seen: pixels or principal components, random patches for CIFAR, TF-IDF + SVD for text.
"""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets as bundled

from s2e.data.instance import Rows, part_dependent, polynomial_margin
from s2e.data.noise import corrupt
from s2e.data.torchvision_guard import datasets as torchvision_datasets
from s2e.data.transition import mapped, pair, symmetric
from s2e.parts import DATASETS
from s2e.words import derive_seed

Array = NDArray[np.float32]
Labels = NDArray[np.int64]
ROOT = Path(os.environ.get("S2E_DATA_ROOT", ".data"))
CACHE = Path(os.environ.get("S2E_BENCH_CACHE", Path(tempfile.gettempdir()) / "s2e-bench"))
FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Folder into which Debian's package dataset-fashion-mnist puts the four files."""
FASHION_MAP = {0: 6, 2: 4, 4: 2, 5: 7, 9: 7}
"""t-shirt -> shirt, pullover <-> coat, sandal -> sneaker, ankle boot -> sneaker."""
HUMAN = {"human": "cifar10_worse_label", "random": "cifar10_random_label1", "aggre": "cifar10_aggre_label"}
"""CIFAR-10N: the worse of three people's labels, the first one's, and their majority's."""
NEWS_MAP = {3: 4, 4: 3, 0: 19, 17: 18, 10: 9}
"""pc.hardware <-> mac.hardware, atheism -> religion.misc, politics.mideast -> politics.misc, hockey -> baseball."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Rows to learn from with given labels, and rows to test on with true ones."""

    name: str
    n_classes: int
    x_SF: Array
    given_S: Labels
    true_S: Labels
    test_x_SF: Array
    test_S: Labels
    T_CC: NDArray[np.float64]
    """Realised: counts of given labels per true class, as shares."""
    injected_CC: NDArray[np.float64] | None
    """The matrix the noise was drawn from; None for labels that people gave."""

    @property
    def noise_rate(self) -> float:
        """Share of the given labels that are wrong."""
        return float((self.given_S != self.true_S).mean())


@dataclass(frozen=True, eq=False)
class Source:
    """Features and labels of training and test rows; ``human`` are noisy labels that people gave, by name."""

    x_SF: Array
    label_S: Labels
    test_x_SF: Array
    test_S: Labels
    human: Mapping[str, Labels] = field(default_factory=dict)


def make_cell(name: str, seed: int, sources: Mapping[str, Callable[[int], Source]] | None = None) -> Cell:
    """The cell called ``<data set>-<noise>``, such as ``mnist-pair45``; of :data:`SOURCES`, or of others."""
    dataset, noise = name.split("-")
    source = (sources or SOURCES)[dataset](seed)
    n_classes = int(source.label_S.max()) + 1
    T_CC = noise_matrix(dataset, noise, n_classes)
    if T_CC is None:
        given_S = _of_rows(source, name, seed)
    else:
        given_S = corrupt(source.label_S, T_CC, derive_seed("cell", name, seed))
    joint_CC = np.zeros((n_classes, n_classes))
    np.add.at(joint_CC, (source.label_S, given_S), 1)
    realised_CC = joint_CC / joint_CC.sum(1, keepdims=True)
    return Cell(
        name, n_classes, source.x_SF, given_S, source.label_S, source.test_x_SF, source.test_S, realised_CC, T_CC
    )


def _of_rows(source: Source, name: str, seed: int) -> Labels:
    """Labels that people gave, or that depend on the features."""
    noise = name.split("-")[1]
    if noise in source.human:
        return source.human[noise]
    make = {"part": part_dependent, "margin": polynomial_margin}[noise.rstrip("0123456789")]
    rows, rate = Rows(source.x_SF, source.label_S), int(noise[-2:]) / 100
    own = derive_seed("cell", name, seed)
    return make(rows, rows, int(source.label_S.max()) + 1, rate, own, own)


def noise_matrix(dataset: str, noise: str, n_classes: int) -> NDArray[np.float64] | None:
    """The matrix of ``clean``, ``sym20``, ``pair45``, ``asym40`` ...; None for labels that people gave, ``part40`` and
    ``margin30``."""
    kind, rate = noise.rstrip("0123456789"), int("".join(filter(str.isdigit, noise)) or 0) / 100
    if kind in (*HUMAN, "part", "margin"):
        return None
    if kind == "clean":
        return np.eye(n_classes)
    if kind == "sym":
        return symmetric(n_classes, rate)
    if kind == "pair":
        return pair(n_classes, rate)
    return mapped(n_classes, rate, _confused(dataset))


def _confused(dataset: str) -> Mapping[int, int]:
    own = {"fashion": FASHION_MAP, "news": NEWS_MAP}
    published = {"mnist": "mnist", "digits": "mnist", "cifar": "cifar10"}
    if dataset in published:
        return DATASETS[published[dataset]].confused or {}
    return own.get(dataset, {0: 1})


def _take(label_S: Labels, n_train: int, n_test: int, seed: int) -> tuple[Labels, Labels]:
    order = np.random.default_rng(derive_seed("rows", seed)).permutation(len(label_S))
    return order[:n_train], order[n_train : n_train + n_test]


def _standard(train: Array, test: Array) -> tuple[Array, Array]:
    mean, deviation = train.mean(0), train.std(0)
    deviation[deviation == 0] = 1
    return ((train - mean) / deviation).astype(np.float32), ((test - mean) / deviation).astype(np.float32)


def _components(train: Array, test: Array, n: int) -> tuple[Array, Array]:
    """Principal components of the training rows, all divided by one number so that the mean square is 1."""
    mean = train.mean(0)
    _, rotation = np.linalg.eigh(np.cov(train.T))
    rotated, tested = (train - mean) @ rotation[:, : -n - 1 : -1], (test - mean) @ rotation[:, : -n - 1 : -1]
    scale = np.sqrt((rotated**2).mean())
    return (rotated / scale).astype(np.float32), (tested / scale).astype(np.float32)


def _table(path: str) -> tuple[list[list[str]], list[str]]:
    with (ROOT / "uci" / path).open() as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    return [row[:-1] for row in rows], [row[-1] for row in rows]


@lru_cache
def _numbers(path: str) -> tuple[Array, Labels]:
    rows, labels = _table(path)
    names = sorted(set(labels))
    return np.array(rows, dtype=np.float32), np.array([names.index(label) for label in labels])


def digits(seed: int) -> Source:
    """1,300 rows of 8x8 pixels; 497 test."""
    x, y = _numbers("optdigits8x8.csv")
    train, test = _take(y, 1_300, 497, seed)
    x = (x / 16).astype(np.float32)
    return Source(x[train], y[train], x[test], y[test])


def uci(path: str, n_train: int, n_test: int) -> Callable[[int], Source]:
    def load(seed: int) -> Source:
        x, y = _numbers(path)
        train, test = _take(y, n_train, n_test, seed)
        return Source(*_pairs(_standard(x[train], x[test]), y[train], y[test]))

    return load


def _pairs(features: tuple[Array, Array], y: Labels, test_y: Labels) -> tuple[Array, Labels, Array, Labels]:
    return features[0], y, features[1], test_y


def adult(seed: int) -> Source:
    """3,000 rows of Adult, numbers standardised, text as indicators; 3,000 test."""
    rows, labels = _table("adult-train.csv")
    return _mixed(rows, np.array([int(label.startswith(">")) for label in labels]), seed)


def _adult_by(column: int, least: int = 300, without: int | None = None) -> Callable[[int], Source]:
    """Adult with a column as its classes, those of ``least`` rows and more: a table of many classes that overlap.

    ``without`` is a column that says the same."""

    def load(seed: int) -> Source:
        rows, labels = _table("adult-train.csv")
        count = Counter(row[column] for row in rows)
        names = sorted(name for name, n in count.items() if n >= least and name != "?")
        kept = [[*row, label] for row, label in zip(rows, labels, strict=True) if row[column] in names]
        y = np.array([names.index(row[column]) for row in kept])
        return _mixed([[cell for j, cell in enumerate(row) if j not in (column, without)] for row in kept], y, seed)

    return load


def _mixed(rows: list[list[str]], y: Labels, seed: int) -> Source:
    columns = []
    for j in range(len(rows[0])):
        column = [row[j] for row in rows]
        try:
            columns.append(np.array(column, dtype=np.float32)[:, None])
        except ValueError:
            names = sorted(set(column))
            columns.append((np.array(column)[:, None] == np.array(names)).astype(np.float32))
    x = np.concatenate(columns, axis=1)
    train, test = _take(y, 3_000, 3_000, seed)
    return Source(*_pairs(_standard(x[train], x[test]), y[train], y[test]))


def ionosphere(seed: int) -> Source:
    """300 rows of Ionosphere; 51 test."""
    rows, labels = _table("ionosphere.csv")
    x, y = np.array(rows, dtype=np.float32), np.array([int(label == "g") for label in labels])
    train, test = _take(y, 300, 51, seed)
    return Source(*_pairs(_standard(x[train], x[test]), y[train], y[test]))


def _bundled(name: str, n_train: int, n_test: int) -> Callable[[int], Source]:
    """A table that scikit-learn brings."""

    def load(seed: int) -> Source:
        x, y = getattr(bundled, f"load_{name}")(return_X_y=True)
        train, test = _take(y, n_train, n_test, seed)
        x = x.astype(np.float32)
        return Source(*_pairs(_standard(x[train], x[test]), y[train], y[test]))

    return load


def diabetes(seed: int) -> Source:
    """360 rows of Diabetes, its measurement cut into quarters: four classes in order, of which neighbours overlap; 82
    test."""
    x, value = bundled.load_diabetes(return_X_y=True)
    y = np.digitize(value, np.quantile(value, [0.25, 0.5, 0.75]))
    train, test = _take(y, 360, 82, seed)
    x = x.astype(np.float32)
    return Source(*_pairs(_standard(x[train], x[test]), y[train], y[test]))


@lru_cache
def _mnist() -> tuple[Array, Labels]:
    data = torchvision_datasets().MNIST(str(ROOT), train=True, download=False)
    return (data.data.numpy().reshape(len(data.data), -1) / 255).astype(np.float32), data.targets.numpy()


def mnist(seed: int) -> Source:
    """3,000 images, 64 principal components; 2,000 test."""
    x, y = _mnist()
    train, test = _take(y, 3_000, 2_000, seed)
    return Source(*_pairs(_components(x[train], x[test], 64), y[train], y[test]))


@lru_cache
def _fashion() -> tuple[Array, Labels]:
    def read(name: str, offset: int) -> NDArray[np.uint8]:
        return np.frombuffer(gzip.decompress((FASHION / name).read_bytes()), dtype=np.uint8, offset=offset)

    x = read("train-images-idx3-ubyte.gz", 16).reshape(60_000, 784)
    return (x / 255).astype(np.float32), read("train-labels-idx1-ubyte.gz", 8).astype(np.int64)


def fashion(seed: int) -> Source:
    """3,000 images, 64 principal components; 2,000 test."""
    x, y = _fashion()
    train, test = _take(y, 3_000, 2_000, seed)
    return Source(*_pairs(_components(x[train], x[test], 64), y[train], y[test]))


@lru_cache
def _cifar() -> tuple[NDArray[np.uint8], Labels, dict[str, Labels]]:
    data = torchvision_datasets().CIFAR10(str(ROOT), train=True, download=False)
    given = np.load(ROOT / "cifar-n" / "cifar-n-labels.npz")
    return data.data, np.array(data.targets), {name: given[key].astype(np.int64) for name, key in HUMAN.items()}


def cifar(seed: int) -> Source:
    """4,000 of 12,000 images as random patches, 128 components; 2,000 test. With the labels of CIFAR-10N."""
    images, y, human = _cifar()
    train, test = _take(y[:12_000], 4_000, 2_000, seed)
    features = _kept("cifar-patches", lambda: _patches(images[:12_000]))
    own = {name: label_S[train] for name, label_S in human.items()}
    return Source(*_pairs(_components(features[train], features[test], 128), y[train], y[test]), human=own)


def _kept(name: str, make: Callable[[], Array]) -> Array:
    """Features that take a minute, kept in ``S2E_BENCH_CACHE``."""
    path = CACHE / f"{name}.npy"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        np.save(path, make())
    return np.asarray(np.load(path))


def _patches(images: NDArray[np.uint8]) -> Array:
    """128 whitened random patches as filters, soft threshold, mean over quadrants (Coates, Lee and Ng 2011)."""
    rng = np.random.default_rng(derive_seed("patches"))
    x = torch.from_numpy(images[:4_000]).permute(0, 3, 1, 2).float() / 255
    picks = [
        x[i, :, r : r + 6, c : c + 6].flatten()
        for i, r, c in zip(
            rng.integers(0, len(x), 4_000), rng.integers(0, 27, 4_000), rng.integers(0, 27, 4_000), strict=True
        )
    ]
    patch_PF = torch.stack(picks)
    patch_PF = patch_PF - patch_PF.mean(1, keepdim=True)
    patch_PF /= (patch_PF.var(1, keepdim=True) + 0.01).sqrt()
    mean_F = patch_PF.mean(0)
    values, vectors = torch.linalg.eigh((patch_PF - mean_F).T.cov())
    whiten_FF = vectors @ torch.diag((values + 0.1).rsqrt()) @ vectors.T
    filters_QF = (patch_PF[:128] - mean_F) @ whiten_FF
    filters_QF /= filters_QF.norm(dim=1, keepdim=True)
    kernel = (filters_QF @ whiten_FF).view(-1, 3, 6, 6)
    return _respond(images, kernel)


def _respond(images: NDArray[np.uint8], kernel: torch.Tensor) -> Array:
    out = []
    flat = torch.ones(1, 3, 6, 6) / 108
    for part in torch.from_numpy(images).split(200):
        x = part.permute(0, 3, 1, 2).float() / 255
        mean = torch.nn.functional.conv2d(x, flat)
        square = torch.nn.functional.conv2d(x * x, flat)
        scale = (square - mean**2 + 0.01).sqrt()
        raw = torch.nn.functional.conv2d(x, kernel) - mean * kernel.sum((1, 2, 3)).view(1, -1, 1, 1)
        response = (raw / scale).clamp(-10, 10)
        both = torch.cat([(response - 0.5).clamp(min=0), (-response - 0.5).clamp(min=0)], 1)
        out.append(torch.nn.functional.adaptive_avg_pool2d(both, 2).flatten(1))
    return np.asarray(torch.cat(out).numpy())


@lru_cache
def _news() -> tuple[Array, Labels]:
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    z = np.load(ROOT / "20news" / "20news-counts.npz")
    counts = csr_matrix((z["data"].astype("f4"), z["indices"].astype("i4"), z["indptr"]), shape=z["shape"])
    counts = counts[z["is_train"]]
    weighted = TfidfTransformer(sublinear_tf=True).fit_transform(counts)
    x = TruncatedSVD(128, random_state=0).fit_transform(weighted)
    x /= np.sqrt((x**2).mean())
    return x.astype(np.float32), z["label"][z["is_train"]].astype(np.int64)


def news(seed: int) -> Source:
    """5,000 posts, TF-IDF and 128 singular vectors; 3,000 test."""
    x, y = _news()
    train, test = _take(y, 5_000, 3_000, seed)
    return Source(x[train], y[train], x[test], y[test])


SOURCES: dict[str, Callable[[int], Source]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar": cifar,
    "news": news,
    "phoneme": uci("phoneme.csv", 3_000, 2_000),
    "banknote": uci("banknote_authentication.csv", 900, 472),
    "breast": _bundled("breast_cancer", 450, 119),
    "marital": _adult_by(5),
    "occupation": _adult_by(6),
    "fashion": fashion,
    "adult": adult,
    "ionosphere": ionosphere,
    "wine": _bundled("wine", 140, 38),
    "relationship": _adult_by(7),
    "education": _adult_by(3, without=4),
    "workclass": _adult_by(1),
    "race": _adult_by(8, 200),
    "diabetes": diabetes,
}
"""From ``fashion`` on they were looked at once, after everything was fixed; ``adult`` before the say of plain networks
was added, too. Where weak diagonals are no longer believed, ``relationship`` was developed on, too."""
