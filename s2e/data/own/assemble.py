"""From sources to a data set: classes, test rows, trusted rows, samples. One walk for every kind of data of one's own.

Legend: S rows, m trusted ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2e.data.datasets import Dataset
from s2e.data.encoder import MAX_PIXEL
from s2e.data.encoders import ImageEncoder
from s2e.data.own import trusted
from s2e.data.own.labels import classes_of, codes, codes_among
from s2e.data.own.source import Indices, Source
from s2e.data.rows import Samples, blocks_of, joined
from s2e.data.splits import stratified
from s2e.words import DataError, TrustedRows, TrustedSpec, derive_seed

Open = Callable[[str, str], Source]
"""The source at a path below the data root, which a field of the job names."""


@dataclass(frozen=True)
class Asked:
    """A job's settings for data of its own, common to all kinds."""

    path: str
    test_path: str | None
    test_share: float
    trusted: TrustedSpec
    section: str = "data.params"
    label_case: str = "refuse"


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows of a source, with those of a second one that is all trusted below them."""

    main: Source
    more: Source | None
    label_S: NDArray[np.int64]
    is_trusted_S: NDArray[np.bool_]

    def encoded(self, fitted: Any) -> Samples:
        x = self.main.samples(fitted)
        return x if self.more is None else joined([x, self.more.samples(fitted)])

    def ids(self) -> NDArray[Any]:
        """Ids of the rows of both sources; those of the second carry its name."""
        ids = self.main.ids()
        if self.more is None:
            return ids
        return np.concatenate([ids.astype(str), [f"{self.more.file}: {row}" for row in self.more.ids()]])


def own_dataset(name: str, open_source: Open, asked: Asked) -> Dataset:
    """The data set called ``name``. Raises DataError, with file, row and cell, for data that cannot train."""
    main = open_source(asked.path, f"{asked.section}.path")
    classes = classes_of(main, asked.label_case)
    rows = _rows(main, _like(main, open_source, asked.trusted.path, "data.trusted.path"), classes, asked.trusted)
    other = _like(main, open_source, asked.test_path, f"{asked.section}.test_path")
    counted = None
    if asked.trusted.is_declared:
        label_m = rows.label_S[rows.is_trusted_S]
        counted = trusted.dealt(label_m, len(classes), asked.trusted, may_test=other is None)
    test = (
        np.arange(0)
        if other is not None
        else test_rows_of(name, rows.label_S, rows.is_trusted_S, counted, asked.test_share)
    )
    train = np.setdiff1d(np.arange(len(rows.label_S)), test, assume_unique=True)
    fitted = main.fit(train[train < len(main)])
    x = rows.encoded(fitted)
    train_x = x[torch.from_numpy(train)]
    test_x, test_S = (
        (x[torch.from_numpy(test)], rows.label_S[test]) if other is None else _tested(other, classes, fitted)
    )
    parts = (train_x, torch.from_numpy(rows.label_S[train]), test_x, torch.from_numpy(test_S))
    return Dataset(
        name,
        len(classes),
        _max_value(train_x, fitted),
        *parts,
        fitted,
        tuple(classes),
        trusted=None if counted is None else torch.from_numpy(rows.is_trusted_S[train]),
        counted=counted,
        missing=dict(main.missing()),
        skipped=tuple(main.skipped()),
        notes=tuple(main.notes()),
        train_ids=rows.ids()[train],
        test_ids=rows.ids()[test] if other is None else other.ids(),
    )


def _like(main: Source, open_source: Open, path: str | None, field: str) -> Source | None:
    """Another source of the same samples. Raises DataError where it has others."""
    if path is None:
        return None
    other = open_source(path, field)
    if list(other.input_names) != list(main.input_names):
        ours, theirs = (trusted.listed(list(map(str, one.input_names))) for one in (main, other))
        raise DataError(f"{other.file} has the columns {theirs}, but {main.file} has {ours}: they have to be the same")
    return other


def _rows(main: Source, more: Source | None, classes: dict[str, int], asked: TrustedSpec) -> _Rows:
    label_S, mark_S = codes(main.labels, classes), trusted.marked(main, asked)
    if more is not None:
        label_S = np.concatenate([label_S, codes_among(more, classes)])
        mark_S = np.concatenate([mark_S, np.ones(len(more), dtype=bool)])
    return _Rows(main, more, label_S, mark_S)


def test_rows_of(
    name: str,
    label_S: NDArray[np.int64],
    is_trusted_S: NDArray[np.bool_],
    counted: TrustedRows | None,
    test_share: float,
) -> Indices:
    """Stratified, and the same for every split seed, so that jobs are tested alike: trusted rows alone, where some
    test."""
    rng, n_rows = np.random.default_rng(derive_seed(name, "test split")), len(label_S)
    if counted is not None and counted.n_test:
        return trusted.test_rows(label_S, is_trusted_S, counted.n_test, rng)
    open_rows = np.flatnonzero(~is_trusted_S)  # a label that is known to be right trains
    if len(open_rows) < 2:
        raise DataError("data.trusted: every row is trusted; say data.labels = trusted instead")
    n_test = min(max(1, round(test_share * n_rows)), len(open_rows) - 1)
    return open_rows[stratified(label_S[open_rows], n_test, rng)[0]]


def _tested(other: Source, classes: dict[str, int], fitted: Any) -> tuple[Samples, NDArray[np.int64]]:
    label_S = codes_among(other, classes)
    return other.samples(fitted), label_S


def _max_value(train_x: Samples, fitted: Any) -> int:
    """The divisor of samples: 255 for images, else as :func:`largest_pixel` says."""
    return MAX_PIXEL if isinstance(fitted, ImageEncoder) else largest_pixel(train_x)


def largest_pixel(x: Samples) -> int:
    """The largest value of uint8 samples, 1 of others."""
    return max(1, *(int(block.max()) for block in blocks_of(x))) if x.dtype == torch.uint8 else 1
